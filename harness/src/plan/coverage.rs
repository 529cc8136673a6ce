//! What there is to exercise between an alert and its receivers: routes, receivers and inhibitions
//! of a configuration, with the declared alerts that they are for. What a run exercised of it is
//! told by [`verdict::summary::coverage`].

use crate::declaration::{Declaration, StandIn};
use config::monitoring::alertmanager::Inhibition;
use config::monitoring::matcher::LabelMatcher;
use config::monitoring::{AlertmanagerServer, Integration, IntegrationKind, MonitoringConfig};
use std::collections::{BTreeMap, BTreeSet};
use verdict::history::alert::Protocol;
use verdict::summary::Routing;
use verdict::summary::coverage::{Inhibition as OfInhibition, Route as OfRoute};

type Labels = BTreeMap<String, String>;

/// The routing of a configuration. Of a cluster of alert managers the first counts: all are
/// configured alike.
pub fn routing(config: &MonitoringConfig, declaration: &Declaration) -> Routing {
    let Some(manager) = config.alertmanagers.first() else { return Routing::default() };
    let alerts = labelled(config, declaration);
    let view = &manager.config.view;
    let receivers = view.receivers.iter().map(|receiver| {
        let told = |s: &&StandIn| receiver.integrations.iter().any(|i| tells(i, s));
        (
            receiver.name.clone(),
            declaration.receivers.iter().filter(told).map(|s| s.name.clone()).collect(),
        )
    });
    Routing {
        routes: routes(manager, &alerts),
        receivers: receivers.collect(),
        inhibitions: inhibitions(&view.inhibitions, &alerts),
    }
}

/// The declared alerts and switches with the labels that are known of them before they fire, one
/// for each rule of the name.
fn labelled(config: &MonitoringConfig, declaration: &Declaration) -> Vec<(String, Labels)> {
    let external = config
        .prometheus
        .first()
        .map(|p| p.config.view.global.external_labels.clone())
        .unwrap_or_default();
    let switches = declaration.dead_mans_switches.iter().map(|s| (&s.name, Labels::new()));
    let mut found = Vec::new();
    for (alert, stated) in
        declaration.alerts.iter().map(|a| (&a.name, a.labels.clone())).chain(switches)
    {
        for (_, _, rule) in config.rules().filter(|(_, _, r)| r.is_alert() && r.name == *alert) {
            let name = [("alertname".to_owned(), alert.clone())];
            let labels = external
                .clone()
                .into_iter()
                .chain(stated.clone())
                .chain(rule.labels.clone())
                .chain(name)
                .collect();
            found.push((alert.clone(), labels));
        }
    }
    found
}

/// All routes in which some alert could end: those that no declared alert ends in as well.
fn routes(manager: &AlertmanagerServer, alerts: &[(String, Labels)]) -> Vec<OfRoute> {
    let view = &manager.config.view;
    let mut found = Vec::new();
    let mut open = vec![&view.route];
    while let Some(route) = open.pop() {
        open.extend(route.routes.iter().rev());
        let ends =
            |labels: &Labels| view.route_for(labels).iter().any(|m| std::ptr::eq(m.route, route));
        found.push(OfRoute {
            name: match written(&route.matchers) {
                all if all.is_empty() => format!("{} → {}", route.place.key, route.receiver),
                wanted => format!("{} {{{wanted}}} → {}", route.place.key, route.receiver),
            },
            receiver: route.receiver.clone(),
            alerts: alerts
                .iter()
                .filter(|(_, labels)| ends(labels))
                .map(|(name, _)| name.clone())
                .collect(),
        });
    }
    found
}

fn inhibitions(rules: &[Inhibition], alerts: &[(String, Labels)]) -> Vec<OfInhibition> {
    let of = |rule: &Inhibition| {
        let mut pairs = BTreeSet::new();
        for (source, with) in alerts {
            let silenced = alerts
                .iter()
                .filter(|(target, labels)| target != source && rule.silences(with, labels));
            pairs.extend(silenced.map(|(target, _)| (source.clone(), target.clone())));
        }
        let equal = if rule.equal.is_empty() {
            String::new()
        } else {
            format!(" of the same {}", rule.equal.join(", "))
        };
        OfInhibition {
            name: format!(
                "{{{}}} silences {{{}}}{equal}",
                written(&rule.source),
                written(&rule.target)
            ),
            pairs,
        }
    };
    rules.iter().map(of).collect()
}

fn written(matchers: &[LabelMatcher]) -> String {
    matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether an integration of a receiver leads to a stand-in: by host, and by path, key or recipient
/// where several share it.
fn tells(integration: &Integration, stand_in: &StandIn) -> bool {
    let protocol = match integration.kind {
        IntegrationKind::Slack => Protocol::Slack,
        IntegrationKind::PagerDutyV1 => Protocol::PagerdutyV1,
        IntegrationKind::PagerDutyV2 => Protocol::PagerdutyV2,
        IntegrationKind::Opsgenie => Protocol::Opsgenie,
        IntegrationKind::Webhook => Protocol::Webhook,
        IntegrationKind::Email => Protocol::Smtp,
        IntegrationKind::Other(_) => return false,
    };
    let Some(url) = integration.url.as_deref().and_then(|u| reqwest::Url::parse(u).ok()) else {
        return false;
    };
    let alike = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
    let path = match protocol {
        Protocol::Slack | Protocol::Webhook => url.path() == stand_in.path,
        Protocol::Smtp => integration.recipient.as_deref() == Some(stand_in.path.as_str()),
        Protocol::PagerdutyV1 | Protocol::PagerdutyV2 | Protocol::Opsgenie => {
            alike(&integration.key, &stand_in.key)
        }
    };
    protocol == stand_in.protocol && url.host_str() == Some(stand_in.host.as_str()) && path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::subject;
    use crate::process::home::Home;

    /// On our own stacks, whatever they are called: each route is some alert's, each receiver tells
    /// a stand-in.
    #[test]
    fn all_that_our_stacks_configure_can_be_exercised() {
        let mut inhibitions = 0;
        for stack in ["email", "mini"] {
            let read = subject::read(stack, &Home::find(), None).unwrap();
            let routing = routing(&read.scaled.config, &read.subject.declaration);
            assert!(
                routing.routes.iter().filter(|r| !r.alerts.is_empty()).count() > 0,
                "{stack}: {routing:#?}"
            );
            for route in routing.routes.iter().filter(|r| !r.alerts.is_empty()) {
                assert!(
                    !routing.receivers[&route.receiver].is_empty(),
                    "{stack}: {} tells no stand-in: {routing:#?}",
                    route.name
                );
            }
            inhibitions += routing.inhibitions.iter().filter(|i| !i.pairs.is_empty()).count();
        }
        assert!(inhibitions > 0);
    }
}
