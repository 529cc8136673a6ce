//! A scenario: one drill as data. `scenarios/<stack>/<what_goes_wrong>.yaml`, or `scenarios/`
//! inside a user's stack. A drill has phases; each injects faults or heals them, and is over once
//! what it is about was seen. [`format`] reads the file's two formats.

mod check;
mod format;
mod target;
#[cfg(test)]
mod tests;

pub use format::{parse, read, read_all};
pub use target::{Target, Which};

use crate::fault::{self, Fault, FaultError, Settings};
use crate::yaml;
use config::overriding::Override;
use config::yaml::ConfigError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use verdict::check::causes::Causes;
use verdict::history::fault::BlastRadius;

/// One drill: faults in phases, the load under them, and the alerts that it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Scenario {
    /// Version of the format that its file is in.
    pub schema: u32,
    /// Name; features refer to it. The file's own name without `.yaml`.
    pub name: String,
    /// What goes wrong, in one sentence.
    pub summary: String,
    /// What is done, one after the other. What is there after the last one is healed.
    pub phases: Vec<Phase>,
    /// Other alerts that it must be expected to raise.
    pub also_raises: Vec<String>,
    /// Services that it may disturb, besides its targets.
    pub disturbs: Vec<String>,
    /// Services that must be left in peace by others while it runs, since its signal passes through
    /// them.
    pub needs: Vec<String>,
    /// Journeys without which its signal does not come about: others must leave them in peace.
    pub needs_journeys: Vec<String>,
    /// Whether the application's answers suffer (error rate, latency).
    pub journeys_disturbed: bool,
    /// Journeys that go on as usual all the same.
    pub leaves_journeys: Vec<String>,
    /// Seconds from the last injection of their phase until the alerts' condition holds, where that
    /// takes more than the faults' own effect: a queue fills at the load's rate. It is added to the
    /// budgets, which know the configuration only.
    pub builds_up_s: Seconds,
    /// Seconds from healing until the alerts' condition is over, where that takes more than the
    /// faults' end: a backlog is worked off. It is added to the budgets for resolving.
    pub clears_s: Seconds,
    /// When the faults of the first phase are injected.
    pub begins: Begins,
    /// Rules that are changed while the drill runs, since their own condition can't be had within
    /// bounds. Each is listed as a deviation, and its alert counts as proved by an overridden
    /// threshold.
    pub overrides: Vec<Override>,
}

/// What is done at once in a drill. First it heals, then it injects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Phase {
    /// Name, for people.
    pub name: String,
    /// Faults that are injected, one right after the other.
    pub inject: Vec<FaultSpec>,
    /// Ids of faults of earlier phases that are healed.
    pub heal: Vec<String>,
    /// Load besides the background, while the phase lasts.
    pub load: Option<ExtraLoad>,
    /// Alerts that its faults raise: they must fire and arrive before the next phase begins.
    pub alerts: Vec<String>,
    /// Alerts of earlier phases that end because it heals.
    pub resolves: Vec<String>,
    /// Least seconds that it lasts, even if all was seen before.
    pub hold_s: f64,
}

/// Seconds, for all alerts of a drill or for each that is named; none for those that are not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultSpec {
    /// Id within the drill.
    pub id: String,
    /// Kind; `firedrill fault list` shows all.
    pub kind: String,
    /// What it is aimed at.
    pub aim: Aim,
    /// Settings of this kind.
    pub settings: Settings,
}

/// What a fault is aimed at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    /// Instances, each of which gets a fault of its own.
    On(Target),
    /// Two sets of instances, between which the fault is.
    Between {
        /// The one.
        these: Vec<Target>,
        /// The other.
        those: Vec<Target>,
        /// Whose packets: `both`, or `there`, which is from the one to the other.
        way: String,
    },
}

/// Load besides the background.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtraLoad {
    /// Journey.
    pub journey: String,
    /// Arrivals a second.
    pub rate: f64,
    /// How long from its beginning, shortly before the injection, seconds; without it until the
    /// phase is over. What piles up has to be worked off again before the next drill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<f64>,
}

impl Phase {
    /// Its faults, in words.
    fn injects(&self) -> String {
        self.inject.iter().map(FaultSpec::to_string).collect::<Vec<_>>().join(" and ")
    }
}

