//! Templates: which columns a kind of sample has.

use std::convert::identity;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::metrics::Metrics;
use super::observe::Call;
use super::{
    Common, Limit, Refusal, answer, created, is_short, no_such_endpoint, read,
    serve as serve_routes, user,
};
use crate::database::{Database, DatabaseOptions, LAB_SCHEMA, NewTemplate};
use crate::lifecycle::{Service, ServiceError, health_answer};

/// How long a health check asks.
const HEALTH: Duration = Duration::from_millis(1_500);
/// Columns of a template.
const COLUMNS: usize = 50;

/// Settings of the template service.
#[derive(Clone, Debug, Args)]
pub struct TemplateServiceOptions {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    database: DatabaseOptions,
}

const ROUTES: [(&str, &str, u16); 3] = [
    ("GET", "/api/templates", 200),
    ("POST", "/api/templates", 201),
    ("GET", "/api/templates/{id}", 200),
];

/// Serves until told to stop.
pub async fn serve(options: TemplateServiceOptions, service: Service) -> Result<(), ServiceError> {
    let (log, tracer) = (service.log.clone(), service.tracer.clone());
    let database = Database::new(&options.database, &service.name, tracer, log.clone());
    let mut metrics = Metrics::new(&log, &ROUTES);
    for gauge in database.gauges() {
        metrics.registry.register_collector(Box::new(gauge));
    }
    let routes = Router::new()
        .route("/health", get(health))
        .route("/api/templates", get(list).post(create))
        .route("/api/templates/{id}", get(show))
        .fallback(no_such_endpoint)
        .with_state(Arc::new(database.clone()));
    let schema = tokio::spawn(database.keep_schema(LAB_SCHEMA, log));
    let served = serve_routes(&options.common, &service, metrics, routes, identity).await;
    schema.abort();
    served
}

async fn health(State(database): State<Arc<Database>>) -> Response {
    health_answer([("database", database.ping(HEALTH).await)])
}

#[derive(Deserialize)]
struct Draft {
    name: String,
    columns: Vec<String>,
}

/// `POST /api/templates`
async fn create(
    State(database): State<Arc<Database>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let made = async {
        let author = user(&headers, &call)?;
        let Draft { name, columns } = read(body, "body wants {\"name\":text,\"columns\":[text]}")?;
        if !is_short(&name, 200) {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "name wants 1 to 200 characters"));
        }
        if !(1..=COLUMNS).contains(&columns.len()) || !columns.iter().all(|c| is_short(c, 64)) {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "columns wants 1 to 50 names"));
        }
        let operation_id = call.operation_id.clone();
        let template = NewTemplate { name, columns, author, operation_id };
        let id = database.insert_template(&call.context, &template).await?;
        Ok(created(id, json!({})))
    };
    answer(&call, made.await)
}

/// `GET /api/templates?limit=N`
async fn list(
    State(database): State<Arc<Database>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Query(limit): Query<Limit>,
) -> Response {
    let listed = async {
        user(&headers, &call)?;
        Ok(Json(database.list_templates(&call.context, limit.read()?).await?).into_response())
    };
    answer(&call, listed.await)
}

/// `GET /api/templates/{id}`
async fn show(
    State(database): State<Arc<Database>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    let shown = async {
        user(&headers, &call)?;
        let missing = || Refusal::new(StatusCode::NOT_FOUND, "no such template");
        let id: i64 = id.parse().map_err(|_| missing())?;
        let template = database.template(&call.context, id).await?.ok_or_else(missing)?;
        Ok(Json(template).into_response())
    };
    answer(&call, shown.await)
}
