//! The stages of one rule on its ways to receivers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::reach::{RulePlace, interval_of, reach, scrape};
use super::{Budget, BudgetAssumptions, Stage, StageTime, sum};
use crate::monitoring::{AlertmanagerServer, MonitoringConfig, PrometheusServer, Route, duration};

/// `hold` in whole evaluations.
pub(super) fn rounded_up(hold: Duration, interval: Duration) -> Duration {
    if interval.is_zero() {
        return hold;
    }
    let times = hold.as_nanos().div_ceil(interval.as_nanos());
    interval * u32::try_from(times).unwrap_or(u32::MAX)
}

pub(super) fn of_rule(
    config: &MonitoringConfig,
    server: &PrometheusServer,
    place: &RulePlace<'_>,
    labels: &BTreeMap<String, String>,
    assumptions: &BudgetAssumptions,
) -> Vec<Budget> {
    let rule = place.rule;
    let (first, last) = until_decided(server, place, assumptions);
    let decided = Budget {
        alert: rule.name.clone(),
        prometheus: server.service.clone(),
        receiver: String::new(),
        route: String::new(),
        sends_resolved: false,
        fire: sum(&first) + assumptions.host_noise,
        clear: sum(&last) + assumptions.host_noise,
        notify: Duration::ZERO,
        resolve: Duration::ZERO,
        stages: first,
        resolve_stages: last,
    };
    let Some(manager) = alertmanager_of(config, server) else {
        return vec![summed_up(decided, assumptions.host_noise)];
    };
    let mut all = server.config.view.global.external_labels.clone();
    all.extend(labels.clone());
    all.extend(rule.labels.clone());
    all.insert("alertname".into(), rule.name.clone());
    let ends = manager.config.view.route_for(&all);
    ends.iter()
        .map(|end| {
            let notified = notified_by(decided.clone(), manager, end.route, assumptions);
            summed_up(notified, assumptions.host_noise)
        })
        .collect()
}

/// The stages at the metrics server: until the alert fires, and until it is over.
fn until_decided(
    server: &PrometheusServer,
    place: &RulePlace<'_>,
    assumptions: &BudgetAssumptions,
) -> (Vec<StageTime>, Vec<StageTime>) {
    let rule = place.rule;
    let interval = interval_of(server, place.group);
    let reach = reach(server, *place, &rule.expr, Duration::ZERO, 0);
    let (mut first, mut last) = windows(reach.window, assumptions);
    let (takes, basis) = scrape(server, &reach, assumptions);
    for stages in [&mut first, &mut last] {
        push(stages, Stage::Scrape, takes, basis.clone());
        for (name, interval) in &reach.recordings {
            let basis = format!(
                "recorded series `{name}`, evaluated every {}",
                duration::format(*interval)
            );
            push(stages, Stage::Recording, *interval, basis);
        }
        let offset =
            place.group.query_offset.unwrap_or(server.config.view.global.rule_query_offset);
        if !offset.is_zero() {
            push(stages, Stage::QueryOffset, offset, "evaluations look back by it".into());
        }
        let basis = format!(
            "group `{}` is evaluated every {}",
            place.group.name,
            duration::format(interval)
        );
        push(stages, Stage::Evaluation, interval, basis);
    }
    for (stages, stage, wanted, key) in [
        (&mut first, Stage::Hold, rule.hold(), "for"),
        (&mut last, Stage::KeepFiring, rule.keep_firing(), "keep_firing_for"),
    ] {
        if !wanted.is_zero() {
            let text = format!(
                "{key} {} in steps of {}",
                duration::format(wanted),
                duration::format(interval)
            );
            push(stages, stage, rounded_up(wanted, interval), text);
        }
    }
    (first, last)
}

/// How long the expression's window takes to fill and to drain.
fn windows(window: Duration, assumptions: &BudgetAssumptions) -> (Vec<StageTime>, Vec<StageTime>) {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    if !window.is_zero() {
        let text = duration::format(window);
        let (filling, how) = assumptions.fill.filling();
        let takes = window.mul_f64(filling);
        push(&mut first, Stage::WindowFill, takes, format!("window {text}: {how}"));
        let (draining, how) = assumptions.fill.draining();
        let takes = window.mul_f64(draining);
        push(&mut last, Stage::WindowDrain, takes, format!("window {text}: {how}"));
    }
    (first, last)
}

/// Adds the stages at the alert manager, on one route to its receiver.
fn notified_by(
    mut budget: Budget,
    manager: &AlertmanagerServer,
    route: &Route,
    assumptions: &BudgetAssumptions,
) -> Budget {
    let key = &route.place.key;
    let interval = duration::format(route.group_interval);
    if assumptions.joins_group {
        let basis = format!("{key}: its group was notified before, every {interval}");
        push(&mut budget.stages, Stage::GroupInterval, route.group_interval, basis);
    } else {
        let basis = format!("{key}: a new group waits {}", duration::format(route.group_wait));
        push(&mut budget.stages, Stage::GroupWait, route.group_wait, basis);
    }
    let basis = format!("{key}: changes of a group are notified every {interval}");
    push(&mut budget.resolve_stages, Stage::GroupInterval, route.group_interval, basis);
    let before = assumptions.peer_position;
    for stages in [&mut budget.stages, &mut budget.resolve_stages] {
        if before > 0 {
            let basis = format!("{before} peers come before, each with its time-out");
            push(stages, Stage::PeerTurn, peer_timeout(manager) * before, basis);
        }
        let basis = "allowance for the way to the receiver".into();
        push(stages, Stage::Delivery, assumptions.delivery, basis);
    }
    budget.receiver.clone_from(&route.receiver);
    budget.route.clone_from(key);
    budget.sends_resolved = manager
        .config
        .view
        .receiver(&route.receiver)
        .is_some_and(|receiver| receiver.integrations.iter().all(|one| one.send_resolved));
    budget
}

/// Adds the allowance for what else runs on the host, and all stages together.
fn summed_up(mut budget: Budget, noise: Duration) -> Budget {
    for stages in [&mut budget.stages, &mut budget.resolve_stages] {
        if !noise.is_zero() {
            let basis = "allowance for what else runs on the host".into();
            push(stages, Stage::HostNoise, noise, basis);
        }
    }
    budget.notify = sum(&budget.stages);
    budget.resolve = sum(&budget.resolve_stages);
    budget
}

fn push(stages: &mut Vec<StageTime>, stage: Stage, takes: Duration, basis: String) {
    stages.push(StageTime { stage, takes, basis });
}

/// The Alertmanager that a server sends to: the one that it names, else the first.
fn alertmanager_of<'a>(
    config: &'a MonitoringConfig,
    server: &PrometheusServer,
) -> Option<&'a AlertmanagerServer> {
    let targets = server.config.view.alertmanagers.iter().flat_map(|manager| &manager.targets);
    let hosts: Vec<_> = targets.filter_map(|(target, _)| target.split(':').next()).collect();
    let named =
        config.alertmanagers.iter().find(|manager| hosts.contains(&manager.service.as_str()));
    named.or(config.alertmanagers.first())
}

fn peer_timeout(manager: &AlertmanagerServer) -> Duration {
    let written =
        manager.flags.get("cluster.peer-timeout").and_then(|text| duration::parse(text).ok());
    written.unwrap_or(Duration::from_secs(15))
}
