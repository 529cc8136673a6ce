//! When operations are due. Pure: a schedule is a function of shape, rate and seed.

mod share;

use crate::advice::Advised;
use crate::draw::Draw;
pub use share::{Share, Shared};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Most arrivals a second that a schedule may ask for.
pub const FASTEST: f64 = 1_000_000.0;

/// The shape of an arrival process. A new shape is a variant here and an arm in [`Segments::next`]
/// or [`Arrival::offsets`].
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Arrival {
    /// One arrival every 1/rate seconds.
    Constant,
    /// Independent arrivals: the gaps are exponential with mean 1/rate, as those of many users who
    /// know nothing of each other.
    #[default]
    Poisson,
    /// The rate rises (or falls) evenly to `to` within `over` and stays there.
    Ramp {
        /// Arrivals a second at its end.
        to: f64,
        /// How long it takes.
        over: Duration,
    },
    /// The rate changes by `by` after each `every`.
    Step {
        /// Arrivals a second more (or less).
        by: f64,
        /// Length of a step.
        every: Duration,
    },
    /// At the end of each `every` the rate is `to` for `lasting`.
    Burst {
        /// Arrivals a second during a burst.
        to: f64,
        /// Length of a burst.
        lasting: Duration,
        /// From burst to burst.
        every: Duration,
    },
    /// Recorded offsets from the beginning, never falling; the rate says nothing then.
    Replay(Arc<[Duration]>),
}

/// A shape or a duration that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ShapeError {
    /// A number without a unit, or something else.
    #[error("duration {0:?} is not a number with a unit")]
    Duration(String),
    /// Neither of the shapes.
    #[error("arrival shape {0:?} is unknown")]
    Shape(String),
    /// A rate within a shape.
    #[error("arrival shape {shape:?}: {seen:?} is not a number of arrivals a second")]
    Rate {
        shape: String,
        /// What stands where the number is wanted.
        seen: String,
    },
    /// A burst that is not shorter than what it is part of.
    #[error("arrival shape {0:?}: a burst must be shorter than the time from burst to burst")]
    Burst(String),
    /// A recording that can't be replayed.
    #[error(
        "line {line}: {seen:?} is not a number of seconds from the beginning, at least that of the line before"
    )]
    Recording {
        /// Line, from 1.
        line: usize,
        /// What it holds.
        seen: String,
    },
}

impl Advised for ShapeError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            ShapeError::Duration(_) => "write it as 500ms, 10s, 2m or 1h".into(),
            ShapeError::Shape(_) => {
                "constant, poisson, ramp:TO:OVER, step:BY:EVERY, burst:TO:LASTING:EVERY (as in burst:500:2s:30s) or replay:FILE".into()
            }
            ShapeError::Rate { .. } => "write it as a number from 0 to 1000000".into(),
            ShapeError::Burst(_) => "as in burst:500:2s:30s".into(),
            ShapeError::Recording { .. } => return None,
        })
    }
}

/// A duration as people write it: `500ms`, `10s`, `2m`, `1.5h`.
///
/// # Errors
/// The unit is missing or unknown, or the number is none, or negative.
pub fn duration(text: &str) -> Result<Duration, ShapeError> {
    let wrong = || ShapeError::Duration(text.to_owned());
    let (number, unit) =
        text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())
}

/// The offsets of a recording: one number of seconds a line, never falling; empty lines and those
/// with `#` say nothing.
///
/// # Errors
/// The first line that can't be replayed.
pub fn recording(text: &str) -> Result<Arrival, ShapeError> {
    let mut offsets: Vec<Duration> = Vec::new();
    for (line, seen) in text
        .lines()
        .enumerate()
        .map(|(n, l)| (n + 1, l.trim()))
        .filter(|(_, l)| !l.is_empty() && !l.starts_with('#'))
    {
        let offset = seen.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
        match offset.filter(|o| offsets.last().is_none_or(|last| last <= o)) {
            Some(offset) => offsets.push(offset),
            None => return Err(ShapeError::Recording { line, seen: seen.to_owned() }),
        }
    }
    Ok(Arrival::Replay(offsets.into()))
}

