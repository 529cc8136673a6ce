//! Publishes the periodic task, and says when it last did.
//!
//! A tick is a task handed to the broker: while that can't be done there is none, and beat tries
//! until it can. What was missed is not made up for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use clap::Args;
use jiff::Timestamp;
use opentelemetry::Context;
use prometheus_client::registry::Registry;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use crate::lifecycle::{Service, ServiceError, health_answer, serve_http};
use crate::log::{Line, milliseconds};
use crate::metrics::{Sampled, registry, respond};
use crate::publisher::Publisher;
use crate::redis_link::{ANSWER, RedisLink, RedisOptions};
use crate::settings::{Telemetry, seconds};
use crate::tasks::{SWEEP_TASK, SweepArguments};

/// A health check is answered within two seconds.
const HEALTH: Duration = Duration::from_millis(1_500);
/// How often a tick that could not be published is tried again.
const AGAIN: Duration = Duration::from_millis(250);
/// Where the time of the last tick is kept for others to see.
const LAST_TICK_KEY: &str = "celery-beat:last-tick";

/// Settings of celery-beat.
#[derive(Clone, Debug, Args)]
pub struct CeleryBeatOptions {
    /// Address to serve /metrics and /health on
    #[arg(long, env = "LISTEN", default_value = "0.0.0.0:9809")]
    listen: SocketAddr,
    #[command(flatten)]
    pub(crate) telemetry: Telemetry,
    #[command(flatten)]
    redis: RedisOptions,
    /// Time between two ticks
    #[arg(long, env = "BEAT_PERIOD_SECONDS", default_value = "5", value_parser = seconds)]
    beat_period_seconds: Duration,
}

struct Beat {
    service: Service,
    redis: RedisLink,
    publisher: Publisher,
    period: Duration,
    registry: Registry,
    ticks: Arc<AtomicU64>,
    /// Milliseconds since the Unix epoch; 0 before the first.
    last: Arc<AtomicI64>,
}

/// Ticks until told to stop.
pub async fn serve(options: CeleryBeatOptions, service: Service) -> Result<(), ServiceError> {
    let redis = RedisLink::start(&options.redis, "redis", service.log.clone());
    let publisher =
        Publisher::new(redis.clone(), &options.redis.queue, &service.name, service.tracer.clone());
    let (ticks, last) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicI64::new(0)));
    let period = options.beat_period_seconds;
    let mut registry = registry(&service.log);
    let (count, at) = (ticks.clone(), last.clone());
    for collector in [
        Sampled::counter("celery_beat_ticks", "Periodic tasks handed to the broker", move || {
            count.load(Ordering::Relaxed)
        }),
        Sampled::gauge(
            "celery_beat_last_tick_timestamp_seconds",
            "When a periodic task was last handed to the broker, in Unix seconds; 0 before the first",
            move || at.load(Ordering::Relaxed) as f64 / 1_000.0,
        ),
        Sampled::gauge(
            "celery_beat_period_seconds",
            "Time between two ticks, in seconds",
            move || period.as_secs_f64(),
        ),
    ] {
        registry.register_collector(Box::new(collector));
    }
    let beat = Arc::new(Beat {
        service: service.clone(),
        redis,
        publisher,
        period,
        registry,
        ticks,
        last,
    });
    let router = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics_page))
        .with_state(beat.clone());
    let ticking = tokio::spawn(tick_for_ever(beat));
    let served = serve_http(options.listen, router, &service).await;
    ticking.abort();
    served
}

async fn tick_for_ever(beat: Arc<Beat>) {
    let mut due = Instant::now();
    loop {
        sleep_until(due).await;
        let started = std::time::Instant::now();
        let id = Uuid::new_v4();
        // A trace of its own: nobody asked for it.
        match beat
            .publisher
            .publish(&Context::new(), SWEEP_TASK, id, &SweepArguments {}, None)
            .await
        {
            Ok(published) => {
                let at = Timestamp::now();
                beat.last.store(at.as_millisecond(), Ordering::Relaxed);
                beat.ticks.fetch_add(1, Ordering::Relaxed);
                let mut line = Line::new("tick", format!("{SWEEP_TASK} published"));
                published.parent.identify(&mut line);
                line.task = Some(SWEEP_TASK.into());
                line.task_id = Some(id.to_string());
                line.duration_ms = Some(milliseconds(started.elapsed()));
                beat.service.log.write(line);
                let mut command = redis::cmd("SET");
                command.arg(LAST_TICK_KEY).arg(at.to_string());
                let _ = beat.redis.ask::<()>(&command, ANSWER).await;
                // The rhythm stays; after an outage it begins anew.
                due = (due + beat.period).max(Instant::now());
            }
            // The link tells of its coming and going.
            Err(_) => sleep(AGAIN).await,
        }
    }
}

async fn health(State(beat): State<Arc<Beat>>) -> Response {
    health_answer([("redis", beat.redis.ping(HEALTH).await)])
}

async fn metrics_page(State(beat): State<Arc<Beat>>, headers: HeaderMap) -> Response {
    respond(&beat.registry, &headers)
}
