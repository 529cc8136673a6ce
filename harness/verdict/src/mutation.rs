//! Would it be noticed if a rule were a little wrong? Each rule is changed in fixed ways, and each
//! mutant judged after the run by what the run expects of the rule itself: quiet while nothing is
//! wrong, firing under its drill's fault, resolved after it.
//!
//! Nothing is run again. The recorded truth of each expression at its group's own evaluations goes
//! through a state machine of `for`, which must first reproduce what the server wrote of the rules
//! as they are. Where a sample was being scraped while an evaluation ran, it is not known whether
//! it was seen: both are computed, and only what both agree on counts.

pub mod hold;
mod judge;
pub mod reproduce;

pub use judge::judge;

use crate::Status;
use crate::observation::replay::Operator;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of the mutants of a run. A finding about the drills, not a verdict on the stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mutation {
    /// Pass if the state machine reproduced `ALERTS` of every rule that was not changed for a
    /// drill; Unknown otherwise.
    pub status: Status,
    /// What that rests on, or the first deviation.
    pub reason: String,
    /// Evaluations at which what the server wrote was compared with what was computed.
    pub evaluations: u64,
    /// Those of them at which an alert was pending or firing.
    pub active: u64,
    /// Those at which a sample that decides was being scraped, so that only the server's own word
    /// tells what it saw.
    pub undecidable: u64,
    /// Evaluations that the server left out, known by its alerts.
    pub left_out: u64,
    /// All mutants.
    pub counts: Counts,
    /// By operator.
    pub operators: Vec<OfOperator>,
    /// By rule.
    pub rules: Vec<OfRule>,
}

/// How many mutants became what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// All.
    pub mutants: u64,
    /// An expectation of the run tells them from the rule.
    pub killed: u64,
    /// No expectation of the run does.
    pub survived: u64,
    /// The record does not decide it.
    pub undecidable: u64,
    /// The server refuses them, so nobody would deploy them.
    pub refused: u64,
    /// Their rule was not reproduced, or is not itself seen as wanted.
    pub not_judged: u64,
}

impl Counts {
    /// Counts outcomes.
    pub fn of(outcomes: impl IntoIterator<Item = Outcome>) -> Counts {
        let mut counts = Counts::default();
        for outcome in outcomes {
            counts.mutants += 1;
            *match outcome {
                Outcome::Killed => &mut counts.killed,
                Outcome::Survived => &mut counts.survived,
                Outcome::Undecidable => &mut counts.undecidable,
                Outcome::Refused => &mut counts.refused,
                Outcome::NotJudged => &mut counts.not_judged,
            } += 1;
        }
        counts
    }
}

/// Mutants of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfOperator {
    /// Operator.
    pub operator: Operator,
    /// Its mutants.
    pub counts: Counts,
}

/// A rule and its mutants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfRule {
    /// Alert name.
    pub rule: String,
    /// Pass if it was reproduced; Skipped if it was changed for a drill; Unknown otherwise.
    pub status: Status,
    /// What that rests on, or the first deviation.
    pub reason: String,
    /// Ids of the verdicts that its mutants are judged by: those that hold for the rule as it is.
    pub judged_by: Vec<String>,
    /// How many became what.
    pub counts: Counts,
    /// The mutants.
    pub mutants: Vec<MutantRow>,
}

/// A mutant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MutantRow {
    /// Operator.
    pub operator: Operator,
    /// What was changed.
    pub change: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Ids of the verdicts that tell it from the rule, if it was killed.
    pub killed_by: Vec<String>,
    /// Why.
    pub reason: String,
    /// The rule's lines that differ, `-` before and `+` after.
    pub diff: Vec<String>,
}

/// What became of a mutant.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An expectation fails, whatever the undecidable evaluations saw.
    Killed,
    /// Every expectation holds, whatever they saw.
    Survived,
    /// It depends on what they saw, or the record says too little.
    Undecidable,
    /// The server can't evaluate it.
    Refused,
    /// Its rule could not be reproduced, or no expectation holds for the rule itself.
    NotJudged,
}
