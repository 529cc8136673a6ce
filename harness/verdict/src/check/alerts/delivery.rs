//! What arrived at the stand-ins, and why something did not: the stages from the alert manager to
//! the receiver.

use super::Diagnosis;
use super::events::Recorded;
use crate::cause::Cause;
use crate::check::firing::{ALERT_NAME, Firing, FiringInterval};
use crate::check::timeline::{Interval, Timeline};
use crate::check::wording::{list, seconds};
use crate::history::EventKind;
use crate::history::History;
use crate::history::alert::{AlertEvent, Notification, NotifiedAlert, Protocol};
use crate::observation::alerts::{ManagedAlert, ManagedRoute, Silence};
use crate::observation::asked::Asked;
use crate::observation::{Fact, Observation};
use std::collections::{BTreeMap, BTreeSet};

/// What a receiver got of an alert.
pub(super) enum Received {
    /// The first accepted notification that it fires: wall-clock seconds, and the event.
    At(f64, u64),
    /// Only notifications whose labels differ from the declared ones.
    OtherLabels(u64, String),
    /// Nothing.
    Nothing,
}

pub(super) fn received_s(n: &Notification) -> f64 {
    n.received_wall_us as f64 / 1e6
}

fn within(n: &Notification, window: Interval) -> bool {
    (window.from..=window.to).contains(&received_s(n))
}

pub(super) fn accepted(n: &Notification) -> bool {
    n.receiver.is_some() && (200..400).contains(&n.answered)
}

/// The alerts of this name in a notification.
pub(super) fn of_name<'n>(
    n: &'n Notification,
    alert: &'n str,
) -> impl Iterator<Item = &'n NotifiedAlert> {
    n.alerts.iter().filter(move |a| a.labels.get(ALERT_NAME).is_some_and(|l| l == alert))
}

/// Labels that are shown with another value than declared, or, where the protocol shows all labels,
/// not shown.
fn differences(
    n: &Notification,
    alert: &NotifiedAlert,
    wanted: &BTreeMap<String, String>,
) -> Vec<String> {
    let shows_all = n.protocol == Protocol::Webhook;
    let differs = |(k, v): (&String, &String)| match alert.labels.get(k) {
        Some(seen) if seen != v => Some(format!("{k} is {seen:?}, {v:?} wanted")),
        None if shows_all => Some(format!("{k} is missing, {v:?} wanted")),
        _ => None,
    };
    wanted.iter().filter_map(differs).collect()
}

/// What `receiver` got of a firing alert in a window of wall-clock time.
pub(super) fn received(
    history: &History,
    alert: &str,
    wanted: &BTreeMap<String, String>,
    receiver: &str,
    window: Interval,
) -> Received {
    let mut best: Option<(f64, u64)> = None;
    let mut other: Option<(u64, String)> = None;
    for (e, n) in history.notifications() {
        if !accepted(n) || n.receiver.as_deref() != Some(receiver) || !within(n, window) {
            continue;
        }
        for a in of_name(n, alert).filter(|a| !a.resolved) {
            let wrong = differences(n, a, wanted);
            let at = received_s(n);
            if wrong.is_empty() && best.is_none_or(|(t, _)| at < t) {
                best = Some((at, e.seq));
            } else if !wrong.is_empty() && other.is_none() {
                other = Some((e.seq, list(&wrong, 5)));
            }
        }
    }
    match (best, other) {
        (Some((at, seq)), _) => Received::At(at, seq),
        (None, Some((seq, wrong))) => Received::OtherLabels(seq, wrong),
        (None, None) => Received::Nothing,
    }
}

/// Where a stand-in is to be found: as declared, else as its accepted notifications show.
struct Place<'h> {
    protocol: Protocol,
    host: &'h str,
    path: &'h str,
}

fn place<'h>(history: &'h History, receiver: &str) -> Option<Place<'h>> {
    let declared = history.events.iter().find_map(|e| match &e.kind {
        EventKind::Alert(AlertEvent::Declared { receiver: r, protocol, host, path })
            if r == receiver =>
        {
            Some(Place { protocol: *protocol, host, path })
        }
        _ => None,
    });
    declared.or_else(|| {
        let (_, n) = history
            .notifications()
            .find(|(_, n)| accepted(n) && n.receiver.as_deref() == Some(receiver))?;
        Some(Place { protocol: n.protocol, host: &n.host, path: &n.path })
    })
}

