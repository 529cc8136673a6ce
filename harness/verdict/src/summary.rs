//! Tables that a report shows, read from a history and its verdicts. Pure, and part of judging: a
//! report computes nothing.

mod alerts;
mod compared;
pub mod coverage;
mod curves;
mod glance;
mod ledger;
mod measures;
mod outline;
mod timeline;
mod told;

pub use alerts::{AboutAlert, AlertRow, Proved, ProvedBy, alerts, slowest_stage};
pub use compared::{ComparedRow, compared};
pub use coverage::{Coverage, Routing};
pub use curves::{Curve, Curves, curves};
pub use glance::{Headline, glance};
pub use ledger::{LedgerRow, LedgerSource, ledger, sinks_seen};
pub use measures::{Measured, all_measured, measures, samples_name, window};
pub use outline::{FailureGroup, Outline, Section, VerdictGroup, order, outline};
pub use timeline::{AlertLane, Bin, FiringInterval, Mark, Receiver, State, Timeline, timeline};
pub use told::{Place, ReportedVerdict, Waiver, skip, tell, waive};

use crate::history::fault::{FaultEvent, ONLY_FAULT, is_only_fault, only_fault};
use crate::history::load::{LoadEvent, LoadSummary};
pub use crate::history::run::{Deviation, DeviationKind};
use crate::history::run::{Phase, RunEvent};
use crate::{At, EventKind, History, Status};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A fault of a run, from its injection to its healing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultRow {
    /// Id of the drill that it belongs to.
    pub drill: String,
    /// Id of the fault within its drill; absent where the drill has one that is not named.
    #[serde(default = "only_fault", skip_serializing_if = "is_only_fault")]
    pub fault: String,
    /// Kind of the fault, for example `stop`.
    pub kind: String,
    /// What it is aimed at: the name of a service, or those of its instances.
    pub target: String,
    /// How it was injected, for example `engine`.
    pub mechanism: String,
    /// When it was injected, in seconds since the run began.
    pub injected_at: f64,
    /// When its effect was first seen, in seconds since the run began; null if it was not.
    pub bit_at: Option<f64>,
    /// When it was healed, in seconds since the run began; null if it was not.
    pub healed_at: Option<f64>,
}

impl FaultRow {
    /// Its drill's name, with its own where it has one.
    pub fn name(&self) -> String {
        match self.fault.as_str() {
            ONLY_FAULT => self.drill.clone(),
            fault => format!("{}: {fault}", self.drill),
        }
    }

    fn is_of(&self, event: &FaultEvent) -> bool {
        (self.drill.as_str(), self.fault.as_str()) == (event.drill(), event.fault())
    }
}

/// How long the parts of a run took; null for what did not take place.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Timings {
    /// Seconds that images took to be obtained.
    pub images_s: Option<f64>,
    /// Seconds from the creation of containers until all were ready.
    pub up_s: Option<f64>,
    /// Seconds from the wait for the steady state to the end of load and drills.
    pub drive_s: Option<f64>,
    /// Seconds that draining took, and reading what judging needs.
    pub capture_s: Option<f64>,
    /// Seconds that the removal of the stack took.
    pub down_s: Option<f64>,
}

/// How many verdicts have which status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Number of verdicts that passed.
    pub passed: u64,
    /// Number of verdicts that failed.
    pub failed: u64,
    /// Number of verdicts that could not be judged.
    pub unknown: u64,
    /// Number of verdicts that were left out.
    pub skipped: u64,
    /// Number of failures that are accepted for now.
    pub waived: u64,
}

impl Summary {
    /// Counts verdicts by their status.
    pub fn of(statuses: impl IntoIterator<Item = Status>) -> Summary {
        let mut summary = Summary::default();
        for status in statuses {
            *match status {
                Status::Pass => &mut summary.passed,
                Status::Fail => &mut summary.failed,
                Status::Unknown => &mut summary.unknown,
                Status::Skipped => &mut summary.skipped,
                Status::Waived => &mut summary.waived,
            } += 1;
        }
        summary
    }

