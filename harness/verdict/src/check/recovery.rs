//! After healing, latency and error rate are back within the baseline.

use super::Checker;
use crate::{History, Verdict};
use crate::baseline::Baseline;
use serde::{Deserialize, Serialize};

/// The journeys' error rate and latency are inside the baseline in the healthy windows before the first drill, and again
/// after the last was healed; a fresh operation still flows through everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recovered {
    /// Limits.
    pub baseline: Baseline,
    /// Seconds after healing that a drill is given before its operations count.
    pub settle_s: f64,
}

impl Checker for Recovered {
    fn id(&self) -> String { String::from("Recovered") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}
