//! An alerting rule and its mutants: at which of its group's evaluations each expression held.

use crate::observation::metrics::Series;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The evaluations of a rule group: one at each of `count` instants, an interval apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    /// When the first evaluation was due, in milliseconds since the Unix epoch.
    pub first_ms: i64,
    /// Interval of the group, in milliseconds; above 0.
    pub interval_ms: i64,
    /// Number of evaluations.
    pub count: u32,
    /// Whether samples that the group wrote tell its instants exactly; otherwise they were read
    /// from the server's clock, and may be late by as much as an evaluation is.
    pub exact: bool,
}

impl Grid {
    /// When an evaluation was due, in milliseconds since the Unix epoch.
    pub fn at_ms(&self, index: u32) -> i64 {
        self.first_ms + i64::from(index) * self.interval_ms
    }

    /// Number of the evaluation at an instant, in seconds since the Unix epoch, give or take two
    /// milliseconds.
    pub fn index(&self, at_s: f64) -> Option<u32> {
        let from_first = (at_s * 1000.0).round() as i64 - self.first_ms;
        let index = (from_first + self.interval_ms / 2).div_euclid(self.interval_ms);
        let off = (from_first - index * self.interval_ms).abs();
        u32::try_from(index).ok().filter(|i| *i < self.count && off <= 2)
    }
}

/// Evaluations from one to another, both included.
pub type Run = (u32, u32);

/// A label set of an expression's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Its labels, without the metric's name and without those that the rule sets.
    pub labels: BTreeMap<String, String>,
    /// Evaluations at which it is in the result, with all samples stamped until then.
    pub all: Vec<Run>,
    /// Those at which it is with the latest samples hidden: a sample is stamped when its scrape
    /// starts and visible when that ends.
    pub without_latest: Vec<Run>,
}

/// The kind of change that makes a mutant of a rule.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// A threshold is multiplied by 0.9, 1.1, 0.5 or 2; where that means nothing (0, or a
    /// comparison for equality) one is taken or added.
    Threshold,
    /// A comparison gains or loses equality, or is turned round.
    Comparison,
    /// `for` or `keep_firing_for` is doubled, or becomes 0.
    Duration,
    /// A label matcher is dropped or negated.
    Matcher,
    /// `by` and `without` are exchanged, or dropped.
    Grouping,
    /// An aggregation becomes another: sum to avg, avg to max, max to min, min to max, count to
    /// sum.
    Aggregation,
    /// A range is doubled or halved.
    Range,
}

impl Operator {
    /// All operators, in the order in which reports list them.
    pub const ALL: [Operator; 7] = [
        Operator::Threshold,
        Operator::Comparison,
        Operator::Duration,
        Operator::Matcher,
        Operator::Grouping,
        Operator::Aggregation,
        Operator::Range,
    ];

    /// The operator in a word, as reports show it.
    pub fn name(self) -> &'static str {
        match self {
            Operator::Threshold => "threshold",
            Operator::Comparison => "comparison",
            Operator::Duration => "duration",
            Operator::Matcher => "matcher",
            Operator::Grouping => "grouping",
            Operator::Aggregation => "aggregation",
            Operator::Range => "range",
        }
    }
}

/// A rule's expression and durations, before or after a change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Variant {
    /// The expression, as PromQL.
    pub expr: String,
    /// Its `for`, in milliseconds; 0 where it has none.
    pub for_ms: i64,
    /// Its `keep_firing_for`, in milliseconds; 0 where it has none.
    pub keep_firing_ms: i64,
}

/// A mutant of a rule, and when its expression held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mutant {
    /// The operator that made it.
    pub operator: Operator,
    /// What was changed, in a few words.
    pub change: String,
    /// Its expression and durations.
    pub variant: Variant,
    /// Whether it differs only in a level or in how fast a window fills: a fault that was healed
    /// early may not have moved it far enough.
    #[serde(default)]
    pub level: bool,
    /// When it held; none if it is the rule's own expression, or was not answered.
    pub held: Option<Vec<Held>>,
    /// Why the server refuses to evaluate it, if so.
    pub refused: Option<String>,
    /// Why the server did not answer, if so.
    pub unanswered: Option<String>,
}

/// An alerting rule with its mutants: when each expression held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Name of the alert.
    pub alert: String,
    /// File and name of the rule's group.
    pub group: String,
    /// Names of the labels that the rule sets.
    pub sets: Vec<String>,
    /// The evaluations of its group.
    pub grid: Grid,
    /// How long a sample that it looks at was stamped before it was visible, at most, milliseconds.
    pub hidden_ms: i64,
    /// The rule as the server has loaded it.
    pub rule: Variant,
    /// When its expression held, by label set.
    pub held: Vec<Held>,
    /// Whether it was changed for a drill, so that what was evaluated then is not what is loaded
    /// now.
    #[serde(default)]
    pub overridden: bool,
    /// Why it can't be replayed, if so: what was asked and not answered.
    pub error: Option<String>,
    /// Samples of `ALERTS` of this name, as stored.
    pub alerts: Vec<Series>,
    /// Evaluations of its group that the server left out.
    pub left_out: Vec<u32>,
    /// Its mutants, all that the operators make of it.
    pub mutants: Vec<Mutant>,
}
