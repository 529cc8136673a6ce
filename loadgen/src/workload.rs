//! What a stream of load consists of.

use crate::advice::Advised;
use crate::arrival::Arrival;
use crate::traffic::Traffic;
use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;

/// One stream of load. Several may run at once, each with a seed and a name of its own.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Arrivals a second, above 0 and at most a million.
    pub rate: f64,
    /// How they are spread.
    pub arrival: Arrival,
    /// What users do.
    pub traffic: Arc<Traffic>,
    /// Journeys by name and their weights: not negative, with a sum above 0.
    pub journeys: Vec<(String, f64)>,
    /// `host:port` at which a `service:port` of the traffic is reached, where that is another.
    pub places: BTreeMap<String, String>,
    /// Seed of schedule, journeys, payloads and ids.
    pub seed: u64,
    /// Which stream: `background`, or the id of the drill that adds to it.
    pub stream: String,
}

/// Why a workload can't be driven.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum WorkloadError {
    /// No schedule has such a rate.
    #[error("rate {0} is not a number of arrivals a second from above 0 to 1000000")]
    Rate(f64),
    /// No such journey.
    #[error("journey {0:?} is unknown, there are {known}", known = .1.join(", "))]
    Journey(String, Vec<String>),
    /// Nothing can be drawn with these weights.
    #[error("weights of journeys {0:?} are not numbers from 0 with a sum above 0")]
    Weights(Vec<f64>),
}

impl Advised for WorkloadError {
    fn hint(&self) -> Option<String> {
        match self {
            WorkloadError::Journey(..) => {
                Some("name journeys as in `workload.journeys` of firedrill.yaml".into())
            }
            WorkloadError::Rate(_) | WorkloadError::Weights(_) => None,
        }
    }
}

impl Workload {
    /// Whether it can be driven; addresses are another question ([`crate::check_target`]).
    ///
    /// # Errors
    /// What is wrong, with the value seen and the one wanted.
    pub fn check(&self) -> Result<(), WorkloadError> {
        if !(self.rate > 0.0 && self.rate <= crate::arrival::FASTEST) {
            return Err(WorkloadError::Rate(self.rate));
        }
        let unknown = self.journeys.iter().find(|(name, _)| self.traffic.script(name).is_none());
        if let Some((name, _)) = unknown {
            let known = self.traffic.names().into_iter().map(str::to_owned).collect();
            return Err(WorkloadError::Journey(name.clone(), known));
        }
        let weights: Vec<f64> = self.journeys.iter().map(|(_, w)| *w).collect();
        let sum: f64 = weights.iter().sum();
        if weights.iter().any(|w| !w.is_finite() || *w < 0.0) || sum <= 0.0 || !sum.is_finite() {
            return Err(WorkloadError::Weights(weights));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::stated::StatedTraffic;

    fn workload() -> Workload {
        let stated: StatedTraffic = serde_json::from_value(serde_json::json!({
            "rate": 1, "get": [{"name": "list", "url": "127.0.0.1:5000/"}],
        }))
        .expect("traffic");
        Workload {
            rate: 20.0,
            arrival: Arrival::Poisson,
            traffic: Arc::new(Traffic::read(&stated).expect("traffic")),
            journeys: vec![("list".into(), 1.0)],
            places: BTreeMap::new(),
            seed: 1,
            stream: "background".into(),
        }
    }

    #[test]
    fn what_can_not_be_driven_is_said() {
        assert_eq!(workload().check(), Ok(()));
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(
                matches!(Workload { rate, ..workload() }.check(), Err(WorkloadError::Rate(_))),
                "{rate}"
            );
        }
        let unknown = Workload { journeys: vec![("fly".into(), 1.0)], ..workload() }
            .check()
            .expect_err("unknown")
            .to_string();
        assert!(unknown.contains("\"fly\"") && unknown.contains("there are list"), "{unknown}");
        for weights in [vec![], vec![0.0], vec![-1.0, 2.0], vec![f64::NAN], vec![f64::INFINITY]] {
            let journeys = weights.iter().map(|w| ("list".to_owned(), *w)).collect();
            assert!(
                matches!(
                    Workload { journeys, ..workload() }.check(),
                    Err(WorkloadError::Weights(_))
                ),
                "{weights:?}"
            );
        }
    }
}
