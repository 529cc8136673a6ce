//! HTTP/1.1 and HTTP/2.

use super::dial::Dial;
use super::{Client, Failed, Operation, Unopened};
use crate::client::http::chain;
use crate::direct::Request;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Response, Uri, header};
use hyper_util::rt::{TokioIo, TokioTimer};

/// Which HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One operation at a time over a connection.
    One,
    /// This many at once; agreed on by TLS, or, without TLS, taken for granted.
    Two {
        /// At least 1.
        streams: usize,
    },
}

/// Requests.
#[derive(Debug, Clone)]
pub struct Web {
    dial: Dial,
    request: Request,
    version: Version,
    wanted: Option<u16>,
}

impl Web {
    /// Sends these requests. The status that is wanted is this one; without it any from 200 to 399.
    pub fn new(dial: Dial, request: Request, version: Version, wanted: Option<u16>) -> Web {
        Web { dial: speaking(dial, version), request, version, wanted }
    }
}

/// A dial that agrees on the version where both sides can.
pub(super) fn speaking(mut dial: Dial, version: Version) -> Dial {
    let protocol: &[u8] = if version == Version::One { b"http/1.1" } else { b"h2" };
    dial.tls = dial.tls.map(|tls| tls.speaking(protocol));
    dial
}

/// Runs a connection's own tasks on this thread.
#[derive(Debug, Clone, Copy)]
pub(super) struct HereAndNow;

impl<F: Future + 'static> hyper::rt::Executor<F> for HereAndNow {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(async move { drop(task.await) });
    }
}

/// Opens a connection for HTTP/1.1.
pub(super) async fn one<B>(dial: &Dial) -> Result<http1::SendRequest<B>, Unopened>
where
    B: Body + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let io = TokioIo::new(dial.open().await?);
    let (sender, connection) = http1::handshake(io).await.map_err(refused)?;
    tokio::task::spawn_local(async move { drop(connection.await) });
    Ok(sender)
}

/// Opens one for HTTP/2.
pub(super) async fn two<B>(dial: &Dial) -> Result<http2::SendRequest<B>, Unopened>
where
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let io = TokioIo::new(dial.open().await?);
    let mut builder = http2::Builder::new(HereAndNow);
    builder.timer(TokioTimer::new());
    let (mut sender, connection) = builder.handshake(io).await.map_err(refused)?;
    tokio::task::spawn_local(async move { drop(connection.await) });
    sender.ready().await.map_err(refused)?;
    Ok(sender)
}

fn refused(error: hyper::Error) -> Unopened {
    Unopened::new("connection not opened", chain(&error))
}

/// What a request that failed means.
pub(super) fn broken(error: &hyper::Error) -> Failed {
    match error {
        e if e.is_canceled() || e.is_closed() => Failed::Unsent,
        e if e.is_incomplete_message() => Failed::Broken("connection closed".into()),
        e if e.is_parse() => Failed::Broken("malformed answer".into()),
        _ => Failed::Broken("answer broke off".into()),
    }
}

/// Reads the rest of an answer and judges its status.
pub(super) async fn answered(
    response: Response<Incoming>,
    wanted: Option<u16>,
) -> Result<(), Failed> {
    let status = response.status().as_u16();
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame.map_err(|_| Failed::Broken("answer broke off".into()))?;
    }
    let as_wanted = wanted.map_or((200..400).contains(&status), |w| w == status);
    if as_wanted { Ok(()) } else { Err(Failed::Refused(format!("status {status}"))) }
}

/// A connection, or a place on one.
pub(super) enum Lane {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Client for Web {
    type Lane = Lane;

    async fn connect(&self) -> Result<Vec<Lane>, Unopened> {
        match self.version {
            Version::One => Ok(vec![Lane::One(one(&self.dial).await?)]),
            Version::Two { streams } => {
                let sender = two(&self.dial).await?;
                Ok((0..streams).map(|_| Lane::Two(sender.clone())).collect())
            }
        }
    }

    async fn operate(&self, lane: &mut Lane, operation: &mut Operation) -> Result<(), Failed> {
        let request = self
            .request(operation.number)
            .map_err(|e| Failed::Refused(format!("request can't be written: {e}")))?;
        let response = match lane {
            Lane::One(sender) => {
                sender.ready().await.map_err(|_| Failed::Unsent)?;
                sender.send_request(request).await
            }
            Lane::Two(sender) => {
                sender.ready().await.map_err(|_| Failed::Unsent)?;
                sender.send_request(request).await
            }
        };
        answered(response.map_err(|e| broken(&e))?, self.wanted).await
    }

    fn lanes(&self) -> usize {
        match self.version {
            Version::One => 1,
            Version::Two { streams } => streams,
        }
    }

    fn outlives_silence(&self) -> bool {
        self.version != Version::One
    }

    fn is_usable(&self, lane: &Lane) -> bool {
        match lane {
            Lane::One(sender) => !sender.is_closed(),
            Lane::Two(sender) => !sender.is_closed(),
        }
    }

    fn place(&self) -> String {
        self.dial.address.to_string()
    }
}

impl Web {
    fn request(&self, number: u64) -> Result<hyper::Request<Full<Bytes>>, hyper::http::Error> {
        let path = self.request.path(number);
        let builder = hyper::Request::builder().method(self.request.method());
        let mut builder = match self.version {
            Version::One => builder.uri(path).header(header::HOST, self.request.host()),
            Version::Two { .. } => {
                let scheme = if self.dial.tls.is_some() { "https" } else { "http" };
                builder.uri(
                    Uri::builder()
                        .scheme(scheme)
                        .authority(self.request.host())
                        .path_and_query(path)
                        .build()?,
                )
            }
        };
        for (name, value) in self.request.headers(number) {
            builder = builder.header(name, value);
        }
        builder.body(
            self.request
                .body(number)
                .map_or_else(Full::default, |body| Full::new(Bytes::from(body))),
        )
    }
}
