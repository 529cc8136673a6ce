//! Questions that a backend left unanswered.

use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// What a backend was asked, for an observation without an answer. Checkers recognise a question by
/// its variant; its words (`Display`) are only shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Asked {
    /// The targets of the metrics server.
    Targets,
    /// How many series match each of several selectors.
    SeriesCounts {
        /// How many selectors were asked for.
        selectors: usize,
    },
    /// How many series match one selector.
    SeriesCount {
        /// The selector, as PromQL.
        selector: String,
    },
    /// Samples of an expression over a range.
    Range {
        /// Name of the samples, as in `Samples::name`.
        name: String,
    },
    /// Rule groups as the metrics server has loaded them.
    Rules,
    /// How often the metrics server has evaluated its rule groups.
    Evaluations,
    /// What an alerting rule's expression is made of, over a range.
    RuleInputs {
        /// Name of the alert.
        alert: String,
    },
    /// Whether the server runs with the configuration that it was given last.
    Reload,
    /// How long the metrics server keeps samples.
    Retention,
    /// Alerts as the alert manager holds them.
    ManagedAlerts,
    /// Silences in force at the alert manager.
    Silences,
    /// Receivers of the alert manager's configuration.
    ManagerReceivers,
    /// What the alert manager's event recorder wrote.
    ManagerEvents,
    /// What tells a metrics server from others, and where it sends its alerts.
    Replica,
    /// An alert manager's view of its cluster.
    ClusterMember,
    /// Since when the server's process runs.
    ProcessStarted,
    /// Log documents of the indices that match a pattern.
    Documents {
        /// Index pattern, for example `logs-api-*`.
        pattern: String,
    },
    /// How far a store is behind what happens, for one signal.
    Freshness {
        /// Signal, `log:<source>` or `trace`, as in the ledger.
        signal: String,
    },
    /// Types of the fields of the indices that match a pattern.
    FieldTypes {
        /// Index pattern, for example `logs-api-*`.
        pattern: String,
    },
    /// Indices that match a pattern.
    Indices {
        /// Index pattern, for example `logs-api-*`.
        pattern: String,
    },
    /// Spans of the traces that a store holds.
    Spans,
    /// Dashboards that the server has.
    Dashboards,
    /// The queries of the panels of one dashboard.
    Panels {
        /// Uid of the dashboard.
        dashboard: String,
    },
    /// Health of all data sources.
    Datasources,
    /// Health of one data source; only older versions asked for each.
    Datasource {
        /// Name of the data source.
        name: String,
    },
    /// Annotations on dashboards that have all of these tags.
    Annotations {
        /// Tags that an annotation must have, all of them.
        tags: Vec<String>,
    },
    /// Pressure stall information of the host (`/proc/pressure`).
    Pressure,
    /// Files that are mounted one by one into the server's container.
    MountedFiles,
    /// Words of an older version that none of the above says.
    Other {
        /// The words, as they were recorded.
        words: String,
    },
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Asked::Targets => f.write_str("targets"),
            Asked::SeriesCounts { selectors } => {
                write!(f, "series counts of {selectors} selectors")
            }
            Asked::SeriesCount { selector } => write!(f, "series count of {selector}"),
            Asked::Range { name } => write!(f, "range query {name}"),
            Asked::Rules => f.write_str("rules"),
            Asked::Evaluations => f.write_str("evaluations of rule groups"),
            Asked::RuleInputs { alert } => write!(f, "rule inputs of alert {alert}"),
            Asked::Reload => f.write_str("reload status"),
            Asked::Retention => f.write_str("retention"),
            Asked::ManagedAlerts => f.write_str("managed alerts"),
            Asked::Silences => f.write_str("silences"),
            Asked::ManagerReceivers => f.write_str("receivers"),
            Asked::ManagerEvents => f.write_str("recorded events"),
            Asked::Replica => f.write_str("external labels and alert managers"),
            Asked::ClusterMember => f.write_str("status of the cluster"),
            Asked::ProcessStarted => f.write_str("start of the process"),
            Asked::Documents { pattern } => write!(f, "documents of {pattern}"),
            Asked::Freshness { signal } => write!(f, "the newest of {signal}"),
            Asked::FieldTypes { pattern } => write!(f, "field types of {pattern}"),
            Asked::Indices { pattern } => write!(f, "indices of {pattern}"),
            Asked::Spans => f.write_str("spans of traces"),
            Asked::Dashboards => f.write_str("dashboards"),
            Asked::Panels { dashboard } => write!(f, "panels of dashboard {dashboard}"),
            Asked::Datasources => f.write_str("datasources"),
            Asked::Datasource { name } => write!(f, "data source {name}"),
            Asked::Annotations { tags } => {
                write!(f, "annotations with the tags {}", tags.join(", "))
            }
            Asked::Pressure => f.write_str("pressure of the host"),
            Asked::MountedFiles => f.write_str("mounted files"),
            Asked::Other { words } => f.write_str(words),
        }
    }
}

