//! What one run measured: a value for each measure of the gate, and whether it measured all.

use super::ledger::rank;
use super::{AlertRow, LedgerRow};
use crate::History;
use crate::Verdict;
use crate::baseline::{Gate, Source, Take};
use crate::check::timeline::CONTENDED_CPU_SOME_AVG10;
use crate::check::{clock, wording::number};
use crate::history::load::Operation;
use crate::history::run::{Phase, RunEvent};
use crate::observation::Fact;
use crate::observation::asked::Asked;
use crate::observation::traces::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Fewest operations that a percentile or an error rate rests on.
const LEAST_OPERATIONS: usize = 20;
/// Fewest points of an expression.
const LEAST_POINTS: usize = 3;
/// Share of a run, from its window on, for which the host may be contended: longer, and what takes
/// time took it from others.
const CONTENDED_SHARE: f64 = 0.1;

/// The value that a run has of a measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The value, in the measure's unit; null if the run could not tell.
    pub value: Option<f64>,
    /// What it rests on, or why there is none.
    pub rests_on: String,
}

/// Name under which a measure's samples are recorded.
pub fn samples_name(measure: &str) -> String {
    format!("measure:{measure}")
}

/// The window of a run: from the end of the warm-up to the first drill or the end of the drive,
/// wall-clock seconds.
pub fn window(history: &History, warm_up_s: f64) -> Option<(f64, f64)> {
    let at =
        |wanted: RunEvent| history.run().find(|(_, r)| **r == wanted).map(|(e, _)| e.at.wall_s());
    let from = at(RunEvent::PhaseBegan { phase: Phase::Drive })? + warm_up_s;
    let drill = history
        .run()
        .find(|(_, r)| matches!(r, RunEvent::DrillBegan { .. }))
        .map(|(e, _)| e.at.wall_s());
    let to = drill.or_else(|| at(RunEvent::PhaseEnded { phase: Phase::Drive }))?;
    (to > from).then_some((from, to))
}

