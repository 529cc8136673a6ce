//! What one run measured: a value for each measure of the gate, and whether it measured all.

use super::ledger::rank;
use super::{AlertRow, LedgerRow};
use crate::History;
use crate::Verdict;
use crate::baseline::{Gate, Source, Take};
use crate::check::{clock, wording::number};
use crate::history::load::Operation;
use crate::history::run::{Phase, RunEvent};
use crate::observation::Fact;
use crate::observation::traces::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Fewest operations that a percentile or an error rate rests on.
const LEAST_OPERATIONS: usize = 20;
/// Fewest points of an expression.
const LEAST_POINTS: usize = 3;

/// A run's value of a measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// In the measure's unit; null if the run could not tell.
    pub value: Option<f64>,
    /// What it rests on, or why there is none.
    pub rests_on: String,
}

/// Name under which a measure's samples are recorded.
pub fn samples_name(measure: &str) -> String {
    format!("measure:{measure}")
}

/// The window of a run: from the end of the warm-up to the first drill or the end of the drive, wall-clock seconds.
pub fn window(history: &History, warm_up_s: f64) -> Option<(f64, f64)> {
    let at = |wanted: RunEvent| history.run().find(|(_, r)| **r == wanted).map(|(e, _)| e.at.wall_s());
    let from = at(RunEvent::PhaseBegan { phase: Phase::Drive })? + warm_up_s;
    let drill = history.run().find(|(_, r)| matches!(r, RunEvent::DrillBegan { .. })).map(|(e, _)| e.at.wall_s());
    let to = drill.or_else(|| at(RunEvent::PhaseEnded { phase: Phase::Drive }))?;
    (to > from).then_some((from, to))
}

/// Each measure's value and what it rests on, or why there is none.
pub fn measures(history: &History, gate: &Gate, ledger: &[LedgerRow], alerts: &[AlertRow]) -> BTreeMap<String, Measured> {
    let whole = history.is_complete();
    let window = window(history, gate.warm_up_s);
    // Windows are told by the host's clock, and so is what servers stamp.
    let step = clock::step(history);
    let value = |name: &str, source: &Source| {
        if !whole {
            return Err("the run's record ends early".to_owned());
        }
        if let Some(step) = step {
            return Err(format!("the host's clock was stepped by {:+.1} s between events {} and {}", step.by_s, step.before, step.after));
        }
        let (from, to) = window.ok_or("the run has no window of healthy traffic")?;
        match source {
            Source::Latency { step, percentile } => latency(history, step, *percentile, (from, to)),
            Source::ErrorRate {} => error_rate(history, (from, to)),
            Source::Query { take, .. } => query(history, &samples_name(name), *take),
            Source::Lateness { signal } => lateness(ledger, signal),
            Source::Lag { signal } => lag(history, ledger, signal, (from, to)),
            Source::Span { service, name, percentile } => spans(history, service, name, *percentile, (from, to)),
            Source::Dashboard { uid } => dashboard(history, uid),
            Source::Detection { alert } => detection(alerts, alert),
        }
    };
    let measured = |name: &str, source: &Source| match value(name, source) {
        Ok((value, rests_on)) => Measured { value: Some(value), rests_on },
        Err(why) => Measured { value: None, rests_on: why },
    };
    gate.measures.iter().map(|(name, m)| (name.clone(), measured(name, &m.source))).collect()
}

/// What a run of a gate comes to: it has measured each of these, or can't tell.
pub fn all_measured(gate: &Gate, measured: &BTreeMap<String, Measured>) -> Vec<Verdict> {
    let told = |(name, m): (&String, &Measured)| {
        let (id, expected) = (format!("measured.{name}"), format!("{name} is measured"));
        let unit = gate.measures.get(name).map_or("", |measure| measure.unit.as_str());
        match m.value {
            Some(value) => Verdict::pass(id, expected, format!("{} {unit}, of {}", number(value), m.rests_on)),
            None => {
                Verdict::unknown(id, expected, m.rests_on.clone()).hint("mend the measure or the stack: a run without it is no baseline")
            }
        }
    };
    measured.iter().map(told).collect()
}

type Value = Result<(f64, String), String>;

fn latency(history: &History, step: &str, percentile: f64, (from, to): (f64, f64)) -> Value {
    let mine = |o: &Operation| o.is_step(step) && o.due.wall_s() >= from && o.due.wall_s() < to;
    let ms = history.operations().filter(|(_, o)| mine(o)).map(|(_, o)| o.latency_ms()).collect();
    of_many(ms, percentile, &format!("operations of {step}"))
}

