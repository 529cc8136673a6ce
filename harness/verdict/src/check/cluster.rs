//! How servers of one role stand to each other: replicas of a metrics server that are told apart,
//! alert managers that are one cluster.

use super::Checker;
use super::timeline::Timeline;
use super::wording::{count, list};
use crate::cause::Cause;
use crate::observation::alerts::ManagedAlert;
use crate::observation::members::{ClusterMember, Replica};
use crate::observation::{Fact, Observation};
use crate::{History, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The metrics servers that scrape the same carry external labels that tell them apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplicasToldApart {
    /// The servers.
    pub servers: Vec<String>,
}

/// A metrics server sends its alerts to every alert manager.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SentToEachManager {
    /// The alert managers, each with the host names that lead to it.
    pub managers: BTreeMap<String, Vec<String>>,
}

/// The alert managers are one cluster: each is ready and knows all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManagersClustered {
    /// The alert managers.
    pub managers: Vec<String>,
}

/// The alert managers have the same routes, receivers, inhibitions and time intervals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManagersAlike {
    /// The alert managers.
    pub managers: Vec<String>,
}

/// No alert manager holds one alert twice because metrics servers send it under labels of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertsHeldOnce {
    /// The alert managers.
    pub managers: Vec<String>,
}

/// The last of such facts that each of these servers gave of the healthy stack.
fn last_of<'h, T>(
    timeline: &Timeline<'h>,
    servers: impl Fn(&str) -> bool,
    pick: impl Fn(&'h Fact) -> Option<&'h T>,
) -> BTreeMap<&'h str, (u64, &'h T)> {
    let mut last = BTreeMap::new();
    for (e, o) in timeline.healthy_facts() {
        if let Some(fact) = pick(&o.fact).filter(|_| servers(&o.source)) {
            last.insert(o.source.as_str(), (e.seq, fact));
        }
    }
    last
}

/// The servers that gave no such fact.
fn silent<T>(servers: &[String], said: &BTreeMap<&str, T>) -> Vec<String> {
    servers.iter().filter(|s| !said.contains_key(s.as_str())).cloned().collect()
}

fn never_said(id: String, expected: String, silent: &[String]) -> Verdict {
    let seen = format!("never seen while the stack was healthy: {}", list(silent, 5));
    Verdict::unknown(id, expected, seen)
}

fn replica(fact: &Fact) -> Option<&Replica> {
    if let Fact::Replica(replica) = fact { Some(replica) } else { None }
}

fn cluster(fact: &Fact) -> Option<&ClusterMember> {
    if let Fact::ClusterMember(member) = fact { Some(member) } else { None }
}

