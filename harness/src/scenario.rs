//! A scenario: one drill as data. `scenarios/<stack>/<what_goes_wrong>.yaml`, or `scenarios/` inside a user's stack.

use crate::fault::FaultError;
use crate::yaml;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One drill: a fault, the load under it, and the alerts that it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Version of this format; 1.
    pub schema: u32,
    /// Name; features refer to it. The file's own name without `.yaml`.
    pub name: String,
    /// What goes wrong, in one sentence.
    pub summary: String,
    /// The fault.
    pub fault: FaultSpec,
    /// Load besides the background, while the fault is there.
    #[serde(default)]
    pub load: Option<ExtraLoad>,
    /// Alerts that it is about: they must fire, arrive and resolve.
    #[serde(default)]
    pub alerts: Vec<String>,
    /// Other alerts that it must be expected to raise.
    #[serde(default)]
    pub also_raises: Vec<String>,
    /// Services that it may disturb, besides its target.
    #[serde(default)]
    pub disturbs: Vec<String>,
    /// Services that must be left in peace by others while it runs, since its signal passes through them.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Whether the application's answers suffer (error rate, latency).
    #[serde(default)]
    pub journeys_disturbed: bool,
    /// Seconds from the injection until the alerts' condition holds, where that takes more than the fault's own effect: a queue
    /// fills at the load's rate. It is added to the budgets, which know the configuration only.
    #[serde(default)]
    pub builds_up_s: f64,
    /// Seconds from healing until the alerts' condition is over, where that takes more than the fault's end: a backlog is worked
    /// off. It is added to the budgets for resolving.
    #[serde(default)]
    pub clears_s: f64,
    /// Least seconds that the fault stays, even if all was seen before.
    #[serde(default)]
    pub hold_s: f64,
}

/// A fault as a scenario asks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// Kind; `firedrill fault list` shows all.
    pub kind: String,
    /// Service that it is aimed at.
    pub target: String,
    /// Settings of this kind.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

/// Load besides the background.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtraLoad {
    /// Journey.
    pub journey: String,
    /// Arrivals a second.
    pub rate: f64,
}

impl Scenario {
    /// Everything that it may disturb.
    pub fn touches(&self) -> BTreeSet<&str> {
        self.disturbs.iter().map(String::as_str).chain([self.fault.target.as_str()]).collect()
    }

    /// All alerts that may be active because of it.
    pub fn raises(&self) -> BTreeSet<&str> {
        self.alerts.iter().chain(&self.also_raises).map(String::as_str).collect()
    }

    /// Whether two drills must not run side by side.
    pub fn conflicts(&self, other: &Scenario) -> bool {
        let in_the_way = |a: &Scenario, b: &Scenario| b.needs.iter().any(|n| a.touches().contains(n.as_str()));
        !self.touches().is_disjoint(&other.touches())
            || !self.raises().is_disjoint(&other.raises())
            || (self.journeys_disturbed && other.journeys_disturbed)
            || in_the_way(self, other)
            || in_the_way(other, self)
    }
}

/// Reads all scenarios of a folder, by name. A missing folder holds none.
///
/// # Errors
/// A file that can't be read or understood, or whose `name` is not its file's.
pub fn read_all(folder: &Path) -> Result<BTreeMap<String, Scenario>, yaml::Error> {
    let mut found = BTreeMap::new();
    for path in yaml::files(folder)? {
        let scenario = read(&path)?;
        found.insert(scenario.name.clone(), scenario);
    }
    Ok(found)
}

/// Reads one scenario.
///
/// # Errors
/// A file that can't be read or understood, whose `name` is not its file's, or that asks for a fault, setting or journey that
/// does not exist.
pub fn read(path: &Path) -> Result<Scenario, yaml::Error> {
    let scenario: Scenario = yaml::read(path)?;
    let wrong = |keys: &[&str], what: String, hint: String| Err(yaml::error_at(path, keys, what, hint));
    if scenario.schema != 1 {
        return wrong(&["schema"], format!("schema: seen {}, wanted 1", scenario.schema), "this program reads version 1".into());
    }
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    if scenario.name != stem {
        return wrong(
            &["name"],
            format!("the scenario is called {}, its file {stem}", scenario.name),
            "give both the same name; features refer to it".into(),
        );
    }
    let fault = &scenario.fault;
    if let Err(FaultError::Settings { what, hint }) = crate::fault::aim(&fault.kind, &fault.target, &fault.settings) {
        let about = if crate::fault::kinds().contains(&fault.kind.as_str()) { "settings" } else { "kind" };
        return wrong(&["fault", about], what, hint);
    }
    for (key, seen) in [("hold_s", scenario.hold_s), ("builds_up_s", scenario.builds_up_s)] {
        if !(0.0..=86_400.0).contains(&seen) {
            return wrong(&[key], format!("{key}: seen {seen}, wanted a number of seconds from 0 to 86400"), "correct the number".into());
        }
    }
    if let Some(load) = &scenario.load {
        let journeys = loadgen::journey::names();
        if !journeys.contains(&load.journey.as_str()) {
            return wrong(
                &["load", "journey"],
                format!("there is no journey {}", load.journey),
                format!("the journeys are {}", journeys.join(", ")),
            );
        }
        if !(0.01..=100_000.0).contains(&load.rate) {
            return wrong(
                &["load", "rate"],
                format!("load.rate: seen {}, wanted arrivals a second from 0.01 to 100000", load.rate),
                "correct the number".into(),
            );
        }
    }
    Ok(scenario)
}
