//! The dashboards, asked over Grafana's HTTP API: each panel's queries are run as the browser would
//! run them.

mod frames;

use super::ask::{ApiClient, BULK, REQUEST};
use super::boards::{self, Answer, Failed, PANEL, Runner, Together};
use super::{Probe, Question};
use crate::dashboards::panels::panels;
use crate::dashboards::query::ref_id;
use crate::dashboards::{DataSource, Proxy, health_path};
use crate::secret::start_of;
use frames::Results;
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use verdict::observation::dashboards::{Annotation, Dashboard, Datasource};
use verdict::observation::{Fact, Observation};

/// Asks Grafana.
pub struct Grafana {
    client: ApiClient,
}

impl Grafana {
    pub(super) fn new(client: ApiClient) -> Grafana {
        Grafana { client }
    }

    async fn sources(&self) -> Result<Vec<DataSource>, String> {
        self.client.get("/api/datasources", &[]).await
    }

    async fn board(&self, uid: &str) -> Result<Value, String> {
        let found: Value = self.client.get(&format!("/api/dashboards/uid/{uid}"), &[]).await?;
        Ok(found["dashboard"].clone())
    }

    async fn dashboards(&self) -> Result<Vec<Fact>, String> {
        #[derive(Deserialize)]
        struct Found {
            uid: String,
            title: String,
        }
        let all: Vec<Found> =
            self.client.get("/api/search", &[("type", "dash-db"), ("limit", "5000")]).await?;
        let mut dashboards = Vec::new();
        for Found { uid, title } in all {
            let panels = panels(&self.board(&uid).await?).len() as u64;
            dashboards.push(Dashboard { uid, title, panels });
        }
        Ok(vec![Fact::Dashboards { dashboards }])
    }

    async fn answered(&self, together: &Together<'_>) -> Result<Answer, Failed> {
        let Together { panel, context, wanted, .. } = together;
        if let Some((source, target)) =
            together.asked().filter(|(source, _)| source.r#type == "jaeger")
        {
            // Its queries run in the browser, through the proxy.
            return self
                .traces(source, &together.plain(target), (context.from_ms, context.to_ms))
                .await;
        }
        let queries: Vec<Value> = together
            .queries
            .iter()
            .map(|(index, source, target)| context.query(target, *index, source, panel))
            .collect();
        let body = json!({"queries": queries, "from": context.from_ms.to_string(), "to": context.to_ms.to_string()});
        let (status, text) = self
            .client
            .send_any_within(PANEL, Method::POST, "/api/ds/query", Some(&body))
            .await
            .map_err(Failed::Server)?;
        let mut answer: Results = serde_json::from_str(&text).map_err(|e| {
            Failed::Server(format!(
                "POST /api/ds/query: HTTP {status}, not understood: {e}: {}",
                start_of(text.as_bytes())
            ))
        })?;
        Ok(
            match answer
                .results
                .remove(&ref_id(panel.targets.get(*wanted).unwrap_or(&Value::Null), *wanted))
            {
                Some(outcome) => outcome.answer(),
                None => Answer::failed(format!(
                    "HTTP {status}: {}",
                    answer.message.unwrap_or_else(|| "no result".into())
                )),
            },
        )
    }

    async fn traces(
        &self,
        source: &DataSource,
        target: &Value,
        (from_ms, to_ms): (i64, i64),
    ) -> Result<Answer, Failed> {
        let path = match target["service"].as_str() {
            Some(service) if target["queryType"] == "search" => {
                let (start, end) = (from_ms * 1000, to_ms * 1000);
                format!("api/traces?service={service}&start={start}&end={end}&limit=20")
            }
            _ => format!("api/traces/{}", target["query"].as_str().unwrap_or_default()),
        };
        let (status, text) = self.get(source, path).await.map_err(Failed::Server)?;
        let found = serde_json::from_str::<Value>(&text).unwrap_or_default();
        Ok(match (status, found["data"].as_array()) {
            (200, Some(data)) => {
                let rows = data.iter().filter(|t| t["traceID"].is_string()).count() as u64;
                Answer { frames: rows.min(1), values: rows, error: None }
            }
            _ => Answer::failed(format!("HTTP {status}: {}", start_of(text.as_bytes()))),
        })
    }

    async fn annotations(&self, tags: &[String]) -> Result<Vec<Fact>, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Found {
            #[serde(default, rename = "dashboardUID")]
            dashboard: Option<String>,
            time: i64,
            #[serde(default)]
            time_end: i64,
            #[serde(default)]
            text: String,
            #[serde(default)]
            tags: Vec<String>,
        }
        let limit = [("limit", "10000")];
        let parameters: Vec<(&str, &str)> =
            tags.iter().map(|t| ("tags", t.as_str())).chain(limit).collect();
        let found: Vec<Found> = self.client.get("/api/annotations", &parameters).await?;
        let annotation = |f: Found| Annotation {
            dashboard: f.dashboard.unwrap_or_default(),
            text: f.text,
            tags: f.tags,
            from_s: f.time as f64 / 1e3,
            to_s: f.time_end.max(f.time) as f64 / 1e3,
        };
        Ok(vec![Fact::Annotations { annotations: found.into_iter().map(annotation).collect() }])
    }

