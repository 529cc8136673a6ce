//! When alerts were pending and firing, read from the `ALERTS` series over the whole run, and how
//! far that record reaches.

use crate::check::causes::Struck;
use crate::check::timeline::{Drill, Interval, Timeline, merge};
use crate::check::wording::seconds;
use crate::history::History;
use crate::observation::{Fact, metrics::Samples};
use std::collections::BTreeMap;

/// The name under which the capture records the `ALERTS` series.
pub const ALERTS_SAMPLES: &str = "alerts";

/// The label that names an alert, in series, in the alert manager and in notifications.
pub const ALERT_NAME: &str = "alertname";

/// The label that says whether an alert is pending or firing, in the `ALERTS` series.
pub(crate) const ALERT_STATE: &str = "alertstate";

/// Largest ratio of the step of the samples to the evaluation interval with which "it never fired"
/// can be said.
const COARSEST_STEP: f64 = 1.5;

/// An alert's uninterrupted time in one state, on the wall clock of the metrics server.
#[derive(Debug, Clone)]
pub(crate) struct FiringInterval {
    /// First sample.
    pub from: f64,
    /// Last sample; it may have lasted one resolution longer.
    pub to: f64,
    /// Labels, state and name of the series left out.
    pub labels: BTreeMap<String, String>,
    /// Event that holds the samples.
    pub seq: u64,
}

/// How an alert began to fire under a drill's fault.
pub(crate) enum Onset {
    /// It fired; this is the first stretch that began after the injection.
    Fired(FiringInterval),
    /// It had been firing before the injection.
    AlreadyFiring(FiringInterval),
    /// It did not fire in the window.
    Silent,
    /// The record does not say.
    Unrecorded(String),
}

#[derive(Debug, Default)]
struct Points {
    times: Vec<f64>,
    seq: u64,
}

/// All samples of `ALERTS`, pieces united.
pub(crate) struct Firing {
    pieces: usize,
    covered: Vec<Interval>,
    /// Largest step of the pieces, seconds; 0 if all are raw samples.
    step: f64,
    /// By alert, state and other labels.
    series: BTreeMap<(String, String, BTreeMap<String, String>), Points>,
    /// Evaluation interval by alert, as the server has loaded its rules.
    intervals: BTreeMap<String, f64>,
    /// Events that hold the samples.
    pub seqs: Vec<u64>,
}

impl Firing {
    pub fn of(history: &History) -> Firing {
        let mut firing = Firing {
            pieces: 0,
            covered: vec![],
            step: 0.0,
            series: BTreeMap::new(),
            intervals: BTreeMap::new(),
            seqs: vec![],
        };
        for (e, o) in history.observations() {
            match &o.fact {
                Fact::Samples(s) if s.name == ALERTS_SAMPLES => firing.add(e.seq, s),
                Fact::Rules { groups } => {
                    for g in groups {
                        for r in g.rules.iter().filter(|r| r.alerting && g.interval_s > 0.0) {
                            firing.intervals.insert(r.name.clone(), g.interval_s);
                        }
                    }
                }
                _ => {}
            }
        }
        for points in firing.series.values_mut() {
            points.times.sort_by(f64::total_cmp);
            points.times.dedup_by(|a, b| (*a - *b).abs() < 1e-6);
        }
        let gap = firing.step.max(firing.intervals.values().copied().fold(0.0, f64::max))
            * COARSEST_STEP
            + 1e-3;
        firing.covered = merge(std::mem::take(&mut firing.covered), gap);
        firing
    }

    fn add(&mut self, seq: u64, s: &Samples) {
        self.pieces += 1;
        self.seqs.push(seq);
        self.step = self.step.max(s.step_s);
        self.covered.push(Interval { from: s.start_s, to: s.end_s });
        for series in &s.series {
            let (Some(name), Some(state)) =
                (series.labels.get(ALERT_NAME), series.labels.get(ALERT_STATE))
            else {
                continue;
            };
            let labels = series
                .labels
                .iter()
                .filter(|(k, _)| !["__name__", ALERT_NAME, ALERT_STATE].contains(&k.as_str()));
            let key = (
                name.clone(),
                state.clone(),
                labels.map(|(k, v)| (k.clone(), v.clone())).collect(),
            );
            let points = self.series.entry(key).or_insert_with(|| Points { times: vec![], seq });
            points.times.extend(
                series.points.iter().filter(|(_, v)| v.is_some_and(|v| v > 0.0)).map(|(t, _)| *t),
            );
        }
    }

    /// Whether anything was recorded at all.
    pub fn recorded(&self) -> bool {
        self.pieces > 0
    }

