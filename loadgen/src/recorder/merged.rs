//! What several recorders have seen, as if one had seen it all.

use super::{Recorder, Times, histogram};
use hdrhistogram::Histogram;
use hdrhistogram::errors::AdditionError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a recorder has counted so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Arrivals that were due.
    pub arrivals: u64,
    /// Those that were missed.
    pub missed: u64,
    /// Those that were begun.
    pub begun: u64,
    /// Operations whose outcome is known.
    pub ended: u64,
    /// Those that ended otherwise than wanted.
    pub errors: u64,
    /// Operations whose outcome isn't known yet.
    pub in_flight: u64,
    /// What went wrong, by kind.
    pub kinds: BTreeMap<String, u64>,
    /// Operations that the machine had no room for, and the first error.
    pub starved: Option<(u64, String)>,
}

impl Counts {
    /// Adds what another recorder has counted.
    pub fn add(&mut self, other: &Counts) {
        self.arrivals += other.arrivals;
        self.missed += other.missed;
        self.begun += other.begun;
        self.ended += other.ended;
        self.errors += other.errors;
        self.in_flight += other.in_flight;
        for (kind, times) in &other.kinds {
            *self.kinds.entry(kind.clone()).or_default() += times;
        }
        if let Some((times, error)) = &other.starved {
            self.starved.get_or_insert_with(|| (0, error.clone())).0 += times;
        }
    }
}

impl Times {
    /// Adds what was recorded elsewhere, without any loss: both have the same buckets.
    ///
    /// # Errors
    /// It holds what these histograms can't: it was not made by [`Times::new`].
    pub fn add(&mut self, other: &Times) -> Result<(), AdditionError> {
        self.latency.add(&other.latency)?;
        self.service.add(&other.service)
    }
}

/// A histogram of slip, as recorders keep it: nanoseconds, three digits.
pub fn slips() -> Histogram<u64> {
    histogram(3)
}

impl Recorder {
    /// What it has counted so far.
    pub fn counts(&self) -> Counts {
        Counts {
            arrivals: self.arrivals,
            missed: self.missed,
            begun: self.begun,
            ended: self.ended,
            errors: self.errors,
            in_flight: self.in_flight,
            kinds: self.kinds.clone(),
            starved: self.starved.clone(),
        }
    }

    /// A recorder that has seen this; its window is empty.
    pub fn of(slip_limit_ms: f64, times: Times, slip: Histogram<u64>, counts: Counts) -> Recorder {
        Recorder {
            times,
            slip,
            arrivals: counts.arrivals,
            missed: counts.missed,
            begun: counts.begun,
            ended: counts.ended,
            errors: counts.errors,
            in_flight: counts.in_flight,
            kinds: counts.kinds,
            starved: counts.starved,
            ..Recorder::with_slip_limit(slip_limit_ms)
        }
    }
}

/// Histograms within text formats: base64 of HdrHistogram's V2 serialisation, which is as long as
/// what was recorded is varied.
pub mod packed {
    use super::histogram;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};
    use serde::{Deserialize, de, ser};

    /// Writes one.
    ///
    /// # Errors
    /// It can't be serialised.
    pub fn serialize<S: ser::Serializer>(
        histogram: &Histogram<u64>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(histogram, &mut bytes).map_err(ser::Error::custom)?;
        to.serialize_str(&STANDARD.encode(&bytes))
    }

    /// Reads one that has the bounds of ours.
    ///
    /// # Errors
    /// It is none, or one with other bounds.
    pub fn deserialize<'de, D: de::Deserializer<'de>>(from: D) -> Result<Histogram<u64>, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = STANDARD.decode(text).map_err(de::Error::custom)?;
        let read: Histogram<u64> = Deserializer::new()
            .deserialize(&mut &bytes[..])
            .map_err(|e| de::Error::custom(format!("no histogram: {e}")))?;
        let ours = histogram(3);
        let bounds = |h: &Histogram<u64>| (h.low(), h.high(), h.sigfig());
        match bounds(&read) == bounds(&ours) {
            true => Ok(read),
            false => Err(de::Error::custom(format!(
                "a histogram with bounds {:?}, wanted {:?}",
                bounds(&read),
                bounds(&ours)
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Ended;
    use proptest::prelude::*;
    use std::time::Duration;

    #[derive(Serialize, Deserialize)]
    struct Wire {
        #[serde(with = "packed")]
        latency: Histogram<u64>,
        #[serde(with = "packed")]
        service: Histogram<u64>,
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn what_was_measured_apart_and_sent_is_what_one_would_have_measured(
            ended in prop::collection::vec((0usize..8, 1u64..200_000_000_000, any::<bool>()), 0..300),
        ) {
            let (mut one, mut apart) = (Recorder::new(), (0..8).map(|_| Recorder::new()).collect::<Vec<_>>());
            for (who, ns, as_expected) in &ended {
                let latency = Duration::from_nanos(*ns);
                for recorder in [&mut one, &mut apart[*who]] {
                    recorder.arrived();
                    recorder.began(latency / 7);
                    recorder.ended(Ended { at: Duration::ZERO, latency, service: latency / 3, as_expected: *as_expected });
                    if !as_expected {
                        recorder.kind(["reset", "status 500"][who % 2]);
                    }
                }
            }
            let (mut times, mut slip, mut counts) = (Times::new(), slips(), Counts::default());
            for recorder in &apart {
                let Times { latency, service } = recorder.times.clone();
                let sent = serde_json::to_string(&Wire { latency, service }).expect("json");
                let Wire { latency, service } = serde_json::from_str(&sent).expect("read");
                times.add(&Times { latency, service }).expect("same bounds");
                slip.add(&recorder.slip).expect("same bounds");
                counts.add(&recorder.counts());
            }
            prop_assert!(times.latency == one.times.latency && times.service == one.times.service && slip == one.slip);
            prop_assert_eq!(&counts, &one.counts());
            let merged = Recorder::of(crate::recorder::SLIP_P99_MS, times, slip, counts);
            let second = Duration::from_secs(1);
            prop_assert_eq!(merged.summary(second), one.summary(second));
        }
    }

    #[test]
    fn a_histogram_of_others_is_refused() {
        for digits in [2, 4] {
            let latency =
                Histogram::new_with_bounds(1, 120_000_000_000, digits).expect("histogram");
            let sent = serde_json::to_string(&Wire { latency, service: slips() }).expect("json");
            assert!(
                serde_json::from_str::<Wire>(&sent)
                    .is_err_and(|e| e.to_string().contains("bounds"))
            );
        }
        assert!(serde_json::from_str::<Wire>(r#"{"latency":"AAAA","service":"x"}"#).is_err());
    }
}
