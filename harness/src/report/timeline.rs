//! The run on one time axis, as SVG: phases, faults, alerts, notifications, and the latency and
//! failures that users saw. Colours come from the page's style sheet; shapes differ as well, so
//! that it can be read without colours.

use super::chart::{self, escaped};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use verdict::summary::{Bin, State, Timeline};

const WIDTH: f64 = 1200.0;
/// Width of the labels at the left.
const LABELS: f64 = 215.0;
const RIGHT: f64 = 18.0;
const LANE: f64 = 21.0;
/// Height of a group's heading.
const HEADING: f64 = 27.0;
const AXIS: f64 = 24.0;
const LATENCY: f64 = 210.0;
const FAILURES: f64 = 54.0;

/// A drawing that grows downwards.
struct Drawing<'a> {
    timeline: &'a Timeline,
    lanes: String,
    y: f64,
}

/// The picture as SVG; `None` if nothing happened that could be shown. `drilled` are the alerts
/// that a drill is about.
pub fn render(timeline: &Timeline, drilled: &BTreeSet<String>) -> Option<String> {
    if timeline.end_s <= timeline.from_s
        || (timeline.faults.is_empty() && timeline.alerts.is_empty() && timeline.latency.is_empty())
    {
        return None;
    }
    let mut d = Drawing { timeline, lanes: String::new(), y: 4.0 };
    d.phases();
    d.axis();
    let top = d.y;
    d.faults();
    d.alerts("alerts that a drill is about", |name| drilled.contains(name));
    d.alerts("other alerts", |name| !drilled.contains(name));
    d.receivers();
    let lanes_end = d.y;
    d.latency();
    d.failures();
    let bottom = d.y;
    d.axis();
    let height = d.y + 4.0;
    let mut svg = format!(
        r#"<svg viewBox="0 0 {WIDTH} {height:.0}" xmlns="http://www.w3.org/2000/svg" class="timeline" role="img" aria-labelledby="timeline-title timeline-desc"><title id="timeline-title">Faults, alerts, notifications and latency over the {:.0} seconds of the run</title><desc id="timeline-desc">{} faults, {} alerts that were pending or fired, {} receivers that were notified. The tables below hold the same figures.</desc>"#,
        timeline.end_s,
        timeline.faults.len(),
        timeline.alerts.len(),
        timeline.receivers.len()
    );
    for fault in &timeline.faults {
        let (x, width) = d.stretch(fault.from_s, fault.to_s, 1.0);
        let _ = write!(
            svg,
            r#"<rect class="band" x="{x:.1}" y="{top:.1}" width="{width:.1}" height="{:.1}"/>"#,
            bottom - top
        );
    }
    for t in ticks(timeline.from_s, timeline.end_s) {
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{0:.1}" x2="{0:.1}" y1="{top:.1}" y2="{bottom:.1}"/>"#,
            d.x(t)
        );
    }
    let _ = write!(
        svg,
        r#"<line class="rule" x1="0" x2="{WIDTH}" y1="{0:.1}" y2="{0:.1}"/>{1}</svg>"#,
        lanes_end + 6.0,
        d.lanes
    );
    Some(svg)
}

