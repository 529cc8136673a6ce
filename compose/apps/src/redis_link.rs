//! Redis: one multiplexed connection that is kept up, watched and replaced in the background.
//!
//! A caller gets the connection that is there; while there is none it waits for the attempt under
//! way, and no longer. A connection counts as lost when a command on it fails or is not answered in
//! time; idle ones are pinged, so that a Redis which went and came back has a new connection before
//! the next request wants one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue,
    IntoConnectionInfo, Pipeline, RedisError,
};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::dependency::Dependency;
use crate::dial::{PEER_TIMEOUT, keepalive, lookup};
use crate::log::Log;

/// How long making a connection may take. Short, since each attempt asks anew at its start and a
/// second later.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a command may wait for its answer.
pub const ANSWER: Duration = Duration::from_secs(3);
/// How long a refused connection is left alone.
const AGAIN: Duration = Duration::from_millis(200);
/// How often an idle connection is pinged.
const PING: Duration = Duration::from_millis(500);
/// A process that was frozen finds its timers run out before it has read what came meanwhile: it
/// looks once more.
const SECOND_LOOK: Duration = Duration::from_millis(300);
/// Commands that may wait for answers at once.
const AT_ONCE: usize = 1_024;

/// Where Redis is.
#[derive(Clone, Debug, Args)]
pub struct RedisOptions {
    /// Redis, as redis://host:port/database
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_parser = parse_url)]
    pub redis_url: ConnectionInfo,
    /// List that tasks are pushed to
    #[arg(long, env = "QUEUE", default_value = "celery")]
    pub queue: String,
}

fn parse_url(url: &str) -> Result<ConnectionInfo, String> {
    let wanted = "it wants redis://[user:password@]host[:6379][/database]";
    let info = url.into_connection_info().map_err(|error| format!("{error}; {wanted}"))?;
    match info.addr() {
        ConnectionAddr::Tcp(..) => Ok(info),
        _ => Err(format!("neither TLS nor Unix sockets are spoken; {wanted}")),
    }
}

/// Redis could not do what it was asked to.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RedisFailure {
    /// It is not there, or did not answer in time. Whether the command was carried out is unknown.
    #[error("redis unavailable: {0}")]
    Unavailable(String),
    /// It answered with an error.
    #[error("redis refused: {0}")]
    Refused(String),
}

#[derive(Clone)]
enum State {
    Up { connection: MultiplexedConnection, generation: u64 },
    Down { attempts: u64, error: Arc<str> },
}

/// The connection. Clones share it.
#[derive(Clone)]
pub struct RedisLink {
    shared: Arc<Shared>,
}

struct Shared {
    state: watch::Sender<State>,
    /// The generation that was found lost.
    lost: AtomicU64,
    wake: Notify,
    dependency: Dependency,
    /// Commands that block on purpose must not be pinged behind.
    pinged: bool,
    name: &'static str,
    info: ConnectionInfo,
}

impl std::fmt::Debug for RedisLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisLink").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl RedisLink {
    /// Starts to connect, in the background, for ever. `name` tells connections apart in log lines.
    pub fn start(options: &RedisOptions, name: &'static str, log: Log) -> Self {
        Self::start_with(options, name, log, true)
    }

    /// A connection for commands that block, such as BRPOP: only its user notices that it is lost.
    pub fn start_blocking(options: &RedisOptions, name: &'static str, log: Log) -> Self {
        Self::start_with(options, name, log, false)
    }

    fn start_with(options: &RedisOptions, name: &'static str, log: Log, pinged: bool) -> Self {
        let shared = Arc::new(Shared {
            state: watch::Sender::new(State::Down {
                attempts: 0,
                error: "not connected yet".into(),
            }),
            lost: AtomicU64::new(0),
            wake: Notify::new(),
            dependency: Dependency::new(name, log),
            pinged,
            name,
            info: options.redis_url.clone(),
        });
        tokio::spawn(shared.clone().keep_up());
        Self { shared }
    }

    /// One command.
    pub async fn ask<T: FromRedisValue>(
        &self,
        command: &Cmd,
        limit: Duration,
    ) -> Result<T, RedisFailure> {
        self.within(limit, async |mut connection| command.query_async(&mut connection).await).await
    }

    /// Several commands; as one transaction when the pipeline says so.
    pub async fn ask_all<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
        limit: Duration,
    ) -> Result<T, RedisFailure> {
        self.within(limit, async |mut connection| pipeline.query_async(&mut connection).await).await
    }

    /// Whether it answers.
    pub async fn ping(&self, limit: Duration) -> Result<(), String> {
        self.ask::<String>(&redis::cmd("PING"), limit)
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }

    async fn within<T>(
        &self,
        limit: Duration,
        work: impl AsyncFnOnce(MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, RedisFailure> {
        let deadline = Instant::now() + limit;
        let (connection, generation) = timeout_at(deadline, self.connection())
            .await
            .unwrap_or_else(|_| Err(format!("no connection within {} s", limit.as_secs_f64())))
            .map_err(RedisFailure::Unavailable)?;
        let mut work = std::pin::pin!(work(connection));
        let mut outcome = timeout_at(deadline, &mut work).await;
        if outcome.is_err() && limit >= ANSWER {
            outcome = timeout(SECOND_LOOK, work).await;
        }
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) if answered(&error) => Err(RedisFailure::Refused(error.to_string())),
            Ok(Err(error)) => {
                self.lose(generation, &error.to_string());
                Err(RedisFailure::Unavailable(error.to_string()))
            }
            Err(_) => {
                let error = format!("no answer within {} s", limit.as_secs_f64());
                // Someone in a hurry does not condemn a connection that is merely slow.
                if limit >= ANSWER {
                    self.lose(generation, &error);
                }
                Err(RedisFailure::Unavailable(error))
            }
        }
    }

    /// The connection that is there, or the outcome of the attempt under way.
    async fn connection(&self) -> Result<(MultiplexedConnection, u64), String> {
        let mut states = self.shared.state.subscribe();
        let mut seen = None;
        loop {
            match &*states.borrow_and_update() {
                State::Up { connection, generation }
                    if self.shared.lost.load(Ordering::Acquire) < *generation =>
                {
                    return Ok((connection.clone(), *generation));
                }
                State::Up { .. } => {}
                State::Down { attempts, error } => match seen {
                    Some(before) if *attempts > before => return Err(error.to_string()),
                    Some(_) => {}
                    None => seen = Some(*attempts),
                },
            }
            if states.changed().await.is_err() {
                return Err("stopped".into());
            }
        }
    }

    fn lose(&self, generation: u64, error: &str) {
        if self.shared.lost.fetch_max(generation, Ordering::AcqRel) < generation {
            self.shared.dependency.down(error);
            self.shared.wake.notify_one();
        }
    }
}

