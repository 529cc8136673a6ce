//! The gate before a release: whether a candidate's runs are worse than a baseline's, by statistics
//! and not by luck.
//!
//! The unit is the run: what is compared are values that whole runs gave, one each. A candidate
//! fails only when both hold: the difference is larger than chance explains (a bootstrap interval
//! leaves out zero), and it is larger than the owner cares about (the practical threshold). It
//! passes only when a difference of that size would have been found.

pub mod bootstrap;
pub mod error_rate;
pub mod power;

use bootstrap::Interval;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Fewest runs on each side: with fewer the variation between runs can't be told.
pub const LEAST_RUNS: usize = 3;

/// How two values of a measure are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compared {
    /// As a share, as latencies and memory are; values must be above zero.
    Ratio,
    /// As a difference in the measure's own unit, as error rates and queue lengths are; values may
    /// be zero.
    Difference,
}

/// Which direction of a measure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Smaller values are better, as of latencies.
    Lower,
    /// Larger values are better, as of a cache's hit rate.
    Higher,
}

/// What is asked of a measure: is the candidate worse than the baseline?
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Question {
    /// How values are compared.
    pub compared: Compared,
    /// Which direction of the values is better.
    pub better: Better,
    /// The smallest change for the worse that the owner cares about: a share (0.1 is 10 %) for
    /// `Ratio`, else in the measure's unit. Above zero.
    pub practical: f64,
    /// Chance, between 0 and 1, of failing software that did not change, for this measure alone:
    /// the check's error rate, shared out.
    pub alpha: f64,
    /// Chance, between 0 and 1, with which a change of the practical size must be found.
    pub power: f64,
}

/// What the runs answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Answer {
    /// No worse, as far as the owner cares, and a worse one would have been found.
    Holds(Change),
    /// Worse, by more than chance explains and by more than the owner accepts.
    Worse(Change),
    /// There are too few runs, for how much they vary, to tell.
    TooFewRuns {
        /// Runs on each side that would tell; `None` if no number below a thousand would, or the
        /// variation is unknown.
        wanted: Option<usize>,
        /// The change seen, where there are runs enough to speak of one.
        change: Option<Change>,
    },
    /// A value is missing, not a number, or not above zero where values are compared as shares.
    NotComparable,
}

/// A change for the worse: a share for `Ratio` (0.1 is 10 % worse), else in the measure's unit.
/// Negative is better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The change as the means show it.
    pub seen: f64,
    /// Lower end of the one-sided interval at level 1 − alpha.
    pub at_least: f64,
    /// Upper end of the other one-sided interval.
    pub at_most: f64,
}

/// The smallest value, the median (of an even number the larger one of the two), and the largest;
/// `None` of nothing.
pub fn least_median_most(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64, f64)> {
    let mut all: Vec<f64> = values.into_iter().collect();
    all.sort_by(f64::total_cmp);
    Some((*all.first()?, all[all.len() / 2], *all.last()?))
}

impl Answer {
    /// The change seen, where there are runs enough to speak of one.
    pub fn change(&self) -> Option<Change> {
        match self {
            Answer::Holds(change) | Answer::Worse(change) => Some(*change),
            Answer::TooFewRuns { change, .. } => *change,
            Answer::NotComparable => None,
        }
    }
}

impl Question {
    /// On the scale on which values are added and averaged; larger is worse.
    fn scaled(&self, values: &[f64]) -> Option<Vec<f64>> {
        let sign = if self.better == Better::Lower { 1.0 } else { -1.0 };
        let scaled = |v: &f64| match self.compared {
            Compared::Ratio => (*v > 0.0 && v.is_finite()).then(|| sign * v.ln()),
            Compared::Difference => v.is_finite().then_some(sign * v),
        };
        values.iter().map(scaled).collect()
    }

    /// The practical threshold on that scale. A hit rate that falls by 10 % is one of 0.9, so the
    /// direction matters.
    fn threshold(&self) -> f64 {
        match (self.compared, self.better) {
            (Compared::Ratio, Better::Lower) => self.practical.ln_1p(),
            (Compared::Ratio, Better::Higher) => -(-self.practical).ln_1p(),
            (Compared::Difference, _) => self.practical,
        }
    }

    /// Back from that scale.
    fn told(&self, scaled: f64) -> f64 {
        match (self.compared, self.better) {
            (Compared::Ratio, Better::Lower) => scaled.exp_m1(),
            (Compared::Ratio, Better::Higher) => -(-scaled).exp_m1(),
            (Compared::Difference, _) => scaled,
        }
    }

    fn change(&self, seen: f64, interval: Interval) -> Change {
        Change {
            seen: self.told(seen),
            at_least: self.told(interval.at_least),
            at_most: self.told(interval.at_most),
        }
    }

    /// Whether `candidate` is worse than `baseline`, each with one value a run. The seed makes the
    /// answer repeatable.
    pub fn answer(&self, baseline: &[f64], candidate: &[f64], seed: u64) -> Answer {
        let (Some(x), Some(y)) = (self.scaled(baseline), self.scaled(candidate)) else {
            return Answer::NotComparable;
        };
        let meaningful =
            self.practical > 0.0 && self.practical.is_finite() && self.threshold().is_finite();
        if !meaningful || !(0.0..1.0).contains(&self.alpha) || !(0.0..1.0).contains(&self.power) {
            return Answer::NotComparable;
        }
        if x.len() < LEAST_RUNS || y.len() < LEAST_RUNS {
            let spread = [&x, &y]
                .into_iter()
                .filter(|v| v.len() >= LEAST_RUNS)
                .map(|v| bootstrap::spread(v))
                .reduce(f64::max);
            let wanted = spread.map_or(Some(LEAST_RUNS), |s| {
                power::runs(s, self.threshold(), self.alpha, self.power)
            });
            return Answer::TooFewRuns { wanted, change: None };
        }
        let seen = bootstrap::mean(&y) - bootstrap::mean(&x);
        let interval = bootstrap::interval(&x, &y, self.alpha, seed);
        let change = self.change(seen, interval);
        if interval.at_least > 0.0 && seen > self.threshold() {
            return Answer::Worse(change);
        }
        let spread = bootstrap::pooled_spread(&x, &y);
        let wanted = power::runs(spread, self.threshold(), self.alpha, self.power);
        if interval.at_most < self.threshold() || wanted.is_some_and(|n| x.len().min(y.len()) >= n)
        {
            Answer::Holds(change)
        } else {
            Answer::TooFewRuns { wanted, change: Some(change) }
        }
    }
}

#[cfg(test)]
mod tests;
