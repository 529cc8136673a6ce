//! Sessions with a server, held by a helper of ours within the server's network namespace: many
//! idle ones (`hold_connections`), or one that says something, once or again and again
//! (`lock_table`, `long_statement`, `slow_commands`). They end with the helper, and what they held
//! in the server ends with them.

use super::helper::{self, Orders};
use super::resp::Resp;
use super::{FaultError, Scene};
use crate::journal::Undo;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io;
use std::str::FromStr;
use std::time::Duration;
use tokio_postgres::{Client, NoTls};

/// How often the number of sessions is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Pause after a server refused a session.
const AGAIN: Duration = Duration::from_millis(300);

/// Servers that can be spoken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Postgresql,
    Redis,
}

impl FromStr for Protocol {
    type Err = String;
    fn from_str(text: &str) -> Result<Protocol, String> {
        match text {
            "postgresql" => Ok(Protocol::Postgresql),
            "redis" => Ok(Protocol::Redis),
            _ => Err(format!(
                "{text:?} is no protocol that sessions are held in; these are postgresql, redis"
            )),
        }
    }
}

impl Protocol {
    /// As settings write it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Postgresql => "postgresql",
            Protocol::Redis => "redis",
        }
    }

    /// Its usual port.
    pub fn port(self) -> u16 {
        match self {
            Protocol::Postgresql => 5432,
            Protocol::Redis => 6379,
        }
    }
}

/// What a helper does with its sessions.
#[derive(Debug, Clone)]
pub enum Task {
    /// Holds as many as bring the server to this number of sessions of clients.
    UpTo(u32),
    /// Says this in one session (a statement; for Redis the parts of a command), and holds it; says
    /// it again after each pause.
    Say(Vec<String>, Option<Duration>),
}

/// Sessions to hold.
#[derive(Debug, Clone)]
pub struct Sessions {
    /// First process of the server's container.
    pub pid: i32,
    pub protocol: Protocol,
    pub port: u16,
    /// Name by which the server knows them.
    pub name: String,
    pub task: Task,
}

/// The name of a fault's sessions in a run.
pub fn name(kind: &str, run: &str) -> String {
    format!("firedrill-{kind}-{run}")
}

/// A helper that waits to be told to begin.
#[derive(Debug, Clone, Copy, Default)]
pub struct Helper {
    pid: i32,
}

impl Helper {
    /// Starts it; what undoes its work is its end.
    ///
    /// # Errors
    /// It can't be started.
    pub async fn start(
        scene: &Scene<'_>,
        kind: &'static str,
        target: &str,
        sessions: Sessions,
    ) -> Result<(Helper, Undo), FaultError> {
        let mut arguments = vec!["hold-sessions".to_owned()];
        let mut say = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        say("--pid", sessions.pid.to_string());
        say("--protocol", sessions.protocol.name().into());
        say("--port", sessions.port.to_string());
        say("--name", sessions.name);
        match sessions.task {
            Task::UpTo(most) => say("--up-to", most.to_string()),
            Task::Say(words, pause) => {
                words.into_iter().for_each(|word| say("--say", word));
                if let Some(pause) = pause {
                    say("--pause-ms", pause.as_millis().to_string());
                }
            }
        }
        let undo = helper::start(&arguments).await.map_err(|e| scene.failed(kind, target, e))?;
        let pid = if let Undo::EndHelper { pid, .. } = undo { pid } else { 0 };
        Ok((Helper { pid }, undo))
    }

    /// Tells it to begin.
    ///
    /// # Errors
    /// It is gone.
    pub fn begin(
        self,
        scene: &Scene<'_>,
        kind: &'static str,
        target: &str,
    ) -> Result<(), FaultError> {
        helper::begin(self.pid)
            .map_err(|e| scene.failed(kind, target, format!("its helper {}: {e}", self.pid)))
    }

