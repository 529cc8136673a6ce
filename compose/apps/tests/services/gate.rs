//! A gate in front of a real server: what passes through it can be slowed down, held back or cut
//! off at any time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the gate treats connections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    Open,
    /// Everything passes, each piece this much later: a round trip takes twice that.
    Slow(Duration),
    /// Connections are accepted and stay; nothing passes, in either direction, until another mode
    /// is set.
    Silent,
    /// Connections are cut, new ones are refused.
    Closed,
}

/// The gate; gone with its handle.
pub struct Gate {
    pub port: u16,
    mode: watch::Sender<Mode>,
    listening: Arc<AtomicBool>,
}

impl Gate {
    pub async fn before(server: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (mode, modes) = watch::channel(Mode::Open);
        let listening = Arc::new(AtomicBool::new(true));
        tokio::spawn(keep(Some(listener), address, server, modes, listening.clone()));
        Ok(Self { port: address.port(), mode, listening })
    }

    /// Returns once it is so: nobody gets through any more who asks afterwards.
    pub async fn set(&self, mode: Mode) {
        let closed = mode == Mode::Closed;
        self.mode.send_replace(mode);
        // Each connection looks at the mode as well.
        while self.listening.load(Ordering::SeqCst) == closed
            || (closed && self.mode.receiver_count() > 1)
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn keep(
    mut listener: Option<TcpListener>,
    own: SocketAddr,
    server: SocketAddr,
    mut modes: watch::Receiver<Mode>,
    listening: Arc<AtomicBool>,
) {
    loop {
        let closed = *modes.borrow_and_update() == Mode::Closed;
        match (&listener, closed) {
            (Some(_), true) => listener = None,
            (None, false) => match TcpListener::bind(own).await {
                Ok(again) => listener = Some(again),
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
            _ => {}
        }
        listening.store(listener.is_some(), Ordering::SeqCst);
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
    let _ = (
        client.set_zero_linger(),
        server.set_zero_linger(),
        client.set_nodelay(true),
        server.set_nodelay(true),
    );
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
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

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut modes: watch::Receiver<Mode>,
) {
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
