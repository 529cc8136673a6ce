//! The run on one time axis: phases, faults, alerts, notifications, and what users saw. All times
//! are seconds since the run began.

use super::ledger::rank;
use crate::history::run::{Phase, RunEvent};
use crate::observation::Fact;
use crate::{At, History};
use std::collections::{BTreeMap, BTreeSet};

/// What happened in a run, on one time axis; all times are seconds since it began.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Timeline {
    /// When the stack began to come up: before that, images are obtained, which may take long and
    /// shows nothing.
    pub from_s: f64,
    /// When the last event was recorded.
    pub end_s: f64,
    /// Phases of the run, in their order.
    pub phases: Vec<FiringInterval>,
    /// Faults by drill, and by their own name where a drill has several, in the order of their
    /// injection.
    pub faults: Vec<FiringInterval>,
    /// Alerts that were pending or fired, in the order in which they began.
    pub alerts: Vec<AlertLane>,
    /// Who was told what, by name; what no receiver accepted comes last, without a name.
    pub receivers: Vec<Receiver>,
    /// Width of a bin of latency, in seconds.
    pub bin_s: f64,
    /// Latency of the operations, by the time at which they were due.
    pub latency: Vec<Bin>,
}

/// Something that lasted, by name: a phase or a fault.
#[derive(Debug, Clone, PartialEq)]
pub struct FiringInterval {
    /// Name of what lasted.
    pub name: String,
    /// When it began, in seconds since the run began.
    pub from_s: f64,
    /// When it ended, in seconds since the run began; the end of the run if it was not seen to end.
    pub to_s: f64,
}

/// State of an alert that is not inactive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Its condition holds, not yet for long enough.
    Pending,
    /// The alert fires.
    Firing,
}

/// An alert's states over the run.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertLane {
    /// Name of the alert.
    pub alert: String,
    /// Stretches in which any of its series was in a state: first all that were pending, then all
    /// that fired.
    pub spans: Vec<(State, f64, f64)>,
}

/// A receiver's notifications over the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Receiver {
    /// Name of the receiver; `None` for notifications that none accepted.
    pub receiver: Option<String>,
    /// What it was notified of, in order.
    pub marks: Vec<Mark>,
}

/// An alert within a notification.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// When the notification arrived, in seconds since the run began.
    pub at_s: f64,
    /// Name of the alert, if the notification shows it.
    pub alert: String,
    /// Whether it was reported as resolved.
    pub resolved: bool,
}

/// The operations that were due within a bin of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Bin {
    /// The middle of the bin, in seconds since the run began.
    pub at_s: f64,
    /// Median latency, in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of the latency, in milliseconds.
    pub p99_ms: f64,
    /// Number of operations.
    pub operations: u64,
    /// Number of those that ended otherwise than their journey wants.
    pub failed: u64,
}

/// At most about this many bins, none narrower than two seconds.
const BINS: f64 = 240.0;

/// Puts what happened in a run on one time axis.
pub fn timeline(history: &History) -> Timeline {
    let end_s = super::duration_s(history);
    let phases = phases(history, end_s);
    let from_s = phases.iter().find(|p| p.name == "up").map_or(0.0, |p| p.from_s);
    let bin_s = ((end_s - from_s) / BINS).ceil().max(2.0);
    let faults = super::faults(history)
        .into_iter()
        .map(|f| FiringInterval {
            name: f.name(),
            from_s: f.injected_at,
            to_s: f.healed_at.unwrap_or(end_s),
        })
        .collect();
    Timeline {
        from_s,
        end_s,
        phases: phases.into_iter().filter(|p| p.to_s > from_s).collect(),
        faults,
        alerts: alerts(history),
        receivers: receivers(history),
        bin_s,
        latency: latency(history, bin_s),
    }
}

fn seconds(at: At) -> f64 {
    at.mono_us as f64 / 1e6
}

fn phases(history: &History, end_s: f64) -> Vec<FiringInterval> {
    let ended = |phase: Phase| {
        history.run().find_map(|(e, r)| {
            matches!(r, RunEvent::PhaseEnded { phase: p } if *p == phase).then_some(seconds(e.at))
        })
    };
    let began = history.run().filter_map(|(e, r)| match r {
        RunEvent::PhaseBegan { phase } => Some((*phase, seconds(e.at))),
        _ => None,
    });
    began
        .map(|(phase, from_s)| FiringInterval {
            name: format!("{phase:?}").to_lowercase(),
            from_s,
            to_s: ended(phase).unwrap_or(end_s),
        })
        .collect()
}

