//! What a run will do, worked out before anything starts. Pure and printable (`--dry-run`).

pub mod coverage;
pub mod features;
#[cfg(test)]
mod foreign;
pub mod preflight;
pub mod scenario;
pub mod steps;
pub mod subject;

use crate::declaration::{Declaration, DeclaredAlert, OneOrList, Optional, Role};
use crate::fault;
use crate::plan::scenario::{Phase, Scenario, Target};
use crate::process::failure::Advice;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use verdict::Expectation;
use verdict::baseline::{Baseline, Gate};
use verdict::check::roll_call::Required;
use verdict::left_out::AbsentService;

/// Largest number of drills that run side by side: each is one more thing that contends for the
/// host, and lateness that comes from contention can't be judged.
pub const WAVE_MAX: usize = 3;

/// What a wave takes besides its drills: the steady state is held before it, seconds.
const BETWEEN_WAVES_S: f64 = 6.0;

/// Usual time from healing until an alert is active no more, seconds; the news of it comes while
/// the next wave begins.
const OVER_S: f64 = 12.0;

/// What planning needs to know about a stack.
#[derive(Debug, Clone)]
pub struct PlanContext {
    pub declaration: Declaration,
    /// What its configuration's durations are divided by.
    pub time_scale: f64,
    /// Its scenarios by name.
    pub scenarios: BTreeMap<String, Scenario>,
    pub baseline: Option<Baseline>,
    /// Detection budgets by alert, computed from its (scaled) configuration.
    pub budgets: BTreeMap<String, AlertBudget>,
    /// Alerts that would be in each other's way at the alert manager.
    pub apart: Apart,
    /// Services that will run.
    pub services: Vec<String>,
    /// What the instances of each service are called, or would be.
    pub instances: BTreeMap<String, Vec<String>>,
    /// Services that will not, with the reason.
    pub left_out: BTreeMap<String, String>,
    /// Those of them whose image can't be had.
    pub unavailable: BTreeSet<String>,
    /// How services that are left out would be seen.
    pub absent: Vec<AbsentService>,
    /// Host names inside the stack's network, and the service that each leads to.
    pub hosts: BTreeMap<String, String>,
}

impl PlanContext {
    /// What may be left out of a run, a line each: no image is tried before it begins.
    pub fn told_optional(&self) -> String {
        let line = |o: &Optional| match &o.profile {
            Some(profile) if self.left_out.contains_key(&o.service) => {
                format!(
                    "optional  {}: left out, as --profile {profile} is not asked for: {}\n",
                    o.service, o.why
                )
            }
            Some(profile) => format!(
                "optional  {}: asked for by profile {profile}, so its image must be had\n",
                o.service
            ),
            None => {
                format!("optional  {}: left out if its image can't be had: {}\n", o.service, o.why)
            }
        };
        self.declaration.optional.iter().map(line).collect()
    }

    /// What the instances of a service are called, or would be.
    pub fn instances_of(&self, service: &str) -> Vec<String> {
        self.instances.get(service).cloned().unwrap_or_default()
    }

    /// A service, if it is left out, and why that is so.
    pub fn is_left_out(&self, service: &str) -> Option<(&str, String)> {
        let (name, why) = self.left_out.get_key_value(service)?;
        Some((name, format!("service {name} does not run: {why}")))
    }

    /// What its owner states, without the stores of which nobody answers: of them there is no
    /// ledger to tell.
    pub fn observed(&self) -> Declaration {
        let Declaration { roles, logs, traces, .. } = self.declaration.clone();
        let answers = |all: [&OneOrList<Role>; 2]| {
            all.into_iter().all(|servers| {
                servers.is_empty()
                    || servers.iter().any(|role| !self.left_out.contains_key(&role.service))
            })
        };
        let logs = logs.filter(|_| answers([&roles.logs, &roles.shipper]));
        let traces = traces.filter(|_| answers([&roles.traces, &roles.collector]));
        Declaration { logs, traces, ..self.declaration.clone() }
    }

