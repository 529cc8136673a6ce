//! The course of a load, window by window, and conditions on one that stop it. What is kept does
//! not grow with what is sent.

use crate::limit::Limit;
use crate::recorder::{histogram, nanos, percentiles};
use hdrhistogram::Histogram;
use std::time::Duration;
use verdict::history::load::{StoppedBy, Window};

/// Length of a window unless told otherwise, and the shortest one.
pub const WIDTH: Duration = Duration::from_secs(1);
/// Most windows that are kept of the duration of a load; longer loads have longer windows.
const MOST: u32 = 240;
/// Most windows that are kept at all: operations may end long after the last arrival.
const KEPT: usize = 2 * MOST as usize;

/// How the course of a load is watched.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Windows {
    /// Length of a window, at least [`WIDTH`]; one of a 240th of the load's duration where that is
    /// longer.
    pub width: Option<Duration>,
    /// What stops the load as soon as a window shows it.
    pub stop_when: Vec<Limit>,
}

impl Windows {
    fn width_in(&self, duration: Option<Duration>) -> Duration {
        self.width.unwrap_or(WIDTH).max(WIDTH).max(duration.unwrap_or_default() / MOST)
    }
}

/// The windows of one load.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    width: Duration,
    stop_when: Vec<Limit>,
    /// None are kept of a load of unknown length.
    keep: bool,
    kept: Vec<Window>,
    /// The window that is not over: its number, and what ended in it.
    number: u32,
    operations: u64,
    errors: u64,
    latency: Histogram<u64>,
    /// Arrivals before it, and operations under way at its beginning.
    arrivals_before: u64,
    in_flight_before: u64,
    /// Windows in a row at whose beginning operations were under way, and in which none ended.
    standing: u32,
    stopped_by: Option<StoppedBy>,
}

impl Series {
    pub fn new(windows: &Windows, duration: Option<Duration>) -> Series {
        Series {
            width: windows.width_in(duration),
            stop_when: windows.stop_when.clone(),
            keep: duration.is_some(),
            kept: Vec::new(),
            number: 0,
            operations: 0,
            errors: 0,
            latency: histogram(3),
            arrivals_before: 0,
            in_flight_before: 0,
            standing: 0,
            stopped_by: None,
        }
    }

    /// The time is `at` after the beginning of the load, of which there were so many arrivals:
    /// windows that are over are closed.
    pub fn tick(&mut self, at: Duration, arrivals: u64, in_flight: u64) {
        while self.number < u32::MAX && self.width * (self.number + 1) <= at {
            self.close(self.width * (self.number + 1), arrivals, in_flight);
        }
    }

    /// An operation ended, in the window that is not over.
    pub fn ended(&mut self, latency: Duration, as_expected: bool) {
        self.operations += 1;
        self.errors += u64::from(!as_expected);
        self.latency.saturating_record(nanos(latency));
    }

    /// The condition that a window showed, and which.
    pub fn stopped_by(&self) -> Option<&StoppedBy> {
        self.stopped_by.as_ref()
    }

    /// All windows, the last one as far as it went.
    pub fn all(&self, driven: Duration, arrivals: u64, in_flight: u64) -> Vec<Window> {
        let begun = self.width * self.number;
        if !self.keep {
            return Vec::new();
        }
        let mut all = self.clone();
        if all.operations > 0 || driven > begun {
            // What ended after the schedule did has a window of its own, which nobody timed.
            let until =
                if driven > begun { driven.min(begun + self.width) } else { begun + self.width };
            all.close(until, arrivals, in_flight);
        }
        all.kept
    }

    fn close(&mut self, until: Duration, arrivals: u64, in_flight: u64) {
        let window = Window {
            from_s: (self.width * self.number).as_secs_f64(),
            to_s: until.as_secs_f64(),
            arrivals: arrivals.saturating_sub(self.arrivals_before),
            operations: self.operations,
            errors: self.errors,
            in_flight,
            latency_ms: percentiles(&self.latency),
        };
        self.standing =
            if self.operations == 0 && self.in_flight_before > 0 { self.standing + 1 } else { 0 };
        if self.stopped_by.is_none() {
            self.stopped_by = self.stop_when.iter().find_map(|limit| self.exceeded(limit, &window));
        }
        if self.keep && self.kept.len() < KEPT {
            self.kept.push(window);
        }
        self.number += 1;
        (self.operations, self.errors) = (0, 0);
        self.latency.reset();
        (self.arrivals_before, self.in_flight_before) = (arrivals, in_flight);
    }

