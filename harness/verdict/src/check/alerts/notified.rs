//! What people are told in the course of time: not again while nothing has changed, again where it
//! must be repeated, and never that it is over while it is not. Read from what the stand-ins
//! accepted, whatever the metrics server says: it may be what is broken.

use super::delivery::{accepted, of_name, received_s};
use crate::cause::Cause;
use crate::check::Checker;
use crate::check::causes::{Causes, Struck};
use crate::check::firing::ALERT_NAME;
use crate::check::timeline::{Interval, Timeline};
use crate::check::wording::{count, list, seconds};
use crate::history::History;
use crate::history::run::{Phase, RunEvent};
use crate::observation::Fact;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};

/// From the injection to healing each receiver is told of the alert once, and no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotifiedOnce {
    /// Name of the alert, as its rule has it.
    pub alert: String,
    /// Id of the drill that causes it; it must be shorter than the interval at which notifications
    /// are repeated.
    pub drill: String,
    /// Faults of the drill from which its times count.
    #[serde(default, skip_serializing_if = "Causes::is_any")]
    pub causes: Causes,
    /// Receivers that are notified, as the declaration names the stand-ins.
    pub receivers: Vec<String>,
}

/// Notifications of the alert keep coming: one that must be repeated, or a dead man's switch, whose
/// silence says that alerting is dead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotifiedRepeatedly {
    /// Name of the alert, as its rule has it.
    pub alert: String,
    /// Drill that causes it, from whose first notification to healing they must keep coming;
    /// without one, over the whole drive.
    pub drill: Option<String>,
    /// Faults of the drill from which its times count.
    #[serde(default, skip_serializing_if = "Causes::is_any")]
    pub causes: Causes,
    /// Receivers that are notified, as the declaration names the stand-ins.
    pub receivers: Vec<String>,
    /// Longest time between two accepted notifications, in seconds of wall time.
    pub every_s: f64,
}

/// Nobody is told that the alert is over while the fault that causes it is still there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotifiedUntilOver {
    /// Name of the alert, as its rule has it.
    pub alert: String,
    /// Id of the drill whose fault causes the alert.
    pub drill: String,
    /// Faults of the drill from which its times count.
    #[serde(default, skip_serializing_if = "Causes::is_any")]
    pub causes: Causes,
    /// Receivers that must not be notified of an end, as the declaration names the stand-ins.
    pub receivers: Vec<String>,
}

/// What a receiver was told of an alert: wall-clock seconds, event, and whether it said that it is
/// over.
fn told(history: &History, alert: &str, receiver: &str, window: Interval) -> Vec<(f64, u64, bool)> {
    let mut told = Vec::new();
    for (e, n) in history
        .notifications()
        .filter(|(_, n)| accepted(n) && n.receiver.as_deref() == Some(receiver))
    {
        let states: Vec<bool> = of_name(n, alert).map(|a| a.resolved).collect();
        if !states.is_empty() && (window.from..=window.to).contains(&received_s(n)) {
            told.push((received_s(n), e.seq, states.iter().all(|resolved| *resolved)));
        }
    }
    told.sort_by(|a, b| a.0.total_cmp(&b.0));
    told
}

/// The time from the first injection of an alert's phase until the first of its faults was healed.
pub(super) fn window(struck: &Struck<'_, '_>) -> Interval {
    let to = struck.healed.map_or(struck.until, |m| m.at.wall_s());
    Interval { from: struck.first.at.wall_s(), to }
}

impl Checker for NotifiedOnce {
    fn id(&self) -> String {
        format!("notified.{}.once", self.alert)
    }

