//! What browsers are served: one page for every path, since it finds its way by itself, and the
//! gateway under `/api`.

use std::convert::identity;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{Html, Response};
use axum::routing::{any, get};
use clap::Args;

use super::metrics::Metrics;
use super::observe::Call;
use super::upstream::{Asked, Upstream, parse_base};
use super::{Common, answer, readable, serve as serve_routes};
use crate::lifecycle::{Service, ServiceError, health_answer};

const PAGE: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Samples</title></head>\
    <body><div id=\"root\"></div></body></html>\n";

/// Settings of the frontend.
#[derive(Clone, Debug, Args)]
pub struct FrontendOptions {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The gateway, as http://host:port
    #[arg(long, env = "GATEWAY_URL", value_parser = parse_base)]
    gateway_url: String,
}

/// Serves until told to stop.
pub async fn serve(options: FrontendOptions, service: Service) -> Result<(), ServiceError> {
    let gateway = Arc::new(Upstream::new("gateway", &options.gateway_url, &service));
    let metrics = Metrics::new(&service.log, &[("GET", "/api/{*path}", 200)]);
    let routes = Router::new()
        .route("/health", get(async || health_answer([("page", Ok(()))])))
        .route("/api/{*path}", any(hand_on))
        .fallback(async || Html(PAGE))
        .with_state(gateway);
    serve_routes(&options.common, &service, metrics, routes, identity).await
}

async fn hand_on(
    State(gateway): State<Arc<Upstream>>,
    Extension(call): Extension<Call>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let handed = async {
        let body = readable(body)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        gateway.ask(&call, Asked { method, path, headers: &headers, user: None, body }).await
    };
    answer(&call, handed.await)
}
