//! Two recorded runs side by side: verdicts that changed, and figures.

use crate::ops::judge::find;
use crate::process::failure::Failure;
use crate::report::{self, Report, ReportedVerdict, RunFile, html, plots};
use minijinja::Value;
use minijinja::value::Serde;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use verdict::Status;
use verdict::history::load::CurvePoint;
use verdict::summary::{self, Timeline};

/// What differs between two runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// What makes it doubtful that they can be compared at all.
    pub unlike: Vec<String>,
    /// Verdicts whose answer changed, or that only one of them has.
    pub verdicts: Vec<Change>,
    /// Verdicts with the same answer.
    pub unchanged: usize,
    /// Figures, by what they are about.
    pub figures: Vec<Figures>,
}

/// A verdict that changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    pub id: String,
    /// What is expected.
    pub expected: String,
    /// Answer of the first run, if it was asked.
    pub before: Option<Status>,
    /// Answer of the second.
    pub after: Option<Status>,
    /// Why, as the second run tells it; as the first, where the second does not.
    pub reason: String,
}

/// Figures of a kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// What they are about.
    pub title: String,
    pub unit: &'static str,
    pub rows: Vec<Row>,
}

/// A figure of both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    pub name: String,
    /// Of the first run.
    pub before: Option<f64>,
    /// Of the second.
    pub after: Option<f64>,
    /// By how many per cent the second is above the first; none if one is missing or the first is
    /// 0.
    pub change: Option<f64>,
}

impl Row {
    fn new(name: impl Into<String>, before: Option<f64>, after: Option<f64>) -> Row {
        let change =
            before.zip(after).filter(|(b, _)| *b != 0.0).map(|(b, a)| (a / b - 1.0) * 100.0);
        Row { name: name.into(), before, after, change }
    }
}

/// Compares two runs.
pub fn compare(before: &Report, after: &Report) -> Comparison {
    let by_id = |r: &Report| -> BTreeMap<String, ReportedVerdict> {
        r.verdicts.iter().map(|t| (t.id.clone(), t.clone())).collect()
    };
    let (first, second) = (by_id(before), by_id(after));
    let (mut verdicts, mut unchanged) = (Vec::new(), 0);
    for id in first.keys().chain(second.keys()).collect::<BTreeSet<_>>() {
        let (b, a) = (first.get(id), second.get(id));
        if b.map(|t| t.status) == a.map(|t| t.status) {
            unchanged += 1;
        } else if let Some(told) = a.or(b) {
            let (before, after) = (b.map(|t| t.status), a.map(|t| t.status));
            verdicts.push(Change {
                id: id.clone(),
                expected: told.expected.clone(),
                before,
                after,
                reason: told.reason.clone(),
            });
        }
    }
    // What became worse comes first.
    verdicts.sort_by_key(|c| (std::cmp::Reverse(c.after), c.before, c.id.clone()));
    Comparison {
        unlike: unlike(before, after),
        verdicts,
        unchanged,
        figures: figures(before, after),
    }
}

fn unlike(before: &Report, after: &Report) -> Vec<String> {
    let (b, a) = (&before.run, &after.run);
    let mut why = Vec::new();
    if b.stack != a.stack {
        why.push(format!("they are runs of two stacks: {} and {}", b.stack, a.stack));
    }
    if b.time_scale != a.time_scale {
        why.push(format!("they ran at two time scales: {} and {}", b.time_scale, a.time_scale));
    }
    match (&b.host, &a.host) {
        (Some(b), Some(a)) => why.extend(
            a.differs(b).map(|how| format!("they ran on unlike machines: {how} (the first)")),
        ),
        _ => why.push(
            "whether they ran on machines of one kind is not known: one of them is too old to say"
                .into(),
        ),
    }
    if !(b.complete && a.complete) {
        why.push("one of them was cut short: what it does not show proves nothing".into());
    }
    why
}

