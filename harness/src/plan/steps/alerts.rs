//! Drills and the alerts that they are about.

use super::StepWorld;
use crate::declaration::Declaration;
use crate::plan::AlertBudget;
use crate::plan::scenario::{Aim, FaultSpec, Scenario, Target, Which};
use crate::yaml::suggest;
use cucumber::{then, when};
use std::collections::BTreeSet;
use verdict::check::alerts::{
    AlertFires, AlertQuiet, AlertReaches, AlertResolves, AlertStages, NothingElseFires,
    NotifiedRepeatedly, SomebodyNotified, StageBudget,
};
use verdict::check::causes::Causes;
use verdict::check::drill::FaultBitAndLeft;
use verdict::check::under_load::TargetsStayScraped;

impl StepWorld {
    /// The alert, its budget, and the drill that the scenario speaks of.
    fn drilled(
        &mut self,
        alert: &str,
    ) -> Option<(String, AlertBudget, crate::plan::scenario::Scenario)> {
        let subject = self.subject.clone()?;
        let Some(drill) = self.drill.as_ref().and_then(|d| subject.scenarios.get(d)) else {
            self.refuse(
                "no drill was run before this step",
                "begin with: When drill \"<name>\" is run",
            );
            return None;
        };
        let Some(budget) = subject.budgets.get(alert) else {
            let known =
                suggest(alert, subject.budgets.keys().map(String::as_str), "declared alerts");
            self.refuse(
                format!("alert {alert} is not declared"),
                format!(
                    "{known}; who is notified of an alert is stated under `alerts` in firedrill.yaml"
                ),
            );
            return None;
        };
        Some((alert.to_owned(), budget.clone(), drill.clone()))
    }

    /// Stand-ins that must receive an alert; `resolved` keeps those that are told of resolutions.
    fn receivers(&mut self, alert: &str, resolved: bool) -> Vec<String> {
        let declaration = self.declaration();
        let Some(declared) = declaration.alerts.iter().find(|a| a.name == alert) else {
            self.refuse(
                format!("the declaration has no alert {alert:?}"),
                "add it to `alerts` in firedrill.yaml with its receivers",
            );
            return Vec::new();
        };
        let told = |name: &&String| {
            !resolved || declaration.receivers.iter().any(|r| &&r.name == name && r.resolved)
        };
        declared.receivers.iter().filter(told).cloned().collect()
    }

    fn expect_alert(&mut self, alert: &str) {
        let Some((alert, budget, drill)) = self.drilled(alert) else { return };
        let name = drill.name.clone();
        let subject = self.told();
        let declared = subject.declaration.alerts.iter().find(|a| a.name == alert);
        let labels = declared.map(|a| a.labels.clone()).unwrap_or_default();
        let gone = subject.drill_left_out(&drill).or_else(|| subject.about_left_out(declared?));
        let (receivers, resolvers) = (self.receivers(&alert, false), self.receivers(&alert, true));
        let (builds_up_s, clears_s) = (drill.builds_up_s.of(&alert), drill.clears_s.of(&alert));
        let causes = drill.causes(&alert);
        let fires = AlertFires {
            alert: alert.clone(),
            drill: name.clone(),
            causes: causes.clone(),
            within_s: budget.fire_s + builds_up_s,
            fault: drill.told(&alert),
        };
        self.expect_unless(gone.clone(), fires);
        let reaches = AlertReaches {
            alert: alert.clone(),
            drill: name.clone(),
            causes: causes.clone(),
            receivers: receivers.clone(),
            labels: labels.clone(),
            within_s: budget.notify_s + builds_up_s,
        };
        self.expect_unless(gone.clone(), reaches);
        let allowed = config::budget::by_stage(&budget.stages);
        let allowed = StageBudget { condition_s: allowed.condition_s + builds_up_s, ..allowed };
        let stages = AlertStages {
            alert: alert.clone(),
            drill: name.clone(),
            causes: causes.clone(),
            receivers,
            labels,
            allowed,
        };
        self.expect_unless(gone.clone(), stages);
        self.expect_unless(
            gone,
            AlertResolves {
                alert,
                drill: name,
                causes,
                receivers: resolvers,
                within_s: budget.resolve_s + clears_s,
            },
        );
    }

