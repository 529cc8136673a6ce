//! A drill is worth something only if its fault bit and left, and if the load kept its schedule.

use super::Checker;
use super::timeline::Timeline;
use super::wording::{count, list, number, percent, seconds};
use crate::history::EventKind;
use crate::history::load::LoadEvent;
use crate::{History, Verdict};
use serde::{Deserialize, Serialize};

/// The fault of a drill was injected, seen to bite, healed, and seen to have left. Otherwise the
/// drill is Unknown, never a failure: it is the harness that did not do what it set out to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultBitAndLeft {
    /// Id of the drill whose fault it is.
    pub drill: String,
}

/// The load generator kept its schedule: missed starts and slip below their limits. Otherwise
/// Unknown, never a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadKeptSchedule {
    /// Name of the load: `background` for the run's own, or a drill's id.
    pub stream: String,
    /// Largest share of arrivals that may be missed, between 0 and 1.
    pub missed_share: f64,
    /// Largest 99th percentile of the slip (start minus due time), in milliseconds.
    pub slip_p99_ms: f64,
}

impl Checker for FaultBitAndLeft {
    fn id(&self) -> String {
        format!("drill.{}.fault", self.drill)
    }

    fn expected(&self) -> String {
        format!("the fault of drill {} bites, is healed, and leaves", self.drill)
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let Some(d) = timeline.drill(&self.drill) else {
            return Verdict::unknown(id, expected, format!("drill {} never began", self.drill));
        };
        let unknown = |why: String, seqs: Vec<u64>| {
            Verdict::unknown(self.id(), self.expected(), why).witnesses(seqs)
        };
        if let Some((m, why)) = d.not_injected {
            return unknown(format!("it could not be injected: {why}"), vec![m.seq]);
        }
        let Some(injected) = d.injected else {
            return unknown("it was never injected".into(), vec![d.began.seq]);
        };
        if let Some((m, seen)) = d.did_not_bite {
            return unknown(format!("it did not bite: {seen}"), vec![injected.seq, m.seq]);
        }
        let Some(bit) = d.bit else {
            return unknown("it was never seen to bite".into(), vec![injected.seq]);
        };
        let Some(healed) = d.healed else {
            return unknown("it was never healed".into(), vec![injected.seq, bit.seq]);
        };
        if let Some((m, seen)) = d.did_not_leave {
            return unknown(
                format!("it was still there after healing: {seen}"),
                vec![healed.seq, m.seq],
            );
        }
        let Some(left) = d.left else {
            return unknown(
                "it was never seen to have left".into(),
                vec![injected.seq, bit.seq, healed.seq],
            );
        };
        if !(injected.at.mono_us <= bit.at.mono_us
            && bit.at.mono_us <= left.at.mono_us
            && healed.at.mono_us <= left.at.mono_us)
        {
            return unknown(
                "it was recorded in an impossible order".into(),
                vec![injected.seq, bit.seq, healed.seq, left.seq],
            );
        }
        let reason = format!(
            "bit {} after the injection, healed after {}, gone {} later",
            seconds(bit.at.since(injected.at)),
            seconds(healed.at.since(injected.at)),
            seconds(left.at.since(healed.at))
        );
        timeline.require_complete(
            Verdict::pass(id, expected, reason)
                .evidence("observations of its effect and of its absence", 2)
                .witnesses([injected.seq, bit.seq, healed.seq, left.seq]),
        )
    }
}

impl Checker for LoadKeptSchedule {
    fn id(&self) -> String {
        format!("load.{}.schedule", self.stream)
    }

    fn expected(&self) -> String {
        format!(
            "load {} misses at most {} of its starts and slips by at most {} ms at the 99th percentile",
            self.stream,
            percent(self.missed_share),
            number(self.slip_p99_ms)
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let (mut operations, mut missed, mut slip, mut seqs, mut wrong) =
            (0, 0, 0.0f64, Vec::new(), Vec::new());
        for e in &history.events {
            let EventKind::Load(LoadEvent::Ended { stream, summary }) = &e.kind else { continue };
            if *stream != self.stream {
                continue;
            }
            seqs.push(e.seq);
            operations += summary.operations;
            missed += summary.missed_starts;
            slip = slip.max(summary.slip_p99_ms);
            wrong.extend(summary.invalid.clone());
        }
        if seqs.is_empty() {
            return Verdict::unknown(
                id,
                expected,
                format!("load {} never ended, or never ran", self.stream),
            );
        }
        if operations == 0 {
            return Verdict::unknown(id, expected, "it did nothing").witnesses(seqs);
        }
        let share = missed as f64 / (operations + missed) as f64;
        if share > self.missed_share {
            wrong.push(format!(
                "{} missed, {} of all",
                count(missed, "start was", "starts were"),
                percent(share)
            ));
        }
        if slip > self.slip_p99_ms {
            wrong.push(format!(
                "starts slipped by {} ms at the 99th percentile",
                number((slip * 10.0).round() / 10.0)
            ));
        }
        if !wrong.is_empty() {
            return Verdict::unknown(id, expected, list(&wrong, 5)).witnesses(seqs);
        }
        let reason = format!(
            "{operations} operations, {} missed, slip {} ms at the 99th percentile",
            count(missed, "start", "starts"),
            number((slip * 10.0).round() / 10.0)
        );
        timeline.require_complete(
            Verdict::pass(id, expected, reason).evidence("operations", operations).witnesses(seqs),
        )
    }
}
