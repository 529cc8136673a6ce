//! What a worker is asked to do. Numbers that a schedule follows from travel bit by bit: a schedule
//! must be the same everywhere.

use crate::arrival::{Arrival, Share};
use crate::direct::{Direct, Pace, Parts, Request};
use crate::template::RequestError;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// A load of one URL, before it is shared out.
#[derive(Debug, Clone)]
pub struct Load {
    /// What is sent; its `host` is where it goes, as workers find it.
    pub parts: Parts,
    /// When, all workers together.
    pub pace: Pace,
    /// How long arrivals go on; without it until the schedule ends or the load is stopped.
    pub duration: Option<Duration>,
    /// Most connections at once, all workers together; at least as many as there are workers.
    pub connections: usize,
    /// Most arrivals that may wait for a connection at one worker.
    pub waiting: usize,
    /// How long an operation may take from its intended start.
    pub timeout: Duration,
    /// The one status that is wanted; without it any from 200 to 399.
    pub wanted: Option<u16>,
    /// 99th percentile of slip beyond which the load can't be relied on.
    pub slip_limit: Duration,
    /// Seed of the schedule.
    pub seed: u64,
}

/// What one worker does of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Job {
    pub parts: Parts,
    pub share: Share,
    shape: Shape,
    duration: Option<Duration>,
    connections: usize,
    waiting: usize,
    timeout: Duration,
    wanted: Option<u16>,
    slip_limit: Duration,
    seed: u64,
}

/// A number by its bits: as text it could come back as its neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Bits(u64);

impl From<f64> for Bits {
    fn from(number: f64) -> Bits {
        Bits(number.to_bits())
    }
}

impl From<Bits> for f64 {
    fn from(bits: Bits) -> f64 {
        f64::from_bits(bits.0)
    }
}

/// A pace as it travels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shape {
    FlatOut,
    Constant { rate: Bits },
    Poisson { rate: Bits },
    Ramp { rate: Bits, to: Bits, over: Duration },
    Step { rate: Bits, by: Bits, every: Duration },
    Burst { rate: Bits, to: Bits, lasting: Duration, every: Duration },
    // Nanoseconds.
    Replay { offsets: Vec<u64> },
}

impl From<&Pace> for Shape {
    fn from(pace: &Pace) -> Shape {
        let Pace::Open { arrival, rate } = pace else { return Shape::FlatOut };
        let rate = Bits::from(*rate);
        match arrival {
            Arrival::Constant => Shape::Constant { rate },
            Arrival::Poisson => Shape::Poisson { rate },
            Arrival::Ramp { to, over } => Shape::Ramp { rate, to: (*to).into(), over: *over },
            Arrival::Step { by, every } => Shape::Step { rate, by: (*by).into(), every: *every },
            Arrival::Burst { to, lasting, every } => {
                Shape::Burst { rate, to: (*to).into(), lasting: *lasting, every: *every }
            }
            Arrival::Replay(offsets) => Shape::Replay {
                offsets: offsets
                    .iter()
                    .map(|o| u64::try_from(o.as_nanos()).unwrap_or(u64::MAX))
                    .collect(),
            },
        }
    }
}

impl From<Shape> for Pace {
    fn from(shape: Shape) -> Pace {
        let (arrival, rate) = match shape {
            Shape::FlatOut => return Pace::FlatOut,
            Shape::Constant { rate } => (Arrival::Constant, rate),
            Shape::Poisson { rate } => (Arrival::Poisson, rate),
            Shape::Ramp { rate, to, over } => (Arrival::Ramp { to: to.into(), over }, rate),
            Shape::Step { rate, by, every } => (Arrival::Step { by: by.into(), every }, rate),
            Shape::Burst { rate, to, lasting, every } => {
                (Arrival::Burst { to: to.into(), lasting, every }, rate)
            }
            Shape::Replay { offsets } => (
                Arrival::Replay(offsets.into_iter().map(Duration::from_nanos).collect()),
                Bits::from(1.0),
            ),
        };
        Pace::Open { arrival, rate: rate.into() }
    }
}

