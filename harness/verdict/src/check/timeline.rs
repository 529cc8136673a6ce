//! When things were: drills, healthy windows, what each drill may disturb. Everything is decided by
//! time, never by an event's position, so that the order in which unrelated events were written
//! changes nothing.

use crate::cause::Cause;
use crate::check::causes::FaultSpan;
use crate::check::wording::{count, list, number};
use crate::history::fault::{BlastRadius, FaultEvent};
use crate::history::load::{LoadEvent, Operation};
use crate::history::run::{Phase, RunEvent};
use crate::history::{At, Event, EventKind, History};
use crate::observation::asked::Asked;
use crate::observation::{Fact, Observation};
use crate::verdict::{Status, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// Seconds for which an operation's asynchronous part (queue, worker, delivery) may still run after
/// it was acknowledged: a drill that begins within them may disturb it.
pub(crate) const AFTER_EFFECT_S: f64 = 5.0;

/// Pressure (share of 10 s in which a task was stalled, per cent) above which the host counts as
/// loaded, so that alerts about the host itself say nothing about the stack. Measured on two cores:
/// 30 while the stack and a compiler kept both above 80 % busy.
pub const LOADED_SOME_AVG10: f64 = 10.0;

/// Share of the last ten seconds in which some task waited for a processor, per cent, from which on
/// the host counts as contended: lateness is then not held against the stack.
pub const CONTENDED_CPU_SOME_AVG10: f64 = 60.0;

/// Readings of the pressure totals that are further apart say nothing about what lies between.
const READINGS_APART_S: f64 = 3.0;

/// Seconds around an instant within which a pressure reading (an average over ten seconds) speaks
/// about it.
const PRESSURE_REACH_S: f64 = 10.0;

/// An event's time and number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub at: At,
    pub seq: u64,
}

/// Seconds on one clock, ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interval {
    pub from: f64,
    pub to: f64,
}

/// A window of the run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub from: At,
    pub to: At,
}

impl Window {
    /// On the wall clock.
    pub fn wall(self) -> Interval {
        Interval { from: self.from.wall_s(), to: self.to.wall_s() }
    }
}

/// A drill, as it went.
#[derive(Debug, Clone)]
pub(crate) struct Drill<'h> {
    pub id: &'h str,
    pub wave: u32,
    pub began: Moment,
    pub ended: Option<Moment>,
    /// In the order in which they were first heard of.
    pub faults: Vec<FaultSpan<'h>>,
    /// Services (targets included), alerts and signals that it may disturb.
    pub radius: BlastRadius,
}

impl Drill<'_> {
    /// On the monotonic clock; without end if the drill has none.
    fn mono(&self) -> Interval {
        Interval {
            from: mono_s(self.began.at),
            to: self.ended.map_or(f64::INFINITY, |m| mono_s(m.at)),
        }
    }

    /// On the wall clock; without end if the drill has none.
    pub fn wall(&self) -> Interval {
        Interval {
            from: self.began.at.wall_s(),
            to: self.ended.map_or(f64::INFINITY, |m| m.at.wall_s()),
        }
    }

    /// The time in which it may raise its alerts, on the wall clock: one whose fault was injected
    /// before the drills began has it from then on.
    pub fn raising(&self) -> Interval {
        let wall = self.wall();
        Interval {
            from: self.injected().map_or(wall.from, |m| m.at.wall_s().min(wall.from)),
            ..wall
        }
    }
}

/// A monitoring backend that did not answer, up to the first drill.
pub(crate) struct Silent<'h> {
    pub source: &'h str,
    pub question: &'h Asked,
    pub error: &'h str,
    pub seq: u64,
}

/// A history, read for its times.
pub(crate) struct Timeline<'h> {
    pub history: &'h History,
    /// In order of their beginning.
    pub drills: Vec<Drill<'h>>,
    complete: bool,
    origin: At,
}

pub(crate) fn mono_s(at: At) -> f64 {
    at.mono_us as f64 / 1e6
}