    /// The left-out service that an alert is about, if it is: its owner gives the alert a label
    /// with the service's name or job.
    pub fn about_left_out(&self, alert: &DeclaredAlert) -> Option<(&str, String)> {
        let about = |l: &&AbsentService| {
            alert.labels.values().any(|v| *v == l.service || l.jobs.contains(v) || l.is_host(v))
        };
        self.absent.iter().find(about).and_then(|l| self.is_left_out(&l.service))
    }

    /// The left-out service without which a drill can't be run, if there is one: what a fault of it
    /// is aimed at, or its other end. Of several servers of a role some are enough.
    pub fn drill_left_out(&self, scenario: &Scenario) -> Option<(&str, String)> {
        let whole = |target: &Target| {
            let gone: Option<Vec<_>> =
                target.services().iter().map(|name| self.is_left_out(name)).collect();
            gone?.into_iter().next()
        };
        scenario.faults().find_map(|fault| {
            let to = || fault::named_in(&fault.settings).find_map(|name| self.is_left_out(name));
            fault.targets().into_iter().find_map(whole).or_else(to)
        })
    }
}

/// For each alert those that must not be active beside it while it is drilled: they share a group,
/// so that the second waits for the group's interval instead of its own wait, or one silences the
/// other.
pub type Apart = BTreeMap<String, BTreeSet<String>>;

/// How long an alert may take, from the injection of its fault and from its healing. Seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertBudget {
    /// Until it fires.
    pub fire_s: f64,
    /// Until every receiver has it.
    pub notify_s: f64,
    /// From healing until every receiver has the resolution.
    pub resolve_s: f64,
    /// What it consists of.
    pub stages: Vec<(String, f64)>,
}

/// One drill of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedDrill {
    /// Its scenario; the drill's id is the scenario's name.
    pub scenario: Scenario,
    /// Drills of one wave run side by side.
    pub wave: u32,
}

/// One expectation, and where it is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    pub feature: String,
    pub scenario: String,
    /// The `Then` step's text.
    pub step: String,
    /// `file:line` of the step.
    pub place: String,
    /// What is expected.
    pub expectation: Expectation,
    /// The declared servers of the role that it rests on; empty in plans of versions that knew one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
}

impl Planned {
    /// The verdict on a history.
    pub fn judge(&self, history: &verdict::History) -> verdict::Verdict {
        self.expectation.judge_members(history, &self.members)
    }
}

/// The verdicts on a history, one for each id: a claim that is made of several drills has to hold in
/// each. With each goes what was expected, of the drill that decides.
pub fn judge<'p>(
    expectations: &'p [Planned],
    history: &verdict::History,
) -> Vec<(&'p Planned, verdict::Verdict)> {
    let mut ids: Vec<String> = Vec::new();
    let mut by_id: Vec<Vec<(&Planned, verdict::Verdict)>> = Vec::new();
    for planned in expectations {
        let verdict = planned.judge(history);
        match ids.iter().position(|id| *id == verdict.id) {
            Some(at) => by_id[at].push((planned, verdict)),
            None => {
                ids.push(verdict.id.clone());
                by_id.push(vec![(planned, verdict)]);
            }
        }
    }
    let one = |mut of: Vec<(&'p Planned, verdict::Verdict)>| {
        if of.len() < 2 {
            return of.pop();
        }
        let drill = |planned: &'p Planned| planned.expectation.drill().unwrap_or_default();
        let verdicts = of.iter().map(|(p, v)| (drill(p), v.clone())).collect();
        verdict::check::members::of_drills(verdicts).map(|(at, verdict)| (of[at].0, verdict))
    };
    by_id.into_iter().filter_map(one).collect()
}

