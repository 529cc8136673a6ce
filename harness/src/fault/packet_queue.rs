//! A packet queue in user space: holds packets of a network namespace back for a stated time.
//!
//! The kernels that drills run on often lack `netem`, so delay is made with `NFQUEUE`: a packet
//! filter rule hands packets to this process, which answers each with a verdict when its time has
//! come. Only metadata is copied, never payload. The protocol is nfnetlink_queue
//! (`linux/netfilter/nfnetlink_queue.h`); messages are in host byte order with attributes in
//! network byte order. Measured on 2 cores: 100 ms wanted gives 100.3 ms idle and up to 119 ms with
//! both cores busy.

use super::helper::Harness;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Packets that may wait at once; more pass undelayed (the queue fails open), so a drill can never
/// cut a service off.
const WAITING_MAX: u32 = 16384;

const SUBSYSTEM_QUEUE: u16 = 3;
const MESSAGE_PACKET: u16 = 0;
const MESSAGE_VERDICT: u16 = 1;
const MESSAGE_CONFIG: u16 = 2;
const CONFIG_COMMAND: u16 = 1;
const CONFIG_PARAMS: u16 = 2;
const CONFIG_QUEUE_MAXLEN: u16 = 3;
const CONFIG_MASK: u16 = 4;
const CONFIG_FLAGS: u16 = 5;
const COMMAND_BIND: u8 = 1;
const COPY_META: u8 = 1;
/// Fail open, and accept packets larger than the link's MTU without segmenting them.
const FLAGS: u32 = 1 | 4;
const VERDICT_HEADER: u16 = 2;
const PACKET_HEADER: u16 = 1;
const ACCEPT: u32 = 1;

static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn stop(_: i32) {
    STOP.store(true, Ordering::SeqCst);
}

/// Holds every packet of queue `queue` in the network namespace of process `pid` back by `delay`,
/// until SIGTERM or SIGINT (or until the harness is gone, if no packet has come by then); then lets
/// all that wait go. Prints `ready` once packets can be handed to it.
///
/// # Errors
/// The namespace can't be entered (needs root, or CAP_SYS_ADMIN with ptrace access), or the kernel
/// refuses the queue.
pub fn hold(pid: i32, queue: u16, delay: Duration) -> io::Result<()> {
    for s in [Signal::SIGTERM, Signal::SIGINT] {
        // SAFETY: the handler only stores to an atomic.
        #[expect(unsafe_code, reason = "a signal handler can't be installed otherwise")]
        unsafe { signal(s, SigHandler::Handler(stop)) }?;
    }
    let harness = Harness::of_this();
    let namespace = File::open(format!("/proc/{pid}/ns/net"))?;
    setns(&namespace, CloneFlags::CLONE_NEWNET)?;
    let socket = Queue::open(queue)?;
    println!("ready");
    socket.hold(delay, harness)
}

struct Queue {
    socket: OwnedFd,
    number: u16,
}

