//! When operations are due. Pure: a schedule is a function of shape, rate and seed.

use crate::draw::Draw;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The shape of an arrival process. A new shape is a variant here and an arm in [`Arrival::offsets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Arrival {
    /// One arrival every 1/rate seconds.
    Constant,
    /// Independent arrivals: the gaps are exponential with mean 1/rate, as those of many users who know nothing of each
    /// other.
    #[default]
    Poisson,
}

/// Due offsets from the beginning of a load: never falling, endless.
#[derive(Debug, Clone)]
pub struct Offsets {
    shape: Arrival,
    rate: f64,
    index: u64,
    seconds: f64,
    draw: Draw,
}

impl Arrival {
    /// The offsets at which arrivals are due, for `rate` arrivals a second (above 0).
    pub fn offsets(self, rate: f64, seed: u64) -> Offsets {
        Offsets { shape: self, rate, index: 0, seconds: 0.0, draw: Draw::new(seed, crate::draw::digest("arrival")) }
    }
}

impl Iterator for Offsets {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let seconds = match self.shape {
            // From the index and not by adding up, so that a long load does not drift.
            Arrival::Constant => self.index as f64 / self.rate,
            Arrival::Poisson => {
                self.seconds += -(1.0 - self.draw.unit()).ln() / self.rate;
                self.seconds
            }
        };
        self.index += 1;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shape() -> impl Strategy<Value = Arrival> {
        prop_oneof![Just(Arrival::Constant), Just(Arrival::Poisson)]
    }

    proptest! {
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
        fn the_mean_rate_is_the_one_asked_for(shape in shape(), rate in 0.1f64..5000.0, seed: u64) {
            let n = 10_000u32;
            let last = shape.offsets(rate, seed).nth(n as usize - 1).expect("endless").as_secs_f64();
            // Six standard deviations of a sum of n exponential gaps.
            prop_assert!((last * rate / f64::from(n) - 1.0).abs() < 6.0 / f64::from(n).sqrt(), "{n} arrivals took {last} s");
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
}
