//! PostgreSQL: a pool whose every wait is bounded, connections that are given up when they are in
//! doubt, the schema.
//!
//! As with SQLAlchemy's `pool_pre_ping`, a connection is tried before it is used, and all work is
//! done in transactions: one operation is four or five round trips.

mod connect;
mod emails;
mod lab;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType,
    Timeouts,
};
use opentelemetry::Context;
use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use crate::dependency::Dependency;
use crate::log::{Level, Line, Log};
use crate::metrics::Sampled;
use crate::settings::small_count;
use crate::trace::{Span, SpanKind, Tracer};

pub use emails::{NewEmail, Outcome, SCHEMA as MAIL_SCHEMA};
pub use lab::{NewSample, NewTemplate, SCHEMA as LAB_SCHEMA, Stored};

/// How long an operation waits for a connection, and a statement for its end.
pub const WAIT: Duration = Duration::from_secs(5);
/// How long a new connection may take to be dialled.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a new connection may take to be made, with its handshake of several round trips.
const MAKE: Duration = Duration::from_secs(5);
/// How long a pooled connection may take to prove that it lives.
const PROVE: Duration = Duration::from_millis(2_500);
/// How often what could not be had at the start is tried again.
const AGAIN: Duration = Duration::from_millis(300);

/// Where the database is.
#[derive(Clone, Debug, Args)]
pub struct DatabaseOptions {
    /// PostgreSQL, as postgres://user:password@host:port/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_parser = parse_url)]
    pub database_url: tokio_postgres::Config,
    /// Connections of the pool
    #[arg(long, env = "DB_POOL_SIZE", default_value = "10", value_parser = small_count)]
    pub db_pool_size: usize,
}

fn parse_url(url: &str) -> Result<tokio_postgres::Config, String> {
    let wanted = "it wants postgres://user:password@host:5432/database with one TCP host";
    let config: tokio_postgres::Config =
        url.parse().map_err(|error| format!("{}; {wanted}", describe(&error)))?;
    match config.get_hosts() {
        [tokio_postgres::config::Host::Tcp(_)] => Ok(config),
        hosts => Err(format!("{} hosts or a Unix socket; {wanted}", hosts.len())),
    }
}

/// The database could not do what it was asked to.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It is not there, not ready, overloaded, or did not answer in time: worth another try later.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// It answered that this can't be done.
    #[error("database refused: {0}")]
    Refused(String),
}

/// The pool. Clones share it.
#[derive(Clone, Debug)]
pub struct Database {
    pool: Pool,
    size: usize,
    /// As many as the pool holds: taken before a connection is looked for or made, so that places
    /// in use say how busy the pool is also while the server lets everybody wait.
    places: Arc<Semaphore>,
    tracer: Tracer,
    dependency: Arc<Dependency>,
    schema: Arc<Schema>,
    probe: Arc<Probe>,
}

/// A parameter of a statement, with its type.
type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// Whether the tables are there, as far as this process knows.
#[derive(Debug, Default)]
struct Schema {
    ready: AtomicBool,
    wanted: Notify,
}

/// A connection apart from the pool for questions about health, so that they ask for the server,
/// not for the load.
#[derive(Debug)]
struct Probe {
    config: tokio_postgres::Config,
    connection: Mutex<Option<connect::Held>>,
}

