//! What came over a connection, and when. The kernel stamps what arrives, so that an answer may be
//! looked at some time after it came and is still counted as of when it came.

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::time::{ClockId, clock_gettime};
use std::io::{self, IoSliceMut, Read};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

/// Reads connections.
pub(super) struct Ear {
    buffer: Box<[u8]>,
    /// Room for a stamp, if they are wanted.
    control: Option<Vec<u8>>,
}

impl Ear {
    /// Stamps cost a microsecond an answer: who reads answers at once wants none.
    pub fn new(stamps: bool) -> Ear {
        Ear {
            buffer: vec![0; 64 * 1024].into(),
            control: stamps.then(|| nix::cmsg_space!(TimeSpec)),
        }
    }

    /// Asks for stamps of what comes over a connection, if they are wanted.
    ///
    /// # Errors
    /// The kernel has none.
    pub fn attend(&self, stream: &TcpStream) -> io::Result<()> {
        self.control
            .as_ref()
            .map_or(Ok(()), |_| Ok(setsockopt(stream, sockopt::ReceiveTimestampns, &true)?))
    }

    /// Reads what has come, and tells how long ago the last of it came, ns; 0 without a stamp, as
    /// the kernel has none of the first answers after it was asked for some. Stamps are of the wall
    /// clock, which is asked again here: only a clock that is set between the two makes the
    /// difference wrong, which the caller bounds.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(&mut self, mut stream: &TcpStream) -> io::Result<(&[u8], u64)> {
        let Some(control) = &mut self.control else {
            let read = stream.read(&mut self.buffer)?;
            return Ok((&self.buffer[..read], 0));
        };
        let mut into = [IoSliceMut::new(&mut self.buffer)];
        let came = recvmsg::<()>(stream.as_raw_fd(), &mut into, Some(control), MsgFlags::empty())?;
        let stamp = came.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(at) => Some(at),
            _ => None,
        });
        let bytes = came.bytes;
        let age = stamp.and_then(|at| {
            let ago = clock_gettime(ClockId::CLOCK_REALTIME).ok()? - at;
            u64::try_from(ago.num_nanoseconds()).ok()
        });
        Ok((&self.buffer[..bytes], age.unwrap_or(0)))
    }

    /// Whether as much was read as fits, so that there may be more.
    pub fn is_full(&self, read: usize) -> bool {
        read == self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    #[test]
    fn what_is_read_late_came_when_it_came() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let stream = TcpStream::connect(listener.local_addr().expect("address")).expect("connects");
        let mut ear = Ear::new(true);
        ear.attend(&stream).expect("stamps");
        let (mut server, _) = listener.accept().expect("accepts");
        // The kernel begins to stamp a little after it was asked.
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(30) {
            server.write_all(b"x").expect("writes");
            if ear.read(&stream).expect("reads").1 > 0 {
                break;
            }
        }
        let before = Instant::now();
        server.write_all(b"hello").expect("writes");
        let after = Instant::now();
        // Nothing is awaited: to read late is what is tried.
        std::thread::sleep(Duration::from_millis(100));
        let least = after.elapsed();
        let (bytes, age) = ear.read(&stream).expect("reads");
        assert_eq!(bytes, b"hello");
        let age = Duration::from_nanos(age);
        assert!(age >= least && age <= before.elapsed(), "{age:?}");
    }
}
