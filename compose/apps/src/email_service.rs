//! The HTTP API of the mail application: stores in PostgreSQL, queues in Redis, reads mailboxes
//! over IMAP.

mod api;
mod basic_auth;
mod cache;
mod handicap;
mod metrics;
mod observe;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use clap::Args;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::database::{Database, DatabaseOptions, MAIL_SCHEMA};
use crate::lifecycle::{GRACE, Service, ServiceError, health_answer, serve_http};
use crate::mailbox::{ImapOptions, Mailboxes};
use crate::metrics::{Buckets, DURATION_BUCKETS, parse_buckets};
use crate::publisher::Publisher;
use crate::redis_link::{RedisLink, RedisOptions};
use crate::settings::{Accounts, Telemetry, seconds};

/// A health check is answered within two seconds: this much for the questions, the rest for the
/// answer.
const HEALTH: Duration = Duration::from_millis(1_500);
/// How long a scrape waits for the length of the queue.
const QUEUE_LENGTH: Duration = Duration::from_millis(250);
/// Requests that may be under way at once; more are refused, so that memory stays bounded.
const IN_FLIGHT: usize = 512;
/// Bytes of a request's body.
const BODY_LIMIT: usize = 256 * 1024;

/// Settings of email-service.
#[derive(Clone, Debug, Args)]
pub struct EmailServiceOptions {
    /// Address to serve HTTP on
    #[arg(long, env = "LISTEN", default_value = "0.0.0.0:5000")]
    listen: SocketAddr,
    #[command(flatten)]
    pub(crate) telemetry: Telemetry,
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    redis: RedisOptions,
    #[command(flatten)]
    imap: ImapOptions,
    #[command(flatten)]
    accounts: Accounts,
    /// Upper bounds of the duration histogram, in seconds
    #[arg(long, env = "HTTP_DURATION_BUCKETS", default_value = DURATION_BUCKETS, value_parser = parse_buckets)]
    http_duration_buckets: Buckets,
    /// How long results of a search are kept in Redis
    #[arg(long, env = "CACHE_TTL_SECONDS", default_value = "5", value_parser = seconds)]
    cache_ttl_seconds: Duration,
    #[command(flatten)]
    handicap: handicap::Handicap,
}

/// What all requests share.
struct App {
    service: Service,
    accounts: Accounts,
    database: Database,
    redis: RedisLink,
    publisher: Publisher,
    cache: cache::Cache,
    mailboxes: Mailboxes,
    metrics: metrics::Metrics,
    in_flight: Arc<Semaphore>,
    handicap: handicap::Handicap,
}

/// Serves until told to stop.
pub async fn serve(options: EmailServiceOptions, service: Service) -> Result<(), ServiceError> {
    let (log, tracer) = (service.log.clone(), service.tracer.clone());
    let database = Database::new(&options.database, &service.name, tracer.clone(), log.clone());
    let redis = RedisLink::start(&options.redis, "redis", log.clone());
    let mailboxes =
        Mailboxes::new(&options.imap, &options.accounts.mail_password, tracer.clone(), log.clone());
    let cache = cache::Cache::new(redis.clone(), options.cache_ttl_seconds);
    let metrics = metrics::Metrics::new(
        options.http_duration_buckets,
        &log,
        &database,
        &mailboxes,
        &cache,
        &options.redis.queue,
    );
    let app = Arc::new(App {
        publisher: Publisher::new(redis.clone(), &options.redis.queue, &service.name, tracer),
        accounts: options.accounts,
        handicap: options.handicap,
        service: service.clone(),
        in_flight: Arc::new(Semaphore::new(IN_FLIGHT)),
        database: database.clone(),
        redis,
        cache,
        mailboxes,
        metrics,
    });
    let schema = tokio::spawn(database.keep_schema(MAIL_SCHEMA, log));
    serve_http(options.listen, router(app.clone()), &service).await?;
    schema.abort();
    // Requests whose callers have gone are under way all the same.
    let _ = tokio::time::timeout(GRACE / 4, app.in_flight.acquire_many(IN_FLIGHT as u32)).await;
    Ok(())
}

fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics_page))
        .route("/api/v1/emails", post(api::send).get(api::list))
        .route("/api/v1/emails/search", get(api::search))
        .route("/api/v1/mailbox/messages", get(api::mailbox_list))
        .route("/api/v1/mailbox/messages/{uid}", get(api::mailbox_fetch))
        .fallback(async || (StatusCode::NOT_FOUND, Json(json!({"error": "no such endpoint"}))))
        .method_not_allowed_fallback(async || {
            (StatusCode::METHOD_NOT_ALLOWED, Json(json!({"error": "no such method"})))
        })
        .layer(axum::extract::DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn_with_state(app.clone(), observe::observe))
        .with_state(app)
}

async fn health(State(app): State<Arc<App>>) -> Response {
    let (database, redis) = tokio::join!(app.database.ping(HEALTH), app.redis.ping(HEALTH));
    health_answer([("database", database), ("redis", redis)])
}

async fn metrics_page(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let length = app.publisher.length(QUEUE_LENGTH).await;
    app.metrics.respond(length, &headers)
}
