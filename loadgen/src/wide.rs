//! Drives one place over any protocol, in open loop, on one thread: HTTP/1.1 over TLS, HTTP/2,
//! SMTP, IMAP, OTLP and log lines. Plain HTTP/1.1 has a cheaper way of its own ([`crate::direct`]);
//! pacing, recorder and what a summary says are the same.
//!
//! An arrival takes a free connection, or opens one, or waits for the first that becomes free; its
//! latency counts from its intended start whatever it waited for. Over HTTP/2 a connection takes
//! several operations at once.

mod dial;
mod engine;
mod http;
mod imap;
mod lines;
mod otlp;
mod pool;
mod smtp;
mod timer;

use crate::advice::Advised;
use crate::clock::RunClock;
use crate::direct::interval_log::IntervalLog;
use crate::direct::{Pace, Watch};
use crate::recorder::Ended;
use crate::windows::Windows;
pub use dial::{Dial, Tls, TlsError};
use engine::Engine;
pub use http::{Version, Web};
pub use imap::Mailbox;
pub use lines::{Line, Sink};
pub use otlp::{Traces, Transport};
pub use smtp::{Mailing, Security, Writer};
use std::io;
use std::time::{Duration, SystemTime};
use thiserror::Error;
use tokio::time::Instant;
use verdict::history::load::LoadSummary;

/// A load of one place.
#[derive(Debug, Clone)]
pub struct Wide {
    /// What is spoken, to whom, and what an operation consists of.
    pub protocol: Protocol,
    /// When operations are begun.
    pub pace: Pace,
    /// How long arrivals go on; without it until the schedule ends or the load is stopped.
    pub duration: Option<Duration>,
    /// Most connections at once, at least 1.
    pub connections: usize,
    /// Most arrivals that may wait for a connection; what arrives beyond it is missed.
    pub waiting: usize,
    /// How long an operation may take from its intended start, at most
    /// [`crate::direct::LONGEST_TIMEOUT`].
    pub timeout: Duration,
    /// 99th percentile of slip beyond which the load can't be relied on.
    pub slip_limit: Duration,
    /// How its course is watched, and what stops it.
    pub windows: Windows,
    /// Seed of the schedule.
    pub seed: u64,
}

/// What an operation is.
#[derive(Debug, Clone)]
pub enum Protocol {
    /// One request over HTTP.
    Http(Web),
    Smtp(Mailing),
    /// A mailbox selected and searched, and one message read.
    Imap(Mailbox),
    Otlp(Traces),
    /// One log line.
    Lines(Line),
}

/// Why a load could not be driven.
#[derive(Debug, Error)]
pub enum WideError {
    /// No connection can be opened.
    #[error("{place} can't be driven: {why}")]
    Unreachable { place: String, why: String },
    /// The system refuses.
    #[error("the load can't be driven: {0}")]
    System(#[from] io::Error),
    /// The log can't be written.
    #[error("the interval log can't be written: {0}")]
    Log(io::Error),
}

impl Advised for WideError {
    fn hint(&self) -> Option<String> {
        match self {
            WideError::Unreachable { .. } => Some(
                "start the server, name the port that it listens on, or see that it accepts what was asked for"
                    .into(),
            ),
            WideError::Log(_) => Some("name another file with --hdr-log".into()),
            WideError::System(_) => None,
        }
    }
}

/// Drives a load to its end. All of it runs on the thread that polls this, which should be one of
/// its own ([`crate::on_own_thread`]): what that thread needs is part of what is measured.
///
/// # Errors
/// The first connection can't be opened, the system refuses what is needed, or the log can't be
/// written.
pub async fn drive(wide: &Wide, watch: Watch<'_>) -> Result<LoadSummary, WideError> {
    crate::open_loop::raise_file_limit();
    let driven = async {
        match &wide.protocol {
            Protocol::Http(client) => driven(wide, client.clone(), watch).await,
            Protocol::Smtp(client) => driven(wide, client.clone(), watch).await,
            Protocol::Imap(client) => driven(wide, client.clone(), watch).await,
            Protocol::Otlp(client) => driven(wide, client.clone(), watch).await,
            Protocol::Lines(client) => driven(wide, client.clone(), watch).await,
        }
    };
    tokio::task::LocalSet::new().run_until(driven).await
}

async fn driven<C: Client>(
    wide: &Wide,
    client: C,
    watch: Watch<'_>,
) -> Result<LoadSummary, WideError> {
    // The first connection tells whether anybody is there; it is closed again, so that the load
    // begins with none.
    let patience = wide.timeout.clamp(Duration::from_millis(1), Duration::from_secs(5));
    let opened = tokio::time::timeout(patience, client.connect()).await;
    let lanes = match opened {
        Ok(Ok(lanes)) => lanes,
        Ok(Err(e)) => return Err(WideError::Unreachable { place: client.place(), why: e.why }),
        Err(_) => {
            return Err(WideError::Unreachable {
                place: client.place(),
                why: format!("no answer within {} s", patience.as_secs_f64()),
            });
        }
    };
    for lane in lanes {
        client.close(lane).await;
    }
    let wall = (watch.wall)();
    let log = watch.log.map(|file| IntervalLog::begin(file, wall));
    let wall_at_start_us =
        wall.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64);
    let clock = RunClock { start: std::time::Instant::now(), wall_at_start_us };
    let (summary, log) = Engine::new(wide, client, clock, log)?.run(watch.stop, watch.live).await?;
    log.map_or(Ok(()), IntervalLog::end).map_err(WideError::Log)?;
    Ok(summary)
}