impl<'h> Timeline<'h> {
    pub fn of(history: &'h History) -> Timeline<'h> {
        let origin =
            history.run().find_map(|(e, r)| matches!(r, RunEvent::Started { .. }).then_some(e.at));
        let origin =
            origin.or_else(|| history.events.iter().map(|e| e.at).min()).unwrap_or_default();
        Timeline { history, drills: drills(history), complete: history.is_complete(), origin }
    }

    /// The last occurrence of a drill; see [`super::attempts`] for one that was run again.
    pub fn drill(&self, id: &str) -> Option<&Drill<'h>> {
        self.drills.iter().rev().find(|d| d.id == id)
    }

    /// Seconds since the run began, of a wall-clock time in seconds.
    pub fn since_start(&self, wall_s: f64) -> f64 {
        wall_s - self.origin.wall_s()
    }

    /// When the first drill began.
    pub fn first_began(&self) -> Option<At> {
        self.drills.first().map(|d| d.began.at)
    }

    /// A pass of a run that did not reach its end is none.
    pub fn require_complete(&self, verdict: Verdict) -> Verdict {
        if self.complete || verdict.status != Status::Pass {
            return verdict;
        }
        let reason = format!(
            "the run did not reach its end ({}); until then: {}",
            self.why_incomplete(),
            verdict.reason
        );
        Verdict { status: Status::Unknown, reason, ..verdict }
    }

    /// A failure that rests on something missing is none if the record ends too early to hold it.
    pub fn unless_truncated(&self, verdict: Verdict) -> Verdict {
        if self.complete || verdict.status != Status::Fail {
            return verdict;
        }
        let reason = format!(
            "the run did not reach its end ({}), so what is missing proves nothing; seen: {}",
            self.why_incomplete(),
            verdict.reason
        );
        Verdict {
            status: Status::Unknown,
            cause: None,
            stopped_at: None,
            hint: None,
            reason,
            ..verdict
        }
    }

    fn why_incomplete(&self) -> String {
        let said = self.history.run().find_map(|(_, r)| match r {
            RunEvent::Ended { complete: false, reason } => {
                Some(reason.clone().unwrap_or_else(|| "no reason given".into()))
            }
            _ => None,
        });
        said.unwrap_or_else(|| "its last event is missing".into())
    }

    /// Windows in which nothing is injected and the steady state was seen to hold: from each such
    /// statement to the next drill, or to the end of the drive. Merged, in order.
    pub fn healthy(&self) -> Vec<Window> {
        let mut found: Vec<Window> = Vec::new();
        for (event, run) in self.history.run() {
            if !matches!(run, RunEvent::Steady { held: true, .. }) {
                continue;
            }
            let from = event.at;
            if self.drills.iter().any(|d| {
                d.began.at.mono_us <= from.mono_us
                    && d.ended.is_none_or(|e| e.at.mono_us > from.mono_us)
            }) {
                continue;
            }
            if let Some(to) = self.next_boundary(from) {
                found.push(Window { from, to });
            }
        }
        found.sort_by_key(|w| w.from.mono_us);
        let mut merged: Vec<Window> = Vec::new();
        for w in found {
            match merged.last_mut() {
                Some(last) if w.from.mono_us <= last.to.mono_us => last.to = last.to.max(w.to),
                _ => merged.push(w),
            }
        }
        merged
    }

    fn next_boundary(&self, from: At) -> Option<At> {
        let drill =
            self.drills.iter().map(|d| d.began.at).filter(|at| at.mono_us > from.mono_us).min();
        drill
            .into_iter()
            .chain(self.drive_end(from))
            .min()
            .or_else(|| self.history.events.iter().map(|e| e.at).filter(|at| *at > from).max())
    }

