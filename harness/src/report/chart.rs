//! Line charts as SVG. Colours come from the page's style sheet; lines differ in their dashes and
//! marks as well, so that they can be told apart without colours. Whoever shows a chart shows its
//! figures in a table too.

use std::fmt::Write as _;

const LEFT: f64 = 70.0;
const RIGHT: f64 = 16.0;
/// Height of a line of the legend.
const LEGEND: f64 = 20.0;
const BOTTOM: f64 = 40.0;
/// Most lines that differ.
pub const LINES: usize = 8;

/// What lies across.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XAxis {
    /// Seconds since the beginning.
    Seconds,
    /// Percentiles, 0 to 100, each nine as wide as the one before.
    Nines,
    /// Seconds since the epoch, UTC.
    Date,
}

/// What goes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum YAxis {
    /// Milliseconds, each decade as high as the one before.
    Milliseconds,
    /// Seconds from 0.
    Seconds,
    /// A count from 0.
    Count,
}

/// A line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Name, for the legend.
    pub name: String,
    /// Points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// Something that lasted, as a shade behind the lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    pub name: String,
    pub from: f64,
    pub to: f64,
}

/// A chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Id of the picture, unique on its page.
    pub id: String,
    /// What it shows, in a few words.
    pub title: String,
    /// What lies across.
    pub across: XAxis,
    /// What goes up.
    pub up: YAxis,
    pub lines: Vec<Line>,
    pub bands: Vec<Band>,
    /// Points of a line that are further apart than this are not joined.
    pub gap: Option<f64>,
    /// Both axes may be fixed, so that two charts can be compared: left, right, and the largest
    /// value.
    pub fixed: Option<(f64, f64, f64)>,
    /// Width and height, pixels.
    pub size: (f64, f64),
}

impl Chart {
    /// A wide chart without shades.
    pub fn new(id: &str, title: &str, across: XAxis, up: YAxis, lines: Vec<Line>) -> Chart {
        Chart {
            id: id.into(),
            title: title.into(),
            across,
            up,
            lines,
            bands: Vec::new(),
            gap: None,
            fixed: None,
            size: (1200.0, 300.0),
        }
    }

    /// The picture; `None` if no line has a point.
    pub fn render(&self) -> Option<String> {
        let points = || self.lines.iter().flat_map(|l| &l.points);
        points().next()?;
        let (mut from, mut to) = points()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), (x, _)| (a.min(*x), b.max(*x)));
        let mut most = points().map(|(_, y)| *y).fold(0.0, f64::max);
        if let Some((left, right, largest)) = self.fixed {
            (from, to, most) = (left, right, largest);
        }
        match self.across {
            XAxis::Nines => {
                // The largest value has no percentile of its own: it stands at the right, a little
                // beyond the last that has one.
                let last = points().map(|(x, _)| *x).filter(|x| *x < 100.0).fold(0.0, f64::max);
                (from, to) = (0.0, nines(last).max(1.0) + 0.3);
            }
            _ if to - from < 1e-9 => (from, to) = (from - 30.0, to + 30.0),
            _ => {}
        }
        let least = points().map(|(_, y)| *y).filter(|y| *y > 0.0).fold(f64::INFINITY, f64::min);
        let frame = Frame {
            chart: self,
            from,
            to,
            scale: Scale::of(self.up, least, most),
            top: self.legend_height(),
        };
        let mut svg = format!(
            r#"<svg viewBox="0 0 {w} {h}" xmlns="http://www.w3.org/2000/svg" class="chart" role="img" aria-labelledby="{id}-title {id}-desc"><title id="{id}-title">{title}</title><desc id="{id}-desc">{desc}</desc>"#,
            w = self.size.0,
            h = self.size.1,
            id = escaped(&self.id),
            title = escaped(&self.title),
            desc = escaped(&self.words())
        );
        frame.bands(&mut svg);
        frame.axes(&mut svg);
        self.legend(&mut svg);
        for (n, line) in self.lines.iter().enumerate() {
            frame.line(&mut svg, n % LINES, line);
        }
        svg.push_str("</svg>");
        Some(svg)
    }

    /// The chart in words: what each line begins and ends with, and its largest value.
    fn words(&self) -> String {
        let line = |l: &Line| {
            let (first, last) = (l.points.first()?, l.points.last()?);
            let most = l.points.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
            let [a, b, most] = [first.1, last.1, most].map(|v| self.up.words(v));
            Some(format!("{}: from {a} to {b}, at most {most}", l.name))
        };
        self.lines.iter().filter_map(line).collect::<Vec<_>>().join("; ")
            + ". The same figures stand in a table."
    }

    /// Where each entry of the legend goes: left edge and row.
    fn places(&self) -> Vec<(f64, f64)> {
        let (mut x, mut row, mut places) = (LEFT, 0.0, Vec::new());
        for line in &self.lines {
            let width = 46.0 + 7.2 * line.name.chars().count() as f64;
            if x > LEFT && x + width > self.size.0 - RIGHT {
                (x, row) = (LEFT, row + 1.0);
            }
            places.push((x, row));
            x += width;
        }
        places
    }

    fn legend_height(&self) -> f64 {
        self.places().last().map_or(0.0, |(_, row)| (row + 1.0) * LEGEND) + 6.0
    }

    fn legend(&self, svg: &mut String) {
        for (n, ((x, row), line)) in self.places().into_iter().zip(&self.lines).enumerate() {
            let y = row * LEGEND + 12.0;
            let _ = write!(svg, r#"<path class="line s{0}" d="M{x:.1} {y:.1}h26"/>"#, n % LINES);
            mark(svg, n % LINES, x + 13.0, y, "");
            let _ = write!(
                svg,
                r#"<text x="{:.1}" y="{:.1}">{}</text>"#,
                x + 33.0,
                y + 4.0,
                escaped(&line.name)
            );
        }
    }
}

