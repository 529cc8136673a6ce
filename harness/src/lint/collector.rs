//! The OpenTelemetry Collector: what it loses by its configuration.

use super::{Findings, LintContext};
use config::monitoring::collector::{Class, Component};
use config::monitoring::{CollectorServer, duration};
use config::yaml::Node;
use std::time::Duration;

/// How long tail sampling waits where the file says nothing.
const DECISION_WAIT: Duration = Duration::from_secs(30);
/// Exporters that send to nobody who could be away.
const LOCAL: [&str; 5] = ["debug", "logging", "nop", "file", "prometheus"];

pub(super) fn check(subject: &LintContext<'_>, findings: &mut Findings) {
    for server in &subject.config.collectors {
        let used =
            server.config.view.components.iter().filter(|one| server.config.view.is_used(one));
        for component in used {
            if component.class == Class::Processor && component.kind() == "tail_sampling" {
                decides_too_early(server, component, findings);
            }
        }
        forgets(server, findings);
    }
}

fn settings<'a>(server: &'a CollectorServer, class: Class, id: &str) -> Option<&'a Node> {
    server.config.doc.root.get_non_null(class.key())?.get_non_null(id)
}

fn time(node: &Node) -> Option<Duration> {
    let text = node.text()?;
    duration::parse_go(text).or_else(|_| duration::parse(text)).ok()
}

/// Traces that are longer than tail sampling waits are never seen whole.
fn decides_too_early(server: &CollectorServer, component: &Component, findings: &mut Findings) {
    let Some(settings) = settings(server, Class::Processor, &component.id) else { return };
    let wait = settings.get_non_null("decision_wait").and_then(time).unwrap_or(DECISION_WAIT);
    let mut policies: Vec<&Node> =
        settings.get_non_null("policies").map(Node::items).unwrap_or_default().iter().collect();
    while let Some(policy) = policies.pop() {
        for (_, below) in policy.entries() {
            for key in ["and_sub_policy", "composite_sub_policy"] {
                policies.extend(below.get_non_null(key).map(Node::items).unwrap_or_default());
            }
        }
        let Some(threshold) =
            policy.get_non_null("latency").and_then(|node| node.get_non_null("threshold_ms"))
        else {
            continue;
        };
        let Some(millis) = threshold.text().and_then(|text| text.parse::<u64>().ok()) else {
            continue;
        };
        if Duration::from_millis(millis) >= wait {
            let name = policy.get_non_null("name").and_then(Node::text).unwrap_or("latency");
            findings.error(
                "decision-wait",
                &server.config.doc.place_of(threshold, "threshold_ms"),
                format!(
                    "policy `{name}` keeps traces that take {millis} ms or longer, and `{}` decides after {}: before their last span is there",
                    component.id,
                    duration::format(wait)
                ),
                "let `decision_wait` be longer than the slowest trace that shall be kept",
            );
        }
    }
}

/// What was batched and can't be sent is lost where nothing keeps it.
fn forgets(server: &CollectorServer, findings: &mut Findings) {
    let view = &server.config.view;
    let kind = |id: &String| id.split('/').next().unwrap_or(id).to_owned();
    for exporter in view.components.iter().filter(|one| one.class == Class::Exporter) {
        let batched = view.pipelines.iter().find(|pipeline| {
            pipeline.exporters.contains(&exporter.id)
                && pipeline.processors.iter().any(|id| kind(id) == "batch")
        });
        let Some(pipeline) = batched.filter(|_| !LOCAL.contains(&exporter.kind())) else {
            continue;
        };
        let off = |key: &str| {
            settings(server, Class::Exporter, &exporter.id)
                .and_then(|settings| settings.get_non_null(key)?.get_non_null("enabled")?.text())
                == Some("false")
        };
        let without: Vec<&str> =
            ["sending_queue", "retry_on_failure"].into_iter().filter(|key| off(key)).collect();
        if !without.is_empty() {
            findings.warning(
                "batch-without-queue",
                &exporter.place,
                format!(
                    "exporter `{}` of pipeline `{}` has no {} behind `batch`: what its target does not take at once is lost, and the sender was told that all is well",
                    exporter.id,
                    pipeline.id,
                    without.join(" and no ")
                ),
                "leave `enabled: false` out",
            );
        }
    }
}
