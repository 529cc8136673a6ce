//! Events about baselines: what runs measured.

use serde::{Deserialize, Serialize};

/// Which runs a value belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Recorded earlier, or of the version that is compared with.
    Baseline,
    /// Of the version that is judged.
    Candidate,
}

/// A run's value of one measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasureEvent {
    /// Which runs it belongs to.
    pub side: Side,
    /// The run.
    pub run: String,
    /// The measure, as the baseline names it.
    pub measure: String,
    /// Its value, in the measure's unit; `None` if the run could not tell.
    pub value: Option<f64>,
    /// What it rests on, or why there is none.
    pub rests_on: String,
}