    async fn datasources(&self) -> Result<Vec<Fact>, String> {
        let mut facts = Vec::new();
        for source in self.sources().await? {
            let (ok, seen) = match self.health(&source).await {
                Ok(seen) => (true, seen),
                Err(error) => (false, error),
            };
            facts.push(Fact::Datasource(Datasource {
                name: source.name,
                uid: source.uid,
                kind: source.r#type,
                ok,
                seen,
            }));
        }
        Ok(facts)
    }

    /// A real query through the data source: the plug-in's own health check where it has one, else
    /// by the proxy, as those plug-ins work that live in the browser.
    async fn health(&self, source: &DataSource) -> Result<String, String> {
        if let Some(path) = health_path(source) {
            let (status, text) = self.get(source, path.clone()).await?;
            let seen =
                format!("GET {path} by the proxy: HTTP {status}: {}", start_of(text.as_bytes()));
            return if status == 200 { Ok(seen) } else { Err(seen) };
        }
        let (status, text) = self
            .client
            .send_any(Method::GET, &format!("/api/datasources/uid/{}/health", source.uid), None)
            .await?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        let seen = format!(
            "HTTP {status}: {}",
            answer["message"].as_str().map_or_else(|| start_of(text.as_bytes()), str::to_owned)
        );
        if status == 200 && answer["status"] == "OK" { Ok(seen) } else { Err(seen) }
    }
}

impl Proxy for Grafana {
    fn get<'a>(
        &'a self,
        source: &'a DataSource,
        path: String,
    ) -> BoxFuture<'a, Result<(u16, String), String>> {
        async move {
            self.client
                .send_any_within(
                    PANEL,
                    Method::GET,
                    &format!("/api/datasources/proxy/uid/{}/{path}", source.uid),
                    None,
                )
                .await
        }
        .boxed()
    }
}

impl Runner for Grafana {
    fn dashboard<'a>(
        &'a self,
        uid: &'a str,
    ) -> BoxFuture<'a, Result<(Vec<DataSource>, Value), String>> {
        async move { Ok((self.sources().await?, self.board(uid).await?)) }.boxed()
    }

    fn run<'a>(&'a self, together: Together<'a>) -> BoxFuture<'a, Result<Answer, Failed>> {
        async move { self.answered(&together).await }.boxed()
    }

    fn is_there(&self) -> BoxFuture<'_, bool> {
        async move { self.client.text("/api/health").await.is_ok() }.boxed()
    }
}

impl Probe for Grafana {
    fn source(&self) -> &str {
        self.client.source()
    }

    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Vec<Observation>> {
        Box::pin(async move {
            let asked = question.asked();
            match question {
                Question::Dashboards => self.client.observe(&asked, BULK, self.dashboards()).await,
                Question::Datasources => {
                    self.client.observe(&asked, BULK, self.datasources()).await
                }
                Question::Annotations { tags } => {
                    self.client.observe(&asked, BULK, self.annotations(tags)).await
                }
                Question::Panels { dashboard, start_s, end_s } => {
                    boards::ask(self, self.client.observer(), &asked, dashboard, (*start_s, *end_s))
                        .await
                }
                other => {
                    let error =
                        format!("grafana has no answer to this question: {}", other.asked());
                    self.client.observe(&asked, REQUEST, async { Err(error) }).await
                }
            }
        })
    }
}
