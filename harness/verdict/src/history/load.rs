//! Events about the load: operations, their outcomes, and the summary.

mod capacity;

pub use capacity::{
    Drift, Judged, Knee, KneeStep, LimitedBy, Pacing, PlanTold, StoppedBy, Users, Window,
};

use super::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How an operation ended, as far as the client can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The answer that promises it has come (HTTP 2xx, SMTP 250).
    Acknowledged,
    /// A refusal has come. Expected refusals (`Operation::refusal_expected`) are no failures.
    Failed,
    /// Neither has come by the deadline: it may or may not have happened.
    Unknown,
}

/// An operation of a journey: a request and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// The id that the services echo into log lines and spans.
    pub id: String,
    /// Name of the journey that it belongs to.
    pub journey: String,
    /// Name of the step within the journey, for example `send`, `list`, `search`, `read`.
    pub step: String,
    /// Name of the user that it acts for.
    pub user: String,
    /// The instant at which the schedule wanted it; latency runs from here.
    pub due: At,
    /// The instant at which it was really begun.
    pub started: At,
    /// The instant at which its outcome was known.
    pub ended: At,
    /// How it ended, as far as the client can know.
    pub outcome: Outcome,
    /// Whether a refusal is what the journey wants (a wrong password, an unknown recipient).
    pub refusal_expected: bool,
    /// Whether the outcome is the one that the journey wants: acknowledged, or refused in the
    /// expected way.
    pub as_expected: bool,
    /// HTTP status or SMTP code, if an answer came.
    pub status: Option<u16>,
    /// What went wrong; `None` if nothing did.
    pub error: Option<String>,
}

impl Operation {
    /// Milliseconds from the intended start to the outcome.
    pub fn latency_ms(&self) -> f64 {
        self.ended.since(self.due) * 1e3
    }

    /// Whether it is an operation of this step, written `journey/step`.
    pub fn is_step(&self, step: &str) -> bool {
        step.split_once('/')
            .is_some_and(|(journey, step)| self.journey == journey && self.step == step)
    }
}

/// Percentiles of a duration, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct Percentiles {
    /// The 50th percentile (median), in milliseconds.
    pub p50: f64,
    /// The 90th percentile, in milliseconds.
    pub p90: f64,
    /// The 95th percentile, in milliseconds.
    pub p95: f64,
    /// The 99th percentile, in milliseconds.
    pub p99: f64,
    /// The largest value, in milliseconds.
    pub max: f64,
}

/// Percentiles at which a curve is shown, 0 to 100.
pub const CURVE: [f64; 14] =
    [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.9, 99.95, 99.99, 100.0];

/// Whether so many values can tell a percentile: at least one must lie above it. The smallest and
/// the largest are always known.
pub fn enough(percentile: f64, values: u64) -> bool {
    values > 0
        && (percentile == 0.0
            || percentile == 100.0
            || (1.0 - percentile / 100.0) * values as f64 >= 0.999)
}

/// Latency and service time at a percentile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct CurvePoint {
    /// The percentile, 0 to 100.
    pub percentile: f64,
    /// Latency from the intended start, in milliseconds.
    pub latency_ms: f64,
    /// Service time, from the real start, in milliseconds.
    pub service_ms: f64,
}

/// What the load generator says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct LoadSummary {
    /// Arrivals a second that the schedule asked for.
    pub offered_rate: f64,
    /// Operations a second that were really begun.
    pub achieved_rate: f64,
    /// Arrivals that could not be begun because the limit of operations in flight was reached.
    pub missed_starts: u64,
    /// 99th percentile of the slip (start minus due), in milliseconds.
    pub slip_p99_ms: f64,
    /// Latency, from the intended start to the outcome.
    pub latency_ms: Percentiles,
    /// Number of operations that ended.
    pub operations: u64,
    /// Why the load can't be relied on, if so: a verdict that rests on it is then Unknown.
    pub invalid: Option<String>,
    /// Share of operations that ended otherwise than the journey wants, between 0 and 1.
    #[serde(default)]
    pub error_rate: f64,
    /// Service time: from the instant at which the operation was really sent. What it is shorter
    /// than the latency was spent waiting for the target (or for this generator: see `generator`).
    #[serde(default)]
    pub service_ms: Percentiles,
    /// Both by percentile, as far as so many operations can tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<CurvePoint>,
    /// How often each kind of error came.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<String, u64>,
    /// The same of each journey (from its first operation's intended start to its last one's end),
    /// and of each of its operations (`journey/step`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, LoadPart>,
    /// How connections were opened and reused, where that was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<Connections>,
    /// What the generator itself needed, where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator: Option<Generator>,
    /// Whether operations were begun on a schedule or after the answer before.
    #[serde(default)]
    pub pacing: Pacing,
    /// The users of a closed loop; absent from an open one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Users>,
    /// Its course, stretch by stretch, where its length was known beforehand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// The condition that stopped it, and what was seen, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<StoppedBy>,
    /// The plan that it followed, and what came of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanTold>,
    /// The search that this load is the answer of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knee: Option<Knee>,
    /// The generators that drove it together, where there were several; a load that one of them did
    /// not drive to its end is invalid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<LoadWorker>,
    /// Time between the first worker that began and the last, where there were several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_skew: Option<Measured>,
}

