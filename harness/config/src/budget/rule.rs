//! The stages of one rule on its ways to receivers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::reach::{RulePlace, interval_of, reach, scrape};
use super::{Budget, BudgetAssumptions, Stage, StageTime, sum};
use crate::monitoring::{AlertmanagerServer, MonitoringConfig, PrometheusServer, duration};

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
    let interval = interval_of(server, place.group);
    let reach = reach(server, *place, &rule.expr, Duration::ZERO, 0);
    let mut first = Vec::new();
    let mut last = Vec::new();
    if !reach.window.is_zero() {
        let window = duration::format(reach.window);
        let ((filling, how), (draining, back)) =
            (assumptions.fill.filling(), assumptions.fill.draining());
        push(
            &mut first,
            Stage::WindowFill,
            reach.window.mul_f64(filling),
            format!("window {window}: {how}"),
        );
        push(
            &mut last,
            Stage::WindowDrain,
            reach.window.mul_f64(draining),
            format!("window {window}: {back}"),
        );
    }
    let (takes, basis) = scrape(server, &reach, assumptions);
    for stages in [&mut first, &mut last] {
        push(stages, Stage::Scrape, takes, basis.clone());
        for (name, interval) in &reach.recordings {
            push(
                stages,
                Stage::Recording,
                *interval,
                format!(
                    "recorded series `{name}`, evaluated every {}",
                    duration::format(*interval)
                ),
            );
        }
        let offset =
            place.group.query_offset.unwrap_or(server.config.view.global.rule_query_offset);
        if !offset.is_zero() {
            push(stages, Stage::QueryOffset, offset, "evaluations look back by it".into());
        }
        push(
            stages,
            Stage::Evaluation,
            interval,
            format!(
                "group `{}` is evaluated every {}",
                place.group.name,
                duration::format(interval)
            ),
        );
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
    let noise = assumptions.host_noise;
    let fire = sum(&first) + noise;
    let clear = sum(&last) + noise;
    let made = |receiver: &str,
                route: &str,
                sends_resolved: bool,
                first: Vec<StageTime>,
                last: Vec<StageTime>| Budget {
        alert: rule.name.clone(),
        prometheus: server.service.clone(),
        receiver: receiver.to_owned(),
        route: route.to_owned(),
        sends_resolved,
        fire,
        clear,
        notify: sum(&first),
        resolve: sum(&last),
        stages: first,
        resolve_stages: last,
    };
    let with_noise = |stages: &mut Vec<StageTime>| {
        if !noise.is_zero() {
            push(
                stages,
                Stage::HostNoise,
                noise,
                "allowance for what else runs on the host".into(),
            );
        }
    };
    let Some(manager) = alertmanager_of(config, server) else {
        with_noise(&mut first);
        with_noise(&mut last);
        return vec![made("", "", false, first, last)];
    };
    let mut all = server.config.view.global.external_labels.clone();
    all.extend(labels.clone());
    all.extend(rule.labels.clone());
    all.insert("alertname".into(), rule.name.clone());
    let view = &manager.config.view;
    view.route_for(&all)
        .iter()
        .map(|end| {
            let (mut first, mut last) = (first.clone(), last.clone());
            let route = end.route;
            let key = &route.place.key;
            if assumptions.joins_group {
                let basis = format!(
                    "{key}: its group was notified before, every {}",
                    duration::format(route.group_interval)
                );
                push(&mut first, Stage::GroupInterval, route.group_interval, basis);
            } else {
                push(
                    &mut first,
                    Stage::GroupWait,
                    route.group_wait,
                    format!("{key}: a new group waits {}", duration::format(route.group_wait)),
                );
            }
            let basis = format!(
                "{key}: changes of a group are notified every {}",
                duration::format(route.group_interval)
            );
            push(&mut last, Stage::GroupInterval, route.group_interval, basis);
            for stages in [&mut first, &mut last] {
                if assumptions.peer_position > 0 {
                    let turn = peer_timeout(manager) * assumptions.peer_position;
                    push(
                        stages,
                        Stage::PeerTurn,
                        turn,
                        format!(
                            "{} peers come before, each with its time-out",
                            assumptions.peer_position
                        ),
                    );
                }
                push(
                    stages,
                    Stage::Delivery,
                    assumptions.delivery,
                    "allowance for the way to the receiver".into(),
                );
                with_noise(stages);
            }
            let resolved = view
                .receiver(&route.receiver)
                .is_some_and(|receiver| receiver.integrations.iter().all(|one| one.send_resolved));
            made(&route.receiver, key, resolved, first, last)
        })
        .collect()
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
