//! What a run exercised, of all that there is: each rule in each of its states, each receiver of
//! each alert, each route, each receiver and each inhibition of the configuration.

use super::AlertRow;
use crate::check::firing::Firing;
use crate::observation::Fact;
use crate::{History, Status, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The routing that a run is made under, worked out before it starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routing {
    /// Routes of the configuration in which alerts end.
    pub routes: Vec<Route>,
    /// Receivers of the configuration, and the stand-ins that each tells.
    pub receivers: BTreeMap<String, BTreeSet<String>>,
    /// Inhibition rules of the configuration.
    pub inhibitions: Vec<Inhibition>,
}

/// A route of the alert manager's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where it stands, and what it wants.
    pub name: String,
    /// Name of the receiver that it leads to.
    pub receiver: String,
    /// Names of the declared alerts that end in it.
    pub alerts: BTreeSet<String>,
}

/// A rule by which alerts silence others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inhibition {
    /// What silences what, as people are shown it.
    pub name: String,
    /// Pairs of declared alerts, the silencing one first.
    pub pairs: BTreeSet<(String, String)>,
}

/// What a run exercised of the rules and of the routing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    /// Alerting rules: those declared, and those that are loaded without being declared.
    pub rules: Vec<OfRule>,
    /// Routes in which alerts end, and what exercised them.
    pub routes: Vec<Exercised>,
    /// Receivers of the configuration, and what exercised them.
    pub receivers: Vec<Exercised>,
    /// Inhibition rules of the configuration, and what exercised them.
    pub inhibitions: Vec<Exercised>,
    /// How many of each were exercised.
    pub counts: Counts,
}

/// An alerting rule and what was seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfRule {
    /// Name of the alert.
    pub rule: String,
    /// Whether firedrill.yaml declares it; of others nothing is expected.
    pub declared: bool,
    /// Whether it is a dead man's switch, which always fires.
    #[serde(default)]
    pub switch: bool,
    /// Whether it was quiet while nothing was wrong; null if that was not judged.
    pub quiet: Option<bool>,
    /// Whether it was seen to fire, at whatever time of the run.
    pub fired: bool,
    /// Its declared receivers, and whether each was told that it fires.
    pub receivers: Vec<OfReceiver>,
    /// Whether its resolution was seen by all its receivers.
    pub resolved: bool,
}

/// A declared receiver of an alert, and whether it was notified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfReceiver {
    /// Name of the stand-in.
    pub name: String,
    /// Whether it accepted a notification of the alert.
    pub told: bool,
}

/// A route, receiver or inhibition, and the alerts that exercised it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exercised {
    /// Name of it, as people are shown it.
    pub name: String,
    /// Names of the alerts that exercised it; empty if none did.
    pub by: Vec<String>,
    /// Number of declared alerts that could exercise it.
    pub of: u64,
}

/// A number out of a total.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// Number of those that were exercised.
    pub seen: u64,
    /// Number of all.
    pub of: u64,
}

/// How many of each kind were exercised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Rules that were quiet while nothing was wrong.
    pub quiet: Share,
    /// Rules that were seen to fire.
    pub fired: Share,
    /// Pairs of alert and receiver that were told.
    pub told: Share,
    /// Rules whose resolution was seen.
    pub resolved: Share,
    /// Routes that an alert went through.
    pub routes: Share,
    /// Receivers that were notified.
    pub receivers: Share,
    /// Inhibition rules that took effect.
    pub inhibitions: Share,
}

impl Share {
    fn of<T>(all: impl IntoIterator<Item = T>, seen: impl Fn(&T) -> bool) -> Share {
        all.into_iter().fold(Share::default(), |share, one| Share {
            seen: share.seen + u64::from(seen(&one)),
            of: share.of + 1,
        })
    }
}

/// What firedrill.yaml declares, each with its receivers.
#[derive(Debug, Clone, Copy)]
pub struct Declared<'d> {
    /// Declared alerts by name, each with its receivers.
    pub alerts: &'d BTreeMap<String, Vec<String>>,
    /// Declared dead man's switches by name, each with its receivers.
    pub switches: &'d BTreeMap<String, Vec<String>>,
}