fn spans(history: &History, service: &str, name: &str, percentile: f64, (from, to): (f64, f64)) -> Value {
    let mine = |s: &Span| s.service == service && s.name == name && (from..to).contains(&(s.start_us as f64 / 1e6));
    let all = history.observations().flat_map(|(_, o)| match &o.fact {
        Fact::Spans { spans, .. } => spans.as_slice(),
        _ => &[],
    });
    of_many(all.filter(|s| mine(s)).map(|s| s.duration_us as f64 / 1e3).collect(), percentile, &format!("spans {name} of {service}"))
}

fn detection(alerts: &[AlertRow], alert: &str) -> Value {
    let row = alerts.iter().find(|row| row.rule == alert).ok_or_else(|| format!("no alert {alert} is declared"))?;
    let seconds = row.detect_s.ok_or_else(|| format!("{alert} did not fire in {}", row.drills.join(", ")))?;
    Ok((seconds, format!("drill {}", row.drills.join(", "))))
}

fn of_many(mut values: Vec<f64>, percentile: f64, what: &str) -> Value {
    values.sort_by(f64::total_cmp);
    // At least one lies above the percentile.
    let least = LEAST_OPERATIONS.max((1.0 / (1.0 - percentile / 100.0)).ceil() as usize);
    if values.len() < least {
        return Err(format!("{} {what}, wanted at least {least}: a longer window or a higher rate", values.len()));
    }
    let value = rank(&values, percentile / 100.0).ok_or("none")?;
    Ok((value, format!("{} {what}", values.len())))
}

fn error_rate(history: &History, (from, to): (f64, f64)) -> Value {
    let (mut all, mut wrong) = (0u64, 0u64);
    for (_, o) in history.operations().filter(|(_, o)| o.due.wall_s() >= from && o.due.wall_s() < to) {
        all += 1;
        wrong += u64::from(!o.as_expected);
    }
    if (all as usize) < LEAST_OPERATIONS {
        return Err(format!("{all} operations, wanted at least {LEAST_OPERATIONS}"));
    }
    Ok((wrong as f64 / all as f64, format!("{all} operations")))
}

fn query(history: &History, name: &str, take: Take) -> Value {
    let samples = history
        .observations()
        .filter_map(|(_, o)| match &o.fact {
            Fact::Samples(s) if s.name == name => Some(s),
            _ => None,
        })
        .next_back()
        .ok_or("the metrics server did not answer the query")?;
    let series: Vec<Vec<(f64, f64)>> =
        samples.series.iter().map(|s| s.points.iter().filter_map(|(t, v)| Some((*t, (*v)?))).collect()).collect();
    let points: usize = series.iter().map(Vec::len).sum();
    if points < LEAST_POINTS {
        return Err(format!("{points} values of {}, wanted at least {LEAST_POINTS}", samples.expr));
    }
    let all = || series.iter().flatten().map(|(_, v)| *v);
    let value = match take {
        Take::Mean => all().sum::<f64>() / points as f64,
        Take::Max => all().fold(f64::NEG_INFINITY, f64::max),
        Take::SlopePerMinute => series.iter().filter_map(|s| slope(s)).sum::<f64>() * 60.0,
    };
    Ok((value, format!("{points} values of {} series", series.len())))
}

/// Slope by least squares, a second; `None` below two points in time.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let n = points.len() as f64;
    let (t0, v0) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let spread: f64 = points.iter().map(|(t, _)| (t - t0).powi(2)).sum();
    (spread > 0.0).then(|| points.iter().map(|(t, v)| (t - t0) * (v - v0)).sum::<f64>() / spread)
}

fn ledger_row<'a>(ledger: &'a [LedgerRow], signal: &str) -> Result<&'a LedgerRow, String> {
    ledger.iter().find(|r| r.signal == signal).ok_or_else(|| {
        let known: Vec<&str> = ledger.iter().map(|r| r.signal.as_str()).collect();
        format!("the ledger has no signal {signal}; it has {}", known.join(", "))
    })
}

