//! What a stream measures of itself: latency from the intended start, service time, slip, missed
//! starts, and the last seconds.

mod merged;

use crate::windows::{Series, Windows};
use hdrhistogram::Histogram;
pub use merged::{Counts, packed, slips};
use std::collections::BTreeMap;
use std::time::Duration;
use verdict::history::load::{
    CURVE, CurvePoint, LoadPart, LoadSummary, Pacing, Percentiles, StoppedBy, enough,
};

/// Share of arrivals that may be missed before a load can't be relied on.
pub const MISSED_SHARE: f64 = 0.01;
/// 99th percentile of slip beyond which a load can't be relied on, ms, unless the caller is
/// stricter.
pub const SLIP_P99_MS: f64 = 250.0;
/// What [`LiveStats`] looks back on, in slots of [`SLOT`].
const SLOTS: usize = 10;
/// Length of a slot.
const SLOT: Duration = Duration::from_millis(500);
/// Longest duration that is told apart from longer ones.
pub const LONGEST: Duration = Duration::from_secs(120);

/// What a running load measures now: operations that ended within the last [`LiveStats::WINDOW_S`]
/// seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LiveStats {
    /// Operations that ended in the window. 0 says that nothing is known: too early, or nothing
    /// answers.
    pub operations: u64,
    /// Operations a second that ended in the window.
    pub rate: f64,
    /// Share of them that ended otherwise than the journey wants, 0 to 1.
    pub error_rate: f64,
    /// Median of their latency from the intended start, ms.
    pub p50_ms: f64,
    /// 99th percentile of their latency from the intended start, ms.
    pub p99_ms: f64,
    /// Operations that were begun and whose outcome isn't known yet.
    pub in_flight: u64,
    /// Operations that ended since the load began.
    pub total: u64,
    /// Arrivals missed since the load began.
    pub missed_starts: u64,
}

impl LiveStats {
    /// Length of the window, seconds.
    pub const WINDOW_S: f64 = SLOTS as f64 * 0.5;
}

impl std::fmt::Display for LiveStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.1}/s, latency P50 {:.1} P99 {:.1} ms, {:.1} % errors, {} in flight",
            self.rate,
            self.p50_ms,
            self.p99_ms,
            self.error_rate * 100.0,
            self.in_flight
        )
    }
}

/// Latency from the intended start and service time, nanoseconds.
#[derive(Debug, Clone)]
pub struct Times {
    /// From the intended start.
    pub latency: Histogram<u64>,
    /// From the instant at which it was sent.
    pub service: Histogram<u64>,
}

impl Times {
    /// None yet; three digits.
    pub fn new() -> Times {
        Times { latency: histogram(3), service: histogram(3) }
    }

    /// Records one operation.
    pub fn record(&mut self, ended: &Ended) {
        self.latency.saturating_record(nanos(ended.latency));
        self.service.saturating_record(nanos(ended.service));
    }
}

impl Default for Times {
    fn default() -> Times {
        Times::new()
    }
}

/// How an operation ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// After the beginning of the load.
    pub at: Duration,
    /// From its intended start.
    pub latency: Duration,
    /// From the instant at which it was sent; 0 if it never was.
    pub service: Duration,
    /// Whether as its journey wants.
    pub as_expected: bool,
}

/// The operations that ended within one slot.
#[derive(Debug)]
struct Slot {
    /// Which one, counted from the beginning of the load.
    number: u64,
    operations: u64,
    errors: u64,
    latency: Histogram<u64>,
}

/// A journey, or an operation of one.
#[derive(Debug)]
struct Part {
    count: u64,
    errors: u64,
    kinds: BTreeMap<String, u64>,
    times: Times,
}

/// Records one stream of load. Its size does not depend on how long the load lasts.
#[derive(Debug)]
pub struct Recorder {
    times: Times,
    slip: Histogram<u64>,
    slip_limit_ms: f64,
    window: Vec<Slot>,
    series: Series,
    parts: BTreeMap<String, Part>,
    kinds: BTreeMap<String, u64>,
    arrivals: u64,
    missed: u64,
    begun: u64,
    ended: u64,
    errors: u64,
    in_flight: u64,
    /// Operations that never left because the machine had no descriptor or port for them, and the
    /// first error.
    starved: Option<(u64, String)>,
    /// Events that nobody took.
    lost_events: u64,
}

/// A histogram of durations up to [`LONGEST`], in nanoseconds, with this many significant digits.
pub(crate) fn histogram(digits: u8) -> Histogram<u64> {
    // The bounds are constants that the library accepts for 0 to 5 digits; without bounds it would
    // grow instead.
    Histogram::new_with_bounds(1, nanos(LONGEST), digits)
        .unwrap_or_else(|_| unreachable!("1 ns to {LONGEST:?} with {digits} digits"))
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder::new()
    }
}

