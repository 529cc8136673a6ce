//! The append-only record of a run. One file below for each domain of events.
//!
//! On disk an event is one JSON line. Bulk events (operations, log documents, spans, samples) go to
//! side files that `history.jsonl` references by name, line count and digest; read back, all are
//! one sequence again, ordered by `seq`.

pub mod alert;
pub mod fault;
pub mod load;
pub mod measure;
pub mod run;
pub mod stack;

use crate::observation::{Fact, Observation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the event format. A reader refuses a newer one and reads every older one.
pub const FORMAT: u32 = 1;

/// An instant, on the wall clock and on the run's own monotonic clock.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    Default,
)]
pub struct At {
    /// Microseconds since the run began; never steps. Durations are computed from this one.
    pub mono_us: i64,
    /// Microseconds since the Unix epoch, UTC; may step. Compared with what the stack's own clocks
    /// say.
    pub wall_us: i64,
}

impl At {
    /// Seconds from `earlier` to `self` on the monotonic clock; negative if `self` came first.
    pub fn since(self, earlier: At) -> f64 {
        (self.mono_us - earlier.mono_us) as f64 / 1e6
    }

    /// Seconds of the wall clock since the Unix epoch.
    pub fn wall_s(self) -> f64 {
        self.wall_us as f64 / 1e6
    }

    /// This instant moved by `seconds`, on both clocks.
    pub fn plus(self, seconds: f64) -> At {
        let d = (seconds * 1e6) as i64;
        At { mono_us: self.mono_us + d, wall_us: self.wall_us + d }
    }
}

/// An entry of the history: something that happened, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Position in the history, from 0, without gaps. Witnesses refer to it.
    pub seq: u64,
    /// When the harness recorded it.
    pub at: At,
    /// What happened, by its domain.
    pub kind: EventKind,
}

/// What happened, sorted by the domain that it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "domain", content = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The run itself: its start, phases, drills, deviations and end.
    Run(run::RunEvent),
    /// Services of the stack: started, ready, or in which state at the end.
    Stack(stack::StackEvent),
    /// Operations of the load, and its summary.
    Load(load::LoadEvent),
    /// Faults: injected, bitten, healed, gone.
    Fault(fault::FaultEvent),
    /// Receivers: declared, and notified.
    Alert(alert::AlertEvent),
    /// What runs measured, for the comparison of two versions.
    Measure(measure::MeasureEvent),
    /// What a probe was answered, or that it was not.
    Observation(Observation),
}

impl EventKind {
    /// The side file that holds events of this kind, or `None` for `history.jsonl` itself.
    pub fn side_file(&self) -> Option<&'static str> {
        match self {
            EventKind::Load(load::LoadEvent::Operation(_) | load::LoadEvent::Seen { .. }) => {
                Some("operations.jsonl")
            }
            EventKind::Observation(o) => match o.fact {
                Fact::Documents { .. } => Some("documents.jsonl"),
                Fact::Spans { .. } => Some("spans.jsonl"),
                Fact::Samples(_) | Fact::RuleInputs(_) => Some("samples.jsonl"),
                Fact::Replay(_) => Some("mutation.jsonl"),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A whole recorded run, ordered by `seq`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// All events, those of side files included, in the order of `seq`.
    pub events: Vec<Event>,
}

impl History {
    /// A history of these events, sorted by `seq`.
    pub fn new(mut events: Vec<Event>) -> History {
        events.sort_by_key(|e| e.seq);
        History { events }
    }

    /// All observations of probes, each with its event.
    pub fn observations(&self) -> impl DoubleEndedIterator<Item = (&Event, &Observation)> {
        self.events.iter().filter_map(|e| match &e.kind {
            EventKind::Observation(o) => Some((e, o)),
            _ => None,
        })
    }

    /// All operations of the load that ended, each with its event.
    pub fn operations(&self) -> impl DoubleEndedIterator<Item = (&Event, &load::Operation)> {
        self.events.iter().filter_map(|e| match &e.kind {
            EventKind::Load(load::LoadEvent::Operation(o)) => Some((e, o)),
            _ => None,
        })
    }

    /// All notifications that a stand-in received, accepted or refused.
    pub fn notifications(&self) -> impl DoubleEndedIterator<Item = (&Event, &alert::Notification)> {
        self.events.iter().filter_map(|e| match &e.kind {
            EventKind::Alert(alert::AlertEvent::Notification(n)) => Some((e, n)),
            _ => None,
        })
    }

    /// All events about faults, each with its entry.
    pub fn faults(&self) -> impl DoubleEndedIterator<Item = (&Event, &fault::FaultEvent)> {
        self.events.iter().filter_map(|e| match &e.kind {
            EventKind::Fault(f) => Some((e, f)),
            _ => None,
        })
    }

    /// All events about the run itself, each with its entry.
    pub fn run(&self) -> impl DoubleEndedIterator<Item = (&Event, &run::RunEvent)> {
        self.events.iter().filter_map(|e| match &e.kind {
            EventKind::Run(r) => Some((e, r)),
            _ => None,
        })
    }

    /// All events about services, each with its entry.
    pub fn stack(&self) -> impl DoubleEndedIterator<Item = (&Event, &stack::StackEvent)> {
        self.events.iter().filter_map(|e| match &e.kind {
            EventKind::Stack(s) => Some((e, s)),
            _ => None,
        })
    }

    /// The window of a drill, of its last attempt: from `DrillBegan` to `DrillEnded`; the end is
    /// missing if the run was cut short.
    pub fn drill_window(&self, drill: &str) -> Option<(At, Option<At>)> {
        let began = self
            .run()
            .filter(|(_, r)| matches!(r, run::RunEvent::DrillBegan { drill: d, .. } if d == drill));
        let begin = began.map(|(e, _)| e.at).max()?;
        let ended = self
            .run()
            .filter(|(_, r)| matches!(r, run::RunEvent::DrillEnded { drill: d, .. } if d == drill));
        Some((begin, ended.map(|(e, _)| e.at).filter(|at| *at >= begin).min()))
    }

    /// Whether the run reached its end: without it, absence of something proves nothing.
    pub fn is_complete(&self) -> bool {
        self.run().any(|(_, r)| matches!(r, run::RunEvent::Ended { complete: true, .. }))
    }
}