    /// What the run comes to: the worst wins, and a run in which nothing passed is Unknown.
    pub fn outcome(self) -> Status {
        match self {
            Summary { failed: 1.., .. } => Status::Fail,
            Summary { unknown: 1.., .. } | Summary { passed: 0, .. } => Status::Unknown,
            _ => Status::Pass,
        }
    }
}

/// The faults of a run that were injected, in the order of their injection.
pub fn faults(history: &History) -> Vec<FaultRow> {
    let mut rows: Vec<FaultRow> = Vec::new();
    let seconds = |at: At| at.mono_us as f64 / 1e6;
    for (event, fault) in history.faults() {
        if let FaultEvent::Injected { drill, fault, kind, target, mechanism, .. } = fault {
            rows.push(FaultRow {
                drill: drill.clone(),
                fault: fault.clone(),
                kind: kind.clone(),
                target: target.clone(),
                mechanism: mechanism.clone(),
                injected_at: seconds(event.at),
                bit_at: None,
                healed_at: None,
            });
        } else if let Some(row) = rows.iter_mut().rev().find(|r| r.is_of(fault)) {
            match fault {
                FaultEvent::Bit { .. } => row.bit_at = row.bit_at.or(Some(seconds(event.at))),
                FaultEvent::Healed { .. } => row.healed_at = Some(seconds(event.at)),
                _ => {}
            }
        }
    }
    rows
}

/// The background load's own account.
pub fn load(history: &History, stream: &str) -> Option<LoadSummary> {
    history.events.iter().rev().find_map(|e| match &e.kind {
        EventKind::Load(LoadEvent::Ended { stream: s, summary }) if s == stream => {
            Some(LoadSummary::clone(summary))
        }
        _ => None,
    })
}

/// How long each part of a run took.
pub fn timings(history: &History) -> Timings {
    let edge = |phase: Phase, begin: bool| {
        history.run().find_map(|(e, r)| match r {
            RunEvent::PhaseBegan { phase: p } if begin && *p == phase => Some(e.at),
            RunEvent::PhaseEnded { phase: p } if !begin && *p == phase => Some(e.at),
            _ => None,
        })
    };
    let between = |first: Phase, last: Phase| Some(edge(last, false)?.since(edge(first, true)?));
    Timings {
        images_s: between(Phase::Images, Phase::Images),
        up_s: between(Phase::Up, Phase::Up),
        drive_s: between(Phase::Steady, Phase::Drive),
        capture_s: between(Phase::Drain, Phase::Capture),
        down_s: between(Phase::Down, Phase::Down),
    }
}

/// Seconds from the run's beginning to its last event.
pub fn duration_s(history: &History) -> f64 {
    history.events.last().map_or(0.0, |e| e.at.mono_us as f64 / 1e6)
}

/// All deviations, each once, those of a kind together: those that were recorded, and drills that
/// were run more than once.
pub fn deviations(history: &History) -> Vec<Deviation> {
    let mut seen = BTreeSet::new();
    let recorded = history.run().filter_map(|(_, r)| match r {
        RunEvent::Deviation(deviation) => Some(deviation.clone()),
        RunEvent::DrillAgain { drill, why } => Some(run_again(history, drill, why)),
        RunEvent::Overridden { drill, alert, before, after, why } => Some(Deviation {
            kind: DeviationKind::Overridden,
            what: format!("during drill {drill} alert {alert} is `{after}` instead of `{before}`"),
            why: why.clone(),
        }),
        _ => None,
    });
    let mut all: Vec<Deviation> = recorded.filter(|d| seen.insert(d.clone())).collect();
    all.sort_by_key(|d| d.kind);
    all
}

