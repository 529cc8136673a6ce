//! Each receiver has the alert within its budget.

use super::delivery::{self, Received};
use super::silence;
use crate::cause::Cause;
use crate::check::Checker;
use crate::check::causes::{Causes, Struck};
use crate::check::firing::{Firing, FiringInterval, Onset, cut_short};
use crate::check::timeline::{Interval, Timeline};
use crate::check::wording::{list, seconds};
use crate::history::History;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};

/// A notification of the alert, firing, was accepted by each receiver within the budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertReaches {
    /// Name of the alert, as its rule has it.
    pub alert: String,
    /// Id of the drill whose fault causes the alert.
    pub drill: String,
    /// Faults of the drill from which its times count.
    #[serde(default, skip_serializing_if = "Causes::is_any")]
    pub causes: Causes,
    /// Receivers that must accept it, as the declaration names the stand-ins.
    pub receivers: Vec<String>,
    /// Labels that the notified alert must carry, where the protocol shows labels.
    pub labels: std::collections::BTreeMap<String, String>,
    /// Seconds of wall time from the last injection of its phase within which each receiver must
    /// have it.
    pub within_s: f64,
}

/// The alert, firing in its drill.
struct Fired<'a, 'h> {
    timeline: &'a Timeline<'h>,
    firing: &'a Firing,
    struck: &'a Struck<'a, 'h>,
    stretch: FiringInterval,
}

impl Fired<'_, '_> {
    /// How long it took to fire, in words.
    fn after(&self) -> String {
        seconds(self.struck.after(self.stretch.from))
    }
}

impl Checker for AlertReaches {
    fn id(&self) -> String {
        format!("alert.{}.reaches", self.alert)
    }

    fn expected(&self) -> String {
        format!(
            "alert {} reaches {} within {} of the injection of drill {}",
            self.alert,
            list(&self.receivers, 8),
            seconds(self.within_s),
            self.drill
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        if self.receivers.is_empty() {
            return Verdict::unknown(id, expected, "no receiver is declared for it");
        }
        let struck = match timeline.struck(&self.drill, &self.causes) {
            Ok(struck) => struck,
            Err((why, seqs)) => return Verdict::unknown(id, expected, why).witnesses(seqs),
        };
        let firing = Firing::of(history);
        let (injected, until) = (struck.injected, struck.until);
        let start = struck.first.at.wall_s();
        let resolution = firing.resolution(&self.alert).unwrap_or(0.0);
        let stretch = match firing.onset(&self.alert, struck.injection(), until, self.within_s) {
            Onset::Unrecorded(why) => {
                return Verdict::unknown(id, expected, why).witnesses([injected.seq]);
            }
            Onset::AlreadyFiring(s) => {
                let why = format!(
                    "it was already firing {} before the fault was injected, so that a notification proves nothing",
                    seconds(start - s.from)
                );
                return Verdict::unknown(id, expected, why).witnesses([injected.seq, s.seq]);
            }
            Onset::Silent => {
                if let Some(why) = cut_short(&struck, self.within_s, resolution) {
                    return Verdict::unknown(id, expected, why).witnesses([injected.seq]);
                }
                let window = Interval { from: start, to: until };
                return silence::diagnose(&timeline, &firing, &self.alert, struck.drill, window)
                    .verdict(id, expected, injected);
            }
            Onset::Fired(s) => s,
        };
        // What arrived before it fired is about an earlier time.
        let news = Interval { from: start.max(stretch.from - resolution - 1e-3), to: until };
        let received: Vec<(&String, Received)> = self
            .receivers
            .iter()
            .map(|r| (r, delivery::received(history, &self.alert, &self.labels, r, news)))
            .collect();
        let fired = Fired { timeline: &timeline, firing: &firing, struck: &struck, stretch };
        match received.iter().find(|(_, r)| !matches!(r, Received::At(..))) {
            Some((first, _)) => self.not_arrived(&fired, &received, first),
            None => self.arrived(&fired, &received),
        }
    }
}

impl AlertReaches {
    /// The verdict where receivers don't have it, of which `first` is one.
    fn not_arrived(
        &self,
        fired: &Fired<'_, '_>,
        received: &[(&String, Received)],
        first: &str,
    ) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let (injected, stretch) = (fired.struck.injected, &fired.stretch);
        let nothing: Vec<&String> = received
            .iter()
            .filter(|(_, r)| matches!(r, Received::Nothing))
            .map(|(n, _)| *n)
            .collect();
        let other = received.iter().find_map(|(n, r)| match r {
            Received::OtherLabels(seq, differences) => Some((n, *seq, differences)),
            _ => None,
        });
        // Where one has it with other labels and another has nothing, the labels may have led
        // it away from there: that is a matter of the route, told below.
        if let Some((name, seq, differences)) = other.filter(|_| nothing.is_empty()) {
            let seen = format!(
                "{name} got a notification of {} with other labels: {differences}",
                self.alert
            );
            return Verdict::fail(id, expected, Cause::LabelsDiffer, seen)
                .stopped_at("labels differ")
                .hint("compare the labels of the rule, and the relabelling of alerts, with what the declaration states")
                .witnesses([injected.seq, stretch.seq, seq]);
        }
        if let Some(why) = cut_short(fired.struck, self.within_s, 0.0) {
            return Verdict::unknown(id, expected, why).witnesses([injected.seq]);
        }
        let mut diagnosis = delivery::undelivered(
            fired.timeline,
            fired.firing,
            &self.alert,
            nothing.first().map_or(first, |name| name),
            &self.receivers,
            stretch,
            Interval { from: fired.struck.first.at.wall_s(), to: fired.struck.until },
        );
        let other = other
            .map(|(n, _, differences)| format!("; {n} got it with other labels: {differences}"));
        diagnosis.seen = format!(
            "fired {} after the injection and did not arrive at {}: {}{}",
            fired.after(),
            list(&nothing, 8),
            diagnosis.seen,
            other.unwrap_or_default()
        );
        let verdict = diagnosis.verdict(id, expected, injected).witnesses([stretch.seq]);
        fired.timeline.unless_truncated(verdict)
    }

