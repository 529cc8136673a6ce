//! Events about the run itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A phase of a run, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Engine, kernel abilities, free ports, containment.
    Preflight,
    /// Images are obtained.
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
    /// The first event.
    Started {
        /// Format of the events that follow.
        format: u32,
        /// Id of the run.
        id: String,
        /// Seed from which all choices flow.
        seed: u64,
        /// Name of the stack, as its declaration states it.
        stack: String,
        /// Divisor of the monitoring configuration's durations; 1 leaves them untouched.
        time_scale: f64,
    },
    /// A phase began.
    PhaseBegan {
        /// Which.
        phase: Phase,
    },
    /// A phase ended.
    PhaseEnded {
        /// Which.
        phase: Phase,
    },
    /// The steady state held before a drill, or did not within its bound.
    Steady {
        /// Whether it held for the stated time.
        held: bool,
        /// What was seen last.
        seen: String,
        /// The drill that it precedes; `None` for the first.
        before: Option<String>,
    },
    /// A drill began.
    DrillBegan {
        /// Its id.
        drill: String,
        /// Drills of one wave run side by side.
        wave: u32,
    },
    /// A drill ended: its fault is healed and its alerts are resolved, or their time is over.
    DrillEnded {
        /// Its id.
        drill: String,
    },
    /// A rule was changed for a drill, until the drill's end.
    Overridden {
        /// Drill.
        drill: String,
        /// Alert whose rule it is.
        alert: String,
        /// Its expression otherwise.
        before: String,
        /// Its expression during the drill.
        after: String,
        /// Why.
        why: String,
    },
    /// A drill that was late while the host was contended is run once more; its repetition follows.
    DrillAgain {
        /// Its id.
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
        /// Why it may be left out.
        reason: String,
    },
    /// A side file and what it must contain.
    SideFile {
        /// Its name, beside `history.jsonl`.
        name: String,
        /// Number of lines.
        lines: u64,
        /// SHA-256 of its bytes, in hexadecimal.
        sha256: String,
    },
    /// The last event, but for the removal of the stack.
    Ended {
        /// Whether all phases were gone through; otherwise absence proves nothing.
        complete: bool,
        /// Why not, if so.
        reason: Option<String>,
    },
}
