//! The alert stops firing after healing, and whoever was called is told so.

use super::delivery::{accepted, of_name, received_s};
use crate::cause::Cause;
use crate::check::Checker;
use crate::check::causes::Causes;
use crate::check::firing::{Firing, Onset};
use crate::check::timeline::{Interval, Timeline};
use crate::check::wording::{list, seconds};
use crate::history::History;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};

/// After healing the alert stops firing and each receiver that speaks of resolution gets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertResolves {
    /// Name of the alert, as its rule has it.
    pub alert: String,
    /// Id of the drill whose fault causes the alert.
    pub drill: String,
    /// Faults of the drill from which its times count.
    #[serde(default, skip_serializing_if = "Causes::is_any")]
    pub causes: Causes,
    /// Receivers that must be notified of the resolution, as the declaration names the stand-ins.
    pub receivers: Vec<String>,
    /// Seconds of wall time from the last healing of the phase that ends it within which it must
    /// stop firing and each receiver must know.
    pub within_s: f64,
}

/// What a receiver was last told within a window.
enum LastWord {
    Resolved(f64, u64),
    Firing(u64),
    Nothing,
}

impl Checker for AlertResolves {
    fn id(&self) -> String {
        format!("alert.{}.resolves", self.alert)
    }

    fn expected(&self) -> String {
        let told = if self.receivers.is_empty() {
            String::new()
        } else {
            format!(", and {} is notified", list(&self.receivers, 8))
        };
        format!(
            "alert {} resolves within {} of healing drill {}{told}",
            self.alert,
            seconds(self.within_s),
            self.drill
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let struck = match timeline.struck(&self.drill, &self.causes) {
            Ok(struck) => struck,
            Err((why, seqs)) => return Verdict::unknown(id, expected, why).witnesses(seqs),
        };
        let injected = struck.injected;
        let Some(healed) = struck.ended else {
            return Verdict::unknown(
                id,
                expected,
                format!("drill {} was never healed", self.drill),
            )
            .witnesses([injected.seq]);
        };
        if let Some((why, seq)) = struck.drill.still_there() {
            return Verdict::unknown(id, expected, why).witnesses([seq]);
        }
        let firing = Firing::of(history);
        let (start, heal, until) = (struck.first.at.wall_s(), healed.at.wall_s(), struck.until);
        let resolution = firing.resolution(&self.alert).unwrap_or(0.0);
        match firing.onset(&self.alert, struck.injection(), until, struck.after(heal)) {
            Onset::Fired(_) => {}
            Onset::Unrecorded(why) => {
                return Verdict::unknown(id, expected, why).witnesses([injected.seq]);
            }
            Onset::AlreadyFiring(_) | Onset::Silent => {
                let why = format!(
                    "it did not begin to fire in drill {}, so there is nothing to resolve",
                    self.drill
                );
                return Verdict::unknown(id, expected, why).witnesses([injected.seq]);
            }
        }
        let bound = heal + self.within_s;
        // A stretch that began after healing but within the drill is a relapse, and counts as well;
        // a later one is another drill's.
        let stretches: Vec<_> = firing
            .firing(&self.alert)
            .into_iter()
            .filter(|s| s.from >= start && s.from <= until)
            .collect();
        let Some(last) = stretches.iter().max_by(|a, b| a.to.total_cmp(&b.to)) else {
            return Verdict::unknown(id, expected, "its firing was not recorded");
        };
        let seqs = [injected.seq, healed.seq, last.seq];
        let reach = firing.covered_from(start);
        let open = last.to + 1.5 * resolution >= reach;
        if open && reach + resolution < bound {
            return Verdict::unknown(
                id,
                expected,
                format!(
                    "the record of ALERTS ends {} after healing, while it was firing",
                    seconds(reach - heal)
                ),
            )
            .witnesses(seqs);
        }
        let took = (last.to - heal).max(0.0);
        let late = |cause: Cause, stage: &str, what: String, hint: &str, more: Option<u64>| {
            let lasted = Interval { from: heal, to: bound.max(last.to) };
            if let Some((why, seq)) = timeline.contended(lasted).filter(|_| cause == Cause::TooLate)
            {
                return Verdict::late_while_contended(self.id(), self.expected(), &what, &why)
                    .witnesses(seqs)
                    .witnesses([seq]);
            }
            Verdict::fail(self.id(), self.expected(), cause, what)
                .stopped_at(stage)
                .hint(hint)
                .witnesses(seqs)
                .witnesses(more)
        };
        if open {
            let what = format!(
                "still firing {} after healing, when the record of it ends",
                seconds(last.to - heal)
            );
            return late(
                Cause::NotResolved,
                "still firing",
                what,
                "is the condition really over? query the rule's expression; a window of the rule may reach back to the fault",
                None,
            );
        }
        if last.to > bound + resolution {
            let what = format!(
                "last seen firing {} after healing, {} allowed",
                seconds(took),
                seconds(self.within_s)
            );
            return late(
                Cause::TooLate,
                "resolved too late",
                what,
                "a window of the rule reaches back to the fault, or `keep_firing_for` holds it",
                None,
            );
        }
        let mut told = Vec::new();
        let mut witnesses = Vec::new();
        // What is told once it fires again is about that. The news of its end may come while the
        // next drill is under way.
        let next = firing
            .firing(&self.alert)
            .into_iter()
            .map(|s| s.from)
            .filter(|from| *from > until)
            .fold(f64::INFINITY, f64::min);
        for receiver in &self.receivers {
            match last_word(
                history,
                &self.alert,
                receiver,
                Interval { from: start, to: until.max(bound).min(next) },
            ) {
                LastWord::Resolved(at, seq) if at <= bound => {
                    told.push(format!("{receiver} {}", seconds((at - heal).max(0.0))));
                    witnesses.push(seq);
                }
                LastWord::Resolved(at, seq) => {
                    let what = format!(
                        "{receiver} was notified {} after healing, {} allowed",
                        seconds(at - heal),
                        seconds(self.within_s)
                    );
                    return late(
                        Cause::TooLate,
                        "notified too late",
                        what,
                        "compare `group_interval` and the manager's resolve time-out with the budget",
                        Some(seq),
                    );
                }
                LastWord::Firing(seq) => {
                    let what = format!(
                        "last seen firing {} after healing, and {receiver} was never notified",
                        seconds(took)
                    );
                    return timeline.unless_truncated(late(
                        Cause::NotResolved,
                        "resolution not notified",
                        what,
                        "is `send_resolved` on for this receiver?",
                        Some(seq),
                    ));
                }
                LastWord::Nothing => {
                    let why = format!(
                        "{receiver} was never notified that it fires, so that it can't be notified that it is over"
                    );
                    return Verdict::unknown(id, expected, why).witnesses(seqs);
                }
            }
        }
        let arrived = if told.is_empty() {
            String::new()
        } else {
            format!("; notified after {}", list(&told, 8))
        };
        let reason = format!(
            "last seen firing {} after healing{arrived}; {} allowed",
            seconds(took),
            seconds(self.within_s)
        );
        let verdict = Verdict::pass(id, expected, reason)
            .evidence("series that stopped firing", stretches.len() as u64)
            .evidence("receivers that were notified", told.len() as u64)
            .witnesses(seqs)
            .witnesses(witnesses);
        timeline.require_complete(verdict)
    }
}

fn last_word(history: &History, alert: &str, receiver: &str, window: Interval) -> LastWord {
    let mut told: Vec<(f64, u64, bool)> = Vec::new();
    for (e, n) in history.notifications() {
        if !accepted(n)
            || n.receiver.as_deref() != Some(receiver)
            || !(window.from..=window.to).contains(&received_s(n))
        {
            continue;
        }
        let states: Vec<bool> = of_name(n, alert).map(|a| a.resolved).collect();
        if !states.is_empty() {
            told.push((received_s(n), e.seq, states.iter().all(|resolved| *resolved)));
        }
    }
    told.sort_by(|a, b| a.0.total_cmp(&b.0));
    // The first of the resolutions at the end counts: an alert manager may repeat itself.
    let after = told.iter().rposition(|(_, _, resolved)| !resolved).map_or(0, |i| i + 1);
    match (told.get(after), told.last()) {
        (Some((at, seq, _)), _) => LastWord::Resolved(*at, *seq),
        (None, Some((_, seq, _))) => LastWord::Firing(*seq),
        (None, None) => LastWord::Nothing,
    }
}
