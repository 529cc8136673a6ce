//! The alert stops firing after healing, and whoever was called is told so.

use super::Diagnosis;
use super::delivery::{accepted, of_name, received_s};
use crate::cause::Cause;
use crate::check::Checker;
use crate::check::causes::Causes;
use crate::check::firing::{Firing, FiringInterval, Onset};
use crate::check::timeline::{Interval, Moment, Timeline};
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

/// How the alert's firing in its drill ended, or went on; on the wall clock.
struct Ending {
    injected: Moment,
    healed: Moment,
    /// When it may have begun to fire.
    start: f64,
    heal: f64,
    /// By when it must be over, and notified.
    bound: f64,
    /// Until when the drill's events are its own.
    until: f64,
    resolution: f64,
    /// The stretch that ended last.
    last: FiringInterval,
    stretches: u64,
    /// Whether it was still firing when the record of it ends.
    open: bool,
}

impl Ending {
    fn witnesses(&self) -> [u64; 3] {
        [self.injected.seq, self.healed.seq, self.last.seq]
    }

    fn diagnosis(
        &self,
        cause: Cause,
        stage: &str,
        seen: String,
        hint: &str,
        more: Option<u64>,
    ) -> Diagnosis {
        Diagnosis {
            cause,
            stage: stage.into(),
            seen,
            hint: hint.into(),
            witnesses: [self.healed.seq, self.last.seq].into_iter().chain(more).collect(),
        }
    }
}

