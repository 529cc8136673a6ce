//! Asking a backend over HTTP: bounded, timed, and turned into observations whatever happens.

use crate::backend::{Client, innermost};
use crate::process::clock::RunClock;
use crate::secret::start_of;
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use std::future::Future;
use std::time::Duration;
use verdict::history::At;
use verdict::observation::asked::Asked;
use verdict::observation::{Fact, Observation};

/// Bound of one request.
pub(crate) const REQUEST: Duration = Duration::from_secs(5);
/// Bound of a question that takes many requests: pages of documents, traces, samples.
pub(crate) const BULK: Duration = Duration::from_secs(60);

/// Makes observations of what a source answers.
pub(crate) struct Observer {
    /// Who is asked.
    pub(crate) source: String,
    /// The run's clock.
    pub(crate) clock: RunClock,
}

impl Observer {
    /// Does `work` within `bound` and makes an observation of each fact, or of the failure.
    pub(crate) async fn observe(
        &self,
        question: &Asked,
        bound: Duration,
        work: impl Future<Output = Result<Vec<Fact>, String>>,
    ) -> Vec<Observation> {
        let asked = self.clock.now();
        let facts = match tokio::time::timeout(bound, work).await {
            Ok(Ok(facts)) => facts,
            Ok(Err(error)) => vec![unreachable_fact(question.clone(), error)],
            Err(_) => vec![unreachable_fact(
                question.clone(),
                format!("no answer within {} s", bound.as_secs_f64()),
            )],
        };
        let answered = self.clock.now();
        let took_ms = (answered.mono_us - asked.mono_us) / 1000;
        tracing::debug!(source = %self.source, %question, took_ms, facts = facts.len(), "asked");
        facts
            .into_iter()
            .map(|fact| Observation {
                source: self.source.clone(),
                via: None,
                asked,
                answered,
                fact,
            })
            .collect()
    }
}

/// A backend with what it takes to ask it.
pub(crate) struct ApiClient {
    observer: Observer,
    client: Client,
}

impl ApiClient {
    /// A backend, by what answers are called that it gives.
    pub(crate) fn new(source: &str, client: Client, clock: RunClock) -> ApiClient {
        ApiClient { observer: Observer { source: source.to_owned(), clock }, client }
    }

    /// Service that is asked.
    pub(crate) fn source(&self) -> &str {
        &self.observer.source
    }

    /// What makes observations of its answers.
    pub(crate) fn observer(&self) -> &Observer {
        &self.observer
    }

    /// Does `work` within `bound` and makes an observation of each fact, or of the failure.
    pub(crate) async fn observe(
        &self,
        question: &Asked,
        bound: Duration,
        work: impl Future<Output = Result<Vec<Fact>, String>>,
    ) -> Vec<Observation> {
        self.observer.observe(question, bound, work).await
    }

    /// Now, on the run's clock.
    pub(crate) fn now(&self) -> At {
        self.observer.clock.now()
    }

    /// GET with parameters; the answer is JSON.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Result<T, String> {
        let what = format!("GET {path}");
        let body = self.answer(&what, self.request(Method::GET, path, parameters)).await?;
        understood(&what, &body)
    }

    /// GET; the answer is text.
    pub(crate) async fn text(&self, path: &str) -> Result<String, String> {
        let body =
            self.answer(&format!("GET {path}"), self.request(Method::GET, path, &[])).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// POST of a form, for parameters that may be long.
    pub(crate) async fn post_form<T: DeserializeOwned>(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Result<T, String> {
        let what = format!("POST {path}");
        let request = self
            .request(Method::POST, path, &[])
            .header("content-type", "application/x-www-form-urlencoded")
            .body(self.client.form(parameters));
        understood(&what, &self.answer(&what, request).await?)
    }

    /// Any method with a JSON body; the answer is JSON.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&str, &str)],
        body: &serde_json::Value,
    ) -> Result<T, String> {
        let what = format!("{method} {path}");
        let request = self.request(method, path, parameters).json(body);
        understood(&what, &self.answer(&what, request).await?)
    }

    /// As `send`, but an answer with an error status is returned too, with the status.
    pub(crate) async fn send_any(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<(u16, String), String> {
        self.send_any_within(REQUEST, method, path, body).await
    }

    /// As `send_any`, with a bound of its own.
    pub(crate) async fn send_any_within(
        &self,
        bound: Duration,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<(u16, String), String> {
        let mut request = self.request(method.clone(), path, &[]);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.any_answer(bound, &format!("{method} {path}"), request).await
    }

    /// POST of a text of this type; an answer with an error status is returned too, with the
    /// status.
    pub(crate) async fn post_any_within(
        &self,
        bound: Duration,
        path: &str,
        content_type: &str,
        body: String,
    ) -> Result<(u16, String), String> {
        let request =
            self.request(Method::POST, path, &[]).header("content-type", content_type).body(body);
        self.any_answer(bound, &format!("POST {path}"), request).await
    }

    async fn any_answer(
        &self,
        bound: Duration,
        what: &str,
        request: RequestBuilder,
    ) -> Result<(u16, String), String> {
        let request = request.timeout(bound);
        let failed = |e: reqwest::Error| failure(what, bound, &e);
        let response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        Ok((status, response.text().await.map_err(failed)?))
    }

    fn request(&self, method: Method, path: &str, parameters: &[(&str, &str)]) -> RequestBuilder {
        self.client.request(method, path, parameters).timeout(REQUEST)
    }

    async fn answer(&self, what: &str, request: RequestBuilder) -> Result<Vec<u8>, String> {
        let response = request.send().await.map_err(|e| failure(what, REQUEST, &e))?;
        let status = response.status();
        let body = response.bytes().await.map_err(|e| failure(what, REQUEST, &e))?;
        if status.is_success() {
            Ok(body.to_vec())
        } else {
            Err(format!("{what}: HTTP {status}: {}", start_of(&body)))
        }
    }
}

/// The fact that a question was not answered.
pub(crate) fn unreachable_fact(question: Asked, error: impl Into<String>) -> Fact {
    Fact::Unreachable { question, error: error.into() }
}

fn understood<T: DeserializeOwned>(what: &str, body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body)
        .map_err(|e| format!("{what}: answer not understood: {e}: {}", start_of(body)))
}

/// Why a request failed.
fn failure(what: &str, bound: Duration, error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("{what}: no answer within {} s", bound.as_secs());
    }
    format!("{what}: {}", innermost(error))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::backend::{Access, Redirects};

    /// A backend that answers anybody, on this port of 127.0.0.1.
    pub(crate) fn plain(source: &str, port: u16) -> ApiClient {
        let client = Client::new(&Access::plain(port), Redirects::Followed).expect("a client");
        ApiClient::new(source, client, RunClock::begin())
    }
}
