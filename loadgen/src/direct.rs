//! Drives one URL over HTTP/1.1, on one thread that sleeps: between arrivals it costs nothing, and
//! an operation costs little more than its system calls. Nothing is kept of an operation but its
//! place in the histograms.
//!
//! An arrival takes a free connection, or opens one, or waits for the first that becomes free once
//! [`Direct::connections`] are open; its latency counts from its intended start whatever it waited
//! for. Time is the monotonic clock; the wall clock is asked once, for the head of the interval
//! log.

mod answer;
mod heard;
pub(crate) mod interval_log;
pub(crate) mod meter;
mod part;
pub(crate) mod request;
mod users;

use crate::advice::Advised;
use crate::arrival::{Arrival, Shared};
use crate::client::not_opened;
use crate::recorder::{Ended, LONGEST, LiveStats, Recorder, Times};
use crate::windows::Windows;
use answer::{Answer, Progress};
use heard::Ear;
pub(crate) use interval_log::IntervalLog;
use meter::Meter;
pub(crate) use meter::now;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::prctl;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{
    ClockId as TimerClock, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags,
};
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};
use part::Interval;
pub use part::{Part, Tally};
pub use request::{Parts, Request};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
pub use users::drive_users;
use verdict::history::load::{Connections, LoadSummary};

/// Arrivals due within this time of the last one begun are begun together with the next one: none
/// is later than this for it.
const TOGETHER: u64 = 100_000;
/// Where they are closer to each other than that (over 10,000 a second), as many are begun
/// together, for [`LATEST`] at most. Being woken costs 25 µs of a virtual processor where this was
/// measured (a bare `clock_nanosleep`), three times what an operation does.
const BATCH: u64 = 10;
/// Longest time that arrivals wait for each other, ns. Other generators' timers tick once a
/// millisecond.
const LATEST: u64 = 500_000;
/// How often deadlines are looked after, ns.
const TICK: u64 = 100_000_000;
/// How often [`LiveStats`] is shown, ns.
const SHOW: u64 = 500_000_000;
/// Length of an interval of the log, ns.
const INTERVAL: u64 = 1_000_000_000;
/// Marks the timer among the events.
const TIMER: u64 = u64::MAX;
/// Longest time that an operation may be given: longer ones could not be told apart.
pub const LONGEST_TIMEOUT: Duration = LONGEST;

/// How operations are begun.
#[derive(Debug, Clone)]
pub enum Pace {
    /// Open loop: on a schedule, whatever became of those before.
    Open {
        arrival: Arrival,
        /// Arrivals a second.
        rate: f64,
    },
    /// Each connection sends as soon as it was answered: for capacity. It says nothing of latencies
    /// that users see.
    FlatOut,
}

/// A load of one URL.
#[derive(Debug, Clone)]
pub struct Direct {
    /// Where it goes; the caller answers for it ([`crate::check_target`]).
    pub address: SocketAddr,
    /// What is sent.
    pub request: Request,
    pub pace: Pace,
    /// How long arrivals go on; without it until the schedule ends or the load is stopped.
    pub duration: Option<Duration>,
    /// Most connections at once, at least 1.
    pub connections: usize,
    /// Most arrivals that may wait for a connection; what arrives beyond it is missed.
    pub waiting: usize,
    /// How long an operation may take from its intended start, at most [`LONGEST_TIMEOUT`].
    pub timeout: Duration,
    /// The one status that is wanted; without it any from 200 to 399.
    pub wanted: Option<u16>,
    /// 99th percentile of slip beyond which the load can't be relied on.
    pub slip_limit: Duration,
    /// How its course is watched, and what stops it.
    pub windows: Windows,
    /// Seed of the schedule.
    pub seed: u64,
}

/// Why a load could not be driven.
#[derive(Debug, Error)]
pub enum DirectError {
    /// Nobody listens, or nobody answers.
    #[error("nothing can be reached at {address}: {error}")]
    Unreachable { address: SocketAddr, error: io::Error },
    /// The system refuses.
    #[error("the load can't be driven: {0}")]
    System(#[from] io::Error),
    /// The log can't be written.
    #[error("the interval log can't be written: {0}")]
    Log(io::Error),
}

impl Advised for DirectError {
    fn hint(&self) -> Option<String> {
        match self {
            DirectError::Unreachable { .. } => {
                Some("start the server, or name the port that it listens on".into())
            }
            DirectError::Log(_) => Some("name another file with --hdr-log".into()),
            DirectError::System(_) => None,
        }
    }
}

impl From<Errno> for DirectError {
    fn from(e: Errno) -> DirectError {
        DirectError::System(e.into())
    }
}

/// What watches a load from outside.
pub struct Watch<'a> {
    /// Where the interval log goes.
    pub log: Option<Box<dyn Write + Send>>,
    /// The wall clock.
    pub wall: &'a dyn Fn() -> SystemTime,
    /// Ends the schedule when cancelled; operations in flight end all the same.
    pub stop: &'a CancellationToken,
    /// Is shown what is measured, twice a second, and how long the load has lasted.
    pub live: &'a mut dyn FnMut(LiveStats, Duration),
}

