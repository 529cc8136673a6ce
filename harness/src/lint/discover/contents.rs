//! What a file is, by what it holds.

use super::Found;
use config::monitoring::ServerKind;
use std::collections::BTreeSet;
use std::path::Path;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A server's configuration.
    Server(ServerKind),
    /// Rules of Prometheus.
    Rules,
    /// A Compose file.
    Compose,
    /// Something that is known and not looked at.
    Other(&'static str),
}

/// What a file is; none if it is nothing of monitoring. One that was named must be something.
pub(super) fn of(file: &Path, named: bool, found: &mut Found) -> Option<Content> {
    let content = told(&super::text_of(file, named, found)?);
    if content.is_none() && named {
        found.unread.push((file.to_owned(), "of no kind that is known here".to_owned()));
    }
    content
}

/// Keys at the top of a text, whether or not it is YAML as a whole.
fn top_keys(text: &str) -> BTreeSet<String> {
    let key = |line: &str| {
        let (key, _) = line.split_once(':')?;
        let key = key.trim_matches(['"', '\'']);
        let known =
            !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        known.then(|| key.to_owned())
    };
    let mut keys: BTreeSet<String> = text.lines().filter_map(key).collect();
    // All in one pair of braces, as JSON is written.
    if let Some(inside) = text.trim_start().strip_prefix('{') {
        keys.extend(key(inside.trim_start()));
        keys.extend(inside.lines().filter_map(|line| {
            let indented = line.len() - line.trim_start().len();
            (indented <= 2).then(|| key(line.trim_start())).flatten()
        }));
    }
    keys
}

/// What a text is.
pub(super) fn told(text: &str) -> Option<Content> {
    let keys = top_keys(text);
    let has = |key: &str| keys.contains(key);
    if has("apiVersion") && has("kind") {
        let rule = text.contains("kind: PrometheusRule");
        return rule.then_some(Content::Other("a Kubernetes resource, which holds rules"));
    }
    if has("apiVersion") {
        let grafana = ["groups", "contactPoints", "policies", "muteTimes", "templates"];
        if grafana.iter().any(|key| has(key)) {
            return Some(Content::Other("Grafana's alerting"));
        }
        if has("datasources") || has("providers") {
            return Some(Content::Other("Grafana's provisioning"));
        }
        return None;
    }
    if has("services") && text.contains("image:") {
        return Some(Content::Compose);
    }
    if has("tests") && (has("rule_files") || has("evaluation_interval")) {
        return Some(Content::Other("promtool's tests of rules"));
    }
    if has("schema_config") || has("ingester") || (has("auth_enabled") && has("server")) {
        return Some(Content::Other("a configuration of Loki or its kin"));
    }
    if has("multitenancy_enabled") || has("blocks_storage") {
        return Some(Content::Other("Mimir's configuration"));
    }
    if has("scrape_configs") && (has("clients") || has("positions")) {
        return Some(Content::Other("Promtail's configuration"));
    }
    if has("exporters") && has("service") && has("receivers") {
        return Some(Content::Server(ServerKind::Collector));
    }
    if has("route") && (has("receivers") || text.contains("receiver:")) {
        return Some(Content::Server(ServerKind::Alertmanager));
    }
    if keys.iter().any(|key| key.starts_with("filebeat")) {
        return Some(Content::Server(ServerKind::Shipper));
    }
    let global = has("global")
        && ["scrape_interval", "evaluation_interval"].iter().any(|key| text.contains(key));
    if has("scrape_configs")
        || has("rule_files")
        || (has("alerting") && text.contains("alertmanagers"))
        || global
    {
        // A file with scrape jobs alone belongs to a configuration that names it.
        return Some(Content::Server(ServerKind::Prometheus));
    }
    if has("groups")
        && (text.contains("alert:") || text.contains("record:"))
        && text.contains("expr:")
    {
        if text.contains("partial_response_strategy:") {
            return Some(Content::Other("rules of Thanos"));
        }
        let logs = ["|=", "|~", "| json", "| logfmt"].iter().any(|mark| text.contains(mark));
        let values = text.contains("{{ $values") || has("tenant");
        return Some(match logs || values {
            true => Content::Other("rules of Loki or its kin"),
            false => Content::Rules,
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_what_it_holds() {
        use Content::{Compose, Other, Rules, Server};
        for (text, wanted) in [
            ("scrape_configs: []\n", Some(Server(ServerKind::Prometheus))),
            ("global: {evaluation_interval: 15s}\n", Some(Server(ServerKind::Prometheus))),
            ("route: {receiver: a}\nreceivers: []\n", Some(Server(ServerKind::Alertmanager))),
            ("groups:\n- name: a\n  rules:\n  - alert: X\n    expr: up\n", Some(Rules)),
            (
                "groups:\n- rules:\n  - {alert: X, expr: 'sum(rate({a=\"b\"} |= \"x\" [1m]))'}\n",
                Some(Other("rules of Loki or its kin")),
            ),
            ("apiVersion: 1\ngroups: []\n", Some(Other("Grafana's alerting"))),
            ("receivers:\nexporters:\nservice:\n", Some(Server(ServerKind::Collector))),
            ("filebeat.inputs: []\n", Some(Server(ServerKind::Shipper))),
            (
                "server: {}\npositions: {}\nscrape_configs: []\n",
                Some(Other("Promtail's configuration")),
            ),
            ("services: {}\n", None),
            ("services:\n  a:\n    image: x\n", Some(Compose)),
            (
                "rule_files: [r.yml]\nevaluation_interval: 1m\ntests: []\n",
                Some(Other("promtool's tests of rules")),
            ),
            ("hello\n", None),
        ] {
            assert_eq!(told(text), wanted, "{text}");
        }
    }
}