impl FromStr for Arrival {
    type Err = ShapeError;

    /// Reads a shape as the command line writes it; a recording is read by [`recording`].
    fn from_str(text: &str) -> Result<Arrival, ShapeError> {
        let rate = |seen: &str, least: f64| {
            let wrong = || ShapeError::Rate { shape: text.to_owned(), seen: seen.to_owned() };
            seen.parse::<f64>()
                .ok()
                .filter(|r| r.is_finite() && (least..=FASTEST).contains(r))
                .ok_or_else(wrong)
        };
        let long = |seen: &str| {
            duration(seen).and_then(|d| {
                if d.is_zero() { Err(ShapeError::Duration(seen.to_owned())) } else { Ok(d) }
            })
        };
        match text.split(':').collect::<Vec<_>>()[..] {
            ["constant"] => Ok(Arrival::Constant),
            ["poisson"] => Ok(Arrival::Poisson),
            ["ramp", to, over] => Ok(Arrival::Ramp { to: rate(to, 0.0)?, over: long(over)? }),
            ["step", by, every] => {
                Ok(Arrival::Step { by: rate(by, -FASTEST)?, every: long(every)? })
            }
            ["burst", to, lasting, every] => {
                let (to, lasting, every) = (rate(to, 0.0)?, long(lasting)?, long(every)?);
                if lasting < every {
                    Ok(Arrival::Burst { to, lasting, every })
                } else {
                    Err(ShapeError::Burst(text.to_owned()))
                }
            }
            _ => Err(ShapeError::Shape(text.to_owned())),
        }
    }
}

/// Due offsets from the beginning of a load: never falling. They end only with a recording, or
/// where the rate falls to 0 for good.
#[derive(Debug, Clone)]
pub struct Offsets {
    kind: Kind,
    index: u64,
}

#[derive(Debug, Clone)]
enum Kind {
    Poisson { rate: f64, seconds: f64, draw: Draw },
    Recorded(Arc<[Duration]>),
    Evenly { segments: Segments, now: Segment, start: f64, before: f64 },
}

/// A time in which the rate changes evenly.
#[derive(Debug, Clone, Copy)]
struct Segment {
    seconds: f64,
    from: f64,
    to: f64,
}

/// The rates of a shape, segment by segment; the last one is endless.
#[derive(Debug, Clone)]
struct Segments {
    shape: Arrival,
    rate: f64,
    index: u32,
}

impl Segments {
    fn next(&mut self) -> Segment {
        let n = self.index;
        self.index = self.index.saturating_add(1);
        let level = |seconds, rate: f64| Segment { seconds, from: rate, to: rate };
        match &self.shape {
            Arrival::Ramp { to, over } if n == 0 => {
                Segment { seconds: over.as_secs_f64(), from: self.rate, to: *to }
            }
            Arrival::Ramp { to, .. } => level(f64::INFINITY, *to),
            Arrival::Step { by, every } => {
                let rate = (self.rate + by * f64::from(n)).clamp(0.0, FASTEST);
                let for_good =
                    *by == 0.0 || (rate == 0.0 && *by < 0.0) || (rate == FASTEST && *by > 0.0);
                level(if for_good { f64::INFINITY } else { every.as_secs_f64() }, rate)
            }
            Arrival::Burst { lasting, every, .. } if n.is_multiple_of(2) => {
                level((*every - *lasting).as_secs_f64(), self.rate)
            }
            Arrival::Burst { to, lasting, .. } => level(lasting.as_secs_f64(), *to),
            _ => level(f64::INFINITY, self.rate),
        }
    }
}

impl Segment {
    /// Arrivals within it.
    fn arrivals(&self) -> f64 {
        if self.from == 0.0 && self.to == 0.0 {
            0.0
        } else {
            self.seconds * (self.from + self.to) / 2.0
        }
    }