impl Drawing<'_> {
    fn x(&self, t: f64) -> f64 {
        LABELS
            + (WIDTH - LABELS - RIGHT)
                * ((t - self.timeline.from_s) / (self.timeline.end_s - self.timeline.from_s))
                    .clamp(0.0, 1.0)
    }

    /// Left edge and width of a stretch, at least `least` wide.
    fn stretch(&self, from: f64, to: f64, least: f64) -> (f64, f64) {
        let x = self.x(from);
        (x, (self.x(to) - x).max(least))
    }

    fn heading(&mut self, text: &str) {
        self.y += HEADING;
        let _ = write!(
            self.lanes,
            r#"<text class="heading" x="0" y="{:.1}">{}</text>"#,
            self.y - 8.0,
            escaped(text)
        );
    }

    fn label(&mut self, text: &str) {
        let _ = write!(
            self.lanes,
            r#"<text class="lane" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            LABELS - 10.0,
            self.y + LANE * 0.5 + 4.5,
            escaped(&short(text))
        );
    }

    fn bar(&mut self, class: &str, from: f64, to: f64, title: &str) {
        let (x, width) = self.stretch(from, to, 2.0);
        let (inset, height) =
            if class == "pending" { (7.0, LANE - 14.0) } else { (3.5, LANE - 7.0) };
        let _ = write!(
            self.lanes,
            r#"<rect class="{class}" x="{x:.1}" y="{:.1}" width="{width:.1}" height="{height:.1}" rx="2"><title>{}</title></rect>"#,
            self.y + inset,
            escaped(title)
        );
    }

    fn phases(&mut self) {
        for phase in &self.timeline.phases {
            let (x, width) = self.stretch(phase.from_s, phase.to_s, 1.0);
            let _ = write!(
                self.lanes,
                r#"<rect class="phase" x="{x:.1}" y="{:.1}" width="{:.1}" height="16"><title>{}</title></rect>"#,
                self.y,
                (width - 1.0).max(0.5),
                escaped(&span(&phase.name, phase.from_s, phase.to_s))
            );
            if width > 7.0 * phase.name.len() as f64 {
                let _ = write!(
                    self.lanes,
                    r#"<text class="small" x="{:.1}" y="{:.1}">{}</text>"#,
                    x + 4.0,
                    self.y + 12.0,
                    escaped(&phase.name)
                );
            }
        }
        let _ = write!(
            self.lanes,
            r#"<text class="lane" x="{:.1}" y="{:.1}" text-anchor="end">phase</text>"#,
            LABELS - 10.0,
            self.y + 12.5
        );
        self.y += 18.0;
    }

    fn axis(&mut self) {
        for t in ticks(self.timeline.from_s, self.timeline.end_s) {
            let _ = write!(
                self.lanes,
                r#"<text class="small" x="{:.1}" y="{:.1}" text-anchor="middle">{t:.0} s</text>"#,
                self.x(t),
                self.y + 16.0
            );
        }
        self.y += AXIS;
    }

    fn faults(&mut self) {
        if self.timeline.faults.is_empty() {
            return;
        }
        self.heading("faults");
        for fault in &self.timeline.faults {
            self.label(&fault.name);
            self.bar(
                "fault",
                fault.from_s,
                fault.to_s,
                &span(&fault.name, fault.from_s, fault.to_s),
            );
            self.y += LANE;
        }
    }

    fn alerts(&mut self, heading: &str, which: impl Fn(&str) -> bool) {
        let lanes: Vec<_> = self.timeline.alerts.iter().filter(|l| which(&l.alert)).collect();
        if lanes.is_empty() {
            return;
        }
        self.heading(heading);
        for lane in lanes {
            self.label(&lane.alert);
            for (state, from, to) in &lane.spans {
                let (class, word) = if *state == State::Firing {
                    ("firing", "firing")
                } else {
                    ("pending", "pending")
                };
                self.bar(class, *from, *to, &span(&format!("{} {word}", lane.alert), *from, *to));
            }
            self.y += LANE;
        }
    }

    fn receivers(&mut self) {
        if self.timeline.receivers.is_empty() {
            return;
        }
        self.heading("notifications, by receiver");
        for receiver in &self.timeline.receivers {
            self.label(receiver.receiver.as_deref().unwrap_or("accepted by none"));
            for mark in &receiver.marks {
                let (x, y) = (self.x(mark.at_s), self.y + LANE / 2.0);
                let (class, word) =
                    if mark.resolved { ("over", "is over") } else { ("told", "fires") };
                let title = escaped(&format!("{} {word}, {:.1} s", mark.alert, mark.at_s));
                let _ = write!(
                    self.lanes,
                    r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="4.5"><title>{title}</title></circle>"#
                );
            }
            self.y += LANE;
        }
    }

    /// A line across, with what it stands for at its left.
    fn grid_line(&mut self, at: f64, text: &str) {
        let _ = write!(
            self.lanes,
            r#"<line class="grid" x1="{LABELS}" x2="{:.1}" y1="{at:.1}" y2="{at:.1}"/><text class="small" x="{:.1}" y="{:.1}" text-anchor="end">{text}</text>"#,
            WIDTH - RIGHT,
            LABELS - 10.0,
            at + 4.0
        );
    }

    /// Median and 99th percentile on a logarithmic axis.
    fn latency(&mut self) {
        let bins = &self.timeline.latency;
        let Some(most) = bins.iter().map(|b| b.p99_ms).reduce(f64::max) else { return };
        self.y += 6.0;
        self.heading(&format!("latency of operations, per {:.0} s", self.timeline.bin_s));
        self.y += 6.0;
        let decades = most.max(10.0).log10().ceil();
        let (top, height) = (self.y, LATENCY);
        let y = |ms: f64| top + height * (1.0 - ms.max(1.0).log10() / decades);
        for decade in 0..=decades as i32 {
            let (ms, at) = (10f64.powi(decade), y(10f64.powi(decade)));
            self.grid_line(at, &chart::milliseconds(ms));
        }
        for (class, of) in [("p99", (|b| b.p99_ms) as fn(&Bin) -> f64), ("p50", |b| b.p50_ms)] {
            let mut path = String::new();
            let mut before: Option<f64> = None;
            for bin in bins {
                // A bin without operations is a gap, not a line across it.
                let joins = before.is_some_and(|t| bin.at_s - t < self.timeline.bin_s * 1.5);
                let _ = write!(
                    path,
                    "{}{:.1} {:.1}",
                    if joins { "L" } else { "M" },
                    self.x(bin.at_s),
                    y(of(bin))
                );
                before = Some(bin.at_s);
            }
            let _ = write!(self.lanes, r#"<path class="{class}" d="{path}"/>"#);
        }
        self.y += height;
    }

    /// Operations that ended otherwise than wanted.
    fn failures(&mut self) {
        let Some(most) = self.timeline.latency.iter().map(|b| b.failed).max().filter(|n| *n > 0)
        else {
            return;
        };
        self.heading("operations that failed, per bin");
        self.y += 6.0;
        let (base, scale) = (self.y + FAILURES, FAILURES / most as f64);
        let width = (self.x(self.timeline.from_s + self.timeline.bin_s)
            - self.x(self.timeline.from_s)
            - 0.6)
            .max(0.8);
        for (n, at) in [(most, self.y), (0, base)] {
            self.grid_line(at, &n.to_string());
        }
        for bin in self.timeline.latency.iter().filter(|b| b.failed > 0) {
            let height = bin.failed as f64 * scale;
            let title = format!(
                "{} of {} operations due about {:.0} s",
                bin.failed, bin.operations, bin.at_s
            );
            let _ = write!(
                self.lanes,
                r#"<rect class="failed" x="{:.1}" y="{:.1}" width="{width:.1}" height="{height:.1}"><title>{title}</title></rect>"#,
                self.x(bin.at_s) - width / 2.0,
                base - height
            );
        }
        self.y = base;
    }
}

