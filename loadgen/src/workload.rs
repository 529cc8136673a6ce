//! What a stream of load consists of.

use crate::advice::Advised;
use crate::arrival::Arrival;
use crate::journey;
use crate::target::Target;
use thiserror::Error;

/// One stream of load. Several may run at once, each with a seed and a name of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Arrivals a second, above 0 and at most a million.
    pub rate: f64,
    /// How they are spread.
    pub arrival: Arrival,
    /// Journeys by name (see [`journey::all`]) and their weights: not negative, with a sum above 0.
    pub journeys: Vec<(String, f64)>,
    /// Where they go.
    pub target: Target,
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
    #[error("journey {0:?} is unknown, there are {known}", known = journey::names().join(", "))]
    Journey(String),
    /// Nothing can be drawn with these weights.
    #[error("weights of journeys {0:?} are not numbers from 0 with a sum above 0")]
    Weights(Vec<f64>),
    /// Nobody to act for.
    #[error("a workload needs users, there are none")]
    Users,
    /// Users are addresses, since that is how they log in and how mail reaches them.
    #[error("user {0:?} is not a mail address")]
    Address(String),
}

impl Advised for WorkloadError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            WorkloadError::Journey(_) => {
                "name journeys as in `workload.journeys` of firedrill.yaml".into()
            }
            WorkloadError::Users => {
                "state full addresses under `workload.users` in firedrill.yaml".into()
            }
            WorkloadError::Address(_) => "write it as \"alice@mail.test\"".into(),
            WorkloadError::Rate(_) | WorkloadError::Weights(_) => return None,
        })
    }
}

impl Workload {
    /// Whether it can be driven; the target's address is another question
    /// ([`crate::check_target`]).
    ///
    /// # Errors
    /// What is wrong, with the value seen and the one wanted.
    pub fn check(&self) -> Result<(), WorkloadError> {
        if !(self.rate > 0.0 && self.rate <= crate::arrival::FASTEST) {
            return Err(WorkloadError::Rate(self.rate));
        }
        if let Some((name, _)) =
            self.journeys.iter().find(|(name, _)| journey::named(name).is_none())
        {
            return Err(WorkloadError::Journey(name.clone()));
        }
        let weights: Vec<f64> = self.journeys.iter().map(|(_, w)| *w).collect();
        let sum: f64 = weights.iter().sum();
        if weights.iter().any(|w| !w.is_finite() || *w < 0.0) || sum <= 0.0 || !sum.is_finite() {
            return Err(WorkloadError::Weights(weights));
        }
        let is_address = |u: &str| {
            u.split_once('@').is_some_and(|(user, domain)| {
                !user.is_empty() && !domain.is_empty() && !u.contains([' ', ':', '\r', '\n'])
            })
        };
        match self.target.users.iter().find(|u| !is_address(u)) {
            Some(user) => Err(WorkloadError::Address(user.clone())),
            None if self.target.users.is_empty() => Err(WorkloadError::Users),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload() -> Workload {
        let target = Target {
            http: "127.0.0.1:5000".into(),
            imap: None,
            users: vec!["alice@mail.test".into()],
            password: "p".into(),
        };
        Workload {
            rate: 20.0,
            arrival: Arrival::Poisson,
            journeys: vec![("list".into(), 1.0)],
            target,
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
        assert!(unknown.contains("\"fly\"") && unknown.contains("send_mail"), "{unknown}");
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
        for (users, wanted) in [
            (vec![], WorkloadError::Users),
            (vec!["alice".to_owned()], WorkloadError::Address("alice".into())),
        ] {
            let target = Target { users, ..workload().target };
            assert_eq!(Workload { target, ..workload() }.check(), Err(wanted));
        }
    }
}