/// Each measure's value and what it rests on, or why there is none.
pub fn measures(
    history: &History,
    gate: &Gate,
    ledger: &[LedgerRow],
    alerts: &[AlertRow],
) -> BTreeMap<String, Measured> {
    let whole = history.is_complete();
    let window = window(history, gate.warm_up_s);
    // Windows are told by the host's clock, and so is what servers stamp.
    let step = clock::step(history);
    let value = |name: &str, source: &Source| {
        if !whole {
            return Err("the run's record ends early".to_owned());
        }
        if let Some(step) = step {
            return Err(format!(
                "the host's clock was stepped by {:+.1} s between events {} and {}",
                step.by_s, step.before, step.after
            ));
        }
        let (from, to) = window.ok_or("the run has no window of healthy traffic")?;
        if let Some(why) = contended(history, from) {
            return Err(why);
        }
        match source {
            Source::Latency { step, percentile } => latency(history, step, *percentile, (from, to)),
            Source::ErrorRate {} => error_rate(history, (from, to)),
            Source::Query { take, .. } => query(history, &samples_name(name), *take),
            Source::Lateness { signal } => lateness(ledger, signal),
            Source::Lag { signal } => lag(history, ledger, signal, (from, to)),
            Source::Span { service, name, percentile } => {
                spans(history, service, name, *percentile, (from, to))
            }
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

/// How contended the host was from an instant of wall-clock time on, if it was for too long.
fn contended(history: &History, from: f64) -> Option<String> {
    let waited: Vec<f64> = history
        .observations()
        .filter_map(|(_, o)| match &o.fact {
            Fact::Pressure(p) if o.asked.wall_s() >= from => Some(p.cpu_some_avg10),
            _ => None,
        })
        .collect();
    let share = waited.iter().filter(|w| **w > CONTENDED_CPU_SOME_AVG10).count() as f64
        / waited.len().max(1) as f64;
    (share > CONTENDED_SHARE).then(|| {
        format!(
            "for {:.0} % of it tasks of the host waited for a processor more than {} % of the time, so that it measured what else runs: run it \
             alone, or at a rate that the host bears",
            share * 100.0,
            number(CONTENDED_CPU_SOME_AVG10)
        )
    })
}

/// What a run of a gate comes to: it has measured each of these, or can't tell.
pub fn all_measured(gate: &Gate, measured: &BTreeMap<String, Measured>) -> Vec<Verdict> {
    let told = |(name, m): (&String, &Measured)| {
        let (id, expected) = (format!("measured.{name}"), format!("{name} is measured"));
        let unit = gate.measures.get(name).map_or("", |measure| measure.unit.as_str());
        match m.value {
            Some(value) => {
                Verdict::pass(id, expected, format!("{} {unit}, of {}", number(value), m.rests_on))
            }
            None => Verdict::unknown(id, expected, m.rests_on.clone())
                .hint("mend the measure or the stack: a run without it is no baseline"),
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

fn spans(
    history: &History,
    service: &str,
    name: &str,
    percentile: f64,
    (from, to): (f64, f64),
) -> Value {
    let mine = |s: &Span| {
        s.service == service && s.name == name && (from..to).contains(&(s.start_us as f64 / 1e6))
    };
    let all = history.observations().flat_map(|(_, o)| match &o.fact {
        Fact::Spans { spans, .. } => spans.as_slice(),
        _ => &[],
    });
    of_many(
        all.filter(|s| mine(s)).map(|s| s.duration_us as f64 / 1e3).collect(),
        percentile,
        &format!("spans {name} of {service}"),
    )
}

fn detection(alerts: &[AlertRow], alert: &str) -> Value {
    let row = alerts
        .iter()
        .find(|row| row.rule == alert)
        .ok_or_else(|| format!("no alert {alert} is declared"))?;
    let seconds =
        row.detect_s.ok_or_else(|| format!("{alert} did not fire in {}", row.drills.join(", ")))?;
    Ok((seconds, format!("drill {}", row.drills.join(", "))))
}

fn of_many(mut values: Vec<f64>, percentile: f64, what: &str) -> Value {
    values.sort_by(f64::total_cmp);
    // At least one lies above the percentile.
    let least = LEAST_OPERATIONS.max((1.0 / (1.0 - percentile / 100.0)).ceil() as usize);
    if values.len() < least {
        return Err(format!(
            "{} {what}, wanted at least {least}: a longer window or a higher rate",
            values.len()
        ));
    }
    let value = rank(&values, percentile / 100.0).ok_or("none")?;
    Ok((value, format!("{} {what}", values.len())))
}

fn error_rate(history: &History, (from, to): (f64, f64)) -> Value {
    let (mut all, mut wrong) = (0u64, 0u64);
    for (_, o) in
        history.operations().filter(|(_, o)| o.due.wall_s() >= from && o.due.wall_s() < to)
    {
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
    let series: Vec<Vec<(f64, f64)>> = samples
        .series
        .iter()
        .map(|s| s.points.iter().filter_map(|(t, v)| Some((*t, (*v)?))).collect())
        .collect();
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
    let (t0, v0) =
        (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let spread: f64 = points.iter().map(|(t, _)| (t - t0).powi(2)).sum();
    (spread > 0.0).then(|| points.iter().map(|(t, v)| (t - t0) * (v - v0)).sum::<f64>() / spread)
}

fn ledger_row<'a>(ledger: &'a [LedgerRow], signal: &str) -> Result<&'a LedgerRow, String> {
    ledger.iter().find(|r| r.signal == signal).ok_or_else(|| {
        let known: Vec<&str> = ledger.iter().map(|r| r.signal.as_str()).collect();
        format!("the ledger has no signal {signal}; it has {}", known.join(", "))
    })
}

/// Before anything is found a store is behind since the first operation ended: what it does not
/// show must not make it look prompt.
fn lag(history: &History, ledger: &[LedgerRow], signal: &str, (from, to): (f64, f64)) -> Value {
    ledger_row(ledger, signal)?;
    let ended: BTreeMap<&str, f64> =
        history.operations().map(|(_, o)| (o.id.as_str(), o.ended.wall_s())).collect();
    let mut newest = ended.values().copied().fold(f64::INFINITY, f64::min);
    let mut behind = Vec::new();
    for (_, o) in history.observations() {
        let Fact::Freshness(found) = &o.fact else { continue };
        if found.signal == signal {
            newest = found
                .ids
                .iter()
                .filter_map(|id| ended.get(id.as_str()))
                .copied()
                .fold(newest, f64::max);
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

/// The slowest panel. One that is waited for in vain is at least that slow; one of which nothing is
/// known makes the dashboard unknown: the others must not make it look fast.
fn dashboard(history: &History, uid: &str) -> Value {
    let (mut slowest, mut panels) = (0.0f64, 0u64);
    let (mut in_vain, mut failed) = (None, None);
    for (_, o) in history.observations() {
        match &o.fact {
            // Of one that was not asked nothing is known, however often: how slow the dashboard is
            // is how slow the others are.
            Fact::Panel(p) if p.dashboard == uid && p.skipped.is_none() => {
                slowest = slowest.max(p.took_s);
                panels += 1;
                match &p.error {
                    Some(_) if p.timed_out => in_vain = Some(&p.panel),
                    Some(error) => {
                        failed = Some(format!("panel {} of {uid} fails: {error}", p.panel))
                    }
                    None => {}
                }
            }
            Fact::Unreachable { question, error } if matches!(question, Asked::Panels { dashboard } if dashboard == uid) => {
                failed = Some(format!("{question}: {error}"))
            }
            _ => {}
        }
    }
    match (in_vain, failed) {
        (Some(panel), _) => Ok((
            slowest,
            format!("{panels} panel queries, of which {panel} was waited for in vain"),
        )),
        (None, Some(failed)) => Err(failed),
        (None, None) if panels == 0 => Err(format!("no panel of dashboard {uid} was asked")),
        (None, None) => Ok((slowest, format!("{panels} panel queries"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{self, history};
    use super::*;
    use crate::EventKind;
    use crate::history::At;
    use crate::observation::dashboards::Panel;
    use crate::observation::host::Pressure;
    use crate::observation::{Freshness, Observation};

    /// An instant this many tenths of a second after a fixed one.
    fn at(tenths: i64) -> At {
        At { mono_us: tenths * 100_000, wall_us: (1_770_033_600 * 10 + tenths) * 100_000 }
    }

    fn saw(second: i64, fact: Fact) -> EventKind {
        let at = at(second * 10);
        EventKind::Observation(Observation {
            source: "s".into(),
            via: None,
            asked: at,
            answered: at,
            fact,
        })
    }

    #[test]
    fn a_host_that_is_contended_for_a_moment_is_as_good() {
        let busy_for = |seconds: i64| {
            let waited = |n: i64| if n < seconds { 88.0 } else { 20.0 };
            let pressure = |n: i64| Pressure {
                cpu_some_avg10: waited(n),
                memory_some_avg10: 0.0,
                io_some_avg10: 0.0,
                ..Pressure::default()
            };
            history((0..100).map(|n| saw(n, Fact::Pressure(pressure(n)))))
        };
        let from = |second: i64| at(second * 10).wall_s();
        assert_eq!(contended(&busy_for(10), from(0)), None);
        assert!(contended(&busy_for(11), from(0)).unwrap().starts_with("for 11 % of it"));
        // Before the window anything may have run; and a kernel that tells nothing is taken for
        // calm.
        assert_eq!(contended(&busy_for(50), from(50)), None);
        assert_eq!(contended(&history([]), from(0)), None);
    }

    /// A thousand operations, ten a second, and a look each second; what it finds is told by the
    /// number of the operation that ended last.
    fn found(newest: impl Fn(i64) -> Vec<i64>) -> Value {
        let operation = |n: i64| tests::operation(&format!("o{n}"), at(n), at(n), at(n));
        let look = |s: i64| {
            let ids = newest(s * 10).into_iter().map(|n| format!("o{n}")).collect();
            saw(s, Fact::Freshness(Freshness { signal: "trace".into(), ids, at_s: None }))
        };
        let row = |signal: &str| LedgerRow {
            signal: signal.into(),
            sent: 0,
            stored: 0,
            lost: None,
            duplicated: 0,
            late_p99_s: None,
        };
        let seen = history((0..1000).map(operation).chain((0..100).map(look)));
        lag(&seen, &[row("trace")], "trace", (at(500).wall_s(), at(1000).wall_s()))
    }

    #[test]
    fn a_store_is_behind_by_the_age_of_the_newest_that_it_shows() {
        let (prompt, rests_on) = found(|now| vec![now - 25, now - 20, now - 400]).unwrap();
        assert!(
            (prompt - 2.0).abs() < 1e-6 && rests_on == "50 looks for the newest of trace",
            "{prompt} {rests_on}"
        );
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
    fn a_dashboard_is_as_slow_as_its_slowest_panel_also_where_that_never_answers() {
        let panel = |took_s: f64, error: Option<&str>, timed_out: bool| {
            let (dashboard, panel, query, datasource) =
                ("d".to_owned(), format!("took {took_s} s"), String::new(), String::new());
            let error = error.map(str::to_owned);
            saw(
                0,
                Fact::Panel(Panel {
                    dashboard,
                    panel,
                    query,
                    datasource,
                    frames: 0,
                    values: 0,
                    error,
                    took_s,
                    timed_out,
                    skipped: None,
                }),
            )
        };
        let told = |more: Vec<EventKind>| {
            dashboard(
                &history(
                    [panel(0.2, None, false), panel(0.1, None, false)].into_iter().chain(more),
                ),
                "d",
            )
        };
        assert_eq!(told(vec![]).unwrap(), (0.2, "2 panel queries".to_owned()));
        assert_eq!(told(vec![panel(30.0, Some("no answer within 30 s"), true)]).unwrap().0, 30.0);
        assert!(
            told(vec![panel(0.1, Some("no such metric"), false)])
                .unwrap_err()
                .contains("no such metric")
        );
        let unreachable = |uid: &str| Fact::Unreachable {
            question: Asked::Panels { dashboard: uid.into() },
            error: "no answer within 5 s".into(),
        };
        assert!(told(vec![saw(0, unreachable("d"))]).unwrap_err().contains("no answer within 5 s"));
        assert!(told(vec![saw(0, unreachable("other"))]).is_ok());
        assert!(dashboard(&history([]), "d").unwrap_err().contains("no panel"));
        let mut traces = panel(0.0, None, false);
        if let EventKind::Observation(o) = &mut traces
            && let Fact::Panel(p) = &mut o.fact
        {
            p.skipped = Some("not asked".into());
        }
        assert_eq!(told(vec![traces.clone()]).unwrap(), (0.2, "2 panel queries".to_owned()));
        assert!(dashboard(&history([traces]), "d").unwrap_err().contains("no panel"));
    }

    #[test]
    fn without_looks_nothing_is_told() {
        let row = LedgerRow {
            signal: "log:a".into(),
            sent: 1,
            stored: 1,
            lost: None,
            duplicated: 0,
            late_p99_s: None,
        };
        let told = |signal: &str| {
            lag(&history([]), std::slice::from_ref(&row), signal, (0.0, 1.0)).unwrap_err()
        };
        assert!(told("log:a").starts_with("0 looks"), "{}", told("log:a"));
        assert!(told("trace").contains("it has log:a"), "{}", told("trace"));
    }
}