    /// When the drive ended, after `from`.
    fn drive_end(&self, from: At) -> Option<At> {
        let ends = self.history.run().filter_map(|(e, r)| {
            let over = match r {
                RunEvent::PhaseEnded { phase: Phase::Drive } | RunEvent::Ended { .. } => true,
                RunEvent::PhaseBegan { phase } => {
                    matches!(phase, Phase::Drain | Phase::Capture | Phase::Down)
                }
                _ => false,
            };
            (over && e.at.mono_us > from.mono_us).then_some(e.at)
        });
        ends.min()
    }

    /// Observations about the healthy stack, oldest first: those answered before the first drill;
    /// all if there is none.
    pub fn healthy_facts(&self) -> Vec<(&'h Event, &'h Observation)> {
        let until = self.first_began().map_or(i64::MAX, |at| at.mono_us);
        let mut facts: Vec<_> =
            self.history.observations().filter(|(_, o)| o.answered.mono_us <= until).collect();
        facts.sort_by_key(|(_, o)| o.answered.mono_us);
        facts
    }

    /// Observations made when everything that judging needs was read, oldest first; none if that
    /// never began.
    pub fn captured_facts(&self) -> Vec<(&'h Event, &'h Observation)> {
        let began = self
            .history
            .run()
            .filter(|(_, r)| matches!(r, RunEvent::PhaseBegan { phase: Phase::Capture }))
            .map(|(e, _)| e.at.mono_us)
            .min();
        let Some(began) = began else { return Vec::new() };
        let mut facts: Vec<_> =
            self.history.observations().filter(|(_, o)| o.asked.mono_us >= began).collect();
        facts.sort_by_key(|(_, o)| o.answered.mono_us);
        facts
    }

    /// Why what was read at the capture may lack something, if so: an answer was cut off, or a
    /// backend that holds such facts (`kind`) left a question of the capture unanswered.
    pub fn capture_gap(&self, kind: impl Fn(&Fact) -> bool, truncated: bool) -> Option<String> {
        if truncated {
            return Some("an answer of the store was cut off by a limit".into());
        }
        let facts = self.captured_facts();
        let stores: BTreeSet<&str> =
            facts.iter().filter(|(_, o)| kind(&o.fact)).map(|(_, o)| o.source.as_str()).collect();
        facts.into_iter().find_map(|(_, o)| match &o.fact {
            Fact::Unreachable { question, error } if stores.contains(o.source.as_str()) => {
                Some(format!("{} left a question unanswered ({question}): {error}", o.source))
            }
            _ => None,
        })
    }

    /// The last fact of a kind on each source up to a wall-clock time; on a source that has none by
    /// then, the first after it.
    pub fn nearest<T>(
        &self,
        until_wall_s: f64,
        pick: impl Fn(&'h Observation) -> Option<T>,
    ) -> Vec<(u64, &'h str, T)> {
        let mut all: Vec<(u64, &'h Observation, T)> = self
            .history
            .observations()
            .filter_map(|(e, o)| pick(o).map(|t| (e.seq, o, t)))
            .collect();
        all.sort_by_key(|(_, o, _)| o.answered.mono_us);
        let mut best: BTreeMap<&str, (u64, &'h Observation, T)> = BTreeMap::new();
        for (seq, o, t) in all {
            if o.answered.wall_s() <= until_wall_s || !best.contains_key(o.source.as_str()) {
                best.insert(&o.source, (seq, o, t));
            }
        }
        best.into_values().map(|(seq, o, t)| (seq, o.source.as_str(), t)).collect()
    }

    /// A backend that should answer questions of this kind in the healthy stack and whose last word
    /// before the first drill is that it does not. `asks` recognises the question where the backend
    /// never answered one of this kind.
    pub fn unreachable_source(
        &self,
        kind: impl Fn(&Fact) -> bool,
        asks: impl Fn(&Asked) -> bool,
    ) -> Option<Silent<'h>> {
        let known: BTreeSet<&str> = self
            .history
            .observations()
            .filter(|(_, o)| kind(&o.fact))
            .map(|(_, o)| o.source.as_str())
            .collect();
        let mut last: BTreeMap<&str, (&Event, &Observation)> = BTreeMap::new();
        for (e, o) in self.healthy_facts() {
            if !matches!(o.fact, Fact::Health(_) | Fact::Pressure(_) | Fact::Evaluations { .. }) {
                last.insert(&o.source, (e, o));
            }
        }
        last.into_iter().find_map(|(source, (e, o))| match &o.fact {
            Fact::Unreachable { question, error } => (known.contains(source) || asks(question))
                .then_some(Silent { source, question, error, seq: e.seq }),
            _ => None,
        })
    }

    /// The drill that may have disturbed what an operation led to in these services, if any.
    pub fn disturbed(&self, op: &Operation, services: &BTreeSet<&str>) -> Option<&Drill<'h>> {
        self.during(op).find(|d| {
            d.radius.journeys || d.radius.services.iter().any(|s| services.contains(s.as_str()))
        })
    }

    /// Drills in whose window an operation, or its asynchronous part, ran.
    pub fn during(&self, op: &Operation) -> impl Iterator<Item = &Drill<'h>> {
        let (from, to) = (mono_s(op.due), mono_s(op.ended) + AFTER_EFFECT_S);
        self.drills.iter().filter(move |d| {
            let w = d.mono();
            from <= w.to && to >= w.from
        })
    }

