//! The run on one time axis: faults, alerts, notifications, and the latency and failures that users saw.

use plotters::coord::Shift;
use plotters::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use verdict::observation::Fact;
use verdict::{History, summary};

const WIDTH: u32 = 1200;
const LANE: u32 = 22;
const LATENCY_HEIGHT: u32 = 260;
const LABEL_AREA: u32 = 190;
/// Width of a latency bin, seconds.
const BIN: f64 = 2.0;

const FAULT: RGBColor = RGBColor(196, 90, 60);
const PENDING: RGBColor = RGBColor(226, 180, 70);
const FIRING: RGBColor = RGBColor(190, 40, 60);
const TOLD: RGBColor = RGBColor(40, 90, 170);
const OVER: RGBColor = RGBColor(50, 140, 90);
const INK: RGBColor = RGBColor(60, 64, 72);

/// A stretch of time in a lane, seconds since the run began.
struct Span {
    lane: String,
    from: f64,
    to: f64,
    colour: RGBColor,
}

/// A point in a lane.
struct Mark {
    lane: String,
    at: f64,
    colour: RGBColor,
}

/// The picture as SVG; `None` if nothing happened that could be shown.
pub fn render(history: &History) -> Option<String> {
    let end = history.events.last()?.at.mono_us as f64 / 1e6;
    let (spans, marks) = (spans(history, end), marks(history));
    let bins = latency(history);
    let lanes: Vec<String> = {
        let faults = spans.iter().filter(|s| s.colour == FAULT).map(|s| s.lane.clone());
        let rest: BTreeSet<String> = spans.iter().filter(|s| s.colour != FAULT).map(|s| s.lane.clone()).collect();
        let told: BTreeSet<String> = marks.iter().map(|m| m.lane.clone()).collect();
        let mut seen = BTreeSet::new();
        faults.chain(rest).chain(told).filter(|l| seen.insert(l.clone())).collect()
    };
    if lanes.is_empty() && bins.is_empty() {
        return None;
    }
    let height = lanes.len() as u32 * LANE + 50;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height + LATENCY_HEIGHT)).into_drawing_area();
        let (upper, lower) = root.split_vertically(height);
        let drawn = draw_lanes(&upper, &lanes, &spans, &marks, end).and_then(|()| draw_latency(&lower, &bins, &spans, end)).and_then(|()| root.present().map_err(|e| e.to_string()));
        if let Err(e) = drawn {
            tracing::error!("the timeline can't be drawn: {e}");
            return None;
        }
    }
    Some(svg)
}

fn spans(history: &History, end: f64) -> Vec<Span> {
    let mut spans: Vec<Span> = summary::faults(history)
        .into_iter()
        .map(|f| Span { lane: format!("fault {}", f.drill), from: f.injected_at, to: f.healed_at.unwrap_or(end), colour: FAULT })
        .collect();
    // The server's clock is the wall clock; the run's axis is monotonic. One event ties both together.
    let Some(origin) = history.events.first().map(|e| e.at.wall_s() - e.at.mono_us as f64 / 1e6) else { return spans };
    for (_, observation) in history.observations() {
        let Fact::Samples(samples) = &observation.fact else { continue };
        if samples.name != "alerts" {
            continue;
        }
        for series in &samples.series {
            let (Some(name), Some(state)) = (series.labels.get("alertname"), series.labels.get("alertstate")) else { continue };
            let colour = if state == "firing" { FIRING } else { PENDING };
            let mut open: Option<(f64, f64)> = None;
            for (t, _) in &series.points {
                let at = t - origin;
                open = match open {
                    Some((from, last)) if at - last <= samples.step_s * 2.5 => Some((from, at)),
                    Some((from, last)) => {
                        spans.push(Span { lane: format!("alert {name}"), from, to: last + samples.step_s, colour });
                        Some((at, at))
                    }
                    None => Some((at, at)),
                };
            }
            if let Some((from, last)) = open {
                spans.push(Span { lane: format!("alert {name}"), from, to: last + samples.step_s, colour });
            }
        }
    }
    spans
}

fn marks(history: &History) -> Vec<Mark> {
    history
        .notifications()
        .flat_map(|(event, n)| {
            let lane = format!("told {}", n.receiver.as_deref().unwrap_or("nobody (refused)"));
            let at = event.at.mono_us as f64 / 1e6;
            n.alerts.iter().map(move |a| Mark { lane: lane.clone(), at, colour: if a.resolved { OVER } else { TOLD } })
        })
        .collect()
}

