//! A drill is worth something only if its fault bit and left, and if the load kept its schedule.

use super::Checker;
use crate::{History, Verdict};
use serde::{Deserialize, Serialize};

/// The fault of a drill was injected, seen to bite, healed, and seen to have left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultBitAndLeft {
    /// Drill.
    pub drill: String,
}

/// The load generator kept its schedule: missed starts and slip below their limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadKeptSchedule {
    /// Load stream, `background` for the run's own.
    pub stream: String,
    /// Largest share of arrivals that may be missed, 0 to 1.
    pub missed_share: f64,
    /// Largest 99th percentile of slip, ms.
    pub slip_p99_ms: f64,
}

impl Checker for FaultBitAndLeft {
    fn id(&self) -> String { String::from("FaultBitAndLeft") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}

impl Checker for LoadKeptSchedule {
    fn id(&self) -> String { String::from("LoadKeptSchedule") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}