/// Round instants, at most about fourteen of them.
fn ticks(from_s: f64, end_s: f64) -> Vec<f64> {
    let steps = [
        1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21600.0,
    ];
    let step = steps.into_iter().find(|s| (end_s - from_s) / s <= 14.0).unwrap_or(86_400.0);
    ((from_s / step).ceil() as u32..=(end_s / step) as u32).map(|i| f64::from(i) * step).collect()
}

fn span(what: &str, from: f64, to: f64) -> String {
    format!("{what}: {from:.1} s to {to:.1} s ({:.1} s)", to - from)
}

/// A label that fits its column; the whole name is in the table.
fn short(text: &str) -> String {
    let most = 29;
    if text.chars().count() <= most {
        text.to_owned()
    } else {
        text.chars().take(most - 1).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use verdict::summary::FiringInterval;

    #[test]
    fn an_empty_run_has_no_picture() {
        assert_eq!(render(&Timeline::default(), &BTreeSet::new()), None);
    }

    #[test]
    fn names_from_a_stack_are_text_and_never_markup() {
        let faults = vec![FiringInterval { name: "<script>&".into(), from_s: 1.0, to_s: 2.0 }];
        let svg = render(
            &Timeline { end_s: 10.0, bin_s: 2.0, faults, ..Timeline::default() },
            &BTreeSet::new(),
        )
        .unwrap_or_default();
        assert!(svg.contains("&lt;script&gt;&amp;") && !svg.contains("<script"));
    }

    #[test]
    fn ticks_are_round_and_few_for_any_length() {
        for end in [0.5, 3.0, 59.0, 374.0, 4000.0, 90_000.0] {
            assert!(ticks(0.0, end).len() <= 15, "{end}");
        }
        assert_eq!(ticks(93.2, 139.7).first(), Some(&95.0));
        assert_eq!(ticks(0.0, 100.0).get(1), Some(&10.0));
    }
}
