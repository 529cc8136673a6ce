//! Test equipment: an exporter that says what a test has told it to say. **What it exposes is a
//! synthetic signal**: nothing caused it. It runs in stacks that test the harness itself, never
//! beside a real application.
//!
//! - `GET /metrics` answers with the text last put (at first, with that of `METRICS`), with the
//!   status and after the delay last put.
//! - `PUT /metrics` takes a text exposition, with the content type that scrapers shall see.
//! - `PUT /behaviour` takes `{"status": 100-599, "delay_ms": 0-600000}`; a field left out is as at
//!   the start.
//! - `GET /behaviour` says how it behaves; `GET /health` is 200 whatever it does to scrapers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::lifecycle::{Service, ServiceError, serve_http};
use crate::settings::Telemetry;

/// Settings of the scriptable exporter.
#[derive(Clone, Debug, Args)]
pub struct ExporterOptions {
    /// Address to serve HTTP on
    #[arg(long, env = "LISTEN", default_value = "0.0.0.0:9000")]
    listen: SocketAddr,
    /// Text exposition that scrapes are answered with until another is put
    #[arg(long, env = "METRICS", default_value = "")]
    metrics: String,
    /// Processor time that making an answer to a scrape takes, milliseconds
    #[arg(long, env = "SCRAPE_WORK_MS", default_value_t = 0)]
    scrape_work_ms: u64,
    /// File that log lines are appended to, besides stdout
    #[arg(long, env = "LOG_FILE")]
    log_file: Option<std::path::PathBuf>,
}

impl ExporterOptions {
    /// It does nothing that would make spans.
    pub fn telemetry(&self) -> Telemetry {
        Telemetry {
            service_name: None,
            otlp_endpoint: String::new(),
            otel_propagators: crate::trace::Propagation::None,
            log_file: self.log_file.clone(),
            log_format: crate::log::LogFormat::Json,
        }
    }
}

/// How scrapes are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Behaviour {
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    delay_ms: u64,
}

fn ok() -> u16 {
    200
}

struct Script {
    text: String,
    content_type: HeaderValue,
    behaviour: Behaviour,
    work: Duration,
}

type Shared = Arc<Mutex<Script>>;

/// Serves until told to stop.
pub async fn serve(options: ExporterOptions, service: Service) -> Result<(), ServiceError> {
    serve_http(
        options.listen,
        router(options.metrics, Duration::from_millis(options.scrape_work_ms)),
        &service,
    )
    .await
}

fn router(text: String, work: Duration) -> Router {
    let script = Script {
        text,
        content_type: HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
        behaviour: Behaviour { status: ok(), delay_ms: 0 },
        work,
    };
    Router::new()
        .route("/metrics", get(expose).put(script_text))
        .route("/behaviour", get(behaviour).put(script_behaviour))
        .route("/health", get(async || Json(json!({"status": "healthy"}))))
        .layer(axum::extract::DefaultBodyLimit::max(8 * 1024 * 1024))
        .with_state(Arc::new(Mutex::new(script)))
}

fn lock(script: &Shared) -> std::sync::MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn expose(State(script): State<Shared>) -> Response {
    // The behaviour at the scrape's start and the text at its answer: a slow exporter tells of now.
    let (behaviour, work) = {
        let script = lock(&script);
        (script.behaviour, script.work)
    };
    if !work.is_zero() {
        let _ = tokio::task::spawn_blocking(move || labour(work)).await;
    }
    tokio::time::sleep(Duration::from_millis(behaviour.delay_ms)).await;
    let script = lock(&script);
    let status =
        StatusCode::from_u16(behaviour.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, script.content_type.clone())], script.text.clone()).into_response()
}

/// Keeps this thread busy until it has had so much time of a processor, as metrics that are costly
/// to gather do.
fn labour(work: Duration) {
    let spent = || -> Option<Duration> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    };
    // Where the kernel does not tell, nothing is done.
    let Some(until) = spent().map(|s| s + work) else { return };
    while spent().is_some_and(|s| s < until) {
        std::hint::black_box((0..20_000u64).fold(0, |a, b| a ^ b));
    }
}

async fn script_text(State(script): State<Shared>, headers: HeaderMap, text: String) -> StatusCode {
    let mut script = lock(&script);
    if let Some(content_type) = headers.get(CONTENT_TYPE) {
        script.content_type = content_type.clone();
    }
    script.text = text;
    StatusCode::NO_CONTENT
}

async fn behaviour(State(script): State<Shared>) -> Json<Behaviour> {
    Json(lock(&script).behaviour)
}

async fn script_behaviour(State(script): State<Shared>, body: String) -> Response {
    let wanted = "body wants {\"status\": 100-599, \"delay_ms\": 0-600000}";
    match serde_json::from_str::<Behaviour>(&body) {
        Ok(behaviour)
            if (100..600).contains(&behaviour.status) && behaviour.delay_ms <= 600_000 =>
        {
            lock(&script).behaviour = behaviour;
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(_) => (StatusCode::BAD_REQUEST, Json(json!({"error": wanted}))).into_response(),
        Err(error) => {
            (StatusCode::BAD_REQUEST, Json(json!({"error": format!("{error}; {wanted}")})))
                .into_response()
        }
    }
}