/// Bin to median, 99th percentile (ms) and failures.
fn latency(history: &History) -> BTreeMap<i64, (f64, f64, u64)> {
    let mut bins: BTreeMap<i64, (Vec<f64>, u64)> = BTreeMap::new();
    for (_, o) in history.operations() {
        let bin = bins.entry((o.due.mono_us as f64 / 1e6 / BIN) as i64).or_default();
        bin.0.push(o.latency_ms());
        bin.1 += u64::from(!o.as_expected);
    }
    bins.into_iter()
        .map(|(k, (mut v, failed))| {
            v.sort_by(f64::total_cmp);
            let at = |q: f64| v[((v.len() - 1) as f64 * q) as usize];
            (k, (at(0.5), at(0.99), failed))
        })
        .collect()
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw_lanes(area: &Area<'_>, lanes: &[String], spans: &[Span], marks: &[Mark], end: f64) -> Result<(), String> {
    let text = |e: DrawingAreaErrorKind<_>| e.to_string();
    let count = lanes.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .margin_right(16)
        .margin_top(8)
        .x_label_area_size(24)
        .y_label_area_size(LABEL_AREA)
        .build_cartesian_2d(0.0..end, 0.0..count)
        .map_err(text)?;
    chart.configure_mesh().disable_y_mesh().y_labels(0).x_desc("").axis_style(INK).light_line_style(INK.mix(0.08)).x_label_formatter(&|x| format!("{x:.0} s")).draw().map_err(text)?;
    let row = |lane: &str| lanes.iter().position(|l| l == lane).map_or(0.0, |i| count - 1.0 - i as f64);
    let bars = spans.iter().map(|s| {
        let y = row(&s.lane);
        Rectangle::new([(s.from, y + 0.18), (s.to.max(s.from + end / 600.0), y + 0.82)], s.colour.mix(0.85).filled())
    });
    chart.draw_series(bars).map_err(text)?;
    chart.draw_series(marks.iter().map(|m| Circle::new((m.at, row(&m.lane) + 0.5), 4, m.colour.filled()))).map_err(text)?;
    for lane in lanes {
        let (_, y) = chart.backend_coord(&(0.0, row(lane) + 0.5));
        area.draw(&Text::new(lane.clone(), (6, y - 7), ("sans-serif", 13).into_font().color(&INK))).map_err(text)?;
    }
    Ok(())
}

fn draw_latency(area: &Area<'_>, bins: &BTreeMap<i64, (f64, f64, u64)>, spans: &[Span], end: f64) -> Result<(), String> {
    let text = |e: DrawingAreaErrorKind<_>| e.to_string();
    let most = bins.values().map(|b| b.1).fold(10.0, f64::max) * 1.3;
    let mut chart = ChartBuilder::on(area)
        .margin_right(16)
        .x_label_area_size(30)
        .y_label_area_size(LABEL_AREA)
        .build_cartesian_2d(0.0..end, (1.0..most).log_scale())
        .map_err(text)?;
    chart.configure_mesh().axis_style(INK).light_line_style(INK.mix(0.05)).bold_line_style(INK.mix(0.12)).y_desc("latency, ms (log)").x_label_formatter(&|x| format!("{x:.0} s")).y_label_formatter(&|y| format!("{y:.0}")).draw().map_err(text)?;
    let faults = spans.iter().filter(|s| s.colour == FAULT);
    chart.draw_series(faults.map(|s| Rectangle::new([(s.from, 1.0), (s.to, most)], FAULT.mix(0.12).filled()))).map_err(text)?;
    let line = |f: fn(&(f64, f64, u64)) -> f64| bins.iter().map(move |(k, b)| ((*k as f64 + 0.5) * BIN, f(b).max(1.0))).collect::<Vec<_>>();
    chart.draw_series(LineSeries::new(line(|b| b.0), TOLD.stroke_width(2))).map_err(text)?.label("median").legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], TOLD.stroke_width(2)));
    chart.draw_series(LineSeries::new(line(|b| b.1), FIRING.stroke_width(2))).map_err(text)?.label("99th percentile").legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], FIRING.stroke_width(2)));
    let failed = bins.iter().filter(|(_, b)| b.2 > 0).map(|(k, _)| TriangleMarker::new(((*k as f64 + 0.5) * BIN, 1.3), 5, INK.filled()));
    chart.draw_series(failed).map_err(text)?.label("operations that ended otherwise than wanted").legend(|(x, y)| TriangleMarker::new((x + 9, y), 5, INK.filled()));
    chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.85)).border_style(INK.mix(0.2)).label_font(("sans-serif", 13)).draw().map_err(text)
}

