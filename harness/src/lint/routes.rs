//! Alertmanager's routes, receivers and inhibitions against the alerts that there are.

mod inhibitions;

use std::collections::{BTreeMap, BTreeSet};

use super::alert::{Alert, Alerts, Known};
use super::{Findings, LintContext, Severity};
use crate::yaml::nearest;
use crate::yaml::suggest;
use config::monitoring::alertmanager::Route;
use config::monitoring::matcher::{LabelMatcher, MatcherOp};
use config::monitoring::{Alertmanager, IntegrationKind, duration};

pub(super) fn check(subject: &LintContext<'_>, findings: &mut Findings) {
    let alerts = subject.alerts;
    if alerts.all.is_empty() {
        return;
    }
    for manager in &subject.config.alertmanagers {
        let view = &manager.config.view;
        let reached = Reached::of(alerts, view);
        labels_of_routes(alerts, view, findings);
        decisive_labels(alerts, view, findings);
        dead_routes(&reached, &view.route, findings);
        receivers(&reached, view, findings);
        for inhibition in &view.inhibitions {
            inhibitions::check(alerts, inhibition, findings);
        }
        through_itself(subject, &reached, view, &manager.service, findings);
        repeats(&view.route, None, findings);
    }
}

/// Which alerts may end in which route.
pub(super) struct Reached<'a> {
    alerts: &'a Alerts<'a>,
    /// By key of the route.
    routes: BTreeMap<&'a str, BTreeSet<usize>>,
}