    /// What a window shows beyond a limit. Nobody's latency is known while a server stands still,
    /// but how long it is at least.
    fn exceeded(&self, limit: &Limit, window: &Window) -> Option<StoppedBy> {
        let waited = self.width * self.standing;
        let seen = if window.operations > 0 {
            let (seen, allowed) = limit.seen_in(window);
            (!allowed).then_some(seen)?
        } else {
            let exceeded = limit.is_exceeded_by_waiting(waited.as_secs_f64() * 1e3);
            exceeded.then(|| format!("nothing was answered for {} s", waited.as_secs_f64()))?
        };
        Some(StoppedBy { condition: limit.to_string(), seen, at_s: window.to_s })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn series(stop_when: &[&str]) -> Series {
        let stop_when = stop_when.iter().map(|t| Limit::stop_when(t).expect("readable")).collect();
        Series::new(&Windows { width: None, stop_when }, Some(Duration::from_secs(10)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_operation_is_in_the_window_in_which_it_ended(mut ends in prop::collection::vec((0u32..9_000, 1u32..500, any::<bool>()), 1..200)) {
            ends.sort_unstable();
            let mut series = series(&[]);
            for (n, (at, latency, good)) in ends.iter().enumerate() {
                series.tick(MS * *at, n as u64, 1);
                series.ended(MS * *latency, *good);
            }
            let all = series.all(Duration::from_secs(10), ends.len() as u64, 0);
            prop_assert_eq!(all.iter().map(|w| w.operations).sum::<u64>(), ends.len() as u64);
            prop_assert_eq!(all.iter().map(|w| w.arrivals).sum::<u64>(), ends.len() as u64);
            for w in &all {
                let within: Vec<_> = ends.iter().filter(|(at, ..)| (w.from_s..w.to_s).contains(&(f64::from(*at) / 1e3))).collect();
                prop_assert_eq!((w.operations, w.errors), (within.len() as u64, within.iter().filter(|e| !e.2).count() as u64));
                let longest = within.iter().map(|e| e.1).max().unwrap_or(0);
                prop_assert!((w.latency_ms.max - f64::from(longest)).abs() <= f64::from(longest) * 1e-3);
            }
            prop_assert!(all.windows(2).all(|w| w[0].to_s == w[1].from_s));
        }
    }

    #[test]
    fn a_window_stops_the_load_once_it_is_over() {
        let mut series = series(&["p99 > 100ms", "error_rate > 5%"]);
        series.ended(99 * MS, true);
        series.tick(1000 * MS, 1, 0);
        assert_eq!(series.stopped_by(), None);
        (0..17).for_each(|_| series.ended(MS, true));
        series.ended(MS, false);
        assert_eq!(series.stopped_by(), None, "the window is not over");
        series.tick(2100 * MS, 19, 0);
        let why = series.stopped_by().expect("stopped").clone();
        assert_eq!(
            why,
            StoppedBy { condition: "error_rate > 5%".into(), seen: "5.56 %".into(), at_s: 2.0 }
        );
        series.ended(200 * MS, true);
        series.tick(3000 * MS, 20, 0);
        assert_eq!(series.stopped_by(), Some(&why), "the first reason stays");
    }

    #[test]
    fn a_server_that_stands_still_stops_the_load_too() {
        let mut halted = series(&["p99 > 1500ms"]);
        halted.tick(1000 * MS, 5, 5);
        halted.tick(2000 * MS, 10, 10);
        assert_eq!(halted.stopped_by(), None, "those under way waited for one second at least");
        halted.tick(3000 * MS, 15, 15);
        assert!(
            halted.stopped_by().is_some_and(|w| w.seen == "nothing was answered for 2 s"),
            "{:?}",
            halted.stopped_by()
        );
        let mut idle = series(&["p99 > 1500ms"]);
        idle.tick(9000 * MS, 0, 0);
        assert_eq!(idle.stopped_by(), None, "nobody came");
    }

    #[test]
    fn windows_grow_with_the_load_and_not_their_number() {
        let hour = Some(Duration::from_secs(3600));
        let mut series = Series::new(&Windows::default(), hour);
        assert_eq!(series.width, Duration::from_secs(15));
        series.tick(Duration::from_secs(36_000), 1, 0);
        assert_eq!(series.kept.len(), KEPT);
        assert!(
            Series::new(&Windows::default(), None).all(Duration::from_secs(5), 1, 0).is_empty()
        );
    }
}
