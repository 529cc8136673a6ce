//! After healing, latency and error rate are back within the baseline.

use super::Checker;
use super::proportion;
use super::timeline::{Interval, Timeline, merge, mono_s, without};
use super::wording::{count, list, number, percent};
use crate::baseline::Baseline;
use crate::cause::Cause;
use crate::history::load::Operation;
use crate::history::run::RunEvent;
use crate::{Event, History, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Operations of a step below which a percentile is no measurement: it is then held against the
/// stack only if so many values beyond the limit would come by chance less often than
/// `SMALL_SAMPLE_ALPHA`.
const LEAST_FOR_MEDIAN: usize = 20;
/// The same for the 99th percentile: below it, it is simply the largest value.
const LEAST_FOR_P99: usize = 100;
/// Chance of a false conviction from a small sample.
const SMALL_SAMPLE_ALPHA: f64 = 0.001;

/// The journeys' error rate and latency are inside the baseline in the healthy windows before the
/// first drill, and again after the last was healed; a fresh operation still flows through
/// everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recovered {
    /// Limits that error rate and latency must keep to.
    pub baseline: Baseline,
    /// Seconds after the end of a drill whose operations do not count yet.
    pub settle_s: f64,
}

/// Operations of one or several neighbouring windows without a drill.
struct Measured<'h> {
    /// Drills before it, the latest last; empty before the first.
    after: Vec<&'h str>,
    /// On the wall clock.
    times: Vec<Interval>,
    operations: Vec<(u64, &'h Operation)>,
}

impl Measured<'_> {
    fn name(&self) -> String {
        match self.after.as_slice() {
            [] => "before the first drill".into(),
            drills => format!("after drill {}", list(drills, 4)),
        }
    }

    fn absorb(&mut self, other: Self) {
        self.after.extend(other.after);
        self.times.extend(other.times);
        self.operations.extend(other.operations);
    }
}

/// Something outside the baseline.
struct Excess {
    what: String,
    /// Whether contention of the host may explain it.
    of_time: bool,
    witnesses: Vec<u64>,
}

/// The value below or at which a share `q` of the sorted values lies (nearest rank).
fn percentile(sorted: &[f64], q: f64) -> Option<f64> {
    let rank = (q * sorted.len() as f64 - 1e-9).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied()
}

/// Whether the percentile `q` of a sample is beyond its limit, as far as the sample can say.
fn beyond(sorted: &[f64], q: f64, limit: f64, enough: usize) -> bool {
    if sorted.len() >= enough {
        return percentile(sorted, q).is_some_and(|v| v > limit);
    }
    let above = sorted.iter().filter(|v| **v > limit).count() as u64;
    proportion::at_least(above, sorted.len() as u64, 1.0 - q) < SMALL_SAMPLE_ALPHA
}

