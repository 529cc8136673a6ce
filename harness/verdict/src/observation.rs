//! What probes saw: facts with the time asked, the time answered and the source.

pub mod alerts;
pub mod dashboards;
pub mod fields;
pub mod health;
pub mod host;
pub mod logs;
pub mod members;
pub mod metrics;
pub mod replay;
pub mod traces;

use crate::history::At;
use serde::{Deserialize, Serialize};

/// A probe's answer. An unreachable backend is an observation too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Who speaks: the member that was asked (a service as the Compose file names it, or one of its
    /// instances), or the store that it is an entrance to.
    pub source: String,
    /// The member that was asked, where it is an entrance to the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// When it was asked.
    pub asked: At,
    /// When it had answered, or was given up.
    pub answered: At,
    /// What it said.
    pub fact: Fact,
}

/// The newest of a signal that a store lets be found when it is asked: how far it is behind what
/// happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Newest {
    /// `log:<source>` or `trace`, as in the ledger.
    pub signal: String,
    /// Ids of operations that the newest lines or traces answer for.
    pub ids: Vec<String>,
    /// The newest one's own time, seconds since the epoch.
    pub at_s: Option<f64>,
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
    /// What tells a metrics server from others, and where it sends its alerts.
    Replica(members::Replica),
    /// An alert manager's view of its cluster.
    ClusterMember(members::ClusterMember),
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
    /// The newest of a signal that can be found.
    Newest(Newest),
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
    /// Files that are mounted one by one into the server's container. One without any is said to
    /// have none.
    MountedFiles {
        /// The files.
        files: Vec<host::MountedFile>,
    },
    /// Pressure stall information of the host.
    Pressure(host::Pressure),
}