    /// Names of all alerts that were ever pending or firing.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.series.keys().map(|(name, _, _)| name.as_str()).collect();
        names.dedup();
        names
    }

    /// Seconds by which a time read from the samples may be off: their step; for raw samples the
    /// evaluation interval, or, where no rule tells it, the usual distance of the points. `None` if
    /// nothing tells it.
    pub fn resolution(&self, alert: &str) -> Option<f64> {
        if self.step > 0.0 {
            return Some(self.step);
        }
        let known = self
            .intervals
            .get(alert)
            .copied()
            .or_else(|| self.intervals.values().copied().max_by(f64::total_cmp));
        if known.is_some() {
            return known;
        }
        let mut gaps: Vec<f64> =
            self.series.values().flat_map(|p| p.times.windows(2).map(|w| w[1] - w[0])).collect();
        gaps.sort_by(f64::total_cmp);
        gaps.get(gaps.len() / 2).copied()
    }

    /// Whether the samples are fine enough to say that an alert did not fire between two of them.
    pub fn too_coarse(&self, alert: &str) -> Option<String> {
        let interval = *self.intervals.get(alert)?;
        (self.step > interval * COARSEST_STEP).then(|| {
            format!(
                "ALERTS was recorded every {} while the rule is evaluated every {}: a short alert could be missed",
                seconds(self.step),
                seconds(interval)
            )
        })
    }

    /// Whether the record reaches over a window, give or take one resolution; if not, the reason.
    pub fn gap(&self, alert: &str, window: Interval) -> Option<String> {
        if !self.recorded() {
            return Some("the ALERTS series was never recorded".into());
        }
        let Some(resolution) = self.resolution(alert) else {
            return Some(
                "ALERTS was recorded as raw samples that hold no point, and no loaded rule tells how often it is evaluated".into(),
            );
        };
        let slack = resolution + 1e-3;
        let whole =
            self.covered.iter().any(|c| c.from <= window.from + slack && c.to >= window.to - slack);
        (!whole).then(|| {
            format!(
                "the record of ALERTS does not cover the {} that matter",
                seconds((window.to - window.from).max(0.0))
            )
        })
    }

    /// Number of evaluations that a window holds.
    pub fn evaluations(&self, alert: &str, window: Interval) -> u64 {
        match self.resolution(alert) {
            Some(r) if r > 0.0 => ((window.to - window.from).max(0.0) / r).floor() as u64,
            _ => 0,
        }
    }

    fn stretches(&self, alert: &str, state: &str) -> Vec<FiringInterval> {
        let gap = self.resolution(alert).unwrap_or(0.0) * COARSEST_STEP + 1e-3;
        let mut found = Vec::new();
        for ((_, _, labels), points) in
            self.series.iter().filter(|((name, s, _), _)| name == alert && s == state)
        {
            let mut current: Option<FiringInterval> = None;
            for t in &points.times {
                match &mut current {
                    Some(c) if *t - c.to <= gap => c.to = *t,
                    _ => found.extend(current.replace(FiringInterval {
                        from: *t,
                        to: *t,
                        labels: labels.clone(),
                        seq: points.seq,
                    })),
                }
            }
            found.extend(current);
        }
        found.sort_by(|a, b| a.from.total_cmp(&b.from));
        found
    }

    /// When the alert fired, oldest first.
    pub fn firing(&self, alert: &str) -> Vec<FiringInterval> {
        self.stretches(alert, "firing")
    }

    /// When it was pending, oldest first.
    pub fn pending(&self, alert: &str) -> Vec<FiringInterval> {
        self.stretches(alert, "pending")
    }

    /// How far the record reaches, from a time on.
    pub fn covered_from(&self, from: f64) -> f64 {
        self.covered
            .iter()
            .filter(|c| c.from <= from + 1e-3 && c.to >= from)
            .map(|c| c.to)
            .fold(from, f64::max)
    }

    /// How the alert began to fire in a drill, from the first injection of its phase on; `within_s`
    /// is its budget from the last one, and all times are wall-clock seconds.
    pub fn onset(&self, alert: &str, injection: Interval, until: f64, within_s: f64) -> Onset {
        let injected = injection.from;
        if let Some(why) = self.gap(alert, Interval { from: injected, to: injected }) {
            return Onset::Unrecorded(why);
        }
        let firing = self.firing(alert);
        if let Some(first) = firing.iter().find(|s| s.from >= injected && s.from <= until) {
            return match self.gap(alert, Interval { from: injected, to: first.from }) {
                Some(why) => Onset::Unrecorded(why),
                None => Onset::Fired(first.clone()),
            };
        }
        if let Some(before) = firing.into_iter().find(|s| s.from < injected && s.to >= injected) {
            return Onset::AlreadyFiring(before);
        }
        let wanted = Interval { from: injected, to: until.min(injection.to + within_s) };
        if let Some(why) = self.gap(alert, wanted).or_else(|| self.too_coarse(alert)) {
            return Onset::Unrecorded(why);
        }
        Onset::Silent
    }
}

/// The wall-clock time until which a drill's events are its own: its end, or that of the record.
pub(crate) fn drill_until(timeline: &Timeline<'_>, drill: &Drill<'_>) -> f64 {
    let last = timeline
        .history
        .events
        .iter()
        .map(|e| e.at.wall_s())
        .fold(drill.began.at.wall_s(), f64::max);
    drill.wall().to.min(last)
}

/// Why a drill did not last long enough to say that something did not happen in `within_s` from its
/// injection, if so.
pub(crate) fn cut_short(struck: &Struck<'_, '_>, within_s: f64, resolution: f64) -> Option<String> {
    let healed = struck.healed.map_or(f64::INFINITY, |m| m.at.wall_s());
    let lasted = healed.min(struck.until) - struck.injected.at.wall_s();
    (lasted + resolution + 1e-3 < within_s).then(|| {
        format!(
            "drill {} gave it only {} of the {} that it may take",
            struck.drill.id,
            seconds(lasted),
            seconds(within_s)
        )
    })
}