impl YAxis {
    fn words(self, value: f64) -> String {
        match self {
            YAxis::Milliseconds => milliseconds(value),
            YAxis::Seconds => format!("{} s", short(value)),
            YAxis::Count => short(value),
        }
    }
}

/// How values become heights, 0 to 1.
#[derive(Debug, Clone, Copy)]
enum Scale {
    /// Decades from the first exponent to the last.
    Decades(f64, f64),
    /// From 0 to this, in steps.
    Even(f64, f64),
}

impl Scale {
    fn of(up: YAxis, least: f64, most: f64) -> Scale {
        if up == YAxis::Milliseconds {
            let low = if least.is_finite() { least.log10().floor() } else { 0.0 };
            return Scale::Decades(low, most.max(1e-3).log10().ceil().max(low + 1.0));
        }
        let step = round_step((most / 5.0).max(if up == YAxis::Count { 1.0 } else { 1e-3 }));
        Scale::Even((most / step).ceil().max(1.0) * step, step)
    }

    fn height(self, value: f64) -> f64 {
        match self {
            Scale::Decades(low, high) => {
                ((value.max(1e-9).log10() - low) / (high - low)).clamp(0.0, 1.0)
            }
            Scale::Even(most, _) => (value / most).clamp(0.0, 1.0),
        }
    }

    fn ticks(self) -> Vec<f64> {
        match self {
            Scale::Decades(low, high) => {
                (low as i32..=high as i32).map(|e| 10f64.powi(e)).collect()
            }
            Scale::Even(most, step) => {
                (0..=(most / step).round() as u32).map(|i| f64::from(i) * step).collect()
            }
        }
    }
}

/// The next of 1, 2, 5 times a power of ten.
fn round_step(at_least: f64) -> f64 {
    let power = 10f64.powf(at_least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|s| *s >= at_least * 0.999)
        .unwrap_or(power * 10.0)
}

struct Frame<'a> {
    chart: &'a Chart,
    from: f64,
    to: f64,
    scale: Scale,
    top: f64,
}

