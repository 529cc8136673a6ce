//! Who is calling: people sign in with their password and get a session, which is kept in Redis.

use std::convert::identity;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::Args;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::metrics::Metrics;
use super::observe::Call;
use super::{Common, Refusal, answer, is_short, no_such_endpoint, read, serve as serve_routes};
use crate::database::{Database, DatabaseOptions, LAB_SCHEMA};
use crate::lifecycle::{Service, ServiceError, health_answer};
use crate::redis_link::{RedisLink, RedisOptions};
use crate::settings::seconds;

/// How long a health check asks.
const HEALTH: Duration = Duration::from_millis(1_500);
/// How long Redis may take for a session.
const SESSION: Duration = Duration::from_secs(3);

/// Settings of the auth service.
#[derive(Clone, Debug, Args)]
pub struct AuthServiceOptions {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    redis: RedisOptions,
    /// Password of everybody who works here (test data)
    #[arg(long, env = "LAB_PASSWORD", default_value = "correct-horse", hide_env_values = true)]
    lab_password: String,
    /// How long a session lasts, in seconds
    #[arg(long, env = "SESSION_SECONDS", default_value = "3600", value_parser = seconds)]
    session_seconds: Duration,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ended {
    result: &'static str,
}

struct Auth {
    database: Database,
    redis: RedisLink,
    password: String,
    session: Duration,
    logins: Family<Ended, Counter>,
}

const ROUTES: [(&str, &str, u16); 3] = [
    ("POST", "/api/auth/login", 200),
    ("GET", "/api/auth/session", 200),
    ("POST", "/api/auth/logout", 204),
];

/// Serves until told to stop.
pub async fn serve(options: AuthServiceOptions, service: Service) -> Result<(), ServiceError> {
    let (log, tracer) = (service.log.clone(), service.tracer.clone());
    let database = Database::new(&options.database, &service.name, tracer, log.clone());
    let mut metrics = Metrics::new(&log, &ROUTES);
    for gauge in database.gauges() {
        metrics.registry.register_collector(Box::new(gauge));
    }
    let logins = Family::<Ended, Counter>::default();
    for result in ["ok", "refused", "error"] {
        drop(logins.get_or_create(&Ended { result }));
    }
    metrics.registry.register("auth_logins", "Attempts to sign in", logins.clone());
    let auth = Arc::new(Auth {
        redis: RedisLink::start(&options.redis, "redis", log.clone()),
        database: database.clone(),
        password: options.lab_password,
        session: options.session_seconds,
        logins,
    });
    let routes = Router::new()
        .route("/health", get(health))
        .route("/api/auth/login", post(login))
        .route("/api/auth/logout", post(logout))
        .route("/api/auth/session", get(session))
        .fallback(no_such_endpoint)
        .with_state(auth);
    let schema = tokio::spawn(database.keep_schema(LAB_SCHEMA, log));
    let served = serve_routes(&options.common, &service, metrics, routes, identity).await;
    schema.abort();
    served
}

async fn health(State(auth): State<Arc<Auth>>) -> Response {
    let (database, redis) = tokio::join!(auth.database.ping(HEALTH), auth.redis.ping(HEALTH));
    health_answer([("database", database), ("redis", redis)])
}

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

/// `POST /api/auth/login`
async fn login(
    State(auth): State<Arc<Auth>>,
    Extension(call): Extension<Call>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let result = auth.sign_in(&call, body).await;
    let ended = match &result {
        Ok(_) => "ok",
        Err(refused) if refused.status.is_server_error() => "error",
        Err(_) => "refused",
    };
    auth.logins.get_or_create(&Ended { result: ended }).inc();
    answer(&call, result)
}

impl Auth {
    async fn sign_in(
        &self,
        call: &Call,
        body: Result<Bytes, BytesRejection>,
    ) -> Result<Response, Refusal> {
        let Credentials { name, password } =
            read(body, "body wants {\"name\":text,\"password\":text}")?;
        let refused = || Refusal::new(StatusCode::UNAUTHORIZED, "authentication failed");
        if !is_short(&name, 64) {
            return Err(refused());
        }
        let role = self.database.role_of(&call.context, &name).await?.ok_or_else(refused)?;
        if password != self.password {
            return Err(refused());
        }
        call.user_is(&name);
        let token = Uuid::new_v4().to_string();
        let mut command = redis::cmd("SET");
        command.arg(key(&token)).arg(&name).arg("EX").arg(self.session.as_secs().max(1));
        self.redis.ask::<()>(&command, SESSION).await?;
        Ok(Json(json!({"token": token, "user": name, "role": role})).into_response())
    }

    async fn signed_in(&self, headers: &HeaderMap) -> Result<String, Refusal> {
        let over = || Refusal::new(StatusCode::UNAUTHORIZED, "nobody is signed in");
        let token = bearer(headers).ok_or_else(over)?;
        let user: Option<String> =
            self.redis.ask(redis::cmd("GET").arg(key(token)), SESSION).await?;
        user.ok_or_else(over)
    }
}

/// `GET /api/auth/session`: who a token belongs to.
async fn session(
    State(auth): State<Arc<Auth>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
) -> Response {
    let found = async {
        let user = auth.signed_in(&headers).await?;
        call.user_is(&user);
        Ok(Json(json!({"user": user})).into_response())
    };
    answer(&call, found.await)
}

/// `POST /api/auth/logout`
async fn logout(
    State(auth): State<Arc<Auth>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
) -> Response {
    let ended = async {
        let user = auth.signed_in(&headers).await?;
        call.user_is(&user);
        if let Some(token) = bearer(&headers) {
            auth.redis.ask::<i64>(redis::cmd("DEL").arg(key(token)), SESSION).await?;
        }
        Ok(StatusCode::NO_CONTENT.into_response())
    };
    answer(&call, ended.await)
}

fn key(token: &str) -> String {
    format!("session:{token}")
}

/// The token that a request carries, if it may be one.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && is_short(token, 64)).then_some(token)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_bearers() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, text.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(read("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(read("bearer  abc ").as_deref(), Some("abc"));
        for text in ["Bearer", "Bearer ", "Basic abc", "abc"] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
