//! PostgreSQL as faults use it: as a client within the server's network namespace, as the user that
//! the container was made with. Who that is, is read from the server's own environment
//! (`POSTGRES_USER`, `POSTGRES_PASSWORD`, `POSTGRES_DB`, as the official image names them), so that
//! no password is written anywhere.

use super::{FaultError, Remains, Scene};
use crate::engine::namespace;
use crate::process::failure::UserError;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;
use std::error::Error as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;
use tokio_postgres::{Client, Config, NoTls};

/// Longest time that a question of a fault may take.
const BOUND: Duration = Duration::from_secs(10);

/// How to reach the server whose first process is `pid`, from within its network namespace.
///
/// # Errors
/// The process is gone or belongs to somebody else.
pub fn config(pid: i32, port: u16, name: &str) -> io::Result<Config> {
    let environment = std::fs::read(format!("/proc/{pid}/environ"))?;
    let set = |name: &str| {
        let value = environment
            .split(|byte| *byte == 0)
            .find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
        value
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .filter(|value| !value.is_empty())
    };
    let user = set("POSTGRES_USER").unwrap_or_else(|| "postgres".into());
    let mut config = Config::new();
    config
        .hostaddr(Ipv4Addr::LOCALHOST.into())
        .host("localhost")
        .port(port)
        .connect_timeout(BOUND / 2)
        .application_name(name);
    config.dbname(set("POSTGRES_DB").unwrap_or_else(|| user.clone())).user(user);
    let written = || {
        let path = set("POSTGRES_PASSWORD_FILE")?;
        std::fs::read_to_string(format!("/proc/{pid}/root{path}"))
            .ok()
            .map(|text| text.trim_end().to_owned())
    };
    if let Some(password) = set("POSTGRES_PASSWORD").or_else(written) {
        config.password(password);
    }
    Ok(config)
}

/// A session with the server whose first process is `pid`; it ends when the client is dropped.
///
/// # Errors
/// Nothing answers there, or the server refuses, in words.
pub async fn connect(pid: i32, port: u16, name: &str) -> Result<Client, String> {
    let config = config(pid, port, name)
        .map_err(|e| format!("who may log in can't be read from its environment: {e}"))?;
    let dial = move || {
        TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), BOUND / 2)
    };
    let stream = namespace::within(pid, dial).await.map_err(|e| e.advice().to_string())?;
    let prepared = stream
        .and_then(|stream| stream.set_nonblocking(true).map(|()| stream))
        .and_then(tokio::net::TcpStream::from_std);
    let stream = prepared.map_err(|e| format!("port {port}: {e}"))?;
    let session = tokio::time::timeout(BOUND, config.connect_raw(stream, NoTls)).await;
    let (client, connection) =
        session.map_err(|_| "no session within 10 s".to_owned())?.map_err(|e| describe(&e))?;
    tokio::spawn(connection);
    Ok(client)
}

/// Asks for one value, as text; `None` if there is no row, or it is null.
///
/// # Errors
/// The server refuses or does not answer within 10 s.
pub async fn value(client: &Client, statement: &str) -> Result<Option<String>, String> {
    let answered = tokio::time::timeout(BOUND, client.simple_query(statement)).await;
    let messages =
        answered.map_err(|_| "no answer within 10 s".to_owned())?.map_err(|e| describe(&e))?;
    Ok(messages.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}

/// What undoes a fault by a statement that may be run again: `port` and `statement`, as [`undo`]
/// reads them.
pub fn state(port: u16, statement: &str) -> Value {
    serde_json::json!({ "port": port, "statement": statement })
}

/// Runs the statement that a fault wrote down to be undone by.
pub fn undo(remains: Option<Remains>, state: Value) -> BoxFuture<'static, Result<(), String>> {
    #[derive(Deserialize)]
    struct Stated {
        port: u16,
        statement: String,
    }
    Box::pin(async move {
        let Stated { port, statement } =
            serde_json::from_value(state).map_err(|e| e.to_string())?;
        match remains {
            Some(Remains { pid: Some(pid), .. }) => {
                value(&connect(pid, port, "firedrill").await?, &statement).await.map(drop)
            }
            Some(Remains { name, .. }) => {
                Err(format!("container {name} does not run, so `{statement}` can't be run in it"))
            }
            None => Ok(()),
        }
    })
}

/// A service's server, for the questions of one fault.
#[derive(Debug, Clone)]
pub struct Server {
    /// Kind of the fault.
    pub kind: &'static str,
    pub target: String,
    /// Its port within its network.
    pub port: u16,
}

impl Server {
    /// A session.
    ///
    /// # Errors
    /// The service does not run, or the server refuses.
    pub async fn connect(&self, scene: &Scene<'_>) -> Result<Client, FaultError> {
        let container = scene.container(&self.target).await?;
        connect(container.pid, self.port, "firedrill")
            .await
            .map_err(|seen| scene.failed(self.kind, &self.target, seen))
    }

    /// Asks for one number.
    ///
    /// # Errors
    /// As above, or the answer is none.
    pub async fn number(
        &self,
        scene: &Scene<'_>,
        client: &Client,
        statement: &str,
    ) -> Result<i64, FaultError> {
        let answer = value(client, statement)
            .await
            .map_err(|seen| scene.failed(self.kind, &self.target, seen))?;
        let wrong = || {
            scene.failed(
                self.kind,
                &self.target,
                format!("`{statement}` gave {answer:?}, wanted a number"),
            )
        };
        answer.as_deref().and_then(|text| text.parse().ok()).ok_or_else(wrong)
    }

    /// Asks for one text.
    ///
    /// # Errors
    /// As above, or the answer is none.
    pub async fn text(
        &self,
        scene: &Scene<'_>,
        client: &Client,
        statement: &str,
    ) -> Result<String, FaultError> {
        let answer = value(client, statement)
            .await
            .map_err(|seen| scene.failed(self.kind, &self.target, seen))?;
        answer.ok_or_else(|| {
            scene.failed(self.kind, &self.target, format!("`{statement}` gave nothing"))
        })
    }
}

/// Words of the server, which are the error's cause.
pub fn describe(error: &tokio_postgres::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