/// Something that a tag, or a service that is left out, leaves out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LeftOut {
    pub feature: String,
    pub scenario: String,
    pub reason: String,
    /// The verdicts that are skipped with it; none where the whole scenario was not told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<String>,
    /// The service that is left out, if that is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// What a run will do and what is expected of the stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Plan {
    /// Drills, in order.
    pub drills: Vec<PlannedDrill>,
    /// Expectations, in the order in which the features tell them.
    pub expectations: Vec<Planned>,
    /// Scenarios that are left out.
    pub left_out: Vec<LeftOut>,
    pub required: Vec<Required>,
    /// Budgets by alert.
    pub budgets: BTreeMap<String, AlertBudget>,
    /// What a run of `firedrill baseline` measures: a window of healthy traffic, and no drills.
    #[serde(default)]
    pub gate: Option<Gate>,
    /// Whether the rules are changed in fixed ways, and it is asked which of the changes the run
    /// would have noticed.
    #[serde(default)]
    pub mutation: bool,
    /// Alerts that would be in each other's way at the alert manager.
    #[serde(default)]
    pub apart: Apart,
    /// How services that are left out would be seen; what is said about them says nothing about the
    /// stack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<AbsentService>,
}

impl Plan {
    /// Takes the roll-call over, without what only services would answer whose image can't be had:
    /// their verdicts, each by its id, and what others would count of them, each by its name.
    pub fn call(&mut self, required: Vec<Required>, unavailable: &BTreeSet<String>) {
        let gone = |service: &str| unavailable.contains(service);
        let skipped: BTreeSet<&String> = self
            .left_out
            .iter()
            .filter(|l| l.service.as_deref().is_some_and(gone))
            .flat_map(|l| &l.verdicts)
            .collect();
        let without = |id: &str| -> BTreeMap<String, u64> {
            let about = self.expectations.iter().find(|p| p.expectation.checker().id() == id);
            let absent = about.map_or(&[][..], |p| p.expectation.absent());
            let mut less = BTreeMap::new();
            for one in absent.iter().filter(|a| gone(&a.service)) {
                *less.entry(one.name.clone()).or_default() += one.count;
            }
            less
        };
        let still = required.into_iter().filter(|r| !skipped.contains(&r.id));
        self.required = still.map(|r| Required { without: without(&r.id), ..r }).collect();
    }

    /// Leaves these verdicts out, with the reason.
    pub fn skip(&mut self, ids: &[String], service: &str, reason: &str) {
        let (kept, gone): (Vec<Planned>, Vec<Planned>) = std::mem::take(&mut self.expectations)
            .into_iter()
            .partition(|p| !ids.contains(&p.expectation.checker().id()));
        self.expectations = kept;
        self.left_out.extend(gone.into_iter().map(|p| LeftOut {
            verdicts: vec![p.expectation.checker().id()],
            service: Some(service.to_owned()),
            feature: p.feature,
            scenario: p.scenario,
            reason: reason.to_owned(),
        }));
    }

    /// Adds a drill unless it is there already, and returns whether it is new.
    pub fn add_drill(&mut self, scenario: &Scenario) -> bool {
        if self.drills.iter().any(|d| d.scenario.name == scenario.name) {
            return false;
        }
        self.drills.push(PlannedDrill { scenario: scenario.clone(), wave: 0 });
        true
    }

    /// Keeps these drills and what is expected of them; the roll-call no longer applies.
    pub fn only(&mut self, drills: &[String]) {
        self.drills.retain(|d| drills.contains(&d.scenario.name));
        self.expectations
            .retain(|p| p.expectation.drill().is_some_and(|d| drills.iter().any(|n| n == d)));
        (self.required, self.left_out) = (Vec::new(), Vec::new());
        self.arrange();
    }