    /// Why a drill proves nothing, if so: it did not happen, one of its faults did not bite, or the load
    /// under it can't be relied on.
    pub fn vacuous(&self, id: &str) -> Option<(String, Vec<u64>)> {
        let Some(drill) = self.drill(id) else {
            return Some((format!("drill {id} never began"), vec![]));
        };
        if let Some(vacuous) = drill.vacuous() {
            return Some(vacuous);
        }
        self.history.events.iter().find_map(|e| match &e.kind {
            EventKind::Load(LoadEvent::Ended { stream, summary })
                if stream == id || (stream == "background" && drill.radius.journeys) =>
            {
                summary.invalid.as_ref().map(|why| {
                    (
                        format!(
                            "drill {id} depends on load {stream}, which can't be relied on: {why}"
                        ),
                        vec![e.seq],
                    )
                })
            }
            _ => None,
        })
    }

    /// How contended the host was in a window of wall-clock time, if it was: for the sentence, and
    /// the event that shows it.
    pub fn contended(&self, window: Interval) -> Option<(String, u64)> {
        let worst = self
            .pressures(window)
            .filter(|(_, p)| p.cpu_some_avg10 > CONTENDED_CPU_SOME_AVG10)
            .max_by(|a, b| a.1.cpu_some_avg10.total_cmp(&b.1.cpu_some_avg10))?;
        let text = format!(
            "tasks waited for a processor {} % of the time, above the limit of {} % from which the host counts as contended",
            number((worst.1.cpu_some_avg10 * 10.0).round() / 10.0),
            number(CONTENDED_CPU_SOME_AVG10)
        );
        Some((text, worst.0))
    }

    /// Seconds of a window (wall clock) in which some task waited for a processor, memory or a disk,
    /// or a hypervisor ran other guests: no path of work was held up for longer than that. `None`
    /// where it is not known: readings are more than [`READINGS_APART_S`] apart, or don't reach
    /// around the window.
    ///
    /// The kernel counts microseconds in which at least one task waited
    /// (<https://docs.kernel.org/accounting/psi.html>), so the growth of its totals is an upper bound.
    pub fn stalled(&self, window: Interval) -> Option<f64> {
        let mut readings: Vec<(f64, u64)> = self
            .history
            .observations()
            .filter_map(|(_, o)| match &o.fact {
                Fact::Pressure(p) => {
                    let total = p.cpu_some_us + p.memory_some_us + p.io_some_us + p.steal_us;
                    Some((o.answered.wall_s(), total))
                }
                _ => None,
            })
            .collect();
        readings.sort_by(|a, b| a.0.total_cmp(&b.0));
        let first = readings.iter().rposition(|(at, _)| *at <= window.from)?;
        let last = readings.iter().position(|(at, _)| *at >= window.to)?;
        let span = readings.get(first..=last)?;
        let known =
            span.windows(2).all(|w| w[1].0 - w[0].0 <= READINGS_APART_S && w[1].1 >= w[0].1);
        let grown = span.last()?.1.checked_sub(span.first()?.1)?;
        // Versions that did not read the totals recorded none.
        (known && span.first()?.1 > 0).then(|| (grown as f64 / 1e6).min(window.to - window.from))
    }

