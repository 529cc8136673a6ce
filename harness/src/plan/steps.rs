//! The steps of the features, one file for each domain. *Given* and *When* append to a plan, *Then*
//! appends an expectation; each step calls one function and never speaks to the engine.

pub mod alerts;
pub mod cluster;
pub mod dashboards;
pub mod logs;
pub mod recovery;
pub mod scraping;
pub mod stack;
pub mod traces;

use crate::declaration::{Declaration, OneOrList, Role};
use crate::plan::scenario::Scenario;
use crate::plan::{LeftOut, Plan, PlanContext, Planned};
use std::sync::Arc;
use verdict::Expectation;

/// One scenario while it is being told.
#[derive(Debug, Default, cucumber::World)]
pub struct StepWorld {
    /// What the features speak about.
    pub subject: Option<Arc<PlanContext>>,
    /// The plan so far.
    pub plan: Plan,
    pub feature: String,
    pub scenario: String,
    /// Text of the step that is being told.
    pub step: String,
    pub place: String,
    /// Drill that the scenario speaks of.
    pub drill: Option<String>,
    /// Drills that it speaks of and that can't be run, since a service is left out.
    pub without: Vec<Scenario>,
    /// Alert that it speaks of.
    pub alert: Option<String>,
    /// Why the scenario has no subject in this stack: its declaration states nothing of the kind.
    pub absent: Option<String>,
    /// What is wrong with the step, and what to do.
    pub wrong: Option<(String, String)>,
}

impl StepWorld {
    /// What the owner states about the stack.
    fn declaration(&self) -> Declaration {
        self.told().declaration.clone()
    }

    /// Appends an expectation, told by this step.
    fn expect(&mut self, expectation: impl Into<Expectation>) {
        let expectation = expectation.into();
        let roles = &self.told().declaration.roles;
        // One member is no choice, and a plan need not speak of it.
        let members = expectation.rests_on().map(|r| roles.members(r.role));
        self.plan.expectations.push(Planned {
            feature: self.feature.clone(),
            scenario: self.scenario.clone(),
            step: self.step.clone(),
            place: self.place.clone(),
            members: members.filter(|m| m.len() > 1).unwrap_or_default(),
            expectation,
        });
    }

    /// The declaration states nothing under `key`, so a step has nothing to speak about, and its
    /// scenario is left out with the reason. Where the stack names a server for it (`role`) that is
    /// no absence but an omission, and refused: nothing would be asked of that server.
    fn not_stated(&mut self, key: &str, role: bool, meaning: &str) {
        if role {
            self.refuse(
                format!(
                    "firedrill.yaml names a server under `roles` for it, but states no `{key}`"
                ),
                format!("state {meaning} under `{key}`, or remove the role"),
            );
        } else {
            self.absent.get_or_insert(format!("firedrill.yaml states no `{key}`"));
        }
    }

    /// The scenario is about several servers of a role, and the stack has one.
    fn one_alone(&mut self, role: &str) {
        self.absent.get_or_insert(format!("firedrill.yaml states one server of `roles.{role}`"));
    }

    /// Appends an expectation, or, if a service that it can't do without is left out, that its
    /// verdict is skipped.
    fn expect_unless(&mut self, gone: Option<(&str, String)>, expectation: impl Into<Expectation>) {
        let Some((service, reason)) = gone else { return self.expect(expectation) };
        self.plan.left_out.push(LeftOut {
            feature: self.feature.clone(),
            scenario: self.scenario.clone(),
            reason,
            verdicts: vec![expectation.into().checker().id()],
            service: Some(service.to_owned()),
        });
    }

    /// The first of these roles' servers that is left out, where none of the role is left: nobody
    /// answers then.
    fn unanswered<'s>(
        subject: &'s PlanContext,
        roles: &[&OneOrList<Role>],
    ) -> Option<(&'s str, String)> {
        roles.iter().find_map(|servers| {
            let gone = servers.iter().map(|role| subject.is_left_out(&role.service));
            let gone: Option<Vec<_>> = gone.collect();
            gone?.into_iter().next()
        })
    }

    /// What the features speak about.
    fn told(&self) -> Arc<PlanContext> {
        self.subject.clone().unwrap_or_else(|| unreachable!("features are told about a subject"))
    }

    /// The step can't be understood.
    fn refuse(&mut self, what: impl Into<String>, hint: impl Into<String>) {
        self.wrong.get_or_insert((what.into(), hint.into()));
    }
}