impl Load {
    /// What the worker with this share does.
    pub(super) fn job(&self, share: Share) -> Job {
        Job {
            parts: self.parts.clone(),
            share,
            shape: (&self.pace).into(),
            duration: self.duration,
            connections: share.count(self.connections),
            waiting: self.waiting,
            timeout: self.timeout,
            wanted: self.wanted,
            slip_limit: self.slip_limit,
            seed: self.seed,
        }
    }

    /// How many arrivals the whole schedule has; `None` if it has none, or no end.
    pub(super) fn arrivals(&self) -> Option<u64> {
        let Pace::Open { arrival, rate } = &self.pace else { return None };
        let offsets = arrival.offsets(*rate, self.seed);
        match (self.duration, arrival) {
            (Some(duration), _) => Some(offsets.take_while(|o| *o < duration).count() as u64),
            (None, Arrival::Replay(recorded)) => Some(recorded.len() as u64),
            (None, _) => None,
        }
    }
}

impl Job {
    /// The load that it is, at this address.
    pub fn direct(&self, address: SocketAddr) -> Result<Direct, RequestError> {
        Ok(Direct {
            windows: crate::windows::Windows::default(),
            address,
            request: Request::new(&self.parts)?,
            pace: self.shape.clone().into(),
            duration: self.duration,
            connections: self.connections.max(1),
            waiting: self.waiting,
            timeout: self.timeout.min(crate::direct::LONGEST_TIMEOUT),
            wanted: self.wanted,
            slip_limit: self.slip_limit,
            seed: self.seed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrival::tests::shape;
    use proptest::prelude::*;

    fn load(pace: Pace, seed: u64) -> Load {
        Load {
            parts: Parts {
                method: "GET".into(),
                host: "web:80".into(),
                path: "/".into(),
                seed,
                ..Parts::default()
            },
            pace,
            duration: Some(Duration::from_millis(700)),
            connections: 7,
            waiting: 10,
            timeout: Duration::from_secs(1),
            wanted: None,
            slip_limit: Duration::from_millis(25),
            seed,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn workers_that_were_told_begin_what_one_generator_would(shape in shape(), rate in 0.1f64..5000.0, seed: u64, workers in 1u32..6) {
            let whole = load(Pace::Open { arrival: shape.clone(), rate }, seed);
            let mut union = Vec::new();
            for index in 0..workers {
                let job = whole.job(Share::new(index, workers).expect("share"));
                let sent = serde_json::to_string(&job).expect("json");
                let told: Job = serde_json::from_str(&sent).expect("read");
                let direct = told.direct("127.0.0.1:80".parse().expect("address")).expect("direct");
                let Pace::Open { arrival, rate } = &direct.pace else { panic!("another pace") };
                let own = told.share.of(arrival.offsets(*rate, direct.seed));
                union.extend(own.take_while(|(_, o)| Some(*o) < direct.duration));
            }
            union.sort_unstable();
            let one: Vec<_> = (0..).zip(shape.offsets(rate, seed)).take_while(|(_, o)| Some(*o) < whole.duration).collect();
            prop_assert_eq!(whole.arrivals(), Some(one.len() as u64));
            prop_assert_eq!(union, one);
        }
    }

    #[test]
    fn a_recording_and_flat_out_travel_too() {
        let recorded = crate::arrival::recording("0\n0.1\n0.3\n").expect("recording");
        let replay =
            Load { duration: None, ..load(Pace::Open { arrival: recorded.clone(), rate: 1.0 }, 1) };
        assert_eq!(replay.arrivals(), Some(3));
        let Pace::Open { arrival, .. } = Pace::from(Shape::from(&replay.pace)) else {
            panic!("another pace")
        };
        assert_eq!(arrival, recorded);
        let flat = load(Pace::FlatOut, 1);
        assert!(
            matches!(Pace::from(Shape::from(&flat.pace)), Pace::FlatOut)
                && flat.arrivals().is_none()
        );
    }
}