    /// Keeps these verdicts, the drills that they rest on, and these drills; the roll-call no longer
    /// applies.
    pub fn only_verdicts(&mut self, ids: &BTreeSet<String>, drills: &BTreeSet<String>) {
        self.expectations.retain(|p| ids.contains(&p.expectation.checker().id()));
        let needed: BTreeSet<String> = self
            .expectations
            .iter()
            .filter_map(|p| p.expectation.drill().map(str::to_owned))
            .chain(drills.iter().cloned())
            .collect();
        self.drills.retain(|d| needed.contains(&d.scenario.name));
        (self.required, self.left_out) = (Vec::new(), Vec::new());
        self.arrange();
    }

    /// Sorts the drills into waves in which nobody disturbs another, so that they take as little
    /// time as possible: of some orders in which each drill comes into the first wave where it
    /// fits, the best is taken. Drills that load the whole host come after the others, those whose
    /// faults were injected early last.
    pub fn arrange(&mut self) {
        let drills = &self.drills;
        let apart = |a: usize, b: usize| {
            let (a, b) = (&drills[a].scenario, &drills[b].scenario);
            a.conflicts(b) || self.kept_apart(a, b)
        };
        let all = 0..drills.len();
        let others: Vec<Vec<usize>> = all
            .clone()
            .map(|a| all.clone().filter(|b| a != *b && apart(a, *b)).collect())
            .collect();
        let takes: Vec<f64> = drills.iter().map(|d| self.about_s(d)).collect();
        let last: Vec<_> = drills
            .iter()
            .map(|d| (d.scenario.is_early(), d.scenario.blast_radius().host))
            .collect();
        // The longest first makes waves of equally long drills; those with whom few go together
        // first makes few waves.
        let long = |a: &usize, b: &usize| takes[*b].total_cmp(&takes[*a]);
        let lonely = |a: &usize, b: &usize| others[*b].len().cmp(&others[*a].len());
        let journeys = |a: &usize| !drills[*a].scenario.blast_radius().journeys;
        type Order<'a> = &'a dyn Fn(&usize, &usize) -> std::cmp::Ordering;
        let orders: [Order<'_>; 4] = [
            &|a, b| long(a, b),
            &|a, b| lonely(a, b).then(long(a, b)),
            &|a, b| journeys(a).cmp(&journeys(b)).then(long(a, b)),
            &|a, b| journeys(a).cmp(&journeys(b)).then(lonely(a, b)).then(long(a, b)),
        ];
        let arranged = orders.iter().map(|order| {
            let mut sorted: Vec<usize> = all.clone().collect();
            sorted.sort_by(|a, b| last[*a].cmp(&last[*b]).then(order(a, b)));
            let waves = first_fit(&sorted, |a, b| others[a].contains(&b), |a| last[a].0);
            let in_all: f64 = waves
                .iter()
                .map(|w| BETWEEN_WAVES_S + w.iter().map(|a| takes[*a]).fold(0.0, f64::max))
                .sum();
            (in_all, waves)
        });
        let best = arranged.reduce(|a, b| if b.0 < a.0 { b } else { a });
        let raises: Vec<BTreeSet<&str>> = drills.iter().map(|d| d.scenario.raises()).collect();
        let held_up = |a: &usize, b: &usize| self.meets(drills[*a].scenario.alerts(), &raises[*b]);
        let waves = in_turn(
            best.map(|(_, waves)| waves).unwrap_or_default(),
            |a| last[*a] != (false, false),
            held_up,
        );
        for (number, wave) in waves.iter().enumerate() {
            for at in wave {
                self.drills[*at].wave = number as u32;
            }
        }
        self.drills.sort_by_key(|d| d.wave);
    }

    /// Whether an alert that one of them is about would meet one at the alert manager that the
    /// other may raise.
    fn kept_apart(&self, a: &Scenario, b: &Scenario) -> bool {
        self.meets(a.alerts(), &b.raises()) || self.meets(b.alerts(), &a.raises())
    }