    fn expected(&self) -> String {
        format!(
            "{} notified of {} once in drill {}",
            list(&self.receivers, 8) + " is",
            self.alert,
            self.drill
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let (injected, window) = match timeline.struck(&self.drill, &self.causes) {
            Ok(struck) => (struck.injected, window(&struck)),
            Err((why, seqs)) => return Verdict::unknown(id, expected, why).witnesses(seqs),
        };
        let mut witnesses = vec![injected.seq];
        for receiver in &self.receivers {
            let firing: Vec<_> = told(history, &self.alert, receiver, window)
                .into_iter()
                .filter(|(_, _, over)| !over)
                .collect();
            match firing.as_slice() {
                [] => {
                    return Verdict::unknown(
                        id,
                        expected,
                        format!("{receiver} was never notified of it"),
                    )
                    .witnesses(witnesses);
                }
                [(_, seq, _)] => witnesses.push(*seq),
                more => {
                    let times: Vec<String> =
                        more.iter().map(|(at, ..)| seconds(at - window.from)).collect();
                    let seen = format!(
                        "{receiver} was notified {} times, {} after the injection",
                        more.len(),
                        list(&times, 8)
                    );
                    return Verdict::fail(id, expected, Cause::NotifiedTwice, seen)
                        .witnesses(witnesses)
                        .witnesses(more.iter().map(|(_, seq, _)| *seq))
                        .hint("does it flap, is it in two groups, does a second route with `continue` lead to the same receiver, or has the alert manager lost its notification log?");
                }
            }
        }
        let reason = format!(
            "{} once each in {}",
            list(&self.receivers, 8),
            seconds(window.to - window.from)
        );
        timeline.require_complete(
            Verdict::pass(id, expected, reason)
                .evidence("receivers notified once", self.receivers.len() as u64)
                .witnesses(witnesses),
        )
    }
}

impl NotifiedRepeatedly {
    /// The time in which nothing may be missing for a receiver; why it can't be told else.
    fn window(&self, timeline: &Timeline<'_>, receiver: &str) -> Result<Interval, String> {
        match &self.drill {
            Some(drill) => {
                let struck = timeline.struck(drill, &self.causes).map_err(|(why, _)| why)?;
                let window = window(&struck);
                let first = told(timeline.history, &self.alert, receiver, window)
                    .into_iter()
                    .find(|(_, _, over)| !over);
                first
                    .map(|(at, ..)| Interval { from: at, ..window })
                    .ok_or_else(|| format!("{receiver} was never notified of it"))
            }
            None => {
                let at = |wanted: fn(&RunEvent) -> bool| {
                    timeline
                        .history
                        .run()
                        .filter(move |(_, r)| wanted(r))
                        .map(|(e, _)| e.at.wall_s())
                };
                let from =
                    at(|r| matches!(r, RunEvent::Steady { held: true, .. })).min_by(f64::total_cmp);
                let over = |r: &RunEvent| {
                    matches!(
                        r,
                        RunEvent::PhaseEnded { phase: Phase::Drive }
                            | RunEvent::PhaseBegan { phase: Phase::Capture }
                    )
                };
                let to = at(over).min_by(f64::total_cmp);
                let (from, to) = from
                    .zip(to)
                    .ok_or("no steady state was seen to hold, or the drive never ended")?;
                Ok(Interval { from, to })
            }
        }
    }

    /// What kept the alert from being told in a time: what silenced it last, else what the alert
    /// manager's last answer shows. One that was restarted after that has it for a moment not at
    /// all.
    fn kept_by(&self, history: &History, gap: Interval) -> Option<(String, u64)> {
        let (mut silenced, mut last) = (None, None);
        for (e, o) in history.observations() {
            let Fact::ManagedAlerts { alerts } = &o.fact else { continue };
            if !(gap.from..=gap.to).contains(&o.asked.wall_s()) {
                continue;
            }
            let (why, for_good) = match alerts
                .iter()
                .find(|a| a.labels.get(ALERT_NAME).is_some_and(|n| *n == self.alert))
            {
                None => (Some(format!("{} did not have it then", o.source)), false),
                Some(a) if !a.inhibited_by.is_empty() => {
                    (Some(format!("inhibited by {}", list(&a.inhibited_by, 5))), true)
                }
                Some(a) if !a.silenced_by.is_empty() => {
                    (Some(format!("silenced by silence {}", list(&a.silenced_by, 5))), true)
                }
                Some(a) if !a.muted_by.is_empty() => {
                    (Some(format!("muted by {}", list(&a.muted_by, 5))), true)
                }
                Some(_) => (None, false),
            };
            let seen = (o.answered.mono_us, e.seq, why);
            let latest: &mut Option<(i64, u64, Option<String>)> =
                if for_good { &mut silenced } else { &mut last };
            if latest.as_ref().is_none_or(|(at, ..)| *at <= seen.0) {
                *latest = Some(seen);
            }
        }
        let (_, seq, why) = silenced.or(last)?;
        Some((why?, seq))
    }
}

impl Checker for NotifiedRepeatedly {
    fn id(&self) -> String {
        format!("notified.{}.repeated", self.alert)
    }