impl std::fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = |targets: &[Target]| {
            targets.iter().map(Target::to_string).collect::<Vec<_>>().join(", ")
        };
        match &self.aim {
            Aim::On(target) => write!(f, "{} on {target}", self.kind),
            Aim::Between { these, those, way } => {
                let to = if way == "there" { "from" } else { "between" };
                let and = if way == "there" { "to" } else { "and" };
                write!(f, "{} {to} {} {and} {}", self.kind, all(these), all(those))
            }
        }
    }
}

impl FaultSpec {
    /// All targets, both sides of a cut.
    pub fn targets(&self) -> Vec<&Target> {
        match &self.aim {
            Aim::On(target) => vec![target],
            Aim::Between { these, those, .. } => these.iter().chain(those).collect(),
        }
    }

    /// Its targets, to look up what is known of them only once the stack is read.
    pub fn targets_mut(&mut self) -> Vec<&mut Target> {
        match &mut self.aim {
            Aim::On(target) => vec![target],
            Aim::Between { these, those, .. } => these.iter_mut().chain(those).collect(),
        }
    }

    /// Aims it, once it is known which instances each target stands for.
    ///
    /// # Errors
    /// An unknown kind, settings that it refuses, or sides of a cut that are one.
    pub fn aim(
        &self,
        members: impl Fn(&Target) -> Vec<String>,
    ) -> Result<Vec<Box<dyn Fault>>, FaultError> {
        let all = |targets: &[Target]| {
            let names: BTreeSet<String> = targets.iter().flat_map(&members).collect();
            names.into_iter().collect::<Vec<_>>().join(",")
        };
        match &self.aim {
            Aim::On(target) => members(target)
                .iter()
                .map(|member| fault::aim(&self.kind, member, &self.settings))
                .collect(),
            Aim::Between { these, those, way } => {
                let mut settings = self.settings.clone();
                settings.insert("and".into(), all(those));
                settings.insert("way".into(), way.clone());
                Ok(vec![fault::aim(&self.kind, &all(these), &settings)?])
            }
        }
    }

    /// Aims it at services, before any of them runs: for what can be told of it then. A target that
    /// no service is known of yet stands for itself.
    ///
    /// # Errors
    /// As [`FaultSpec::aim`].
    pub fn foreseen(&self) -> Result<Vec<Box<dyn Fault>>, FaultError> {
        self.aim(|target| match (target, &self.aim) {
            // One instance of a service may be cut off from another.
            (Target::Instance { service, instance }, Aim::Between { .. }) => {
                vec![format!("{service}-{instance}")]
            }
            _ => match target.services() {
                [] => vec![target.to_string()],
                services => services.to_vec(),
            },
        })
    }

    /// What is wrong with a cut that has the same instances on both sides.
    pub fn cut_off_from_itself(&self) -> Option<String> {
        let Aim::Between { these, those, .. } = &self.aim else { return None };
        let own = these.iter().find(|a| those.iter().any(|b| a.meets(b)))?;
        Some(format!("fault {}: {own} would be cut off from itself", self.id))
    }

    /// Whether it is between two sets of instances.
    pub fn is_between(&self) -> bool {
        matches!(self.aim, Aim::Between { .. })
    }

    /// The service that it is aimed at as a whole, if it is one.
    pub fn service(&self) -> Option<&str> {
        match &self.aim {
            Aim::On(Target::Service(service)) => Some(service),
            _ => None,
        }
    }

    /// What it may disturb by itself.
    pub fn blast_radius(&self) -> BlastRadius {
        let own = || self.targets().into_iter().flat_map(Target::services).cloned().collect();
        let whole = BlastRadius { services: own(), ..BlastRadius::default() };
        match (&self.aim, self.foreseen()) {
            (Aim::On(_), Ok(faults)) => {
                let all = faults.iter().map(|fault| fault.blast_radius());
                all.fold(BlastRadius::default(), union)
            }
            // One that can't be aimed was refused when the scenario was read.
            _ => whole,
        }
    }
}

/// What one or the other may disturb.
fn union(mut a: BlastRadius, b: BlastRadius) -> BlastRadius {
    a.services.extend(b.services);
    a.alerts.extend(b.alerts);
    a.journeys |= b.journeys;
    a.host |= b.host;
    a
}