/// Drives a load to its end, on this thread.
///
/// # Errors
/// The target can't be reached at the beginning, the system refuses what is needed, or the log
/// can't be written.
pub fn drive(direct: &Direct, watch: Watch<'_>) -> Result<LoadSummary, DirectError> {
    reach(direct)?;
    drive_part(direct, watch, &Part::default()).map(|(summary, _)| summary)
}

/// Whether anybody is there: opens a connection and closes it again, so that a load begins with
/// none.
///
/// # Errors
/// The target can't be reached.
pub fn reach(direct: &Direct) -> Result<(), DirectError> {
    TcpStream::connect_timeout(
        &direct.address,
        direct.timeout.clamp(Duration::from_millis(1), Duration::from_secs(5)),
    )
    .map(drop)
    .map_err(|error| DirectError::Unreachable { address: direct.address, error })
}

/// Drives one generator's part of a load to its end, on this thread. Returns also how late it
/// began.
///
/// # Errors
/// The system refuses what is needed, or the log can't be written.
pub fn drive_part(
    direct: &Direct,
    watch: Watch<'_>,
    part: &Part,
) -> Result<(LoadSummary, Duration), DirectError> {
    crate::open_loop::raise_file_limit();
    let _slack = Slack::none();
    let (began, late) = part.wait();
    let log = watch.log.map(|file| IntervalLog::begin(file, (watch.wall)()));
    let mut engine = Engine::new(direct, log, part, began)?;
    engine.run(watch.stop, watch.live)?;
    let summary = engine.summary();
    engine.log.map_or(Ok(()), IntervalLog::end).map_err(DirectError::Log)?;
    Ok((summary, Duration::from_nanos(late)))
}

/// The kernel's leave to wake this thread later than it asked (50 µs unless told otherwise), given
/// back at the end.
struct Slack(Option<u64>);

impl Slack {
    fn none() -> Slack {
        let before = prctl::get_timerslack().ok().and_then(|ns| u64::try_from(ns).ok());
        Slack(before.filter(|_| prctl::set_timerslack(1).is_ok()))
    }
}

impl Drop for Slack {
    fn drop(&mut self) {
        if let Some(before) = self.0 {
            let _ = prctl::set_timerslack(before);
        }
    }
}

/// One connection.
struct Connection {
    stream: TcpStream,
    phase: Phase,
    answer: Answer,
    /// When its operation was due and when it was sent, ns; while it is being opened, when that was
    /// begun.
    due: u64,
    sent: u64,
    /// What of the request could not be written yet.
    unsent: Vec<u8>,
    /// Operations that went over it.
    served: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    Idle,
    Busy,
}

/// A place for a connection. Events of one that is gone carry its generation and are not taken for
/// those of its successor.
#[derive(Default)]
struct Slot {
    connection: Option<Connection>,
    generation: u32,
}

/// An arrival that waits for a connection.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    due: u64,
    number: u64,
}

struct Engine<'a> {
    direct: &'a Direct,
    epoll: Epoll,
    timer: TimerFd,
    armed: u64,
    slots: Vec<Slot>,
    free: Vec<usize>,
    idle: Vec<usize>,
    opening: usize,
    waiting: VecDeque<Waiting>,
    part: &'a Part,
    schedule: Option<Shared>,
    /// When the next arrival is due; `u64::MAX` if none is.
    due: u64,
    /// Its number; without a schedule that of the next operation.
    number: u64,
    last_begun: u64,
    began: u64,
    /// When the schedule ends, and when it ended.
    end: u64,
    ended: Option<u64>,
    recorder: Recorder,
    interval: Option<Interval>,
    log: Option<IntervalLog>,
    meter: Meter,
    connections: Connections,
    most: u64,
    waited: u64,
    ear: Ear,
    /// About how far arrivals are apart, ns.
    gap: u64,
}