/// A time that was measured, and how far at most the true one is from it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct Measured {
    /// The measured time, in microseconds.
    pub us: f64,
    /// Largest distance of the true time from it, in microseconds.
    pub uncertainty_us: f64,
}

/// What became of a worker of a load by its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// It drove its part to the end.
    Ended,
    /// It died, or was heard of no more: nothing is known of its operations after the last interval
    /// that it told.
    Lost,
}

/// One of several generators that drove a load together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadWorker {
    /// `host:port` at which it listens, or the name of its container.
    pub name: String,
    /// What became of it by the end of the load.
    pub state: WorkerState,
    /// Arrivals of its part that were due, as far as is known.
    pub arrivals: u64,
    /// Its operations that ended, as far as is known.
    pub operations: u64,
    /// When it was given up, seconds after the beginning of the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_at_s: Option<f64>,
    /// Why it was lost, or why what it measured can't be relied on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid: Option<String>,
    /// 99th percentile of its slip (start minus due), in milliseconds.
    pub slip_p99_ms: f64,
    /// How late it began, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_late_us: Option<f64>,
    /// What its monotonic clock showed more than the coordinator's, before the load. Both count
    /// from an instant of their own, so only the uncertainty says something: so exactly did it
    /// begin with the others.
    pub clock_offset: Measured,
    /// How much the offset of its clock changed until the end of the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_drift: Option<Measured>,
    /// What it needed for itself, where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator: Option<Generator>,
}

/// A journey of a load, or an operation of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct LoadPart {
    /// Number of times that it ended.
    pub count: u64,
    /// Number of times that it ended otherwise than wanted.
    pub errors: u64,
    /// What went wrong, by kind. With a journey it is what ended it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kinds: BTreeMap<String, u64>,
    /// Latency, from the intended start to the outcome.
    pub latency_ms: Percentiles,
    /// Service time, from the real start to the outcome.
    pub service_ms: Percentiles,
}

/// How a load opened and reused its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
pub struct Connections {
    /// Number of connections that were opened.
    pub opened: u64,
    /// Number of operations that went over a connection used before.
    pub reused: u64,
    /// Most that may be open at once, if there is a limit: an arrival that finds all of them busy
    /// waits, and its latency counts that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Most that were open at once, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u64>,
    /// Operations that had to wait for a connection, where there is a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited: Option<u64>,
}

/// What a load generator needed for itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct Generator {
    /// Whether operations were begun on a schedule. If not, each connection sent as soon as it was
    /// answered: that tells capacity and no latency of users, for they don't wait for each other.
    pub open_loop: bool,
    /// Processor time of an operation, in microseconds.
    pub cpu_us_per_operation: f64,
    /// Share of the time in which its thread ran, or was ready and waited for a processor, 0 to 1.
    pub busy: f64,
    /// Seconds in which it was busy for more than 95 %: then it may itself be what was slow.
    pub saturated_s: u64,
    /// Median of the slip (start minus due), in milliseconds.
    pub slip_p50_ms: f64,
    /// Largest slip (start minus due), in milliseconds.
    pub slip_max_ms: f64,
}

/// The sink of runs that were recorded when mail was the only effect.
fn mail() -> String {
    "mail".into()
}

/// Id of the span that a client which names itself in `traceparent` has: it is stored nowhere, so a
/// span with this parent has none. It follows from the operation's id, which is the trace's.
pub fn client_span(operation: &str) -> String {
    // FNV-1a over the id; a span's id of nothing but zeros is no id.
    let hash = operation
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    format!("{:016x}", hash.max(1))
}

/// An event of the load or of one of its streams.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadEvent {
    /// An operation ended.
    Operation(Operation),
    /// The effect of an operation was seen where it had to arrive: a mail in its mailbox.
    #[serde(alias = "mail_seen")]
    Seen {
        /// Id of the operation that it is an effect of.
        operation: String,
        /// Name of the sink in which it was seen.
        #[serde(default = "mail")]
        sink: String,
        /// Where in it: the address of the mailbox.
        #[serde(alias = "mailbox")]
        place: String,
        /// How often it was there (more than once is a duplicate).
        copies: u32,
    },
    /// A load began.
    Began {
        /// Arrivals a second that it will offer.
        rate: f64,
        /// Which load: `background`, or the id of the drill that adds to it.
        stream: String,
    },
    /// A load ended.
    Ended {
        /// Which load: `background`, or the id of the drill that adds to it.
        stream: String,
        /// What the generator says of the load.
        summary: Box<LoadSummary>,
    },
}
