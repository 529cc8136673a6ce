//! A scenario: one drill as data. `scenarios/<stack>/<what_goes_wrong>.yaml`, or `scenarios/`
//! inside a user's stack.

use crate::fault::FaultError;
use crate::yaml;
use config::overriding::Override;
use config::yaml::ConfigError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use verdict::history::fault::BlastRadius;

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
    /// Services that must be left in peace by others while it runs, since its signal passes through
    /// them.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Journeys without which its signal does not come about: others must leave them in peace.
    #[serde(default)]
    pub needs_journeys: Vec<String>,
    /// Whether the application's answers suffer (error rate, latency).
    #[serde(default)]
    pub journeys_disturbed: bool,
    /// Journeys that go on as usual all the same.
    #[serde(default)]
    pub leaves_journeys: Vec<String>,
    /// Seconds from the injection until the alerts' condition holds, where that takes more than the
    /// fault's own effect: a queue fills at the load's rate. It is added to the budgets, which know
    /// the configuration only.
    #[serde(default)]
    pub builds_up_s: Seconds,
    /// Seconds from healing until the alerts' condition is over, where that takes more than the
    /// fault's end: a backlog is worked off. It is added to the budgets for resolving.
    #[serde(default)]
    pub clears_s: Seconds,
    /// Least seconds that the fault stays, even if all was seen before.
    #[serde(default)]
    pub hold_s: f64,
    /// When the fault is injected.
    #[serde(default)]
    pub begins: Begins,
    /// Rules that are changed while the drill runs, since their own condition can't be had within
    /// bounds. Each is listed as a deviation, and its alert counts as proved by an overridden
    /// threshold.
    #[serde(default)]
    pub overrides: Vec<Override>,
}

/// Seconds, for all alerts of a drill or for each that is named; none for those that are not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "wanted a number of seconds, or one for each alert as in {Alert: 6}")]
pub enum Seconds {
    /// For all.
    All(f64),
    /// By alert.
    By(BTreeMap<String, f64>),
}

impl Default for Seconds {
    fn default() -> Seconds {
        Seconds::All(0.0)
    }
}

impl Seconds {
    /// For one alert.
    pub fn of(&self, alert: &str) -> f64 {
        match self {
            Seconds::All(seconds) => *seconds,
            Seconds::By(alerts) => alerts.get(alert).copied().unwrap_or(0.0),
        }
    }

    /// The most for any alert.
    pub fn most(&self) -> f64 {
        match self {
            Seconds::All(seconds) => *seconds,
            Seconds::By(alerts) => alerts.values().copied().fold(0.0, f64::max),
        }
    }
}

/// When a fault is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Begins {
    /// In the drill's own wave.
    #[default]
    InWave,
    /// Before the first wave, beside everything, for a condition that takes long at its true size
    /// (`builds_up_s`): the drill's wave is the last one, where it is seen still to bite, its
    /// alerts are awaited, and it is healed.
    Early,
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
    /// How long from its beginning, shortly before the injection, seconds; without it until the
    /// fault is healed. What piles up has to be worked off again before the next drill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<f64>,
}

impl Scenario {
    /// What it may disturb: the fault by itself, and what the scenario adds.
    pub fn blast_radius(&self) -> BlastRadius {
        let spec = &self.fault;
        let fault =
            crate::fault::aim(&spec.kind, &spec.target, &spec.settings).map(|f| f.blast_radius());
        // A fault that can't be aimed was refused when the scenario was read; until then it may
        // disturb its target.
        let mut radius = fault.unwrap_or_else(|_| BlastRadius {
            services: vec![spec.target.clone()],
            ..BlastRadius::default()
        });
        radius.services.extend(self.disturbs.iter().cloned());
        radius.alerts.extend(self.raises().into_iter().map(str::to_owned));
        radius.journeys |= self.journeys_disturbed;
        radius
    }

    /// Whether its fault is injected before the first wave.
    pub fn is_early(&self) -> bool {
        self.begins == Begins::Early
    }

    /// All alerts that may be active because of it.
    pub fn raises(&self) -> BTreeSet<&str> {
        self.alerts.iter().chain(&self.also_raises).map(String::as_str).collect()
    }

    /// What it states that a fault which is there beside all other drills must not have, and why.
    fn not_early(&self) -> Option<(&'static str, &'static str)> {
        if self.load.is_some() {
            return Some(("load", "it would run beside every other drill"));
        }
        if !self.overrides.is_empty() {
            return Some(("overrides", "a rule is changed only while its drill's wave runs"));
        }
        let disturbs = self.journeys_disturbed || !self.disturbs.is_empty();
        disturbs.then_some((
            if self.journeys_disturbed { "journeys_disturbed" } else { "disturbs" },
            "it is there during every other drill",
        ))
    }