    /// An error if it has ended by itself.
    ///
    /// # Errors
    /// It has ended.
    pub fn lives(
        self,
        scene: &Scene<'_>,
        kind: &'static str,
        target: &str,
    ) -> Result<(), FaultError> {
        match std::fs::metadata(format!("/proc/{}", self.pid)) {
            Ok(_) => Ok(()),
            Err(_) => Err(scene.failed(
                kind,
                target,
                "its helper has ended by itself: the server refuses what it asks for",
            )),
        }
    }
}

/// The helper's work: enters the server's network namespace, waits for SIGUSR1, then holds its
/// sessions until it is ended. Prints `ready` when it waits.
///
/// # Errors
/// The namespace can't be entered, or the server refuses what is said.
pub fn hold(sessions: &Sessions) -> io::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let orders = Orders::awaited()?;
    // Each session is a file.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let config = match sessions.protocol {
        Protocol::Postgresql => {
            Some(super::postgres::config(sessions.pid, sessions.port, &sessions.name)?)
        }
        Protocol::Redis => None,
    };
    setns(File::open(format!("/proc/{}/ns/net", sessions.pid))?, CloneFlags::CLONE_NEWNET)?;
    println!("ready");
    orders.wait()?;
    match config {
        Some(config) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(hold_postgres(&config, &sessions.task))
        }
        None => hold_redis(sessions),
    }
}

async fn hold_postgres(config: &tokio_postgres::Config, task: &Task) -> io::Result<()> {
    let words = |e: tokio_postgres::Error| io::Error::other(super::postgres::describe(&e));
    let connect = async || {
        let (client, connection) = config.connect(NoTls).await.map_err(words)?;
        tokio::spawn(connection);
        Ok::<Client, io::Error>(client)
    };
    match task {
        Task::Say(words_said, pause) => {
            let statement = words_said.concat();
            let client = connect().await?;
            loop {
                client.simple_query(&statement).await.map_err(words)?;
                match pause {
                    Some(pause) => tokio::time::sleep(*pause).await,
                    None => std::future::pending().await,
                }
            }
        }
        Task::UpTo(most) => {
            let mut held: Vec<Client> = vec![connect().await?];
            loop {
                held.retain(|client| !client.is_closed());
                let Some(first) = held.first() else {
                    tokio::time::sleep(AGAIN).await;
                    held.extend(connect().await);
                    continue;
                };
                let counted = super::postgres::value(first, CLIENT_BACKENDS)
                    .await
                    .map_err(io::Error::other)?;
                let there = counted.and_then(|text| text.parse().ok()).unwrap_or(*most);
                resize(&mut held, there, *most, connect).await;
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

/// Sessions of clients, as PostgreSQL counts them against `max_connections`.
pub const CLIENT_BACKENDS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";

/// Opens sessions until there are enough, or closes those that are too many, so that others find
/// the room that is left.
async fn resize(
    held: &mut Vec<Client>,
    there: u32,
    wanted: u32,
    connect: impl AsyncFn() -> io::Result<Client>,
) {
    for _ in there..wanted {
        match connect().await {
            Ok(client) => held.push(client),
            // It is full for now; the next look decides.
            Err(_) => return tokio::time::sleep(AGAIN).await,
        }
    }
    held.truncate(held.len().saturating_sub(there.saturating_sub(wanted) as usize).max(1));
}

fn hold_redis(sessions: &Sessions) -> io::Result<()> {
    let connect = || {
        let mut client = Resp::connect(sessions.port)?;
        client.command(&[b"CLIENT", b"SETNAME", sessions.name.as_bytes()])?;
        Ok::<Resp, io::Error>(client)
    };
    let mut first = connect()?;
    match &sessions.task {
        Task::Say(words, pause) => {
            let parts: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            loop {
                first.command(&parts)?;
                std::thread::sleep(pause.unwrap_or(Duration::MAX));
            }
        }
        Task::UpTo(most) => {
            let mut held: Vec<Resp> = Vec::new();
            loop {
                let there = first.info("connected_clients")? as u32;
                for _ in there..*most {
                    held.push(connect()?);
                }
                held.truncate(held.len().saturating_sub(there.saturating_sub(*most) as usize));
                std::thread::sleep(LOOK);
            }
        }
    }
}