fn figures(before: &Report, after: &Report) -> Vec<Figures> {
    let mut all = Vec::new();
    let mut add = |title: &str, unit, rows: Vec<Row>| {
        let rows: Vec<Row> =
            rows.into_iter().filter(|r| r.before.is_some() || r.after.is_some()).collect();
        if !rows.is_empty() {
            all.push(Figures { title: title.to_owned(), unit, rows });
        }
    };
    let (b, a) = (&before.curves, &after.curves);
    add(
        "latency while no fault was there",
        "ms",
        percentiles(&b.healthy.points, &a.healthy.points),
    );
    add("latency while a fault was there", "ms", percentiles(&b.broken.points, &a.broken.points));
    add("latency of operations over the whole run, P50 and P99", "ms", parts(before, after));
    let of_load = |name: &str, of: fn(&verdict::history::load::LoadSummary) -> f64| {
        Row::new(name, before.load.as_ref().map(of), after.load.as_ref().map(of))
    };
    add(
        "load",
        "",
        vec![
            of_load("operations", |l| l.operations as f64),
            of_load("begun a second", |l| l.achieved_rate),
            of_load("errors, %", |l| l.error_rate * 100.0),
            of_load("behind the schedule, P99, ms", |l| l.slip_p99_ms),
        ],
    );
    type Of = fn(&verdict::summary::AlertRow) -> Option<f64>;
    for (title, of) in
        [("fired after", (|r| r.detect_s) as Of), ("all receivers notified after", |r| r.notify_s)]
    {
        let times = |r: &Report| -> BTreeMap<String, f64> {
            r.alerts.iter().filter_map(|x| Some((x.rule.clone(), of(x)?))).collect()
        };
        add(title, "s", joined(&times(before), &times(after)));
    }
    let lost = |r: &Report| -> BTreeMap<String, f64> {
        r.ledger.iter().filter_map(|l| Some((l.signal.clone(), l.lost? as f64))).collect()
    };
    add("acknowledged and not stored", "", joined(&lost(before), &lost(after)));
    let (b, a) = (&before.timings, &after.timings);
    add(
        "what the run took",
        "s",
        vec![
            Row::new("images", b.images_s, a.images_s),
            Row::new("up", b.up_s, a.up_s),
            Row::new("load and drills", b.drive_s, a.drive_s),
            Row::new("drain and capture", b.capture_s, a.capture_s),
            Row::new("down", b.down_s, a.down_s),
            Row::new("in all", Some(before.run.duration_s), Some(after.run.duration_s)),
        ],
    );
    all
}

fn percentiles(before: &[CurvePoint], after: &[CurvePoint]) -> Vec<Row> {
    let name = |p: f64| match p {
        0.0 => "least".to_owned(),
        100.0 => "most".to_owned(),
        p => format!("P{p}"),
    };
    let at = |points: &[CurvePoint], p: f64| {
        points.iter().find(|x| x.percentile == p).map(|x| x.latency_ms)
    };
    verdict::history::load::CURVE
        .into_iter()
        .map(|p| Row::new(name(p), at(before, p), at(after, p)))
        .collect()
}

fn parts(before: &Report, after: &Report) -> Vec<Row> {
    let of = |r: &Report| -> BTreeMap<String, f64> {
        let parts = r.load.iter().flat_map(|l| &l.parts);
        parts
            .flat_map(|(n, p)| {
                [(format!("{n} P50"), p.latency_ms.p50), (format!("{n} P99"), p.latency_ms.p99)]
            })
            .collect()
    };
    joined(&of(before), &of(after))
}

fn joined(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) -> Vec<Row> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .map(|n| Row::new(n.clone(), before.get(n).copied(), after.get(n).copied()))
        .collect()
}