fn alerts(history: &History) -> Vec<AlertLane> {
    // The server's clock is the wall clock; the run's axis is monotonic. The first event ties both
    // together.
    let Some(origin) = history.events.first().map(|e| e.at.wall_s() - seconds(e.at)) else {
        return Vec::new();
    };
    let mut points: BTreeMap<(&str, State), (f64, Vec<f64>)> = BTreeMap::new();
    for (_, observation) in history.observations() {
        let Fact::Samples(samples) = &observation.fact else { continue };
        for series in samples.series.iter().filter(|_| samples.name == "alerts") {
            let (Some(name), Some(state)) =
                (series.labels.get("alertname"), series.labels.get("alertstate"))
            else {
                continue;
            };
            let state = if state == "firing" { State::Firing } else { State::Pending };
            let of = points.entry((name, state)).or_default();
            of.0 = of.0.max(samples.step_s);
            of.1.extend(series.points.iter().map(|(t, _)| t - origin));
        }
    }
    let mut lanes: BTreeMap<&str, Vec<(State, f64, f64)>> = BTreeMap::new();
    for ((name, state), (step_s, mut at)) in points {
        at.sort_by(f64::total_cmp);
        lanes
            .entry(name)
            .or_default()
            .extend(joined(&at, step_s).into_iter().map(|(from, to)| (state, from, to)));
    }
    let mut lanes: Vec<AlertLane> = lanes
        .into_iter()
        .map(|(alert, spans)| AlertLane { alert: alert.to_owned(), spans })
        .collect();
    let first = |lane: &AlertLane| lane.spans.iter().map(|s| s.1).fold(f64::INFINITY, f64::min);
    lanes.sort_by(|a, b| first(a).total_cmp(&first(b)));
    lanes
}

/// Stretches of sorted samples: one that comes within two and a half steps of the last belongs to
/// it, and each holds for a step.
fn joined(at: &[f64], step_s: f64) -> Vec<(f64, f64)> {
    let mut spans: Vec<(f64, f64)> = Vec::new();
    for t in at {
        match spans.last_mut() {
            Some((_, to)) if t - *to <= step_s * 1.5 => *to = t + step_s,
            _ => spans.push((*t, t + step_s)),
        }
    }
    spans
}

fn receivers(history: &History) -> Vec<Receiver> {
    let mut told: BTreeMap<(bool, Option<&str>), Vec<Mark>> = BTreeMap::new();
    for (event, n) in history.notifications() {
        let marks = told.entry((n.receiver.is_none(), n.receiver.as_deref())).or_default();
        let seen: BTreeSet<(&str, bool)> = n
            .alerts
            .iter()
            .map(|a| (a.labels.get("alertname").map_or("an alert", String::as_str), a.resolved))
            .collect();
        marks.extend(seen.into_iter().map(|(alert, resolved)| Mark {
            at_s: seconds(event.at),
            alert: alert.to_owned(),
            resolved,
        }));
    }
    told.into_iter()
        .map(|((_, receiver), marks)| Receiver { receiver: receiver.map(str::to_owned), marks })
        .collect()
}

fn latency(history: &History, bin_s: f64) -> Vec<Bin> {
    let mut bins: BTreeMap<i64, (Vec<f64>, u64)> = BTreeMap::new();
    for (_, o) in history.operations() {
        let bin = bins.entry((seconds(o.due) / bin_s).floor() as i64).or_default();
        bin.0.push(o.latency_ms());
        bin.1 += u64::from(!o.as_expected);
    }
    let bin = |(k, (mut all, failed)): (i64, (Vec<f64>, u64))| {
        all.sort_by(f64::total_cmp);
        let at = |q| rank(&all, q).unwrap_or(0.0);
        Bin {
            at_s: (k as f64 + 0.5) * bin_s,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            operations: all.len() as u64,
            failed,
        }
    };
    bins.into_iter().map(bin).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::history;
    use super::*;
    use crate::EventKind;
    use crate::observation::Observation;
    use crate::observation::metrics::{Samples, Series};

    #[test]
    fn samples_join_into_stretches_and_a_gap_parts_them() {
        assert_eq!(joined(&[1.0, 2.0, 3.0, 9.0], 1.0), [(1.0, 4.0), (9.0, 10.0)]);
        assert_eq!(joined(&[], 1.0), []);
    }

    #[test]
    fn an_alert_of_several_series_is_one_lane_on_the_runs_own_axis() {
        let series = |state: &str, instance: &str, from: f64| Series {
            labels: [("alertname", "Down"), ("alertstate", state), ("instance", instance)]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            points: (0..3).map(|i| (1_770_000_000.0 + from + f64::from(i), Some(1.0))).collect(),
        };
        let samples = Samples {
            name: "alerts".into(),
            expr: "ALERTS".into(),
            start_s: 0.0,
            end_s: 0.0,
            step_s: 1.0,
            series: vec![
                series("pending", "a", 5.0),
                series("firing", "a", 8.0),
                series("firing", "b", 9.0),
            ],
        };
        let observed = EventKind::Observation(Observation {
            source: "s".into(),
            via: None,
            asked: At::default(),
            answered: At::default(),
            fact: Fact::Samples(samples),
        });
        let lanes = timeline(&history([
            EventKind::Run(RunEvent::PhaseBegan { phase: Phase::Drive }),
            observed,
        ]))
        .alerts;
        assert_eq!(
            lanes,
            [AlertLane {
                alert: "Down".into(),
                spans: vec![(State::Pending, 5.0, 8.0), (State::Firing, 8.0, 12.0)]
            }]
        );
    }

    #[test]
    fn a_phase_without_end_lasts_until_the_last_event() {
        let phase = Phase::Drive;
        let seen = timeline(&history([
            EventKind::Run(RunEvent::PhaseBegan { phase }),
            EventKind::Run(RunEvent::DrillBegan { drill: "d".into(), wave: 0 }),
        ]));
        assert_eq!(seen.phases, [FiringInterval { name: "drive".into(), from_s: 0.0, to_s: 1.0 }]);
    }
}
