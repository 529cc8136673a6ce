//! Prometheus' configuration.

use super::keys;
use super::rules::{ANY_NAME, classic};
use super::schema::Schema;
use crate::monitoring::cursor::Cursor;
use crate::monitoring::version::Version;
use crate::yaml::{ConfigError, Document};
use std::collections::BTreeMap;
use std::sync::LazyLock;

static KEYS: LazyLock<Schema> = LazyLock::new(|| {
    Schema::read("Prometheus", keys::LAST_PROMETHEUS, &[keys::HTTP, keys::PROMETHEUS])
});

/// The first version without the Alertmanager's first API.
const THREE: Version = Version(3, 0);

pub(super) fn check(doc: &Document, version: Option<Version>, found: &mut Vec<ConfigError>) {
    let root = Cursor::root(doc);
    KEYS.check("file", &root, version, found);
    for (key, what) in
        [("rule_files", "rule files"), ("scrape_config_files", "scrape configurations")]
    {
        for at in root.items(key).unwrap_or_default() {
            let pattern = at.text().unwrap_or_default();
            if pattern.split_once('*').is_some_and(|(_, rest)| rest.contains('/')) {
                found.push(at.error(
                    format!("`{pattern}` is no pattern that Prometheus takes for {what}"),
                    "`*` may stand in the last part of the path only",
                ));
            }
        }
    }
    if let Some(labels) = root.get("global").and_then(|global| global.get("external_labels")) {
        for (name, at) in labels.entries().unwrap_or_default() {
            if !classic(&name) && version.is_some_and(|version| version < ANY_NAME) {
                found.push(at.error(
                    format!("`{name}` can't be the name of a label before Prometheus {ANY_NAME}"),
                    "letters, digits and `_` make a name, no digit first",
                ));
            }
        }
    }
    scrapes(&root, version, found);
    if let Some(alerting) = root.get("alerting") {
        relabels(&alerting, "alert_relabel_configs", version, found);
        for at in alerting.items("alertmanagers").unwrap_or_default() {
            api_version(&at, version, found);
            if at.items("relabel_configs").unwrap_or_default().is_empty() {
                targets(&at, found);
            }
            discoveries(&at, found);
            relabels(&at, "relabel_configs", version, found);
            relabels(&at, "alert_relabel_configs", version, found);
        }
    }
    for at in root.items("remote_write").unwrap_or_default() {
        relabels(&at, "write_relabel_configs", version, found);
    }
    if let Some(tracing) = root.get("tracing")
        && tracing.get("endpoint").is_none()
    {
        found.push(tracing.error("`endpoint` is missing", "add the address of the collector"));
    }
}

/// A file under `scrape_config_files`.
pub(super) fn check_scrapes(
    doc: &Document,
    version: Option<Version>,
    found: &mut Vec<ConfigError>,
) {
    let root = Cursor::root(doc);
    KEYS.check("scrape_file", &root, version, found);
    scrapes(&root, version, found);
}

fn scrapes(root: &Cursor<'_>, version: Option<Version>, found: &mut Vec<ConfigError>) {
    for at in root.items("scrape_configs").unwrap_or_default() {
        if at.node.is_null() {
            found.push(at.error("an empty scrape configuration", "remove the line, or fill it in"));
            continue;
        }
        // Relabelling may make addresses of what stands there.
        if at.items("relabel_configs").unwrap_or_default().is_empty() {
            targets(&at, found);
        }
        discoveries(&at, found);
        relabels(&at, "relabel_configs", version, found);
        relabels(&at, "metric_relabel_configs", version, found);
        protocols(&at, found);
    }
}

fn targets(at: &Cursor<'_>, found: &mut Vec<ConfigError>) {
    for group in at.items("static_configs").unwrap_or_default() {
        for target in group.items("targets").unwrap_or_default() {
            let address = target.text().unwrap_or_default();
            if address.contains('/') {
                found.push(target.error(
                    format!("`{address}` is no target: Prometheus wants host:port"),
                    "the scheme goes to `scheme`, the path to `metrics_path`",
                ));
            }
        }
    }
}

fn protocols(at: &Cursor<'_>, found: &mut Vec<ConfigError>) {
    const KNOWN: [&str; 6] = [
        "PrometheusProto",
        "OpenMetricsText0.0.1",
        "OpenMetricsText1.0.0",
        "PrometheusText0.0.4",
        "PrometheusText1.0.0",
        "OpenMetricsText2.0.0",
    ];
    for item in at.items("scrape_protocols").unwrap_or_default() {
        let name = item.text().unwrap_or_default();
        if !KNOWN.contains(&name.as_str()) {
            found.push(item.error(
                format!("no scrape protocol `{name}`"),
                format!("known are {}", KNOWN.join(", ")),
            ));
        }
    }
}

fn api_version(at: &Cursor<'_>, version: Option<Version>, found: &mut Vec<ConfigError>) {
    let Some(api) = at.get("api_version") else { return };
    let text = api.text().unwrap_or_default();
    if !["v1", "v2"].contains(&text.as_str()) {
        found.push(api.error(format!("no `api_version` `{text}`"), "write v2, or leave it out"));
    } else if text == "v1" && version.is_some_and(|version| version >= THREE) {
        found.push(api.error(
            format!(
                "`api_version: v1` is refused by Prometheus from {THREE} on: it does not start"
            ),
            "remove it: v2 is the default",
        ));
    }
}

