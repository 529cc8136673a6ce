//! Whether a stack's files agree with each other: scenarios, baseline and monitoring configuration
//! with the declaration.

use super::Error;
use crate::declaration::{Declaration, Logs};
use crate::plan::scenario::Scenario;
use crate::stack::compose::Project;
use crate::stack::{Mounts, Stack};
use crate::yaml;
use crate::yaml::suggest;
use config::budget::{self, BudgetAssumptions};
use config::monitoring::MonitoringConfig;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use verdict::baseline::{Baseline, SCHEMA, Source};
use verdict::gate::{Better, Compared};

/// Services and alerts that scenarios speak of must be there, and load needs traffic to be added
/// to.
pub(super) fn scenarios(
    folder: &Path,
    scenarios: &BTreeMap<String, Scenario>,
    stack: &Stack,
    config: &MonitoringConfig,
    mounts: &Mounts,
) -> Result<(), Error> {
    let services: BTreeSet<&str> = stack
        .project
        .services
        .keys()
        .chain(stack.project.left_out.keys())
        .map(String::as_str)
        .collect();
    let declared: BTreeSet<&str> =
        stack.declaration.alerts.iter().map(|a| a.name.as_str()).collect();
    let rules: BTreeSet<&str> = declared
        .iter()
        .copied()
        .chain(config.rules().filter(|(_, _, r)| r.is_alert()).map(|(_, _, r)| r.name.as_str()))
        .collect();
    for scenario in scenarios.values() {
        let yml = folder.join(format!("{}.yml", scenario.name));
        let file = if yml.is_file() { yml } else { folder.join(format!("{}.yaml", scenario.name)) };
        let wrong = |keys: &[&str], what: String, hint: String| {
            Err(yaml::error_at(&file, keys, what, hint).into())
        };
        let fault = &scenario.fault;
        if !services.contains(fault.target.as_str()) {
            return wrong(
                &["fault", "target"],
                format!("there is no service {} in {}", fault.target, stack.project.file.display()),
                suggest(&fault.target, services, "services"),
            );
        }
        // Faults that act on a connection name its other end: `service` or `service:port`.
        let to = fault.settings.get("to").map(|to| to.split(':').next().unwrap_or(to));
        if let Some(to) = to.filter(|to| !services.contains(to)) {
            return wrong(
                &["fault", "settings", "to"],
                format!("there is no service {to} in {}", stack.project.file.display()),
                suggest(to, services, "services"),
            );
        }
        for (key, names) in [("disturbs", &scenario.disturbs), ("needs", &scenario.needs)] {
            if let Some((at, unknown)) =
                names.iter().enumerate().find(|(_, n)| !services.contains(n.as_str()))
            {
                return wrong(
                    &[key, &at.to_string()],
                    format!(
                        "{key}: there is no service {unknown} in {}",
                        stack.project.file.display()
                    ),
                    suggest(unknown, services, "services"),
                );
            }
        }
        if let Some((at, unknown)) =
            scenario.alerts.iter().enumerate().find(|(_, a)| !declared.contains(a.as_str()))
        {
            let hint = format!(
                "{}; who is notified of an alert is stated under `alerts` in firedrill.yaml",
                suggest(unknown, declared, "declared alerts")
            );
            return wrong(
                &["alerts", &at.to_string()],
                format!("alerts: {unknown} is not declared"),
                hint,
            );
        }
        if let Some((at, unknown)) =
            scenario.also_raises.iter().enumerate().find(|(_, a)| !rules.contains(a.as_str()))
        {
            return wrong(
                &["also_raises", &at.to_string()],
                format!("also_raises: there is no alert {unknown}"),
                suggest(unknown, rules, "alerts"),
            );
        }
        for (at, change) in scenario.overrides.iter().enumerate() {
            let (service, rules) = match change.file(config) {
                Ok(found) => found,
                Err((what, hint)) => {
                    return wrong(
                        &["overrides", &at.to_string()],
                        format!("overrides: {what}"),
                        hint,
                    );
                }
            };
            if rules.within.is_some() || !mounts.is_mounted(service, &rules.file) {
                let from = rules.within.clone().unwrap_or_else(|| rules.file.display().to_string());
                return wrong(
                    &["overrides", &at.to_string()],
                    format!(
                        "overrides: the rules of {} come from {from}, which {service} does not mount from the run's copy",
                        change.alert
                    ),
                    "a rule is changed while the server runs: mount its file (`volumes`) instead of handing it over by `configs`".into(),
                );
            }
            if stack.declaration.roles.metrics.is_empty() {
                let hint = "state `roles.metrics` in firedrill.yaml, or remove `overrides`".into();
                return wrong(
                    &["overrides"],
                    "overrides: there is no metrics server whose rules could be changed".into(),
                    hint,
                );
            }
        }
        // Beside all other drills, it must not raise what one of them is about.
        let others = scenarios
            .values()
            .filter(|o| scenario.is_early() && o.name != scenario.name && scenario.conflicts(o));
        if let Some(other) = others.into_iter().next() {
            return wrong(
                &["begins"],
                format!("begins: early, but drill {} may raise the same alert", other.name),
                "a fault that is there beside every other drill must raise an alert of its own"
                    .into(),
            );
        }
        if scenario.load.is_some() && stack.declaration.workload.is_none() {
            return wrong(
                &["load"],
                "load: the stack has no `workload` to add to".into(),
                "state in firedrill.yaml which traffic the stack serves, or remove `load`".into(),
            );
        }
    }
    Ok(())
}

