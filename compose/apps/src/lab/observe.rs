//! Around every request: deadline, span, metrics and the one log line.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::Context;

use super::metrics::Metrics;
use crate::lifecycle::Service;
use crate::log::{Level, Line, milliseconds};
use crate::request::{method_label, operation_id, refusal};
use crate::trace::SpanKind;

/// By then every request is answered.
const DEADLINE: Duration = Duration::from_secs(8);

/// What all requests of a service share.
pub(super) struct Observed {
    service: Service,
    pub(super) metrics: Metrics,
}

impl Observed {
    pub(super) fn new(service: Service, metrics: Metrics) -> Self {
        Self { service, metrics }
    }
}

/// What a handler is told of its request, and tells of it.
#[derive(Clone)]
pub(super) struct Call {
    /// Parent of the spans that it starts.
    pub(super) context: Context,
    /// The caller's opaque id.
    pub(super) operation_id: Option<String>,
    facts: Arc<Mutex<Facts>>,
}

#[derive(Default)]
struct Facts {
    user: Option<String>,
    error: Option<String>,
}

impl Call {
    fn facts(&self) -> std::sync::MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who it is.
    pub(super) fn user_is(&self, user: &str) {
        self.facts().user = Some(user.into());
    }

    /// What went wrong, for the log; callers get less.
    pub(super) fn failed(&self, error: &str) {
        self.facts().error = Some(error.into());
    }
}

/// The middleware.
pub(super) async fn observe(
    State(observed): State<Arc<Observed>>,
    path: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let Observed { service, metrics } = &*observed;
    let method = method_label(request.method());
    let endpoint = path.map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    // Those who watch are counted, and make neither lines nor spans.
    if matches!(endpoint.as_str(), "/health" | "/metrics") {
        let response = next.run(request).await;
        metrics.answered(method, &endpoint, response.status().as_u16(), started.elapsed());
        return response;
    }
    let (operation_id, refused) = match operation_id(request.headers()) {
        Ok(id) => (id, None),
        Err(reason) => (None, Some(reason)),
    };
    let traceparent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    let parent = service.tracer.extract(traceparent);
    let span = service.tracer.span(format!("{method} {endpoint}"), SpanKind::Server, &parent);
    span.set("http.request.method", method);
    span.set("http.route", endpoint.clone());
    span.set_some("operation.id", operation_id.as_deref());
    let call = Call {
        context: span.context().clone(),
        operation_id: operation_id.clone(),
        facts: Arc::default(),
    };
    request.extensions_mut().insert(call.clone());
    metrics.in_flight.inc();
    let response = match refused {
        Some(reason) => refusal(StatusCode::BAD_REQUEST, reason),
        None => tokio::time::timeout(DEADLINE, next.run(request)).await.unwrap_or_else(|_| {
            call.failed(&format!("deadline of {} s passed", DEADLINE.as_secs()));
            refusal(StatusCode::GATEWAY_TIMEOUT, "deadline passed")
        }),
    };
    metrics.in_flight.dec();
    let (status, duration) = (response.status(), started.elapsed());
    let facts = std::mem::take(&mut *call.facts());
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail(facts.error.clone().unwrap_or_else(|| status.to_string()));
    }
    metrics.answered(method, &endpoint, status.as_u16(), duration);
    let mut line = Line::new("request", format!("{method} {endpoint} {}", status.as_u16()));
    span.identify(&mut line);
    span.end();
    line.level = match status {
        status if status.is_server_error() => Level::Error,
        status if status.is_client_error() => Level::Warning,
        _ => Level::Info,
    };
    line.operation_id = operation_id;
    line.method = Some(method.into());
    line.endpoint = Some(endpoint);
    line.status = Some(status.as_u16());
    line.duration_ms = Some(milliseconds(duration));
    line.user = facts.user;
    line.error = facts.error;
    service.log.write(line);
    response
}
