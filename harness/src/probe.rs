//! Probes: typed, read-only questions to one backend. A probe reads and never judges. One file
//! below for each backend; a line in `connect` registers it.

mod alertmanager;
pub(crate) mod ask;
pub(crate) mod boards;
mod elasticsearch;
pub mod events;
mod exposition;
#[cfg(test)]
mod foreign;
mod grafana;
mod grafana_files;
pub mod health;
pub mod host;
mod jaeger;
mod members;
pub mod mounts;
mod prometheus;

use crate::backend::{Access, Client, Redirects};
use crate::declaration::Role;
use crate::declaration::kinds::{self, Interface};
use crate::process::clock::RunClock;
use crate::process::exit::Exit;
use crate::process::failure::{Advice, UserError};
pub use grafana_files::{GrafanaFiles, Reach};
pub use members::{Entrances, Unasked};

use ask::ApiClient;
use futures::future::BoxFuture;
use verdict::observation::Observation;
use verdict::observation::asked::Asked;

/// A question. A backend that can't answer it says so as `Fact::Unreachable`.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    Targets,
    /// How many series match each selector.
    SeriesCount {
        selectors: Vec<String>,
    },
    /// Samples of an expression over a range.
    Range {
        /// What it is for.
        name: String,
        expr: String,
        /// Start, seconds since the epoch.
        start_s: f64,
        /// End, seconds since the epoch.
        end_s: f64,
        step_s: f64,
    },
    /// Rules as loaded.
    Rules,
    /// How often the rule groups were evaluated.
    Evaluations,
    /// What an alerting rule's expression is made of, over a range.
    RuleInputs {
        alert: String,
        drill: Option<String>,
        /// Start, seconds since the epoch.
        start_s: f64,
        /// End, seconds since the epoch.
        end_s: f64,
    },
    /// Whether the server runs with the configuration it was last given.
    Reload,
    /// How long it keeps samples.
    Retention,
    /// Alerts as the alert manager holds them.
    ManagedAlerts,
    Silences,
    /// Receivers of the alert manager's configuration.
    ManagerReceivers,
    /// What tells a metrics server from others, and where it sends its alerts.
    Replica,
    /// An alert manager's view of its cluster.
    ClusterMember,
    /// Since when the server's process runs.
    ProcessStarted,
    /// Log documents of an index pattern between two instants (seconds since the epoch).
    Documents {
        /// Index pattern, for example `logs-email-service-*`.
        pattern: String,
        start_s: f64,
        end_s: f64,
    },
    /// The newest log lines that answer for operations.
    NewestLines {
        /// Signal, as in the ledger.
        signal: String,
        pattern: String,
        /// Field that holds the operation's id.
        id_field: String,
    },
    /// Types of the fields of the indices of a pattern: one observation for each index is made by
    /// `ask_all`.
    FieldTypes {
        pattern: String,
    },
    /// Indices of a pattern.
    Indices {
        pattern: String,
    },
    /// Spans between two instants.
    Spans {
        /// Services whose traces are asked for.
        services: Vec<String>,
        /// Start, seconds since the epoch.
        start_s: f64,
        end_s: f64,
    },
    /// The newest traces that answer for operations.
    NewestTraces {
        /// Signal, as in the ledger.
        signal: String,
        /// Services whose traces are asked for.
        services: Vec<String>,
        /// Attribute that carries the operation's id.
        id_attribute: String,
        /// Traces that began earlier are of no interest, seconds since the epoch.
        since_s: f64,
    },
    /// The server's dashboards.
    Dashboards,
    /// The result of each query of each panel of a dashboard, over a range.
    Panels {
        dashboard: String,
        /// Start, seconds since the epoch.
        start_s: f64,
        end_s: f64,
    },
    /// Health of all data sources.
    Datasources,
    /// Annotations that have all of these tags.
    Annotations {
        tags: Vec<String>,
    },
}

/// A backend that can be asked. One question may have several facts as its answer (a panel each, an
/// index each).
pub trait Probe: Send + Sync {
    /// Service that it asks.
    fn source(&self) -> &str;
    /// Asks. Never fails: what goes wrong is an observation too. Bounded by a timeout of its own.
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Vec<Observation>>;
}

/// Why a server can't be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoProbe {
    /// There is no probe for its kind.
    #[error("role of service {service}: no probe for a server of kind {kind:?}")]
    Kind { service: String, kind: String },
    /// What it takes to ask it is not there.
    #[error("role of service {service}: {}", why.what)]
    Access { service: String, why: Advice },
}

impl UserError for NoProbe {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hints(&self) -> Vec<String> {
        match self {
            NoProbe::Kind { .. } => vec![format!("{} can be asked", kinds::asked().join(", "))],
            NoProbe::Access { why, .. } => why.hints.clone(),
        }
    }
}

/// The probe for a role's server.
pub fn connect(role: &Role, access: &Access, clock: RunClock) -> Result<Box<dyn Probe>, NoProbe> {
    let service = || role.service.clone();
    let interface = kinds::kind(&role.kind).and_then(|kind| kind.interface);
    let unknown = || NoProbe::Kind { service: service(), kind: role.kind.clone() };
    let interface = interface.ok_or_else(unknown)?;
    let client = Client::new(access, Redirects::Followed)
        .map_err(|why| NoProbe::Access { service: service(), why })?;
    let client = ApiClient::new(&role.service, client, clock);
    Ok(match interface {
        Interface::Prometheus => Box::new(prometheus::Prometheus::new(client)),
        Interface::Alertmanager => Box::new(alertmanager::Alertmanager::new(client)),
        Interface::Elasticsearch => Box::new(elasticsearch::Elasticsearch::new(client)),
        Interface::Jaeger => Box::new(jaeger::Jaeger::new(client)),
        Interface::Grafana => Box::new(grafana::Grafana::new(client)),
    })
}

impl Question {
    /// What is recorded where no answer comes.
    pub fn asked(&self) -> Asked {
        match self {
            Question::Targets => Asked::Targets,
            Question::SeriesCount { selectors } => {
                Asked::SeriesCounts { selectors: selectors.len() }
            }
            Question::Range { name, .. } => Asked::Range { name: name.clone() },
            Question::Rules => Asked::Rules,
            Question::Evaluations => Asked::Evaluations,
            Question::RuleInputs { alert, .. } => Asked::RuleInputs { alert: alert.clone() },
            Question::Reload => Asked::Reload,
            Question::Retention => Asked::Retention,
            Question::ManagedAlerts => Asked::ManagedAlerts,
            Question::Silences => Asked::Silences,
            Question::ManagerReceivers => Asked::ManagerReceivers,
            Question::Replica => Asked::Replica,
            Question::ClusterMember => Asked::ClusterMember,
            Question::ProcessStarted => Asked::ProcessStarted,
            Question::Documents { pattern, .. } => Asked::Documents { pattern: pattern.clone() },
            Question::NewestLines { signal, .. } | Question::NewestTraces { signal, .. } => {
                Asked::Freshness { signal: signal.clone() }
            }
            Question::FieldTypes { pattern } => Asked::FieldTypes { pattern: pattern.clone() },
            Question::Indices { pattern } => Asked::Indices { pattern: pattern.clone() },
            Question::Spans { .. } => Asked::Spans,
            Question::Dashboards => Asked::Dashboards,
            Question::Panels { dashboard, .. } => Asked::Panels { dashboard: dashboard.clone() },
            Question::Datasources => Asked::Datasources,
            Question::Annotations { tags } => Asked::Annotations { tags: tags.clone() },
        }
    }
}