impl AlertResolves {
    /// How it ended; else why that can't be said, and the events that show that.
    fn ending(
        &self,
        timeline: &Timeline<'_>,
        firing: &Firing,
    ) -> Result<Ending, (String, Vec<u64>)> {
        let struck = timeline.struck(&self.drill, &self.causes)?;
        let injected = struck.injected;
        let Some(healed) = struck.ended else {
            return Err((format!("drill {} was never healed", self.drill), vec![injected.seq]));
        };
        if let Some((why, seq)) = struck.drill.still_there() {
            return Err((why, vec![seq]));
        }
        let (start, heal, until) = (struck.first.at.wall_s(), healed.at.wall_s(), struck.until);
        let resolution = firing.resolution(&self.alert).unwrap_or(0.0);
        match firing.onset(&self.alert, struck.injection(), until, struck.after(heal)) {
            Onset::Fired(_) => {}
            Onset::Unrecorded(why) => return Err((why, vec![injected.seq])),
            Onset::AlreadyFiring(_) | Onset::Silent => {
                let why = format!(
                    "it did not begin to fire in drill {}, so there is nothing to resolve",
                    self.drill
                );
                return Err((why, vec![injected.seq]));
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
            return Err(("its firing was not recorded".into(), vec![]));
        };
        let reach = firing.covered_from(start);
        let open = last.to + 1.5 * resolution >= reach;
        if open && reach + resolution < bound {
            let why = format!(
                "the record of ALERTS ends {} after healing, while it was firing",
                seconds(reach - heal)
            );
            return Err((why, vec![injected.seq, healed.seq, last.seq]));
        }
        Ok(Ending {
            injected,
            healed,
            start,
            heal,
            bound,
            until,
            resolution,
            last: last.clone(),
            stretches: stretches.len() as u64,
            open,
        })
    }

    /// Whether it went on firing for too long.
    fn outlasted(&self, ending: &Ending) -> Option<Diagnosis> {
        let lasted = ending.last.to - ending.heal;
        if ending.open {
            return Some(ending.diagnosis(
                Cause::NotResolved,
                "still firing",
                format!("still firing {} after healing, when the record of it ends", seconds(lasted)),
                "is the condition really over? query the rule's expression; a window of the rule may reach back to the fault",
                None,
            ));
        }
        (ending.last.to > ending.bound + ending.resolution).then(|| {
            ending.diagnosis(
                Cause::TooLate,
                "resolved too late",
                format!(
                    "last seen firing {} after healing, {} allowed",
                    seconds(lasted.max(0.0)),
                    seconds(self.within_s)
                ),
                "a window of the rule reaches back to the fault, or `keep_firing_for` holds it",
                None,
            )
        })
    }

    /// What each receiver was last told of it.
    fn last_words(
        &self,
        history: &History,
        firing: &Firing,
        ending: &Ending,
    ) -> Vec<(&String, LastWord)> {
        // What is told once it fires again is about that. The news of its end may come while the
        // next drill is under way.
        let next = firing
            .firing(&self.alert)
            .into_iter()
            .map(|s| s.from)
            .filter(|from| *from > ending.until)
            .fold(f64::INFINITY, f64::min);
        let window = Interval { from: ending.start, to: ending.until.max(ending.bound).min(next) };
        self.receivers
            .iter()
            .map(|receiver| (receiver, last_word(history, &self.alert, receiver, window)))
            .collect()
    }

    /// The verdict on a receiver that was not notified of the end in time.
    fn not_notified(
        &self,
        timeline: &Timeline<'_>,
        ending: &Ending,
        receiver: &str,
        word: &LastWord,
    ) -> Option<Verdict> {
        match *word {
            LastWord::Resolved(at, _) if at <= ending.bound => None,
            LastWord::Resolved(at, seq) => {
                let seen = format!(
                    "{receiver} was notified {} after healing, {} allowed",
                    seconds(at - ending.heal),
                    seconds(self.within_s)
                );
                let hint =
                    "compare `group_interval` and the manager's resolve time-out with the budget";
                let diagnosis =
                    ending.diagnosis(Cause::TooLate, "notified too late", seen, hint, Some(seq));
                Some(self.failed(timeline, ending, diagnosis))
            }
            LastWord::Firing(seq) => {
                let seen = format!(
                    "last seen firing {} after healing, and {receiver} was never notified",
                    seconds((ending.last.to - ending.heal).max(0.0))
                );
                let diagnosis = ending.diagnosis(
                    Cause::NotResolved,
                    "resolution not notified",
                    seen,
                    "is `send_resolved` on for this receiver?",
                    Some(seq),
                );
                Some(timeline.unless_truncated(self.failed(timeline, ending, diagnosis)))
            }
            LastWord::Nothing => {
                let why = format!(
                    "{receiver} was never notified that it fires, so that it can't be notified that it is over"
                );
                let verdict = Verdict::unknown(self.id(), self.expected(), why);
                Some(verdict.witnesses(ending.witnesses()))
            }
        }
    }

    fn failed(&self, timeline: &Timeline<'_>, ending: &Ending, diagnosis: Diagnosis) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let lasted = Interval { from: ending.heal, to: ending.bound.max(ending.last.to) };
        if diagnosis.cause == Cause::TooLate
            && let Some((why, seq)) = timeline.contended(lasted)
        {
            return Verdict::late_while_contended(id, expected, &diagnosis.seen, &why)
                .witnesses(ending.witnesses())
                .witnesses([seq]);
        }
        diagnosis.verdict(id, expected, ending.injected)
    }
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
        let firing = Firing::of(history);
        let ending = match self.ending(&timeline, &firing) {
            Ok(ending) => ending,
            Err((why, seqs)) => return Verdict::unknown(id, expected, why).witnesses(seqs),
        };
        if let Some(diagnosis) = self.outlasted(&ending) {
            return self.failed(&timeline, &ending, diagnosis);
        }
        let words = self.last_words(history, &firing, &ending);
        let mut told = Vec::new();
        let mut witnesses = Vec::new();
        for (receiver, word) in &words {
            if let Some(verdict) = self.not_notified(&timeline, &ending, receiver, word) {
                return verdict;
            }
            if let LastWord::Resolved(at, seq) = word {
                told.push(format!("{receiver} {}", seconds((at - ending.heal).max(0.0))));
                witnesses.push(*seq);
            }
        }
        let arrived = if told.is_empty() {
            String::new()
        } else {
            format!("; notified after {}", list(&told, 8))
        };
        let reason = format!(
            "last seen firing {} after healing{arrived}; {} allowed",
            seconds((ending.last.to - ending.heal).max(0.0)),
            seconds(self.within_s)
        );
        let verdict = Verdict::pass(id, expected, reason)
            .evidence("series that stopped firing", ending.stretches)
            .evidence("receivers that were notified", told.len() as u64)
            .witnesses(ending.witnesses())
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