impl Recorder {
    /// A recorder that has seen nothing.
    pub fn new() -> Recorder {
        Recorder::with_slip_limit(SLIP_P99_MS)
    }

    /// A recorder for a load that can't be relied on if the 99th percentile of its slip is above
    /// this, ms.
    pub fn with_slip_limit(slip_limit_ms: f64) -> Recorder {
        let slot = || Slot { number: 0, operations: 0, errors: 0, latency: histogram(2) };
        Recorder {
            times: Times::new(),
            slip: histogram(3),
            slip_limit_ms,
            window: (0..SLOTS).map(|_| slot()).collect(),
            series: Series::new(&Windows::default(), None),
            parts: BTreeMap::new(),
            kinds: BTreeMap::new(),
            arrivals: 0,
            missed: 0,
            begun: 0,
            ended: 0,
            errors: 0,
            in_flight: 0,
            starved: None,
            lost_events: 0,
        }
    }

    /// The same, of a load that is watched window by window and goes on for so long, if that is
    /// known.
    pub fn watched(self, windows: &Windows, duration: Option<Duration>) -> Recorder {
        Recorder { series: Series::new(windows, duration), ..self }
    }

    /// The time is `at` after the beginning of the load. Returns the condition that a window
    /// showed, if the load is to stop.
    pub fn tick(&mut self, at: Duration) -> Option<&StoppedBy> {
        self.series.tick(at, self.arrivals, self.in_flight);
        self.series.stopped_by()
    }

    /// An arrival was due and is being begun.
    pub fn arrived(&mut self) {
        self.arrivals += 1;
        self.begun += 1;
    }

    /// Arrivals were due and could not be begun.
    pub fn missed(&mut self, arrivals: u64) {
        self.arrivals += arrivals;
        self.missed += arrivals;
    }

    /// An operation was begun so long after it was due.
    pub fn began(&mut self, slip: Duration) {
        self.in_flight += 1;
        self.slip.saturating_record(nanos(slip));
    }

    /// An operation ended.
    pub fn ended(&mut self, ended: Ended) {
        self.series.tick(ended.at, self.arrivals, self.in_flight);
        self.series.ended(ended.latency, ended.as_expected);
        self.in_flight = self.in_flight.saturating_sub(1);
        self.ended += 1;
        self.errors += u64::from(!ended.as_expected);
        self.times.record(&ended);
        let number = slot_number(ended.at);
        let slot = &mut self.window[(number % SLOTS as u64) as usize];
        if slot.number != number {
            slot.number = number;
            (slot.operations, slot.errors) = (0, 0);
            slot.latency.reset();
        }
        slot.operations += 1;
        slot.errors += u64::from(!ended.as_expected);
        slot.latency.saturating_record(nanos(ended.latency));
    }

    /// A part of the load (`journey`, or `journey/step`) ended.
    pub fn part(&mut self, name: &str, ended: &Ended) {
        if !self.parts.contains_key(name) {
            self.parts.insert(
                name.to_owned(),
                Part { count: 0, errors: 0, kinds: BTreeMap::new(), times: Times::new() },
            );
        }
        if let Some(part) = self.parts.get_mut(name) {
            part.count += 1;
            part.errors += u64::from(!ended.as_expected);
            part.times.record(ended);
        }
    }

    /// Something went wrong, of a kind of which there are few.
    pub fn kind(&mut self, kind: &str) {
        count(&mut self.kinds, kind);
    }

    /// The same, in a part that has ended.
    pub fn part_kind(&mut self, name: &str, kind: &str) {
        if let Some(part) = self.parts.get_mut(name) {
            count(&mut part.kinds, kind);
        }
    }

    /// An operation could not leave for want of a descriptor or a port.
    pub fn starved(&mut self, error: &str) {
        self.starved.get_or_insert_with(|| (0, error.to_owned())).0 += 1;
    }

    /// An event could not be handed on.
    pub fn lost_event(&mut self) {
        self.lost_events += 1;
    }

    /// Operations whose outcome isn't known yet.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// The last seconds, as seen `at` after the beginning of the load.
    pub fn live(&self, at: Duration) -> LiveStats {
        let newest = slot_number(at);
        let mut all = histogram(2);
        let (mut operations, mut errors) = (0, 0);
        for slot in self
            .window
            .iter()
            .filter(|s| s.operations > 0 && s.number <= newest && newest - s.number < SLOTS as u64)
        {
            operations += slot.operations;
            errors += slot.errors;
            // Equal bounds: it can't fail.
            let _ = all.add(&slot.latency);
        }
        // The newest slot isn't over yet, and at the beginning the window reaches back before the
        // load.
        let behind = (newest + 1).saturating_sub(SLOTS as u64) as f64 * SLOT.as_secs_f64();
        let seconds = (at.as_secs_f64() - behind).max(SLOT.as_secs_f64());
        LiveStats {
            operations,
            rate: operations as f64 / seconds,
            error_rate: if operations == 0 { 0.0 } else { errors as f64 / operations as f64 },
            p50_ms: quantile_ms(&all, 0.5),
            p99_ms: quantile_ms(&all, 0.99),
            in_flight: self.in_flight,
            total: self.ended,
            missed_starts: self.missed,
        }
    }

