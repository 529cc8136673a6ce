//! The metrics server, asked over Prometheus' HTTP API.

mod expression;

use super::ask::{ApiClient, BULK, REQUEST, unreachable_fact};
use super::{Probe, Question, exposition};
use config::monitoring::duration;
use config::monitoring::prometheus as configuration;
use config::yaml::Document;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;
use verdict::check::alerts::CONDITION_SAMPLES;
use verdict::observation::asked::Asked;
use verdict::observation::members::Replica;
use verdict::observation::metrics::{
    Comparison, GroupEvaluations, Rule, RuleGroup, RuleInputs, Samples, Series, SeriesCount, Target,
};
use verdict::observation::{Fact, Observation};

/// Queries that run at the same time.
const AT_ONCE: usize = 4;
/// Points of a series in one answer; the server refuses more than 11,000.
const POINTS: f64 = 10_000.0;

/// Times and values of a series.
type Points = Vec<(f64, Option<f64>)>;

/// Asks Prometheus, or what speaks its API.
pub struct Prometheus {
    client: ApiClient,
}

impl Prometheus {
    pub(super) fn new(client: ApiClient) -> Prometheus {
        Prometheus { client }
    }

    async fn answer(&self, question: &Question) -> Result<Vec<Fact>, String> {
        match question {
            Question::Targets => self.targets().await,
            Question::SeriesCount { selectors } => self.series_counts(selectors).await,
            Question::Range { name, expr, start_s, end_s, step_s } => {
                let series = self.range(expr, *start_s, *end_s, *step_s).await?;
                let (name, expr) = (name.clone(), expr.clone());
                Ok(vec![Fact::Samples(Samples {
                    name,
                    expr,
                    start_s: *start_s,
                    end_s: *end_s,
                    step_s: *step_s,
                    series,
                })])
            }
            Question::Rules => Ok(vec![Fact::Rules { groups: self.rules().await? }]),
            Question::Evaluations => self.evaluations().await,
            Question::RuleInputs { alert, drill, start_s, end_s } => {
                self.rule_inputs(alert, drill.as_deref(), *start_s, *end_s).await
            }
            Question::Reload => self.reload().await,
            Question::Retention => {
                let runtime: Runtime = self.api("/api/v1/status/runtimeinfo", &[]).await?;
                Ok(vec![retention(runtime.storage_retention)])
            }
            Question::Replica => self.replica().await,
            Question::ProcessStarted => {
                let runtime: Runtime = self.api("/api/v1/status/runtimeinfo", &[]).await?;
                Ok(vec![Fact::ProcessStarted {
                    at_s: runtime.start_time.as_microsecond() as f64 / 1e6,
                }])
            }
            other => Err(format!("prometheus has no answer to this question: {}", other.asked())),
        }
    }