    /// Whether one of the alerts is among those raised, or meets one of them at the alert manager.
    pub fn meets<'a>(
        &self,
        alerts: impl IntoIterator<Item = &'a String>,
        raised: &BTreeSet<&str>,
    ) -> bool {
        alerts.into_iter().any(|a| {
            raised.contains(a.as_str())
                || self.apart.get(a).is_some_and(|apart| raised.iter().any(|b| apart.contains(*b)))
        })
    }

    /// About how long a drill takes, seconds: as its budget, without what is allowed for groups
    /// that were notified before and for other programs on the host, and the usual time until the
    /// news of its end. Never more than its bound.
    fn about_s(&self, drill: &PlannedDrill) -> f64 {
        let scenario = &drill.scenario;
        let allowed = |stage: &str| ["group_interval", "host_noise"].contains(&stage);
        let usual = |b: &AlertBudget| {
            b.stages.iter().filter(|(stage, _)| !allowed(stage)).map(|(_, s)| s).sum::<f64>()
        };
        // What was injected early has built up by then.
        let builds_up_s =
            |alert: &String| if scenario.is_early() { 0.0 } else { scenario.builds_up_s.of(alert) };
        let told = |alert: &String| Some(builds_up_s(alert) + usual(self.budgets.get(alert)?));
        let lasts = |phase: &Phase| {
            phase.hold_s.max(phase.alerts.iter().filter_map(told).fold(0.0, f64::max))
        };
        let about =
            scenario.phases.iter().map(lasts).sum::<f64>() + scenario.clears_s.most() + OVER_S;
        about.min(self.bound_s(drill, !scenario.is_early()))
    }

    /// About how long the drills take, seconds: in each wave as long as the longest.
    fn drive_about_s(&self) -> f64 {
        self.drive_s(|drill| self.about_s(drill))
    }

    /// Upper bound of the time that a drill takes until the last notification, seconds: from its
    /// injection, or from when it had built up.
    fn bound_s(&self, drill: &PlannedDrill, builds_up: bool) -> f64 {
        let scenario = &drill.scenario;
        let builds_up_s =
            |alert: &String| if builds_up { scenario.builds_up_s.of(alert) } else { 0.0 };
        let bound = |alert: &String| {
            let budget = self.budgets.get(alert)?;
            Some(
                builds_up_s(alert)
                    + budget.notify_s
                    + budget.resolve_s
                    + scenario.clears_s.of(alert),
            )
        };
        // Each phase waits for its own alerts, and some phase for their end.
        let of_phase = |phase: &Phase| phase.alerts.iter().filter_map(bound).reduce(f64::max);
        let told = scenario.phases.iter().filter_map(of_phase).reduce(|a, b| a + b);
        let held: f64 = scenario.phases.iter().map(|phase| phase.hold_s).sum();
        // Where no alert has a budget, nothing tells more than the usual.
        held + told.unwrap_or_else(|| scenario.clears_s.most() + OVER_S)
    }

    /// The time of all waves, seconds, if each drill takes as long as `takes` says.
    fn drive_s(&self, takes: impl Fn(&PlannedDrill) -> f64) -> f64 {
        let waves = self.waves();
        waves.iter().fold(0.0, |all, wave| {
            all + BETWEEN_WAVES_S + wave.iter().map(|d| takes(d)).fold(0.0, f64::max)
        })
    }

    /// The waves, in order.
    pub fn waves(&self) -> Vec<Vec<&PlannedDrill>> {
        let mut waves: BTreeMap<u32, Vec<&PlannedDrill>> = BTreeMap::new();
        for drill in &self.drills {
            waves.entry(drill.wave).or_default().push(drill);
        }
        waves.into_values().collect()
    }

    /// Alerts that may be active during a drill: its own, and those of drills in the same wave.
    pub fn allowed_during(&self, drill: &str) -> BTreeSet<String> {
        let Some(wave) = self.drills.iter().find(|d| d.scenario.name == drill).map(|d| d.wave)
        else {
            return BTreeSet::new();
        };
        self.drills
            .iter()
            .filter(|d| d.wave == wave)
            .flat_map(|d| d.scenario.raises().into_iter().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// Drills in whose window an alert may be active: those that raise it and those of the same
    /// wave.
    pub fn drills_that_allow(&self, alert: &str) -> Vec<String> {
        self.drills
            .iter()
            .filter(|d| self.allowed_during(&d.scenario.name).contains(alert))
            .map(|d| d.scenario.name.clone())
            .collect()
    }

    /// Upper bound of the time that the drills take, seconds: in each wave the slowest drill's own
    /// bound; faults that were injected early build up beside them.
    pub fn drive_bound_s(&self) -> f64 {
        let waves = self.drive_s(|drill| self.bound_s(drill, !drill.scenario.is_early()));
        self.drills
            .iter()
            .filter(|d| d.scenario.is_early())
            .map(|d| BETWEEN_WAVES_S + self.bound_s(d, true))
            .fold(waves, f64::max)
    }

    /// Completes what only the whole plan can know (waves, and which alerts may be active when),
    /// and checks the ids.
    ///
    /// # Errors
    /// Two expectations with one id that are not about two drills: their verdicts could not be told
    /// apart.
    pub fn finish(&mut self) -> Result<(), Advice> {
        self.arrange();
        let plan = self.clone();
        for planned in &mut self.expectations {
            match &mut planned.expectation {
                Expectation::AlertQuiet(c) => c.allowed_in = plan.drills_that_allow(&c.alert),
                Expectation::NothingElseFires(c) => c.allowed.extend(plan.allowed_during(&c.drill)),
                _ => {}
            }
        }
        let mut seen: BTreeMap<(String, Option<&str>), &str> = BTreeMap::new();
        for planned in &plan.expectations {
            let id = planned.expectation.checker().id();
            let about = (id.clone(), planned.expectation.drill());
            if let Some(first) = seen.insert(about, &planned.place) {
                let second = &planned.place;
                let what =
                    format!("the verdict {id} is asked for twice, at {first} and at {second}");
                return Err(Advice::from(what).hint("remove one of the two steps"));
            }
        }
        Ok(())
    }
}

/// Orders waves so that, as far as may be, none is held up by the news that an alert of the one
/// before is over. Those with a drill that comes last stay where they are.
fn in_turn(
    waves: Vec<Vec<usize>>,
    last: impl Fn(&usize) -> bool,
    held_up: impl Fn(&usize, &usize) -> bool,
) -> Vec<Vec<usize>> {
    let (mut left, end): (Vec<_>, Vec<_>) =
        waves.into_iter().partition(|wave| !wave.iter().any(&last));
    let mut ordered: Vec<Vec<usize>> = Vec::new();
    while !left.is_empty() {
        let free = |wave: &Vec<usize>| {
            ordered
                .last()
                .is_none_or(|before| !before.iter().any(|a| wave.iter().any(|b| held_up(a, b))))
        };
        let next = left.iter().position(free).unwrap_or(0);
        ordered.push(left.remove(next));
    }
    ordered.into_iter().chain(end).collect()
}

/// Puts each drill into the first wave in which it disturbs nobody and is not disturbed; an early
/// one is for the last wave.
fn first_fit(
    order: &[usize],
    apart: impl Fn(usize, usize) -> bool,
    early: impl Fn(usize) -> bool,
) -> Vec<Vec<usize>> {
    let mut waves: Vec<Vec<usize>> = Vec::new();
    for at in order {
        let from = if early(*at) { waves.len().saturating_sub(1) } else { 0 };
        let fits = |wave: &&mut Vec<usize>| {
            wave.len() < WAVE_MAX && !wave.iter().any(|other| apart(*at, *other))
        };
        match waves.iter_mut().skip(from).find(fits) {
            Some(wave) => wave.push(*at),
            None => waves.push(vec![*at]),
        }
    }
    waves
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, wave) in self.waves().iter().enumerate() {
            for drill in wave {
                let s = &drill.scenario;
                let (wave, about) = (i + 1, self.about_s(drill));
                writeln!(f, "wave {wave}  {}: {}, about {about:.0} s", s.name, s.course())?;
                for change in &s.overrides {
                    writeln!(
                        f,
                        "        with {} of {} changed: {}",
                        change.replace, change.alert, change.why
                    )?;
                }
            }
        }
        if self.drills.is_empty() {
            writeln!(f, "0 drills: nothing is broken")?;
        } else {
            let (about, most) = (self.drive_about_s(), self.drive_bound_s());
            writeln!(
                f,
                "{} drills in {} waves, about {about:.0} s of driving, at most {most:.0} s",
                self.drills.len(),
                self.waves().len()
            )?;
        }
        for p in &self.expectations {
            writeln!(
                f,
                "expect  {}: {}",
                p.expectation.checker().id(),
                p.expectation.checker().expected()
            )?;
        }
        for l in &self.left_out {
            writeln!(f, "left out  {} / {}: {}", l.feature, l.scenario, l.reason)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scenario(name: &str, fault: &str, target: &str, more: &str) -> Scenario {
        let text = format!(
            "schema: 1\nname: {name}\nsummary: s\nfault: {{kind: {fault}, target: {target}}}\nalerts: [{name}]\n{more}"
        );
        scenario::parse(std::path::Path::new("a.yaml"), &text).unwrap()
    }

    fn waves(apart: &[(&str, &str)], scenarios: &[Scenario]) -> Vec<Vec<String>> {
        let apart = apart
            .iter()
            .map(|(a, b)| ((*a).to_owned(), BTreeSet::from([(*b).to_owned()])))
            .collect();
        let mut plan = Plan { apart, ..Plan::default() };
        scenarios.iter().for_each(|s| assert!(plan.add_drill(s)));
        plan.arrange();
        plan.waves().iter().map(|w| w.iter().map(|d| d.scenario.name.clone()).collect()).collect()
    }

    #[test]
    fn drills_that_disturb_each_other_are_in_different_waves() {
        let a = scenario("a", "stop", "a", "also_raises: [y]");
        assert_eq!(waves(&[], &[a.clone(), scenario("b", "stop", "b", "")]), [["a", "b"]]);
        for other in [
            scenario("b", "pause", "a", ""),
            scenario("b", "stop", "b", "disturbs: [a]"),
            scenario("b", "stop", "b", "needs: [a]"),
            scenario("b", "stop", "b", "also_raises: [y]"),
            scenario("b", "host_cpu", "b", ""),
        ] {
            assert_eq!(waves(&[], &[a.clone(), other.clone()]).len(), 2, "{other:?}");
        }
        let b = scenario("b", "stop", "b", "");
        assert_eq!(
            waves(&[("b", "y")], &[a.clone(), b.clone()]).len(),
            2,
            "they meet at the alert manager"
        );
        // A fault that leaves its target alone may be there beside another of the same target.
        assert_eq!(waves(&[], &[a, scenario("b", "host_memory", "a", "")]).len(), 1);
    }

    #[test]
    fn what_loads_the_host_comes_last_and_what_began_early_is_judged_there() {
        let early = scenario("early", "stop", "e", "begins: early");
        let host = scenario("host", "host_cpu", "a", "hold_s: 100");
        let usual = ["a", "b", "c", "d"].map(|n| scenario(n, "stop", n, ""));
        let found = waves(
            &[],
            &[early, host, usual[0].clone(), usual[1].clone(), usual[2].clone(), usual[3].clone()],
        );
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1, 2]);
        assert!(
            found[2].contains(&"host".to_owned()) && found[2].contains(&"early".to_owned()),
            "{found:?}"
        );
    }

    #[test]
    fn few_waves_are_found_where_the_longest_first_finds_more() {
        // Three that disturb the traffic, and three of which each goes with one of them only, or
        // with each other.
        let journeys = |n: &str, needs: &str| {
            scenario(
                n,
                "stop",
                n,
                &format!("journeys_disturbed: true\nhold_s: 30\nneeds: [{needs}]"),
            )
        };
        let others = ["x", "y", "z"].map(|n| scenario(n, "stop", n, "hold_s: 30"));
        let all =
            [&others[..], &[journeys("a", "y, z"), journeys("b", "x, z"), journeys("c", "x, y")]]
                .concat();
        let found = waves(&[], &all);
        assert_eq!(found.len(), 3, "{found:?}");
    }

    /// What a printed plan says that it takes, of each drill and of all, and at most.
    fn told(plan: &Plan) -> (Vec<f64>, Vec<f64>) {
        let text = plan.to_string();
        let number = |before: &str, after: &str| -> Vec<f64> {
            let parts = text.split(before).skip(1);
            parts.map(|rest| rest.split(after).next().unwrap().parse().unwrap()).collect()
        };
        (number("about ", " s"), number("at most ", " s"))
    }

    #[test]
    fn a_drill_whose_budget_is_small_takes_no_longer_than_its_bound() {
        let mut plan = Plan::default();
        plan.add_drill(&scenario("a", "stop", "a", ""));
        let budget = AlertBudget {
            fire_s: 4.0,
            notify_s: 5.0,
            resolve_s: 8.0,
            stages: vec![("scrape".into(), 5.0)],
        };
        plan.budgets.insert("a".into(), budget);
        plan.arrange();
        assert_eq!(told(&plan), (vec![13.0, 19.0], vec![19.0]), "{plan}");
        plan.budgets.get_mut("a").unwrap().resolve_s = 40.0;
        assert_eq!(told(&plan), (vec![17.0, 23.0], vec![51.0]), "{plan}");
    }

    #[test]
    fn nothing_to_break_takes_no_time_that_could_be_told() {
        assert_eq!(Plan::default().to_string(), "0 drills: nothing is broken\n");
    }

    fn any_plan() -> impl Strategy<Value = Plan> {
        let drill = (
            0.0..200.0,
            0.0..60.0,
            0.0..60.0,
            proptest::bool::ANY,
            proptest::option::of((0.0..30.0, 0.0..90.0, 0.0..90.0, 0.0..1.5)),
        );
        proptest::collection::vec(drill, 0..7).prop_map(|drills| {
            let mut plan = Plan::default();
            for (n, (hold, builds_up, clears, early, budget)) in drills.into_iter().enumerate() {
                let more =
                    format!("hold_s: {hold}\nbuilds_up_s: {builds_up}\nclears_s: {clears}\n");
                let begins = if early { "begins: early\n" } else { "" };
                let name = format!("n{n}");
                plan.add_drill(&scenario(
                    &name,
                    "stop",
                    &format!("s{}", n % 4),
                    &format!("{more}{begins}"),
                ));
                if let Some((fire_s, notify_s, resolve_s, share)) = budget {
                    let stages = vec![
                        ("scrape".to_owned(), notify_s * share),
                        ("host_noise".to_owned(), fire_s),
                    ];
                    plan.budgets.insert(name, AlertBudget { fire_s, notify_s, resolve_s, stages });
                }
            }
            plan.arrange();
            plan
        })
    }

    proptest! {
        #[test]
        fn an_estimate_is_never_above_its_bound_and_never_below_nothing(plan in any_plan()) {
            for drill in &plan.drills {
                prop_assert!(plan.about_s(drill) <= plan.bound_s(drill, !drill.scenario.is_early()));
            }
            let (about, most) = (plan.drive_about_s(), plan.drive_bound_s());
            prop_assert!(about <= most + 1e-9, "about {about}, at most {most}");
            let text = plan.to_string();
            prop_assert!(!text.contains("-0") && (plan.drills.is_empty() || most > 0.0), "{text}");
        }
    }
}