    /// The summary of a load whose schedule ran for `driven`.
    pub fn summary(&self, driven: Duration) -> LoadSummary {
        let seconds = driven.as_secs_f64().max(1e-3);
        let slip_p99_ms = self.slip_ms(0.99);
        let part = |p: &Part| LoadPart {
            count: p.count,
            errors: p.errors,
            kinds: p.kinds.clone(),
            latency_ms: percentiles(&p.times.latency),
            service_ms: percentiles(&p.times.service),
        };
        LoadSummary {
            offered_rate: self.arrivals as f64 / seconds,
            achieved_rate: self.begun as f64 / seconds,
            missed_starts: self.missed,
            slip_p99_ms,
            latency_ms: self.percentiles(),
            operations: self.ended,
            invalid: self.invalid(slip_p99_ms),
            error_rate: if self.ended == 0 { 0.0 } else { self.errors as f64 / self.ended as f64 },
            service_ms: percentiles(&self.times.service),
            curve: curve(&self.times),
            errors: self.kinds.clone(),
            parts: self.parts.iter().map(|(name, p)| (name.clone(), part(p))).collect(),
            pacing: Pacing::Open,
            windows: self.series.all(driven, self.arrivals, self.in_flight),
            stopped_by: self.series.stopped_by().cloned(),
            ..LoadSummary::default()
        }
    }

    /// Percentiles of the latency of all operations, however they ended.
    pub fn percentiles(&self) -> Percentiles {
        percentiles(&self.times.latency)
    }

    /// A quantile of the slip, ms.
    pub fn slip_ms(&self, quantile: f64) -> f64 {
        quantile_ms(&self.slip, quantile)
    }

