//! The alert fires within its budget.

use super::silence;
use crate::cause::Cause;
use crate::check::Checker;
use crate::check::causes::Causes;
use crate::check::firing::{Firing, Onset, cut_short};
use crate::check::timeline::{Interval, Timeline};
use crate::check::wording::{labels, seconds};
use crate::history::History;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};

/// The alert fires within its budget after its faults were injected and bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertFires {
    /// Name of the alert, as its rule has it.
    pub alert: String,
    /// Id of the drill whose fault causes the alert.
    pub drill: String,
    /// Faults of the drill from which its times count.
    #[serde(default, skip_serializing_if = "Causes::is_any")]
    pub causes: Causes,
    /// Seconds of wall time from the last injection of its phase within which it must be firing.
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
        let struck = match timeline.struck(&self.drill, &self.causes) {
            Ok(struck) => struck,
            Err((why, seqs)) => return Verdict::unknown(id, expected, why).witnesses(seqs),
        };
        let firing = Firing::of(history);
        let (injected, until) = (struck.injected, struck.until);
        let window = Interval { from: struck.injection().from, to: until };
        let resolution = firing.resolution(&self.alert).unwrap_or(0.0);
        match firing.onset(&self.alert, struck.injection(), until, self.within_s) {
            Onset::Unrecorded(why) => Verdict::unknown(id, expected, why).witnesses([injected.seq]),
            Onset::AlreadyFiring(s) => Verdict::unknown(
                id,
                expected,
                format!(
                    "it was already firing when the fault was injected, since {} before, so that it proves nothing",
                    seconds(window.from - s.from)
                ),
            )
            .witnesses([injected.seq, s.seq]),
            Onset::Silent => {
                if let Some(why) = cut_short(&struck, self.within_s, resolution) {
                    return Verdict::unknown(id, expected, why).witnesses([injected.seq]);
                }
                silence::diagnose(&timeline, &firing, &self.alert, struck.drill, window)
                    .verdict(id, expected, injected)
            }
            Onset::Fired(s) => {
                let took = struck.after(s.from);
                let what =
                    format!("firing {} after the injection, {} allowed, {}", seconds(took), seconds(self.within_s), labels(&s.labels, &[]));
                if took <= self.within_s + resolution {
                    let seen = Interval { from: window.from, to: s.from };
                    let verdict = Verdict::pass(id, expected, what)
                        .evidence("evaluations from the injection until it fired", firing.evaluations(&self.alert, seen).max(1))
                        .witnesses([injected.seq, s.seq]);
                    return timeline.require_complete(verdict);
                }
                if let Some((why, seq)) = timeline.contended(Interval { from: window.from, to: s.from }) {
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
