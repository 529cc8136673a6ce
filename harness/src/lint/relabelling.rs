//! Relabelling that throws away what rules, alerts or jobs are there for.

use super::{Findings, LintContext};
use config::monitoring::prometheus::Relabel;
use config::monitoring::{PrometheusServer, ScrapeJob, duration, promql};
use std::collections::{BTreeMap, BTreeSet};

type Labels = BTreeMap<String, String>;

pub(super) fn check(subject: &LintContext<'_>, findings: &mut Findings) {
    for server in &subject.config.prometheus {
        for job in &server.config.view.jobs {
            dropped_targets(job, findings);
        }
        dropped_metrics(server, findings);
    }
    dropped_alerts(subject, findings);
}

/// What relabelling makes of labels; none if it throws them away. A rule that reads what is not
/// known here ends it with what was known before.
fn relabelled(mut labels: Labels, rules: &[Relabel]) -> Option<Labels> {
    for rule in rules {
        let values: Vec<&str> = rule
            .source_labels
            .iter()
            .map(|name| labels.get(name).map_or("", String::as_str))
            .collect();
        let value = values.join(&rule.separator);
        let Ok(regex) = config::monitoring::regex::anchored(&rule.regex) else {
            return Some(labels);
        };
        match rule.action.as_str() {
            "drop" if regex.is_match(&value) => return None,
            "keep" if !regex.is_match(&value) => return None,
            "replace" => {
                if let Some(found) = regex.captures(&value) {
                    let mut written = String::new();
                    found.expand(&rule.replacement, &mut written);
                    labels.insert(rule.target_label.clone(), written);
                }
            }
            "hashmod" | "labelmap" | "labeldrop" | "labelkeep" | "lowercase" | "uppercase"
            | "keepequal" | "dropequal" => return Some(labels),
            _ => {}
        }
    }
    Some(labels)
}

fn dropped_targets(job: &ScrapeJob, findings: &mut Findings) {
    let targets: Vec<_> = job
        .static_configs
        .iter()
        .flat_map(|group| {
            group.targets.iter().map(move |(target, place)| (target, place, &group.labels))
        })
        .collect();
    if targets.is_empty() || !job.discoveries.is_empty() {
        return;
    }
    let dropped: Vec<_> = targets
        .iter()
        .filter(|(target, _, own)| {
            let mut labels: Labels = (*own).clone();
            for (name, value) in [
                ("__address__", target.as_str()),
                ("job", &job.name),
                ("__metrics_path__", &job.metrics_path),
                ("__scheme__", &job.scheme),
            ] {
                labels.insert(name.to_owned(), value.to_owned());
            }
            for (name, values) in &job.params {
                labels
                    .extend(values.first().map(|value| (format!("__param_{name}"), value.clone())));
            }
            for (name, time) in
                [("__scrape_interval__", job.interval), ("__scrape_timeout__", job.timeout)]
            {
                labels.insert(name.to_owned(), duration::format(time));
            }
            relabelled(labels, &job.relabels).is_none()
        })
        .collect();
    if dropped.len() == targets.len() {
        findings.error(
            "target-dropped",
            &job.place,
            format!(
                "`relabel_configs` of job `{}` drop every target that it has: nothing is scraped",
                job.name
            ),
            "correct `regex` or `action`, or remove the job",
        );
    }
}

/// Series that rules ask for and that a job throws away after the scrape.
fn dropped_metrics(server: &PrometheusServer, findings: &mut Findings) {
    let jobs = &server.config.view.jobs;
    if jobs.iter().all(|job| job.metric_relabels.is_empty()) {
        return;
    }
    let rules = || server.rules.iter().flat_map(|file| &file.view).flat_map(|group| &group.rules);
    let recorded: BTreeSet<&str> =
        rules().filter(|rule| !rule.is_alert()).map(|rule| rule.name.as_str()).collect();
    for rule in rules() {
        for selector in promql::selectors(&rule.expr) {
            let Some(name) = promql::metric_name(selector) else { continue };
            let own =
                ["up", "ALERTS", "ALERTS_FOR_STATE"].contains(&name) || name.starts_with("scrape_");
            if own || recorded.contains(name) {
                continue;
            }
            let asked = promql::equal_to(selector, "job");
            let from: Vec<&ScrapeJob> =
                jobs.iter().filter(|job| asked.is_none_or(|asked| asked == job.name)).collect();
            let drops = |job: &&ScrapeJob| {
                // What renames others may make it.
                let renames =
                    |rule: &Relabel| rule.target_label == "__name__" || rule.action == "labelmap";
                if job.metric_relabels.iter().any(renames) {
                    return false;
                }
                // Only what looks at the name alone is known to hold of all its series.
                let by_name: Vec<Relabel> = job
                    .metric_relabels
                    .iter()
                    .filter(|rule| {
                        rule.source_labels == ["__name__"]
                            && ["drop", "keep"].contains(&rule.action.as_str())
                    })
                    .cloned()
                    .collect();
                relabelled(Labels::from([("__name__".to_owned(), name.to_owned())]), &by_name)
                    .is_none()
            };
            if let Some(job) = from.first().filter(|_| from.iter().all(drops)) {
                findings.error(
                    "metric-dropped",
                    &rule.expr_place,
                    format!(
                        "`{}` asks for `{name}`, which `metric_relabel_configs` of job `{}` drop",
                        rule.name, job.name
                    ),
                    "keep the metric, or remove the rule",
                );
            }
        }
    }
}

/// Alerts that never leave the server.
fn dropped_alerts(subject: &LintContext<'_>, findings: &mut Findings) {
    let servers = &subject.config.prometheus;
    if servers.iter().all(|server| server.config.view.alert_relabels.is_empty()) {
        return;
    }
    for alert in &subject.alerts.all {
        let rules = &alert.server.config.view.alert_relabels;
        let mut labels: Labels = alert
            .rule
            .labels
            .iter()
            .filter(|(_, value)| !value.contains("{{"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        labels.insert("alertname".to_owned(), alert.rule.name.clone());
        let known: Vec<Relabel> = rules
            .iter()
            .take_while(|rule| {
                !["labelmap", "labeldrop", "labelkeep", "hashmod"].contains(&rule.action.as_str())
                    && rule.source_labels.iter().all(|name| labels.contains_key(name))
            })
            .cloned()
            .collect();
        if relabelled(labels.clone(), &known).is_none() {
            findings.warning(
                "alert-dropped",
                &alert.rule.place,
                format!(
                    "`alert_relabel_configs` of {} drop alert `{}`: nobody is told",
                    alert.server.service, alert.rule.name
                ),
                "correct `regex` or `action` there, or remove the alert",
            );
        }
    }
}