    /// After how many seconds this many have come.
    fn when(&self, arrivals: f64) -> f64 {
        let bend = if self.seconds.is_finite() {
            (self.to - self.from) / (2.0 * self.seconds)
        } else {
            0.0
        };
        let root = (self.from * self.from + 4.0 * bend * arrivals).max(0.0).sqrt();
        if arrivals == 0.0 { 0.0 } else { 2.0 * arrivals / (self.from + root) }
    }
}

impl Arrival {
    /// The offsets at which arrivals are due, for `rate` arrivals a second (above 0) to begin with.
    pub fn offsets(&self, rate: f64, seed: u64) -> Offsets {
        let kind = match self {
            Arrival::Poisson => Kind::Poisson {
                rate,
                seconds: 0.0,
                draw: Draw::new(seed, crate::draw::digest("arrival")),
            },
            Arrival::Replay(recorded) => Kind::Recorded(Arc::clone(recorded)),
            shape => {
                let mut segments = Segments { shape: shape.clone(), rate, index: 0 };
                let now = segments.next();
                Kind::Evenly { segments, now, start: 0.0, before: 0.0 }
            }
        };
        Offsets { kind, index: 0 }
    }
}

impl Iterator for Offsets {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let index = self.index;
        self.index += 1;
        let seconds = match &mut self.kind {
            Kind::Poisson { rate, seconds, draw } => {
                *seconds += -(1.0 - draw.unit()).ln() / *rate;
                *seconds
            }
            Kind::Recorded(offsets) => return offsets.get(usize::try_from(index).ok()?).copied(),
            // From the index and not by adding up gaps, so that a long load does not drift.
            Kind::Evenly { segments, now, start, before } => loop {
                let wanted = index as f64 - *before;
                let arrivals = now.arrivals();
                if wanted < arrivals {
                    break *start + now.when(wanted);
                }
                if now.seconds.is_infinite() {
                    return None;
                }
                *start += now.seconds;
                *before += arrivals;
                *now = segments.next();
            },
        };
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn shape() -> impl Strategy<Value = Arrival> {
        let long = || (0.1f64..100.0).prop_map(Duration::from_secs_f64);
        prop_oneof![
            Just(Arrival::Constant),
            Just(Arrival::Poisson),
            (0.0f64..5000.0, long()).prop_map(|(to, over)| Arrival::Ramp { to, over }),
            (0.0f64..500.0, long()).prop_map(|(by, every)| Arrival::Step { by, every }),
            (0.0f64..5000.0, long(), 1.1f64..9.0).prop_map(|(to, lasting, f)| Arrival::Burst {
                to,
                lasting,
                every: lasting.mul_f64(f)
            }),
        ]
    }