/// A protocol: opens connections and carries out operations over them.
trait Client: 'static {
    /// What one operation at a time goes over: a connection, or one of several places on it.
    type Lane: 'static;

    /// Opens a connection, with everything that is done once for it. Returns [`Client::lanes`]
    /// lanes.
    async fn connect(&self) -> Result<Vec<Self::Lane>, Unopened>;

    /// Carries out the operation of an arrival.
    async fn operate(&self, lane: &mut Self::Lane, operation: &mut Operation)
    -> Result<(), Failed>;

    /// How many operations a connection takes at once.
    fn lanes(&self) -> usize {
        1
    }

    /// Whether a connection goes on when an operation over it is given up.
    fn outlives_silence(&self) -> bool {
        false
    }

    /// Whether nothing is known against a lane that nobody used for a while.
    fn is_usable(&self, _lane: &Self::Lane) -> bool {
        true
    }

    /// Takes leave, as far as anybody listens.
    async fn close(&self, _lane: Self::Lane) {}

    /// Where it goes, for people.
    fn place(&self) -> String;
}

/// A connection that could not be opened.
#[derive(Debug)]
struct Unopened {
    /// One of few kinds.
    kind: String,
    why: String,
    /// Whether this machine had no room for it.
    starved: bool,
}

impl Unopened {
    /// One that was opened and could not be used.
    fn new(kind: impl Into<String>, why: impl Into<String>) -> Unopened {
        Unopened { kind: kind.into(), why: why.into(), starved: false }
    }
}

impl From<io::Error> for Unopened {
    fn from(error: io::Error) -> Unopened {
        let (kind, starved) = crate::client::not_opened(&error);
        Unopened { kind: kind.into(), why: error.to_string(), starved }
    }
}

/// How an operation went wrong. Kinds are few.
#[derive(Debug, PartialEq, Eq)]
enum Failed {
    /// It was refused, or answered otherwise than wanted. Its connection goes on.
    Refused(String),
    /// Its connection is of no use any more.
    Broken(String),
    /// The connection had been closed while nobody used it: nothing was sent.
    Unsent,
}

/// An operation that is under way.
#[derive(Debug)]
struct Operation {
    /// Its arrival's number, from 0.
    number: u64,
    clock: RunClock,
    began: Instant,
    /// From when the next step counts.
    due: Instant,
    under_way: Option<(&'static str, Instant)>,
    steps: Vec<(&'static str, Ended)>,
}

impl Operation {
    fn new(number: u64, clock: RunClock, began: Instant, due: Instant) -> Operation {
        Operation { number, clock, began, due, under_way: None, steps: Vec::new() }
    }

    /// The wall clock, as the load knows it.
    fn now(&self) -> SystemTime {
        let wall = self.clock.at(Instant::now()).wall_us;
        SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(wall).unwrap_or(0))
    }

    /// Carries out a part of the operation that is told of its own.
    async fn step<T, E>(
        &mut self,
        name: &'static str,
        part: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.under_way = Some((name, Instant::now()));
        let result = part.await;
        self.step_ended(result.is_ok());
        result
    }

    /// The step under way ended, or was given up.
    fn step_ended(&mut self, as_expected: bool) {
        let Some((name, started)) = self.under_way.take() else { return };
        let now = Instant::now();
        let ended = Ended {
            at: now - self.began,
            latency: now.saturating_duration_since(self.due),
            service: now - started,
            as_expected,
        };
        self.steps.push((name, ended));
        self.due = now;
    }
}