    /// Whether anything of the host (processors, memory, disks) was loaded at an instant of
    /// wall-clock time.
    pub fn host_loaded(&self, wall_s: f64) -> bool {
        let loaded = |p: &crate::observation::host::Pressure| {
            p.cpu_some_avg10.max(p.memory_some_avg10).max(p.io_some_avg10) > LOADED_SOME_AVG10
        };
        self.pressures(Interval { from: wall_s - PRESSURE_REACH_S, to: wall_s })
            .any(|(_, p)| loaded(p))
    }

    fn pressures(
        &self,
        window: Interval,
    ) -> impl Iterator<Item = (u64, &'h crate::observation::host::Pressure)> {
        self.history.observations().filter_map(move |(e, o)| match &o.fact {
            Fact::Pressure(p)
                if (window.from..=window.to + PRESSURE_REACH_S).contains(&o.answered.wall_s()) =>
            {
                Some((e.seq, p))
            }
            _ => None,
        })
    }

    /// The verdict on a question that was never answered in the healthy stack: a backend that does
    /// not answer is a failure, one that was not asked is unknown.
    pub fn unanswered(
        &self,
        id: String,
        expected: String,
        what: &str,
        kind: impl Fn(&Fact) -> bool,
        asks: impl Fn(&Asked) -> bool,
    ) -> Verdict {
        match self.unreachable_source(kind, asks) {
            Some(s) => unreachable_backend(id, expected, &s),
            None => Verdict::unknown(
                id,
                expected,
                format!("{what} were never asked for while the stack was healthy"),
            ),
        }
    }
}

/// The failure of a monitoring backend that does not answer in a healthy stack.
pub(crate) fn unreachable_backend(id: String, expected: String, s: &Silent<'_>) -> Verdict {
    Verdict::fail(
        id,
        expected,
        Cause::ServiceUnhealthy,
        format!("{} did not answer ({}): {}", s.source, s.question, s.error),
    )
    .witnesses([s.seq])
    .hint(format!(
        "look at the log of {}; it was still silent when the first drill was due",
        s.source
    ))
}

/// Merges overlapping intervals and those no further apart than `gap`; the result is sorted.
pub(crate) fn merge(mut intervals: Vec<Interval>, gap: f64) -> Vec<Interval> {
    intervals.retain(|i| i.to >= i.from);
    intervals.sort_by(|a, b| a.from.total_cmp(&b.from));
    let mut merged: Vec<Interval> = Vec::new();
    for i in intervals {
        match merged.last_mut() {
            Some(last) if i.from <= last.to + gap => last.to = last.to.max(i.to),
            _ => merged.push(i),
        }
    }
    merged
}

/// What of `from` lies in none of `holes`.
pub(crate) fn without(from: Vec<Interval>, holes: &[Interval]) -> Vec<Interval> {
    holes.iter().fold(from, |left, hole| {
        let cut = |i: Interval| {
            if hole.to <= i.from || hole.from >= i.to {
                return vec![i];
            }
            let parts = [
                Interval { from: i.from, to: hole.from.min(i.to) },
                Interval { from: hole.to.max(i.from), to: i.to },
            ];
            parts.into_iter().filter(|p| p.to > p.from).collect()
        };
        left.into_iter().flat_map(cut).collect()
    })
}

