//! Events about the run itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A phase of a run, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Engine, kernel abilities, free ports, containment.
    Preflight,
    /// Images are built, pulled or found.
    Images,
    /// Containers are created and started, until all are ready.
    Up,
    /// The steady state is awaited and held.
    Steady,
    /// Load runs; drills come and go.
    Drive,
    /// Backlogs empty themselves.
    Drain,
    /// Everything that judging needs is read from the backends.
    Capture,
    /// The stack is removed.
    Down,
}

/// What a deviation is about.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DeviationKind {
    /// The stack differs from the system that its document describes.
    #[default]
    System,
    /// A component does not run.
    Absent,
    /// An image differs from the one asked for.
    Image,
    /// A rule was changed for a drill.
    Overridden,
    /// A duration or a literal was not divided by the time scale.
    NotScaled,
    /// A drill was run more than once.
    RunAgain,
}

/// Something that differs from the described system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Deviation {
    /// What it is about; records of old don't say.
    #[serde(default)]
    pub kind: DeviationKind,
    /// What differs.
    pub what: String,
    /// Why.
    pub why: String,
}

impl Deviation {
    /// A deviation of a kind.
    pub fn new(kind: DeviationKind, what: impl Into<String>, why: impl Into<String>) -> Deviation {
        Deviation { kind, what: what.into(), why: why.into() }
    }
}

/// The run: its start, phases, drills, deviations, end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEvent {
    /// The run began; the first event of a history.
    Started {
        /// Version of the format of the events that follow, see [`crate::history::FORMAT`].
        format: u32,
        /// Id of the run, which names its folder.
        id: String,
        /// Seed from which all choices of the run follow.
        seed: u64,
        /// Name of the stack, as its declaration states it.
        stack: String,
        /// Divisor of the monitoring configuration's durations; 1 leaves them untouched.
        time_scale: f64,
    },
    /// A phase began.
    PhaseBegan {
        /// The phase that began.
        phase: Phase,
    },
    /// A phase ended.
    PhaseEnded {
        /// The phase that ended.
        phase: Phase,
    },
    /// The steady state held before a drill, or did not within its bound.
    Steady {
        /// Whether it held for as long as it must.
        held: bool,
        /// What was seen last.
        seen: String,
        /// Id of the drill that it precedes; `None` where it precedes none in particular.
        before: Option<String>,
    },
    /// A drill began.
    DrillBegan {
        /// Id of the drill.
        drill: String,
        /// Number of its wave; drills of one wave run side by side.
        wave: u32,
    },
    /// A drill ended: its fault is healed and its alerts are resolved, or their time is over.
    DrillEnded {
        /// Id of the drill.
        drill: String,
    },
    /// A rule was changed for a drill, until the drill's end.
    Overridden {
        /// Id of the drill.
        drill: String,
        /// Name of the alert whose rule is changed.
        alert: String,
        /// The rule's expression before, as PromQL.
        before: String,
        /// The rule's expression during the drill, as PromQL.
        after: String,
        /// Why the scenario changes it.
        why: String,
    },
    /// A drill that was late while the host was contended is run once more; its repetition follows.
    DrillAgain {
        /// Id of the drill.
        drill: String,
        /// What was late, and how contended the host was.
        why: String,
    },
    /// Something differs from the described system.
    Deviation(Deviation),
    /// A verdict was left out, with the reason.
    Skipped {
        /// Id of the verdict.
        verdict: String,
        /// Why it is left out.
        reason: String,
    },
    /// A side file and what it must contain.
    SideFile {
        /// Name of the file, beside `history.jsonl`.
        name: String,
        /// Number of its lines, an event each.
        lines: u64,
        /// SHA-256 of the file's bytes, in hexadecimal.
        sha256: String,
    },
    /// The last event, but for the removal of the stack.
    Ended {
        /// Whether all phases were gone through; otherwise absence proves nothing.
        complete: bool,
        /// Why not all phases were gone through; `None` if they were.
        reason: Option<String>,
    },
}
