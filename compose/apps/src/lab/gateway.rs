//! The API gateway: asks the auth service who is calling, and hands the request on to the service
//! whose path it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get};
use clap::Args;
use serde::Deserialize;

use super::metrics::Metrics;
use super::observe::Call;
use super::upstream::{Asked, Upstream, parse_base};
use super::{
    BODY_LIMIT, Common, Refusal, answer, no_such_endpoint, readable, serve as serve_routes,
};
use crate::lifecycle::{Service, ServiceError, health_answer};
use crate::request::refusal;

/// Settings of the gateway.
#[derive(Clone, Debug, Args)]
pub struct GatewayOptions {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The auth service, as http://host:port
    #[arg(long, env = "AUTH_URL", value_parser = parse_base)]
    auth_url: String,
    /// The template service, as http://host:port
    #[arg(long, env = "TEMPLATE_URL", value_parser = parse_base)]
    template_url: String,
    /// The sample service, as http://host:port
    #[arg(long, env = "SAMPLE_URL", value_parser = parse_base)]
    sample_url: String,
    /// Paths that nobody has to be signed in for
    #[arg(
        long,
        env = "PUBLIC_PATHS",
        value_delimiter = ',',
        default_value = "/health,/metrics,/api/auth/login"
    )]
    public_paths: Vec<String>,
}

struct Gateway {
    auth: Upstream,
    templates: Upstream,
    samples: Upstream,
    public: BTreeSet<String>,
}

/// What the auth service says of a session.
#[derive(Deserialize)]
struct Session {
    user: String,
}

/// Who is signed in, for handlers; nobody on public paths.
#[derive(Clone)]
struct SignedIn(Option<String>);

const ROUTES: [(&str, &str, u16); 3] = [
    ("POST", "/api/auth/{*path}", 200),
    ("GET", "/api/templates", 200),
    ("GET", "/api/samples", 200),
];

/// Serves until told to stop.
pub async fn serve(options: GatewayOptions, service: Service) -> Result<(), ServiceError> {
    let gateway = Arc::new(Gateway {
        auth: Upstream::new("auth-service", &options.auth_url, &service),
        templates: Upstream::new("template-service", &options.template_url, &service),
        samples: Upstream::new("sample-service", &options.sample_url, &service),
        public: options.public_paths.iter().map(|path| path.trim().to_owned()).collect(),
    });
    let metrics = Metrics::new(&service.log, &ROUTES);
    let routes = Router::new()
        .route("/health", get(async || health_answer([("gateway", Ok(()))])))
        .route("/api/auth/{*path}", any(hand_on))
        .route("/api/templates", any(hand_on))
        .route("/api/templates/{*path}", any(hand_on))
        .route("/api/samples", any(hand_on))
        .route("/api/samples/{*path}", any(hand_on))
        .fallback(no_such_endpoint)
        .with_state(gateway.clone());
    serve_routes(&options.common, &service, metrics, routes, |routes| {
        routes.layer(middleware::from_fn_with_state(gateway, ask_who_is_calling))
    })
    .await
}

/// Before every request, but those of public paths.
async fn ask_who_is_calling(
    State(gateway): State<Arc<Gateway>>,
    mut request: Request,
    next: Next,
) -> Response {
    if gateway.public.contains(request.uri().path()) {
        request.extensions_mut().insert(SignedIn(None));
        return next.run(request).await;
    }
    // Those who watch make no spans, and so have no call; a page of theirs that is not public is
    // refused like any other.
    let Some(call) = request.extensions().get::<Call>().cloned() else {
        return refusal(StatusCode::UNAUTHORIZED, "nobody is signed in");
    };
    match gateway.session(&call, request.headers()).await {
        Ok(user) => {
            call.user_is(&user);
            request.extensions_mut().insert(SignedIn(Some(user)));
            next.run(request).await
        }
        Err(refused) => refused.answer(&call),
    }
}

impl Gateway {
    async fn session(&self, call: &Call, headers: &HeaderMap) -> Result<String, Refusal> {
        if !headers.contains_key(AUTHORIZATION) {
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, "nobody is signed in"));
        }
        let asked = Asked {
            method: Method::GET,
            path: "/api/auth/session",
            headers,
            user: None,
            body: Bytes::new(),
        };
        let answer = self.auth.ask(call, asked).await?;
        let status = answer.status();
        if status == StatusCode::UNAUTHORIZED {
            return Err(Refusal::new(status, "the session is over"));
        }
        let unreadable = |cause: String| Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            error: "service unavailable",
            cause: Some(format!("auth-service: status {status}: {cause}")),
        };
        let body = to_bytes(answer.into_body(), BODY_LIMIT)
            .await
            .map_err(|error| unreadable(error.to_string()))?;
        let session: Session =
            serde_json::from_slice(&body).map_err(|error| unreadable(error.to_string()))?;
        Ok(session.user)
    }
}

async fn hand_on(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Call>,
    Extension(SignedIn(user)): Extension<SignedIn>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let handed = async {
        let body = readable(body)?;
        let upstream = match uri.path().split('/').nth(2) {
            Some("auth") => &gateway.auth,
            Some("templates") => &gateway.templates,
            _ => &gateway.samples,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let asked = Asked { method, path, headers: &headers, user: user.as_deref(), body };
        upstream.ask(&call, asked).await
    };
    answer(&call, handed.await)
}