/// Reads a baseline; it must be this stack's, and its limits must be limits.
pub(super) fn baseline(
    path: &Path,
    declaration: &Declaration,
    scenarios: &BTreeMap<String, Scenario>,
) -> Result<Baseline, Error> {
    let baseline: Baseline = yaml::read(path)?;
    let wrong = |keys: &[&str], what: String, hint: &str| {
        Err(yaml::error_at(path, keys, what, hint).into())
    };
    if baseline.schema != SCHEMA {
        let what = format!("schema: seen {}, wanted {SCHEMA}", baseline.schema);
        let hint = match baseline.schema {
            1 => {
                "version 2 adds `gate`, what `firedrill baseline` measures; all else stayed: write `schema: 2`"
            }
            _ => "this program reads version 2",
        };
        return wrong(&["schema"], what, hint);
    }
    if baseline.stack != declaration.stack {
        return wrong(
            &["stack"],
            format!(
                "this is the baseline of stack {}, wanted {}",
                baseline.stack, declaration.stack
            ),
            "measure a baseline of this stack; another's says nothing about it",
        );
    }
    if !(0.0..=1.0).contains(&baseline.error_rate_max) {
        return wrong(
            &["error_rate_max"],
            format!("error_rate_max: seen {}, wanted a share from 0 to 1", baseline.error_rate_max),
            "1 % is written 0.01",
        );
    }
    let positive = |n: f64| n.is_finite() && n > 0.0;
    if let Some((step, limit)) = baseline
        .steps
        .iter()
        .find(|(_, l)| !positive(l.p50_ms) || !positive(l.p99_ms) || l.p50_ms > l.p99_ms)
    {
        return wrong(
            &["steps", step],
            format!("steps: {step}: seen p50 {} ms and p99 {} ms", limit.p50_ms, limit.p99_ms),
            "both are above 0, and the median is the smaller",
        );
    }
    let Some(gate) = &baseline.gate else { return Ok(baseline) };
    if !(positive(gate.window_s) && gate.warm_up_s.is_finite() && gate.warm_up_s >= 0.0) {
        let what =
            format!("window_s: seen {} s after {} s of warm-up", gate.window_s, gate.warm_up_s);
        return wrong(
            &["gate", "window_s"],
            what,
            "a run's window is longer than 0 s, its warm-up 0 s or more",
        );
    }
    for (key, seen) in [("alpha", gate.alpha), ("power", gate.power)] {
        if !(seen > 0.0 && seen < 1.0) {
            return wrong(
                &["gate", key],
                format!("{key}: seen {seen}, wanted a chance between 0 and 1"),
                "1 % is written 0.01",
            );
        }
    }
    for (n, name) in gate.drills.iter().enumerate() {
        let Some(found) = scenarios.get(name) else {
            let hint = suggest(name, scenarios.keys().map(String::as_str), "drills");
            return wrong(
                &["gate", "drills", &n.to_string()],
                format!("drills: the stack has no drill {name}"),
                &hint,
            );
        };
        if found.is_early() {
            let what = format!(
                "drills: {name} begins early, so that it would be there while the window is measured"
            );
            return wrong(
                &["gate", "drills", &n.to_string()],
                what,
                "name a drill whose fault is injected in its own wave",
            );
        }
    }
    for (name, measure) in &gate.measures {
        let at = |key: &'static str| ["gate", "measures", name.as_str(), key];
        let whole = measure.compared == Compared::Ratio && measure.better == Better::Higher;
        if !positive(measure.practical) || (whole && measure.practical >= 1.0) {
            let what = format!("practical: seen {} of {name}", measure.practical);
            return wrong(
                &at("practical"),
                what,
                "the smallest change that matters is above 0; as a share, 10 % is written 0.1",
            );
        }
        if let Source::Latency { percentile, .. } | Source::Span { percentile, .. } =
            &measure.source
            && !(*percentile > 0.0 && *percentile < 100.0)
        {
            return wrong(
                &at("source"),
                format!("percentile: seen {percentile} of {name}"),
                "between 0 and 100, for example 50 or 99",
            );
        }
        if let Source::Detection { alert } = &measure.source
            && !gate
                .drills
                .iter()
                .filter_map(|name| scenarios.get(name))
                .any(|d| d.alerts.contains(alert))
        {
            let what = format!("alert: no drill under `drills` is about {alert}, of {name}");
            let about: Vec<&str> = scenarios
                .values()
                .filter(|s| s.alerts.contains(alert))
                .map(|s| s.name.as_str())
                .collect();
            let hint = if about.is_empty() {
                "no drill of the stack is".to_owned()
            } else {
                format!("these are: {}", about.join(", "))
            };
            return wrong(&at("source"), what, &hint);
        }
        let logged = || {
            declaration.logs.iter().flat_map(Logs::answering).map(|s| format!("log:{}", s.source))
        };
        let known: Vec<String> = match &measure.source {
            Source::Lag { .. } => {
                logged().chain(declaration.traces.iter().map(|_| "trace".to_owned())).collect()
            }
            Source::Lateness { .. } => {
                logged().chain(["trace".to_owned(), "mail".to_owned()]).collect()
            }
            _ => Vec::new(),
        };
        if let Source::Lag { signal } | Source::Lateness { signal } = &measure.source
            && !known.contains(signal)
        {
            let hint = suggest(signal, known.iter().map(String::as_str), "signals");
            return wrong(
                &at("source"),
                format!("signal: nothing answers for {signal} of {name}"),
                &hint,
            );
        }
        if let Source::Latency { step, .. } = &measure.source
            && !baseline.steps.contains_key(step)
        {
            let known: Vec<&str> = baseline.steps.keys().map(String::as_str).collect();
            let hint = suggest(step, known.iter().copied(), "steps");
            return wrong(
                &at("source"),
                format!("step: {step} of {name} has no limits under `steps`"),
                &hint,
            );
        }
    }
    Ok(baseline)
}

