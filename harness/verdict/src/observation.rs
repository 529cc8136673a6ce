//! What probes saw: facts with the time asked, the time answered and the source.

pub mod alerts;
pub mod asked;
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
use asked::Asked;
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
    /// When the question was put.
    pub asked: At,
    /// When the answer was there, or was given up.
    pub answered: At,
    /// What the backend said, or that it did not answer.
    pub fact: Fact,
}

/// The newest of a signal that a store lets be found when it is asked: how far it is behind what
/// happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Freshness {
    /// Signal, `log:<source>` or `trace`, as in the ledger.
    pub signal: String,
    /// Ids of operations that the newest lines or traces answer for.
    pub ids: Vec<String>,
    /// Time of the newest line or trace itself, in seconds since the Unix epoch; `None` if there is
    /// none.
    pub at_s: Option<f64>,
}

/// What a backend said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// It did not answer, or not in a way that can be understood.
    Unreachable {
        /// What was asked.
        #[serde(deserialize_with = "asked::recorded")]
        question: Asked,
        /// What went wrong: the transport's error, the status, or why the answer is not understood.
        error: String,
    },
    /// A health endpoint answered (or did not, which `ok` and `seen` say).
    Health(health::HealthAnswer),
    /// All targets that the metrics server scrapes; dropped ones are not among them.
    Targets {
        /// The targets, of all jobs.
        targets: Vec<metrics::Target>,
    },
    /// How many series match each selector now.
    SeriesCount {
        /// One answer for each selector that was answered.
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
        /// The groups, of all rule files.
        groups: Vec<metrics::RuleGroup>,
    },
    /// How often the server has evaluated its rule groups.
    Evaluations {
        /// The groups, of all rule files.
        groups: Vec<metrics::GroupEvaluations>,
    },
    /// Whether the server runs with the configuration it was last given.
    Reload(metrics::Reload),
    /// How long the metrics server keeps samples.
    Retention {
        /// Seconds; `None` if it is bounded by size alone.
        seconds: Option<f64>,
        /// As the server says it.
        seen: String,
    },
    /// Since when the server's process runs.
    ProcessStarted {
        /// When the process started, on the host's clock, in seconds since the Unix epoch.
        at_s: f64,
    },
    /// Alerts as the alert manager holds them.
    ManagedAlerts {
        /// All alerts that it has, suppressed ones included.
        alerts: Vec<alerts::ManagedAlert>,
    },
    /// Receivers that the alert manager's configuration has.
    ManagerReceivers {
        /// Names of the receivers, as the configuration has them.
        names: Vec<String>,
    },
    /// What the alert manager's event recorder wrote during the run.
    ManagerEvents {
        /// The events that are about alerts, oldest first.
        events: Vec<alerts::ManagerEvent>,
        /// Lines that could not be read; with any, the absence of an event proves nothing.
        unread: u64,
    },
    /// What tells a metrics server from others, and where it sends its alerts.
    Replica(members::Replica),
    /// An alert manager's view of its cluster.
    ClusterMember(members::ClusterMember),
    /// Silences in force.
    Silences {
        /// The silences, active and pending.
        silences: Vec<alerts::Silence>,
    },
    /// Log lines of a stretch of time.
    Documents {
        /// The lines that were found.
        documents: Vec<logs::Document>,
        /// Whether the answer was cut off by a limit; absence then proves nothing.
        truncated: bool,
    },
    /// Types of the fields of an index.
    FieldTypes(logs::FieldTypes),
    /// Indices and how many documents they hold.
    Indices {
        /// The indices that match the pattern that was asked for.
        indices: Vec<logs::Index>,
    },
    /// Spans of a stretch of time.
    Spans {
        /// The spans that were found.
        spans: Vec<traces::Span>,
        /// Whether the answer was cut off by a limit; absence then proves nothing.
        truncated: bool,
    },
    /// The newest of a signal that can be found.
    #[serde(alias = "newest")]
    Freshness(Freshness),
    /// Result of a dashboard panel's query.
    Panel(dashboards::Panel),
    /// Dashboards that the server has.
    Dashboards {
        /// All dashboards that the server has.
        dashboards: Vec<dashboards::Dashboard>,
    },
    /// The health of a data source.
    Datasource(dashboards::Datasource),
    /// What is noted on dashboards.
    Annotations {
        /// The annotations that have the tags that were asked for.
        annotations: Vec<dashboards::Annotation>,
    },
    /// Files that are mounted one by one into the server's container. One without any is said to
    /// have none.
    MountedFiles {
        /// The files; empty if the container has none.
        files: Vec<host::MountedFile>,
    },
    /// Pressure stall information of the host.
    Pressure(host::Pressure),
}
