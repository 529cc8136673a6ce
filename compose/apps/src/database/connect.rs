//! How connections to PostgreSQL are made: dialled by us, so that lookups, connecting and silent
//! peers are bounded.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use deadpool_postgres::Connect;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, Error, NoTls};

use crate::dial::dial;

/// Makes connections for the pool.
pub(super) struct Dialler;

impl Connect for Dialler {
    fn connect(
        &self,
        config: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        let config = config.clone();
        Box::pin(async move { connect(&config, super::CONNECT).await })
    }
}

/// A connection outside the pool; closed when dropped.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) client: Client,
    task: JoinHandle<()>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Makes a connection outside the pool.
pub(super) async fn hold(config: &Config, limit: Duration) -> Result<Held, Error> {
    let (client, task) = connect(config, limit).await?;
    Ok(Held { client, task })
}

async fn connect(config: &Config, limit: Duration) -> Result<(Client, JoinHandle<()>), Error> {
    let host = match config.get_hosts() {
        [Host::Tcp(host), ..] => host.as_str(),
        // Refused when the settings were read.
        _ => "",
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let stream = match dial(host, port, limit).await {
        Ok(stream) => Dialled::Stream(stream),
        Err(error) => Dialled::Failed(Some(error)),
    };
    let (client, connection) = config.connect_raw(stream, NoTls).await?;
    let task = tokio::spawn(async move {
        // Its error is reported to whoever waits for an answer.
        let _ = connection.await;
    });
    Ok((client, task))
}

/// What dialling came to. The client library makes its own errors only, so a failure is told to it
/// by the first I/O.
enum Dialled {
    Stream(TcpStream),
    Failed(Option<io::Error>),
}

impl Dialled {
    fn failure(error: &mut Option<io::Error>) -> io::Error {
        error.take().unwrap_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Dialled {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Stream(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Failed(error) => Poll::Ready(Err(Self::failure(error))),
        }
    }
}

impl AsyncWrite for Dialled {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Stream(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Failed(error) => Poll::Ready(Err(Self::failure(error))),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Stream(stream) => Pin::new(stream).poll_flush(cx),
            Self::Failed(error) => Poll::Ready(Err(Self::failure(error))),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Stream(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Failed(_) => Poll::Ready(Ok(())),
        }
    }
}
