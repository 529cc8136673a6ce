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
    /// What the status rests on, or the first deviation.
    pub reason: String,
    /// Number of evaluations at which what the server wrote was compared with what was computed.
    pub evaluations: u64,
    /// Number of those at which an alert was pending or firing.
    pub active: u64,
    /// Those at which a sample that decides was being scraped, so that only the server's own word
    /// tells what it saw.
    pub undecidable: u64,
    /// Number of evaluations that the server left out, known by its alerts.
    pub left_out: u64,
    /// How many of all mutants became what.
    pub counts: Counts,
    /// How many became what, by operator.
    pub operators: Vec<OfOperator>,
    /// How many became what, by rule, with each mutant.
    pub rules: Vec<OfRule>,
}

/// How many mutants became what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Number of mutants.
    pub mutants: u64,
    /// Number that an expectation of the run tells from the rule.
    pub killed: u64,
    /// Number that no expectation of the run tells from the rule.
    pub survived: u64,
    /// Number of which the record does not decide it.
    pub undecidable: u64,
    /// Number that the server refuses, so that nobody would deploy them.
    pub refused: u64,
    /// Number whose rule was not reproduced, or is not itself seen as wanted.
    pub not_judged: u64,
}

impl Counts {
    /// Counts the outcomes of mutants.
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

/// What became of the mutants that one operator made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfOperator {
    /// The operator that made them.
    pub operator: Operator,
    /// How many became what.
    pub counts: Counts,
}

/// A rule and its mutants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfRule {
    /// Name of the alert.
    pub rule: String,
    /// Pass if it was reproduced; Skipped if it was changed for a drill; Unknown otherwise.
    pub status: Status,
    /// What the status rests on, or the first deviation.
    pub reason: String,
    /// Ids of the verdicts that its mutants are judged by: those that hold for the rule as it is.
    pub judged_by: Vec<String>,
    /// How many of its mutants became what.
    pub counts: Counts,
    /// Its mutants, each with what became of it.
    pub mutants: Vec<MutantRow>,
}

/// A mutant and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MutantRow {
    /// The operator that made it.
    pub operator: Operator,
    /// What was changed, in a few words.
    pub change: String,
    /// Whether an expectation told it from the rule.
    pub outcome: Outcome,
    /// Ids of the verdicts that tell it from the rule, if it was killed.
    pub killed_by: Vec<String>,
    /// Why that became of it, as a sentence.
    pub reason: String,
    /// The rule's lines that differ, `-` before and `+` after.
    pub diff: Vec<String>,
}

/// What became of a mutant, judged by the run's own expectations of its rule.
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