impl Frame<'_> {
    fn x(&self, value: f64) -> f64 {
        let at = if self.chart.across == XAxis::Nines { nines(value) } else { value };
        LEFT + (self.chart.size.0 - LEFT - RIGHT)
            * ((at - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }

    fn bottom(&self) -> f64 {
        self.chart.size.1 - BOTTOM
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom() - (self.bottom() - self.top) * self.scale.height(value)
    }

    fn bands(&self, svg: &mut String) {
        for band in &self.chart.bands {
            let (x, end) = (self.x(band.from), self.x(band.to));
            let _ = write!(
                svg,
                r#"<rect class="band" x="{x:.1}" y="{:.1}" width="{:.1}" height="{:.1}"><title>{}: {:.1} s to {:.1} s</title></rect>"#,
                self.top,
                (end - x).max(1.0),
                self.bottom() - self.top,
                escaped(&band.name),
                band.from,
                band.to
            );
        }
    }

    fn axes(&self, svg: &mut String) {
        let right = self.chart.size.0 - RIGHT;
        for value in self.scale.ticks() {
            let y = self.y(value);
            let _ = write!(
                svg,
                r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/><text class="small" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
                LEFT - 8.0,
                y + 4.0,
                self.chart.up.words(value)
            );
        }
        let (ticks, about) = match self.chart.across {
            XAxis::Nines => (percentile_ticks(self.to), "percentile"),
            XAxis::Seconds => (even_ticks(self.from, self.to), "seconds since the beginning"),
            XAxis::Date => {
                (date_ticks(self.from, self.to, ((right - LEFT) / 105.0).floor()), "date, UTC")
            }
        };
        for (value, text) in ticks {
            let x = self.x(value);
            // Near the edge a long word would be cut.
            let (anchor, at) = if x + 3.3 * text.len() as f64 > self.chart.size.0 {
                ("end", right + 8.0)
            } else {
                ("middle", x)
            };
            let _ = write!(
                svg,
                r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{:.1}" y2="{:.1}"/><text class="small" x="{at:.1}" y="{:.1}" text-anchor="{anchor}">{text}</text>"#,
                self.top,
                self.bottom(),
                self.bottom() + 16.0
            );
        }
        let _ = write!(
            svg,
            r#"<text class="small" x="{:.1}" y="{:.1}" text-anchor="middle">{about}</text>"#,
            (LEFT + right) / 2.0,
            self.bottom() + 33.0
        );
    }

    fn line(&self, svg: &mut String, n: usize, line: &Line) {
        let (mut path, mut before) = (String::new(), None::<f64>);
        for (x, y) in &line.points {
            // What was not measured is a gap, not a line across it.
            let joins = before.is_some_and(|b| self.chart.gap.is_none_or(|gap| x - b <= gap));
            let _ = write!(
                path,
                "{}{:.1} {:.1}",
                if joins { "L" } else { "M" },
                self.x(*x),
                self.y(*y)
            );
            before = Some(*x);
        }
        let _ = write!(svg, r#"<path class="line s{n}" d="{path}"/>"#);
        // Many points need no marks: the line has a shape of its own.
        if line.points.len() <= 60 {
            for (x, y) in &line.points {
                let at = match self.chart.across {
                    XAxis::Nines if *x >= 100.0 => "the largest".to_owned(),
                    XAxis::Nines => format!("P{x}"),
                    XAxis::Seconds => format!("{} s", short(*x)),
                    XAxis::Date => date(*x, "%Y-%m-%d %H:%M"),
                };
                mark(
                    svg,
                    n,
                    self.x(*x),
                    self.y(*y),
                    &format!("{}, {at}: {}", line.name, self.chart.up.words(*y)),
                );
            }
        }
    }
}

/// A mark whose shape tells the line.
fn mark(svg: &mut String, n: usize, x: f64, y: f64, title: &str) {
    let shape = match n % 4 {
        0 => format!(r#"<circle class="mark s{n}" cx="{x:.1}" cy="{y:.1}" r="3.2">"#),
        1 => format!(
            r#"<rect class="mark s{n}" x="{:.1}" y="{:.1}" width="6" height="6">"#,
            x - 3.0,
            y - 3.0
        ),
        2 => format!(r#"<path class="mark s{n}" d="M{x:.1} {:.1}l4 7h-8z">"#, y - 4.0),
        _ => format!(r#"<path class="mark s{n}" d="M{x:.1} {:.1}l4 4l-4 4l-4-4z">"#, y - 4.0),
    };
    let end = shape.split_once(' ').map_or("", |(tag, _)| &tag[1..]);
    let _ = write!(svg, "{shape}<title>{}</title></{end}>", escaped(title));
}

/// How far right a percentile lies: 0 for 0, 1 for 90, 2 for 99.
fn nines(percentile: f64) -> f64 {
    -(1.0 - percentile.clamp(0.0, 99.999_999) / 100.0).log10()
}

fn percentile_ticks(to: f64) -> Vec<(f64, String)> {
    [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999]
        .into_iter()
        .filter(|p| nines(*p) <= to + 1e-6)
        .map(|p| (p, format!("P{p}")))
        .collect()
}

fn even_ticks(from: f64, to: f64) -> Vec<(f64, String)> {
    let steps = [
        0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
        7200.0, 21600.0,
    ];
    let step = steps.into_iter().find(|s| (to - from) / s <= 14.0).unwrap_or(86_400.0);
    ((from / step).ceil() as i64..=(to / step).floor() as i64)
        .map(|i| i as f64 * step)
        .map(|t| (t, format!("{} s", short(t))))
        .collect()
}

/// At most so many of them.
fn date_ticks(from: f64, to: f64, most: f64) -> Vec<(f64, String)> {
    let steps = [
        15.0,
        60.0,
        300.0,
        900.0,
        3600.0,
        10_800.0,
        21_600.0,
        86_400.0,
        172_800.0,
        604_800.0,
        2_592_000.0,
        7_776_000.0,
    ];
    let step = steps.into_iter().find(|s| (to - from) / s <= most - 1.0).unwrap_or(31_536_000.0);
    let form = match step {
        step if step < 60.0 => "%m-%d %H:%M:%S",
        step if step < 86_400.0 => "%m-%d %H:%M",
        _ => "%Y-%m-%d",
    };
    ((from / step).ceil() as i64..=(to / step).floor() as i64)
        .map(|i| i as f64 * step)
        .map(|t| (t, date(t, form)))
        .collect()
}

/// Seconds since the epoch as a date, UTC.
fn date(at_s: f64, form: &str) -> String {
    jiff::Timestamp::from_second(at_s as i64)
        .map(|t| t.to_zoned(jiff::tz::TimeZone::UTC).strftime(form).to_string())
        .unwrap_or_default()
}

/// A number without digits that tell nothing.
pub fn short(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 0.1 => 2,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Milliseconds, in the unit that fits.
pub fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms >= 1000.0 => format!("{} s", short(ms / 1000.0)),
        ms if ms >= 1.0 || ms == 0.0 => format!("{} ms", short(ms)),
        ms => format!("{} µs", short(ms * 1000.0)),
    }
}

/// Text as it stands in markup.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, points: &[(f64, f64)]) -> Line {
        Line { name: name.into(), points: points.to_vec() }
    }

    #[test]
    fn a_chart_without_points_is_none_and_one_with_them_is_told_in_words() {
        assert_eq!(
            Chart::new("a", "t", XAxis::Seconds, YAxis::Count, vec![line("x", &[])]).render(),
            None
        );
        let chart = Chart::new(
            "a",
            "latency",
            XAxis::Nines,
            YAxis::Milliseconds,
            vec![line("<b>", &[(50.0, 2.0), (99.0, 1500.0)])],
        );
        let svg = chart.render().unwrap_or_default();
        for part in [
            r#"role="img""#,
            "<title id=\"a-title\">latency</title>",
            "&lt;b&gt;: from 2 ms to 1.5 s, at most 1.5 s",
            "P99",
        ] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(!svg.contains("<b>") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn lines_have_gaps_where_nothing_was_measured() {
        let mut chart = Chart::new(
            "a",
            "t",
            XAxis::Seconds,
            YAxis::Count,
            vec![line("x", &[(0.0, 1.0), (1.0, 1.0), (9.0, 1.0)])],
        );
        chart.gap = Some(2.0);
        let svg = chart.render().unwrap_or_default();
        let path = svg
            .rsplit("class=\"line s0\" d=\"")
            .next()
            .and_then(|rest| rest.split('"').next())
            .unwrap_or_default();
        assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 1), "{path}");
    }

    #[test]
    fn axes_hold_what_they_show_in_few_round_ticks() {
        for most in [0.0_f64, 0.004, 1.0, 7.3, 99.0, 1234.0] {
            for up in [YAxis::Milliseconds, YAxis::Seconds, YAxis::Count] {
                let scale = Scale::of(up, most.max(0.001), most);
                let ticks = scale.ticks();
                assert!(ticks.len() >= 2 && ticks.len() <= 9, "{up:?} {most}: {ticks:?}");
                assert!(
                    ticks.last().is_some_and(|t| *t >= most * 0.999),
                    "{up:?} {most}: {ticks:?}"
                );
            }
        }
        for end in [0.5, 3.0, 374.0, 90_000.0] {
            assert!(even_ticks(0.0, end).len() <= 15 && !even_ticks(0.0, end).is_empty(), "{end}");
        }
        assert!(nines(0.0).abs() < 1e-12 && (nines(99.0) - 2.0).abs() < 1e-9);
        assert_eq!(
            [milliseconds(0.05), milliseconds(2.5), milliseconds(12_000.0)],
            ["50 µs", "2.5 ms", "12 s"]
        );
    }
}