fn span(from: u64, to: u64) -> Duration {
    Duration::from_nanos(to.saturating_sub(from))
}

/// How long arrivals that are so far apart wait for each other, ns.
fn together(gap: u64) -> u64 {
    if gap < TOGETHER { (BATCH * gap).clamp(TOGETHER, LATEST) } else { TOGETHER }
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl<'a> Engine<'a> {
    fn new(
        direct: &'a Direct,
        log: Option<IntervalLog>,
        part: &'a Part,
        began: u64,
    ) -> Result<Engine<'a>, DirectError> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(
            TimerClock::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )?;
        // Edge-triggered, it tells each expiry without being read.
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, TIMER))?;
        let schedule = match &direct.pace {
            Pace::Open { arrival, rate } => {
                Some(part.share.of(arrival.offsets(*rate, direct.seed)))
            }
            Pace::FlatOut => None,
        };
        let mut engine = Engine {
            direct,
            epoll,
            timer,
            armed: 0,
            slots: Vec::new(),
            free: Vec::new(),
            idle: Vec::new(),
            opening: 0,
            waiting: VecDeque::new(),
            part,
            schedule,
            due: u64::MAX,
            number: part.share.numbers().0,
            last_begun: 0,
            began,
            end: direct.duration.map_or(u64::MAX, |d| began.saturating_add(ns(d))),
            ended: None,
            recorder: Recorder::with_slip_limit(direct.slip_limit.as_secs_f64() * 1e3)
                .watched(&direct.windows, direct.duration),
            interval: (log.is_some() || part.tallies.is_some()).then(|| Interval::begin(began)),
            log,
            meter: Meter::begin(now()),
            connections: Connections::default(),
            most: 0,
            waited: 0,
            ear: Ear::new(matches!(direct.pace, Pace::Open { .. })),
            gap: u64::MAX / 16,
        };
        engine.look_ahead();
        Ok(engine)
    }

    /// Finds out which arrival is next, and when.
    fn look_ahead(&mut self) {
        match self.schedule.as_mut().and_then(Iterator::next) {
            Some((number, offset)) => {
                let due = self.began.saturating_add(ns(offset));
                self.gap = (self.gap / 16 * 15).saturating_add(due.saturating_sub(self.due) / 16);
                (self.number, self.due) = (number, due);
            }
            None => self.due = u64::MAX,
        }
    }

    fn run(
        &mut self,
        stop: &CancellationToken,
        live: &mut dyn FnMut(LiveStats, Duration),
    ) -> Result<(), DirectError> {
        let mut events = [EpollEvent::empty(); 256];
        let (mut tick, mut show, mut interval) =
            (self.began + TICK, self.began + SHOW, self.began + INTERVAL);
        self.open_wanted();
        loop {
            let mut now = self.begin_due();
            if now >= tick {
                if self.part.abandon.is_cancelled() {
                    return Ok(());
                }
                let halted = self.recorder.tick(span(self.began, now)).is_some();
                if halted || stop.is_cancelled() {
                    self.end = self.end.min(now);
                }
                self.expire(now);
                self.open_wanted();
                tick = now + TICK;
                if now >= show {
                    live(self.recorder.live(span(self.began, now)), span(self.began, now));
                    show = now + SHOW;
                }
                if now >= interval {
                    self.close_interval(now);
                    // Ends of intervals stay near whole seconds, so that those of several
                    // generators can be laid together.
                    interval = now + INTERVAL - (now - self.began) % INTERVAL;
                }
                now = meter::now();
            }
            // Not before the last arrival was begun: it may have become due just now.
            let all_begun = self.schedule.is_some() && self.due == u64::MAX;
            if self.ended.is_none() && (all_begun || (now >= self.end && self.due >= self.end)) {
                self.ended = Some(now.min(self.end));
                self.due = u64::MAX;
                self.meter.schedule_ended(now);
            }
            if self.ended.is_some() && self.recorder.in_flight() == 0 {
                self.close_interval(now);
                return Ok(());
            }
            let over = if self.ended.is_none() { self.end } else { u64::MAX };
            let next = self.due.max(self.last_begun + together(self.gap)).min(over).min(tick);
            let patience = self.rest(next, now)?;
            let seen = match self.epoll.wait(&mut events, patience) {
                Ok(seen) => seen,
                Err(Errno::EINTR) => continue,
                Err(e) => return Err(e.into()),
            };
            for event in &events[..seen] {
                if event.data() != TIMER {
                    self.happened(event);
                    // A long list of events must not make arrivals late.
                    self.begin_due();
                }
            }
        }
    }

    /// Sleeps until then if that is soon and nothing is lost by looking at answers only then, since
    /// the kernel stamps them; otherwise sets the timer. Returns how long to wait for events.
    fn rest(&mut self, next: u64, now: u64) -> Result<EpollTimeout, DirectError> {
        if next.saturating_sub(now) > LATEST
            || self.opening > 0
            || !self.waiting.is_empty()
            || matches!(self.direct.pace, Pace::FlatOut)
        {
            self.arm(next)?;
            return Ok(EpollTimeout::NONE);
        }
        if next > now {
            let until = TimeSpec::from_duration(Duration::from_nanos(next));
            match clock_nanosleep(
                ClockId::CLOCK_MONOTONIC,
                ClockNanosleepFlags::TIMER_ABSTIME,
                &until,
            ) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(EpollTimeout::ZERO)
    }

    /// Sets the timer, unless it is set so.
    fn arm(&mut self, at: u64) -> Result<(), DirectError> {
        if at != self.armed {
            self.armed = at;
            let at = TimeSpec::from_duration(Duration::from_nanos(at));
            self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        }
        Ok(())
    }

    /// Begins all arrivals that are due. Returns the time.
    fn begin_due(&mut self) -> u64 {
        loop {
            let now = now();
            if self.due > now || self.due >= self.end {
                return now;
            }
            let arrival = Waiting { due: self.due, number: self.number };
            self.look_ahead();
            self.last_begun = now;
            if self.waiting.len() >= self.direct.waiting {
                self.recorder.missed(1);
                continue;
            }
            self.recorder.arrived();
            let slip = span(arrival.due, now);
            self.recorder.began(slip);
            if let Some(interval) = &mut self.interval {
                interval.slip.saturating_record(ns(slip).max(1));
            }
            match self.idle.pop() {
                Some(slot) => self.send(slot, arrival),
                None => {
                    self.waiting.push_back(arrival);
                    self.open_wanted();
                    // One that was opened at once has taken it already.
                    self.waited += u64::from(!self.waiting.is_empty());
                }
            }
        }
    }

    fn open(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Opens connections as long as they are wanted and allowed.
    fn open_wanted(&mut self) {
        loop {
            let wanted = match self.direct.pace {
                Pace::Open { .. } => self.opening < self.waiting.len(),
                Pace::FlatOut => self.ended.is_none(),
            };
            if !wanted || self.open() >= self.direct.connections || !self.open_one() {
                return;
            }
        }
    }

    /// Opens a connection. False if it could not even be tried, or was refused at once.
    fn open_one(&mut self) -> bool {
        let socket = Socket::new(
            Domain::for_address(self.direct.address),
            Type::STREAM.nonblocking().cloexec(),
            Some(Protocol::TCP),
        );
        let connected = socket.and_then(|s| {
            s.set_tcp_nodelay(true)?;
            match s.connect(&self.direct.address.into()) {
                Ok(()) => Ok((s, Phase::Idle)),
                Err(e) if e.raw_os_error() == Some(Errno::EINPROGRESS as i32) => {
                    Ok((s, Phase::Opening))
                }
                Err(e) => Err(e),
            }
        });
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        let place = &mut self.slots[slot];
        let token = u64::from(place.generation) << 32 | slot as u64;
        let flags = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLET;
        let registered = connected.and_then(|(socket, phase)| {
            let stream = TcpStream::from(socket);
            self.ear.attend(&stream)?;
            self.epoll.add(&stream, EpollEvent::new(flags, token))?;
            Ok((stream, phase))
        });
        let (stream, phase) = match registered {
            Ok(ready) => ready,
            Err(e) => {
                self.free.push(slot);
                self.not_opened(&e);
                return false;
            }
        };
        let answer = Answer::new();
        place.connection = Some(Connection {
            stream,
            phase,
            answer,
            due: 0,
            sent: now(),
            unsent: Vec::new(),
            served: 0,
        });
        self.connections.opened += 1;
        self.most = self.most.max(self.open() as u64);
        match phase {
            Phase::Opening => self.opening += 1,
            _ => self.ready(slot),
        }
        true
    }

    /// A connection could not be opened: the first that waits for one is charged with it.
    fn not_opened(&mut self, error: &io::Error) {
        if matches!(self.direct.pace, Pace::FlatOut) {
            let now = now();
            self.recorder.arrived();
            self.recorder.began(Duration::ZERO);
            self.waiting.push_back(Waiting { due: now, number: self.number });
        }
        let Some(first) = self.waiting.pop_front() else { return };
        let (kind, starved) = not_opened(error);
        if starved {
            self.recorder.starved(&error.to_string());
        }
        self.failed(first.due, None, kind);
    }

    /// Records an operation that did not end as wanted, sent at `sent` if at all.
    fn failed(&mut self, due: u64, sent: Option<u64>, kind: &str) {
        self.recorder.kind(kind);
        self.record(due, sent, now(), false);
    }

    fn record(&mut self, due: u64, sent: Option<u64>, ended: u64, as_expected: bool) {
        let ended = Ended {
            at: span(self.began, ended),
            latency: span(due, ended),
            service: sent.map_or(Duration::ZERO, |sent| span(sent, ended)),
            as_expected,
        };
        self.recorder.ended(ended);
        if let Some(interval) = &mut self.interval {
            interval.times.record(&ended);
        }
    }

    /// A connection can take an operation.
    fn ready(&mut self, slot: usize) {
        if let Some(first) = self.waiting.pop_front() {
            return self.send(slot, first);
        }
        if matches!(self.direct.pace, Pace::FlatOut) && self.ended.is_none() {
            let now = now();
            if now < self.end {
                self.recorder.arrived();
                self.recorder.began(Duration::ZERO);
                let number = self.number;
                self.number += self.part.share.numbers().1;
                return self.send(slot, Waiting { due: now, number });
            }
        }
        self.idle.push(slot);
    }

    fn send(&mut self, slot: usize, arrival: Waiting) {
        let Some(connection) = &mut self.slots[slot].connection else { return };
        (connection.phase, connection.due, connection.sent) = (Phase::Busy, arrival.due, now());
        connection.answer.reset();
        let made;
        let bytes = match self.direct.request.constant() {
            Some(bytes) => bytes,
            None => {
                made = self.direct.request.write(arrival.number);
                &made
            }
        };
        match connection.stream.write(bytes) {
            Ok(written) if written == bytes.len() => {}
            Ok(written) => connection.unsent = bytes[written..].to_vec(),
            Err(e) if e.kind() == ErrorKind::WouldBlock => connection.unsent = bytes.to_vec(),
            // It was closed while nobody used it: nothing was sent, another one will do.
            Err(_) if connection.served > 0 => {
                self.close(slot);
                self.waiting.push_front(arrival);
                return self.open_wanted();
            }
            Err(_) => {
                self.close(slot);
                return self.failed(arrival.due, None, "connection closed");
            }
        }
        self.connections.reused += u64::from(connection.served > 0);
        connection.served += 1;
    }

    fn close(&mut self, slot: usize) {
        let place = &mut self.slots[slot];
        let Some(connection) = place.connection.take() else { return };
        place.generation = place.generation.wrapping_add(1);
        match connection.phase {
            Phase::Opening => self.opening -= 1,
            Phase::Idle => self.idle.retain(|i| *i != slot),
            Phase::Busy => {}
        }
        self.free.push(slot);
    }

    /// Something happened on a connection.
    fn happened(&mut self, event: &EpollEvent) {
        let (slot, generation) =
            ((event.data() & u64::from(u32::MAX)) as usize, (event.data() >> 32) as u32);
        let Some(Slot { connection: Some(connection), generation: current }) =
            self.slots.get_mut(slot)
        else {
            return;
        };
        if *current != generation {
            return;
        }
        if connection.phase == Phase::Opening {
            match connection.stream.take_error() {
                Ok(None) if event.events().contains(EpollFlags::EPOLLOUT) => {
                    connection.phase = Phase::Idle;
                    self.opening -= 1;
                    self.ready(slot);
                }
                Ok(None) => {}
                Ok(Some(e)) | Err(e) => {
                    self.close(slot);
                    self.not_opened(&e);
                }
            }
            return;
        }
        if !connection.unsent.is_empty() {
            match connection.stream.write(&connection.unsent) {
                Ok(written) => drop(connection.unsent.drain(..written)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                // What the server said before it closed can still be read.
                Err(_) => connection.unsent.clear(),
            }
        }
        if event.events().intersects(
            EpollFlags::EPOLLIN
                | EpollFlags::EPOLLRDHUP
                | EpollFlags::EPOLLHUP
                | EpollFlags::EPOLLERR,
        ) {
            self.read(slot);
        }
    }

    /// Reads what has come.
    fn read(&mut self, slot: usize) {
        loop {
            let Some(connection) = &mut self.slots[slot].connection else { return };
            let (read, age, progress) = match self.ear.read(&connection.stream) {
                Ok((bytes, age)) if connection.phase == Phase::Busy => {
                    (bytes.len(), age, connection.answer.feed(bytes))
                }
                // The server closes it, or says what nobody asked for.
                Ok(_) => return self.close(slot),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return self.broken(slot, "connection closed"),
            };
            // Not before it was sent, which a clock that was set might say.
            let came = now().saturating_sub(age).max(connection.sent);
            if read == 0 {
                if connection.answer.ends_with_connection() {
                    return self.answered(slot, came, false);
                }
                return self.broken(slot, "connection closed");
            }
            match progress {
                Progress::Malformed(why) => {
                    return self.broken(slot, &format!("malformed answer: {why}"));
                }
                Progress::Whole { used } => return self.answered(slot, came, used == read),
                // A short read has taken all that was there; what comes later is told by another
                // event.
                Progress::More if !self.ear.is_full(read) => return,
                Progress::More => {}
            }
        }
    }

    /// A whole answer has come; the connection may be used again if both sides want that.
    fn answered(&mut self, slot: usize, came: u64, again: bool) {
        let Some(connection) = &mut self.slots[slot].connection else { return };
        let status = connection.answer.status;
        let wanted = self.direct.wanted.map_or((200..400).contains(&status), |w| w == status);
        let (due, sent, keep) = (
            connection.due,
            connection.sent,
            again && connection.answer.keep && connection.unsent.is_empty(),
        );
        connection.phase = Phase::Idle;
        if wanted {
            self.record(due, Some(sent), came, true)
        } else {
            self.recorder.kind(&format!("status {status}"));
            self.record(due, Some(sent), came, false)
        }
        if keep {
            self.ready(slot);
        } else {
            self.close(slot);
            self.open_wanted();
        }
    }

    /// A connection broke while an operation was under way, or while nobody used it.
    fn broken(&mut self, slot: usize, kind: &str) {
        if let Some(Connection { phase: Phase::Busy, due, sent, .. }) = self.slots[slot].connection
        {
            self.failed(due, Some(sent), kind);
        }
        self.close(slot);
        self.open_wanted();
    }

    /// Gives up what took longer than it may.
    fn expire(&mut self, now: u64) {
        let timeout = ns(self.direct.timeout);
        while self.waiting.front().is_some_and(|first| first.due.saturating_add(timeout) <= now) {
            if let Some(first) = self.waiting.pop_front() {
                self.failed(first.due, None, "no connection in time");
            }
        }
        for slot in 0..self.slots.len() {
            match &self.slots[slot].connection {
                Some(c) if c.phase == Phase::Busy && c.due.saturating_add(timeout) <= now => {
                    self.broken(slot, "no answer in time")
                }
                Some(c) if c.phase == Phase::Opening && c.sent.saturating_add(timeout) <= now => {
                    self.close(slot)
                }
                _ => {}
            }
        }
    }

    fn close_interval(&mut self, now: u64) {
        self.meter.interval(now);
        let Some(interval) = &mut self.interval else { return };
        let Interval { from, times, slip } = std::mem::replace(interval, Interval::begin(now));
        let (from, length) = (span(self.began, from), span(from, now));
        if let Some(log) = &self.log {
            log.write(from, length, times.clone());
        }
        if let Some(tallies) = &self.part.tallies {
            let (Times { latency, service }, slip_p99_ms) = (times, self.recorder.slip_ms(0.99));
            let (counts, connections) = (self.recorder.counts(), self.used());
            // Nobody may want it any more.
            let _ = tallies.send(Tally {
                from,
                length,
                latency,
                service,
                slip,
                slip_p99_ms,
                counts,
                connections,
            });
        }
    }

    /// How connections were used so far.
    fn used(&self) -> Connections {
        let limit = self.direct.connections as u64;
        Connections {
            limit: Some(limit),
            most: Some(self.most),
            waited: Some(self.waited),
            ..self.connections
        }
    }

    fn summary(&self) -> LoadSummary {
        let mut summary = self.recorder.summary(span(self.began, self.ended.unwrap_or_else(now)));
        self.meter.state(
            &mut summary,
            &self.recorder,
            matches!(self.direct.pace, Pace::Open { .. }),
        );
        summary.connections = Some(self.used());
        summary
    }
}
