//! Probes: typed, read-only questions to one backend. A probe reads and never judges. One file below for each backend; a
//! line in `connect` registers it.

use futures::future::BoxFuture;
use verdict::observation::Observation;

/// A question. A backend that can't answer it says so as `Fact::Unreachable`.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// Scrape targets.
    Targets,
    /// How many series match each selector.
    SeriesCount {
        /// Selectors.
        selectors: Vec<String>,
    },
    /// Samples of an expression over a range.
    Range {
        /// What it is for.
        name: String,
        /// Expression.
        expr: String,
        /// Start, seconds since the epoch.
        start_s: f64,
        /// End, seconds since the epoch.
        end_s: f64,
        /// Step, seconds.
        step_s: f64,
    },
    /// Rules as loaded.
    Rules,
    /// What an alerting rule's expression is made of, over a range.
    RuleInputs {
        /// Alert.
        alert: String,
        /// Drill.
        drill: Option<String>,
        /// Start, seconds since the epoch.
        start_s: f64,
        /// End, seconds since the epoch.
        end_s: f64,
    },
    /// Whether the server runs with the configuration it was last given.
    Reload,
    /// Alerts as the alert manager holds them.
    ManagedAlerts,
    /// Silences.
    Silences,
    /// Log documents of an index pattern between two instants (seconds since the epoch).
    Documents {
        /// Index pattern, for example `logs-email-service-*`.
        pattern: String,
        /// Start.
        start_s: f64,
        /// End.
        end_s: f64,
    },
    /// Types of the fields of the indices of a pattern: one observation for each index is made by `ask_all`.
    FieldTypes {
        /// Index pattern.
        pattern: String,
    },
    /// Indices of a pattern.
    Indices {
        /// Index pattern.
        pattern: String,
    },
    /// Spans between two instants.
    Spans {
        /// Services whose traces are asked for.
        services: Vec<String>,
        /// Start, seconds since the epoch.
        start_s: f64,
        /// End.
        end_s: f64,
    },
    /// The server's dashboards.
    Dashboards,
    /// The result of each query of each panel of a dashboard, over a range.
    Panels {
        /// Uid.
        dashboard: String,
        /// Start, seconds since the epoch.
        start_s: f64,
        /// End.
        end_s: f64,
    },
    /// Health of all data sources.
    Datasources,
}

/// A backend that can be asked. One question may have several facts as its answer (a panel each, an index each).
pub trait Probe: Send + Sync {
    /// Service that it asks.
    fn source(&self) -> &str;
    /// Asks. Never fails: what goes wrong is an observation too. Bounded by a timeout of its own.
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Vec<Observation>>;
}