fn same_service(a: Protocol, b: Protocol) -> bool {
    let pager = |p| matches!(p, Protocol::PagerdutyV1 | Protocol::PagerdutyV2);
    a == b || (pager(a) && pager(b))
}

/// Everything that the stages look at.
struct Case<'a, 'h> {
    timeline: &'a Timeline<'h>,
    firing: &'a Firing,
    alert: &'a str,
    receiver: &'a str,
    wanted: &'a [String],
    fired: &'a FiringInterval,
    /// From the injection to the end of the drill, wall clock.
    window: Interval,
    /// What the alert managers wrote down of the alert, where they do.
    recorded: Recorded<'h>,
}

/// The stage that stopped a firing alert on its way to `receiver`; `wanted` are all receivers that
/// should have it.
pub(super) fn undelivered(
    timeline: &Timeline<'_>,
    firing: &Firing,
    alert: &str,
    receiver: &str,
    wanted: &[String],
    fired: &FiringInterval,
    window: Interval,
) -> Diagnosis {
    let resolution = firing.resolution(alert).unwrap_or(0.0);
    let recorded = Recorded::of(timeline, alert, fired.from, window.to, resolution);
    let case = Case { timeline, firing, alert, receiver, wanted, fired, window, recorded };
    // That it was tried and refused is the strongest evidence, so it is asked first where the alert
    // itself was in what was refused.
    let diagnosis = case
        .refused(true)
        .or_else(|| case.manager_reload())
        .or_else(|| case.not_sent())
        .or_else(|| case.suppressed())
        .or_else(|| case.refused(false))
        .or_else(|| case.elsewhere())
        .or_else(|| case.deduplicated())
        .or_else(|| case.waiting())
        // Answers of the alert manager come first; its events are asked where these explain nothing.
        .or_else(|| case.recorded.suppressed())
        .or_else(|| case.recorded.delivered(receiver))
        .unwrap_or_else(|| case.unexplained());
    case.recorded.beside(diagnosis)
}

