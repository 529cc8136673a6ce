//! The dashboards, asked over Grafana's HTTP API: each panel's queries are run as the browser would run them.

mod frames;
mod panels;
mod variables;

use super::ask::{Asker, BULK, REQUEST, start_of};
use super::{Probe, Question};
use frames::{Outcome, Results};
use futures::future::BoxFuture;
use panels::PanelModel;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use variables::{Style, Values, Variable};
use verdict::observation::dashboards::{Annotation, Dashboard, Datasource, Panel};
use verdict::observation::{Fact, Observation};

/// Bound of a panel's query. People wait no longer, and Grafana itself gives up on a data source by then (`dataproxy.timeout`).
const PANEL: Duration = Duration::from_secs(30);

/// Asks Grafana.
pub struct Grafana {
    asker: Asker,
}

/// A data source as Grafana knows it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    uid: String,
    name: String,
    r#type: String,
    #[serde(default)]
    is_default: bool,
    #[serde(default)]
    json_data: Value,
}

/// What all queries of a dashboard share.
struct Context {
    sources: Vec<Source>,
    values: Values,
    /// Variables that have no value, with the reason: queries that use them fail, the others don't.
    unresolved: BTreeMap<String, String>,
    from_ms: i64,
    to_ms: i64,
}

impl Grafana {
    pub(super) fn new(asker: Asker) -> Grafana {
        Grafana { asker }
    }

    async fn sources(&self) -> Result<Vec<Source>, String> {
        self.asker.get("/api/datasources", &[]).await
    }

    async fn dashboard(&self, uid: &str) -> Result<Value, String> {
        let found: Value = self.asker.get(&format!("/api/dashboards/uid/{uid}"), &[]).await?;
        Ok(found["dashboard"].clone())
    }

    async fn dashboards(&self) -> Result<Vec<Fact>, String> {
        #[derive(Deserialize)]
        struct Found {
            uid: String,
            title: String,
        }
        let all: Vec<Found> = self.asker.get("/api/search", &[("type", "dash-db"), ("limit", "5000")]).await?;
        let mut dashboards = Vec::new();
        for Found { uid, title } in all {
            let panels = panels::panels(&self.dashboard(&uid).await?).len() as u64;
            dashboards.push(Dashboard { uid, title, panels });
        }
        Ok(vec![Fact::Dashboards { dashboards }])
    }

