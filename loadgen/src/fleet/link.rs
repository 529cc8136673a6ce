//! What coordinator and worker say to each other: JSON in frames of four bytes of length and
//! content, over TCP.
//!
//! The worker speaks first (`Hello`), so that whoever connects sees what it is. The coordinator
//! answers with its own and a proof that it knows the token, the worker proves the same; only then
//! is anything else heard. The traffic itself is not secret.

use super::job::Job;
use crate::advice::Advice;
use crate::direct::Tally;
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_util::codec::{Framed, LengthDelimitedCodec, LengthDelimitedCodecError};
use verdict::history::load::LoadSummary;

/// Version of what is said. Either side refuses another one.
pub const VERSION: u32 = 2;
/// What a worker calls itself.
pub(super) const NAME: &str = "firedrill worker";
/// Longest frame from somebody who has proved nothing yet, bytes.
const OF_STRANGERS: usize = 1024;
/// Longest frame, bytes: a recording of five million arrivals, or a feed of this size.
const LONGEST: usize = 64 << 20;
/// Whoever is not heard of for this long is gone.
pub(super) const SILENCE: Duration = Duration::from_secs(10);
/// How often each side says something while a load is driven.
pub(super) const BEAT: Duration = Duration::from_secs(1);

/// What a coordinator says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(super) enum ToWorker {
    /// Who it is, with a random word of its own and a proof that it knows the token.
    Hello { version: u32, word: String, proof: String },
    /// Read your clock.
    Ping,
    /// This is to be done.
    Prepare { job: Box<Job> },
    /// Do it, from this instant of the worker's clock on, ns.
    Go { at: i64 },
    /// Begin nothing more.
    Stop,
}

/// What a worker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(super) enum ToCoordinator {
    /// Who it is, with a random word of its own.
    Hello { name: String, version: u32, word: String },
    /// The coordinator is accepted; a proof that the worker knows the token too.
    Welcome { proof: String },
    /// It will not do that.
    Refused { refusal: Refusal },
    /// What its clock shows, ns.
    Pong { clock: i64 },
    /// All is ready for the job.
    Ready,
    /// What it measured within an interval.
    Measured { tally: Box<Tally> },
    /// Its part is driven to the end.
    Ended { summary: Box<LoadSummary>, late_ns: u64 },
    /// Its part can't be driven on.
    Failed { why: String },
}

/// Why a worker refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The coordinator speaks another version; the one that is wanted.
    Version(u32),
    /// The coordinator does not know the token.
    Token,
    /// Another coordinator is being served.
    Busy,
    /// The worker must not drive that target; why, and what to do.
    Target(Advice),
    /// Nobody answers at the target; what was seen, and what to do.
    Unreachable(Advice),
    /// That can't be done, or is said at the wrong time.
    Request(Advice),
}

/// Why nothing more is heard.
#[derive(Debug, Error)]
pub(super) enum LinkError {
    #[error("the connection was closed")]
    Closed,
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("nothing was heard for {} s", .0.as_secs_f64())]
    Silent(Duration),
    #[error("what was said can't be understood: {0}")]
    Foreign(String),
}

/// One side of a conversation.
#[derive(Debug)]
pub(super) struct Link(Framed<TcpStream, LengthDelimitedCodec>);

impl Link {
    pub fn new(stream: TcpStream) -> Result<Link, LinkError> {
        stream.set_nodelay(true)?;
        Ok(Link(LengthDelimitedCodec::builder().max_frame_length(OF_STRANGERS).new_framed(stream)))
    }

    /// The other side has proved who it is: it may say more at once.
    pub fn trust(&mut self) {
        self.0.codec_mut().set_max_frame_length(LONGEST);
    }

    pub async fn say(&mut self, what: &impl Serialize) -> Result<(), LinkError> {
        let text = serde_json::to_vec(what).map_err(|e| LinkError::Foreign(e.to_string()))?;
        let sent = tokio::time::timeout(SILENCE, self.0.send(Bytes::from(text))).await;
        sent.map_err(|_| LinkError::Silent(SILENCE))?.map_err(broken)
    }

    /// The next thing that is said, if it comes within this time.
    pub async fn hear<T: DeserializeOwned>(&mut self, within: Duration) -> Result<T, LinkError> {
        self.hear_until(Instant::now() + within, within).await
    }

    /// The same, until this instant; `silent` is how long nothing was heard then. May be dropped
    /// and asked again: nothing is lost.
    pub async fn hear_until<T: DeserializeOwned>(
        &mut self,
        until: Instant,
        silent: Duration,
    ) -> Result<T, LinkError> {
        match timeout_at(until, self.0.next()).await {
            Err(_) => Err(LinkError::Silent(silent)),
            Ok(None) => Err(LinkError::Closed),
            Ok(Some(Err(e))) => Err(broken(e)),
            Ok(Some(Ok(frame))) => {
                serde_json::from_slice(&frame).map_err(|e| LinkError::Foreign(e.to_string()))
            }
        }
    }
}

fn broken(e: io::Error) -> LinkError {
    match e.kind() {
        _ if e.get_ref().is_some_and(|inner| inner.is::<LengthDelimitedCodecError>()) => {
            LinkError::Foreign("a frame longer than any of ours".into())
        }
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => LinkError::Closed,
        _ => LinkError::Broken(e),
    }
}
