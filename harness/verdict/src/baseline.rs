//! Baselines: what a healthy run measures, with thresholds. Limits that hold for each run, and the
//! measures of the gate, which compares the runs of a candidate with recorded ones.

use crate::gate::{Better, Compared, Question};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the format.
pub const SCHEMA: u32 = 2;

/// Limits of a healthy run. Read from `scenarios/baselines/<stack>.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Version of this format; 2.
    pub schema: u32,
    /// Stack that it is for.
    pub stack: String,
    /// Largest share of operations that end otherwise than their journey wants, 0 to 1.
    pub error_rate_max: f64,
    /// Least number of operations in each window that is judged.
    pub operations_min: u64,
    /// Limits of each step of a journey (`journey/step`), latency from the intended start.
    pub steps: BTreeMap<String, StepLimit>,
    /// What `firedrill baseline` measures and compares; without it there is nothing to record.
    #[serde(default)]
    pub gate: Option<Gate>,
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

/// How runs are made and compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Seconds of traffic before a run's window, which are thrown away: caches and pools fill.
    pub warm_up_s: f64,
    /// Seconds of healthy traffic that make one run.
    pub window_s: f64,
    /// Drills that follow the window, for how soon their alerts fire.
    #[serde(default)]
    pub drills: Vec<String>,
    /// Chance that the whole check fails software that did not change, shared out evenly among the
    /// measures; above 0, below 1.
    pub alpha: f64,
    /// Chance with which a change of a measure's practical size must be found; above 0, below 1.
    pub power: f64,
    /// What is measured, by name.
    pub measures: BTreeMap<String, Measure>,
}

/// One measure: each run gives one value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// Where its value comes from.
    pub source: Source,
    /// Unit of its values, for people.
    pub unit: String,
    /// Which direction is better.
    #[serde(default = "lower")]
    pub better: Better,
    /// How two values are compared.
    #[serde(default = "ratio")]
    pub compared: Compared,
    /// The smallest change for the worse that matters: a share for `ratio`, else in the measure's
    /// unit.
    pub practical: f64,
    /// What every single run must keep, whatever was recorded: from the documents of the stack.
    #[serde(default)]
    pub limit: Option<f64>,
}

fn lower() -> Better {
    Better::Lower
}

fn ratio() -> Compared {
    Compared::Ratio
}

/// Where a measure's value comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A percentile of a journey step's latency, ms from the intended start.
    Latency {
        /// `journey/step`.
        step: String,
        /// 0 to 100.
        percentile: f64,
    },
    /// Share of operations that ended otherwise than their journey wants.
    ErrorRate {},
    /// An expression that the metrics server evaluates over the window.
    Query {
        /// PromQL; several series count together.
        expr: String,
        /// What is taken of its values.
        take: Take,
    },
    /// 99th percentile of the time from an acknowledgement until the time that its stored signal
    /// bears, seconds: how long what is done later waits for it to be done. A signal of the ledger.
    Lateness {
        /// `log:<source>`, `trace` or `mail`.
        signal: String,
    },
    /// How far a store is behind, seconds: how long ago the newest operation ended whose signal can
    /// be found, 90th percentile of looks that are a second apart.
    Lag {
        /// `log:<source>` or `trace`.
        signal: String,
    },
    /// A percentile of a span's duration, ms: what a database query takes.
    Span {
        /// Service.
        service: String,
        /// Name of the span.
        name: String,
        /// 0 to 100.
        percentile: f64,
    },
    /// The slowest query among a dashboard's panels, seconds.
    Dashboard {
        /// Uid.
        uid: String,
    },
    /// From the injection of a fault until an alert fires, seconds; one of the gate's drills is
    /// about it.
    Detection {
        /// Alert.
        alert: String,
    },
}

/// What is taken of an expression's values over the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// Their mean.
    Mean,
    /// Their largest.
    Max,
    /// The slope of a straight line through them (least squares), a minute: a leak.
    SlopePerMinute,
}

impl Gate {
    /// What is asked of a measure: the error rate is shared out among all.
    pub fn question(&self, measure: &Measure) -> Question {
        Question {
            compared: measure.compared,
            better: measure.better,
            practical: measure.practical,
            alpha: self.alpha / self.measures.len().max(1) as f64,
            power: self.power,
        }
    }
}
