//! The alert fires within its budget.

use super::silence;
use crate::cause::Cause;
use crate::check::Checker;
use crate::check::firing::{Firing, Onset, cut_short, drill_until};
use crate::check::timeline::{Interval, Timeline};
use crate::check::wording::{labels, seconds};
use crate::history::History;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};

/// The alert fires within its budget after the fault bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertFires {
    /// Name of the alert, as its rule has it.
    pub alert: String,
    /// Id of the drill whose fault causes the alert.
    pub drill: String,
    /// Seconds of wall time from the injection within which it must be firing.
    pub within_s: f64,
    /// What the drill does, for the sentence of the verdict, for example `fault stop on postfix`.
    pub fault: String,
}

impl Checker for AlertFires {
    fn id(&self) -> String {
        format!("alert.{}.fires", self.alert)
    }

    fn expected(&self) -> String {
        format!("alert {} fires within {} of {}", self.alert, seconds(self.within_s), self.fault)
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        if let Some((why, seqs)) = timeline.vacuous(&self.drill) {
            return Verdict::unknown(id, expected, why).witnesses(seqs);
        }
        let Some((drill, injected)) =
            timeline.drill(&self.drill).and_then(|d| d.injected.map(|m| (d, m)))
        else {
            return Verdict::unknown(
                id,
                expected,
                format!("the fault of drill {} was never injected", self.drill),
            );
        };
        let firing = Firing::of(history);
        let (start, until) = (injected.at.wall_s(), drill_until(&timeline, drill));
        let resolution = firing.resolution(&self.alert).unwrap_or(0.0);
        match firing.onset(&self.alert, start, until, self.within_s) {
            Onset::Unrecorded(why) => Verdict::unknown(id, expected, why).witnesses([injected.seq]),
            Onset::AlreadyFiring(s) => Verdict::unknown(
                id,
                expected,
                format!(
                    "it was already firing when the fault was injected, since {} before, so that it proves nothing",
                    seconds(start - s.from)
                ),
            )
            .witnesses([injected.seq, s.seq]),
            Onset::Silent => {
                if let Some(why) = cut_short(drill, start, until, self.within_s, resolution) {
                    return Verdict::unknown(id, expected, why).witnesses([injected.seq]);
                }
                silence::diagnose(&timeline, &firing, &self.alert, drill, Interval { from: start, to: until })
                    .verdict(id, expected, injected)
            }
            Onset::Fired(s) => {
                let took = s.from - start;
                let what =
                    format!("firing {} after the injection, {} allowed, {}", seconds(took), seconds(self.within_s), labels(&s.labels, &[]));
                if took <= self.within_s + resolution {
                    let seen = Interval { from: start, to: s.from };
                    let verdict = Verdict::pass(id, expected, what)
                        .evidence("evaluations from the injection until it fired", firing.evaluations(&self.alert, seen).max(1))
                        .witnesses([injected.seq, s.seq]);
                    return timeline.require_complete(verdict);
                }
                if let Some((why, seq)) = timeline.contended(Interval { from: start, to: s.from }) {
                    return Verdict::late_while_contended(id, expected, &what, &why)
                        .witnesses([injected.seq, s.seq, seq]);
                }
                Verdict::fail(id, expected, Cause::TooLate, what).stopped_at("fired too late").witnesses([injected.seq, s.seq]).hint(
                    "compare the measured time with the stages of the budget: a slow scrape, a window that fills slowly, `for`, a group that is evaluated seldom",
                )
            }
        }
    }
}