impl Scenario {
    /// All faults, in the order in which they are injected.
    pub fn faults(&self) -> impl Iterator<Item = &FaultSpec> {
        self.phases.iter().flat_map(|phase| &phase.inject)
    }

    /// Alerts that it is about: they must fire, arrive and resolve.
    pub fn alerts(&self) -> impl Iterator<Item = &String> {
        self.phases.iter().flat_map(|phase| &phase.alerts)
    }

    /// Whether it is about an alert.
    pub fn is_about(&self, alert: &str) -> bool {
        self.alerts().any(|own| own == alert)
    }

    /// What raises an alert that it is about, in words.
    pub fn told(&self, alert: &str) -> String {
        let phase = self.phases.iter().find(|p| p.alerts.iter().any(|own| own == alert));
        phase.map(Phase::injects).unwrap_or_default()
    }

    /// What is done, phase by phase, in words. That the one fault of format 1 is healed goes without
    /// saying.
    pub fn course(&self) -> String {
        let mut parts = Vec::new();
        for (at, phase) in self.phases.iter().enumerate() {
            if self.schema != 1 && !phase.heal.is_empty() {
                parts.push(format!("heals {}", phase.heal.join(", ")));
            }
            if !phase.inject.is_empty() {
                let early = at == 0 && self.is_early();
                let early = if early { ", injected before wave 1" } else { "" };
                let raised = phase.alerts.join(", ");
                let raised = if raised.is_empty() { raised } else { format!(" → {raised}") };
                parts.push(format!("{}{early}{raised}", phase.injects()));
            }
        }
        parts.join("; ")
    }

    /// The faults from which the times of an alert count that it is about; none is named where it
    /// has but one.
    pub fn causes(&self, alert: &str) -> Causes {
        if self.faults().count() < 2 {
            return Causes::default();
        }
        let with = |of: fn(&Phase) -> &Vec<String>| {
            self.phases.iter().find(move |phase| of(phase).iter().any(|own| own == alert))
        };
        let injected = with(|phase| &phase.alerts).map_or(&[][..], |phase| &phase.inject);
        Causes {
            injected: injected.iter().map(|fault| fault.id.clone()).collect(),
            // What no phase ends is over when all is healed.
            healed: with(|phase| &phase.resolves).map(|p| p.heal.clone()).unwrap_or_default(),
        }
    }

    /// Ids of its faults, where its file names them.
    pub fn named_faults(&self) -> Vec<String> {
        if self.schema == 1 { Vec::new() } else { self.faults().map(|f| f.id.clone()).collect() }
    }

    /// Keys that lead to something of a phase in the file; `["inject", "0", …]` to a fault.
    pub fn keys(&self, phase: usize, below: &[&str]) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        match (self.schema, below) {
            (1, ["inject", _, "on"]) => words(&["fault", "target"]),
            (1, ["inject", _, rest @ ..]) => [words(&["fault"]), words(rest)].concat(),
            (1, _) => words(below),
            _ => [vec!["phases".to_owned(), phase.to_string()], words(below)].concat(),
        }
    }

    /// An error about something of a phase in its file.
    pub fn error_in(
        &self,
        file: &Path,
        phase: usize,
        below: &[&str],
        what: impl Into<String>,
        hint: impl Into<String>,
    ) -> ConfigError {
        let keys = self.keys(phase, below);
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        yaml::error_at(file, &keys, what, hint)
    }

    /// What it may disturb: the faults by themselves, and what the scenario adds.
    pub fn blast_radius(&self) -> BlastRadius {
        self.widened(self.faults().map(FaultSpec::blast_radius).fold(BlastRadius::default(), union))
    }

    /// What a fault of it may disturb that may disturb this by itself.
    pub fn widened(&self, mut radius: BlastRadius) -> BlastRadius {
        radius.services.extend(self.disturbs.iter().cloned());
        radius.alerts.extend(self.raises().into_iter().map(str::to_owned));
        radius.journeys |= self.journeys_disturbed;
        radius
    }

    /// Whether the faults of its first phase are injected before the first wave.
    pub fn is_early(&self) -> bool {
        self.begins == Begins::Early
    }

    /// All alerts that may be active because of it.
    pub fn raises(&self) -> BTreeSet<&str> {
        self.alerts().chain(&self.also_raises).map(String::as_str).collect()
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
