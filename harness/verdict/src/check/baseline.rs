//! The gate: a candidate's runs against the recorded ones, measure by measure.

use super::Checker;
use super::wording::{number, rounded};
use crate::baseline::Measure;
use crate::cause::Cause;
use crate::gate::{Answer, Better, Change, Compared, Question, least_median_most};
use crate::history::measure::{MeasureEvent, Side};
use crate::{EventKind, History, Verdict};
use serde::{Deserialize, Serialize};

/// A measure keeps its limit in every run of the candidate, and is no worse than the baseline's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WithinBaseline {
    /// Name of the measure in the baseline file.
    pub name: String,
    /// The measure as the baseline file defines it, with its limit.
    pub measure: Measure,
    /// What is asked of it, with its share of the check's error rate.
    pub question: Question,
    /// Seed from which the resampling draws, so that judging again gives the same answer.
    pub seed: u64,
}

impl WithinBaseline {
    pub(crate) fn values<'h>(
        &self,
        history: &'h History,
        side: Side,
    ) -> Vec<(u64, &'h MeasureEvent)> {
        let mine = |e: &'h crate::Event| match &e.kind {
            EventKind::Measure(m) if m.side == side && m.measure == self.name => Some((e.seq, m)),
            _ => None,
        };
        history.events.iter().filter_map(mine).collect()
    }

    /// What the runs of both sides tell.
    pub(crate) fn answer(&self, history: &History) -> Answer {
        let of = |side: Side| {
            self.values(history, side).iter().filter_map(|(_, m)| m.value).collect::<Vec<f64>>()
        };
        self.question.answer(&of(Side::Baseline), &of(Side::Candidate), self.seed)
    }

    fn told(&self, change: f64) -> String {
        match self.question.compared {
            Compared::Ratio => format!("{} %", number(rounded(change * 100.0, DIGITS))),
            Compared::Difference => {
                format!("{} {}", number(rounded(change, DIGITS)), self.measure.unit)
            }
        }
    }

    /// `12.4 % worse (between 0.9 % better and 29.5 % worse)`.
    fn worded(&self, change: Change) -> String {
        let word = |by: f64| {
            if by == 0.0 {
                return "no change".to_owned();
            }
            format!("{} {}", self.told(by.abs()), if by > 0.0 { "worse" } else { "better" })
        };
        if change.at_least == change.at_most {
            return word(change.seen);
        }
        format!(
            "{} (between {} and {})",
            word(change.seen),
            word(change.at_least),
            word(change.at_most)
        )
    }

    fn beyond_limit(&self, value: f64) -> bool {
        self.measure.limit.is_some_and(|limit| match self.measure.better {
            Better::Lower => value > limit,
            Better::Higher => value < limit,
        })
    }
}

/// Significant digits of what is told: runs tell no more.
const DIGITS: usize = 3;

impl Checker for WithinBaseline {
    fn id(&self) -> String {
        format!("baseline.{}", self.name)
    }

    fn expected(&self) -> String {
        let limit = self
            .measure
            .limit
            .map(|l| format!(", and within {} {} in each run", number(l), self.measure.unit))
            .unwrap_or_default();
        format!(
            "{} is no worse than the baseline's by {}{limit}",
            self.name,
            self.told(self.question.practical)
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let (baseline, candidate) =
            (self.values(history, Side::Baseline), self.values(history, Side::Candidate));
        let seen: Vec<(u64, f64)> =
            candidate.iter().filter_map(|(seq, m)| Some((*seq, m.value?))).collect();
        if let Some((seq, value)) = seen.iter().find(|(_, v)| self.beyond_limit(*v)) {
            let limit = self.measure.limit.unwrap_or_default();
            return Verdict::fail(
                id,
                expected,
                Cause::OutsideBaseline,
                format!(
                    "{} {unit} in one run, the limit is {} {unit}",
                    number(*value),
                    number(limit),
                    unit = self.measure.unit
                ),
            )
            .witnesses([*seq])
            .evidence("runs measured", seen.len() as u64);
        }
        if !history.is_complete() {
            return Verdict::unknown(id, expected, "the record ends early");
        }
        if let Some((seq, m)) = baseline.iter().chain(&candidate).find(|(_, m)| m.value.is_none()) {
            return Verdict::unknown(
                id,
                expected,
                format!("run {} did not measure it: {}", m.run, m.rests_on),
            )
            .witnesses([*seq]);
        }
        let recorded: Vec<f64> = baseline.iter().filter_map(|(_, m)| m.value).collect();
        let measured: Vec<f64> = seen.iter().map(|(_, v)| *v).collect();
        let middle = |values: &[f64]| {
            least_median_most(values.iter().copied()).map_or(f64::NAN, |(_, median, _)| median)
        };
        let runs = format!(
            "median {} {unit} of {} runs, recorded {} {unit} of {}",
            number(rounded(middle(&measured), DIGITS)),
            measured.len(),
            number(rounded(middle(&recorded), DIGITS)),
            recorded.len(),
            unit = self.measure.unit
        );
        let between = |change: Change| format!("{}; {runs}", self.worded(change));
        let verdict = match self.answer(history) {
            Answer::Holds(change) => Verdict::pass(id, expected, between(change)),
            Answer::Worse(change) => Verdict::fail(id, expected, Cause::OutsideBaseline, between(change))
                .hint("look at what changed since the baseline was recorded; if it is wanted, record a new one and have it reviewed"),
            Answer::TooFewRuns { wanted, change } => {
                let more = wanted
                    .map_or("no number of runs below a thousand would tell".to_owned(), |n| format!("{n} runs on each side would tell"));
                let so_far = change.map_or(runs.clone(), between);
                Verdict::unknown(
                    id,
                    expected,
                    format!("too few runs for a change of {}: {more}; {so_far}", self.told(self.question.practical)),
                )
                .hint("more runs (--runs), a longer window, or a larger practical threshold")
            }
            Answer::NotComparable => Verdict::unknown(id, expected, format!("values that can't be compared; {runs}"))
                .hint("a measure that may be zero is compared by `difference`"),
        };
        verdict
            .evidence("runs measured", measured.len() as u64)
            .witnesses(candidate.iter().map(|(seq, _)| *seq))
    }
}