fn run_again(history: &History, drill: &str, why: &str) -> Deviation {
    let began = history
        .run()
        .filter(|(_, r)| matches!(r, RunEvent::DrillBegan { drill: d, .. } if d == drill));
    let at: Vec<String> =
        began.map(|(e, _)| format!("{:.0} s", e.at.mono_us as f64 / 1e6)).collect();
    let times = if at.len() == 2 { "twice".to_owned() } else { format!("{} times", at.len()) };
    Deviation::new(
        DeviationKind::RunAgain,
        format!("drill {drill} was run {times}, {} into the run", at.join(" and ")),
        why,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;
    use crate::history::load::{Operation, Outcome};

    /// A history of these events, a second apart.
    pub(super) fn history(kinds: impl IntoIterator<Item = EventKind>) -> History {
        let at = |i: usize| At {
            mono_us: i as i64 * 1_000_000,
            wall_us: 1_770_000_000_000_000 + i as i64 * 1_000_000,
        };
        History::new(
            kinds
                .into_iter()
                .enumerate()
                .map(|(i, kind)| Event { seq: i as u64, at: at(i), kind })
                .collect(),
        )
    }

    /// An acknowledged operation of step `send/send`.
    pub(super) fn operation(id: &str, due: At, started: At, ended: At) -> EventKind {
        EventKind::Load(LoadEvent::Operation(Operation {
            id: id.into(),
            journey: "send".into(),
            step: "send".into(),
            user: "u".into(),
            due,
            started,
            ended,
            outcome: Outcome::Acknowledged,
            refusal_expected: false,
            as_expected: true,
            status: Some(202),
            error: None,
        }))
    }

    fn run(event: RunEvent) -> EventKind {
        EventKind::Run(event)
    }

    #[test]
    fn the_worst_wins_and_nothing_passed_is_unknown() {
        let outcome = |s: &[Status]| Summary::of(s.iter().copied()).outcome();
        assert_eq!(outcome(&[]), Status::Unknown);
        assert_eq!(outcome(&[Status::Skipped, Status::Waived]), Status::Unknown);
        assert_eq!(outcome(&[Status::Pass, Status::Skipped, Status::Waived]), Status::Pass);
        assert_eq!(outcome(&[Status::Pass, Status::Unknown]), Status::Unknown);
        assert_eq!(outcome(&[Status::Unknown, Status::Fail, Status::Pass]), Status::Fail);
    }

    #[test]
    fn a_phase_takes_from_its_beginning_to_its_end_and_is_null_if_it_has_none() {
        let phases = [
            (Phase::Images, true),
            (Phase::Images, false),
            (Phase::Steady, true),
            (Phase::Steady, false),
            (Phase::Drive, true),
            (Phase::Drive, false),
            (Phase::Down, true),
        ];
        let events = phases.map(|(phase, begin)| {
            run(if begin { RunEvent::PhaseBegan { phase } } else { RunEvent::PhaseEnded { phase } })
        });
        let timings = timings(&history(events));
        assert_eq!(
            (timings.images_s, timings.drive_s, timings.down_s),
            (Some(1.0), Some(3.0), None)
        );
    }

    #[test]
    fn deviations_are_told_once_and_by_kind() {
        use DeviationKind::{Absent, Image, NotScaled, System};
        let of =
            |kind, what: &str| run(RunEvent::Deviation(Deviation::new(kind, what, "so it is")));
        let events = [
            of(NotScaled, "x 15m"),
            of(System, "a"),
            of(System, "a"),
            of(Image, "no renderer"),
            of(Absent, "kibana"),
        ];
        let told: Vec<(DeviationKind, String)> =
            deviations(&history(events)).into_iter().map(|d| (d.kind, d.what)).collect();
        let wanted =
            [(System, "a"), (Absent, "kibana"), (Image, "no renderer"), (NotScaled, "x 15m")];
        assert_eq!(told, wanted.map(|(k, w)| (k, w.to_owned())));
    }
}
