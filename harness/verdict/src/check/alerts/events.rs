//! What the event recorders of alert managers say of an alert that did not arrive. It is evidence of
//! the cause, beside what the stand-ins saw; nothing passes because of it.

use super::Diagnosis;
use super::delivery::of_silence;
use crate::cause::Cause;
use crate::check::firing::ALERT_NAME;
use crate::check::timeline::{Interval, Timeline};
use crate::check::wording::{count, list, seconds};
use crate::observation::Fact;
use crate::observation::alerts::{ManagerEvent, ManagerStep};
use crate::observation::asked::Asked;

/// What did not happen to it. Of time intervals that mute a route nothing is recorded.
const NOTHING: &str = "neither silenced, inhibited nor notified";

/// The events of one alert, firing, in one drill, by alert manager.
pub(super) struct Recorded<'h> {
    /// When it fired, wall-clock seconds.
    fired: f64,
    members: Vec<Member<'h>>,
}

/// What one alert manager recorded.
struct Member<'h> {
    name: &'h str,
    seq: u64,
    /// Its events of the alert, oldest first, and lines that could not be read; or why there are
    /// none.
    read: Result<(Vec<&'h ManagerEvent>, u64), &'h str>,
}

impl<'h> Recorded<'h> {
    /// What is recorded of an alert from when it fired until the end of its drill. `resolution` is
    /// how much later than it fired its samples may say that it did.
    pub(super) fn of(
        timeline: &Timeline<'h>,
        alert: &str,
        fired: f64,
        until: f64,
        resolution: f64,
    ) -> Recorded<'h> {
        let window = Interval { from: fired - resolution - 1e-3, to: until };
        let about = |e: &&ManagerEvent| {
            (window.from..=window.to).contains(&e.at_s)
                && e.alerts
                    .iter()
                    .any(|a| !a.resolved && a.labels.get(ALERT_NAME).is_some_and(|n| n == alert))
        };
        let read = timeline.nearest(f64::INFINITY, |o| match &o.fact {
            Fact::ManagerEvents { events, unread } => {
                let mut mine: Vec<&ManagerEvent> = events.iter().filter(about).collect();
                mine.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
                Some(Ok((mine, *unread)))
            }
            Fact::Unreachable { question: Asked::ManagerEvents, error } => {
                Some(Err(error.as_str()))
            }
            _ => None,
        });
        let members = read.into_iter().map(|(seq, name, read)| Member { name, seq, read });
        Recorded { fired, members: members.collect() }
    }

    fn events(&self) -> impl Iterator<Item = (&Member<'h>, &'h ManagerEvent)> {
        self.members.iter().flat_map(|m| m.events().iter().map(move |e| (m, *e)))
    }

    fn after(&self, e: &ManagerEvent) -> String {
        format!("{} after it fired", seconds((e.at_s - self.fired).max(0.0)))
    }

    /// Whether some alert manager had the alert.
    pub(super) fn came(&self) -> bool {
        self.events().next().is_some()
    }

    /// It was silenced or inhibited when its group's turn came, and nobody was notified of it. Where
    /// somebody was, it is not told whom it was muted for.
    pub(super) fn suppressed(&self) -> Option<Diagnosis> {
        let suppressed = |e: &ManagerEvent| {
            matches!(e.step, ManagerStep::Silenced { .. } | ManagerStep::Inhibited { .. })
        };
        let (member, last) = self
            .events()
            .filter(|(_, e)| suppressed(e))
            .max_by(|(_, a), (_, b)| a.at_s.total_cmp(&b.at_s))?;
        let notified = |e: &ManagerEvent| matches!(e.step, ManagerStep::Notified { .. });
        if self.events().any(|(_, e)| notified(e)) {
            return None;
        }
        let (cause, by, hint) = match &last.step {
            ManagerStep::Silenced { silence } => (
                Cause::Silenced,
                format!("silenced by {}", of_silence(silence)),
                "expire the silence, or narrow its matchers",
            ),
            ManagerStep::Inhibited { by, .. } => (
                Cause::Inhibited,
                format!("inhibited by {}", list(by, 5)),
                "check the inhibition rules: which labels must be equal, and whether the other alert should hide this one",
            ),
            _ => return None,
        };
        Some(Diagnosis {
            cause,
            seen: format!("no answer of {} showed why, its events do", member.name),
            stage: by,
            hint: hint.into(),
            witnesses: vec![member.seq],
        })
    }

    /// The alert manager says that the receiver accepted it.
    pub(super) fn delivered(&self, receiver: &str) -> Option<Diagnosis> {
        let (member, _) = self.events().find(
            |(_, e)| matches!(&e.step, ManagerStep::Notified { receiver: r, .. } if r == receiver),
        )?;
        Some(Diagnosis {
            cause: Cause::NotNotified,
            stage: "not notified".into(),
            seen: format!(
                "{} says that {receiver} accepted it, and the stand-in of {receiver} received nothing",
                member.name
            ),
            hint: format!(
                "something else accepts what is meant for {receiver}: compare the URL of the receiver in the configuration of {} with the host and path that are declared",
                member.name
            ),
            witnesses: vec![member.seq],
        })
    }

    /// The diagnosis with what each alert manager recorded.
    pub(super) fn beside(&self, diagnosis: Diagnosis) -> Diagnosis {
        let mut diagnosis = diagnosis;
        for member in &self.members {
            let said = member.said(self);
            diagnosis.seen.push_str(&format!("; recorded by {}: {said}", member.name));
            if !diagnosis.witnesses.contains(&member.seq) {
                diagnosis.witnesses.push(member.seq);
            }
        }
        diagnosis
    }
}

