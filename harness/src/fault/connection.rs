//! Connections between two services as a fault sees them: from within the client's network
//! namespace, so that neither container needs a tool.

use super::{FaultError, Scene, Settings};
use crate::engine::namespace;
use crate::process::failure::UserError;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// From one service to a port of another.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Client service, in whose namespace the fault acts.
    pub from: String,
    pub to: String,
    pub port: u16,
}

impl Connection {
    /// Reads the setting `to`, written `service:port`, and refuses unknown settings.
    pub fn parse(
        kind: &'static str,
        from: &str,
        settings: &Settings,
        also: &[&str],
    ) -> Result<Connection, FaultError> {
        super::only(kind, settings, &[&["to"], also].concat())?;
        let wrong = |what: String| FaultError::Settings {
            what,
            hint: "write `to: \"service:port\"`, for example `to: \"postgres:5432\"`".into(),
        };
        let to = settings
            .get("to")
            .ok_or_else(|| wrong(format!("fault {kind} lacks the setting `to`")))?;
        let (service, port) =
            to.rsplit_once(':').ok_or_else(|| wrong(format!("fault {kind}: `to` is {to:?}")))?;
        let port =
            port.parse().map_err(|_| wrong(format!("fault {kind}: {port:?} is not a port")))?;
        Ok(Connection { from: from.into(), to: service.into(), port })
    }

    /// Arguments of `iptables` that match this connection's packets in the client's namespace,
    /// `action` being `-I` or `-D`. The comment marks the rule as this run's.
    pub fn rule(&self, action: &str, server: IpAddr, run: &str, jump: &[String]) -> Vec<String> {
        let (server, port, comment) =
            (server.to_string(), self.port.to_string(), format!("firedrill {run}"));
        let head = [
            action,
            "OUTPUT",
            "-p",
            "tcp",
            "-d",
            &server,
            "--dport",
            &port,
            "-m",
            "comment",
            "--comment",
            &comment,
            "-j",
        ];
        head.iter().map(|s| (*s).to_owned()).chain(jump.iter().cloned()).collect()
    }

    /// Puts a rule for this connection first in the client's namespace.
    pub async fn filter(
        &self,
        scene: &Scene<'_>,
        kind: &'static str,
        server: Option<IpAddr>,
        jump: &[String],
    ) -> Result<(), FaultError> {
        let server = server.ok_or_else(|| scene.failed(kind, &self.from, "it was not prepared"))?;
        let client = scene.container(&self.from).await?;
        let rule = self.rule("-I", server, scene.run, jump);
        let said = namespace::run(client.pid, "iptables", &[vec!["-w".to_owned()], rule].concat())
            .await
            .map_err(|e| scene.failed(kind, &self.from, e.advice()))?;
        if said.ok { Ok(()) } else { Err(scene.failed(kind, &self.from, said.stderr.trim())) }
    }

    /// How long a connection takes without the fault, the fastest of `tries`; or why there is none,
    /// in words.
    pub async fn usual(
        &self,
        scene: &Scene<'_>,
        tries: u32,
    ) -> Result<Result<Duration, String>, FaultError> {
        let mut fastest = Err("it was not tried".to_owned());
        for _ in 0..tries {
            let took =
                self.attempt(scene, Duration::from_secs(2)).await?.map_err(|e| e.to_string());
            fastest = match (fastest, took) {
                (Ok(known), Ok(took)) => Ok(took.min(known)),
                (Ok(known), Err(_)) => Ok(known),
                (Err(_), took) => took,
            };
        }
        Ok(fastest)
    }

    /// Nothing is disturbed where nothing worked: a port that nobody uses, a connection that
    /// another fault has cut already.
    pub fn worked<'a>(
        &self,
        scene: &Scene<'_>,
        kind: &'static str,
        usual: &'a Result<Duration, String>,
    ) -> Result<&'a Duration, FaultError> {
        usual.as_ref().map_err(|why| {
            scene.failed(
                kind,
                &self.from,
                format!(
                    "nothing to disturb: a connection {self} failed before the fault already: {why}"
                ),
            )
        })
    }

    /// Tries to connect from the client's namespace. The outer error is ours, the inner result is
    /// what the client would see.
    pub async fn attempt(
        &self,
        scene: &Scene<'_>,
        limit: Duration,
    ) -> Result<Result<Duration, io::Error>, FaultError> {
        self.attempt_in(scene, &self.from, limit).await
    }

    /// Whether the server accepts connections at all, asked from its own namespace, where the fault
    /// does not act.
    pub async fn accepted_at_server(&self, scene: &Scene<'_>) -> Result<bool, FaultError> {
        Ok(self.attempt_in(scene, &self.to, Duration::from_secs(2)).await?.is_ok())
    }

    async fn attempt_in(
        &self,
        scene: &Scene<'_>,
        service: &str,
        limit: Duration,
    ) -> Result<Result<Duration, io::Error>, FaultError> {
        let place = scene.container(service).await?;
        let server = SocketAddr::new(scene.address(&self.to).await?, self.port);
        let tried = namespace::within(place.pid, move || {
            let began = Instant::now();
            TcpStream::connect_timeout(&server, limit).map(|_| began.elapsed())
        });
        tried.await.map_err(|e| scene.failed("connection", service, e.advice()))
    }
}

impl std::fmt::Display for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "from {} to {}:{}", self.from, self.to, self.port)
    }
}