/// What a run exercised of what is declared; `rows` tell what is known of each alert.
pub fn coverage(
    history: &History,
    verdicts: &[Verdict],
    rows: &[AlertRow],
    declared: Declared<'_>,
    routing: &Routing,
) -> Coverage {
    let mut told: BTreeMap<&str, BTreeSet<String>> =
        rows.iter().map(|r| (r.rule.as_str(), r.receivers.iter().cloned().collect())).collect();
    told.extend(
        declared
            .switches
            .keys()
            .map(|switch| (switch.as_str(), super::alerts::receivers_told(history, switch))),
    );
    let rules = rules(history, verdicts, rows, declared, &told);
    let reached = |alert: &str, receiver: &str| {
        let stand_ins = routing.receivers.get(receiver);
        told.get(alert)
            .is_some_and(|told| stand_ins.is_some_and(|all| all.iter().any(|s| told.contains(s))))
    };
    let routes: Vec<Exercised> = routing
        .routes
        .iter()
        .map(|route| Exercised {
            name: route.name.clone(),
            by: route.alerts.iter().filter(|a| reached(a, &route.receiver)).cloned().collect(),
            of: route.alerts.len() as u64,
        })
        .collect();
    let receivers: Vec<Exercised> = routing
        .receivers
        .keys()
        .map(|name| {
            let alerts: BTreeSet<&String> = routing
                .routes
                .iter()
                .filter(|r| r.receiver == *name)
                .flat_map(|r| &r.alerts)
                .collect();
            let by = alerts.iter().filter(|a| reached(a, name)).map(|a| (*a).clone()).collect();
            Exercised { name: name.clone(), by, of: alerts.len() as u64 }
        })
        .collect();
    let silenced = silenced(history);
    let inhibitions: Vec<Exercised> = routing
        .inhibitions
        .iter()
        .map(|rule| {
            let seen = rule
                .pairs
                .iter()
                .filter(|(source, target)| silenced.contains(&(source.as_str(), target.as_str())));
            Exercised {
                name: rule.name.clone(),
                by: seen.map(|(s, t)| format!("{s} silenced {t}")).collect(),
                of: rule.pairs.len() as u64,
            }
        })
        .collect();
    let exercised = |all: &[Exercised]| Share::of(all, |e| !e.by.is_empty());
    let counts = Counts {
        quiet: Share::of(rules.iter().filter(|r| !r.switch), |r| r.quiet == Some(true)),
        fired: Share::of(&rules, |r| r.fired),
        told: Share::of(rules.iter().flat_map(|r| &r.receivers), |r| r.told),
        resolved: Share::of(rules.iter().filter(|r| !r.switch), |r| r.resolved),
        routes: exercised(&routes),
        receivers: exercised(&receivers),
        inhibitions: exercised(&inhibitions),
    };
    Coverage { rules, routes, receivers, inhibitions, counts }
}

fn rules(
    history: &History,
    verdicts: &[Verdict],
    rows: &[AlertRow],
    declared: Declared<'_>,
    told: &BTreeMap<&str, BTreeSet<String>>,
) -> Vec<OfRule> {
    let loaded = history.observations().filter_map(|(_, o)| match &o.fact {
        Fact::Rules { groups } => Some(
            groups.iter().flat_map(|g| &g.rules).filter(|r| r.alerting).map(|r| r.name.clone()),
        ),
        _ => None,
    });
    let names: BTreeSet<String> = loaded
        .flatten()
        .chain(declared.alerts.keys().chain(declared.switches.keys()).cloned())
        .collect();
    let firing = Firing::of(history);
    let resolved = |name: &str| {
        verdicts
            .iter()
            .find(|v| v.id == format!("alert.{name}.resolves"))
            .map(|v| v.status == Status::Pass)
    };
    let rule = |name: String| {
        let row = rows.iter().find(|r| r.rule == name);
        let switch = declared.switches.get(&name);
        let receivers = switch.or_else(|| declared.alerts.get(&name));
        let was_told = |r: &String| told.get(name.as_str()).is_some_and(|told| told.contains(r));
        OfRule {
            declared: receivers.is_some(),
            switch: switch.is_some(),
            quiet: row.and_then(|r| r.quiet_when_healthy),
            fired: row.is_some_and(|r| r.fired) || !firing.firing(&name).is_empty(),
            receivers: receivers
                .into_iter()
                .flatten()
                .map(|r| OfReceiver { name: r.clone(), told: was_told(r) })
                .collect(),
            resolved: resolved(&name).unwrap_or_else(|| row.is_some_and(|r| r.resolved)),
            rule: name,
        }
    };
    names.into_iter().map(rule).collect()
}

