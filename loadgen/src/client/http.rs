//! An HTTP client with pooled connections.

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, Uri};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;

/// Most of an answer that is kept. What comes after it is read and dropped.
const KEPT: usize = 256 * 1024;
/// Idle connections kept open. More would be paid for by the server as well.
const IDLE: usize = 64;

/// A client. Cloning it shares the connections.
#[derive(Debug, Clone)]
pub struct Http {
    client: legacy::Client<Counted, Full<Bytes>>,
    opened: Arc<AtomicU64>,
}

/// Counts the connections that are opened.
#[derive(Debug, Clone)]
struct Counted {
    connector: HttpConnector,
    opened: Arc<AtomicU64>,
}

impl Service<Uri> for Counted {
    type Response = <HttpConnector as Service<Uri>>::Response;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = <HttpConnector as Service<Uri>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.connector.call(to)
    }
}

/// One request.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: Method,
    /// Where it goes.
    pub origin: SocketAddr,
    /// Path and query, beginning with `/`.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A whole answer.
    Whole {
        status: u16,
        /// Its body, at most 256 KiB of it.
        body: Bytes,
    },
    /// Nothing was sent: the connection was refused, or closed before the request could go out.
    NotSent(String),
    /// Nothing was sent for want of descriptors, ports or memory on this side.
    Starved(String),
    /// It was sent, or may have been, and no whole answer came.
    Lost {
        /// The status, if at least that came.
        status: Option<u16>,
        /// What happened instead.
        error: String,
    },
}

impl Http {
    /// A client. Nothing is connected yet.
    pub fn new() -> Http {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let opened = Arc::new(AtomicU64::new(0));
        let client = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .pool_max_idle_per_host(IDLE)
            .http1_max_buf_size(64 * 1024)
            .build(Counted { connector, opened: Arc::clone(&opened) });
        Http { client, opened }
    }

    /// Connections that were begun so far.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Sends a request and reads the answer, without a deadline of its own: dropping the future
    /// gives the request up and closes its connection.
    pub async fn call(&self, call: Call) -> Answer {
        let address = format!("http://{}{}", call.origin, call.path);
        let request = Request::builder().method(call.method).uri(address);
        let mut request = match request.body(Full::new(call.body)) {
            Ok(request) => request,
            Err(e) => return Answer::NotSent(format!("the request can't be written: {e}")),
        };
        *request.headers_mut() = call.headers;
        let response = match self.client.request(request).await {
            Ok(response) => response,
            Err(e) => return failed(&e),
        };
        let status = response.status().as_u16();
        let (mut body, mut kept) = (response.into_body(), BytesMut::new());
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => {
                    if let Some(data) = frame.data_ref() {
                        kept.extend_from_slice(&data[..data.len().min(KEPT - kept.len())]);
                    }
                }
                Err(e) => {
                    return Answer::Lost {
                        status: Some(status),
                        error: format!("the answer broke off: {}", chain(&e)),
                    };
                }
            }
        }
        Answer::Whole { status, body: kept.freeze() }
    }
}

impl Default for Http {
    fn default() -> Http {
        Http::new()
    }
}

/// What a failed request means: only one that surely never left was not sent.
fn failed(error: &legacy::Error) -> Answer {
    let mut source = error.source();
    let mut never_left = error.is_connect();
    while let Some(e) = source {
        if let Some(io) =
            e.downcast_ref::<std::io::Error>().filter(|io| never_left && super::is_want_of_room(io))
        {
            return Answer::Starved(io.to_string());
        }
        if e.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled) {
            never_left = true;
        }
        source = e.source();
    }
    if never_left {
        Answer::NotSent(chain(error))
    } else {
        Answer::Lost { status: None, error: chain(error) }
    }
}

/// An error with its causes, each said once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(e) = source {
        let cause = e.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = e.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn call(origin: SocketAddr) -> Call {
        let mut headers = HeaderMap::new();
        headers.insert("x-operation-id", "00ff".parse().expect("a value"));
        Call { method: Method::GET, origin, path: "/api".into(), headers, body: Bytes::new() }
    }

    /// A server that reads one request and then does `then`; returns the client's answer and the
    /// request.
    async fn served<F: Future<Output = ()>>(
        then: impl FnOnce(tokio::net::TcpStream) -> F,
    ) -> (Answer, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let call = call(listener.local_addr().expect("address"));
        let http = Http::new();
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("accept");
            let mut seen = Vec::new();
            while !seen.windows(4).any(|w| w == b"\r\n\r\n") {
                let mut buffer = [0; 1024];
                let n = stream.read(&mut buffer).await.expect("read");
                assert!(n > 0, "a request was wanted");
                seen.extend_from_slice(&buffer[..n]);
            }
            then(stream).await;
            String::from_utf8(seen).expect("text")
        };
        tokio::join!(http.call(call), server)
    }

    #[tokio::test]
    async fn a_whole_answer_is_one() {
        let (answer, request) = served(async |mut s| {
            s.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok")
                .await
                .expect("write")
        })
        .await;
        assert_eq!(answer, Answer::Whole { status: 202, body: Bytes::from("ok") });
        let request = request.to_ascii_lowercase();
        assert!(
            request.starts_with("get /api http/1.1\r\n")
                && request.contains("\r\nx-operation-id: 00ff\r\n"),
            "{request}"
        );
    }

    #[tokio::test]
    async fn a_reset_after_the_request_leaves_the_outcome_open() {
        let (answer, _) = served(async |s| s.set_zero_linger().expect("linger")).await;
        assert!(matches!(answer, Answer::Lost { status: None, .. }), "{answer:?}");
    }

    #[tokio::test]
    async fn a_connection_closed_after_the_request_leaves_the_outcome_open() {
        let (answer, _) = served(async |s| drop(s)).await;
        assert!(matches!(answer, Answer::Lost { status: None, .. }), "{answer:?}");
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_leaves_the_outcome_open() {
        let (answer, _) = served(async |mut s| {
            s.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhalf").await.expect("write")
        })
        .await;
        assert!(matches!(answer, Answer::Lost { status: Some(200), .. }), "{answer:?}");
    }

    #[tokio::test]
    async fn a_refused_connection_sent_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let call = call(listener.local_addr().expect("address"));
        drop(listener);
        let answer = Http::new().call(call).await;
        assert!(matches!(&answer, Answer::NotSent(e) if e.contains("refused")), "{answer:?}");
    }

    #[tokio::test]
    async fn more_than_is_kept_is_read_and_dropped() {
        let long = vec![b'x'; 2 * KEPT];
        let (answer, _) = served(async |mut s| {
            s.write_all(
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", long.len()).as_bytes(),
            )
            .await
            .expect("write");
            s.write_all(&long).await.expect("write");
        })
        .await;
        assert!(matches!(&answer, Answer::Whole { status: 200, body } if body.len() == KEPT));
    }

    #[tokio::test]
    async fn connections_are_used_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let (http, call) = (Http::new(), call(listener.local_addr().expect("address")));
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accept");
            let mut buffer = [0; 4096];
            for _ in 0..3 {
                assert!(stream.read(&mut buffer).await.expect("read") > 0);
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("write");
            }
        });
        for _ in 0..3 {
            assert_eq!(
                http.call(call.clone()).await,
                Answer::Whole { status: 204, body: Bytes::new() }
            );
        }
        assert_eq!(http.opened(), 1);
        server.await.expect("one connection served all three");
    }
}
