//! Events about baselines: what runs measured.

use serde::{Deserialize, Serialize};

/// The runs that a value belongs to, in a comparison of two versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Recorded earlier, or of the version that is compared with.
    Baseline,
    /// Of the version that is judged.
    Candidate,
}

/// The value that one run has of one measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasureEvent {
    /// The runs that this run is one of.
    pub side: Side,
    /// Id of the run.
    pub run: String,
    /// Name of the measure, as the baseline file has it.
    pub measure: String,
    /// Its value, in the measure's unit; `None` if the run could not tell.
    pub value: Option<f64>,
    /// What it rests on, or why there is none.
    pub rests_on: String,
}
