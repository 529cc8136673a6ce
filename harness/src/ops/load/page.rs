//! What a load measured, as one page: percentiles, and rate, latency and errors over time.

use super::{Arguments, judged};

use crate::process::exit::Exit;
use crate::report::chart::{Chart, Line, XAxis, YAxis};
use crate::report::{html, plots};
use loadgen::LiveStats;
use minijinja::Value;
use minijinja::value::Serde;
use std::time::Duration;
use verdict::history::load::LoadSummary;

/// Most instants that are kept; beyond, every other one is forgotten, so that a long load needs no
/// more memory than a short one.
const MOST: usize = 600;

/// A load over time: what was seen of it, at instants that lie evenly.
#[derive(Debug, Default)]
pub(super) struct Watched {
    seen: Vec<(Duration, LiveStats)>,
    /// One in so many is kept.
    every: usize,
    skipped: usize,
}

impl Watched {
    /// Adds what is seen now.
    pub fn add(&mut self, at: Duration, live: LiveStats) {
        self.skipped += 1;
        if self.skipped < self.every {
            return;
        }
        self.skipped = 0;
        self.seen.push((at, live));
        if self.seen.len() >= MOST {
            let mut keep = false;
            self.seen.retain(|_| {
                keep = !keep;
                keep
            });
            self.every = self.every.max(1) * 2;
        }
    }

    fn line(&self, name: &str, of: fn(&LiveStats) -> f64) -> Line {
        // Before the first answer nothing is known.
        let known = self.seen.iter().filter(|(_, l)| l.operations > 0);
        Line { name: name.into(), points: known.map(|(at, l)| (at.as_secs_f64(), of(l))).collect() }
    }
}

/// The page.
///
/// # Errors
/// It can't be made.
pub(super) fn page(
    arguments: &Arguments,
    seed: u64,
    summary: &LoadSummary,
    watched: &Watched,
    (exit, verdicts): (Exit, &[(&'static str, String)]),
) -> Result<String, minijinja::Error> {
    let title = format!(
        "Latency over time, of the operations of the last {} s at each instant",
        LiveStats::WINDOW_S
    );
    let lines =
        vec![watched.line("median", |l| l.p50_ms), watched.line("99th percentile", |l| l.p99_ms)];
    let over_time =
        Chart::new("over-time", &title, XAxis::Seconds, YAxis::Milliseconds, lines).render();
    let rate = Chart {
        size: (1200.0, 200.0),
        ..Chart::new(
            "rate",
            "Operations a second",
            XAxis::Seconds,
            YAxis::Count,
            vec![watched.line("operations a second", |l| l.rate)],
        )
    };
    let rows: Vec<Value> = watched
        .seen
        .iter()
        .step_by(watched.seen.len().div_ceil(120).max(1))
        .map(|(at, l)| {
            minijinja::context! {
                at_s => at.as_secs_f64(), rate => l.rate, errors => l.error_rate * 100.0, p50_ms => l.p50_ms, p99_ms => l.p99_ms,
                in_flight => l.in_flight,
            }
        })
        .collect();
    let judged: Vec<Value> = verdicts
        .iter()
        .map(|(word, text)| minijinja::context! { word => *word, text => text })
        .collect();
    let context = minijinja::context! {
        target => arguments.url.as_deref().unwrap_or(&arguments.stack),
        seed => seed,
        load => Value::from(Serde(summary)),
        status => judged::word(exit),
        interrupted => exit == Exit::Interrupted,
        judged => judged,
        percentiles => plots::curve("percentiles", &summary.curve),
        over_time => over_time,
        rate => rate.render(),
        rows => rows,
    };
    html::page("load.html", context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_load_is_kept_in_as_few_instants_as_a_short_one() {
        let mut watched = Watched::default();
        for second in 0..100_000 {
            watched.add(
                Duration::from_secs(second),
                LiveStats { operations: 1, ..LiveStats::default() },
            );
        }
        assert!(
            watched.seen.len() < MOST && watched.seen.len() > MOST / 4,
            "{}",
            watched.seen.len()
        );
        let steps: Vec<u64> =
            watched.seen.windows(2).map(|w| (w[1].0 - w[0].0).as_secs()).collect();
        let (least, most) = (steps.iter().min().unwrap_or(&0), steps.iter().max().unwrap_or(&0));
        assert!(*most <= least * 2, "evenly: {least} to {most} s apart");
        assert!(watched.seen.last().is_some_and(|(at, _)| at.as_secs() > 99_000), "to the end");
    }
}