/// Pairs of alerts of which the alert manager said that the first silences the second.
fn silenced(history: &History) -> BTreeSet<(&str, &str)> {
    let alerts = history.observations().filter_map(|(_, o)| match &o.fact {
        Fact::ManagedAlerts { alerts } => Some(alerts),
        _ => None,
    });
    let named = alerts
        .flatten()
        .filter_map(|a| Some((a.labels.get("alertname")?.as_str(), &a.inhibited_by)));
    named
        .flat_map(|(target, sources)| sources.iter().map(move |source| (source.as_str(), target)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::history;
    use super::*;
    use crate::observation::alerts::ManagedAlert;
    use crate::{EventKind, Observation};

    fn row(rule: &str, fired: bool, told: &[&str]) -> AlertRow {
        AlertRow {
            stages: vec![],
            stages_noise_s: None,
            rule: rule.into(),
            drills: Vec::new(),
            fired,
            proved_by: None,
            receivers: told.iter().map(|s| (*s).to_owned()).collect(),
            resolved: fired,
            quiet_when_healthy: Some(true),
            detect_s: None,
            notify_s: None,
            budget_s: None,
            stopped_at: None,
        }
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|s| (*s).to_owned()).collect()
    }

    fn routing() -> Routing {
        let route = |name: &str, receiver: &str, alerts: &[&str]| Route {
            name: name.into(),
            receiver: receiver.into(),
            alerts: set(alerts),
        };
        Routing {
            routes: vec![route("a", "team", &["Down", "Slow"]), route("b", "night", &["Down"])],
            receivers: BTreeMap::from([
                ("team".into(), set(&["chat"])),
                ("night".into(), set(&["pager"])),
                ("unused".into(), set(&["chat"])),
            ]),
            inhibitions: vec![Inhibition {
                name: "x".into(),
                pairs: BTreeSet::from([("Down".into(), "Slow".into())]),
            }],
        }
    }

    fn managed(inhibited_by: &[&str]) -> EventKind {
        let alert = ManagedAlert {
            labels: BTreeMap::from([("alertname".into(), "Slow".into())]),
            state: "suppressed".into(),
            inhibited_by: inhibited_by.iter().map(|s| (*s).to_owned()).collect(),
            silenced_by: vec![],
            muted_by: vec![],
            receivers: vec![],
            routes: vec![],
            starts_at_s: 0.0,
            ends_at_s: 0.0,
        };
        let fact = Fact::ManagedAlerts { alerts: vec![alert] };
        EventKind::Observation(Observation {
            source: "am".into(),
            via: None,
            asked: Default::default(),
            answered: Default::default(),
            fact,
        })
    }

    fn covered(rows: &[AlertRow], events: Vec<EventKind>) -> Coverage {
        let declared = BTreeMap::from([
            ("Down".into(), vec!["chat".into(), "pager".into()]),
            ("Slow".into(), vec!["chat".into()]),
        ]);
        let switches = BTreeMap::from([("Alive".into(), vec!["chat".into()])]);
        coverage(
            &history(events),
            &[],
            rows,
            Declared { alerts: &declared, switches: &switches },
            &routing(),
        )
    }

    #[test]
    fn a_route_is_exercised_by_an_alert_that_reached_its_receiver() {
        let seen = covered(
            &[row("Down", true, &["chat"]), row("Slow", false, &[])],
            vec![managed(&["Down"])],
        );
        assert_eq!(
            seen.routes.iter().map(|r| (r.by.len(), r.of)).collect::<Vec<_>>(),
            [(1, 2), (0, 1)]
        );
        let share = |seen, of| Share { seen, of };
        assert_eq!((seen.counts.routes, seen.counts.receivers), (share(1, 2), share(1, 3)));
        assert_eq!(
            (seen.counts.quiet, seen.counts.fired, seen.counts.resolved),
            (share(2, 2), share(1, 3), share(1, 2))
        );
        assert_eq!(seen.counts.told, share(1, 4), "the switch was not heard of");
        assert_eq!(seen.inhibitions[0].by, ["Down silenced Slow"]);
    }

    #[test]
    fn nothing_is_exercised_by_silence() {
        let seen = covered(&[], vec![managed(&["Other"])]);
        for share in [
            seen.counts.quiet,
            seen.counts.fired,
            seen.counts.told,
            seen.counts.resolved,
            seen.counts.routes,
            seen.counts.inhibitions,
        ] {
            assert!(share.seen == 0 && share.of > 0, "{share:?}");
        }
    }
}