/// Before anything is found a store is behind since the first operation ended: what it does not show must not make it look prompt.
fn lag(history: &History, ledger: &[LedgerRow], signal: &str, (from, to): (f64, f64)) -> Value {
    ledger_row(ledger, signal)?;
    let ended: BTreeMap<&str, f64> = history.operations().map(|(_, o)| (o.id.as_str(), o.ended.wall_s())).collect();
    let mut newest = ended.values().copied().fold(f64::INFINITY, f64::min);
    let mut behind = Vec::new();
    for (_, o) in history.observations() {
        let Fact::Newest(found) = &o.fact else { continue };
        if found.signal == signal {
            newest = found.ids.iter().filter_map(|id| ended.get(id.as_str())).copied().fold(newest, f64::max);
            let asked = o.asked.wall_s();
            if asked >= from && asked < to {
                behind.push((asked - newest).max(0.0));
            }
        }
    }
    of_many(behind, 90.0, &format!("looks for the newest of {signal}"))
}

fn lateness(ledger: &[LedgerRow], signal: &str) -> Value {
    let row = ledger_row(ledger, signal)?;
    let late = row.late_p99_s.ok_or_else(|| format!("nothing of {signal} is stored"))?;
    Ok((late, format!("{} stored", row.stored)))
}

fn dashboard(history: &History, uid: &str) -> Value {
    let (mut slowest, mut panels) = (0.0f64, 0u64);
    for (_, o) in history.observations() {
        if let Fact::Panel(p) = &o.fact
            && p.dashboard == uid
        {
            if let Some(error) = &p.error {
                return Err(format!("panel {} of {uid} fails: {error}", p.panel));
            }
            slowest = slowest.max(p.took_s);
            panels += 1;
        }
    }
    if panels == 0 {
        return Err(format!("no panel of dashboard {uid} was asked"));
    }
    Ok((slowest, format!("{panels} panel queries")))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{self, history};
    use super::*;
    use crate::EventKind;
    use crate::history::At;
    use crate::observation::{Newest, Observation};

    /// An instant this many tenths of a second after a fixed one.
    fn at(tenths: i64) -> At {
        At { mono_us: tenths * 100_000, wall_us: (1_770_033_600 * 10 + tenths) * 100_000 }
    }

    /// A thousand operations, ten a second, and a look each second; what it finds is told by the number of the operation that ended last.
    fn found(newest: impl Fn(i64) -> Vec<i64>) -> Value {
        let operation = |n: i64| tests::operation(&format!("o{n}"), at(n), at(n), at(n));
        let look = |s: i64| {
            let ids = newest(s * 10).into_iter().map(|n| format!("o{n}")).collect();
            let fact = Fact::Newest(Newest { signal: "trace".into(), ids, at_s: None });
            EventKind::Observation(Observation { source: "s".into(), asked: at(s * 10), answered: at(s * 10), fact })
        };
        let row = |signal: &str| LedgerRow { signal: signal.into(), sent: 0, stored: 0, lost: None, duplicated: 0, late_p99_s: None };
        let seen = history((0..1000).map(operation).chain((0..100).map(look)));
        lag(&seen, &[row("trace")], "trace", (at(500).wall_s(), at(1000).wall_s()))
    }

    #[test]
    fn a_store_is_behind_by_the_age_of_the_newest_that_it_shows() {
        let (prompt, rests_on) = found(|now| vec![now - 25, now - 20, now - 400]).unwrap();
        assert!((prompt - 2.0).abs() < 1e-6 && rests_on == "50 looks for the newest of trace", "{prompt} {rests_on}");
        // What came between two looks is no newer for that the second finds nothing.
        let (idle, _) = found(|now| if now % 100 == 0 { vec![now] } else { vec![] }).unwrap();
        assert!((idle - 8.0).abs() < 1e-6, "{idle}");
        let (stuck, _) = found(|now| vec![now.min(600)]).unwrap();
        assert!(stuck > 30.0, "{stuck}");
    }

    #[test]
    fn a_store_that_shows_nothing_is_not_prompt() {
        assert!(found(|_| vec![]).unwrap().0 > 90.0);
        assert!(found(|_| vec![5_000]).unwrap().0 > 90.0);
    }

    #[test]
    fn without_looks_nothing_is_told() {
        let row = LedgerRow { signal: "log:a".into(), sent: 1, stored: 1, lost: None, duplicated: 0, late_p99_s: None };
        let told = |signal: &str| lag(&history([]), std::slice::from_ref(&row), signal, (0.0, 1.0)).unwrap_err();
        assert!(told("log:a").starts_with("0 looks"), "{}", told("log:a"));
        assert!(told("trace").contains("it has log:a"), "{}", told("trace"));
    }
}