    /// Arrivals due before `seconds` by the definition of the shape: the area under its rate.
    fn wanted(shape: &Arrival, rate: f64, seconds: f64) -> f64 {
        let n = 200_000;
        let width = seconds / f64::from(n);
        let at = |t: f64| match shape {
            Arrival::Ramp { to, over } => rate + (to - rate) * (t / over.as_secs_f64()).min(1.0),
            Arrival::Step { by, every } => {
                (rate + by * (t / every.as_secs_f64()).floor()).clamp(0.0, FASTEST)
            }
            Arrival::Burst { to, lasting, every } => {
                let (lasting, every) = (lasting.as_secs_f64(), every.as_secs_f64());
                if t % every < every - lasting { rate } else { *to }
            }
            _ => rate,
        };
        (0..n).map(|i| at((f64::from(i) + 0.5) * width) * width).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_seed_gives_one_schedule(shape in shape(), rate in 0.1f64..5000.0, seed: u64) {
            let once: Vec<_> = shape.offsets(rate, seed).take(300).collect();
            let again: Vec<_> = shape.offsets(rate, seed).take(300).collect();
            prop_assert_eq!(&once, &again);
            prop_assert!(once.is_sorted(), "a later arrival is never due earlier");
        }

        #[test]
        fn another_seed_gives_another_schedule(rate in 0.1f64..5000.0, seed: u64) {
            let once: Vec<_> = Arrival::Poisson.offsets(rate, seed).take(20).collect();
            let other: Vec<_> = Arrival::Poisson.offsets(rate, seed ^ 1).take(20).collect();
            prop_assert_ne!(once, other);
        }

        #[test]
        fn as_many_arrive_as_the_shape_says(shape in shape(), rate in 0.1f64..500.0, seconds in 0.5f64..60.0, seed: u64) {
            let seen = shape.offsets(rate, seed).take_while(|d| d.as_secs_f64() < seconds).count() as f64;
            let wanted = wanted(&shape, rate, seconds);
            // Six standard deviations for independent arrivals; else rounding to whole arrivals,
            // and the sum's own error.
            let slack = if shape == Arrival::Poisson { 6.0 * wanted.sqrt() + 2.0 } else { 1.5 + wanted * 1e-3 };
            prop_assert!((seen - wanted).abs() <= slack, "{shape:?} at {rate}: {seen} in {seconds} s, wanted {wanted}");
        }

        #[test]
        fn constant_gaps_are_equal_and_do_not_drift(rate in 0.1f64..5000.0, at in 0usize..1_000_000) {
            let mut offsets = Arrival::Constant.offsets(rate, 0);
            offsets.index = at as u64;
            let seen = offsets.next().expect("endless").as_secs_f64();
            prop_assert!((seen - at as f64 / rate).abs() < 1e-8);
        }

        #[test]
        fn poisson_gaps_vary_as_much_as_they_are_long(rate in 1.0f64..1000.0, seed: u64) {
            let n = 20_000;
            let due: Vec<f64> = Arrival::Poisson.offsets(rate, seed).take(n).map(|d| d.as_secs_f64()).collect();
            let gaps: Vec<f64> = due.windows(2).map(|w| w[1] - w[0]).collect();
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
            let spread = variance.sqrt() / mean;
            prop_assert!((0.93..1.07).contains(&spread), "coefficient of variation {spread}");
        }
    }

    #[test]
    fn a_recording_is_replayed_and_ends() {
        let replayed = recording("# seconds\n0\n0.5\n\n0.5\n2.25\n").expect("readable");
        let seconds: Vec<f64> = replayed.offsets(9.0, 1).map(|d| d.as_secs_f64()).collect();
        assert_eq!(seconds, [0.0, 0.5, 0.5, 2.25]);
        for (text, line) in [("0\nx", 2), ("1\n0.5", 2), ("-1", 1), ("nan", 1)] {
            assert!(
                matches!(recording(text), Err(ShapeError::Recording { line: l, .. }) if l == line),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_rate_that_falls_to_nothing_ends() {
        let down = Arrival::Ramp { to: 0.0, over: Duration::from_secs(2) };
        assert_eq!(down.offsets(10.0, 0).count(), 10);
        let down = Arrival::Step { by: -5.0, every: Duration::from_secs(1) };
        assert_eq!(down.offsets(10.0, 0).count(), 15);
    }

    #[test]
    fn shapes_and_durations_are_read_as_people_write_them() {
        let s = Duration::from_secs;
        assert_eq!("ramp:500:1m".parse(), Ok(Arrival::Ramp { to: 500.0, over: s(60) }));
        assert_eq!("step:-10:30s".parse(), Ok(Arrival::Step { by: -10.0, every: s(30) }));
        assert_eq!(
            "burst:500:2s:30s".parse(),
            Ok(Arrival::Burst { to: 500.0, lasting: s(2), every: s(30) })
        );
        assert_eq!(
            (duration("1.5h"), duration("250ms")),
            (Ok(s(5400)), Ok(Duration::from_millis(250)))
        );
        for text in ["10", "", "s", "10 s", "10d", "-1s", "1e400s", "NaNs"] {
            assert_eq!(duration(text), Err(ShapeError::Duration(text.to_owned())), "{text:?}");
        }
        for text in [
            "",
            "fast",
            "ramp",
            "ramp:5",
            "ramp:x:1s",
            "ramp:5:10",
            "ramp:5:0s",
            "step:inf:1s",
            "burst:5:2s:1s",
            "burst:-5:1s:2s",
        ] {
            assert!(text.parse::<Arrival>().is_err(), "{text:?}");
        }
    }
}