impl<'a> Reached<'a> {
    pub(super) fn of(alerts: &'a Alerts<'a>, view: &'a Alertmanager) -> Reached<'a> {
        let mut reached = Reached { alerts, routes: BTreeMap::new() };
        for alert in 0..alerts.all.len() {
            reached.walk(&view.route, alert);
        }
        reached
    }

    /// Alerts of which a receiver may be notified.
    pub(super) fn by_receiver(&self, view: &Alertmanager, receiver: &str) -> Vec<&'a Alert<'a>> {
        let routes = all_routes(&view.route).into_iter().filter(|r| r.receiver == receiver);
        let found = routes.filter_map(|route| self.routes.get(route.place.key.as_str())).flatten();
        found.collect::<BTreeSet<_>>().into_iter().map(|at| &self.alerts.all[*at]).collect()
    }

    /// Whether the alert enters a route; none if its series decide.
    fn walk(&mut self, route: &'a Route, alert: usize) -> Option<bool> {
        let enters = self.alerts.satisfies_all(&self.alerts.all[alert], &route.matchers);
        if enters == Some(false) {
            return enters;
        }
        let mut surely_below = false;
        for child in &route.routes {
            if self.walk(child, alert) == Some(true) {
                surely_below = true;
                if !child.go_on {
                    break;
                }
            }
        }
        if !surely_below {
            self.routes.entry(&route.place.key).or_default().insert(alert);
        }
        enters
    }

    /// Alerts that may end in a route or below.
    fn below(&self, route: &Route) -> usize {
        let own = self.routes.get(route.place.key.as_str()).map_or(0, BTreeSet::len);
        own + route.routes.iter().map(|child| self.below(child)).sum::<usize>()
    }
}

fn all_routes(route: &Route) -> Vec<&Route> {
    let mut found = vec![route];
    found.extend(route.routes.iter().flat_map(all_routes));
    found
}

/// Labels that routes and inhibitions look at.
fn looked_at(view: &Alertmanager) -> Vec<(&LabelMatcher, &config::yaml::Place, &'static str)> {
    let routes = all_routes(&view.route).into_iter().flat_map(|route| {
        route.matchers.iter().map(move |matcher| (matcher, &route.place, "a route"))
    });
    let inhibitions = view.inhibitions.iter().flat_map(|rule| {
        rule.source
            .iter()
            .chain(&rule.target)
            .map(move |matcher| (matcher, &rule.place, "an inhibition"))
    });
    routes.chain(inhibitions).collect()
}

fn labels_of_routes(alerts: &Alerts<'_>, view: &Alertmanager, findings: &mut Findings) {
    let set_by_rules: BTreeSet<&str> = alerts
        .all
        .iter()
        .flat_map(|alert| alert.rule.labels.keys().map(String::as_str))
        .chain(["alertname"])
        .collect();
    let external = alerts.all.iter().flat_map(|alert| {
        alert.server.config.view.global.external_labels.keys().map(String::as_str)
    });
    let carried: BTreeSet<&str> = set_by_rules
        .iter()
        .copied()
        .chain(alerts.of_series.iter().map(String::as_str))
        .chain(external)
        .collect();
    let mut said = BTreeSet::new();
    for (matcher, place, what) in looked_at(view) {
        if !carried.contains(matcher.name.as_str())
            && matcher.matches(&BTreeMap::new()) == (matcher.op == MatcherOp::NotEqual)
            && said.insert((matcher.name.as_str(), place))
        {
            // The name of an alert is in `alertname`, however it is called in a rule.
            let open = alerts.all.iter().any(|alert| alert.may_carry(&matcher.name));
            let near = match matcher.name.as_str() {
                "alert" | "alert_name" => Some("alertname"),
                "name" if !open => Some("alertname"),
                name => nearest(name, set_by_rules.iter().copied()),
            };
            let severity = if near.is_none() && open { Severity::Note } else { Severity::Warning };
            let hint = near.map_or_else(
                || suggest(&matcher.name, set_by_rules.iter().copied(), "labels of alerts"),
                |near| format!("did you mean {near}?"),
            );
            findings.add(
                severity,
                "unknown-label",
                place,
                format!(
                    "{what} looks at label `{}`, which no alert carries as far as the files tell",
                    matcher.name
                ),
                hint,
            );
        }
    }
}

/// Labels that decide about routes: alerts that lack one which most others set, and values that no
/// route looks at.
fn decisive_labels(alerts: &Alerts<'_>, view: &Alertmanager, findings: &mut Findings) {
    let decisive: BTreeSet<&str> = all_routes(&view.route)
        .into_iter()
        .flat_map(|route| route.matchers.iter().map(|matcher| matcher.name.as_str()))
        .collect();
    let values = |label: &str| -> BTreeSet<&str> {
        looked_at(view)
            .into_iter()
            .filter(|(matcher, _, _)| matcher.name == label && matcher.op == MatcherOp::Equal)
            .map(|(matcher, _, _)| matcher.value.as_str())
            .collect()
    };
    for label in decisive.into_iter().filter(|label| *label != "alertname") {
        let setting =
            alerts.all.iter().filter(|alert| alert.rule.labels.contains_key(label)).count();
        let wanted = values(label);
        for alert in &alerts.all {
            if setting * 2 > alerts.all.len() && missing(alerts, alert, label) {
                findings.warning(
                    "label-missing",
                    &alert.rule.place,
                    format!("alert `{}` has no label `{label}`, which {setting} others have and routes decide by", alert.rule.name),
                    format!("add `{label}` under `labels`"),
                );
            }
            // A value that nothing looks at, one letter from one that something does.
            if let Some(value) =
                alert.rule.labels.get(label).filter(|value| !wanted.contains(value.as_str()))
                && !looked_at(view)
                    .iter()
                    .any(|(matcher, _, _)| matcher.name == label && matcher.op != MatcherOp::Equal)
                && let Some(near) = nearest(value, wanted.iter().copied())
                && alerts
                    .all
                    .iter()
                    .filter(|other| other.rule.labels.get(label) == Some(value))
                    .count()
                    == 1
            {
                findings.warning(
                    "label-value",
                    &alert.rule.place,
                    format!(
                        "alert `{}` has {label}=\"{value}\", which no route looks at",
                        alert.rule.name
                    ),
                    format!("did you mean `{near}`?"),
                );
            }
        }
    }
}

fn missing(alerts: &Alerts<'_>, alert: &Alert<'_>, label: &str) -> bool {
    !alert.rule.labels.contains_key(label)
        && match alerts.label(alert, label) {
            Known::Value(value) => value.is_empty(),
            // A label of targets may well come along; one that only other expressions speak of
            // hardly does.
            Known::Open => false,
        }
}

fn dead_routes(reached: &Reached<'_>, route: &Route, findings: &mut Findings) {
    for child in &route.routes {
        if reached.below(child) == 0 {
            let matchers: Vec<_> = child.matchers.iter().map(ToString::to_string).collect();
            let enters =
                reached.alerts.all.iter().any(|alert| {
                    reached.alerts.satisfies_all(alert, &child.matchers) != Some(false)
                });
            let (why, hint) = if enters {
                (
                    "a route above it takes every alert that would",
                    "move it up, or let the one above `continue`",
                )
            } else {
                (
                    "no alert satisfies its matchers",
                    "correct the matchers, or the labels of the alerts",
                )
            };
            findings.warning(
                "dead-route",
                &child.place,
                format!(
                    "no alert ends in the route {{{}}} to `{}`: {why}",
                    matchers.join(", "),
                    child.receiver
                ),
                hint,
            );
        } else {
            dead_routes(reached, child, findings);
        }
    }
}

fn receivers(reached: &Reached<'_>, view: &Alertmanager, findings: &mut Findings) {
    let routes = all_routes(&view.route);
    for receiver in &view.receivers {
        let named: Vec<_> = routes.iter().filter(|route| route.receiver == receiver.name).collect();
        let alerts: BTreeSet<usize> = named
            .iter()
            .filter_map(|route| reached.routes.get(route.place.key.as_str()))
            .flatten()
            .copied()
            .collect();
        if named.is_empty() {
            findings.warning(
                "receiver-never-reached",
                &receiver.place,
                format!("no route leads to receiver `{}`", receiver.name),
                "name it in a route, or remove it",
            );
        } else if alerts.is_empty()
            && named.iter().any(|route| route.place.key != view.route.place.key)
        {
            findings.warning(
                "receiver-never-reached",
                &receiver.place,
                format!("routes lead to receiver `{}`, and no alert ends in them", receiver.name),
                "see the routes that name it",
            );
        }
        if receiver.integrations.is_empty()
            && let Some(alert) =
                alerts.iter().map(|at| &reached.alerts.all[*at]).find(|alert| is_critical(alert))
        {
            findings.warning(
                "receiver-tells-nobody",
                &receiver.place,
                format!(
                    "receiver `{}` tells nobody, and critical alert `{}` ends there",
                    receiver.name, alert.rule.name
                ),
                "give it an integration, or route the alert elsewhere",
            );
        }
    }
}

/// By what rules say of themselves.
fn is_critical(alert: &Alert<'_>) -> bool {
    alert.rule.labels.get("severity").is_some_and(|severity| rank(severity) >= 3)
}

fn rank(severity: &str) -> u8 {
    match severity.to_lowercase().as_str() {
        "critical" | "page" | "fatal" | "emergency" | "disaster" | "p1" => 3,
        "error" | "major" | "high" | "p2" => 2,
        "warning" | "warn" | "minor" | "medium" | "p3" => 1,
        _ => 0,
    }
}

fn severity(alert: &Alert<'_>) -> u8 {
    alert.rule.labels.get("severity").map_or(0, |severity| rank(severity))
}

/// Alerts about a service whose every way to people leads through that service.
fn through_itself(
    subject: &LintContext<'_>,
    reached: &Reached<'_>,
    view: &Alertmanager,
    manager: &str,
    findings: &mut Findings,
) {
    let routes = all_routes(&view.route);
    for (at, alert) in reached.alerts.all.iter().enumerate() {
        let about = about(subject, alert);
        if about.is_empty() {
            continue;
        }
        let ends = routes.iter().filter(|route| {
            reached.routes.get(route.place.key.as_str()).is_some_and(|alerts| alerts.contains(&at))
        });
        let told: Vec<_> = ends
            .filter_map(|route| view.receiver(&route.receiver))
            .flat_map(|receiver| &receiver.integrations)
            .collect();
        let passes = |url: Option<&str>| {
            let host = url?.split("//").nth(1)?.split(['/', ':']).next()?;
            subject.hosts.get(host).filter(|service| about.contains(service.as_str()))
        };
        let through: Vec<_> = told
            .iter()
            .filter_map(|one| passes(one.url.as_deref()).map(|service| (service, one)))
            .collect();
        if let Some((service, one)) = through.first()
            && through.len() == told.len()
        {
            let by = if one.kind == IntegrationKind::Email { "mailed through" } else { "sent to" };
            findings.error(
                "told-through-itself",
                &alert.rule.place,
                format!("alert `{}` is about {service} and is only {by} {service}, by {}", alert.rule.name, one.place.key),
                "give its receiver a second way, or another relay: nobody hears of it when it matters",
            );
        } else if about.contains(manager) && subject.config.alertmanagers.len() == 1 {
            findings.add(
                Severity::Note,
                "told-through-itself",
                &alert.rule.place,
                format!("alert `{}` is about {manager}, which has to deliver it", alert.rule.name),
                "watch it from outside: an always-firing alert whose absence is noticed",
            );
        }
    }
}

/// Services that an alert is about: by its label `service` where the rule sets it, and by the jobs
/// that it asks for.
fn about<'a>(subject: &'a LintContext<'_>, alert: &'a Alert<'_>) -> BTreeSet<&'a str> {
    let named = alert
        .rule
        .labels
        .get("service")
        .and_then(|name| subject.hosts.get(name))
        .map(String::as_str);
    let jobs = alert.jobs();
    let declared = subject
        .declaration
        .targets
        .iter()
        .filter(|target| jobs.contains(target.job.as_str()))
        .map(|target| target.service.as_str());
    let scraped = alert
        .server
        .config
        .view
        .jobs
        .iter()
        .filter(|job| jobs.contains(job.name.as_str()))
        .flat_map(|job| {
            job.static_configs
                .iter()
                .flat_map(|targets| &targets.targets)
                .filter_map(|(target, _)| subject.hosts.get(target.split(':').next()?))
                .map(String::as_str)
        });
    named.into_iter().chain(declared).chain(scraped).collect()
}

/// Reminders that can't come as often as they are asked for, told once where it is inherited.
fn repeats(route: &Route, above: Option<&Route>, findings: &mut Findings) {
    let asked = (route.repeat_interval, route.group_interval);
    if route.repeat_interval < route.group_interval
        && above.is_none_or(|above| (above.repeat_interval, above.group_interval) != asked)
    {
        findings.warning(
            "repeat-below-group-interval",
            &route.place,
            format!(
                "reminders are asked for every {}, and a group is only looked at every {}",
                duration::format(route.repeat_interval),
                duration::format(route.group_interval)
            ),
            "let `repeat_interval` be a multiple of `group_interval`",
        );
    }
    for child in &route.routes {
        repeats(child, Some(route), findings);
    }
}
