//! Baselines: what a healthy run measures, with thresholds. Limits that hold for each run, and the
//! measures of the gate, which compares the runs of a candidate with recorded ones.

use crate::gate::{Better, Compared, Question};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the baseline file's format that this program writes and reads.
pub const SCHEMA: u32 = 2;

/// Limits of a healthy run. Read from `scenarios/baselines/<stack>.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Version of this file's format; 2.
    pub schema: u32,
    /// Name of the stack that it is for.
    pub stack: String,
    /// Largest share of operations that end otherwise than their journey wants, between 0 and 1.
    pub error_rate_max: f64,
    /// Least number of operations in each window that is judged.
    pub operations_min: u64,
    /// Limits of each step of a journey, written `journey/step`; latency counts from the intended
    /// start.
    pub steps: BTreeMap<String, StepLimit>,
    /// What `firedrill baseline` measures and compares; without it there is nothing to record.
    #[serde(default)]
    pub gate: Option<Gate>,
}

/// Limits of the latency of one step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepLimit {
    /// Largest median, in milliseconds.
    pub p50_ms: f64,
    /// Largest 99th percentile, in milliseconds.
    pub p99_ms: f64,
}

/// How runs are made for `firedrill baseline`, and how they are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Seconds of traffic before a run's window, which are thrown away: caches and pools fill.
    pub warm_up_s: f64,
    /// Seconds of healthy traffic that make one run.
    pub window_s: f64,
    /// Ids of drills that follow the window, for how soon their alerts fire.
    #[serde(default)]
    pub drills: Vec<String>,
    /// Chance that the whole check fails software that did not change, shared out evenly among the
    /// measures; above 0, below 1.
    pub alpha: f64,
    /// Chance with which a change of a measure's practical size must be found; above 0, below 1.
    pub power: f64,
    /// What is measured, by the measure's name.
    pub measures: BTreeMap<String, Measure>,
}

/// A measure, of which each run gives one value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// Where its value comes from.
    pub source: Source,
    /// Unit of its values, as people are shown it.
    pub unit: String,
    /// Whether smaller or larger values are better; smaller by default.
    #[serde(default = "lower")]
    pub better: Better,
    /// How two values are compared; as a ratio by default.
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

/// Where the value of a measure comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A percentile of a journey step's latency, from the intended start, in milliseconds.
    Latency {
        /// Step of a journey, written `journey/step`.
        step: String,
        /// The percentile, 0 to 100.
        percentile: f64,
    },
    /// Share of operations that ended otherwise than their journey wants, between 0 and 1.
    ErrorRate {},
    /// An expression that the metrics server evaluates over the window.
    Query {
        /// The expression, as PromQL; several series count together.
        expr: String,
        /// What is taken of its values over the window.
        take: Take,
    },
    /// 99th percentile of the time from an acknowledgement until the time that its stored signal
    /// bears, seconds: how long what is done later waits for it to be done. A signal of the ledger.
    Lateness {
        /// Signal of the ledger: `log:<source>`, `trace` or `mail`.
        signal: String,
    },
    /// How far a store is behind, seconds: how long ago the newest operation ended whose signal can
    /// be found, 90th percentile of looks that are a second apart.
    Lag {
        /// Signal of the ledger: `log:<source>` or `trace`.
        signal: String,
    },
    /// A percentile of a span's duration, in milliseconds, for example of a database query.
    Span {
        /// Name of the service that makes the span.
        service: String,
        /// Name of the span.
        name: String,
        /// The percentile, 0 to 100.
        percentile: f64,
    },
    /// How long the slowest query among a dashboard's panels takes, in seconds.
    Dashboard {
        /// Uid of the dashboard.
        uid: String,
    },
    /// Seconds from the injection of a fault until an alert fires; one of the gate's drills is
    /// about it.
    Detection {
        /// Name of the alert.
        alert: String,
    },
}

/// What is taken of an expression's values over the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// The mean of all values.
    Mean,
    /// The largest value.
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
