//! Whether what scenarios speak of is there: services, alerts, rules that can be changed, traffic
//! that load can be added to.

use super::super::Error;
use crate::plan::scenario::Scenario;
use crate::stack::{Mounts, Stack};
use crate::yaml;
use crate::yaml::suggest;
use config::monitoring::MonitoringConfig;
use loadgen::traffic::stated::StatedTraffic;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Services and alerts that scenarios speak of must be there, and load needs traffic to be added
/// to.
pub(in crate::plan::subject) fn scenarios(
    folder: &Path,
    scenarios: &BTreeMap<String, Scenario>,
    stack: &Stack,
    config: &MonitoringConfig,
    mounts: &Mounts,
) -> Result<(), Error> {
    let project = &stack.project;
    let services = project.services.keys().chain(project.left_out.keys());
    let alerts = || stack.declaration.alerts.iter().map(|a| a.name.as_str());
    let rules = config.rules().filter(|(_, _, r)| r.is_alert()).map(|(_, _, r)| r.name.as_str());
    let known = Known {
        services: services.map(String::as_str).collect(),
        alerts: alerts().collect(),
        rules: alerts().chain(rules).collect(),
    };
    for scenario in scenarios.values() {
        let yml = folder.join(format!("{}.yml", scenario.name));
        let file = if yml.is_file() { yml } else { folder.join(format!("{}.yaml", scenario.name)) };
        let check = ScenarioCheck { file, scenario, stack, known: &known };
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

    fn services(&self) -> Result<(), Error> {
        let fault = &self.scenario.fault;
        self.service(&["fault", "target"], "", &fault.target)?;
        // Faults that act on a connection name its other end: `service` or `service:port`.
        if let Some(to) = fault.settings.get("to") {
            self.service(&["fault", "settings", "to"], "", to.split(':').next().unwrap_or(to))?;
        }
        let (disturbs, needs) = (&self.scenario.disturbs, &self.scenario.needs);
        for (key, names) in [("disturbs", disturbs), ("needs", needs)] {
            for (at, name) in names.iter().enumerate() {
                self.service(&[key, &at.to_string()], &format!("{key}: "), name)?;
            }
        }
        Ok(())
    }

    fn service(&self, keys: &[&str], key: &str, name: &str) -> Result<(), Error> {
        let services = &self.known.services;
        if services.contains(name) {
            return Ok(());
        }
        let file = self.stack.project.file.display();
        self.wrong(
            keys,
            format!("{key}there is no service {name} in {file}"),
            suggest(name, services.iter().copied(), "services"),
        )
    }

    fn alerts(&self) -> Result<(), Error> {
        let (declared, rules) = (&self.known.alerts, &self.known.rules);
        let unknown = |names: &'_ [String], known: &BTreeSet<&str>| {
            names.iter().position(|name| !known.contains(name.as_str()))
        };
        if let Some(at) = unknown(&self.scenario.alerts, declared) {
            let name = &self.scenario.alerts[at];
            let hint = format!(
                "{}; who is notified of an alert is stated under `alerts` in firedrill.yaml",
                suggest(name, declared.iter().copied(), "declared alerts")
            );
            let what = format!("alerts: {name} is not declared");
            return self.wrong(&["alerts", &at.to_string()], what, hint);
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
        let scenario = self.scenario;
        let needs = scenario.needs_journeys.iter().map(|name| (&["needs_journeys"][..], name));
        let leaves = scenario.leaves_journeys.iter().map(|name| (&["leaves_journeys"][..], name));
        let load = scenario.load.iter().map(|load| (&["load", "journey"][..], &load.journey));
        match needs.chain(leaves).chain(load).find(|(_, name)| !known.contains(*name)) {
            None => Ok(()),
            Some((keys, unknown)) => self.wrong(
                keys,
                format!("{}: there is no journey {unknown}", keys.join(".")),
                suggest(unknown, known.iter().map(String::as_str), "journeys"),
            ),
        }
    }

    fn load(&self) -> Result<(), Error> {
        if self.scenario.load.is_some() && self.stack.declaration.workload.is_none() {
            return self.wrong(
                &["load"],
                "load: the stack has no `workload` to add to",
                "state in firedrill.yaml which traffic the stack serves, or remove `load`",
            );
        }
        Ok(())
    }
}