    fn expected(&self) -> String {
        let when = self
            .drill
            .as_ref()
            .map_or_else(|| "throughout".to_owned(), |d| format!("while drill {d} lasts"));
        format!(
            "{} notified of {} at least every {} {when}",
            list(&self.receivers, 8) + " is",
            self.alert,
            seconds(self.every_s)
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let (mut arrived, mut longest, mut witnesses) = (0, 0.0f64, Vec::new());
        for receiver in &self.receivers {
            let window = match self.window(&timeline, receiver) {
                Ok(window) => window,
                Err(why) => return Verdict::unknown(id, expected, why),
            };
            if window.to - window.from < 2.0 * self.every_s {
                let why = format!(
                    "{} are too short to see anything repeated every {}",
                    seconds(window.to - window.from),
                    seconds(self.every_s)
                );
                return Verdict::unknown(id, expected, why);
            }
            let all = told(history, &self.alert, receiver, window);
            let firing: Vec<(f64, u64)> = all
                .into_iter()
                .filter(|(_, _, over)| !over)
                .map(|(at, seq, _)| (at, seq))
                .collect();
            let edges: Vec<f64> = [window.from]
                .into_iter()
                .chain(firing.iter().map(|(at, _)| *at))
                .chain([window.to])
                .collect();
            for (from, to) in edges.iter().zip(edges.iter().skip(1)).map(|(a, b)| (*a, *b)) {
                if to - from <= self.every_s {
                    longest = longest.max(to - from);
                    continue;
                }
                let gap = Interval { from, to };
                let seen = format!(
                    "{receiver} was sent nothing for {}, from {} into the run",
                    seconds(to - from),
                    seconds(timeline.since_start(from))
                );
                if let Some((why, seq)) = timeline.contended(gap) {
                    return Verdict::unknown(
                        id,
                        expected,
                        format!("late while the host was contended: {seen}; {why}"),
                    )
                    .witnesses([seq]);
                }
                let kept = self.kept_by(history, gap);
                let stage = kept.as_ref().map_or("not repeated".to_owned(), |(why, _)| why.clone());
                let seqs =
                    firing.iter().filter(|(at, _)| *at <= from).map(|(_, seq)| *seq).next_back();
                let verdict = Verdict::fail(id, expected, Cause::NotRepeated, format!("{seen}: {stage}"))
                    .stopped_at(stage)
                    .witnesses(seqs.into_iter().chain(kept.map(|(_, seq)| seq)))
                    .hint("compare `repeat_interval` and `group_interval` of its route; a switch that falls silent means that nobody is notified of anything else either");
                return timeline.unless_truncated(verdict);
            }
            arrived += firing.len() as u64;
            witnesses.extend(firing.iter().map(|(_, seq)| *seq));
        }
        let reason = format!(
            "{}, at most {} apart",
            count(arrived, "notification", "notifications"),
            seconds(longest)
        );
        timeline.require_complete(
            Verdict::pass(id, expected, reason)
                .evidence("notifications", arrived)
                .witnesses(witnesses),
        )
    }
}

impl Checker for NotifiedUntilOver {
    fn id(&self) -> String {
        format!("notified.{}.until_over", self.alert)
    }

    fn expected(&self) -> String {
        format!(
            "{} notified that {} is over while the fault of drill {} is there",
            list(&self.receivers, 8) + " is not",
            self.alert,
            self.drill
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let (injected, healed, window) = match timeline.struck(&self.drill, &self.causes) {
            Ok(struck) => (struck.injected, struck.healed, window(&struck)),
            Err((why, seqs)) => return Verdict::unknown(id, expected, why).witnesses(seqs),
        };
        if healed.is_none() {
            return Verdict::unknown(
                id,
                expected,
                format!("drill {} was never healed", self.drill),
            )
            .witnesses([injected.seq]);
        }
        let mut witnesses = vec![injected.seq];
        for receiver in &self.receivers {
            let told = told(history, &self.alert, receiver, window);
            let Some(first) = told.iter().find(|(_, _, over)| !over) else {
                return Verdict::unknown(
                    id,
                    expected,
                    format!("{receiver} was never notified that it fires"),
                )
                .witnesses(witnesses);
            };
            witnesses.push(first.1);
            if let Some((at, seq, _)) = told.iter().find(|(at, _, over)| *over && at > &first.0) {
                let silent = silent_server(history, Interval { from: first.0, to: *at });
                let why = silent.as_ref().map_or_else(String::new, |(source, _)| {
                    format!("; {source} did not answer meanwhile")
                });
                let stage = silent.as_ref().map_or_else(
                    || "false all-clear".to_owned(),
                    |(source, _)| format!("{source} is silent"),
                );
                let seen = format!(
                    "{receiver} was notified that it is over {} after the injection, and the fault stayed until {}{why}",
                    seconds(at - window.from),
                    seconds(window.to - window.from)
                );
                return Verdict::fail(id, expected, Cause::FalseAllClear, seen)
                    .stopped_at(stage)
                    .witnesses([injected.seq, first.1, *seq])
                    .witnesses(silent.map(|(_, seq)| seq))
                    .hint("alerts end by themselves when the metrics server stops sending them (after four times the larger of evaluation interval and resend delay): give it a dead man's switch that arrives elsewhere");
            }
        }
        let reason = format!(
            "{} heard nothing of an end in {}",
            list(&self.receivers, 8),
            seconds(window.to - window.from)
        );
        timeline.require_complete(
            Verdict::pass(id, expected, reason)
                .evidence("receivers that were not notified of an end", self.receivers.len() as u64)
                .witnesses(witnesses),
        )
    }
}

/// A server that holds rules and did not answer in a time.
fn silent_server(history: &History, window: Interval) -> Option<(String, u64)> {
    let rules = |source: &str| {
        history
            .observations()
            .any(|(_, o)| o.source == source && matches!(o.fact, Fact::Rules { .. }))
    };
    history.observations().find_map(|(e, o)| {
        let then = (window.from..=window.to).contains(&o.asked.wall_s());
        (then && matches!(o.fact, Fact::Unreachable { .. }) && rules(&o.source))
            .then(|| (o.source.clone(), e.seq))
    })
}
