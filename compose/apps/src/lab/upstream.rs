//! Asking another service of the laboratory over HTTP: bounded, and traced.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::response::Response;

use super::observe::Call;
use super::{Refusal, USER};
use crate::dependency::Dependency;
use crate::lifecycle::Service;
use crate::trace::SpanKind;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(2);
/// How long an answer may take: less than those who wait for ours do.
const ANSWER: Duration = Duration::from_secs(5);
/// What is handed on of a request.
const HANDED_ON: [HeaderName; 3] =
    [AUTHORIZATION, CONTENT_TYPE, HeaderName::from_static("x-operation-id")];

/// Another service.
pub(super) struct Upstream {
    name: &'static str,
    base: String,
    client: reqwest::Client,
    service: Service,
    dependency: Dependency,
}

/// What is asked of it.
pub(super) struct Asked<'a> {
    pub(super) method: Method,
    /// Path and query, beginning with a slash.
    pub(super) path: &'a str,
    /// Headers of the request that this is about.
    pub(super) headers: &'a HeaderMap,
    /// Who is calling, if that is known.
    pub(super) user: Option<&'a str>,
    pub(super) body: Bytes,
}

/// An address such as `http://auth-service:8010`.
pub(super) fn parse_base(url: &str) -> Result<String, String> {
    let wanted = "it wants http://host:port";
    let address = url.strip_prefix("http://").ok_or_else(|| format!("{url}: {wanted}"))?;
    let address = address.trim_end_matches('/');
    match address.rsplit_once(':') {
        Some((host, port))
            if !host.is_empty() && !host.contains(['/', '@']) && port.parse::<u16>().is_ok() =>
        {
            Ok(format!("http://{address}"))
        }
        _ => Err(format!("{url}: {wanted}")),
    }
}

impl Upstream {
    pub(super) fn new(name: &'static str, base: &str, service: &Service) -> Self {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .pool_idle_timeout(Duration::from_secs(20))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            // Only what TLS needs could be missing, and there is none.
            .unwrap_or_default();
        let dependency = Dependency::new(name, service.log.clone());
        Self { name, base: base.to_owned(), client, service: service.clone(), dependency }
    }

    /// Its answer, whatever its status.
    pub(super) async fn ask(&self, call: &Call, asked: Asked<'_>) -> Result<Response, Refusal> {
        let tracer = &self.service.tracer;
        let span = tracer.span(format!("ask {}", self.name), SpanKind::Client, &call.context);
        span.set("server.address", self.name);
        let mut request = self.client.request(asked.method, format!("{}{}", self.base, asked.path));
        for name in &HANDED_ON {
            if let Some(value) = asked.headers.get(name) {
                request = request.header(name, value);
            }
        }
        if let Some(user) = asked.user {
            request = request.header(USER, user);
        }
        if let Some(traceparent) = tracer.inject(&span) {
            request = request.header("traceparent", traceparent);
        }
        let answered = async {
            let answer = request.body(asked.body).send().await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, answer.bytes().await?))
        };
        let result = answered.await;
        span.end_with(&result);
        match result {
            Ok((status, headers, bytes)) => {
                self.dependency.up();
                let mut response = Response::new(Body::from(bytes));
                *response.status_mut() = status;
                if let Some(kind) = headers.get(CONTENT_TYPE) {
                    response.headers_mut().insert(CONTENT_TYPE, kind.clone());
                }
                Ok(response)
            }
            Err(error) => {
                let reason = chain(&error);
                self.dependency.down(&reason);
                let (status, text) = if error.is_timeout() {
                    (StatusCode::GATEWAY_TIMEOUT, "service did not answer in time")
                } else {
                    (StatusCode::SERVICE_UNAVAILABLE, "service unavailable")
                };
                Err(Refusal {
                    status,
                    error: text,
                    cause: Some(format!("{}: {reason}", self.name)),
                })
            }
        }
    }
}

/// The error with its causes, without the address, whose path may hold what callers sent.
fn chain(error: &reqwest::Error) -> String {
    let mut source = std::error::Error::source(error);
    let mut text = if error.is_timeout() { "timed out".to_owned() } else { "failed".to_owned() };
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_a_host_and_a_port() {
        assert_eq!(parse_base("http://auth:8010/").unwrap(), "http://auth:8010");
        for url in [
            "",
            "auth:8010",
            "https://auth:8010",
            "http://auth",
            "http://:1",
            "http://a:b",
            "http://a/b:1",
            "http://u@a:1",
        ] {
            assert!(parse_base(url).unwrap_err().contains("http://host:port"), "{url:?}");
        }
    }
}
