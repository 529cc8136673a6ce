//! Samples: registered by barcode, each by a template that the template service knows. Those that
//! were looked up lately are kept in Redis.

use std::convert::identity;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use clap::Args;
use prometheus_client::metrics::counter::Counter;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::metrics::Metrics;
use super::observe::Call;
use super::upstream::{Asked, Upstream, parse_base};
use super::{
    Common, Limit, Refusal, answer, created, is_short, json_text, no_such_endpoint, read,
    serve as serve_routes, user,
};
use crate::database::{Database, DatabaseOptions, LAB_SCHEMA, NewSample, Stored};
use crate::lifecycle::{Service, ServiceError, health_answer};
use crate::redis_link::{RedisLink, RedisOptions};

/// How long a health check asks.
const HEALTH: Duration = Duration::from_millis(1_500);
/// A cache that is slower than this is not waited for.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a sample is kept in Redis, in seconds. Nothing changes one.
const KEEP: u64 = 30;

/// Settings of the sample service.
#[derive(Clone, Debug, Args)]
pub struct SampleServiceOptions {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    redis: RedisOptions,
    /// The template service, as http://host:port
    #[arg(long, env = "TEMPLATE_URL", value_parser = parse_base)]
    template_url: String,
}

struct Samples {
    database: Database,
    redis: RedisLink,
    templates: Upstream,
    registered: Counter,
    hits: Counter,
    misses: Counter,
}

const ROUTES: [(&str, &str, u16); 3] = [
    ("GET", "/api/samples", 200),
    ("POST", "/api/samples", 201),
    ("GET", "/api/samples/{barcode}", 200),
];

/// Serves until told to stop.
pub async fn serve(options: SampleServiceOptions, service: Service) -> Result<(), ServiceError> {
    let (log, tracer) = (service.log.clone(), service.tracer.clone());
    let database = Database::new(&options.database, &service.name, tracer, log.clone());
    let mut metrics = Metrics::new(&log, &ROUTES);
    for gauge in database.gauges() {
        metrics.registry.register_collector(Box::new(gauge));
    }
    let samples = Arc::new(Samples {
        database: database.clone(),
        redis: RedisLink::start(&options.redis, "redis", log.clone()),
        templates: Upstream::new("template-service", &options.template_url, &service),
        registered: Counter::default(),
        hits: Counter::default(),
        misses: Counter::default(),
    });
    let registry = &mut metrics.registry;
    registry.register("samples_registered", "Samples stored", samples.registered.clone());
    registry.register("cache_hits", "Samples found in the cache", samples.hits.clone());
    registry.register("cache_misses", "Samples that it did not know", samples.misses.clone());
    let routes = Router::new()
        .route("/health", get(health))
        .route("/api/samples", get(list).post(register))
        .route("/api/samples/{barcode}", get(show))
        .fallback(no_such_endpoint)
        .with_state(samples);
    let schema = tokio::spawn(database.keep_schema(LAB_SCHEMA, log));
    let served = serve_routes(&options.common, &service, metrics, routes, identity).await;
    schema.abort();
    served
}

async fn health(State(samples): State<Arc<Samples>>) -> Response {
    let (database, redis) = tokio::join!(samples.database.ping(HEALTH), samples.redis.ping(HEALTH));
    health_answer([("database", database), ("redis", redis)])
}

#[derive(Deserialize)]
struct Draft {
    barcode: String,
    #[serde(deserialize_with = "number")]
    template_id: i64,
}

/// A number, or its digits as text: forms send text.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.parse().map_err(D::Error::custom),
    }
}

/// `POST /api/samples`
async fn register(
    State(samples): State<Arc<Samples>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let made = async {
        let author = user(&headers, &call)?;
        let Draft { barcode, template_id } =
            read(body, "body wants {\"barcode\":text,\"template_id\":number}")?;
        if !is_short(&barcode, 64) || barcode.contains('/') {
            let wanted = "barcode wants 1 to 64 characters, none of them a slash";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, wanted));
        }
        samples.known_template(&call, &headers, &author, template_id).await?;
        let operation_id = call.operation_id.clone();
        let sample = NewSample { barcode, template_id, author, operation_id };
        match samples.database.insert_sample(&call.context, &sample).await? {
            Stored::New(id) => {
                samples.registered.inc();
                Ok(created(id, json!({"barcode": sample.barcode})))
            }
            Stored::Known => Err(Refusal::new(StatusCode::CONFLICT, "barcode is taken")),
        }
    };
    answer(&call, made.await)
}

impl Samples {
    /// Asks the template service.
    async fn known_template(
        &self,
        call: &Call,
        headers: &HeaderMap,
        user: &str,
        id: i64,
    ) -> Result<(), Refusal> {
        let path = format!("/api/templates/{id}");
        let user = Some(user);
        let asked = Asked { method: Method::GET, path: &path, headers, user, body: Bytes::new() };
        match self.templates.ask(call, asked).await?.status() {
            StatusCode::OK => Ok(()),
            StatusCode::NOT_FOUND => {
                Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "no such template"))
            }
            status => Err(Refusal {
                status: StatusCode::SERVICE_UNAVAILABLE,
                error: "service unavailable",
                cause: Some(format!("template-service: status {status}")),
            }),
        }
    }
}

/// `GET /api/samples?limit=N`
async fn list(
    State(samples): State<Arc<Samples>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Query(limit): Query<Limit>,
) -> Response {
    let listed = async {
        user(&headers, &call)?;
        let listed = samples.database.list_samples(&call.context, limit.read()?).await?;
        Ok(Json(listed).into_response())
    };
    answer(&call, listed.await)
}

/// `GET /api/samples/{barcode}`
async fn show(
    State(samples): State<Arc<Samples>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Path(barcode): Path<String>,
) -> Response {
    let shown = async {
        user(&headers, &call)?;
        let missing = || Refusal::new(StatusCode::NOT_FOUND, "no such sample");
        if !is_short(&barcode, 64) {
            return Err(missing());
        }
        let key = format!("sample:{barcode}");
        // A cache that can't be asked costs its benefit and nothing else.
        let known: Result<Option<String>, _> =
            samples.redis.ask(redis::cmd("GET").arg(&key), PATIENCE).await;
        if let Ok(Some(text)) = known {
            samples.hits.inc();
            return Ok(json_text(text));
        }
        samples.misses.inc();
        let sample = samples.database.sample(&call.context, &barcode).await?.ok_or_else(missing)?;
        let text = serde_json::to_string(&sample).map_err(|error| Refusal {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            error: "internal error",
            cause: Some(error.to_string()),
        })?;
        let mut command = redis::cmd("SET");
        command.arg(&key).arg(&text).arg("EX").arg(KEEP);
        let _ = samples.redis.ask::<()>(&command, PATIENCE).await;
        Ok(json_text(text))
    };
    answer(&call, shown.await)
}
