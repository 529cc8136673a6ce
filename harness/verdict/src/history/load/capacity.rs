//! What a load tells of its course over time, and of how much its target bears.

use super::Percentiles;
use crate::gate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When operations are begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum Pacing {
    /// On a schedule, whatever became of those before: latency is what users see who know nothing
    /// of each other.
    #[default]
    Open,
    /// After the answer to the one before. Who waits sends nothing meanwhile, so latency leaves out
    /// all who would have come (coordinated omission): this tells how much so many users get done,
    /// and not what others would have waited for.
    Closed,
}

/// The users of a closed loop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Users {
    /// How many at once.
    pub count: u64,
    /// Least and most time between an answer and a user's next journey, ms; without it each
    /// journey's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub think_ms: Option<[f64; 2]>,
}

/// A stretch of a load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct Window {
    /// Its beginning, seconds from that of the load.
    pub from_s: f64,
    /// Its end.
    pub to_s: f64,
    /// Arrivals that were due in it.
    pub arrivals: u64,
    /// Operations that ended in it.
    pub operations: u64,
    /// How many of them otherwise than wanted.
    pub errors: u64,
    /// Operations under way at its end.
    pub in_flight: u64,
    /// Latency from the intended start of those that ended.
    pub latency_ms: Percentiles,
}

impl Window {
    /// Share of its operations that ended otherwise than wanted, 0 to 1.
    pub fn error_rate(&self) -> f64 {
        if self.operations == 0 { 0.0 } else { self.errors as f64 / self.operations as f64 }
    }
}

/// A condition that stopped a load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StoppedBy {
    /// As it was asked for: `p99 > 500ms`.
    pub condition: String,
    /// What was seen instead.
    pub seen: String,
    /// End of the window that showed it, seconds from the beginning of the load.
    pub at_s: f64,
}

/// The highest rate within an objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Knee {
    /// Highest rate, arrivals a second, that was measured and kept to the objective; none if not
    /// even the lowest did.
    pub rate: Option<f64>,
    /// The lowest rate that was measured and did not.
    pub broken_at: Option<f64>,
    /// What limited it. If that was the generator, or the most that a schedule may ask for, `rate`
    /// is a lower bound.
    pub limited_by: LimitedBy,
    /// In words.
    pub why: String,
    /// The objective.
    pub objective: Vec<String>,
    /// Share of the rate by which the knee may lie above it.
    pub precision: f64,
    /// What was measured, in order.
    pub steps: Vec<KneeStep>,
}

/// What limited a search for the knee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitedBy {
    /// The target: above the rate the objective does not hold.
    Target,
    /// The generator, which could not offer more: the rate is a lower bound.
    Generator,
    /// Nothing, up to the highest rate that a schedule may ask for: the rate is a lower bound.
    Nothing,
    /// It was stopped before it was done: the rate is a lower bound.
    Interrupted,
}

/// One rate that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KneeStep {
    /// Arrivals a second.
    pub rate: f64,
    /// Operations a second that were begun.
    pub achieved_rate: f64,
    /// Latency from the intended start.
    pub latency_ms: Percentiles,
    /// Share of operations that ended otherwise than wanted.
    pub error_rate: f64,
    /// What came of it.
    pub judged: Judged,
    /// Why it is not within the objective, if so.
    pub why: Option<String>,
}

/// What came of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Judged {
    /// It keeps to the objective.
    Within,
    /// It does not, or the target fell behind.
    Beyond,
    /// The generator could not offer it.
    Generator,
}

/// What a plan was for, and what came of that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "plan")]
pub enum PlanTold {
    /// The same for long: does it get worse?
    Soak {
        /// The last quarter against the first.
        drift: Vec<Drift>,
    },
    /// A jump and back.
    Spike {
        /// Begin of the jump, seconds from that of the load.
        from_s: f64,
        /// Its end.
        until_s: f64,
        /// Arrivals a second during it.
        to_rate: f64,
        /// Whether every stretch before it kept to the objective.
        held_before: bool,
        /// Seconds from its end until every further stretch kept to the objective; none if that did
        /// not come.
        back_after_s: Option<f64>,
    },
    /// A ramp until something gives.
    Breakpoint {
        /// Where the ramp would have ended, arrivals a second.
        to_rate: f64,
        /// Arrivals a second in the last stretch before it was stopped; of the last one if nothing
        /// stopped it.
        held_rate: Option<f64>,
        /// Arrivals a second in the stretch that stopped it.
        broke_rate: Option<f64>,
    },
}

/// A measure in the last quarter of a load against the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Drift {
    /// What is compared, one value for each stretch.
    pub measure: String,
    /// Mean over the first quarter.
    pub first: f64,
    /// Mean over the last one.
    pub last: f64,
    /// The question that was asked.
    pub question: gate::Question,
    /// Its answer: worse only if both chance and the practical threshold are exceeded.
    pub answer: gate::Answer,
}