    /// Why the load can't be relied on, if so.
    fn invalid(&self, slip_p99_ms: f64) -> Option<String> {
        let mut reasons = Vec::new();
        if let Some((times, error)) = &self.starved {
            reasons
                .push(format!("{times} operations could not leave this machine: {error}; hint: raise the limit of open files (ulimit -n)"));
        }
        if self.missed as f64 > self.arrivals as f64 * MISSED_SHARE {
            reasons.push(format!(
                "{} of {} arrivals were not begun because too many operations were in flight; at most {} % may be missed",
                self.missed,
                self.arrivals,
                MISSED_SHARE * 100.0
            ));
        }
        if slip_p99_ms > self.slip_limit_ms {
            reasons.push(format!(
                "the generator fell behind its schedule: 99th percentile of slip {slip_p99_ms:.1} ms, wanted at most {} ms",
                self.slip_limit_ms
            ));
        }
        if self.lost_events > 0 {
            reasons.push(format!(
                "{} events could not be recorded: their receiver was gone",
                self.lost_events
            ));
        }
        if self.ended == 0 {
            reasons.push("no operation ended".to_owned());
        }
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}

fn count(kinds: &mut BTreeMap<String, u64>, kind: &str) {
    match kinds.get_mut(kind) {
        Some(times) => *times += 1,
        None => drop(kinds.insert(kind.to_owned(), 1)),
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).max(1)
}

fn slot_number(at: Duration) -> u64 {
    (at.as_millis() / SLOT.as_millis()) as u64
}

fn quantile_ms(histogram: &Histogram<u64>, q: f64) -> f64 {
    if histogram.is_empty() { 0.0 } else { histogram.value_at_quantile(q) as f64 / 1e6 }
}

/// Percentiles of a histogram of nanoseconds, in ms.
pub(crate) fn percentiles(histogram: &Histogram<u64>) -> Percentiles {
    let ms = |q| quantile_ms(histogram, q);
    let max = if histogram.is_empty() { 0.0 } else { histogram.max() as f64 / 1e6 };
    Percentiles { p50: ms(0.5), p90: ms(0.9), p95: ms(0.95), p99: ms(0.99), max }
}

/// Latency and service time by percentile.
fn curve(times: &Times) -> Vec<CurvePoint> {
    let count = times.latency.len();
    let point = |percentile: f64| CurvePoint {
        percentile,
        latency_ms: quantile_ms(&times.latency, percentile / 100.0),
        service_ms: quantile_ms(&times.service, percentile / 100.0),
    };
    CURVE.into_iter().filter(|p| enough(*p, count)).map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn end(at: Duration, latency: Duration, as_expected: bool) -> Ended {
        Ended { at, latency, service: latency / 2, as_expected }
    }

    /// The smallest value that at least the share `q` of all does not exceed.
    fn exact(sorted: &[u64], q: f64) -> f64 {
        sorted[((q * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len()) - 1] as f64 / 1e3
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn percentiles_agree_with_exact_ones(mut latencies in prop::collection::vec(1u64..100_000_000, 1..400)) {
            let mut recorder = Recorder::new();
            for us in &latencies {
                recorder.arrived();
                recorder.began(Duration::ZERO);
                recorder.ended(end(Duration::from_secs(1), Duration::from_micros(*us), true));
            }
            latencies.sort_unstable();
            let p = recorder.percentiles();
            for (seen, q) in [(p.p50, 0.5), (p.p90, 0.9), (p.p95, 0.95), (p.p99, 0.99), (p.max, 1.0)] {
                let wanted = exact(&latencies, q);
                // Three digits.
                prop_assert!((seen / wanted - 1.0).abs() <= 1e-3 + 1e-9, "quantile {q}: {seen} ms, exactly {wanted} ms");
            }
            prop_assert!(p.p50 <= p.p90 && p.p90 <= p.p95 && p.p95 <= p.p99 && p.p99 <= p.max);
            let summary = recorder.summary(Duration::from_secs(2));
            prop_assert_eq!(summary.operations, latencies.len() as u64);
            prop_assert_eq!(summary.invalid, None);
            prop_assert!((summary.service_ms.max / p.max - 0.5).abs() < 2e-3);
        }

        #[test]
        fn the_window_forgets(ended in prop::collection::vec((0u64..20_000, any::<bool>()), 1..300), look in 0u64..25_000) {
            let mut ended = ended;
            ended.sort_unstable();
            let mut recorder = Recorder::new();
            let seen: Vec<_> = ended.iter().filter(|(at, _)| *at <= look).collect();
            for (at, good) in &seen {
                recorder.began(Duration::ZERO);
                recorder.ended(end(Duration::from_millis(*at), Duration::from_millis(*at / 10 + 1), *good));
            }
            let live = recorder.live(Duration::from_millis(look));
            let newest = look / 500;
            let within: Vec<_> = seen.iter().filter(|(at, _)| newest - at / 500 < 10).collect();
            prop_assert_eq!(live.operations, within.len() as u64);
            let wrong = within.iter().filter(|(_, good)| !good).count();
            let wanted = if within.is_empty() { 0.0 } else { wrong as f64 / within.len() as f64 };
            prop_assert!((live.error_rate - wanted).abs() < 1e-12);
            prop_assert_eq!(live.total, seen.len() as u64);
            prop_assert_eq!(live.in_flight, 0);
        }
    }

    /// A load in which all went well, with one thing changed.
    fn invalid(change: impl Fn(&mut Recorder)) -> Option<String> {
        let mut recorder = Recorder::new();
        for _ in 0..100 {
            recorder.arrived();
            recorder.began(Duration::from_millis(1));
            recorder.ended(end(Duration::from_secs(1), Duration::from_millis(5), true));
        }
        change(&mut recorder);
        recorder.summary(Duration::from_secs(1)).invalid
    }

    #[test]
    fn a_load_that_can_not_be_relied_on_says_why() {
        assert_eq!(invalid(|_| ()), None);
        assert_eq!(invalid(|r| r.missed(1)), None, "one in a hundred is still allowed");
        let because = |change: &dyn Fn(&mut Recorder)| invalid(change).expect("invalid");
        assert!(because(&|r| r.missed(3)).contains("3 of 103 arrivals"));
        assert!(
            because(&|r| (0..3).for_each(|_| r.began(Duration::from_millis(300))))
                .contains("fell behind")
        );
        assert!(because(&|r| r.lost_event()).contains("1 events"));
        assert!(because(&|r| r.starved("too many open files")).contains("too many open files"));
        assert!(
            Recorder::new()
                .summary(Duration::from_secs(1))
                .invalid
                .expect("invalid")
                .contains("no operation ended")
        );
    }

    #[test]
    fn rates_are_of_the_time_driven() {
        let mut recorder = Recorder::new();
        (0..30).for_each(|_| recorder.arrived());
        recorder.missed(10);
        let summary = recorder.summary(Duration::from_secs(2));
        assert_eq!(
            (summary.offered_rate, summary.achieved_rate, summary.missed_starts),
            (20.0, 15.0, 10)
        );
    }

    #[test]
    fn what_is_longer_than_all_is_still_counted() {
        let mut recorder = Recorder::new();
        recorder.began(Duration::from_secs(7200));
        recorder.ended(end(Duration::ZERO, Duration::from_secs(7200), false));
        assert!(recorder.percentiles().max >= 119_000.0);
    }
}
