//! Alerts that would be in each other's way at the alert manager, from its configuration.

use crate::declaration::Declaration;
use crate::plan::Apart;
use config::monitoring::MonitoringConfig;
use std::collections::{BTreeMap, BTreeSet};

/// For each declared alert those that would share a group with it, or silence it, or be silenced by
/// it. Labels that come from an alert's series are not known, and count as equal.
pub(super) fn apart(declaration: &Declaration, config: &MonitoringConfig) -> Apart {
    let labels: BTreeMap<&str, BTreeMap<String, String>> = declaration
        .alerts
        .iter()
        .map(|a| {
            (
                a.name.as_str(),
                a.labels
                    .clone()
                    .into_iter()
                    .chain([("alertname".to_owned(), a.name.clone())])
                    .collect(),
            )
        })
        .collect();
    let mut apart = Apart::new();
    for (a, of_a) in &labels {
        let meets = |(b, of_b): &(&&str, &BTreeMap<String, String>)| {
            **b != *a
                && config.alertmanagers.iter().map(|m| &m.config.view).any(|manager| {
                    let silenced = !manager.inhibitions_between(of_a, of_b).is_empty()
                        || !manager.inhibitions_between(of_b, of_a).is_empty();
                    silenced || !groups(manager, of_a).is_disjoint(&groups(manager, of_b))
                })
        };
        let others: BTreeSet<String> =
            labels.iter().filter(meets).map(|(b, _)| (*b).to_owned()).collect();
        if !others.is_empty() {
            apart.insert((*a).to_owned(), others);
        }
    }
    apart
}

/// The groups that an alert comes into: each the route and the values of what it groups by.
fn groups(
    manager: &config::monitoring::Alertmanager,
    labels: &BTreeMap<String, String>,
) -> BTreeSet<String> {
    let value = |name: &String| format!("{name}={}", labels.get(name).map_or("", String::as_str));
    let key = |route: &config::monitoring::Route| {
        let by = if route.group_by_all {
            labels.keys().map(value).collect()
        } else {
            route.group_by.iter().map(value).collect::<Vec<_>>()
        };
        format!("{} {}", route.place.key, by.join(","))
    };
    manager.route_for(labels).iter().map(|found| key(found.route)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::monitoring::{FileText, Server, ServerKind};

    /// The monitoring configuration of an e-mail system.
    fn table_a() -> MonitoringConfig {
        let prometheus = include_str!("../../../config/src/timescale/fixtures/prometheus.yml");
        let rules = include_str!("../../../config/src/timescale/fixtures/rules.yml");
        let manager = include_str!("../../../config/src/timescale/fixtures/alertmanager.yml");
        let mut server =
            Server::of_file(ServerKind::Prometheus, "prometheus", "prometheus.yml", prometheus);
        server
            .files
            .insert(server.folder().join("rules.yml"), FileText::on_disk("rules.yml", rules));
        let manager =
            Server::of_file(ServerKind::Alertmanager, "alertmanager", "alertmanager.yml", manager);
        MonitoringConfig::load(&[server, manager]).unwrap()
    }

    #[test]
    fn alerts_meet_by_inhibition_and_by_group() {
        let alerts = [
            ("OutOfMemory", "critical", "infrastructure", "node"),
            ("HighMemoryUsage", "warning", "infrastructure", "node"),
            ("PostfixDown", "critical", "mail", "postfix"),
            ("MailQueueHigh", "warning", "mail", "postfix"),
            ("DovecotDown", "critical", "mail", "dovecot"),
        ];
        let declared = alerts.map(|(name, severity, component, service)| {
            format!("{{name: {name}, labels: {{severity: {severity}, component: {component}, service: {service}}}, receivers: []}}")
        });
        let text = format!("schema: 1\nstack: a\nroles: {{}}\nalerts: [{}]\n", declared.join(", "));
        let declaration: Declaration =
            crate::yaml::parse(std::path::Path::new("firedrill.yaml"), &text).unwrap();
        let mut config = table_a();
        let meet = |config: &MonitoringConfig| {
            let all = apart(&declaration, config);
            all.into_iter()
                .map(|(a, b)| (a, b.into_iter().collect::<Vec<_>>().join(" ")))
                .collect::<Vec<_>>()
        };
        let pairs = |all: &[(&str, &str)]| {
            all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>()
        };
        let silenced = [
            ("HighMemoryUsage", "OutOfMemory"),
            ("MailQueueHigh", "PostfixDown"),
            ("OutOfMemory", "HighMemoryUsage"),
            ("PostfixDown", "MailQueueHigh"),
        ];
        assert_eq!(meet(&config), pairs(&silenced));
        fn by_team(route: &mut config::monitoring::Route) {
            route.group_by = vec!["component".into()];
            route.routes.iter_mut().for_each(by_team);
        }
        by_team(&mut config.alertmanagers[0].config.view.route);
        let mail = meet(&config).into_iter().find(|(a, _)| a == "DovecotDown").unwrap().1;
        assert_eq!(mail, "MailQueueHigh PostfixDown");
    }
}