fn discoveries(at: &Cursor<'_>, found: &mut Vec<ConfigError>) {
    for item in at.items("file_sd_configs").unwrap_or_default() {
        for file in item.items("files").unwrap_or_default() {
            let name = file.text().unwrap_or_default();
            let known =
                [".json", ".yml", ".yaml"].iter().any(|end| name.to_lowercase().ends_with(end));
            if !known || name.split_once('*').is_some_and(|(_, rest)| rest.contains('/')) {
                found.push(file.error(
                    format!("`{name}` is no file that targets are read from"),
                    "its name must end in .json, .yml or .yaml; `*` may stand in the last part only",
                ));
            }
        }
    }
    for item in at.items("dns_sd_configs").unwrap_or_default() {
        let kind =
            item.text_of("type").ok().flatten().unwrap_or_else(|| "SRV".into()).to_uppercase();
        if !["SRV", "A", "AAAA", "MX", "NS"].contains(&kind.as_str()) {
            found.push(item.error(
                format!("no DNS record type `{kind}`"),
                "the types are SRV, A, AAAA, MX, NS",
            ));
        } else if kind != "SRV" && item.get("port").is_none() {
            found.push(item.error(format!("records of type {kind} tell no port"), "add `port`"));
        }
    }
    for item in at.items("http_sd_configs").unwrap_or_default() {
        let Some(url) = item.get("url") else { continue };
        let text = url.text().unwrap_or_default();
        if !text.starts_with("http://") && !text.starts_with("https://") {
            let shown = crate::secret::shown("url", &text);
            found.push(
                url.error(
                    format!("`{shown}` is no address"),
                    "write http:// or https:// before it",
                ),
            );
        }
    }
    const ROLES: [&str; 6] = ["pod", "service", "endpoints", "endpointslice", "node", "ingress"];
    for item in at.items("kubernetes_sd_configs").unwrap_or_default() {
        let Some(role) = item.get("role") else { continue };
        let name = role.text().unwrap_or_default();
        if !ROLES.contains(&name.to_lowercase().as_str()) {
            found.push(
                role.error(
                    format!("no role `{name}`"),
                    format!("the roles are {}", ROLES.join(", ")),
                ),
            );
        }
    }
}

const ACTIONS: [&str; 11] = [
    "replace",
    "keep",
    "drop",
    "keepequal",
    "dropequal",
    "hashmod",
    "labelmap",
    "labeldrop",
    "labelkeep",
    "lowercase",
    "uppercase",
];

fn relabels(at: &Cursor<'_>, key: &str, version: Option<Version>, found: &mut Vec<ConfigError>) {
    for rule in at.items(key).unwrap_or_default() {
        if rule.node.is_null() {
            found.push(rule.error("an empty relabelling rule", "remove the line, or fill it in"));
            continue;
        }
        if let Some(error) = relabel(&rule, version) {
            found.push(error);
        }
    }
}

fn relabel(rule: &Cursor<'_>, version: Option<Version>) -> Option<ConfigError> {
    let text = |key: &str| rule.get(key).and_then(|at| at.text().ok()).unwrap_or_default();
    let written = match text("action") {
        action if action.is_empty() => "replace".to_owned(),
        action => action,
    };
    let action = written.to_lowercase();
    if !ACTIONS.contains(&action.as_str()) {
        let hint = crate::nearest::suggest(&action, ACTIONS, "actions");
        let at = rule.get("action");
        return Some(
            at.as_ref()
                .unwrap_or(rule)
                .error(format!("no action `{written}` to relabel with"), hint),
        );
    }
    let needs = |key: &str| {
        rule.error(
            format!("relabelling of action `{action}` needs `{key}`"),
            format!("add `{key}`"),
        )
    };
    let target = text("target_label");
    let writes = ["replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"];
    if action == "hashmod" && matches!(text("modulus").as_str(), "" | "0") {
        return Some(needs("modulus"));
    }
    if writes.contains(&action.as_str()) && target.is_empty() {
        return Some(needs("target_label"));
    }
    let strict = version.is_some_and(|version| version < ANY_NAME);
    let with_variables = target.contains('$') && action == "replace";
    if writes.contains(&action.as_str()) && !with_variables && strict && !classic(&target) {
        return Some(rule.error(
            format!("`{target}` can't be the name of a label before Prometheus {ANY_NAME}"),
            "letters, digits and `_` make a name, no digit first",
        ));
    }
    let alone: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("lowercase", &["replacement"][..]),
        ("uppercase", &["replacement"][..]),
        ("keepequal", &["regex", "modulus", "separator", "replacement"][..]),
        ("dropequal", &["regex", "modulus", "separator", "replacement"][..]),
        (
            "labeldrop",
            &["source_labels", "target_label", "modulus", "separator", "replacement"][..],
        ),
        (
            "labelkeep",
            &["source_labels", "target_label", "modulus", "separator", "replacement"][..],
        ),
    ]);
    let default = |key: &str| match key {
        "separator" => ";",
        "replacement" => "$1",
        "regex" => "(.*)",
        _ => "",
    };
    let extra = alone
        .get(action.as_str())?
        .iter()
        .find(|key| rule.get(key).is_some_and(|at| at.node.text() != Some(default(key))))?;
    Some(rule.error(
        format!("relabelling of action `{action}` takes no `{extra}`"),
        format!("remove `{extra}`, or choose another action"),
    ))
}