/// How many operations drills exempted, and which drills, for a reason; empty if none.
pub(crate) fn exempted(drills: &BTreeMap<&str, u64>) -> String {
    let total: u64 = drills.values().sum();
    if total == 0 {
        String::new()
    } else {
        format!(
            "; {} exempted, disturbed by {}",
            count(total, "operation", "operations"),
            list(drills.keys(), 5)
        )
    }
}

fn drills(history: &History) -> Vec<Drill<'_>> {
    let mut found: Vec<Drill<'_>> = Vec::new();
    for (e, run) in history.run() {
        if let RunEvent::DrillBegan { drill, wave } = run {
            found.push(Drill {
                id: drill,
                wave: *wave,
                began: Moment { at: e.at, seq: e.seq },
                ended: None,
                faults: Vec::new(),
                radius: BlastRadius::default(),
            });
        }
    }
    found.sort_by_key(|d| d.began.at.mono_us);
    // An event belongs to the last occurrence of its drill that began before it, or to the first,
    // if its fault was there early.
    let of = |id: &str, at: At| {
        let before = found.iter().rposition(|d| d.id == id && d.began.at.mono_us <= at.mono_us);
        before.or_else(|| found.iter().position(|d| d.id == id))
    };
    let mut ends: Vec<(usize, Moment)> = Vec::new();
    for (e, run) in history.run() {
        if let RunEvent::DrillEnded { drill } = run {
            ends.extend(of(drill, e.at).map(|i| (i, Moment { at: e.at, seq: e.seq })));
        }
    }
    let mut faults: Vec<(usize, Moment, &FaultEvent)> = history
        .faults()
        .filter_map(|(e, f)| of(f.drill(), e.at).map(|i| (i, Moment { at: e.at, seq: e.seq }, f)))
        .collect();
    faults.sort_by_key(|(_, m, _)| m.at.mono_us);
    for (i, m) in ends {
        found[i].ended = Some(m);
    }
    for (i, m, fault) in faults {
        let d = &mut found[i];
        let at = d.faults.iter().position(|f| f.id == fault.fault()).unwrap_or_else(|| {
            d.faults.push(FaultSpan::new(fault.fault()));
            d.faults.len() - 1
        });
        let span = &mut d.faults[at];
        match fault {
            FaultEvent::Injected { target, instances, blast_radius, .. } => {
                span.injected = span.injected.or(Some(m));
                d.radius.services.push(target.clone());
                d.radius.services.extend(instances.iter().cloned());
                d.radius.services.extend(blast_radius.services.iter().cloned());
                d.radius.alerts.extend(blast_radius.alerts.iter().cloned());
                d.radius.journeys |= blast_radius.journeys;
                d.radius.host |= blast_radius.host;
            }
            FaultEvent::NotInjected { why, .. } => span.not_injected = Some((m, why)),
            FaultEvent::Bit { .. } => span.bit = span.bit.or(Some(m)),
            FaultEvent::DidNotBite { seen, .. } => span.did_not_bite = Some((m, seen)),
            FaultEvent::Healed { .. } => span.healed = Some(m),
            FaultEvent::Left { .. } => span.left = Some(m),
            FaultEvent::DidNotLeave { seen, .. } => span.did_not_leave = Some((m, seen)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn i(from: f64, to: f64) -> Interval {
        Interval { from, to }
    }

    #[test]
    fn intervals_merge_and_are_cut() {
        assert_eq!(
            merge(vec![i(5.0, 6.0), i(0.0, 1.0), i(1.5, 2.0)], 0.5),
            vec![i(0.0, 2.0), i(5.0, 6.0)]
        );
        assert_eq!(
            without(vec![i(0.0, 10.0)], &[i(2.0, 3.0), i(9.0, 12.0)]),
            vec![i(0.0, 2.0), i(3.0, 9.0)]
        );
        assert_eq!(without(vec![i(0.0, 1.0)], &[i(-1.0, 2.0)]), vec![]);
    }
}
