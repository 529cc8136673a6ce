//! How a service starts, serves HTTP, and stops within two seconds of SIGTERM with nothing unsaid.

use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::log::{Level, Line, Log, LogFileError};
use crate::settings::Telemetry;
use crate::trace::{EndpointError, Tracer};

/// How long requests and tasks under way may go on after SIGTERM.
pub const GRACE: Duration = Duration::from_millis(1_000);
/// How long spans may take to be sent at the end.
const LAST_SPANS: Duration = Duration::from_millis(500);
/// How long lines may take to be written at the end.
const LAST_LINES: Duration = Duration::from_millis(250);
/// The machine is shared: two threads are enough for what a drill offers.
const WORKER_THREADS: usize = 2;
/// Name lookups and little else.
const BLOCKING_THREADS: usize = 48;

/// What a service gets to work with.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name in spans and log lines.
    pub name: String,
    pub log: Log,
    pub tracer: Tracer,
    /// When to stop.
    pub stop: Stop,
}

/// A service could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The log file.
    #[error(transparent)]
    LogFile(#[from] LogFileError),
    /// The collector's address.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The address to listen on.
    #[error("listening on {address}: {source}; LISTEN wants a free address such as 0.0.0.0:5000")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system refused something else.
    #[error("{what}: {source}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Says when to stop. Clones hear the same.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Whether it was said.
    pub fn is_said(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it is said.
    pub async fn said(&self) {
        let mut receiver = self.0.clone();
        // An error means that the signal handler is gone with the runtime: that is a stop as well.
        let _ = receiver.wait_for(|stop| *stop).await;
    }
}

/// Runs a service until SIGTERM or SIGINT.
pub fn run<F>(
    default_name: &str,
    telemetry: &Telemetry,
    serve: impl FnOnce(Service) -> F,
) -> ExitCode
where
    F: Future<Output = Result<(), ServiceError>>,
{
    match try_run(default_name, telemetry, serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{default_name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn try_run<F>(
    default_name: &str,
    telemetry: &Telemetry,
    serve: impl FnOnce(Service) -> F,
) -> Result<(), ServiceError>
where
    F: Future<Output = Result<(), ServiceError>>,
{
    let name = telemetry.service_name.clone().unwrap_or_else(|| default_name.to_owned());
    let log = Log::open_as(telemetry.log_format, &name, telemetry.log_file.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(|source| ServiceError::System { what: "starting the runtime", source })?;
    let result = runtime.block_on(async {
        let stop = listen_for_signals()?;
        let tracer = Tracer::start_exporting(
            &name,
            &telemetry.otlp_endpoint,
            telemetry.otel_propagators,
            &log,
        )?;
        let service =
            Service { name: name.clone(), log: log.clone(), tracer: tracer.clone(), stop };
        let result = serve(service).await;
        tracer.shut_down(LAST_SPANS).await;
        result
    });
    let line = Line::new("shutdown", format!("{name} stopped"));
    log.write(match &result {
        Ok(()) => line,
        Err(error) => line.failed(Level::Error, error.to_string()),
    });
    log.flush(LAST_LINES);
    // A hanging name lookup must not keep the process.
    runtime.shutdown_background();
    result
}

fn listen_for_signals() -> Result<Stop, ServiceError> {
    let handler = |kind| {
        signal(kind)
            .map_err(|source| ServiceError::System { what: "installing a signal handler", source })
    };
    let (mut terminate, mut interrupt) =
        (handler(SignalKind::terminate())?, handler(SignalKind::interrupt())?);
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        // The end comes within two seconds: a second signal could only cost what is still to be
        // said.
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            sender.send_replace(true);
        }
    });
    Ok(Stop(receiver))
}

/// What a health endpoint answers of what it checked, each by its name: 503 if anything is wrong.
pub fn health_answer<const N: usize>(checks: [(&str, Result<(), String>); N]) -> Response {
    let healthy = checks.iter().all(|(_, check)| check.is_ok());
    let word = |check: Result<(), String>| check.err().unwrap_or_else(|| "ok".into());
    let checks: Map<String, Value> =
        checks.into_iter().map(|(name, check)| (name.to_owned(), word(check).into())).collect();
    let body = json!({"status": if healthy { "healthy" } else { "unhealthy" }, "checks": checks});
    (if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(body))
        .into_response()
}

/// Serves HTTP until told to stop, then lets requests under way end, at most [`GRACE`].
pub async fn serve_http(
    address: SocketAddr,
    router: Router,
    service: &Service,
) -> Result<(), ServiceError> {
    let listen = |source| ServiceError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    service.log.write(Line::new("startup", format!("{} listens on {bound}", service.name)));
    let stop = service.stop.clone();
    let server =
        axum::serve(listener, router).with_graceful_shutdown(async move { stop.said().await });
    tokio::select! {
        result = server.into_future() => {
            result.map_err(|source| ServiceError::System { what: "serving HTTP", source })
        }
        () = async { service.stop.said().await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}
