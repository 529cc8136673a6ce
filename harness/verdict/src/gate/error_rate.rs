//! The gate's own error rate, found by giving it recorded runs of software that did not change.

use super::bootstrap::SplitMix;
use super::{Answer, Question};

/// How often the gate gave which answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Number of times that it was asked.
    pub asked: u64,
    /// Number of times that it answered: worse.
    pub worse: u64,
    /// Number of times that the runs could not tell.
    pub unknown: u64,
}

/// Asks `question` `asked` times about a baseline and a candidate of `runs` runs each, whose values
/// `draw` draws with replacement from what was recorded, and where the candidate's are multiplied
/// by `factor`: 1 is software that did not change, 1.1 a planted slowdown of 10 %.
pub fn resampled(
    question: &Question,
    draw: impl Fn(&mut SplitMix) -> f64,
    runs: usize,
    factor: f64,
    asked: u64,
    seed: u64,
) -> Tally {
    let mut random = SplitMix(seed);
    (0..asked).fold(Tally::default(), |tally, _| {
        let mut side =
            |by: f64| -> Vec<f64> { (0..runs).map(|_| draw(&mut random) * by).collect() };
        let (baseline, candidate) = (side(1.0), side(factor));
        let answer = question.answer(&baseline, &candidate, random.seed());
        Tally {
            asked: tally.asked + 1,
            worse: tally.worse + u64::from(matches!(answer, Answer::Worse(_))),
            unknown: tally.unknown
                + u64::from(matches!(answer, Answer::TooFewRuns { .. } | Answer::NotComparable)),
        }
    })
}
