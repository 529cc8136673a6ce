//! What a load tells of its course over time, and of how much its target bears.

use super::Percentiles;
use crate::gate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When the operations of a load are begun.
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

/// The users of a closed loop, each of which waits for an answer before it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Users {
    /// Number of users at once.
    pub count: u64,
    /// Least and most time between an answer and a user's next journey, ms; without it each
    /// journey's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub think_ms: Option<[f64; 2]>,
}

/// A stretch of a load's course.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct Window {
    /// Its beginning, in seconds from that of the load.
    pub from_s: f64,
    /// Its end, in seconds from the beginning of the load.
    pub to_s: f64,
    /// Number of arrivals that were due in it.
    pub arrivals: u64,
    /// Number of operations that ended in it.
    pub operations: u64,
    /// Number of them that ended otherwise than wanted.
    pub errors: u64,
    /// Number of operations under way at its end.
    pub in_flight: u64,
    /// Latency from the intended start of those that ended.
    pub latency_ms: Percentiles,
}

impl Window {
    /// Share of its operations that ended otherwise than wanted, between 0 and 1; 0 if none ended.
    pub fn error_rate(&self) -> f64 {
        if self.operations == 0 { 0.0 } else { self.errors as f64 / self.operations as f64 }
    }
}

/// The condition that stopped a load before its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StoppedBy {
    /// The condition as it was asked for, for example `p99 > 500ms`.
    pub condition: String,
    /// What was seen when it held.
    pub seen: String,
    /// End of the window that showed it, seconds from the beginning of the load.
    pub at_s: f64,
}

/// The highest rate of arrivals at which a load keeps to an objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Knee {
    /// Highest rate, arrivals a second, that was measured and kept to the objective; none if not
    /// even the lowest did.
    pub rate: Option<f64>,
    /// Lowest rate, arrivals a second, that was measured and did not keep to it; none if all did.
    pub broken_at: Option<f64>,
    /// What limited it. If that was the generator, or the most that a schedule may ask for, `rate`
    /// is a lower bound.
    pub limited_by: LimitedBy,
    /// The same in a sentence.
    pub why: String,
    /// Conditions of the objective, each as it was asked for.
    pub objective: Vec<String>,
    /// Share of the rate by which the knee may lie above it.
    pub precision: f64,
    /// The rates that were measured, in order.
    pub steps: Vec<KneeStep>,
}

/// What ended a search for the knee.
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

/// One rate that a search for the knee measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KneeStep {
    /// Arrivals a second that were offered.
    pub rate: f64,
    /// Operations a second that were really begun.
    pub achieved_rate: f64,
    /// Latency, from the intended start to the outcome.
    pub latency_ms: Percentiles,
    /// Share of operations that ended otherwise than wanted, between 0 and 1.
    pub error_rate: f64,
    /// Whether it keeps to the objective.
    pub judged: Judged,
    /// Why it is not within the objective, if so.
    pub why: Option<String>,
}

/// What a search for the knee found of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Judged {
    /// The load kept to the objective at this rate.
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
    /// Name of what is compared, with one value for each stretch.
    pub measure: String,
    /// Mean over the first quarter of the load.
    pub first: f64,
    /// Mean over the last quarter of the load.
    pub last: f64,
    /// The question that is asked of the two quarters.
    pub question: gate::Question,
    /// Its answer: worse only if both chance and the practical threshold are exceeded.
    pub answer: gate::Answer,
}