/// Labels as they are written in a selector.
fn braces(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

impl Checker for ReplicasToldApart {
    fn id(&self) -> String {
        "scraping.replicas".into()
    }

    fn expected(&self) -> String {
        format!("external labels tell {} apart", list(&self.servers, 5))
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let said = last_of(&timeline, |s| self.servers.iter().any(|x| x == s), replica);
        let silent = silent(&self.servers, &said);
        if !silent.is_empty() {
            return never_said(id, expected, &silent);
        }
        let seqs: Vec<u64> = said.values().map(|(seq, _)| *seq).collect();
        let mut by_labels: BTreeMap<&BTreeMap<String, String>, Vec<&str>> = BTreeMap::new();
        for (server, (_, replica)) in &said {
            by_labels.entry(&replica.external_labels).or_default().push(server);
        }
        if let Some((labels, alike)) = by_labels.iter().find(|(_, servers)| servers.len() > 1) {
            let seen =
                format!("{} have the same external labels {}", list(alike, 5), braces(labels));
            return Verdict::fail(id, expected, Cause::ReplicasAlike, seen).witnesses(seqs).hint(
                "give each a label of its own under `global.external_labels`, `replica` by custom: where their series meet, one overwrites the other",
            );
        }
        let names: Vec<String> =
            said.iter().map(|(s, (_, r))| format!("{s} {}", braces(&r.external_labels))).collect();
        timeline.require_complete(
            Verdict::pass(id, expected, list(&names, 5))
                .evidence("servers with labels of their own", said.len() as u64)
                .witnesses(seqs),
        )
    }
}

impl Checker for SentToEachManager {
    fn id(&self) -> String {
        "alerting.sent_to_each".into()
    }

    fn expected(&self) -> String {
        let managers: Vec<&String> = self.managers.keys().collect();
        format!("alerts are sent to each of {}", list(&managers, 5))
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let said = last_of(&timeline, |_| true, replica);
        let Some((_, (seq, replica))) = said.iter().next() else {
            let seen = "where alerts are sent was never seen while the stack was healthy";
            return Verdict::unknown(id, expected, seen);
        };
        let hosts: Vec<&str> = replica.managers.iter().map(|m| host(m)).collect();
        let named = |names: &[String]| hosts.iter().any(|h| names.iter().any(|n| n == h));
        // Addresses that discovery resolved name nobody, and are counted.
        let addresses: BTreeSet<&&str> =
            hosts.iter().filter(|h| h.parse::<core::net::IpAddr>().is_ok()).collect();
        let missing: Vec<&String> =
            self.managers.iter().filter(|(_, names)| !named(names)).map(|(m, _)| m).collect();
        if missing.len() > addresses.len() {
            let sent = match replica.managers.is_empty() {
                true => "to none".to_owned(),
                false => format!("to {}", list(&replica.managers, 5)),
            };
            let seen = format!("nothing is sent to {}, only {sent}", list(&missing, 5));
            return Verdict::fail(id, expected, Cause::ManagerNotAddressed, seen)
                .witnesses([*seq])
                .hint("name each alert manager under `alerting.alertmanagers`: one that is lost takes with it what only it was sent");
        }
        timeline.require_complete(
            Verdict::pass(id, expected, format!("sent to {}", list(&replica.managers, 5)))
                .evidence("alert managers that alerts are sent to", replica.managers.len() as u64)
                .witnesses([*seq]),
        )
    }
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

impl Checker for ManagersClustered {
    fn id(&self) -> String {
        "alerting.cluster".into()
    }

    fn expected(&self) -> String {
        format!("{} are one cluster", list(&self.managers, 5))
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let said = last_of(&timeline, |s| self.managers.iter().any(|m| m == s), cluster);
        let silent = silent(&self.managers, &said);
        if !silent.is_empty() {
            return never_said(id, expected, &silent);
        }
        let seqs: Vec<u64> = said.values().map(|(seq, _)| *seq).collect();
        let declared = self.managers.len();
        let wrong: Vec<String> = said
            .iter()
            .filter_map(|(member, (_, view))| match view.status.as_str() {
                "ready" if view.peers.len() >= declared => None,
                "ready" => Some(format!(
                    "{member} knows {} of {declared} members",
                    count(view.peers.len() as u64, "member", "members")
                )),
                status => Some(format!("{member} is {status}")),
            })
            .collect();
        if !wrong.is_empty() {
            return Verdict::fail(id, expected, Cause::PeersApart, list(&wrong, 5))
                .witnesses(seqs)
                .hint("name the others with --cluster.peer, and let them reach --cluster.listen-address by TCP and UDP: alert managers that don't know each other notify twice");
        }
        timeline.require_complete(
            Verdict::pass(id, expected, format!("each is ready and knows all {declared}"))
                .evidence("members that know all", said.len() as u64)
                .witnesses(seqs),
        )
    }
}

impl Checker for ManagersAlike {
    fn id(&self) -> String {
        "alerting.configuration".into()
    }

    fn expected(&self) -> String {
        format!("{} run with the same configuration", list(&self.managers, 5))
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let said = last_of(&timeline, |s| self.managers.iter().any(|m| m == s), cluster);
        let silent = silent(&self.managers, &said);
        if !silent.is_empty() {
            return never_said(id, expected, &silent);
        }
        let seqs: Vec<u64> = said.values().map(|(seq, _)| *seq).collect();
        let parts: BTreeSet<&String> =
            said.values().flat_map(|(_, view)| view.configuration.keys()).collect();
        let differing: Vec<String> = parts
            .iter()
            .filter_map(|part| {
                let mut by_text: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
                for (member, (_, view)) in &said {
                    let text = view.configuration.get(*part).map_or("", String::as_str);
                    by_text.entry(text).or_default().push(member);
                }
                if by_text.len() < 2 {
                    return None;
                }
                let texts: Vec<&str> = by_text.keys().copied().collect();
                let members: Vec<String> = by_text.values().map(|of| of.join(" and ")).collect();
                let (at, ours, theirs) = first_difference(texts[0], texts[1]);
                Some(format!(
                    "`{part}` of {} and of {} differ at line {at}: {ours:?}, {theirs:?}",
                    members[0], members[1]
                ))
            })
            .collect();
        if parts.is_empty() {
            return Verdict::unknown(id, expected, "no configuration was seen").witnesses(seqs);
        }
        if !differing.is_empty() {
            return Verdict::fail(id, expected, Cause::PeersDiffer, list(&differing, 3))
                .witnesses(seqs)
                .hint(
                    "whichever member is asked first notifies: give all of them one configuration",
                );
        }
        let names: Vec<&&String> = parts.iter().collect();
        timeline.require_complete(
            Verdict::pass(id, expected, format!("{} are alike", list(&names, 8)))
                .evidence("parts of the configuration that are alike", parts.len() as u64)
                .witnesses(seqs),
        )
    }
}

/// The first line that differs, from 1, and what stands there on either side.
fn first_difference<'t>(ours: &'t str, theirs: &'t str) -> (usize, &'t str, &'t str) {
    let (mut a, mut b) = (ours.lines(), theirs.lines());
    let mut at = 0;
    loop {
        at += 1;
        let (x, y) = (a.next(), b.next());
        if x != y || x.is_none() {
            return (at, x.unwrap_or("").trim(), y.unwrap_or("").trim());
        }
    }
}

impl Checker for AlertsHeldOnce {
    fn id(&self) -> String {
        "alerting.held_once".into()
    }

    fn expected(&self) -> String {
        format!("{} hold each alert once, whichever server sent it", list(&self.managers, 5))
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let replicas = last_of(&timeline, |_| true, replica);
        let telling = telling_labels(replicas.values().map(|(_, r)| *r));
        if telling.is_empty() {
            let seen = "no external label tells the metrics servers apart, or none was seen";
            return Verdict::unknown(id, expected, seen);
        }
        let held = |o: &Observation| self.managers.contains(&o.source);
        let (mut looks, mut alerts, mut seqs) = (0, 0, Vec::new());
        for (e, o) in history.observations().filter(|(_, o)| held(o)) {
            let Fact::ManagedAlerts { alerts: now } = &o.fact else { continue };
            looks += 1;
            alerts += now.len() as u64;
            if !now.is_empty() && seqs.len() < 3 {
                seqs.push(e.seq);
            }
            if let Some((one, other)) = twice(now, &telling) {
                let name = one.labels.get("alertname").map_or("an alert", String::as_str);
                let seen = format!(
                    "{} held {name} twice, as {} and as {}",
                    o.source,
                    braces(&one.labels),
                    braces(&other.labels)
                );
                return Verdict::fail(id, expected, Cause::ReplicaLabelKept, seen)
                    .witnesses([e.seq])
                    .hint("drop the label under `alerting.alert_relabel_configs` of each metrics server (`action: labeldrop`): else each of them raises an alert of its own");
            }
        }
        if alerts == 0 {
            let seen = format!("no alert was held in {}", count(looks, "look", "looks"));
            return Verdict::unknown(id, expected, seen);
        }
        let names: Vec<&String> = telling.iter().collect();
        timeline.require_complete(
            Verdict::pass(id, expected, format!("none of {alerts} twice, by {}", list(&names, 5)))
                .evidence("alerts that were held", alerts)
                .witnesses(seqs),
        )
    }
}

/// Names of the external labels whose values differ between servers; of one server alone, all.
fn telling_labels<'r>(replicas: impl Iterator<Item = &'r Replica> + Clone) -> BTreeSet<String> {
    let names: BTreeSet<&String> =
        replicas.clone().flat_map(|r| r.external_labels.keys()).collect();
    let differs = |name: &&String| {
        let values: BTreeSet<_> = replicas.clone().map(|r| r.external_labels.get(*name)).collect();
        values.len() > 1 || replicas.clone().count() == 1
    };
    names.into_iter().filter(differs).cloned().collect()
}

/// Two alerts that nothing but these labels tells apart.
fn twice<'a>(
    alerts: &'a [ManagedAlert],
    telling: &BTreeSet<String>,
) -> Option<(&'a ManagedAlert, &'a ManagedAlert)> {
    let mut seen: BTreeMap<Vec<(&String, &String)>, &ManagedAlert> = BTreeMap::new();
    alerts.iter().find_map(|alert| {
        let rest = alert.labels.iter().filter(|(name, _)| !telling.contains(*name)).collect();
        seen.insert(rest, alert).map(|before| (before, alert))
    })
}
