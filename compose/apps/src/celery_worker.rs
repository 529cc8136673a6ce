//! Takes tasks from the queue and runs them: hands mails to the mail server, keeps the database
//! tidy.

mod broker;
mod metrics;
mod run;
mod smtp;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use clap::Args;

use crate::database::{Database, DatabaseOptions};
use crate::lifecycle::{Service, ServiceError, health_answer, serve_http};
use crate::redis_link::{RedisLink, RedisOptions};
use crate::settings::{Accounts, Telemetry, seconds, small_count};

/// A health check is answered within two seconds.
const HEALTH: Duration = Duration::from_millis(1_500);

/// Settings of celery-worker.
#[derive(Clone, Debug, Args)]
pub struct CeleryWorkerOptions {
    /// Address to serve /metrics and /health on
    #[arg(long, env = "LISTEN", default_value = "0.0.0.0:9808")]
    listen: SocketAddr,
    #[command(flatten)]
    pub(crate) telemetry: Telemetry,
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    redis: RedisOptions,
    #[command(flatten)]
    smtp: smtp::SmtpOptions,
    #[command(flatten)]
    accounts: Accounts,
    /// Tasks run at once
    #[arg(long, env = "WORKER_CONCURRENCY", default_value = "8", value_parser = small_count)]
    worker_concurrency: usize,
    /// A task whose worker has not been heard of for this long goes back to the queue
    #[arg(long, env = "VISIBILITY_TIMEOUT_SECONDS", default_value = "10", value_parser = seconds)]
    visibility_timeout_seconds: Duration,
    /// How often handing over a mail is tried again
    #[arg(long, env = "TASK_MAX_RETRIES", default_value = "3")]
    task_max_retries: u32,
    /// Wait before the first retry; doubles each time
    #[arg(long, env = "TASK_RETRY_BACKOFF_SECONDS", default_value = "1", value_parser = seconds)]
    task_retry_backoff_seconds: Duration,
}

/// What all tasks share.
struct Worker {
    service: Service,
    database: Database,
    redis: RedisLink,
    smtp: smtp::Mailer,
    broker: Arc<broker::Broker>,
    metrics: metrics::Metrics,
    retries: run::Retries,
}

/// Works until told to stop.
pub async fn serve(options: CeleryWorkerOptions, service: Service) -> Result<(), ServiceError> {
    let (log, tracer) = (service.log.clone(), service.tracer.clone());
    let database = Database::new(&options.database, &service.name, tracer.clone(), log.clone());
    database.expect_schema();
    let redis = RedisLink::start(&options.redis, "redis", log.clone());
    let takes = RedisLink::start_blocking(&options.redis, "redis queue", log.clone());
    let smtp = smtp::Mailer::new(&options.smtp, &options.accounts.mail_domain, tracer, log.clone());
    let queue = options.redis.queue.clone();
    let worker = Arc::new(Worker {
        metrics: metrics::Metrics::new(&log, &database, &smtp),
        broker: Arc::new(broker::Broker::new(
            takes,
            redis.clone(),
            &queue,
            options.visibility_timeout_seconds,
        )),
        retries: run::Retries {
            most: options.task_max_retries,
            backoff: options.task_retry_backoff_seconds,
        },
        service: service.clone(),
        database,
        redis,
        smtp,
    });
    let router = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics_page))
        .with_state(worker.clone());
    let upkeep = tokio::spawn(worker.broker.clone().keep_up());
    let work = tokio::spawn(run::consume(worker.clone(), options.worker_concurrency));
    let served = serve_http(options.listen, router, &service).await;
    if served.is_ok() {
        let _ = work.await;
    }
    upkeep.abort();
    served
}

async fn health(State(worker): State<Arc<Worker>>) -> Response {
    let (database, redis) = tokio::join!(worker.database.ping(HEALTH), worker.redis.ping(HEALTH));
    health_answer([("database", database), ("redis", redis)])
}

async fn metrics_page(State(worker): State<Arc<Worker>>, headers: HeaderMap) -> Response {
    worker.metrics.respond(&headers)
}