impl Recovered {
    /// Windows without a drill and its settling, in order, with the operations that were due and
    /// done within each.
    fn windows<'h>(&self, timeline: &Timeline<'h>) -> Vec<Measured<'h>> {
        let mut operations: Vec<(&Event, &Operation)> = timeline.history.operations().collect();
        operations.sort_by_key(|(_, o)| (o.due.mono_us, o.id.as_str()));
        let (Some(first), Some(last)) = (operations.first(), operations.last()) else {
            return Vec::new();
        };
        let steady = timeline
            .history
            .run()
            .filter(|(_, r)| matches!(r, RunEvent::Steady { held: true, .. }))
            .map(|(e, _)| mono_s(e.at))
            .fold(f64::INFINITY, f64::min);
        let from = if steady.is_finite() { steady } else { mono_s(first.1.due) };
        let blocks: Vec<Interval> = timeline
            .drills
            .iter()
            .map(|d| Interval {
                from: mono_s(d.began.at),
                to: d.ended.map_or(f64::INFINITY, |m| mono_s(m.at) + self.settle_s),
            })
            .collect();
        let whole = Interval { from, to: mono_s(last.1.due).max(from) };
        let free = without(vec![whole], &merge(blocks.clone(), 0.0));
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut found = Vec::new();
        for w in free {
            let mut after = Vec::new();
            for (d, b) in timeline.drills.iter().zip(&blocks) {
                if b.to <= w.from && seen.insert(d.id) {
                    after.push(d.id);
                }
            }
            let mine: Vec<(u64, &Operation)> = operations
                .iter()
                .filter(|(_, o)| mono_s(o.due) >= w.from && mono_s(o.due) <= w.to)
                // What was still under way when the next drill began says nothing about the time
                // before it.
                .filter(|(_, o)| {
                    !blocks.iter().any(|b| mono_s(o.due) < b.from && mono_s(o.ended) >= b.from)
                })
                .map(|(e, o)| (e.seq, *o))
                .collect();
            let times = mine
                .iter()
                .map(|(_, o)| Interval { from: o.due.wall_s(), to: o.ended.wall_s() })
                .collect();
            found.push(Measured { after, times: merge(times, 1.0), operations: mine });
        }
        found
    }

    fn excesses(&self, m: &Measured<'_>) -> Vec<Excess> {
        let mut found = Vec::new();
        let total = m.operations.len();
        let wrong: Vec<_> = m.operations.iter().filter(|(_, o)| !o.as_expected).collect();
        let rate = wrong.len() as f64 / total.max(1) as f64;
        if rate > self.baseline.error_rate_max {
            let example = wrong
                .first()
                .and_then(|(_, o)| o.error.as_deref().or(Some(o.step.as_str())))
                .unwrap_or_default();
            let what = format!(
                "{} of {total} operations went wrong ({}, at most {} wanted), first: {example}",
                wrong.len(),
                percent(rate),
                percent(self.baseline.error_rate_max)
            );
            found.push(Excess {
                what,
                of_time: false,
                witnesses: wrong.iter().map(|(s, _)| *s).collect(),
            });
        }
        for (step, limit) in &self.baseline.steps {
            let mut of_step: Vec<(f64, u64)> = m
                .operations
                .iter()
                .filter(|(_, o)| o.is_step(step))
                .map(|(s, o)| (o.latency_ms(), *s))
                .collect();
            of_step.sort_by(|a, b| a.0.total_cmp(&b.0));
            let sorted: Vec<f64> = of_step.iter().map(|(v, _)| *v).collect();
            for (name, q, limit, enough) in [
                ("median", 0.5, limit.p50_ms, LEAST_FOR_MEDIAN),
                ("99th percentile", 0.99, limit.p99_ms, LEAST_FOR_P99),
            ] {
                if beyond(&sorted, q, limit, enough) {
                    let seen = percentile(&sorted, q).unwrap_or_default();
                    let what = format!(
                        "{name} of {step} was {} ms, at most {} ms wanted ({})",
                        number(seen.round()),
                        number(limit),
                        count(sorted.len() as u64, "operation", "operations")
                    );
                    let witnesses = of_step
                        .iter()
                        .rev()
                        .take_while(|(v, _)| *v > limit)
                        .map(|(_, s)| *s)
                        .collect();
                    found.push(Excess { what, of_time: true, witnesses });
                }
            }
        }
        found
    }
}

/// Windows that can be judged: one with fewer operations than `least` is joined with the next.
fn joined<'h>(windows: Vec<Measured<'h>>, least: usize) -> Vec<Measured<'h>> {
    let mut whole: Vec<Measured<'h>> = Vec::new();
    let mut waiting: Option<Measured<'h>> = None;
    for window in windows {
        let window = match waiting.take() {
            Some(mut before) => {
                before.absorb(window);
                before
            }
            None => window,
        };
        if window.operations.len() >= least { whole.push(window) } else { waiting = Some(window) }
    }
    whole
}

/// How a window stands against the baseline.
enum Standing {
    Inside,
    /// Slow while the host was contended: why, and the event that shows it.
    Excused(String, u64),
    Outside {
        what: String,
        witnesses: Vec<u64>,
    },
}

impl Recovered {
    /// Why the windows can't be judged: nothing, or too little, was measured after the last drills.
    fn unmeasured(
        &self,
        timeline: &Timeline<'_>,
        windows: &[Measured<'_>],
        least: usize,
    ) -> Option<String> {
        let Some(last) = windows.last() else {
            return Some("no operation ran outside of drills".into());
        };
        let drilled: BTreeSet<&str> = timeline.drills.iter().map(|d| d.id).collect();
        let known: BTreeSet<&str> = windows.iter().flat_map(|w| &w.after).copied().collect();
        if known != drilled {
            let open: Vec<&&str> = drilled.difference(&known).collect();
            return Some(format!("nothing was measured after drill {}", list(open, 4)));
        }
        let ran = last.operations.len();
        (ran < least).then(|| {
            format!(
                "{} ran {}, {least} wanted",
                count(ran as u64, "operation", "operations"),
                last.name()
            )
        })
    }

    fn standing(&self, timeline: &Timeline<'_>, window: &Measured<'_>) -> Standing {
        let excesses = self.excesses(window);
        if excesses.is_empty() {
            return Standing::Inside;
        }
        let what = format!("{}: {}", window.name(), list(excesses.iter().map(|e| &e.what), 4));
        if excesses.iter().all(|e| e.of_time)
            && let Some((why, seq)) = window.times.iter().find_map(|t| timeline.contended(*t))
        {
            let why = format!("slow while the host was contended: {what}; {why}");
            return Standing::Excused(why, seq);
        }
        Standing::Outside {
            what,
            witnesses: excesses.into_iter().flat_map(|e| e.witnesses).collect(),
        }
    }

    /// Notes the slowest operation of each step.
    fn note_slowest<'s>(&'s self, window: &Measured<'_>, slowest_ms: &mut BTreeMap<&'s str, f64>) {
        for (_, o) in &window.operations {
            for step in self.baseline.steps.keys().filter(|s| o.is_step(s)) {
                let slowest = slowest_ms.entry(step).or_default();
                *slowest = slowest.max(o.latency_ms());
            }
        }
    }
}

