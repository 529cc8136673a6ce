//! Each state of a group of alerts is notified once, from whichever alert manager: alert managers
//! that don't know each other notify twice.

use super::delivery::{accepted, received_s};
use crate::cause::Cause;
use crate::check::Checker;
use crate::check::timeline::{Interval, Timeline};
use crate::check::wording::{count, list, seconds};
use crate::history::History;
use crate::history::alert::Notification;
use crate::observation::Fact;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Share of the repeat interval from which on a notification of an unchanged group is the
/// repetition that was asked for: timers of a busy host are late, never much too early.
const REPEATED_FROM: f64 = 0.9;

/// Each receiver is notified once of each state of a group (which of its alerts fire, which are
/// over). The same state again is right when the group was in another one in between, or when the
/// repeat interval is over. While an alert manager is lost, or cut off from the others, each of
/// them may notify once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatesNotifiedOnce {
    /// Receivers, as the declaration names the stand-ins.
    pub receivers: Vec<String>,
    /// The alert managers.
    pub managers: Vec<String>,
}

/// Which alerts a notification speaks of, by all labels that it shows, and which of them are over.
type State<'h> = BTreeMap<&'h BTreeMap<String, String>, bool>;

fn state(n: &Notification) -> State<'_> {
    n.alerts.iter().map(|a| (&a.labels, a.resolved)).collect()
}

/// A notification that was accepted.
struct Arrived<'h> {
    seq: u64,
    at: f64,
    from: Option<&'h str>,
    state: State<'h>,
}

/// The same state twice.
struct Doubled {
    first: (u64, f64),
    again: (u64, f64),
    seen: String,
    /// Whether each came from another alert manager.
    apart: bool,
}

fn arrived<'h>(history: &'h History, receiver: &str) -> Vec<Arrived<'h>> {
    let mut all: Vec<Arrived<'h>> = history
        .notifications()
        .filter(|(_, n)| accepted(n) && n.receiver.as_deref() == Some(receiver))
        .map(|(e, n)| Arrived {
            seq: e.seq,
            at: received_s(n),
            from: n.from.as_deref(),
            state: state(n),
        })
        .filter(|a| !a.state.is_empty())
        .collect();
    all.sort_by(|a, b| a.at.total_cmp(&b.at));
    all
}

/// The notifications of a receiver that repeat the last state of their group before it is time.
fn doubled(all: &[Arrived<'_>], receiver: &str, repeat_s: f64) -> Vec<Doubled> {
    let mut found = Vec::new();
    for (i, again) in all.iter().enumerate() {
        // One group, if they speak of one alert.
        let of_group = |a: &&Arrived<'_>| again.state.keys().any(|l| a.state.contains_key(l));
        let Some(first) = all[..i].iter().rev().find(of_group) else { continue };
        if first.state != again.state || again.at - first.at >= repeat_s * REPEATED_FROM {
            continue;
        }
        let names: BTreeSet<&str> =
            again.state.keys().filter_map(|l| l.get("alertname")).map(String::as_str).collect();
        let over = again.state.values().all(|over| *over);
        let from = |a: &Arrived<'_>| a.from.map_or(String::new(), |from| format!(" from {from}"));
        let seen = format!(
            "{receiver} was notified twice that {} {}: {} apart{}",
            list(&names, 5),
            if over { "is over" } else { "fires" },
            seconds(again.at - first.at),
            match (first.from, again.from) {
                (None, None) => String::new(),
                _ => format!(", first{}, then{}", from(first), from(again)),
            }
        );
        let apart = matches!((first.from, again.from), (Some(a), Some(b)) if a != b);
        found.push(Doubled {
            first: (first.seq, first.at),
            again: (again.seq, again.at),
            seen,
            apart,
        });
    }
    found
}

impl StatesNotifiedOnce {
    /// When some alert manager was lost or cut off, on the wall clock.
    fn disturbed(&self, timeline: &Timeline<'_>) -> Vec<Interval> {
        let hits = |services: &[String]| services.iter().any(|s| self.managers.contains(s));
        timeline.drills.iter().filter(|d| hits(&d.radius.services)).map(|d| d.wall()).collect()
    }

    /// The shortest time after which a route in use repeats itself, seconds.
    fn repeat_s(history: &History) -> Option<f64> {
        let mut shortest: Option<f64> = None;
        for (_, o) in history.observations() {
            let Fact::ManagedAlerts { alerts } = &o.fact else { continue };
            for route in alerts.iter().flat_map(|a| &a.routes) {
                let least =
                    shortest.map_or(route.repeat_interval_s, |s| s.min(route.repeat_interval_s));
                shortest = Some(least);
            }
        }
        shortest
    }
}

impl Checker for StatesNotifiedOnce {
    fn id(&self) -> String {
        "notified.states".into()
    }

    fn expected(&self) -> String {
        format!(
            "{} notified once of each state of a group, from whichever of {}",
            list(&self.receivers, 8) + " is",
            list(&self.managers, 5)
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let Some(repeat_s) = Self::repeat_s(history) else {
            let seen = "after which time notifications are repeated was never seen";
            return Verdict::unknown(id, expected, seen);
        };
        let disturbed = self.disturbed(&timeline);
        let (mut states, mut allowed, mut seqs, mut late) = (0, 0, Vec::new(), None);
        for receiver in &self.receivers {
            let all = arrived(history, receiver);
            states += all.len() as u64;
            seqs.extend(all.iter().map(|a| a.seq).take(3));
            for twice in doubled(&all, receiver, repeat_s) {
                let during = disturbed.iter().any(|d| (d.from..=d.to).contains(&twice.again.1));
                if during && twice.apart {
                    allowed += 1;
                    continue;
                }
                let window = Interval { from: twice.first.1, to: twice.again.1 };
                // Alert managers tell each other within moments; on a host where tasks waited as
                // long as that, both may have been right.
                match timeline.stalled(window) {
                    Some(stalled) if window.to - window.from <= stalled => {
                        late.get_or_insert((twice, stalled));
                    }
                    _ => {
                        return Verdict::fail(id, expected, Cause::NotifiedTwice, twice.seen)
                            .witnesses([twice.first.0, twice.again.0])
                            .hint("do the alert managers know each other (--cluster.peer), and have they the same routes?");
                    }
                }
            }
        }
        if let Some((twice, stalled)) = late {
            let reason = format!(
                "{}; tasks waited for {} of that time, so that one may not have heard of the other",
                twice.seen,
                seconds(stalled)
            );
            return Verdict::unknown(id, expected, reason)
                .witnesses([twice.first.0, twice.again.0]);
        }
        if states == 0 {
            return Verdict::unknown(id, expected, "nobody was notified of anything");
        }
        let during = match allowed {
            0 => String::new(),
            n => format!(
                "; {} by each alert manager while one was lost or cut off",
                count(n, "state was notified", "states were notified")
            ),
        };
        let what = count(
            states,
            "notification, each of a new state",
            "notifications, each of a new state",
        );
        timeline.require_complete(
            Verdict::pass(id, expected, format!("{what}{during}"))
                .evidence("notifications of a new state", states - allowed)
                .witnesses(seqs),
        )
    }
}
