//! Around every request: deadline, span, metrics and the one log line.
//!
//! The work is a task of its own: a caller who hangs up changes neither what is done nor what is
//! told of it.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt;
use opentelemetry::Context;

use super::App;
use crate::log::{Level, Line, milliseconds};
use crate::request::{method_label, operation_id, refusal};
use crate::trace::{Span, SpanKind};

/// By then every API request is answered.
const DEADLINE: Duration = Duration::from_secs(8);

/// What a handler is told of its request, and tells of it.
#[derive(Clone)]
pub(super) struct Call {
    /// Parent of the spans that it starts.
    pub(super) context: Context,
    /// The caller's opaque id.
    pub(super) operation_id: Option<String>,
    facts: Arc<Mutex<Facts>>,
}

#[derive(Clone, Default)]
struct Facts {
    user: Option<String>,
    email_id: Option<i64>,
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

    /// Which mail it made.
    pub(super) fn email_is(&self, id: i64) {
        self.facts().email_id = Some(id);
    }

    /// What went wrong, for the log; callers get less.
    pub(super) fn failed(&self, error: &str) {
        self.facts().error = Some(error.into());
    }
}

/// The middleware.
pub(super) async fn observe(
    State(app): State<Arc<App>>,
    path: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let method = method_label(request.method());
    let endpoint = path.map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    if !request.uri().path().starts_with("/api/") {
        let response = next.run(request).await;
        app.metrics.answered(method, &endpoint, response.status().as_u16(), started.elapsed());
        return response;
    }
    let (operation_id, refused) = match operation_id(request.headers()) {
        Ok(id) => (id, None),
        Err(reason) => (None, Some(reason)),
    };
    let record =
        Record::begin(app.clone(), method, endpoint, started, request.headers(), operation_id);
    if let Some(reason) = refused {
        return record.end(refusal(StatusCode::BAD_REQUEST, reason));
    }
    let Ok(permit) = app.in_flight.clone().try_acquire_owned() else {
        return record.end(refusal(StatusCode::SERVICE_UNAVAILABLE, "too many requests under way"));
    };
    request.extensions_mut().insert(record.call.clone());
    let work = tokio::spawn(async move {
        let _permit = permit;
        let work = async {
            let (began, response) = (Instant::now(), next.run(request).await);
            app.handicap.hinder(began).await;
            response
        };
        let work = AssertUnwindSafe(work).catch_unwind();
        let response = match tokio::time::timeout(DEADLINE, work).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
            Err(_) => {
                record.call.failed(&format!("deadline of {} s passed", DEADLINE.as_secs()));
                refusal(StatusCode::GATEWAY_TIMEOUT, "deadline passed")
            }
        };
        record.end(response)
    });
    work.await.unwrap_or_else(|_| refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal error"))
}

/// What is told of an API request, whatever becomes of it.
struct Record {
    app: Arc<App>,
    method: &'static str,
    endpoint: String,
    started: Instant,
    span: Span,
    call: Call,
}

impl Record {
    fn begin(
        app: Arc<App>,
        method: &'static str,
        endpoint: String,
        started: Instant,
        headers: &HeaderMap,
        operation_id: Option<String>,
    ) -> Self {
        let parent = app
            .service
            .tracer
            .extract(headers.get("traceparent").and_then(|value| value.to_str().ok()));
        let span =
            app.service.tracer.span(format!("{method} {endpoint}"), SpanKind::Server, &parent);
        span.set("http.request.method", method);
        span.set("http.route", endpoint.clone());
        span.set_some("operation.id", operation_id.as_deref());
        let call = Call { context: span.context().clone(), operation_id, facts: Arc::default() };
        Self { app, method, endpoint, started, span, call }
    }

    fn end(self, response: Response) -> Response {
        let Self { app, method, endpoint, started, span, call } = self;
        let status = response.status();
        let facts = call.facts().clone();
        let duration = started.elapsed();
        span.set("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            span.fail(facts.error.clone().unwrap_or_else(|| status.to_string()));
        }
        app.metrics.answered(method, &endpoint, status.as_u16(), duration);
        let mut line = Line::new("request", format!("{method} {endpoint} {}", status.as_u16()));
        span.identify(&mut line);
        span.end();
        line.level = match status {
            status if status.is_server_error() => Level::Error,
            status if status.is_client_error() => Level::Warning,
            _ => Level::Info,
        };
        line.operation_id = call.operation_id.clone();
        line.method = Some(method.into());
        line.endpoint = Some(endpoint);
        line.status = Some(status.as_u16());
        line.duration_ms = Some(milliseconds(duration));
        line.user = facts.user;
        line.email_id = facts.email_id;
        line.error = facts.error;
        app.service.log.write(line);
        response
    }
}