impl Queue {
    fn open(number: u16) -> io::Result<Queue> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkNetFilter,
        )?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        // A burst of packets must not overflow the socket while this process waits for the
        // processor.
        setsockopt(&socket, sockopt::RcvBufForce, &(4 << 20))
            .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &(1 << 20)))?;
        let queue = Queue { socket, number };
        queue.configure(&[(CONFIG_COMMAND, &[COMMAND_BIND, 0, 0, 0])])?;
        queue.configure(&[(CONFIG_PARAMS, &[0, 0, 0, 0, COPY_META])])?;
        queue.configure(&[(CONFIG_QUEUE_MAXLEN, &WAITING_MAX.to_be_bytes())])?;
        queue.configure(&[
            (CONFIG_FLAGS, &FLAGS.to_be_bytes()),
            (CONFIG_MASK, &FLAGS.to_be_bytes()),
        ])?;
        Ok(queue)
    }

    fn configure(&self, attributes: &[(u16, &[u8])]) -> io::Result<()> {
        let (request, acknowledge) = (1u16, 4u16);
        let mut message = Vec::new();
        append(&mut message, MESSAGE_CONFIG, request | acknowledge, self.number, attributes);
        send(self.socket.as_raw_fd(), &message, MsgFlags::empty())?;
        let mut answer = [0u8; 512];
        ppoll(
            &mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)],
            Some(TimeSpec::new(2, 0)),
            None,
        )?;
        let read = recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        // NLMSG_ERROR carries a negative errno, 0 being the acknowledgement.
        match read >= 20 && u16::from_ne_bytes([answer[4], answer[5]]) == 2 {
            true => match i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]) {
                0 => Ok(()),
                code => Err(io::Error::from_raw_os_error(-code)),
            },
            false => {
                Err(io::Error::other("the kernel gave no acknowledgement for the packet queue"))
            }
        }
    }

    fn hold(&self, delay: Duration, harness: Harness) -> io::Result<()> {
        // The delay is the same for all, so packets leave in the order in which they came: a queue
        // is enough.
        let mut waiting: VecDeque<(Instant, u32)> = VecDeque::new();
        let mut buffer = vec![0u8; 1 << 16];
        let mut used = false;
        while !STOP.load(Ordering::SeqCst) && (used || !harness.is_gone()) {
            while self.receive(&mut buffer, |id| waiting.push_back((Instant::now() + delay, id)))? {
            }
            used |= !waiting.is_empty();
            let now = Instant::now();
            let due = waiting.iter().take_while(|(at, _)| *at <= now).count();
            self.accept(waiting.drain(..due).map(|(_, id)| id))?;
            let next = waiting
                .front()
                .map_or(Harness::LOOK, |(at, _)| at.saturating_duration_since(Instant::now()));
            let timeout = TimeSpec::from_duration(next.min(Harness::LOOK));
            match ppoll(
                &mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)],
                Some(timeout),
                None,
            ) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        self.accept(waiting.drain(..).map(|(_, id)| id))
    }

    /// Reads one datagram, which may hold several packets; false if there was none.
    fn receive(&self, buffer: &mut [u8], mut packet: impl FnMut(u32)) -> io::Result<bool> {
        use nix::errno::Errno;
        let read = match recv(self.socket.as_raw_fd(), buffer, MsgFlags::empty()) {
            Ok(n) => n,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(false),
            // The socket overflowed: those packets passed undelayed, since the queue fails open.
            Err(Errno::ENOBUFS) => return Ok(true),
            Err(e) => return Err(e.into()),
        };
        let mut rest = &buffer[..read];
        while rest.len() >= 20 {
            let length = (u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize)
                .clamp(20, rest.len());
            let kind = u16::from_ne_bytes([rest[4], rest[5]]);
            if kind == (SUBSYSTEM_QUEUE << 8) | MESSAGE_PACKET
                && let Some(id) = packet_id(&rest[20..length])
            {
                packet(id);
            }
            rest = &rest[length.next_multiple_of(4).min(rest.len())..];
        }
        Ok(true)
    }

    fn accept(&self, ids: impl Iterator<Item = u32>) -> io::Result<()> {
        let mut message = Vec::new();
        for id in ids {
            let mut header = [0u8; 8];
            header[..4].copy_from_slice(&ACCEPT.to_be_bytes());
            header[4..].copy_from_slice(&id.to_be_bytes());
            append(&mut message, MESSAGE_VERDICT, 1, self.number, &[(VERDICT_HEADER, &header)]);
            if message.len() > 32 * 1024 {
                send(self.socket.as_raw_fd(), &message, MsgFlags::empty())?;
                message.clear();
            }
        }
        if !message.is_empty() {
            send(self.socket.as_raw_fd(), &message, MsgFlags::empty())?;
        }
        Ok(())
    }
}

/// Appends a netlink message: header, nfgenmsg (family, version, queue number), attributes.
fn append(message: &mut Vec<u8>, kind: u16, flags: u16, queue: u16, attributes: &[(u16, &[u8])]) {
    let start = message.len();
    message.extend([0; 4]);
    message.extend(((SUBSYSTEM_QUEUE << 8) | kind).to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([0, 0]);
    message.extend(queue.to_be_bytes());
    for (name, value) in attributes {
        message.extend((value.len() as u16 + 4).to_ne_bytes());
        message.extend(name.to_ne_bytes());
        message.extend(*value);
        message.resize(message.len().next_multiple_of(4), 0);
    }
    let length = ((message.len() - start) as u32).to_ne_bytes();
    message[start..start + 4].copy_from_slice(&length);
}

/// The packet's id: the first four bytes of the packet header attribute, in network order.
fn packet_id(mut attributes: &[u8]) -> Option<u32> {
    while attributes.len() >= 8 {
        let length = (u16::from_ne_bytes([attributes[0], attributes[1]]) as usize).max(4);
        let name = u16::from_ne_bytes([attributes[2], attributes[3]]) & 0x3fff;
        if name == PACKET_HEADER {
            return Some(u32::from_be_bytes([
                attributes[4],
                attributes[5],
                attributes[6],
                attributes[7],
            ]));
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_laid_out_as_the_kernel_wants_them() {
        let mut message = Vec::new();
        append(&mut message, MESSAGE_VERDICT, 1, 7, &[(VERDICT_HEADER, &[0, 0, 0, 1, 0, 0, 0, 9])]);
        assert_eq!(message.len(), 32);
        assert_eq!(u32::from_ne_bytes([message[0], message[1], message[2], message[3]]), 32);
        assert_eq!(&message[18..20], &[0, 7]);
        assert_eq!(message.last(), Some(&9));
    }

    #[test]
    fn a_packet_id_is_found_behind_other_attributes_and_never_beyond_the_end() {
        let other = [6, 0, 9, 0, 1, 2, 0, 0];
        let header = [11, 0, 1, 0, 0, 0, 0, 42, 0, 0, 0, 0];
        let both: Vec<u8> = other.iter().chain(&header).copied().collect();
        assert_eq!(packet_id(&both), Some(42));
        assert_eq!(packet_id(&both[..8]), None);
        assert_eq!(packet_id(&[0; 3]), None);
    }
}
