//! Baselines: what a healthy run measures, with thresholds.

use serde::{Deserialize, Serialize};

/// Limits of a healthy run. Read from `scenarios/baselines/<stack>.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Version of this format; 1.
    pub schema: u32,
    /// Stack that it is for.
    pub stack: String,
    /// Largest share of operations that end otherwise than their journey wants, 0 to 1.
    pub error_rate_max: f64,
    /// Least number of operations in each window that is judged.
    pub operations_min: u64,
    /// Limits of each step of a journey (`journey/step`), latency from the intended start.
    pub steps: std::collections::BTreeMap<String, StepLimit>,
}

/// Limits of one step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepLimit {
    /// Largest median, ms.
    pub p50_ms: f64,
    /// Largest 99th percentile, ms.
    pub p99_ms: f64,
}
