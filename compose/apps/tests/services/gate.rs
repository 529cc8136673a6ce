//! A gate in front of a real server: what passes through it can be slowed down, held back or cut off at any time.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the gate treats connections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Everything passes.
    Open,
    /// Everything passes, each piece this much later: a round trip takes twice that.
    Slow(Duration),
    /// Connections are accepted and stay; nothing passes, in either direction, until another mode is set.
    Silent,
    /// Connections are cut, new ones are refused.
    Closed,
}

/// The gate; gone with its handle.
pub struct Gate {
    pub port: u16,
    mode: watch::Sender<Mode>,
}

impl Gate {
    pub async fn before(server: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (mode, modes) = watch::channel(Mode::Open);
        tokio::spawn(keep(Some(listener), address, server, modes));
        Ok(Self { port: address.port(), mode })
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn keep(mut listener: Option<TcpListener>, own: SocketAddr, server: SocketAddr, mut modes: watch::Receiver<Mode>) {
    loop {
        let closed = *modes.borrow_and_update() == Mode::Closed;
        match (&listener, closed) {
            (Some(_), true) => listener = None,
            (None, false) => listener = TcpListener::bind(own).await.ok(),
            _ => {}
        }
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = accepted => if let Ok((client, _)) = accepted {
                tokio::spawn(join(client, server, modes.clone()));
            },
            changed = modes.changed() => if changed.is_err() { return },
        }
    }
}

async fn join(client: TcpStream, server: SocketAddr, mut modes: watch::Receiver<Mode>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    // A cut is a reset, as from a host that knows nothing of the connection.
    let _ = (client.set_zero_linger(), server.set_zero_linger(), client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let (one, other) = (modes.clone(), modes.clone());
    let passing = async {
        tokio::select! {
            () = pass(from_client, to_server, one) => {}
            () = pass(from_server, to_client, other) => {}
        }
    };
    tokio::select! {
        () = passing => {}
        _ = modes.wait_for(|mode| *mode == Mode::Closed) => {}
    }
}

async fn pass(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, mut modes: watch::Receiver<Mode>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        let mode = match modes.wait_for(|mode| *mode != Mode::Silent).await {
            Ok(mode) => *mode,
            Err(_) => return,
        };
        if let Mode::Slow(delay) = mode {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
