//! A drill is worth something only if its fault bit and left, and if the load kept its schedule.

use super::Checker;
use super::causes::FaultSpan;
use super::timeline::Timeline;
use super::wording::{count, list, number, percent, seconds};
use crate::history::EventKind;
use crate::history::load::LoadEvent;
use crate::{History, Verdict};
use serde::{Deserialize, Serialize};

/// Each fault of a drill was injected, seen to bite, healed, and seen to have left. Otherwise the
/// drill is Unknown, never a failure: it is the harness that did not do what it set out to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultBitAndLeft {
    /// Id of the drill whose faults they are.
    pub drill: String,
    /// Ids of its faults; without any, as in plans of versions that knew one fault a drill, those
    /// that the history tells of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
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
        match self.faults.as_slice() {
            [] | [_] => format!("the fault of drill {} bites, is healed, and leaves", self.drill),
            several => format!(
                "each fault of drill {} bites, is healed, and leaves: {}",
                self.drill,
                list(several, 8)
            ),
        }
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let Some(d) = timeline.drill(&self.drill) else {
            return Verdict::unknown(id, expected, format!("drill {} never began", self.drill));
        };
        let told = d.faults.iter().map(|f| f.id);
        let mut ids: Vec<&str> = self.faults.iter().map(String::as_str).collect();
        ids.extend(told.filter(|id| !self.faults.iter().any(|f| f == id)));
        if ids.is_empty() {
            return Verdict::unknown(id, expected, "it was never injected")
                .witnesses([d.began.seq]);
        }
        // A drill that has one fault need not name it.
        let named = |fault: &str, said: &str| match ids.len() {
            1 => format!("it {said}"),
            _ => format!("fault {fault} {said}"),
        };
        let (mut each, mut seqs) = (Vec::new(), Vec::new());
        for fault in &ids {
            let span = d.faults.iter().find(|f| f.id == *fault);
            let lived = match span {
                Some(span) => lived(span, d.began.seq),
                None => Err(("was never injected".to_owned(), vec![d.began.seq])),
            };
            match lived {
                Ok((said, more)) => {
                    each.push(if ids.len() == 1 { said } else { format!("{fault}: {said}") });
                    seqs.extend(more);
                }
                Err((said, seqs)) => {
                    return Verdict::unknown(id, expected, named(fault, &said)).witnesses(seqs);
                }
            }
        }
        timeline.require_complete(
            Verdict::pass(id, expected, each.join("; "))
                .evidence("observations of its effect and of its absence", 2 * ids.len() as u64)
                .witnesses(seqs),
        )
    }
}

/// How a fault went, and the events that show it; else what is missing, in words that follow its
/// name. `began` is the drill's beginning.
fn lived(f: &FaultSpan<'_>, began: u64) -> Result<(String, [u64; 4]), (String, Vec<u64>)> {
    if let Some((m, why)) = f.not_injected {
        return Err((format!("could not be injected: {why}"), vec![m.seq]));
    }
    let Some(injected) = f.injected else {
        return Err(("was never injected".into(), vec![began]));
    };
    if let Some((m, seen)) = f.did_not_bite {
        return Err((format!("did not bite: {seen}"), vec![injected.seq, m.seq]));
    }
    let Some(bit) = f.bit else {
        return Err(("was never seen to bite".into(), vec![injected.seq]));
    };
    let Some(healed) = f.healed else {
        return Err(("was never healed".into(), vec![injected.seq, bit.seq]));
    };
    if let Some((m, seen)) = f.did_not_leave {
        let said = format!("was still there after healing: {seen}");
        return Err((said, vec![healed.seq, m.seq]));
    }
    let seqs = vec![injected.seq, bit.seq, healed.seq];
    let Some(left) = f.left else {
        return Err(("was never seen to have left".into(), seqs));
    };
    if !(injected.at.mono_us <= bit.at.mono_us
        && bit.at.mono_us <= left.at.mono_us
        && healed.at.mono_us <= left.at.mono_us)
    {
        let said = "was recorded in an impossible order".to_owned();
        return Err((said, [seqs, vec![left.seq]].concat()));
    }
    let said = format!(
        "bit {} after the injection, healed after {}, gone {} later",
        seconds(bit.at.since(injected.at)),
        seconds(healed.at.since(injected.at)),
        seconds(left.at.since(healed.at))
    );
    Ok((said, [injected.seq, bit.seq, healed.seq, left.seq]))
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
