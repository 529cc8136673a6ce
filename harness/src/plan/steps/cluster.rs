//! Servers of one role that stand in for each other.

use super::StepWorld;
use crate::declaration::MAIN_SET;
use cucumber::then;
use std::collections::BTreeMap;
use verdict::check::alerts::StatesNotifiedOnce;
use verdict::check::cluster::{
    AlertsHeldOnce, ManagersAlike, ManagersClustered, ReplicasToldApart, SentToEachManager,
};

/// The metrics servers of the main set, if they are several.
fn replicas(t: &mut StepWorld) -> Option<Vec<String>> {
    let declaration = t.declaration();
    let servers: Vec<String> =
        declaration.roles.metrics_of(MAIN_SET).map(|r| r.service.clone()).collect();
    if servers.len() < 2 {
        t.one_alone("metrics");
        return None;
    }
    Some(servers)
}

/// The alert managers, if they are several.
fn managers(t: &mut StepWorld) -> Option<Vec<String>> {
    let declaration = t.declaration();
    let managers: Vec<String> =
        declaration.roles.alerting.iter().map(|r| r.service.clone()).collect();
    if managers.len() < 2 {
        t.one_alone("alerting");
        return None;
    }
    Some(managers)
}

#[then("labels of their own tell the metrics servers apart")]
fn told_apart(t: &mut StepWorld) {
    let Some(servers) = replicas(t) else { return };
    t.expect(ReplicasToldApart { servers });
}

#[then("each metrics server sends its alerts to each alert manager")]
fn sent_to_each(t: &mut StepWorld) {
    let Some(all) = managers(t) else { return };
    let subject = t.told();
    let names = |service: &String| {
        subject.hosts.iter().filter(|(_, s)| *s == service).map(|(host, _)| host.clone()).collect()
    };
    let managers: BTreeMap<String, Vec<String>> =
        all.iter().map(|service| (service.clone(), names(service))).collect();
    t.expect(SentToEachManager { managers });
}

#[then("the alert managers are one cluster with one configuration")]
fn one_cluster(t: &mut StepWorld) {
    let Some(managers) = managers(t) else { return };
    t.expect(ManagersClustered { managers: managers.clone() });
    t.expect(ManagersAlike { managers });
}

#[then("each state of a group of alerts is notified once, from whichever alert manager")]
fn states_once(t: &mut StepWorld) {
    let Some(managers) = managers(t) else { return };
    let receivers = t.declaration().receivers.into_iter().map(|r| r.name).collect();
    t.expect(StatesNotifiedOnce { receivers, managers });
}

#[then("the alert managers hold each alert once, whichever metrics server sent it")]
fn held_once(t: &mut StepWorld) {
    if replicas(t).is_none() {
        return;
    }
    let Some(managers) = managers(t) else { return };
    t.expect(AlertsHeldOnce { managers });
}
