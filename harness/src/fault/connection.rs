//! Connections between two services as a fault sees them: from within the client's network namespace, so that neither
//! container needs a tool.

use super::{FaultError, Scene, Settings};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// From one service to a port of another.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Client service, in whose namespace the fault acts.
    pub from: String,
    /// Server service.
    pub to: String,
    /// Its port.
    pub port: u16,
}

impl Connection {
    /// Reads the setting `to`, written `service:port`, and refuses unknown settings.
    pub fn parse(kind: &'static str, from: &str, settings: &Settings, also: &[&str]) -> Result<Connection, FaultError> {
        super::only(kind, settings, &[&["to"], also].concat())?;
        let wrong = |what: String| FaultError::Settings { what, hint: "write `to: \"service:port\"`, for example `to: \"postgres:5432\"`".into() };
        let to = settings.get("to").ok_or_else(|| wrong(format!("fault {kind} lacks the setting `to`")))?;
        let (service, port) = to.rsplit_once(':').ok_or_else(|| wrong(format!("fault {kind}: `to` is {to:?}")))?;
        let port = port.parse().map_err(|_| wrong(format!("fault {kind}: {port:?} is not a port")))?;
        Ok(Connection { from: from.into(), to: service.into(), port })
    }

    /// Arguments of `iptables` that match this connection's packets in the client's namespace, `action` being `-I` or `-D`. The
    /// comment marks the rule as this run's.
    pub fn rule(&self, action: &str, server: IpAddr, run: &str, jump: &[&str]) -> Vec<String> {
        let (server, port, comment) = (server.to_string(), self.port.to_string(), format!("firedrill {run}"));
        let head = [action, "OUTPUT", "-p", "tcp", "-d", &server, "--dport", &port, "-m", "comment", "--comment", &comment, "-j"];
        head.iter().chain(jump).map(|s| (*s).to_owned()).collect()
    }

    /// Puts a rule for this connection first in the client's namespace.
    pub async fn filter(&self, scene: &Scene<'_>, kind: &'static str, server: Option<IpAddr>, jump: &[&str]) -> Result<(), FaultError> {
        let server = server.ok_or_else(|| scene.failed(kind, &self.from, "it was not prepared"))?;
        let client = scene.container(&self.from).await?;
        let rule = self.rule("-I", server, scene.run, jump);
        iptables(client.pid, rule).await.map_err(|e| scene.failed(kind, &self.from, e))
    }

    /// Tries to connect from the client's namespace. The outer error is ours, the inner result is what the client would see.
    pub async fn attempt(&self, scene: &Scene<'_>, limit: Duration) -> Result<Result<Duration, io::Error>, FaultError> {
        let client = scene.container(&self.from).await?;
        let server = SocketAddr::new(scene.address(&self.to).await?, self.port);
        let failed = |what: String| FaultError::Failed { kind: "connection", target: self.from.clone(), what };
        inside(client.pid, move || {
            let began = Instant::now();
            TcpStream::connect_timeout(&server, limit).map(|_| began.elapsed())
        })
        .await
        .map_err(|e| failed(format!("its network namespace can't be entered: {e}")))
    }
}

impl std::fmt::Display for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "from {} to {}:{}", self.from, self.to, self.port)
    }
}

/// Runs `work` on a thread of its own that has entered the network namespace of process `pid`. Only that thread moves; what it
/// spawns is there too.
///
/// # Errors
/// The namespace can't be entered: the process is gone, or rights are missing.
pub async fn inside<T: Send + 'static>(pid: i32, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (send, receive) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("namespace".into()).spawn(move || {
        let entered = File::open(format!("/proc/{pid}/ns/net")).and_then(|ns| setns(&ns, CloneFlags::CLONE_NEWNET).map_err(io::Error::from));
        let _ = send.send(entered.map(|()| work()));
    })?;
    receive.await.map_err(|_| io::Error::other("the thread in the namespace ended early"))?
}

/// Runs the host's `iptables` in the network namespace of process `pid`.
///
/// # Errors
/// It can't be run, or refuses; the error has its own words.
pub async fn iptables(pid: i32, arguments: Vec<String>) -> io::Result<()> {
    let output = inside(pid, move || std::process::Command::new("iptables").arg("-w").args(arguments).output()).await??;
    if output.status.success() { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())) }
}