impl<'h> Member<'h> {
    fn events(&self) -> &[&'h ManagerEvent] {
        self.read.as_ref().map_or(&[], |(events, _)| events)
    }

    /// What became of the alert, in the order in which it happened; each thing once.
    fn said(&self, of: &Recorded<'_>) -> String {
        let unread = match self.read {
            Err(why) => return format!("its events could not be read ({why})"),
            Ok((_, unread)) => unread,
        };
        let (mut said, mut seen, mut grouped) = (Vec::new(), Vec::new(), Vec::new());
        for e in self.events() {
            let (what, why) = match &e.step {
                ManagerStep::Created => continue,
                ManagerStep::Grouped { receiver } => {
                    if !grouped.contains(&receiver.as_str()) {
                        grouped.push(receiver);
                    }
                    continue;
                }
                ManagerStep::Silenced { silence } => {
                    (format!("silenced by {}", of_silence(silence)), String::new())
                }
                ManagerStep::Inhibited { by, rule } => {
                    (format!("inhibited by {}", list(by, 5)), format!(" ({rule})"))
                }
                ManagerStep::Notified { receiver, reason } => {
                    grouped.retain(|r| r != receiver);
                    let why =
                        if reason.is_empty() { String::new() } else { format!(" ({reason})") };
                    (format!("{receiver} notified"), why)
                }
            };
            if !seen.contains(&what) {
                said.push(format!("{what} {}{why}", of.after(e)));
                seen.push(what);
            }
        }
        let muted = self.events().iter().any(|e| {
            matches!(e.step, ManagerStep::Silenced { .. } | ManagerStep::Inhibited { .. })
        });
        if !grouped.is_empty() && !muted {
            said.push(format!("grouped for {}, {NOTHING}", list(&grouped, 5)));
        } else if let (true, Some(first)) = (said.is_empty(), self.events().first()) {
            said.push(format!("there {}, {NOTHING}", of.after(first)));
        } else if said.is_empty() {
            said.push(format!("no event, {NOTHING}"));
        }
        if unread > 0 {
            let lines = count(unread, "line of its events", "lines of its events");
            said.push(format!("{lines} could not be read"));
        }
        said.join(", ")
    }
}