    fn run_drill(&mut self, name: &str) {
        let Some(subject) = self.subject.clone() else { return };
        match subject.scenarios.get(name) {
            Some(scenario) => {
                self.drill = Some(name.to_owned());
                match subject.drill_left_out(scenario) {
                    Some(_) => self.without.push(scenario.clone()),
                    None => drop(self.plan.add_drill(scenario)),
                }
            }
            None => self.refuse(
                format!("there is no drill {name}"),
                suggest(name, subject.scenarios.keys().map(String::as_str), "drills"),
            ),
        }
    }

    fn expect_of_drill(&mut self, name: &str) {
        let subject = self.told();
        let scenario = subject.scenarios.get(name);
        let gone = scenario.and_then(|s| subject.drill_left_out(s));
        let faults = scenario.map(Scenario::named_faults).unwrap_or_default();
        self.expect_unless(gone.clone(), FaultBitAndLeft { drill: name.to_owned(), faults });
        // What the host suffers from other programs is not the drill's doing; a switch always
        // fires.
        let about_host =
            subject.declaration.alerts.iter().filter(|a| a.about_host).map(|a| &a.name);
        let allowed = about_host
            .chain(subject.declaration.dead_mans_switches.iter().map(|s| &s.name))
            .cloned()
            .collect();
        self.expect_unless(gone, NothingElseFires { drill: name.to_owned(), allowed });
    }

    /// Drills that the scenario speaks of or that it comes after, those that can't be run included.
    fn all_drills(&self) -> Vec<Scenario> {
        self.plan.drills.iter().map(|d| &d.scenario).chain(&self.without).cloned().collect()
    }
}

#[when(expr = "drill {string} is run")]
fn drill_is_run(t: &mut StepWorld, name: String) {
    t.run_drill(&name);
}

#[when("every drill of the stack is run")]
fn every_drill(t: &mut StepWorld) {
    let names: Vec<String> =
        t.subject.as_ref().map(|s| s.scenarios.keys().cloned().collect()).unwrap_or_default();
    if names.is_empty() {
        t.absent.get_or_insert(
            "the stack has no scenarios: neither a folder `scenarios` beside firedrill.yaml nor one of its name in ours".into(),
        );
    }
    names.iter().for_each(|n| t.run_drill(n));
}

#[then(expr = "alert {word} fires within its budget, reaches its receivers and resolves")]
fn alert_end_to_end(t: &mut StepWorld, alert: String) {
    t.expect_alert(&alert);
}

#[then("its fault bites and leaves, and nothing beyond its blast radius fires")]
fn contained(t: &mut StepWorld) {
    match t.drill.clone() {
        Some(drill) => t.expect_of_drill(&drill),
        None => t.refuse(
            "no drill was run before this step",
            "begin with: When drill \"<name>\" is run",
        ),
    }
}

#[then("each drill's alerts fire within their budgets, reach their receivers and resolve")]
fn every_alert(t: &mut StepWorld) {
    for drill in t.all_drills() {
        t.drill = Some(drill.name.clone());
        drill.alerts().for_each(|a| t.expect_alert(a));
    }
}

#[then("each fault bites and leaves, and nothing beyond its blast radius fires")]
fn all_contained(t: &mut StepWorld) {
    t.all_drills().iter().for_each(|d| t.expect_of_drill(&d.name));
}

#[then("each target stays scraped in each drill that is about no alert")]
fn scraped_under_load(t: &mut StepWorld) {
    let subject = t.told();
    for drill in t.all_drills().into_iter().filter(|d| d.alerts().next().is_none()) {
        t.expect_unless(
            subject.drill_left_out(&drill),
            TargetsStayScraped { drill: drill.name.clone() },
        );
    }
}