impl Database {
    /// Makes the pool; connects to nothing yet.
    pub fn new(options: &DatabaseOptions, application: &str, tracer: Tracer, log: Log) -> Self {
        let mut config = options.database_url.clone();
        let own = config.get_options().unwrap_or_default();
        let limits = format!(
            "{own} -c statement_timeout={wait} -c idle_in_transaction_session_timeout={idle}",
            wait = WAIT.as_millis(),
            idle = 2 * WAIT.as_millis(),
        );
        config.options(limits.trim()).application_name(application);
        let manager = Manager::from_connect(
            config.clone(),
            connect::Dialler,
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let timeouts = Timeouts { wait: Some(WAIT), create: Some(MAKE), recycle: Some(PROVE) };
        let mut builder = Pool::builder(manager).max_size(options.db_pool_size).timeouts(timeouts);
        builder = builder.runtime(Runtime::Tokio1);
        // Building fails only when timeouts are set without a runtime; an unbounded pool would be
        // the lesser evil.
        let pool =
            builder.build().unwrap_or_else(|error| unreachable!("a pool with a runtime: {error}"));
        Self {
            pool,
            size: options.db_pool_size,
            places: Arc::new(Semaphore::new(options.db_pool_size)),
            tracer,
            dependency: Arc::new(Dependency::new("postgresql", log)),
            schema: Arc::default(),
            probe: Arc::new(Probe { config, connection: Mutex::new(None) }),
        }
    }

    /// Keeps a schema there: creates it at the start, and again when a table was found missing.
    /// Runs for ever.
    pub async fn keep_schema(self, statements: &'static str, log: Log) {
        let mut told = false;
        loop {
            match self.create_schema(statements).await {
                Ok(()) => {
                    self.schema.ready.store(true, Ordering::Release);
                    log.write(Line::new("startup", "database schema is there"));
                    told = false;
                    self.schema.wanted.notified().await;
                    self.schema.ready.store(false, Ordering::Release);
                }
                Err(error) => {
                    if !told {
                        let line = Line::new(
                            "startup",
                            "database schema can't be created yet; trying until it can",
                        );
                        log.write(line.failed(Level::Warning, error.to_string()));
                        told = true;
                    }
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// For services that only use the schema: it is the other's to create.
    pub fn expect_schema(&self) {
        self.schema.ready.store(true, Ordering::Release);
    }

    async fn create_schema(&self, statements: &str) -> Result<(), DatabaseError> {
        let mut lease = self.lease().await?;
        let result = within(lease.client().batch_execute(statements)).await;
        self.settle(lease, result)
    }

    /// Asks the server whether it answers, beside the pool.
    pub async fn ping(&self, limit: Duration) -> Result<(), String> {
        let asked = async {
            let mut slot = self.probe.connection.lock().await;
            // Taken out: whatever cuts this short drops the connection with it.
            let held = match slot.take().filter(|held| !held.client.is_closed()) {
                Some(held) => held,
                None => connect::hold(&self.probe.config, limit)
                    .await
                    .map_err(|error| describe(&error))?,
            };
            held.client.simple_query("SELECT 1").await.map_err(|error| describe(&error))?;
            *slot = Some(held);
            Ok(())
        };
        timeout(limit, asked)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", limit.as_secs_f64())))
    }

    /// Gauges of the pool, asked at each scrape.
    pub fn gauges(&self) -> [Sampled; 2] {
        let (size, places) = (self.size, self.places.clone());
        [
            Sampled::gauge(
                "db_pool_size",
                "Connections that the database pool may hold",
                move || size as f64,
            ),
            Sampled::gauge("db_pool_in_use", "Places of the database pool in use", move || {
                (size - places.available_permits()) as f64
            }),
        ]
    }

    /// A connection that has just proved to live. Waits for a free one at most [`WAIT`], for proof
    /// at most [`PROVE`], for a new one at most [`MAKE`].
    ///
    /// The proof is asked here and not by the pool's own recycling, since after one connection that
    /// stays silent the idle ones are most likely as dead, and trying each in turn would outlast
    /// every deadline.
    async fn lease(&self) -> Result<Lease, DatabaseError> {
        let place = match timeout(WAIT, self.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => place,
            _ => {
                let reason = format!("all {} connections busy for {} s", self.size, WAIT.as_secs());
                return Err(DatabaseError::Unavailable(reason));
            }
        };
        let mut lease = Lease { object: None, _place: place };
        loop {
            let object = match self.pool.get().await {
                Ok(object) => object,
                Err(PoolError::Backend(error)) => return Err(self.classify(&error)),
                Err(PoolError::Timeout(TimeoutType::Create)) => {
                    return Err(
                        self.unavailable(&format!("no connection within {} s", MAKE.as_secs()))
                    );
                }
                Err(error) => return Err(self.unavailable(&error.to_string())),
            };
            let fresh = Object::metrics(&object).recycle_count == 0;
            lease.object = Some(object);
            if fresh {
                // Just made: that is proof enough.
                self.dependency.up();
                return Ok(lease);
            }
            match timeout(PROVE, lease.client().simple_query("")).await {
                Ok(Ok(_)) => {
                    self.dependency.up();
                    return Ok(lease);
                }
                // Closed by the other side: another is tried, at last a new one.
                Ok(Err(_)) => lease.discard(),
                Err(_) => {
                    lease.discard();
                    self.dependency
                        .down(&format!("a connection was silent for {} s", PROVE.as_secs_f64()));
                    let _ = self.pool.retain(|_, _| false);
                }
            }
        }
    }

    /// For operations on the tables.
    async fn lease_with_schema(&self) -> Result<Lease, DatabaseError> {
        if self.schema.ready.load(Ordering::Acquire) {
            self.lease().await
        } else {
            Err(DatabaseError::Unavailable("its schema is not there yet".into()))
        }
    }

    /// Gives the connection back, or up when its state is in doubt.
    fn settle<T>(&self, lease: Lease, result: Result<T, Failure>) -> Result<T, DatabaseError> {
        match result {
            Ok(value) => {
                lease.give_back();
                Ok(value)
            }
            Err(Failure::Sql(error)) => {
                if error.as_db_error().is_some() && !error.is_closed() {
                    lease.give_back();
                }
                Err(self.classify(&error))
            }
            Err(Failure::Silent) => {
                let _ = self.pool.retain(|_, _| false);
                Err(self.unavailable(&format!(
                    "a statement was not answered within {} s",
                    WAIT.as_secs()
                )))
            }
        }
    }

    fn span(&self, name: &'static str, parent: &Context) -> Span {
        let span = self.tracer.span(name, SpanKind::Client, parent);
        span.set("db.system.name", "postgresql");
        span.set("db.operation.name", name);
        span
    }

    /// BEGIN, the statement, COMMIT: each at most [`WAIT`].
    async fn in_transaction(
        &self,
        read_only: bool,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, DatabaseError> {
        let mut lease = self.lease_with_schema().await?;
        let result: Result<Vec<Row>, Failure> = async {
            let transaction =
                within(lease.client().build_transaction().read_only(read_only).start()).await?;
            let rows = within(transaction.query_typed(statement, parameters)).await?;
            within(transaction.commit()).await?;
            Ok(rows)
        }
        .await;
        self.settle(lease, result)
    }

    fn unavailable(&self, reason: &str) -> DatabaseError {
        self.dependency.down(reason);
        DatabaseError::Unavailable(reason.into())
    }

    fn classify(&self, error: &tokio_postgres::Error) -> DatabaseError {
        let text = describe(error);
        match error.code() {
            None => self.unavailable(&text),
            Some(code) if *code == SqlState::UNDEFINED_TABLE => {
                self.schema.wanted.notify_one();
                DatabaseError::Unavailable(text)
            }
            // It answers, but can't now: too slow, too busy.
            Some(code) if *code == SqlState::QUERY_CANCELED => DatabaseError::Unavailable(text),
            // Connection exceptions, lack of resources, operator's intervention, system errors,
            // read-only.
            Some(code)
                if ["08", "53", "57", "58"].contains(&&code.code()[..2])
                    || code.code() == "25006" =>
            {
                self.unavailable(&text)
            }
            Some(_) => DatabaseError::Refused(text),
        }
    }
}

/// Why a statement did not come to its end.
enum Failure {
    Sql(tokio_postgres::Error),
    Silent,
}

/// One statement, at most [`WAIT`]. The server has the same limit, and a little less patience than
/// we.
async fn within<T>(
    statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Failure> {
    match timeout(WAIT + Duration::from_millis(200), statement).await {
        Ok(result) => result.map_err(Failure::Sql),
        Err(_) => Err(Failure::Silent),
    }
}

/// A connection in use. Unless it is given back it leaves the pool: nobody knows what is under way
/// on it.
struct Lease {
    object: Option<Object>,
    _place: OwnedSemaphorePermit,
}

impl Lease {
    fn client(&mut self) -> &mut Object {
        // Some from its making until it is given back, which consumes the lease.
        self.object.as_mut().unwrap_or_else(|| unreachable!("a lease holds its connection"))
    }

    /// Takes the connection out of the pool; the place stays.
    fn discard(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }

    fn give_back(mut self) {
        drop(self.object.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.discard();
    }
}

/// The error with its causes, on one line.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_names_one_tcp_host() {
        assert!(parse_url("postgres://u:p@db:5432/mail").is_ok());
        assert!(parse_url("host=db user=u dbname=mail").is_ok());
        for url in ["", "mysql://db/mail", "postgres://u@a,b/mail", "host=/run/postgresql user=u"] {
            let error = parse_url(url).unwrap_err();
            assert!(error.contains("postgres://"), "{url:?}: {error}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_unavailable_at_once() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let log = Log::open("test", None).unwrap();
        let tracer =
            Tracer::start_exporting("test", "", crate::trace::Propagation::None, &log).unwrap();
        let options = DatabaseOptions {
            database_url: parse_url(&format!("postgres://u:p@127.0.0.1:{port}/mail")).unwrap(),
            db_pool_size: 2,
        };
        let database = Database::new(&options, "test", tracer, log);
        let started = std::time::Instant::now();
        assert!(matches!(database.lease().await, Err(DatabaseError::Unavailable(_))));
        assert!(database.ping(Duration::from_secs(1)).await.is_err());
        assert!(started.elapsed() < Duration::from_secs(2));
    }
}