impl<'h> Case<'_, 'h> {
    fn after_firing(&self, o: &Observation) -> bool {
        (self.fired.from..=self.window.to).contains(&o.asked.wall_s())
    }

    fn managers(&self) -> BTreeSet<&'h str> {
        let answers = |f: &Fact| matches!(f, Fact::ManagedAlerts { .. } | Fact::Silences { .. });
        self.timeline
            .history
            .observations()
            .filter(|(_, o)| answers(&o.fact))
            .map(|(_, o)| o.source.as_str())
            .collect()
    }

    /// The alert as the manager held it from its firing to the end of the drill, oldest first.
    fn managed(&self) -> Vec<(u64, &'h str, &'h ManagedAlert)> {
        let mut seen: Vec<(i64, u64, &str, &ManagedAlert)> = Vec::new();
        for (e, o) in self.timeline.history.observations().filter(|(_, o)| self.after_firing(o)) {
            if let Fact::ManagedAlerts { alerts } = &o.fact {
                let mine = alerts
                    .iter()
                    .filter(|a| a.labels.get(ALERT_NAME).is_some_and(|n| n == self.alert));
                seen.extend(mine.map(|a| (o.answered.mono_us, e.seq, o.source.as_str(), a)));
            }
        }
        seen.sort_by_key(|(at, ..)| *at);
        seen.into_iter().map(|(_, seq, source, a)| (seq, source, a)).collect()
    }

    fn refused(&self, carries: bool) -> Option<Diagnosis> {
        let place = place(self.timeline.history, self.receiver);
        let here = |n: &Notification| {
            place.as_ref().map(|p| p.host == n.host && same_service(p.protocol, n.protocol))
        };
        let (e, n) = self.timeline.history.notifications().find(|(_, n)| {
            let refused = !accepted(n) && n.answered >= 400 && within(n, self.window);
            let mine = if carries {
                of_name(n, self.alert).next().is_some() && here(n) != Some(false)
            } else {
                n.alerts.is_empty() && here(n) == Some(true)
            };
            refused && mine
        })?;
        // Paths that must not be shown look alike, also where they differ.
        let declared = place.map_or(String::new(), |p| match p.host == n.host {
            true if n.answered == 404 && p.path == n.path => {
                format!("; {} is declared there at another path", self.receiver)
            }
            _ => format!("; {} is declared at {}{}", self.receiver, p.host, path(p.path)),
        });
        let why = n.error.as_ref().map_or(String::new(), |e| format!(" ({e})"));
        Some(Diagnosis {
            cause: Cause::ReceiverRefused,
            stage: format!("receiver refused ({})", n.answered),
            seen: format!("{}{} answered {}{why}{declared}", n.host, path(&n.path), n.answered),
            hint: "compare URL, path and key of the receiver in the alert manager's configuration with what the service expects".into(),
            witnesses: vec![e.seq],
        })
    }

    fn manager_reload(&self) -> Option<Diagnosis> {
        let managers = self.managers();
        let reloads = self.timeline.nearest(self.window.to, |o| match &o.fact {
            Fact::Reload(r) if managers.contains(o.source.as_str()) => Some(r),
            _ => None,
        });
        let (seq, source, reload) = reloads.into_iter().find(|(_, _, r)| !r.successful)?;
        Some(Diagnosis {
            cause: Cause::ReloadRejected,
            stage: "reload rejected".into(),
            seen: format!(
                "{source} refused its last configuration and routes by an older one: {}",
                reload.seen
            ),
            hint: format!(
                "check the configuration of {source} with its own checking tool, then reload again"
            ),
            witnesses: vec![seq],
        })
    }

    fn not_sent(&self) -> Option<Diagnosis> {
        // It may have been there between two questions.
        if !self.managed().is_empty() || self.recorded.came() {
            return None;
        }
        // The metrics server hands an alert over after the evaluation in which it fires: earlier
        // answers prove nothing.
        let from = self.fired.from + self.firing.resolution(self.alert).unwrap_or(0.0);
        let asked: Vec<_> = self
            .timeline
            .history
            .observations()
            .filter(|(_, o)| self.after_firing(o) && o.asked.wall_s() >= from)
            .collect();
        let answers: Vec<_> =
            asked.iter().filter(|(_, o)| matches!(o.fact, Fact::ManagedAlerts { .. })).collect();
        if let Some((e, o)) = answers.last() {
            return Some(Diagnosis {
                cause: Cause::NotSentToManager,
                stage: "not sent to the alert manager".into(),
                seen: format!("{} was asked {} times after it fired and never had it", o.source, answers.len()),
                hint: "check the alert manager's address, and the relabelling of alerts, in the metrics server's configuration".into(),
                witnesses: vec![e.seq],
            });
        }
        let managers = self.managers();
        let (e, o, error) = asked.iter().find_map(|(e, o)| match &o.fact {
            // Events are read from a file, whoever answers.
            Fact::Unreachable { error, question }
                if managers.contains(o.source.as_str()) && *question != Asked::ManagerEvents =>
            {
                Some((e, o, error))
            }
            _ => None,
        })?;
        Some(Diagnosis {
            cause: Cause::ServiceUnhealthy,
            stage: "alert manager does not answer".into(),
            seen: format!("{} did not answer while the alert was firing: {error}", o.source),
            hint: format!("look at the log of {}", o.source),
            witnesses: vec![e.seq],
        })
    }

    fn suppressed(&self) -> Option<Diagnosis> {
        let managed = self.managed();
        let (seq, source, a) = managed.last()?;
        let diagnosis =
            |cause: Cause, stage: String, seen: String, hint: &str, more: Option<u64>| Diagnosis {
                cause,
                stage,
                seen,
                hint: hint.into(),
                witnesses: [*seq].into_iter().chain(more).collect(),
            };
        if !a.inhibited_by.is_empty() {
            let by = list(&a.inhibited_by, 5);
            return Some(diagnosis(
                Cause::Inhibited,
                format!("inhibited by {by}"),
                format!("{source} holds it as {}, inhibited by {by}", a.state),
                "check the inhibition rules: which labels must be equal, and whether the other alert should hide this one",
                None,
            ));
        }
        if let Some(id) = a.silenced_by.first() {
            let silence: Option<(u64, &Silence)> =
                self.timeline.history.observations().find_map(|(e, o)| match &o.fact {
                    Fact::Silences { silences } => {
                        silences.iter().find(|s| s.id == *id).map(|s| (e.seq, s))
                    }
                    _ => None,
                });
            let what = silence.map_or_else(|| format!("silence {id}"), |(_, s)| of_silence(s));
            return Some(diagnosis(
                Cause::Silenced,
                format!("silenced by {what}"),
                format!("{source} holds it as {}, silenced by {what}", a.state),
                "expire the silence, or narrow its matchers",
                silence.map(|(seq, _)| seq),
            ));
        }
        if !a.muted_by.is_empty() {
            let by = list(&a.muted_by, 5);
            return Some(diagnosis(
                Cause::Muted,
                format!("muted by {by}"),
                format!("{source} holds it as {}, muted by time interval {by}", a.state),
                "check the mute and active time intervals of its route, and their time zone",
                None,
            ));
        }
        None
    }

    fn elsewhere(&self) -> Option<Diagnosis> {
        let mut others: BTreeMap<&str, u64> = BTreeMap::new();
        for (e, n) in self
            .timeline
            .history
            .notifications()
            .filter(|(_, n)| accepted(n) && within(n, self.window))
        {
            if let Some(r) = n.receiver.as_deref().filter(|r| !self.wanted.iter().any(|w| w == r))
                && of_name(n, self.alert).any(|a| !a.resolved)
            {
                others.entry(r).or_insert(e.seq);
            }
        }
        let routes: Vec<(u64, &str, &ManagedAlert)> = self.managed();
        let led_to: BTreeSet<&str> =
            routes.iter().flat_map(|(_, _, a)| &a.receivers).map(String::as_str).collect();
        // Names in the manager's routes speak about the stand-in only if the manager uses the
        // stand-in's name at all.
        let named = self.named();
        let routed_away = named && !led_to.is_empty() && !led_to.contains(self.receiver);
        if others.is_empty() && !routed_away {
            return None;
        }
        let arrived = if others.is_empty() {
            String::new()
        } else {
            format!("it arrived at {} instead", list(others.keys(), 5))
        };
        let routed = if led_to.is_empty() {
            String::new()
        } else {
            format!("its routes lead to {}", list(&led_to, 5))
        };
        let seen =
            [arrived, routed].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join("; ");
        Some(Diagnosis {
            cause: Cause::RoutedElsewhere,
            stage: "another route".into(),
            seen,
            hint: "compare the alert's labels with the matchers of the routes, their order, and `continue`".into(),
            witnesses: others.into_values().chain(routes.last().map(|(s, _, _)| *s)).collect(),
        })
    }

    /// Whether the manager's configuration uses the stand-in's name.
    fn named(&self) -> bool {
        self.timeline.history.observations().any(|(_, o)| match &o.fact {
            Fact::ManagedAlerts { alerts } => {
                alerts.iter().any(|a| a.receivers.iter().any(|r| r == self.receiver))
            }
            Fact::ManagerReceivers { names } => names.iter().any(|r| r == self.receiver),
            _ => false,
        })
    }

    /// Routes of the alert that may lead to the receiver, as they were last seen: those to its
    /// name, where the manager uses it.
    fn routes(&self) -> Vec<&'h ManagedRoute> {
        let managed = self.managed();
        let Some((_, _, a)) = managed.iter().rfind(|(_, _, a)| !a.routes.is_empty()) else {
            return Vec::new();
        };
        let named = self.named();
        a.routes.iter().filter(|r| !named || r.receiver == self.receiver).collect()
    }

    /// The last that the receiver was told of the alert before it fired, if that was that it fires.
    fn told_before(&self) -> Option<(u64, f64)> {
        let mut told: Vec<(f64, u64, bool)> = Vec::new();
        for (e, n) in self
            .timeline
            .history
            .notifications()
            .filter(|(_, n)| accepted(n) && n.receiver.as_deref() == Some(self.receiver))
        {
            let states: Vec<bool> = of_name(n, self.alert).map(|a| a.resolved).collect();
            if received_s(n) < self.fired.from && !states.is_empty() {
                told.push((received_s(n), e.seq, states.iter().all(|resolved| *resolved)));
            }
        }
        let (at, seq, over) = told.into_iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
        (!over).then_some((seq, at))
    }

    /// The receiver was told of the alert before, never that it is over, and its group's next turn
    /// has passed without a word.
    fn deduplicated(&self) -> Option<Diagnosis> {
        let (seq, at) = self.told_before()?;
        let managed = self.managed();
        let (held, source, _) = managed.last()?;
        let route = self
            .routes()
            .into_iter()
            .find(|r| self.window.to - self.fired.from >= r.group_interval_s)?;
        let again = at + route.repeat_interval_s;
        (again > self.window.to).then(|| Diagnosis {
            cause: Cause::Deduplicated,
            stage: "deduplicated".into(),
            seen: format!(
                "{source} notified {} of it already, {} before it fired this time, has not said since that it is over, and repeats itself only every {}",
                self.receiver,
                seconds(self.fired.from - at),
                seconds(route.repeat_interval_s)
            ),
            hint: "an alert that ends and comes back between two turns of its group (`group_interval`) is no news to the alert manager: lower `repeat_interval`, or give the alert `keep_firing_for` so that it does not flap".into(),
            witnesses: vec![seq, *held],
        })
    }

    fn waiting(&self) -> Option<Diagnosis> {
        let managed = self.managed();
        let unprocessed = managed.last().filter(|(_, _, a)| a.state == "unprocessed");
        let left = self.window.to - self.fired.from;
        let quickest = self.quickest();
        let seen = match (unprocessed, self.timer(left), quickest) {
            (Some((_, source, _)), _, _) => {
                format!("{source} has it and has not processed its group yet")
            }
            (None, Some(timer), _) => {
                format!("it fired {} before the drill ended, and {timer}", seconds(left))
            }
            (None, None, Some(q)) if left < q => {
                format!(
                    "it fired {} before the drill ended, and the quickest notification of this run took {}",
                    seconds(left),
                    seconds(q)
                )
            }
            _ => return None,
        };
        Some(Diagnosis {
            cause: Cause::WaitingInGroup,
            stage: "waiting in the group".into(),
            seen,
            hint:
                "compare `group_wait` and `group_interval` with the time that the alert was firing"
                    .into(),
            witnesses: managed.last().map(|(s, _, _)| *s).into_iter().collect(),
        })
    }

    /// The timer of its group that had not run out for `left` seconds, if one had not.
    fn timer(&self, left: f64) -> Option<String> {
        let routes = self.routes();
        if let Some(route) = routes.iter().find(|r| left < r.group_wait_s) {
            return Some(format!(
                "a new group of receiver {} waits {} (`group_wait`)",
                route.receiver,
                seconds(route.group_wait_s)
            ));
        }
        // Whoever was told of a group before hears of changes at its next turn only.
        self.told_before()?;
        let route = routes.iter().find(|r| left < r.group_interval_s)?;
        Some(format!(
            "its group, notified before, has its next turn after at most {} (`group_interval`)",
            seconds(route.group_interval_s)
        ))
    }

    /// The shortest time of this run from the firing of an alert to its arrival anywhere.
    fn quickest(&self) -> Option<f64> {
        let mut shortest: Option<f64> = None;
        for (_, n) in self.timeline.history.notifications().filter(|(_, n)| accepted(n)) {
            let at = received_s(n);
            for name in
                n.alerts.iter().filter(|a| !a.resolved).filter_map(|a| a.labels.get(ALERT_NAME))
            {
                let began = self
                    .firing
                    .firing(name)
                    .into_iter()
                    .map(|s| s.from)
                    .filter(|from| *from <= at)
                    .fold(f64::NEG_INFINITY, f64::max);
                if began.is_finite() {
                    shortest = Some(shortest.map_or(at - began, |s| s.min(at - began)));
                }
            }
        }
        shortest
    }

    fn unexplained(&self) -> Diagnosis {
        let managed = self.managed();
        let unseen = match self.recorded.came() {
            true => "no answer of the alert manager showed it",
            false => "no answer of the alert manager from that time was recorded",
        };
        let seen = managed.last().map_or_else(
            || unseen.to_owned(),
            |(_, source, a)| {
                format!(
                    "{source} holds it as {}, its routes lead to {}, and nothing was received, accepted or refused",
                    a.state,
                    list(&a.receivers, 5)
                )
            },
        );
        Diagnosis {
            cause: Cause::NotNotified,
            stage: "not notified".into(),
            seen,
            hint: "look for failed notifications in the alert manager's log and metrics: name resolution, certificates, time-outs; is this receiver part of the route?".into(),
            witnesses: managed.last().map(|(s, _, _)| *s).into_iter().collect(),
        }
    }
}

/// A silence by its matchers and who made it.
pub(super) fn of_silence(silence: &Silence) -> String {
    format!("silence {{{}}} made by {}", silence.matchers.join(", "), silence.created_by)
}

/// A path as it follows a host; a recipient's address is set off.
fn path(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!(" {path}") }
}
