//! Whether what scenarios speak of is there: services, roles, zones, alerts, rules that can be
//! changed, traffic that load can be added to.

use super::super::Error;
use crate::declaration::Roles;
use crate::fault;
use crate::plan::scenario::{Aim, Scenario, Target, Which};
use crate::stack::{Mounts, Stack};
use crate::yaml;
use crate::yaml::suggest;
use config::monitoring::MonitoringConfig;
use loadgen::traffic::stated::StatedTraffic;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Label of a service in the Compose file that says in which zone it is.
pub const ZONE: &str = "firedrill.zone";

/// The services of a role; none where there is no such role.
fn of_role(roles: &Roles, role: &str) -> Option<Vec<String>> {
    let (_, servers) = roles.stated().into_iter().find(|(key, _)| *key == role)?;
    Some(servers.into_iter().map(|role| role.service.clone()).collect())
}

/// The services of each zone.
fn zones(stack: &Stack) -> BTreeMap<&str, Vec<String>> {
    let mut zones: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, service) in &stack.topology.services {
        if let Some(zone) = service.labels.get(ZONE) {
            zones.entry(zone).or_default().push(name.clone());
        }
    }
    zones
}

/// Notes of which services the roles and zones are that faults are aimed at.
fn place(scenario: &mut Scenario, stack: &Stack) {
    let zones = zones(stack);
    let faults = scenario.phases.iter_mut().flat_map(|phase| &mut phase.inject);
    for target in faults.flat_map(|fault| fault.targets_mut()) {
        match target {
            Target::Role { role, of, .. } => {
                *of = of_role(&stack.declaration.roles, role).unwrap_or_default();
            }
            Target::Zone { zone, of } => {
                *of = zones.get(zone.as_str()).cloned().unwrap_or_default();
            }
            Target::Service(_) | Target::Instance { .. } | Target::Share { .. } => {}
        }
    }
}

/// Services and alerts that scenarios speak of must be there, and load needs traffic to be added
/// to. Of which services the roles and zones are that they speak of is noted in them.
pub(in crate::plan::subject) fn scenarios(
    folder: &Path,
    scenarios: &mut BTreeMap<String, Scenario>,
    stack: &Stack,
    config: &MonitoringConfig,
    mounts: &Mounts,
) -> Result<(), Error> {
    let alerts = || stack.declaration.alerts.iter().map(|a| a.name.as_str());
    let rules = config.rules().filter(|(_, _, r)| r.is_alert()).map(|(_, _, r)| r.name.as_str());
    let known = Known {
        services: stack.topology.names().map(String::as_str).collect(),
        alerts: alerts().collect(),
        rules: alerts().chain(rules).collect(),
    };
    scenarios.values_mut().for_each(|scenario| place(scenario, stack));
    let scenarios = &*scenarios;
    for scenario in scenarios.values() {
        let yml = folder.join(format!("{}.yml", scenario.name));
        let file = if yml.is_file() { yml } else { folder.join(format!("{}.yaml", scenario.name)) };
        let check = ScenarioCheck { file, scenario, stack, known: &known };
        check.targets()?;
        check.services()?;
        check.alerts()?;
        check.overrides(config, mounts)?;
        check.early(scenarios)?;
        check.load()?;
        check.journeys()?;
    }
    Ok(())
}

/// What a scenario may speak of.
struct Known<'a> {
    services: BTreeSet<&'a str>,
    /// Those that are declared.
    alerts: BTreeSet<&'a str>,
    /// Those that are declared, and those that rules make.
    rules: BTreeSet<&'a str>,
}

struct ScenarioCheck<'a> {
    file: PathBuf,
    scenario: &'a Scenario,
    stack: &'a Stack,
    known: &'a Known<'a>,
}