/// The server has answered, if only with an error, and the connection is as good as before.
fn answered(error: &RedisError) -> bool {
    let server = matches!(error.kind(), redis::ErrorKind::Server(_) | redis::ErrorKind::Extension);
    let busy = matches!(error.code(), Some("LOADING" | "MASTERDOWN"));
    server && !busy && !error.is_io_error() && !error.is_connection_dropped() && !error.is_timeout()
}

impl Shared {
    async fn keep_up(self: Arc<Self>) {
        let (mut attempts, mut generation) = (0, 0);
        loop {
            match timeout(CONNECT, self.connect()).await {
                Ok(Ok(connection)) => {
                    generation += 1;
                    self.dependency.up();
                    self.state
                        .send_replace(State::Up { connection: connection.clone(), generation });
                    let error = self.until_lost(connection, generation).await;
                    self.state.send_replace(State::Down { attempts, error: error.into() });
                }
                outcome => {
                    attempts += 1;
                    let error = match outcome {
                        Ok(Err(error)) => error.to_string(),
                        _ => format!("no connection within {} s", CONNECT.as_secs()),
                    };
                    self.dependency.down(&error);
                    self.state.send_replace(State::Down { attempts, error: error.into() });
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let tcp = redis::io::tcp::TcpSettings::default()
            .set_nodelay(true)
            .set_keepalive(keepalive())
            .set_user_timeout(PEER_TIMEOUT);
        let info = self.info.clone().set_tcp_settings(tcp);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(None)
            .set_concurrency_limit(AT_ONCE)
            .set_dns_resolver(Resolver);
        Client::open(info)?.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Returns why the connection is of no more use.
    async fn until_lost(&self, mut connection: MultiplexedConnection, generation: u64) -> String {
        loop {
            let woken = timeout(PING, self.wake.notified()).await.is_ok();
            if self.lost.load(Ordering::Acquire) >= generation {
                return "connection lost".into();
            }
            if woken || !self.pinged {
                continue;
            }
            let ping = redis::cmd("PING");
            let error =
                match timeout(ANSWER, ping.query_async::<redis::Value>(&mut connection)).await {
                    Ok(Ok(_)) => continue,
                    Ok(Err(error)) if answered(&error) => continue,
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => format!("no answer within {} s", ANSWER.as_secs()),
                };
            self.lost.fetch_max(generation, Ordering::AcqRel);
            self.dependency.down(&error);
            return error;
        }
    }
}

/// Lookups shared with everything else.
struct Resolver;

impl redis::io::AsyncDNSResolver for Resolver {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        host: &'b str,
        port: u16,
    ) -> redis::RedisFuture<'a, Box<dyn Iterator<Item = std::net::SocketAddr> + Send + 'a>> {
        Box::pin(async move {
            let address = lookup(host, CONNECT).await?;
            let addresses: Box<dyn Iterator<Item = std::net::SocketAddr> + Send> =
                Box::new(std::iter::once(std::net::SocketAddr::new(address, port)));
            Ok(addresses)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_url_is_tcp() {
        assert!(parse_url("redis://redis:6379/0").is_ok());
        assert!(parse_url("redis://redis").is_ok());
        for url in ["", "redis", "http://redis", "unix:///run/redis.sock"] {
            assert!(parse_url(url).unwrap_err().contains("redis://"), "{url:?}");
        }
    }

    #[tokio::test]
    async fn a_redis_that_is_not_there_is_unavailable_at_once() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let options = RedisOptions {
            redis_url: parse_url(&format!("redis://127.0.0.1:{port}")).unwrap(),
            queue: "celery".into(),
        };
        let link = RedisLink::start(&options, "redis", Log::open("test", None).unwrap());
        let started = std::time::Instant::now();
        assert!(link.ping(ANSWER).await.is_err());
        assert!(started.elapsed() < Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_redis_that_accepts_and_says_nothing_is_given_up() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let options = RedisOptions {
            redis_url: parse_url(&format!("redis://127.0.0.1:{port}")).unwrap(),
            queue: "celery".into(),
        };
        let link = RedisLink::start(&options, "redis", Log::open("test", None).unwrap());
        let started = std::time::Instant::now();
        assert!(link.ping(ANSWER).await.is_err());
        assert!(started.elapsed() < ANSWER + Duration::from_millis(500));
        drop(listener);
    }
}
