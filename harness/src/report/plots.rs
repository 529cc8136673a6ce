//! The charts of a report, from what it holds.

use super::chart::{Band, Chart, Line, XAxis, YAxis};
use minijinja::Value;
use verdict::history::load::CurvePoint;
use verdict::summary::{Bin, Curves, Timeline};

fn latency_line(name: &str, points: &[CurvePoint]) -> Line {
    Line {
        name: name.to_owned(),
        points: points.iter().map(|p| (p.percentile, p.latency_ms)).collect(),
    }
}

fn service_line(name: &str, points: &[CurvePoint]) -> Line {
    Line {
        name: name.to_owned(),
        points: points.iter().map(|p| (p.percentile, p.service_ms)).collect(),
    }
}

/// Width and height of a chart that stands beside another one.
const BESIDE: (f64, f64) = (620.0, 300.0);

fn percentiles(id: &str, title: &str, lines: Vec<Line>) -> Chart {
    Chart::new(
        id,
        title,
        XAxis::Nines,
        YAxis::Milliseconds,
        lines.into_iter().filter(|l| !l.points.is_empty()).collect(),
    )
}

/// The latency of two runs, to stand beside another chart.
pub fn two(id: &str, title: &str, first: &[CurvePoint], second: &[CurvePoint]) -> Option<String> {
    let lines = vec![latency_line("first run", first), latency_line("second run", second)];
    Chart { size: BESIDE, ..percentiles(id, title, lines) }.render()
}

/// The curve of one load.
pub fn curve(id: &str, points: &[CurvePoint]) -> Option<String> {
    let lines = vec![
        latency_line("latency from the intended start", points),
        service_line("service time", points),
    ];
    percentiles(id, "Latency and service time by percentile", lines).render()
}

/// The curves of a run, without and with faults.
pub fn curves(id: &str, curves: &Curves) -> Option<String> {
    let (healthy, broken) = (&curves.healthy.points, &curves.broken.points);
    let lines = vec![
        latency_line("latency, no fault", healthy),
        latency_line("latency, under a fault", broken),
        service_line("service time, no fault", healthy),
        service_line("service time, under a fault", broken),
    ];
    percentiles(id, "Latency and service time by percentile, without and with faults", lines)
        .render()
}

/// Median and 99th percentile over time, with the windows of faults; the axes may be fixed, so that
/// two can be compared.
pub fn over_time(
    id: &str,
    title: &str,
    timeline: &Timeline,
    fixed: Option<(f64, f64)>,
) -> Option<String> {
    // Both begin with the first operation: when images and stack were there is another matter.
    let origin = timeline.latency.first()?.at_s;
    let line = |name: &str, of: fn(&Bin) -> f64| Line {
        name: name.to_owned(),
        points: timeline.latency.iter().map(|b| (b.at_s - origin, of(b))).collect(),
    };
    let band = |f: &verdict::summary::FiringInterval| Band {
        name: f.name.clone(),
        from: f.from_s - origin,
        to: f.to_s - origin,
    };
    let lines = vec![line("median", |b| b.p50_ms), line("99th percentile", |b| b.p99_ms)];
    Chart {
        bands: timeline.faults.iter().map(band).collect(),
        gap: Some(timeline.bin_s * 1.5),
        fixed: fixed.map(|(last, most)| (0.0, last, most)),
        size: BESIDE,
        ..Chart::new(id, title, XAxis::Seconds, YAxis::Milliseconds, lines)
    }
    .render()
}

/// The bins of latency, each with the faults that were there.
pub fn over_time_rows(timeline: &Timeline) -> Vec<Value> {
    let row = |b: &Bin| {
        let half = timeline.bin_s / 2.0;
        let there =
            timeline.faults.iter().filter(|f| f.from_s < b.at_s + half && f.to_s > b.at_s - half);
        let faults: Vec<String> = there.map(|f| f.name.clone()).collect();
        minijinja::context! {
            at_s => b.at_s, operations => b.operations, failed => b.failed, p50_ms => b.p50_ms, p99_ms => b.p99_ms, faults => faults,
        }
    };
    timeline.latency.iter().map(row).collect()
}