    /// Whether two drills must not run side by side: what one needs is disturbed by the other, both
    /// may raise the same alert or disturb the same service or the traffic, or one loads the whole
    /// host.
    pub fn conflicts(&self, other: &Scenario) -> bool {
        let (mine, others) = (self.blast_radius(), other.blast_radius());
        if self.is_early() || other.is_early() {
            return !self.raises().is_disjoint(&other.raises());
        }
        let services = |r: &BlastRadius| r.services.iter().cloned().collect::<BTreeSet<_>>();
        let (mine_touched, others_touched) = (services(&mine), services(&others));
        mine.host
            || others.host
            || !mine_touched.is_disjoint(&others_touched)
            || !self.raises().is_disjoint(&other.raises())
            || (mine.journeys && others.journeys)
            || self.needs.iter().any(|n| others_touched.contains(n))
            || other.needs.iter().any(|n| mine_touched.contains(n))
            || (others.journeys
                && self.needs_journeys.iter().any(|n| !other.leaves_journeys.contains(n)))
            || (mine.journeys
                && other.needs_journeys.iter().any(|n| !self.leaves_journeys.contains(n)))
    }
}

/// Reads all scenarios of a folder, by name. A missing folder holds none.
///
/// # Errors
/// A file that can't be read or understood, or whose `name` is not its file's.
pub fn read_all(folder: &Path) -> Result<BTreeMap<String, Scenario>, ConfigError> {
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
/// A file that can't be read or understood, whose `name` is not its file's, or that asks for a
/// fault, setting or journey that does not exist.
pub fn read(path: &Path) -> Result<Scenario, ConfigError> {
    let scenario: Scenario = yaml::read(path)?;
    let wrong =
        |keys: &[&str], what: String, hint: String| Err(yaml::error_at(path, keys, what, hint));
    if scenario.schema != 1 {
        return wrong(
            &["schema"],
            format!("schema: seen {}, wanted 1", scenario.schema),
            "this program reads version 1".into(),
        );
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
    if let Err(FaultError::Settings { what, hint }) =
        crate::fault::aim(&fault.kind, &fault.target, &fault.settings)
    {
        let about =
            if crate::fault::kinds().contains(&fault.kind.as_str()) { "settings" } else { "kind" };
        return wrong(&["fault", about], what, hint);
    }
    if let Some((key, why)) = scenario.not_early().filter(|_| scenario.is_early()) {
        return wrong(
            &[key],
            format!("begins: early does not go with {key}: {why}"),
            "remove one of the two".into(),
        );
    }
    for (at, changed) in scenario.overrides.iter().enumerate() {
        if !scenario.alerts.contains(&changed.alert) {
            return wrong(
                &["overrides", &at.to_string(), "alert"],
                format!("overrides: the drill is not about alert {}", changed.alert),
                "only rules of the drill's own `alerts` can be changed for it".into(),
            );
        }
    }
    seconds(path, &scenario)?;
    load(path, &scenario)?;
    Ok(scenario)
}

/// Seconds must be a time, and about alerts of the drill.
fn seconds(path: &Path, scenario: &Scenario) -> Result<(), ConfigError> {
    let wrong =
        |keys: &[&str], what: String, hint: String| Err(yaml::error_at(path, keys, what, hint));
    let each = |seconds: &Seconds| match seconds {
        Seconds::All(seconds) => vec![(None, *seconds)],
        Seconds::By(alerts) => {
            alerts.iter().map(|(alert, seconds)| (Some(alert.clone()), *seconds)).collect()
        }
    };
    let stated = [
        ("hold_s", vec![(None, scenario.hold_s)]),
        ("builds_up_s", each(&scenario.builds_up_s)),
        ("clears_s", each(&scenario.clears_s)),
    ];
    for (key, (alert, seen)) in
        stated.into_iter().flat_map(|(key, all)| all.into_iter().map(move |one| (key, one)))
    {
        let keys: Vec<&str> = [key].into_iter().chain(alert.as_deref()).collect();
        if let Some(alert) = alert.as_ref().filter(|a| !scenario.alerts.contains(a)) {
            let hint = format!("its alerts are {}", scenario.alerts.join(", "));
            return wrong(&keys, format!("{key}: the drill is not about alert {alert}"), hint);
        }
        if !(0.0..=86_400.0).contains(&seen) {
            return wrong(
                &keys,
                format!("{key}: seen {seen}, wanted a number of seconds from 0 to 86400"),
                "correct the number".into(),
            );
        }
    }
    Ok(())
}

/// Added load must be load.
fn load(path: &Path, scenario: &Scenario) -> Result<(), ConfigError> {
    let wrong =
        |keys: &[&str], what: String, hint: String| Err(yaml::error_at(path, keys, what, hint));
    if let Some(load) = &scenario.load {
        if !(0.01..=100_000.0).contains(&load.rate) {
            return wrong(
                &["load", "rate"],
                format!(
                    "load.rate: seen {}, wanted arrivals a second from 0.01 to 100000",
                    load.rate
                ),
                "correct the number".into(),
            );
        }
        if let Some(seen) = load.for_s.filter(|s| !(0.1..=86_400.0).contains(s)) {
            let what =
                format!("load.for_s: seen {seen}, wanted a number of seconds from 0.1 to 86400");
            return wrong(&["load", "for_s"], what, "correct the number, or leave it out".into());
        }
    }
    Ok(())
}