    /// The verdict where each receiver has it.
    fn arrived(&self, fired: &Fired<'_, '_>, received: &[(&String, Received)]) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let Fired { timeline, struck, stretch, .. } = fired;
        let times: Vec<(&String, f64, u64)> = received
            .iter()
            .filter_map(
                |(n, r)| if let Received::At(t, seq) = r { Some((*n, *t, *seq)) } else { None },
            )
            .collect();
        let each = list(
            times
                .iter()
                .map(|(n, t, _)| format!("{n} {}", seconds(struck.after(*t))))
                .collect::<Vec<_>>(),
            8,
        );
        let start = struck.first.at.wall_s();
        let last = times.iter().map(|(_, t, _)| *t).fold(start, f64::max);
        let what = format!(
            "fired {} after the injection; arrived after {each}; {} allowed",
            fired.after(),
            seconds(self.within_s)
        );
        let seqs: Vec<u64> = [struck.injected.seq, stretch.seq]
            .into_iter()
            .chain(times.iter().map(|(_, _, s)| *s))
            .collect();
        if struck.after(last) <= self.within_s {
            return timeline.require_complete(
                Verdict::pass(id, expected, what)
                    .evidence("receivers that accepted it", times.len() as u64)
                    .witnesses(seqs),
            );
        }
        if let Some((why, seq)) = timeline.contended(Interval { from: start, to: last }) {
            return Verdict::late_while_contended(id, expected, &what, &why)
                .witnesses(seqs)
                .witnesses([seq]);
        }
        let stage = if struck.after(stretch.from) > self.within_s {
            "fired too late"
        } else {
            "notified too late"
        };
        Verdict::fail(id, expected, Cause::TooLate, what)
            .stopped_at(stage)
            .witnesses(seqs)
            .hint("compare with the stages of the budget: `for`, the wait of the group, its interval if the group existed already, retries after a refusal")
    }
}
