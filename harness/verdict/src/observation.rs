//! What probes saw: facts with the time asked, the time answered and the source.

pub mod alerts;
pub mod dashboards;
pub mod health;
pub mod host;
pub mod logs;
pub mod metrics;
pub mod replay;
pub mod traces;

use crate::history::At;
use serde::{Deserialize, Serialize};

/// A probe's answer. An unreachable backend is an observation too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Service that was asked, as the Compose file names it.
    pub source: String,
    /// When it was asked.
    pub asked: At,
    /// When it had answered, or was given up.
    pub answered: At,
    /// What it said.
    pub fact: Fact,
}

impl Observation {
    /// The same in parts of at most `most` documents or spans, which are about one answer: whoever writes or reads a history holds one
    /// line of it at a time, and in one part a run's documents took 16 MB more.
    pub fn parts(self, most: usize) -> Vec<Observation> {
        let Observation { source, asked, answered, fact } = self;
        let facts: Vec<Fact> = match fact {
            Fact::Documents { documents, truncated } => {
                split(documents, most).into_iter().map(|documents| Fact::Documents { documents, truncated }).collect()
            }
            Fact::Spans { spans, truncated } => split(spans, most).into_iter().map(|spans| Fact::Spans { spans, truncated }).collect(),
            other => vec![other],
        };
        facts.into_iter().map(|fact| Observation { source: source.clone(), asked, answered, fact }).collect()
    }
}

/// Parts of at most `most`, at least one; in one part, if that is 0.
fn split<T>(mut all: Vec<T>, most: usize) -> Vec<Vec<T>> {
    let mut parts = Vec::new();
    while most > 0 && all.len() > most {
        let rest = all.split_off(most);
        parts.push(std::mem::replace(&mut all, rest));
    }
    parts.push(all);
    parts
}

/// What a backend said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// It did not answer, or not in a way that can be understood.
    Unreachable {
        /// What was asked.
        question: String,
        /// What went wrong.
        error: String,
    },
    /// A health endpoint answered (or did not, which `ok` and `seen` say).
    Health(health::HealthAnswer),
    /// All targets that the metrics server knows, dropped ones apart.
    Targets {
        /// The targets.
        targets: Vec<metrics::Target>,
    },
    /// How many series match each selector now.
    SeriesCount {
        /// The answers.
        counts: Vec<metrics::SeriesCount>,
    },
    /// Samples of an expression over a range.
    Samples(metrics::Samples),
    /// What a rule's expression is made of, over a range.
    RuleInputs(metrics::RuleInputs),
    /// An alerting rule and its mutants: when each expression held.
    Replay(replay::Replay),
    /// Rule groups as the server has loaded them.
    Rules {
        /// The groups.
        groups: Vec<metrics::RuleGroup>,
    },
    /// How often the server has evaluated its rule groups.
    Evaluations {
        /// The groups.
        groups: Vec<metrics::GroupEvaluations>,
    },
    /// Whether the server runs with the configuration it was last given.
    Reload(metrics::Reload),
    /// Since when the server's process runs.
    ProcessStarted {
        /// Seconds since the epoch.
        at_s: f64,
    },
    /// Alerts as the alert manager holds them.
    ManagedAlerts {
        /// The alerts.
        alerts: Vec<alerts::ManagedAlert>,
    },
    /// Receivers that the alert manager's configuration has.
    ManagerReceivers {
        /// Their names there.
        names: Vec<String>,
    },
    /// Silences in force.
    Silences {
        /// The silences.
        silences: Vec<alerts::Silence>,
    },
    /// Log documents.
    Documents {
        /// The documents.
        documents: Vec<logs::Document>,
        /// Whether the answer was cut off by a limit; absence then proves nothing.
        truncated: bool,
    },
    /// Types of the fields of an index.
    FieldTypes(logs::FieldTypes),
    /// Indices and how many documents they hold.
    Indices {
        /// The indices.
        indices: Vec<logs::Index>,
    },
    /// Spans.
    Spans {
        /// The spans.
        spans: Vec<traces::Span>,
        /// Whether the answer was cut off by a limit; absence then proves nothing.
        truncated: bool,
    },
    /// Result of a dashboard panel's query.
    Panel(dashboards::Panel),
    /// Dashboards that the server has.
    Dashboards {
        /// The dashboards.
        dashboards: Vec<dashboards::Dashboard>,
    },
    /// Health of a data source.
    Datasource(dashboards::Datasource),
    /// What is noted on dashboards.
    Annotations {
        /// The notes.
        annotations: Vec<dashboards::Annotation>,
    },
    /// Files that are mounted one by one into the server's container. One without any is said to have none.
    MountedFiles {
        /// The files.
        files: Vec<host::MountedFile>,
    },
    /// Pressure stall information of the host.
    Pressure(host::Pressure),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_everything_once_and_nothing_is_a_part_too() {
        assert_eq!(split(vec![1, 2, 3, 4, 5], 2), [vec![1, 2], vec![3, 4], vec![5]]);
        assert_eq!(split(vec![1, 2], 2), [vec![1, 2]]);
        assert_eq!((split(Vec::<u8>::new(), 2), split(vec![1, 2], 0)), (vec![vec![]], vec![vec![1, 2]]));
        let fact = Fact::Documents { documents: Vec::new(), truncated: true };
        let none = Observation { source: "logs".into(), asked: At::default(), answered: At::default(), fact };
        assert_eq!(none.clone().parts(10), [none]);
    }
}