    async fn api<T: DeserializeOwned>(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Result<T, String> {
        let answer: Answer<T> = match parameters {
            [] => self.client.get(path, &[]).await?,
            _ => self.client.post_form(path, parameters).await?,
        };
        answer.data.ok_or_else(|| {
            format!("{path}: {}: {}", answer.status, answer.error.unwrap_or_default())
        })
    }

    async fn targets(&self) -> Result<Vec<Fact>, String> {
        let asked = self.client.now().wall_s();
        let found: Targets = self
            .client
            .get::<Answer<_>>("/api/v1/targets", &[("state", "active")])
            .await?
            .data
            .ok_or("no data")?;
        let targets =
            found.active_targets.into_iter().map(|t| target(t, asked)).collect::<Result<_, _>>()?;
        Ok(vec![Fact::Targets { targets }])
    }

    /// What tells it from others: the configuration in force, and the alert managers that it has
    /// found.
    async fn replica(&self) -> Result<Vec<Fact>, String> {
        let config: ConfigInForce = self.api("/api/v1/status/config", &[]).await?;
        let document = Document::parse(Path::new("the configuration in force"), &config.yaml)
            .map_err(|e| e.to_string())?;
        let external_labels = configuration::Prometheus::read(&document)
            .map_err(|e| e.to_string())?
            .global
            .external_labels;
        let found: FoundManagers = self.api("/api/v1/alertmanagers", &[]).await?;
        let address = |m: FoundManager| {
            let url = reqwest::Url::parse(&m.url).ok()?;
            Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
        };
        let managers = found.active_alertmanagers.into_iter().filter_map(address).collect();
        Ok(vec![Fact::Replica(Replica { external_labels, managers })])
    }

    async fn series_counts(&self, selectors: &[String]) -> Result<Vec<Fact>, String> {
        let asked = stream::iter(selectors.to_vec()).map(|selector| async move {
            let count = self.count(&format!("count({selector})"), None).await;
            (selector, count)
        });
        let (mut counts, mut facts, mut first) = (Vec::new(), Vec::new(), None);
        for (selector, count) in asked.buffered(AT_ONCE).collect::<Vec<_>>().await {
            match count {
                Ok(count) => counts.push(SeriesCount { selector, count }),
                Err(error) => {
                    first.get_or_insert_with(|| error.clone());
                    facts.push(unreachable_fact(Asked::SeriesCount { selector }, error));
                }
            }
        }
        match first {
            Some(error) if counts.is_empty() => Err(error),
            // What was answered comes last: the server is there.
            _ => {
                facts.push(Fact::SeriesCount { counts });
                Ok(facts)
            }
        }
    }

    /// The value of an expression that gives one number, 0 where it gives nothing.
    async fn count(&self, expr: &str, at_s: Option<f64>) -> Result<u64, String> {
        let found = self.instant(expr, at_s).await?;
        Ok(found.iter().filter_map(|s| s.points.first()?.1).sum::<f64>() as u64)
    }

    async fn instant(&self, expr: &str, at_s: Option<f64>) -> Result<Vec<Series>, String> {
        let at = at_s.map(|t| format!("{t:.3}"));
        let mut parameters = vec![("query", expr)];
        parameters.extend(at.as_deref().map(|t| ("time", t)));
        let found: QueryResult = self.api("/api/v1/query", &parameters).await?;
        found.series()
    }

    /// Samples over a range, in as many requests as the server's limit of points takes; with step
    /// 0, the samples as stored.
    async fn range(
        &self,
        expr: &str,
        start_s: f64,
        end_s: f64,
        step_s: f64,
    ) -> Result<Vec<Series>, String> {
        if end_s < start_s {
            return Err(format!("range from {start_s} to {end_s}: the end comes first"));
        }
        if step_s <= 0.0 {
            return self
                .instant(&format!("{expr}[{}ms]", millis(end_s - start_s)), Some(end_s))
                .await;
        }
        let mut all: BTreeMap<BTreeMap<String, String>, Points> = BTreeMap::new();
        let steps = ((end_s - start_s) / step_s).floor();
        let mut from = 0.0;
        while from <= steps {
            let to = (from + POINTS - 1.0).min(steps);
            let stamp = |step: f64| format!("{:.3}", start_s + step * step_s);
            let (start, end, step) = (stamp(from), stamp(to), format!("{step_s:.3}"));
            let parameters = [("query", expr), ("start", &start), ("end", &end), ("step", &step)];
            let found: QueryResult = self.api("/api/v1/query_range", &parameters).await?;
            for series in found.series()? {
                all.entry(series.labels).or_default().extend(series.points);
            }
            from = to + 1.0;
        }
        Ok(all.into_iter().map(|(labels, points)| Series { labels, points }).collect())
    }

    async fn rules(&self) -> Result<Vec<RuleGroup>, String> {
        let found: RuleGroups = self.api("/api/v1/rules", &[]).await?;
        Ok(found.groups.into_iter().map(group).collect())
    }

    /// From its own metrics, so that it need not scrape itself. Iterations count those that were
    /// missed as well.
    async fn evaluations(&self) -> Result<Vec<Fact>, String> {
        let text = self.client.text("/metrics").await?;
        exposition::value(&text, "prometheus_config_last_reload_successful")
            .ok_or("GET /metrics: these are not Prometheus' own")?;
        let of = |metric: &str| exposition::by_label(&text, metric, "rule_group");
        let (missed, failed) = (
            of("prometheus_rule_group_iterations_missed_total"),
            of("prometheus_rule_evaluation_failures_total"),
        );
        let groups =
            of("prometheus_rule_group_iterations_total").into_iter().map(|(key, iterations)| {
                let (file, name) = key
                    .split_once(';')
                    .ok_or_else(|| format!("GET /metrics: rule_group={key:?}, wanted file;name"))?;
                let count = |of: &BTreeMap<String, f64>| of.get(&key).copied().unwrap_or(0.0);
                let evaluated = (iterations - count(&missed)).max(0.0) as u64;
                Ok(GroupEvaluations {
                    file: file.to_owned(),
                    name: name.to_owned(),
                    evaluated,
                    failed: count(&failed) as u64,
                })
            });
        Ok(vec![Fact::Evaluations { groups: groups.collect::<Result<_, String>>()? }])
    }

    /// One fact for each rule of that name; one without an expression if none is loaded.
    async fn rule_inputs(
        &self,
        alert: &str,
        drill: Option<&str>,
        start_s: f64,
        end_s: f64,
    ) -> Result<Vec<Fact>, String> {
        let mut facts = Vec::new();
        for group in self.rules().await? {
            for rule in group.rules.iter().filter(|r| r.alerting && r.name == alert) {
                facts.push(self.inputs_of(rule, drill, (start_s, end_s), group.interval_s).await?);
                // Finer than evaluations, so that it shows when the samples came to satisfy it.
                let step_s = (group.interval_s / 4.0).max(0.1);
                let series = self.range(&rule.expr, start_s, end_s, step_s).await?;
                let (name, expr) = (format!("{CONDITION_SAMPLES}{alert}"), rule.expr.clone());
                facts.push(Fact::Samples(Samples { name, expr, start_s, end_s, step_s, series }));
            }
        }
        if facts.is_empty() {
            facts.push(Fact::RuleInputs(RuleInputs {
                alert: alert.to_owned(),
                drill: drill.map(str::to_owned),
                expr: String::new(),
                comparisons: Vec::new(),
                selectors: Vec::new(),
                bucket_bounds: Vec::new(),
            }));
        }
        Ok(facts)
    }

    async fn inputs_of(
        &self,
        rule: &Rule,
        drill: Option<&str>,
        (start, end): (f64, f64),
        interval: f64,
    ) -> Result<Fact, String> {
        let parts = expression::parts(&rule.expr)
            .map_err(|e| format!("expression of {} can't be taken apart: {e}", rule.name))?;
        let window = millis(end - start);
        let comparisons = stream::iter(parts.comparisons).map(|c| async move {
            let series = self.range(&c.left, start, end, interval).await?;
            let points: Vec<Option<f64>> =
                series.iter().flat_map(|s| &s.points).map(|(_, v)| *v).collect();
            let values: Vec<f64> = points.iter().filter_map(|v| *v).collect();
            Ok::<_, String>(Comparison {
                left: c.left,
                op: c.op.to_owned(),
                threshold: c.threshold,
                lowest: values.iter().copied().reduce(f64::min),
                highest: values.iter().copied().reduce(f64::max),
                samples: values.len() as u64,
                not_numbers: (points.len() - values.len()) as u64,
            })
        });
        let comparisons: Vec<Comparison> = comparisons.buffered(AT_ONCE).try_collect().await?;
        let selectors = stream::iter(parts.selectors).map(|selector| async move {
            let count = self
                .count(&format!("count(last_over_time({selector}[{window}ms]))"), Some(end))
                .await?;
            Ok::<_, String>(SeriesCount { selector, count })
        });
        let selectors: Vec<SeriesCount> = selectors.buffered(AT_ONCE).try_collect().await?;
        let mut bounds: Vec<f64> = Vec::new();
        for selector in &parts.buckets {
            let by_bound = self
                .instant(
                    &format!("count by (le) (last_over_time({selector}[{window}ms]))"),
                    Some(end),
                )
                .await?;
            bounds.extend(
                by_bound
                    .iter()
                    .filter_map(|s| s.labels.get("le")?.parse::<f64>().ok())
                    .filter(|b| b.is_finite()),
            );
        }
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        let (alert, expr) = (rule.name.clone(), rule.expr.clone());
        Ok(Fact::RuleInputs(RuleInputs {
            alert,
            drill: drill.map(str::to_owned),
            expr,
            comparisons,
            selectors,
            bucket_bounds: bounds,
        }))
    }

    async fn reload(&self) -> Result<Vec<Fact>, String> {
        let mut reload = exposition::reload(&self.client.text("/metrics").await?, "prometheus")?;
        let runtime: Runtime = self.api("/api/v1/status/runtimeinfo", &[]).await?;
        if !runtime.reload_config_success {
            reload.successful = false;
            reload.seen = format!(
                "the last reload failed; the configuration of {} is still in force",
                runtime.last_config_time
            );
        }
        Ok(vec![Fact::Reload(reload)])
    }
}

impl Probe for Prometheus {
    fn source(&self) -> &str {
        self.client.source()
    }

    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Vec<Observation>> {
        let bound = match question {
            Question::SeriesCount { .. } | Question::Range { .. } | Question::RuleInputs { .. } => {
                BULK
            }
            _ => REQUEST,
        };
        Box::pin(async move {
            self.client.observe(&question.asked(), bound, self.answer(question)).await
        })
    }
}

#[derive(Deserialize)]
struct Answer<T> {
    status: String,
    error: Option<String>,
    data: Option<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    active_targets: Vec<ActiveTarget>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ActiveTarget {
    labels: BTreeMap<String, String>,
    scrape_pool: String,
    scrape_url: String,
    #[serde(default)]
    last_error: String,
    last_scrape: String,
    #[serde(default)]
    last_scrape_duration: f64,
    health: String,
    #[serde(default)]
    scrape_interval: String,
    #[serde(default)]
    scrape_timeout: String,
}

fn target(t: ActiveTarget, asked_s: f64) -> Result<Target, String> {
    // A target that was never scraped has the zero time of the year 1.
    let scraped = t
        .last_scrape
        .parse::<jiff::Timestamp>()
        .map_err(|e| format!("time {:?} of a scrape: {e}", t.last_scrape))?;
    let scraped_s = scraped.as_microsecond() as f64 / 1e6;
    let of = |label: &str| t.labels.get(label).cloned();
    Ok(Target {
        job: of("job").unwrap_or(t.scrape_pool),
        instance: of("instance").unwrap_or_default(),
        scrape_url: t.scrape_url,
        up: t.health == "up",
        last_error: t.last_error,
        age_s: (scraped_s > 0.0).then_some(asked_s - scraped_s),
        interval_s: duration_s(&t.scrape_interval).unwrap_or(0.0),
        duration_s: t.last_scrape_duration,
        timeout_s: duration_s(&t.scrape_timeout).unwrap_or(0.0),
        labels: t.labels,
    })
}

/// A duration as Prometheus writes it (`1m30s`, `750ms`), in seconds.
fn duration_s(text: &str) -> Option<f64> {
    promql_parser::util::parse_duration(text).ok().map(|d| d.as_secs_f64())
}

/// Whole milliseconds of a window; at least one, since an empty range does not parse.
fn millis(seconds: f64) -> u64 {
    (seconds * 1000.0).ceil().max(1.0) as u64
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum QueryResult {
    Vector(Vec<VectorSample>),
    Matrix(Vec<MatrixSeries>),
    Scalar((f64, String)),
    String((f64, String)),
}

#[derive(Deserialize)]
struct VectorSample {
    metric: BTreeMap<String, String>,
    value: Option<(f64, String)>,
}

#[derive(Deserialize)]
struct MatrixSeries {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

impl QueryResult {
    fn series(self) -> Result<Vec<Series>, String> {
        let point = |(time, value): (f64, String)| {
            (time, value.parse::<f64>().ok().filter(|v| v.is_finite()))
        };
        Ok(match self {
            QueryResult::Vector(all) => {
                let series = |s: VectorSample| Series {
                    labels: s.metric,
                    points: s.value.into_iter().map(point).collect(),
                };
                all.into_iter().map(series).collect()
            }
            QueryResult::Matrix(all) => all
                .into_iter()
                .map(|s| Series {
                    labels: s.metric,
                    points: s.values.into_iter().map(point).collect(),
                })
                .collect(),
            QueryResult::Scalar(value) => {
                vec![Series { labels: BTreeMap::new(), points: vec![point(value)] }]
            }
            QueryResult::String((_, text)) => {
                return Err(format!("the query gives the string {text:?}; series wanted"));
            }
        })
    }
}

#[derive(Deserialize)]
struct RuleGroups {
    groups: Vec<LoadedGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoadedGroup {
    name: String,
    #[serde(default)]
    file: String,
    interval: f64,
    #[serde(default)]
    last_evaluation: Option<jiff::Timestamp>,
    rules: Vec<LoadedRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoadedRule {
    name: String,
    query: String,
    #[serde(default)]
    duration: f64,
    #[serde(default)]
    keep_firing_for: f64,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    health: String,
    #[serde(default)]
    last_error: String,
    #[serde(default)]
    evaluation_time: f64,
    r#type: String,
}

fn group(g: LoadedGroup) -> RuleGroup {
    let rule = |r: LoadedRule| Rule {
        alerting: r.r#type == "alerting",
        name: r.name,
        expr: r.query,
        for_s: r.duration,
        keep_firing_s: r.keep_firing_for,
        labels: r.labels,
        health: r.health,
        last_error: r.last_error,
        evaluation_s: r.evaluation_time,
    };
    RuleGroup {
        file: g.file,
        name: g.name,
        interval_s: g.interval,
        // A group that was never evaluated has the zero time of the year 1.
        last_evaluation_s: g
            .last_evaluation
            .map(|t| t.as_microsecond() as f64 / 1e6)
            .filter(|s| *s > 0.0),
        rules: g.rules.into_iter().map(rule).collect(),
    }
}

#[derive(Deserialize)]
struct ConfigInForce {
    yaml: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundManagers {
    active_alertmanagers: Vec<FoundManager>,
}

#[derive(Deserialize)]
struct FoundManager {
    url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Runtime {
    start_time: jiff::Timestamp,
    reload_config_success: bool,
    last_config_time: String,
    #[serde(default)]
    storage_retention: String,
}

/// `30d`, `15d or 8GB`, or `8GB`.
fn retention(seen: String) -> Fact {
    let time = seen.split(" or ").find_map(|part| duration::parse(part.trim()).ok());
    Fact::Retention { seconds: time.map(|t| t.as_secs_f64()), seen }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_is_read_as_the_server_says_it() {
        let seconds = |seen: &str| match retention(seen.into()) {
            Fact::Retention { seconds, .. } => seconds,
            _ => None,
        };
        assert_eq!(seconds("30d"), Some(2_592_000.0));
        assert_eq!(seconds("15d or 8GB"), Some(1_296_000.0));
        assert_eq!((seconds("8GB"), seconds("")), (None, None));
    }

    #[test]
    fn durations_as_prometheus_writes_them() {
        assert_eq!(duration_s("750ms"), Some(0.75));
        assert_eq!(duration_s("1m30s"), Some(90.0));
        assert_eq!(duration_s("1s500ms"), Some(1.5));
        assert_eq!(duration_s(""), None);
        assert_eq!((millis(0.0), millis(1.5), millis(0.0004)), (1, 1500, 1));
    }

    #[test]
    fn values_that_json_has_not_become_none() {
        let text = r#"{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1,"1.5"],[2,"NaN"],[3,"+Inf"]]}]}"#;
        let series = serde_json::from_str::<QueryResult>(text).unwrap().series().unwrap();
        assert_eq!(series[0].points, [(1.0, Some(1.5)), (2.0, None), (3.0, None)]);
    }
}
