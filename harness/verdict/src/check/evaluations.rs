//! Whether an alert's rule was evaluated all the time: a server that evaluates nothing is as silent
//! as one to which nothing happens.

use crate::check::timeline::{Drill, Interval};
use crate::check::wording::seconds;
use crate::history::History;
use crate::observation::Fact;
use std::collections::{BTreeMap, BTreeSet};

/// A rule group: its file and name.
type Group<'h> = (&'h str, &'h str);

/// Evaluations that may be missing in a stretch: two may fall on its edges, one may be late.
const MISSING_MAX: f64 = 3.0;
/// Share of the evaluations of a stretch that may be missing: a host that others use delays some.
const MISSING_SHARE: f64 = 0.25;
/// Stretches between this many readings are looked at, so that what falls on a reading, or hinders
/// it, is seen as well.
const REACH: usize = 3;

/// How far a group's counters were at a time.
#[derive(Debug, Clone, Copy)]
struct Reading {
    asked: f64,
    answered: f64,
    evaluated: u64,
    failed: u64,
}

/// How often each rule group was evaluated, over the run.
pub(crate) struct Evaluations<'h> {
    sources: BTreeSet<&'h str>,
    readings: BTreeMap<Group<'h>, Vec<Reading>>,
    /// Interval of each group, seconds.
    intervals: BTreeMap<Group<'h>, f64>,
    /// The groups that hold an alert.
    groups: BTreeMap<&'h str, BTreeSet<Group<'h>>>,
}

impl<'h> Evaluations<'h> {
    pub fn of(history: &'h History) -> Evaluations<'h> {
        let mut found = Evaluations {
            sources: BTreeSet::new(),
            readings: BTreeMap::new(),
            intervals: BTreeMap::new(),
            groups: BTreeMap::new(),
        };
        for (_, o) in history.observations() {
            match &o.fact {
                Fact::Evaluations { groups } => {
                    found.sources.insert(&o.source);
                    for g in groups {
                        let (asked, answered) = (o.asked.wall_s(), o.answered.wall_s());
                        let reading =
                            Reading { asked, answered, evaluated: g.evaluated, failed: g.failed };
                        found.readings.entry((&g.file, &g.name)).or_default().push(reading);
                    }
                }
                Fact::Rules { groups } => {
                    for g in groups.iter().filter(|g| g.interval_s > 0.0) {
                        found.intervals.insert((&g.file, &g.name), g.interval_s);
                        for r in g.rules.iter().filter(|r| r.alerting) {
                            found.groups.entry(&r.name).or_default().insert((&g.file, &g.name));
                        }
                    }
                }
                _ => {}
            }
        }
        found
            .readings
            .values_mut()
            .for_each(|r| r.sort_by(|a, b| a.answered.total_cmp(&b.answered)));
        found
    }

    /// Why silence in a window proves nothing, if so: the group of the alert (of any alert, if it
    /// is empty) was not evaluated all the time, or nothing tells. A drill on the server itself
    /// says nothing about its silence during that drill.
    pub fn gap(&self, alert: &str, window: Interval, drills: &[Drill<'_>]) -> Option<String> {
        let on_server =
            |d: &&Drill<'_>| d.radius.services.iter().any(|s| self.sources.contains(s.as_str()));
        let dead: Vec<Interval> = drills.iter().filter(on_server).map(Drill::wall).collect();
        let groups: BTreeSet<Group<'_>> = match alert {
            "" => self.groups.values().flatten().copied().collect(),
            _ => self.groups.get(alert).cloned().unwrap_or_default(),
        };
        groups.into_iter().find_map(|g| self.gap_of(g, window, &dead))
    }

    fn gap_of(&self, group: Group<'_>, window: Interval, dead: &[Interval]) -> Option<String> {
        let interval = *self.intervals.get(&group)?;
        let all = self.readings.get(&group).map_or(&[][..], Vec::as_slice);
        let mut distances: Vec<f64> =
            all.windows(2).map(|w| w[1].answered - w[0].answered).collect();
        distances.sort_by(f64::total_cmp);
        let unrecorded = || {
            Some(format!(
                "how often rule group {} was evaluated is not recorded for the {} that matter",
                group.1,
                seconds(window.to - window.from)
            ))
        };
        let Some(usual) = distances.get(distances.len() / 2) else { return unrecorded() };
        // A window that is too short to hold two readings is judged by those around it.
        let (from, to) = (window.from - usual, window.to + usual);
        let before = all.iter().rposition(|r| r.answered <= window.from).unwrap_or(0);
        let after = all.iter().position(|r| r.asked >= window.to).unwrap_or(all.len() - 1);
        let near = |r: &&Reading| r.answered >= from && r.asked <= to;
        let readings: Vec<&Reading> = all[before..=after.max(before)].iter().filter(near).collect();
        let dead = |i: Interval| dead.iter().any(|d| d.from <= i.to && d.to >= i.from);
        let (Some(first), Some(last)) = (readings.first(), readings.last()) else {
            return if dead(window) { None } else { unrecorded() };
        };
        let edges = [
            Interval { from: window.from, to: first.answered },
            Interval { from: last.asked, to: window.to },
        ];
        if edges.into_iter().any(|e| e.to - e.from > usual * 2.0 && !dead(e)) {
            return unrecorded();
        }
        for (i, a) in readings.iter().enumerate() {
            let mut seen = 0;
            for pair in readings[i..].windows(2).take(REACH) {
                seen += done(pair[0], pair[1]);
                let between = Interval { from: a.answered, to: pair[1].asked };
                let due = (between.to - between.from) / interval;
                let missing = due - seen as f64;
                if missing >= MISSING_MAX && missing > due * MISSING_SHARE && !dead(between) {
                    return Some(format!(
                        "rule group {} was evaluated {seen} times without error in {}, where {} were due: a server that evaluates nothing is silent as well",
                        group.1,
                        seconds(between.to - between.from),
                        due.round()
                    ));
                }
            }
        }
        None
    }
}

/// Evaluations without error from one reading to the next; a counter that fell began anew.
fn done(a: &Reading, b: &Reading) -> u64 {
    let grown = |from: u64, to: u64| if to >= from { to - from } else { to };
    grown(a.evaluated, b.evaluated).saturating_sub(grown(a.failed, b.failed))
}