impl Comparison {
    /// For a terminal.
    pub fn text(&self, before: &Report, after: &Report) -> String {
        let mut out = String::new();
        for (word, r) in [("first ", before), ("second", after)] {
            let _ = writeln!(
                out,
                "{word}  {} of {}, {}: {}, {} passed, {} failed, {} unknown",
                r.run.id,
                r.run.stack,
                r.run.started,
                status(Some(r.glance.outcome)),
                r.summary.passed,
                r.summary.failed,
                r.summary.unknown
            );
        }
        for why in &self.unlike {
            let _ = writeln!(out, "note: {why}");
        }
        let _ = writeln!(
            out,
            "\nVerdicts: {} changed, {} did not",
            self.verdicts.len(),
            self.unchanged
        );
        for v in &self.verdicts {
            let _ = writeln!(
                out,
                "  {:>7} -> {:<7}  {}: {}",
                status(v.before),
                status(v.after),
                v.id,
                v.reason
            );
        }
        for f in &self.figures {
            let title = if f.unit.is_empty() {
                f.title.clone()
            } else {
                format!("{}, {}", f.title, f.unit)
            };
            let _ =
                writeln!(out, "\n{:<44} {:>11} {:>11} {:>9}", title, "first", "second", "change");
            for r in &f.rows {
                let number = |n: Option<f64>| n.map_or("–".to_owned(), crate::report::chart::short);
                let change = r.change.map_or(String::new(), |c| format!("{c:+.1} %"));
                let _ = writeln!(
                    out,
                    "  {:<42} {:>11} {:>11} {change:>9}",
                    r.name,
                    number(r.before),
                    number(r.after)
                );
            }
        }
        out
    }
}

/// An answer in a word.
pub fn status(status: Option<Status>) -> String {
    status.map_or("–".to_owned(), |s| format!("{s:?}").to_lowercase())
}

/// A run as it is compared.
pub struct Side {
    /// Its report, judged anew: a report of old lacks what is compared.
    pub report: Report,
    timeline: Timeline,
}

/// Reads a run, named as [`find`] takes it.
///
/// # Errors
/// There is no such run, or it is not whole.
pub fn read(asked: &Path, reports: &Path) -> Result<Side, Failure> {
    let folder = find(asked, reports)?;
    let history = crate::record::read(&folder)?;
    let file: RunFile = crate::record::read_json(&folder, "run.json").map_err(|e| {
        Failure::from(e)
            .hint("the record is not whole, or another version's; firedrill judge tells more")
    })?;
    Ok(Side { report: report::judge(&history, &file), timeline: summary::timeline(&history) })
}

/// Both on one page.
///
/// # Errors
/// The page can't be made.
pub fn page(
    first: &Side,
    second: &Side,
    compared: &Comparison,
) -> Result<String, minijinja::Error> {
    let (b, a) = (&first.report.curves, &second.report.curves);
    // One scale for both, so that they can be compared.
    let last = |t: &Timeline| {
        t.latency.last().map_or(0.0, |l| l.at_s) - t.latency.first().map_or(0.0, |f| f.at_s)
    };
    let most = |t: &Timeline| t.latency.iter().map(|b| b.p99_ms).fold(0.0, f64::max);
    let (one, two) = (&first.timeline, &second.timeline);
    let fixed = Some((last(one).max(last(two)), most(one).max(most(two))));
    let changes: Vec<Value> = compared
        .verdicts
        .iter()
        .map(|c| minijinja::context! { change => Value::from(Serde(c)), before => status(c.before), after => status(c.after) })
        .collect();
    html::page(
        "compare.html",
        minijinja::context! {
            first => Value::from(Serde(&first.report)),
            second => Value::from(Serde(&second.report)),
            compared => Value::from(Serde(compared)),
            changes => changes,
            healthy => plots::two("healthy", "Latency by percentile while no fault was there", &b.healthy.points, &a.healthy.points),
            broken => plots::two("broken", "Latency by percentile while a fault was there", &b.broken.points, &a.broken.points),
            over_time => [
                plots::over_time("first-over-time", "Latency over time of the first run, faults shaded", one, fixed),
                plots::over_time("second-over-time", "Latency over time of the second run, faults shaded", two, fixed),
            ],
            bins => [plots::over_time_rows(one), plots::over_time_rows(two)],
        },
    )
}