/// What an owner wants to be told within must be what the configuration can promise, however fast
/// everything is.
pub(super) fn bounds(
    file: &Path,
    declaration: &Declaration,
    config: &MonitoringConfig,
) -> Result<(), Error> {
    let at_best = BudgetAssumptions::at_best();
    for (at, alert) in declaration.alerts.iter().enumerate() {
        let Some(within_s) = alert.within_s else { continue };
        let keys = ["alerts", &at.to_string(), "within_s"];
        let Ok(within) = Duration::try_from_secs_f64(within_s) else {
            let what = format!(
                "alerts: {}: within_s: seen {within_s}, wanted a number of seconds",
                alert.name
            );
            return Err(yaml::error_at(file, &keys, what, "seconds at time scale 1, as 300").into());
        };
        let refused = match budget::budgets(config, &alert.name, &alert.labels, &at_best) {
            Ok(budgets) => budgets.iter().find_map(|budget| budget.check_feasible(within).err()),
            // That it is not there is a verdict.
            Err(_) => None,
        };
        if let Some(refused) = refused {
            let told = refused.to_string();
            let (what, hint) = told.split_once("\nhint: ").unwrap_or((&told, ""));
            return Err(yaml::error_at(file, &keys, format!("alerts: {what}"), hint).into());
        }
    }
    Ok(())
}

/// Everything that the configuration sends must go to a service of the stack or to a stand-in: a
/// drill must never page a person.
pub(super) fn contained(
    declaration: &Declaration,
    project: &Project,
    config: &MonitoringConfig,
) -> Result<(), Error> {
    let aliases = project
        .services
        .values()
        .flat_map(|s| s.networks.values().flat_map(|n| n.aliases.iter().cloned()));
    let left_out =
        project.left_out.values().flat_map(|left| left.service.names().map(str::to_owned));
    let names = project.services.keys().cloned().chain(left_out).chain(aliases);
    let known: BTreeSet<String> = names
        .chain(declaration.receivers.iter().map(|r| r.host.clone()))
        .map(|h| h.to_ascii_lowercase())
        .collect();
    for destination in config.destinations()?.into_iter().filter(|d| d.kind.sends()) {
        let inside = |host: &str| {
            known.contains(&host.to_ascii_lowercase())
                || matches!(host, "localhost" | "127.0.0.1" | "::1" | "0.0.0.0")
        };
        let refuse = |seen: String| {
            let hint = "name a service of the stack, or declare a stand-in for the host under `receivers` in firedrill.yaml; nothing was started";
            Error::Stated(format!(
                "{}: {} of {} leads out of the stack: {seen}\nhint: {hint}",
                destination.place, destination.owner, destination.service
            ))
        };
        match (&destination.host, &destination.unknown) {
            (Some(host), _) if inside(host) => {}
            (Some(host), _) => {
                return Err(refuse(destination.server().unwrap_or_else(|| host.clone())));
            }
            (None, why) => {
                return Err(refuse(
                    why.clone().unwrap_or_else(|| "its address is not known".into()),
                ));
            }
        }
    }
    Ok(())
}