impl ScenarioCheck<'_> {
    fn wrong(
        &self,
        keys: &[&str],
        what: impl Into<String>,
        hint: impl Into<String>,
    ) -> Result<(), Error> {
        Err(yaml::error_at(&self.file, keys, what, hint).into())
    }

    /// The same about something of a phase.
    fn wrong_in(
        &self,
        phase: usize,
        below: &[&str],
        what: impl Into<String>,
        hint: impl Into<String>,
    ) -> Result<(), Error> {
        Err(self.scenario.error_in(&self.file, phase, below, what, hint).into())
    }

    /// What faults are aimed at must be there.
    fn targets(&self) -> Result<(), Error> {
        for (at, phase) in self.scenario.phases.iter().enumerate() {
            for (n, fault) in phase.inject.iter().enumerate() {
                let n = n.to_string();
                let sides: Vec<(&str, &[Target])> = match &fault.aim {
                    Aim::On(target) => vec![("on", std::slice::from_ref(target))],
                    Aim::Between { these, those, .. } => {
                        vec![("between", these.as_slice()), ("and", those.as_slice())]
                    }
                };
                for (side, targets) in &sides {
                    for target in *targets {
                        self.target(at, &["inject", &n, side], target)?;
                    }
                }
                // Faults that act on a connection name its other end.
                for (key, value) in &fault.settings {
                    let only = fault::Settings::from([(key.clone(), value.clone())]);
                    for name in fault::named_in(&only) {
                        self.service_in(at, &["inject", &n, "settings", key], name)?;
                    }
                }
                // Known only now, of roles and zones.
                if let Some(what) = fault.cut_off_from_itself() {
                    let hint = "name it on one side only";
                    return self.wrong_in(at, &["inject", &n, "and"], what, hint);
                }
            }
        }
        Ok(())
    }

    fn target(&self, phase: usize, below: &[&str], target: &Target) -> Result<(), Error> {
        match target {
            Target::Service(service)
            | Target::Instance { service, .. }
            | Target::Share { service, .. } => self.service_in(phase, below, service),
            Target::Role { role, which, of } => {
                let roles = Roles::default().stated().map(|(key, _)| key);
                if !roles.contains(&role.as_str()) {
                    let what = format!("there is no role {role}");
                    let hint = suggest(role, roles, "roles");
                    return self.wrong_in(phase, below, what, hint);
                }
                if *which == Which::Leader && role != "alerting" {
                    let what = format!("of the servers of role {role} none leads");
                    let hint = "write `which: all` or `which: minority`";
                    return self.wrong_in(phase, below, what, hint);
                }
                if of.is_empty() {
                    let what = format!("firedrill.yaml states no server of role {role}");
                    let hint = "state it under `roles`, or name the service";
                    return self.wrong_in(phase, below, what, hint);
                }
                of.iter().try_for_each(|service| self.service_in(phase, below, service))
            }
            Target::Zone { zone, of } if of.is_empty() => {
                let file = self.stack.topology.file.display();
                let what = format!("no service in {file} is in zone {zone}");
                let zones = zones(self.stack);
                let hint = if zones.is_empty() {
                    format!("give each service of the zone the label `{ZONE}: {zone}`")
                } else {
                    suggest(zone, zones.keys().copied(), "zones")
                };
                self.wrong_in(phase, below, what, hint)
            }
            Target::Zone { .. } => Ok(()),
        }
    }

    fn services(&self) -> Result<(), Error> {
        let (disturbs, needs) = (&self.scenario.disturbs, &self.scenario.needs);
        for (key, names) in [("disturbs", disturbs), ("needs", needs)] {
            for (at, name) in names.iter().enumerate() {
                self.service(&[key, &at.to_string()], &format!("{key}: "), name)?;
            }
        }
        Ok(())
    }

    fn service(&self, keys: &[&str], key: &str, name: &str) -> Result<(), Error> {
        match self.unknown(name) {
            None => Ok(()),
            Some((what, hint)) => self.wrong(keys, format!("{key}{what}"), hint),
        }
    }

    /// The same of a service that something of a phase names.
    fn service_in(&self, phase: usize, below: &[&str], name: &str) -> Result<(), Error> {
        match self.unknown(name) {
            None => Ok(()),
            Some((what, hint)) => self.wrong_in(phase, below, what, hint),
        }
    }

    /// What is wrong with a service that is not there, and what to do.
    fn unknown(&self, name: &str) -> Option<(String, String)> {
        let services = &self.known.services;
        let file = self.stack.topology.file.display();
        let what = || format!("there is no service {name} in {file}");
        let hint = || suggest(name, services.iter().copied(), "services");
        (!services.contains(name)).then(|| (what(), hint()))
    }

    fn alerts(&self) -> Result<(), Error> {
        let (declared, rules) = (&self.known.alerts, &self.known.rules);
        let unknown = |names: &'_ [String], known: &BTreeSet<&str>| {
            names.iter().position(|name| !known.contains(name.as_str()))
        };
        for (phase, of) in self.scenario.phases.iter().enumerate() {
            let Some(at) = unknown(&of.alerts, declared) else { continue };
            let name = &of.alerts[at];
            let hint = format!(
                "{}; who is notified of an alert is stated under `alerts` in firedrill.yaml",
                suggest(name, declared.iter().copied(), "declared alerts")
            );
            let what = format!("alerts: {name} is not declared");
            return self.wrong_in(phase, &["alerts", &at.to_string()], what, hint);
        }
        if let Some(at) = unknown(&self.scenario.also_raises, rules) {
            let name = &self.scenario.also_raises[at];
            return self.wrong(
                &["also_raises", &at.to_string()],
                format!("also_raises: there is no alert {name}"),
                suggest(name, rules.iter().copied(), "alerts"),
            );
        }
        Ok(())
    }

    /// A rule that is changed for the drill is in one file, which a server of the run mounts.
    fn overrides(&self, config: &MonitoringConfig, mounts: &Mounts) -> Result<(), Error> {
        for (at, change) in self.scenario.overrides.iter().enumerate() {
            let at = at.to_string();
            let keys = ["overrides", at.as_str()];
            let (service, rules) = match change.file(config) {
                Ok(found) => found,
                Err((what, hint)) => return self.wrong(&keys, format!("overrides: {what}"), hint),
            };
            if rules.within.is_some() || !mounts.is_mounted(service, &rules.file) {
                let from = rules.within.clone().unwrap_or_else(|| rules.file.display().to_string());
                return self.wrong(
                    &keys,
                    format!(
                        "overrides: the rules of {} come from {from}, which {service} does not mount from the run's copy",
                        change.alert
                    ),
                    "a rule is changed while the server runs: mount its file (`volumes`) instead of handing it over by `configs`",
                );
            }
            if self.stack.declaration.roles.metrics.is_empty() {
                return self.wrong(
                    &["overrides"],
                    "overrides: there is no metrics server whose rules could be changed",
                    "state `roles.metrics` in firedrill.yaml, or remove `overrides`",
                );
            }
        }
        Ok(())
    }

    /// Beside all other drills, it must not raise what one of them is about.
    fn early(&self, scenarios: &BTreeMap<String, Scenario>) -> Result<(), Error> {
        let own = self.scenario;
        let mut others = scenarios
            .values()
            .filter(|other| own.is_early() && other.name != own.name && own.conflicts(other));
        match others.next() {
            None => Ok(()),
            Some(other) => self.wrong(
                &["begins"],
                format!("begins: early, but drill {} may raise the same alert", other.name),
                "a fault that is there beside every other drill must raise an alert of its own",
            ),
        }
    }

    /// Journeys must be some that the stack's users walk.
    fn journeys(&self) -> Result<(), Error> {
        let workload = self.stack.declaration.workload.as_ref();
        let known = workload.map(StatedTraffic::journey_names).unwrap_or_default();
        let hint = |unknown: &str| suggest(unknown, known.iter().map(String::as_str), "journeys");
        let scenario = self.scenario;
        for (key, named) in [
            ("needs_journeys", &scenario.needs_journeys),
            ("leaves_journeys", &scenario.leaves_journeys),
        ] {
            if let Some(at) = named.iter().position(|name| !known.contains(name)) {
                let unknown = &named[at];
                let what = format!("{key}: there is no journey {unknown}");
                return self.wrong(&[key, &at.to_string()], what, hint(unknown));
            }
        }
        for (at, phase) in scenario.phases.iter().enumerate() {
            if let Some(load) = phase.load.as_ref().filter(|load| !known.contains(&load.journey)) {
                let what = format!("load: there is no journey {}", load.journey);
                return self.wrong_in(at, &["load", "journey"], what, hint(&load.journey));
            }
        }
        Ok(())
    }

    fn load(&self) -> Result<(), Error> {
        let loads = self.scenario.phases.iter().position(|phase| phase.load.is_some());
        if let Some(phase) = loads.filter(|_| self.stack.declaration.workload.is_none()) {
            return self.wrong_in(
                phase,
                &["load"],
                "load: the stack has no `workload` to add to",
                "state in firedrill.yaml which traffic the stack serves, or remove `load`",
            );
        }
        Ok(())
    }
}
