//! The kinds of servers that can have a role, each in one row.

use super::{GRAFANA_FILES, Role, Roles};
use config::monitoring::ServerKind;

/// A kind of server, as `kind` of a role names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub name: &'static str,
    /// The role that it can have.
    pub role: &'static str,
    /// How its monitoring configuration is read; none if it has none.
    pub configuration: Option<ServerKind>,
    /// How it is asked; none if nobody asks it anything.
    pub interface: Option<Interface>,
}

/// An interface that a probe speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    /// Prometheus' HTTP API.
    Prometheus,
    /// Alertmanager's HTTP API.
    Alertmanager,
    Elasticsearch,
    /// Jaeger's, of its query service.
    Jaeger,
    Grafana,
}

/// All of them: a new kind is a row here, and a probe if it can be asked.
pub const KINDS: &[Kind] = &[
    row("prometheus", "metrics", Some(ServerKind::Prometheus), Some(Interface::Prometheus)),
    row("alertmanager", "alerting", Some(ServerKind::Alertmanager), Some(Interface::Alertmanager)),
    row("grafana", "dashboards", None, Some(Interface::Grafana)),
    row(GRAFANA_FILES, "dashboards", None, None),
    row("elasticsearch", "logs", Some(ServerKind::Elasticsearch), Some(Interface::Elasticsearch)),
    row("filebeat", "shipper", Some(ServerKind::Shipper), None),
    row("jaeger", "traces", None, Some(Interface::Jaeger)),
    row("otel-collector", "collector", Some(ServerKind::Collector), None),
];

const fn row(
    name: &'static str,
    role: &'static str,
    configuration: Option<ServerKind>,
    interface: Option<Interface>,
) -> Kind {
    Kind { name, role, configuration, interface }
}

/// The kind of that name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// Names of the kinds that can have a role.
pub fn of_role(role: &str) -> Vec<&'static str> {
    KINDS.iter().filter(|kind| kind.role == role).map(|kind| kind.name).collect()
}

/// Names of the kinds that can be asked.
pub fn asked() -> Vec<&'static str> {
    KINDS.iter().filter(|kind| kind.interface.is_some()).map(|kind| kind.name).collect()
}

impl Roles {
    /// The roles, by their keys, each with the servers that have it.
    pub fn stated(&self) -> [(&'static str, Vec<&Role>); 7] {
        [
            ("metrics", self.metrics.iter().collect()),
            ("alerting", self.alerting.iter().collect()),
            ("collector", self.collector.iter().collect()),
            ("dashboards", self.dashboards.iter().collect()),
            ("logs", self.logs.iter().collect()),
            ("shipper", self.shipper.iter().collect()),
            ("traces", self.traces.iter().collect()),
        ]
    }

    /// All that name a service of the Compose file.
    pub fn servers(&self) -> impl Iterator<Item = &Role> {
        let all = self.stated().into_iter().flat_map(|(_, roles)| roles);
        all.filter(|role| role.kind != GRAFANA_FILES)
    }
}
