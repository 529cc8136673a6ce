//! A candidate's runs beside a baseline's, measure by measure.

use crate::check::baseline::WithinBaseline;
use crate::gate::{Change, Compared};
use crate::history::measure::Side;
use crate::{Expectation, History, Status, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A measure of the runs of both versions, and what came of comparing it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedRow {
    /// Name of the measure.
    pub measure: String,
    /// Unit of its values, as people are shown it.
    pub unit: String,
    /// The baseline's runs, one value each, from the smallest; runs that did not measure it are
    /// left out.
    pub baseline: Vec<f64>,
    /// The candidate's runs, one value each, from the smallest; runs that did not measure it are
    /// left out.
    pub candidate: Vec<f64>,
    /// The change for the worse, with its interval; null where the runs are too few to speak of
    /// one.
    pub change: Option<Change>,
    /// How changes are told: as a share (0.1 is 10 %), or in the unit.
    pub compared: Compared,
    /// The smallest change that matters, told likewise.
    pub practical: f64,
    /// What each run must keep, in the unit.
    pub limit: Option<f64>,
    /// What the check of this measure came to.
    pub status: Status,
}

/// The rows of a check; none for any other run.
pub fn compared<'e>(
    history: &History,
    judged: impl IntoIterator<Item = (&'e Expectation, &'e Verdict)>,
) -> Vec<ComparedRow> {
    let row = |check: &WithinBaseline, verdict: &Verdict| {
        let values = |side: Side| {
            let mut values: Vec<f64> =
                check.values(history, side).iter().filter_map(|(_, m)| m.value).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        ComparedRow {
            measure: check.name.clone(),
            unit: check.measure.unit.clone(),
            baseline: values(Side::Baseline),
            candidate: values(Side::Candidate),
            change: check.answer(history).change(),
            compared: check.measure.compared,
            practical: check.measure.practical,
            limit: check.measure.limit,
            status: verdict.status,
        }
    };
    let of = |(expectation, verdict): (&'e Expectation, &'e Verdict)| match expectation {
        Expectation::WithinBaseline(check) => Some(row(check, verdict)),
        _ => None,
    };
    judged.into_iter().filter_map(of).collect()
}
