//! A laboratory's sample tracking: a frontend, a gateway that asks who is calling, and three
//! services behind it over PostgreSQL and Redis.
//!
//! Each can be run as a team runs it that has only begun (no metrics page, no spans, lines of plain
//! text) and instrumented, by its settings alone: what it does for its callers is the same.

pub mod auth_service;
pub mod frontend;
pub mod gateway;
mod metrics;
mod observe;
pub mod sample_service;
pub mod template_service;
mod upstream;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::database::DatabaseError;
use crate::lifecycle::{Service, ServiceError, serve_http};
use crate::redis_link::RedisFailure;
use crate::request::refusal;
use crate::settings::Telemetry;
use metrics::Metrics;
use observe::{Call, Observed};

/// Bytes of a request's body.
const BODY_LIMIT: usize = 64 * 1024;
/// Rows listed when the caller does not say how many, and at most.
const LIMIT: (u32, u32) = (20, 100);
/// Who is calling, as the gateway tells those behind it.
const USER: &str = "x-user";

/// What each of the services is told.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Address to serve HTTP on
    #[arg(long, env = "LISTEN", default_value = "0.0.0.0:8000")]
    listen: SocketAddr,
    #[command(flatten)]
    pub(crate) telemetry: Telemetry,
    /// Whether there is a page of metrics: true, false
    #[arg(long, env = "INSTRUMENTED", default_value_t = true, action = clap::ArgAction::Set)]
    instrumented: bool,
}

/// Serves a service's routes, each request observed, until told to stop. `guard` stands before all
/// of them, the page of metrics included.
async fn serve(
    common: &Common,
    service: &Service,
    metrics: Metrics,
    routes: Router,
    guard: impl FnOnce(Router) -> Router,
) -> Result<(), ServiceError> {
    let observed = Arc::new(Observed::new(service.clone(), metrics));
    let page = Router::new().route("/metrics", get(metrics_page)).with_state(observed.clone());
    let routes = if common.instrumented { routes.merge(page) } else { routes };
    let routes = routes.method_not_allowed_fallback(async || {
        refusal(StatusCode::METHOD_NOT_ALLOWED, "no such method")
    });
    let router = guard(routes)
        .layer(axum::extract::DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn_with_state(observed, observe::observe));
    serve_http(common.listen, router, service).await
}

async fn metrics_page(State(observed): State<Arc<Observed>>, headers: HeaderMap) -> Response {
    observed.metrics.respond(&headers)
}

/// What a path that is not there is answered with.
async fn no_such_endpoint() -> Response {
    refusal(StatusCode::NOT_FOUND, "no such endpoint")
}

/// Why a request is not answered with what it asked for: the status, what the caller is told, what
/// the log is told.
struct Refusal {
    status: StatusCode,
    error: &'static str,
    cause: Option<String>,
}

impl Refusal {
    fn new(status: StatusCode, error: &'static str) -> Self {
        Self { status, error, cause: None }
    }

    /// The answer, noted in the call.
    fn answer(self, call: &Call) -> Response {
        call.failed(self.cause.as_deref().unwrap_or(self.error));
        refusal(self.status, self.error)
    }
}

impl From<DatabaseError> for Refusal {
    fn from(error: DatabaseError) -> Self {
        let (status, text) = match error {
            DatabaseError::Unavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "database unavailable")
            }
            DatabaseError::Refused(_) => (StatusCode::INTERNAL_SERVER_ERROR, "database error"),
        };
        Self { status, error: text, cause: Some(error.to_string()) }
    }
}

impl From<RedisFailure> for Refusal {
    fn from(error: RedisFailure) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            error: "sessions unavailable",
            cause: Some(error.to_string()),
        }
    }
}

/// The answer, or why there is none.
fn answer(call: &Call, result: Result<Response, Refusal>) -> Response {
    result.unwrap_or_else(|refused| refused.answer(call))
}

/// A body that came whole.
fn readable(bytes: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
    bytes.map_err(|rejection| Refusal {
        status: rejection.status(),
        error: "body unreadable",
        cause: Some(rejection.to_string()),
    })
}

/// A body of JSON.
fn read<T: DeserializeOwned>(
    bytes: Result<Bytes, BytesRejection>,
    wanted: &'static str,
) -> Result<T, Refusal> {
    serde_json::from_slice(&readable(bytes)?).map_err(|error| Refusal {
        status: StatusCode::BAD_REQUEST,
        error: wanted,
        cause: Some(error.to_string()),
    })
}

/// Text that PostgreSQL can store: one line, of so many characters at most.
fn is_short(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.chars().count()) && !text.contains(['\r', '\n', '\0'])
}

/// How many rows are listed.
#[derive(serde::Deserialize)]
struct Limit {
    limit: Option<String>,
}

impl Limit {
    fn read(&self) -> Result<i64, Refusal> {
        let (default, most) = LIMIT;
        let Some(text) = &self.limit else { return Ok(default.into()) };
        match text.parse() {
            Ok(limit) if (1..=most).contains(&limit) => Ok(limit.into()),
            _ => Err(Refusal::new(StatusCode::BAD_REQUEST, "limit wants a number from 1 to 100")),
        }
    }
}

/// Who is calling: those behind the gateway believe it.
fn user(headers: &HeaderMap, call: &Call) -> Result<String, Refusal> {
    let user = headers.get(USER).and_then(|value| value.to_str().ok()).filter(|u| is_short(u, 64));
    let Some(user) = user else {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "nobody is signed in"));
    };
    call.user_is(user);
    Ok(user.to_owned())
}

/// What was made, with its id.
fn created(id: i64, more: serde_json::Value) -> Response {
    let mut body = json!({"id": id});
    if let (Some(body), serde_json::Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    (StatusCode::CREATED, Json(body)).into_response()
}

fn json_text(text: String) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_from_1_to_100() {
        let read = |text: Option<&str>| Limit { limit: text.map(str::to_owned) }.read().ok();
        assert_eq!(
            (read(None), read(Some("1")), read(Some("100"))),
            (Some(20), Some(1), Some(100))
        );
        for text in ["", "0", "101", "-1", "many"] {
            assert_eq!(read(Some(text)), None, "{text:?}");
        }
    }

    #[test]
    fn short_text_is_one_line_that_can_be_stored() {
        assert!(is_short("TSQ-1", 5) && is_short("ä", 1));
        for text in ["", "123456", "a\nb", "a\rb", "a\0"] {
            assert!(!is_short(text, 5), "{text:?}");
        }
    }
}