impl Asked {
    /// The question that an older version recorded as words only.
    fn of_words(words: &str) -> Asked {
        let whole = [
            Asked::Targets,
            Asked::Rules,
            Asked::Evaluations,
            Asked::Reload,
            Asked::Retention,
            Asked::ManagedAlerts,
            Asked::Silences,
            Asked::ManagerReceivers,
            Asked::ManagerEvents,
            Asked::Replica,
            Asked::ClusterMember,
            Asked::ProcessStarted,
            Asked::Spans,
            Asked::Dashboards,
            Asked::Datasources,
            Asked::Pressure,
            Asked::MountedFiles,
        ];
        if let Some(asked) = whole.into_iter().find(|asked| asked.to_string() == words) {
            return asked;
        }
        let of = |start: &str| words.strip_prefix(start).map(str::to_owned);
        let selectors = || {
            let number = words.strip_prefix("series counts of ")?.strip_suffix(" selectors")?;
            number.parse().ok()
        };
        None.or_else(|| Some(Asked::SeriesCounts { selectors: selectors()? }))
            .or_else(|| Some(Asked::SeriesCount { selector: of("series count of ")? }))
            .or_else(|| Some(Asked::Range { name: of("range query ")? }))
            .or_else(|| Some(Asked::RuleInputs { alert: of("rule inputs of alert ")? }))
            .or_else(|| Some(Asked::Documents { pattern: of("documents of ")? }))
            .or_else(|| Some(Asked::Freshness { signal: of("the newest of ")? }))
            .or_else(|| Some(Asked::FieldTypes { pattern: of("field types of ")? }))
            .or_else(|| Some(Asked::Indices { pattern: of("indices of ")? }))
            .or_else(|| Some(Asked::Panels { dashboard: of("panels of dashboard ")? }))
            .or_else(|| Some(Asked::Datasource { name: of("data source ")? }))
            .or_else(|| {
                let tags = of("annotations with the tags ")?;
                Some(Asked::Annotations { tags: tags.split(", ").map(str::to_owned).collect() })
            })
            .unwrap_or_else(|| Asked::Other { words: words.to_owned() })
    }
}

/// Reads a question as it is recorded, or as older versions did: as words.
pub(super) fn recorded<'de, D: Deserializer<'de>>(from: D) -> Result<Asked, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Recorded {
        Words(String),
        Asked(Asked),
    }
    Ok(match Recorded::deserialize(from)? {
        Recorded::Words(words) => Asked::of_words(&words),
        Recorded::Asked(asked) => asked,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Fact;
    use serde_json::json;

    fn questions() -> Vec<Asked> {
        let text = |s: &str| s.to_owned();
        vec![
            Asked::Targets,
            Asked::SeriesCounts { selectors: 12 },
            Asked::SeriesCount { selector: text("up{job=\"a\"}") },
            Asked::Range { name: text("alerts") },
            Asked::Rules,
            Asked::Evaluations,
            Asked::RuleInputs { alert: text("TargetDown") },
            Asked::Reload,
            Asked::Retention,
            Asked::ManagedAlerts,
            Asked::Silences,
            Asked::ManagerReceivers,
            Asked::ManagerEvents,
            Asked::Replica,
            Asked::ClusterMember,
            Asked::ProcessStarted,
            Asked::Documents { pattern: text("logs-panel-*") },
            Asked::Freshness { signal: text("log:api") },
            Asked::FieldTypes { pattern: text("logs-*") },
            Asked::Indices { pattern: text("logs-*") },
            Asked::Spans,
            Asked::Dashboards,
            Asked::Panels { dashboard: text("overview") },
            Asked::Datasources,
            Asked::Datasource { name: text("metrics") },
            Asked::Annotations { tags: vec![text("firedrill"), text("load")] },
            Asked::Pressure,
            Asked::MountedFiles,
            Asked::Other { words: text("the weather") },
        ]
    }

    #[test]
    fn a_question_is_read_as_it_is_written_and_as_older_versions_wrote_it() {
        for question in questions() {
            let words = question.to_string();
            let fact = Fact::Unreachable { question, error: "refused".into() };
            let written = serde_json::to_value(&fact).unwrap();
            assert_eq!(serde_json::from_value::<Fact>(written).unwrap(), fact);
            let older = json!({"unreachable": {"question": words, "error": "refused"}});
            assert_eq!(serde_json::from_value::<Fact>(older).unwrap(), fact);
        }
    }
}
