//! Rule files, and how Prometheus comes to them and to its Alertmanager.

use std::collections::BTreeMap;
use std::time::Duration;

use super::discover::is_loose;
use super::{Findings, LintContext, Severity};
use crate::yaml::suggest;
use config::budget::{self, BudgetAssumptions, BudgetError};
use config::monitoring::{PrometheusServer, Rule, RuleGroup, duration, promql};
use config::timescale::{Declared, Scale};

/// `for` from which on it is worth a note.
const LONG: Duration = Duration::from_secs(3600);

pub(super) fn check(subject: &LintContext<'_>, findings: &mut Findings) {
    for server in &subject.config.prometheus {
        for (pattern, place) in &server.without_file {
            // What lies outside of the configuration's folder is known by a Compose file's mounts
            // only.
            let severity = match subject.knows_services() || !pattern.starts_with('/') {
                true => Severity::Error,
                false => Severity::Note,
            };
            findings.add(
                severity,
                "rule-file-missing",
                place,
                format!("no file belongs to the pattern `{pattern}`; Prometheus starts without a word about it"),
                "correct the pattern, which is relative to this file's folder, or mount the file",
            );
        }
        duplicates(server, findings);
        for (group, rule) in
            groups(server).flat_map(|group| group.rules.iter().map(move |rule| (group, rule)))
        {
            holds(server, group, rule, findings);
        }
        told_in_time(subject, server, findings);
        told_to_alertmanager(subject, server, findings);
    }
}

fn groups(server: &PrometheusServer) -> impl Iterator<Item = &RuleGroup> {
    server.rules.iter().flat_map(|file| &file.view)
}

/// Rules that make the same series.
fn duplicates(server: &PrometheusServer, findings: &mut Findings) {
    // Rules of one name may well ask for different things, and often do.
    let mut seen = BTreeMap::new();
    for rule in groups(server).flat_map(|group| &group.rules) {
        let key = (rule.is_alert(), rule.name.as_str(), &rule.labels, promql::print(&rule.expr));
        let first: &Rule = seen.entry(key).or_insert(rule);
        if std::ptr::eq(first, rule) {
            continue;
        }
        let kind = if rule.is_alert() { "alert" } else { "recorded series" };
        findings.error(
            "duplicate-rule",
            &rule.place,
            format!(
                "{kind} `{}` is there twice with the same labels and expression, first in {}",
                rule.name, first.place
            ),
            "remove one",
        );
    }
}

/// `for` against the interval of evaluations.
fn holds(server: &PrometheusServer, group: &RuleGroup, rule: &Rule, findings: &mut Findings) {
    let interval = group.interval.unwrap_or(server.config.view.global.evaluation_interval);
    let hold = rule.hold();
    let known = group.interval.is_some() || !is_loose(server);
    if known && !hold.is_zero() && hold < interval {
        findings.warning(
            "for-below-interval",
            &rule.place,
            format!(
                "alert `{}` has `for: {}`, but its group is evaluated every {}: it waits that long all the same",
                rule.name,
                duration::format(hold),
                duration::format(interval)
            ),
            "leave `for` out, or give the group a shorter `interval`",
        );
    }
    if hold >= LONG {
        findings.add(
            Severity::Note,
            "for-long",
            &rule.place,
            format!(
                "alert `{}` tells nobody for {}, and starts again whenever its expression is false once",
                rule.name,
                duration::format(hold)
            ),
            "if somebody waits for it, shorten `for`",
        );
    }
}