#[then("somebody is notified in each drill that takes a service away, or the gap is declared")]
fn noticed(t: &mut StepWorld) {
    let subject = t.told();
    let declaration = &subject.declaration;
    let switches = declaration.dead_mans_switches.iter().map(|s| s.name.clone());
    let least_s = subject.budgets.values().map(|b| b.fire_s).fold(0.0, f64::max);
    for drill in t.all_drills() {
        // What any drill is about, this one's other phases included, says nothing of a service that
        // is taken away in a phase that is about no alert.
        let raised = subject.scenarios.values().flat_map(Scenario::raises);
        let others: BTreeSet<String> = raised
            .filter(|alert| !drill.also_raises.iter().any(|own| own == alert))
            .map(str::to_owned)
            .chain(switches.clone())
            .collect();
        for (service, causes) in taken_away(&drill) {
            let gap = declaration.gaps.iter().find(|g| g.service == service);
            let noticed = SomebodyNotified {
                drill: drill.name.clone(),
                causes,
                rule: rule_about(declaration, &service),
                least_s,
                others: others.iter().cloned().collect(),
                gap: gap.map(|g| g.why.clone()),
                service,
            };
            t.expect_unless(subject.drill_left_out(&drill), noticed);
        }
    }
}

/// The services that a drill takes away in phases that are about no alert, each with the fault that
/// does.
fn taken_away(drill: &Scenario) -> Vec<(String, Causes)> {
    let silent = drill.phases.iter().filter(|phase| phase.alerts.is_empty());
    let mut taken = Vec::new();
    for fault in silent.flat_map(|phase| &phase.inject) {
        let alone = drill.faults().count() < 2;
        let injected = if alone { Vec::new() } else { vec![fault.id.clone()] };
        for service in wholly_taken(fault) {
            let causes = Causes { injected: injected.clone(), healed: Vec::new() };
            taken.push((service.clone(), causes));
        }
    }
    taken
}

/// The services of which a fault leaves no instance that answers.
fn wholly_taken(fault: &FaultSpec) -> &[String] {
    let takes = ["stop", "kill", "pause"].contains(&fault.kind.as_str());
    match &fault.aim {
        Aim::On(
            target @ (Target::Service(_)
            | Target::Role { which: Which::All, .. }
            | Target::Zone { .. }),
        ) if takes => target.services(),
        _ => &[],
    }
}

/// The rule that would notice that a service is gone: by its metrics, where it has a job.
fn rule_about(declaration: &Declaration, service: &str) -> String {
    match declaration.targets.iter().find(|t| t.service == service) {
        None => format!(
            "`up{{job=\"{service}\"}} == 0` for 1m, once it has metrics and a job of that name"
        ),
        Some(target) => {
            let rule = format!("`up{{job=\"{}\"}} == 0` for 1m", target.job);
            let first = target.not_instrumented.as_ref();
            first.map_or(rule.clone(), |_| format!("{rule}, once it has metrics"))
        }
    }
}

#[then("every declared alert is quiet while nothing is wrong")]
fn quiet(t: &mut StepWorld) {
    let subject = t.told();
    let declaration = &subject.declaration;
    if declaration.alerts.is_empty() {
        return t.not_stated(
            "alerts",
            !declaration.roles.alerting.is_empty(),
            "each alert's labels and receivers",
        );
    }
    let allowed = &declaration.steady_state.alerts;
    for alert in declaration.alerts.iter().filter(|a| !allowed.contains(&a.name)) {
        let quiet = AlertQuiet {
            alert: alert.name.clone(),
            allowed_in: Vec::new(),
            about_host: alert.about_host,
        };
        t.expect_unless(subject.about_left_out(alert), quiet);
    }
}

#[then("each dead man's switch keeps arriving")]
fn switches(t: &mut StepWorld) {
    let switches = t.declaration().dead_mans_switches;
    if switches.is_empty() {
        return t.not_stated("switches", false, "alerts that always fire");
    }
    let n = t.subject.as_ref().map_or(1.0, |s| s.time_scale);
    for switch in switches {
        let every_s = switch.every_s / n + crate::plan::subject::HOST_NOISE_S;
        t.expect(NotifiedRepeatedly {
            alert: switch.name,
            drill: None,
            causes: Causes::default(),
            receivers: switch.receivers,
            every_s,
        });
    }
}