impl Checker for Recovered {
    fn id(&self) -> String {
        "recovery.baseline".into()
    }

    fn expected(&self) -> String {
        format!(
            "latency and error rate of the journeys are inside the baseline of {} before the drills and again after each",
            self.baseline.stack
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let least = self.baseline.operations_min.max(1) as usize;
        let windows = self.windows(&timeline);
        if let Some(why) = self.unmeasured(&timeline, &windows, least) {
            return Verdict::unknown(id, expected, why);
        }
        let judged = joined(windows, least);
        let mut excused = Vec::new();
        let mut slowest_ms: BTreeMap<&str, f64> = BTreeMap::new();
        for window in &judged {
            let (what, witnesses) = match self.standing(&timeline, window) {
                Standing::Inside => {
                    self.note_slowest(window, &mut slowest_ms);
                    continue;
                }
                Standing::Excused(why, seq) => {
                    excused.push((why, seq));
                    continue;
                }
                Standing::Outside { what, witnesses } => (what, witnesses),
            };
            let (cause, hint) = if window.after.is_empty() {
                (
                    Cause::OutsideBaseline,
                    "nothing was broken yet: is the baseline from another machine, or is the stack slow by itself? record one with `firedrill baseline record`",
                )
            } else {
                (
                    Cause::NotRecovered,
                    "look at what the drill left behind: exhausted pools, a backlog, a dependency that did not come back",
                )
            };
            return Verdict::fail(id, expected, cause, what).witnesses(witnesses).hint(hint);
        }
        if let Some((why, seq)) = excused.first() {
            return Verdict::unknown(id, expected, why.as_str()).witnesses([*seq]);
        }
        let ran =
            |step: &str| judged.iter().any(|m| m.operations.iter().any(|(_, o)| o.is_step(step)));
        let never: Vec<&String> = self.baseline.steps.keys().filter(|s| !ran(s)).collect();
        if !never.is_empty() {
            let why = format!("no operation of {} ran outside of drills", list(&never, 5));
            return Verdict::unknown(id, expected, why);
        }
        let operations: u64 = judged.iter().map(|m| m.operations.len() as u64).sum();
        let slowest: Vec<String> =
            slowest_ms.iter().map(|(s, v)| format!("{s} {} ms", number(v.round()))).collect();
        let reason = format!(
            "{operations} operations in {}; slowest: {}",
            count(judged.len() as u64, "window", "windows"),
            list(slowest, 5)
        );
        timeline.require_complete(
            Verdict::pass(id, expected, reason)
                .evidence("operations outside of drills", operations)
                .evidence("windows", judged.len() as u64),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&values, 0.5), Some(50.0));
        assert_eq!(percentile(&values, 0.99), Some(99.0));
        assert_eq!(percentile(&[7.0], 0.99), Some(7.0));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn one_slow_operation_of_few_is_no_percentile() {
        let mut values = vec![1.0; 49];
        values.push(1e6);
        assert!(!beyond(&values, 0.99, 10.0, LEAST_FOR_P99));
        assert!(beyond(&[1e6; 50], 0.99, 10.0, LEAST_FOR_P99));
        assert!(beyond(&[1e6; 10], 0.5, 10.0, LEAST_FOR_MEDIAN));
        assert!(!beyond(&[1e6; 2], 0.5, 10.0, LEAST_FOR_MEDIAN));
        assert!(!beyond(&[], 0.5, 10.0, LEAST_FOR_MEDIAN));
    }

    proptest! {
        #[test]
        fn a_percentile_is_one_of_the_values_and_grows_with_q(mut values in proptest::collection::vec(0.0f64..1e6, 1..200), q in 0.01f64..0.99) {
            values.sort_by(f64::total_cmp);
            let (low, high) = (percentile(&values, q).expect("one"), percentile(&values, (q + 0.01).min(1.0)).expect("one"));
            prop_assert!(values.contains(&low) && low <= high);
            let below = values.iter().filter(|v| **v <= low).count() as f64;
            prop_assert!(below >= q * values.len() as f64 - 1e-6);
        }

        #[test]
        fn scaling_values_and_limit_together_changes_nothing(mut values in proptest::collection::vec(0.0f64..1e4, 1..200), limit in 1.0f64..1e4) {
            values.sort_by(f64::total_cmp);
            let doubled: Vec<f64> = values.iter().map(|v| v * 2.0).collect();
            prop_assert_eq!(beyond(&values, 0.99, limit, LEAST_FOR_P99), beyond(&doubled, 0.99, limit * 2.0, LEAST_FOR_P99));
        }
    }
}