/// Alerts of which their owner wants to be told sooner than the configuration can promise, however
/// fast everything is.
fn told_in_time(subject: &LintContext<'_>, server: &PrometheusServer, findings: &mut Findings) {
    for alert in &subject.declaration.alerts {
        let Some(within) = alert.within_s.and_then(|s| Duration::try_from_secs_f64(s).ok()) else {
            continue;
        };
        let budgets = budget::budgets(
            subject.config,
            &alert.name,
            &alert.labels,
            &BudgetAssumptions::at_best(),
        )
        .unwrap_or_default();
        let refused = budgets.iter().find_map(|budget| budget.check_feasible(within).err());
        let rule = groups(server)
            .flat_map(|group| &group.rules)
            .find(|rule| rule.is_alert() && rule.name == alert.name);
        if let (Some(BudgetError::Impossible { allowed, wanted, stages, .. }), Some(rule)) =
            (refused, rule)
        {
            findings.error(
                "told-too-late",
                &rule.place,
                format!(
                    "alert `{}` can't be told sooner than after {allowed} ({stages}), and firedrill.yaml wants it within {wanted}",
                    alert.name
                ),
                "shorten `for`, the interval or the wait of its route's group, or state a larger `within_s`",
            );
        }
    }
}

/// Whether alerts leave the server, to where the stack's Alertmanager is.
fn told_to_alertmanager(
    subject: &LintContext<'_>,
    server: &PrometheusServer,
    findings: &mut Findings,
) {
    let Some(alert) = groups(server).flat_map(|group| &group.rules).find(|rule| rule.is_alert())
    else {
        return;
    };
    // Who loads such rules, and tells whom, nobody knows.
    if is_loose(server) {
        return;
    }
    let view = &server.config.view;
    let targets: Vec<_> = view.alertmanagers.iter().flat_map(|manager| &manager.targets).collect();
    if targets.is_empty() && view.alertmanagers.iter().all(|manager| manager.discoveries.is_empty())
    {
        findings.error(
            "no-alertmanager",
            &config::yaml::Place::of(&server.config.doc.file),
            format!(
                "{} has alerts (`{}` …) and no Alertmanager to send them to",
                server.service, alert.name
            ),
            "name it under `alerting.alertmanagers`",
        );
    }
    let managers = &subject.declaration.roles.alerting;
    for (target, place) in targets {
        let (host, port) = target.rsplit_once(':').unwrap_or((target, "9093"));
        let service = subject.hosts.get(host);
        let role = service.and_then(|s| managers.iter().find(|role| role.service == *s));
        match (service, role) {
            (None, _) if !subject.knows_services() => {}
            // On the host's network others listen at these.
            (None, _)
                if host == "localhost" && subject.networks.sharing.contains(&server.service) => {}
            (None, _) if elsewhere(host) || subject.networks.open => findings.note(
                "alertmanager-address",
                place,
                format!("alerts are sent to `{target}`, which is no service of the stack"),
                "is it meant to be elsewhere?",
            ),
            (None, _) => findings.error(
                "alertmanager-address",
                place,
                format!(
                    "alerts are sent to `{target}`, and no service of the stack is called {host}"
                ),
                suggest(host, subject.hosts.keys().map(String::as_str), "services"),
            ),
            (Some(_), Some(role)) if port != role.port.to_string() => findings.error(
                "alertmanager-address",
                place,
                format!("alerts are sent to port {port} of {host}, which listens on {}", role.port),
                "correct the port here, or `roles.alerting.port` in firedrill.yaml",
            ),
            _ => {}
        }
    }
}

/// Whether a host's name is none that a service would have.
fn elsewhere(host: &str) -> bool {
    host.contains('.') || host.contains("${")
}

/// Whether the configuration can be had at the time scale that its owner declares.
pub(super) fn time_scale(subject: &LintContext<'_>, findings: &mut Findings) {
    let declared = Declared::from_decisions(&subject.declaration.scaling);
    let Ok(scale) = Scale::new(subject.declaration.time_scale) else { return };
    let Err(refusal) = scale.declared(declared).apply(subject.config) else { return };
    for reason in refusal.reasons {
        let Some(place) = &reason.place else { continue };
        let what = format!(
            "{}: time scale {} can't be had: {}",
            reason.subject, refusal.scale, reason.why
        );
        findings.warning("time-scale", place, what, reason.hint);
    }
}
