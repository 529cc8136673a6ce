//! Recorded runs over time, as a page.

use super::{Group, Run, Trend};
use crate::report::chart::{Chart, Line, XAxis, YAxis, escaped, short};
use crate::report::html;
use minijinja::Value;
use minijinja::value::Serde;
use std::fmt::Write as _;
use verdict::gate::least_median_most;

/// The page.
///
/// # Errors
/// It can't be made.
pub fn page(trend: &Trend) -> Result<String, minijinja::Error> {
    let groups: Vec<Value> = trend
        .groups
        .iter()
        .enumerate()
        .map(|(n, group)| {
            minijinja::context! {
                title => group.title(), runs => Value::from(Serde(&group.runs)), charts => charts(n, group), alerts => alerts(group),
            }
        })
        .collect();
    let left_out: Vec<(String, String)> =
        trend.left_out.iter().map(|(p, why)| (p.display().to_string(), why.clone())).collect();
    let context = minijinja::context! { groups => groups, baselines => Value::from(Serde(&trend.baselines)), left_out => left_out };
    html::page("trend.html", context)
}

/// The charts of a group, with their titles; one run is no trend.
fn charts(n: usize, group: &Group) -> Vec<(String, String)> {
    if group.runs.len() < 2 {
        return Vec::new();
    }
    let line = |name: &str, of: &dyn Fn(&Run) -> Option<f64>| Line {
        name: name.into(),
        points: group.runs.iter().filter_map(|r| Some((r.at_s, of(r)?))).collect(),
    };
    let some = |of: fn(&Run) -> f64| move |r: &Run| Some(of(r));
    let charts = [
        (
            "verdicts",
            "Verdicts that passed, failed and are unknown",
            YAxis::Count,
            vec![
                line("passed", &some(|r| r.summary.passed as f64)),
                line("failed", &some(|r| r.summary.failed as f64)),
                line("unknown", &some(|r| r.summary.unknown as f64)),
            ],
        ),
        (
            "took",
            "Duration of the run",
            YAxis::Seconds,
            vec![line("duration", &some(|r| r.duration_s))],
        ),
        (
            "latency",
            "Latency while no fault was there",
            YAxis::Milliseconds,
            vec![line("median", &|r| r.p50_ms), line("99th percentile", &|r| r.p99_ms)],
        ),
        (
            "detection",
            "Seconds from fault to firing, over all alerts of a run",
            YAxis::Seconds,
            vec![
                line("slowest alert", &|r| r.detect_s.values().copied().reduce(f64::max)),
                line("median", &|r| least_median_most(r.detect_s.values().copied()).map(|s| s.1)),
            ],
        ),
    ];
    charts
        .into_iter()
        .filter_map(|(id, title, up, lines)| {
            let lines = lines.into_iter().filter(|l| !l.points.is_empty()).collect();
            let chart = Chart {
                size: (620.0, 260.0),
                ..Chart::new(&format!("{id}-{n}"), title, XAxis::Date, up, lines)
            };
            Some((title.to_owned(), chart.render()?))
        })
        .collect()
}

/// Detection times of each alert, with a small picture of their course.
fn alerts(group: &Group) -> Vec<Value> {
    let row = |(alert, values): (&str, Vec<Option<f64>>)| {
        let (least, median, most) = least_median_most(values.iter().flatten().copied())?;
        Some(minijinja::context! {
            alert => alert, least => least, median => median, most => most, newest => values.iter().flatten().next_back(),
            runs => values.iter().flatten().count(), course => course(alert, &values, most),
        })
    };
    group.detections().into_iter().filter_map(row).collect()
}

fn course(alert: &str, values: &[Option<f64>], most: f64) -> String {
    let points: Vec<(usize, f64)> =
        values.iter().enumerate().filter_map(|(n, v)| Some((n, (*v)?))).collect();
    if points.len() < 2 {
        return String::new();
    }
    let x = |n: usize| 4.0 + 132.0 * n as f64 / (values.len() - 1) as f64;
    let y = |v: f64| 22.0 - 18.0 * v / most.max(1e-9);
    let mut path = String::new();
    for (i, (n, v)) in points.iter().enumerate() {
        let _ = write!(path, "{}{:.1} {:.1}", if i == 0 { "M" } else { "L" }, x(*n), y(*v));
    }
    let told: Vec<String> = points.iter().map(|(_, v)| short(*v)).collect();
    format!(
        r#"<svg width="140" height="26" viewBox="0 0 140 26" role="img" aria-label="{}: {} s"><path class="line s0" d="{path}" fill="none"/></svg>"#,
        escaped(alert),
        told.join(", ")
    )
}