    /// One observation for each query of each panel.
    async fn panels(&self, question: &str, uid: &str, start_s: f64, end_s: f64) -> Vec<Observation> {
        let began = Instant::now();
        let asked = self.asker.now();
        let prepared = tokio::time::timeout(BULK, async {
            let (sources, dashboard) = (self.sources().await?, self.dashboard(uid).await?);
            let (from_ms, to_ms) = ((start_s * 1e3) as i64, (end_s * 1e3) as i64);
            let mut context = Context { sources, values: Values::new(), unresolved: BTreeMap::new(), from_ms, to_ms };
            for variable in variables::variables(&dashboard) {
                match self.resolve(&variable, &context).await {
                    Ok(values) => drop(context.values.insert(variable.name, values)),
                    Err(error) => drop(context.unresolved.insert(variable.name, error)),
                }
            }
            Ok::<_, String>((context, panels::panels(&dashboard)))
        });
        let (context, models) = match prepared.await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return self.asker.observe(question, BULK, async { Err(error) }).await,
            Err(_) => return self.asker.observe(question, BULK, async { Err("no answer within 60 s".into()) }).await,
        };
        let mut observations = Vec::new();
        for panel in &models {
            if began.elapsed() > BULK {
                let error = format!("given up before panel {} after {} s", panel.title, BULK.as_secs());
                observations.extend(self.asker.observe(question, BULK, async { Err(error) }).await);
                break;
            }
            observations.extend(self.asker.observe(question, BULK, self.panel(uid, panel, &context)).await);
        }
        if models.is_empty() {
            let error = format!("dashboard {uid} has no panel with a query");
            let mut none = self.asker.observe(question, BULK, async { Err(error) }).await;
            none.iter_mut().for_each(|o| o.asked = asked);
            return none;
        }
        observations
    }

    async fn panel(&self, uid: &str, panel: &PanelModel, context: &Context) -> Result<Vec<Fact>, String> {
        let computed = panel.targets.iter().any(|t| t["datasource"]["uid"] == "__expr__" || t["datasource"]["type"] == "__expr__");
        let shown = |target: &Value| !target["hide"].as_bool().unwrap_or(false);
        let mut facts = Vec::new();
        for (index, target) in panel.targets.iter().enumerate().filter(|(_, t)| shown(t)) {
            let began = Instant::now();
            // A computed query needs those that it is computed from in the same request.
            let together: Vec<(usize, &Value)> = if computed { panel.targets.iter().enumerate().collect() } else { vec![(index, target)] };
            let ran = self.run(panel, &together, index, context).await;
            let took = began.elapsed();
            let timed_out = took >= PANEL;
            let (source, outcome) = match ran {
                Ok(found) => found,
                Err(Failed::Query { datasource, error }) => (datasource, Outcome::failed(error)),
                // Whoever answers something else meanwhile is there: it is the query that takes so long.
                Err(Failed::Server(error)) if timed_out && self.asker.text("/api/health").await.is_ok() => {
                    (as_written(&panel.datasource), Outcome::failed(error))
                }
                Err(Failed::Server(error)) => return Err(error),
            };
            facts.push(Fact::Panel(Panel {
                dashboard: uid.to_owned(),
                panel: panel.title.clone(),
                query: as_written(target),
                datasource: source,
                frames: outcome.frames(),
                values: outcome.values(),
                timed_out: timed_out && outcome.error.is_some(),
                error: outcome.error,
                took_s: took.as_secs_f64(),
            }));
        }
        Ok(facts)
    }

    /// Runs queries in one request and gives the outcome of the one at `wanted`, with its data source's name.
    async fn run(
        &self,
        panel: &PanelModel,
        together: &[(usize, &Value)],
        wanted: usize,
        context: &Context,
    ) -> Result<(String, Outcome), Failed> {
        let mut queries = Vec::new();
        let mut name = String::new();
        for (index, target) in together {
            let reference = if target["datasource"].is_null() { &panel.datasource } else { &target["datasource"] };
            let refused = |error: String| Failed::Query { datasource: as_written(reference), error };
            if let Some(error) = context.lacks(target).or_else(|| context.lacks(reference)) {
                return Err(refused(error));
            }
            let source = context.source(reference).map_err(refused)?;
            if *index == wanted {
                name.clone_from(&source.name);
                if source.r#type == "jaeger" {
                    // Its queries run in the browser, through the proxy.
                    return self.traces(&source, target, context).await.map(|outcome| (name, outcome));
                }
            }
            queries.push(context.query(target, *index, &source, panel));
        }
        let body = json!({"queries": queries, "from": context.from_ms.to_string(), "to": context.to_ms.to_string()});
        let (status, text) = self.asker.send_any_within(PANEL, Method::POST, "/api/ds/query", Some(&body)).await.map_err(Failed::Server)?;
        let refused = |error: String| Failed::Query { datasource: name.clone(), error };
        let mut answer: Results = serde_json::from_str(&text).map_err(|e| {
            Failed::Server(format!("POST /api/ds/query: HTTP {status}, not understood: {e}: {}", start_of(text.as_bytes())))
        })?;
        match answer.results.remove(&ref_id(panel.targets.get(wanted).unwrap_or(&Value::Null), wanted)) {
            Some(outcome) => Ok((name, outcome)),
            None => Err(refused(format!("HTTP {status}: {}", answer.message.unwrap_or_else(|| "no result".into())))),
        }
    }

    async fn traces(&self, source: &Source, target: &Value, context: &Context) -> Result<Outcome, Failed> {
        let mut target = target.clone();
        variables::put_all(&mut target, &context.values, Style::Glob);
        let path = match target["service"].as_str() {
            Some(service) if target["queryType"] == "search" => {
                let (start, end) = (context.from_ms * 1000, context.to_ms * 1000);
                format!("api/traces?service={service}&start={start}&end={end}&limit=20")
            }
            _ => format!("api/traces/{}", target["query"].as_str().unwrap_or_default()),
        };
        let (status, text) = self.proxied(source, &path).await.map_err(Failed::Server)?;
        let found = serde_json::from_str::<Value>(&text).unwrap_or_default();
        match (status, found["data"].as_array()) {
            (200, Some(data)) => {
                let rows: Vec<&str> = data.iter().filter_map(|t| t["traceID"].as_str()).collect();
                let frame = json!({"frames": [{"schema": {"fields": [{"type": "string"}]}, "data": {"values": [rows]}}]});
                serde_json::from_value(frame).map_err(|e| Failed::Server(e.to_string()))
            }
            _ => Err(Failed::Query { datasource: source.name.clone(), error: format!("HTTP {status}: {}", start_of(text.as_bytes())) }),
        }
    }

    async fn proxied(&self, source: &Source, path: &str) -> Result<(u16, String), String> {
        self.asker.send_any_within(PANEL, Method::GET, &format!("/api/datasources/proxy/uid/{}/{path}", source.uid), None).await
    }

    /// The values of a variable: those that the dashboard was saved with, else what its query gives now.
    async fn resolve(&self, variable: &Variable, context: &Context) -> Result<Vec<String>, String> {
        if let (true, Some(all)) = (variable.all, &variable.all_value) {
            return Ok(vec![all.clone()]);
        }
        if !variable.selected.is_empty() {
            return Ok(variable.selected.clone());
        }
        let options = match variable.kind.as_str() {
            "datasource" => {
                let mut of_kind: Vec<&Source> = context.sources.iter().filter(|s| s.r#type == variable.query).collect();
                of_kind.sort_by_key(|s| !s.is_default);
                of_kind.iter().map(|s| s.uid.clone()).collect()
            }
            "query" => self.queried(variable, context).await?,
            "adhoc" => return Ok(Vec::new()),
            _ => variable.listed(),
        };
        Ok(match (variable.all, options.is_empty()) {
            (true, false) => options,
            (true, true) => vec![".*".into()],
            (false, _) => options.into_iter().take(1).collect(),
        })
    }

    async fn queried(&self, variable: &Variable, context: &Context) -> Result<Vec<String>, String> {
        let query = variables::put(&variable.query, &context.values, Style::Regex);
        let Some((selector, label)) = variables::label_values(&query) else {
            return Err(format!("variable {}: query {query:?} is not understood; label_values(metric, label) is", variable.name));
        };
        let source = context.source(&variable.datasource)?;
        let mut url = reqwest::Url::parse("http://x/").map_err(|e| e.to_string())?;
        url.query_pairs_mut().append_pair("start", &(context.from_ms / 1000).to_string());
        url.query_pairs_mut().append_pair("end", &(context.to_ms / 1000 + 1).to_string());
        if let Some(selector) = selector {
            url.query_pairs_mut().append_pair("match[]", selector);
        }
        let path = format!("api/v1/label/{label}/values?{}", url.query().unwrap_or_default());
        let (status, text) = self.proxied(&source, &path).await?;
        let found: Value = serde_json::from_str(&text).unwrap_or_default();
        let Some(values) = found["data"].as_array() else {
            return Err(format!("variable {}: {query}: HTTP {status}: {}", variable.name, start_of(text.as_bytes())));
        };
        variable.filtered(values.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect())
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
        let parameters: Vec<(&str, &str)> = tags.iter().map(|t| ("tags", t.as_str())).chain(limit).collect();
        let found: Vec<Found> = self.asker.get("/api/annotations", &parameters).await?;
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
            facts.push(Fact::Datasource(Datasource { name: source.name, uid: source.uid, kind: source.r#type, ok, seen }));
        }
        Ok(facts)
    }

    /// A real query through the data source: the plug-in's own health check where it has one, else by the proxy, as those
    /// plug-ins work that live in the browser.
    async fn health(&self, source: &Source) -> Result<String, String> {
        let proxied = match source.r#type.as_str() {
            "elasticsearch" => {
                let index = source.json_data["index"].as_str().filter(|i| !i.is_empty()).unwrap_or("*");
                Some(format!("{}/_mapping", plain_index(index)))
            }
            "jaeger" => Some("api/services".to_owned()),
            "alertmanager" => Some("api/v2/status".to_owned()),
            "tempo" => Some("api/echo".to_owned()),
            "zipkin" => Some("api/v2/services".to_owned()),
            _ => None,
        };
        if let Some(path) = proxied {
            let (status, text) = self.proxied(source, &path).await?;
            let seen = format!("GET {path} by the proxy: HTTP {status}: {}", start_of(text.as_bytes()));
            return if status == 200 { Ok(seen) } else { Err(seen) };
        }
        let (status, text) = self.asker.send_any(Method::GET, &format!("/api/datasources/uid/{}/health", source.uid), None).await?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        let seen = format!("HTTP {status}: {}", answer["message"].as_str().map_or_else(|| start_of(text.as_bytes()), str::to_owned));
        if status == 200 && answer["status"] == "OK" { Ok(seen) } else { Err(seen) }
    }
}

/// A daily index name with its date as a wildcard: `[logs-]YYYY.MM.DD` → `logs-*`.
fn plain_index(index: &str) -> String {
    match index.strip_prefix('[').and_then(|i| i.split_once(']')) {
        Some((prefix, _)) => format!("{prefix}*"),
        None => index.to_owned(),
    }
}

enum Failed {
    /// The query is refused, or its data source is.
    Query { datasource: String, error: String },
    /// Grafana itself can't be asked.
    Server(String),
}

impl Context {
    /// Why a query can't be written, if a variable in it has no value.
    fn lacks(&self, target: &Value) -> Option<String> {
        let text = target.to_string();
        let used = |name: &str| variables::names(&text).any(|used| used == name);
        self.unresolved.iter().find(|(name, _)| used(name)).map(|(_, error)| error.clone())
    }

    /// The data source that a reference means: by name, uid, variable, or the default one.
    fn source(&self, reference: &Value) -> Result<Source, String> {
        let named = reference["uid"].as_str().or(reference.as_str());
        let named = named.map(|n| variables::put(n, &self.values, Style::Glob)).filter(|n| !n.is_empty() && n != "default");
        let Some(named) = named else {
            let kind = reference["type"].as_str();
            let default = self.sources.iter().find(|s| s.is_default && kind.is_none_or(|k| k == s.r#type));
            let only = || self.sources.iter().find(|s| kind.is_some_and(|k| k == s.r#type));
            return default.or_else(only).cloned().ok_or_else(|| "there is no default data source".into());
        };
        if ["__expr__", "grafana", "-- Grafana --"].contains(&named.as_str()) {
            let kind = if named == "__expr__" { "__expr__" } else { "datasource" };
            let uid = if named == "__expr__" { named } else { "grafana".into() };
            return Ok(Source { name: uid.clone(), uid, r#type: kind.into(), is_default: false, json_data: Value::Null });
        }
        let found = self.sources.iter().find(|s| s.uid == named).or_else(|| self.sources.iter().find(|s| s.name == named));
        found.cloned().ok_or_else(|| format!("data source {named:?} does not exist"))
    }

    /// A query as the browser sends it.
    fn query(&self, target: &Value, index: usize, source: &Source, panel: &PanelModel) -> Value {
        let range_ms = (self.to_ms - self.from_ms).max(1);
        let interval_ms = (range_ms / i64::try_from(panel.max_data_points).unwrap_or(500)).max(1);
        let mut query = target.clone();
        let prometheus = source.r#type == "prometheus";
        let mut values = self.values.clone();
        if !prometheus {
            // Prometheus' plug-in puts its own into what it is sent.
            for (name, value) in [
                ("__interval", format!("{interval_ms}ms")),
                ("__interval_ms", interval_ms.to_string()),
                ("__rate_interval", format!("{}ms", interval_ms * 4)),
                ("__range", format!("{}s", range_ms / 1000)),
                ("__range_s", (range_ms / 1000).to_string()),
                ("__range_ms", range_ms.to_string()),
            ] {
                values.insert(name.to_owned(), vec![value]);
            }
        }
        let style = match source.r#type.as_str() {
            "elasticsearch" | "opensearch" => Style::Lucene,
            _ => Style::Regex,
        };
        variables::put_all(&mut query, &values, style);
        query["refId"] = ref_id(target, index).into();
        query["datasource"] = json!({"type": source.r#type, "uid": source.uid});
        query["intervalMs"] = interval_ms.into();
        query["maxDataPoints"] = panel.max_data_points.into();
        if prometheus && query["instant"] != true && query["range"] != true {
            query["range"] = true.into();
        }
        query
    }
}

fn ref_id(target: &Value, index: usize) -> String {
    target["refId"].as_str().filter(|r| !r.is_empty()).map_or_else(|| format!("Q{index}"), str::to_owned)
}

/// The part of a query that people wrote.
fn as_written(target: &Value) -> String {
    let fields = ["expr", "query", "rawSql", "expression", "target", "uid"];
    let written = fields.iter().find_map(|f| target[*f].as_str()).or(target.as_str());
    written.map_or_else(|| target.to_string(), str::to_owned)
}

impl Probe for Grafana {
    fn source(&self) -> &str {
        &self.asker.source
    }

    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Vec<Observation>> {
        Box::pin(async move {
            let words = question.words();
            match question {
                Question::Dashboards => self.asker.observe(&words, BULK, self.dashboards()).await,
                Question::Datasources => self.asker.observe(&words, BULK, self.datasources()).await,
                Question::Annotations { tags } => self.asker.observe(&words, BULK, self.annotations(tags)).await,
                Question::Panels { dashboard, start_s, end_s } => self.panels(&words, dashboard, *start_s, *end_s).await,
                other => {
                    let error = format!("grafana has no answer to this question: {}", other.words());
                    self.asker.observe(&words, REQUEST, async { Err(error) }).await
                }
            }
        })
    }
}
