//! Plans: what a load is for, as shapes of arrivals that exist, and what its course then tells.

use crate::advice::Advice;
use crate::arrival::{Arrival, FASTEST};
use crate::limit::Limit;
use std::str::FromStr;
use std::time::Duration;
use verdict::gate::{Better, Compared, Question};
use verdict::history::load::{Drift, LoadSummary, Pacing, PlanTold, Window};

/// Jump of a spike, unless told otherwise.
const JUMP: f64 = 5.0;
/// End of the ramp to the breakpoint, unless told otherwise.
const RAMP: f64 = 20.0;
/// Smallest change of the median over a soak that is told as worse, unless told otherwise: a share
/// of it.
const WORSE: f64 = 0.1;
/// As many times that of the 99th percentile, which varies more.
const TAIL: f64 = 2.5;
/// That of the error rate, a difference of shares.
const ERRORS: f64 = 0.01;
/// Largest change that can be asked for: eleven times as much.
const MOST_WORSE: f64 = 10.0;
/// Fewest windows in a part that is compared or judged.
const LEAST: u32 = 3;

/// A plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Plan {
    /// The same rate for long.
    Soak {
        /// Smallest change of the median that is told as worse, a share of it (0.5 is 50 %); 0.1
        /// without it. Of the 99th percentile it is two and a half times as much.
        worse: Option<f64>,
    },
    /// The rate, from a third of the duration on a jump to another one, and for the last third the
    /// rate again.
    Spike {
        /// Arrivals a second during the jump; five times the rate without it.
        to: Option<f64>,
    },
    /// From the rate evenly upwards, until something stops it.
    Breakpoint {
        /// Arrivals a second at the end of the ramp; twenty times the rate without it.
        to: Option<f64>,
    },
}

impl FromStr for Plan {
    type Err = Advice;

    fn from_str(text: &str) -> Result<Plan, Advice> {
        let (name, rest) =
            text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let wrong = || {
            Advice::new(
                format!("plan {text:?} is unknown"),
                "soak, spike or breakpoint; or as in soak:50% (worse by that much), spike:100, breakpoint:100 (arrivals a second)",
            )
        };
        let number = |text: &str, most: f64| {
            text.parse::<f64>().ok().filter(|n| *n > 0.0 && *n <= most).ok_or_else(wrong)
        };
        let to = || rest.map(|text| number(text, FASTEST)).transpose();
        let share = |text: &str| {
            text.strip_suffix('%')
                .ok_or_else(wrong)
                .and_then(|n| number(n, 100.0 * MOST_WORSE))
                .map(|n| n / 100.0)
        };
        match name {
            "soak" => Ok(Plan::Soak { worse: rest.map(share).transpose()? }),
            "spike" => Ok(Plan::Spike { to: to()? }),
            "breakpoint" => Ok(Plan::Breakpoint { to: to()? }),
            _ => Err(wrong()),
        }
    }
}

impl Plan {
    /// How long it goes on, unless told otherwise.
    pub fn duration(&self) -> Duration {
        Duration::from_secs(match self {
            Plan::Soak { .. } => 3600,
            Plan::Spike { .. } => 90,
            Plan::Breakpoint { .. } => 120,
        })
    }

    /// Fewest windows that it must have, so that there is something to compare.
    pub fn least_windows(&self) -> u32 {
        match self {
            Plan::Soak { .. } => 4 * LEAST,
            Plan::Spike { .. } => 3 * LEAST,
            Plan::Breakpoint { .. } => LEAST,
        }
    }

    /// Its arrivals, beginning at `rate` a second; `steady` is the shape of those that don't
    /// change.
    pub fn arrival(&self, rate: f64, duration: Duration, steady: Arrival) -> Arrival {
        match self {
            Plan::Soak { .. } => steady,
            // The next burst would begin at the very end.
            Plan::Spike { .. } => {
                Arrival::Burst { to: self.to(rate), lasting: duration / 3, every: duration / 3 * 2 }
            }
            Plan::Breakpoint { .. } => Arrival::Ramp { to: self.to(rate), over: duration },
        }
    }

    fn to(&self, rate: f64) -> f64 {
        match self {
            Plan::Soak { .. } => rate,
            Plan::Spike { to } => to.unwrap_or((rate * JUMP).min(FASTEST)),
            Plan::Breakpoint { to } => to.unwrap_or((rate * RAMP).min(FASTEST)),
        }
    }

    /// What its course tells.
    pub fn told(
        &self,
        rate: f64,
        duration: Duration,
        summary: &LoadSummary,
        objective: &[Limit],
        seed: u64,
    ) -> PlanTold {
        let windows = &summary.windows;
        let third = duration.as_secs_f64() / 3.0;
        match self {
            Plan::Soak { worse } => {
                PlanTold::Soak { drift: drift(windows, duration, worse.unwrap_or(WORSE), seed) }
            }
            Plan::Spike { .. } => PlanTold::Spike {
                from_s: third,
                until_s: 2.0 * third,
                to_rate: self.to(rate),
                held_before: windows
                    .iter()
                    .filter(|w| w.to_s <= third)
                    .all(|w| keeps(w, objective)),
                back_after_s: back_after(windows, 2.0 * third, objective),
            },
            Plan::Breakpoint { .. } => {
                let (held_rate, broke_rate) =
                    rates(windows, summary.stopped_by.as_ref().map(|s| s.at_s));
                PlanTold::Breakpoint { to_rate: self.to(rate), held_rate, broke_rate }
            }
        }
    }

    /// Whether it can be driven by users of a closed loop, who have no rate.
    pub fn suits(&self, pacing: Pacing) -> bool {
        pacing == Pacing::Open || matches!(self, Plan::Soak { .. })
    }
}

/// Whether a window keeps to an objective; one in which nothing ended although operations were
/// under way does not.
fn keeps(window: &Window, objective: &[Limit]) -> bool {
    if window.operations == 0 {
        window.in_flight == 0
    } else {
        objective.iter().all(|o| o.seen_in(window).1)
    }
}

/// Seconds from `end` until every further window keeps to the objective.
fn back_after(windows: &[Window], end: f64, objective: &[Limit]) -> Option<f64> {
    // Those that are cut short by the end of the load tell little, and what ended after it nothing
    // of the rate.
    let after: Vec<&Window> = windows.iter().filter(|w| w.to_s > end && w.arrivals > 0).collect();
    let good = after.iter().rev().take_while(|w| keeps(w, objective)).count();
    let first = after.get(after.len().checked_sub(good)?)?;
    Some((first.from_s - end).max(0.0))
}

/// Arrivals a second in the last window that held, and in the one that ended at `stopped`.
fn rates(windows: &[Window], stopped: Option<f64>) -> (Option<f64>, Option<f64>) {
    let rate = |w: &Window| w.arrivals as f64 / (w.to_s - w.from_s);
    let arrived: Vec<&Window> = windows.iter().filter(|w| w.arrivals > 0).collect();
    match stopped {
        None => (arrived.last().map(|w| rate(w)), None),
        Some(at) => {
            let held = arrived.iter().rev().find(|w| w.to_s < at);
            (held.map(|w| rate(w)), arrived.iter().find(|w| w.to_s == at).map(|w| rate(w)))
        }
    }
}

/// The last quarter against the first: one value for each window. `worse` is the smallest change of
/// the median that matters.
fn drift(windows: &[Window], duration: Duration, worse: f64, seed: u64) -> Vec<Drift> {
    let quarter = duration.as_secs_f64() / 4.0;
    let whole = |w: &&Window| w.operations > 0 && w.arrivals > 0;
    let first: Vec<&Window> = windows.iter().filter(whole).filter(|w| w.to_s <= quarter).collect();
    let last: Vec<&Window> =
        windows.iter().filter(whole).filter(|w| w.from_s >= 3.0 * quarter).collect();
    type Of = fn(&Window) -> f64;
    let measures: [(&str, Compared, f64, Of); 3] = [
        ("latency P50, ms", Compared::Ratio, worse, |w| w.latency_ms.p50),
        ("latency P99, ms", Compared::Ratio, TAIL * worse, |w| w.latency_ms.p99),
        ("error rate", Compared::Difference, ERRORS, Window::error_rate),
    ];
    measures
        .into_iter()
        .map(|(measure, compared, practical, of)| {
            let values = |quarter: &[&Window]| quarter.iter().map(|w| of(w)).collect::<Vec<f64>>();
            let (first, last) = (values(&first), values(&last));
            let question =
                Question { compared, better: Better::Lower, practical, alpha: 0.01, power: 0.9 };
            let answer = question.answer(&first, &last, seed);
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
            Drift {
                measure: measure.to_owned(),
                first: mean(&first),
                last: mean(&last),
                question,
                answer,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use verdict::gate::Answer;
    use verdict::history::load::{Percentiles, StoppedBy};

    fn window(n: u32, p99: f64) -> Window {
        let latency_ms = Percentiles { p50: p99 / 2.0, p99, max: p99, ..Percentiles::default() };
        let from_s = f64::from(n);
        Window {
            from_s,
            to_s: from_s + 1.0,
            arrivals: 100,
            operations: 100,
            latency_ms,
            ..Window::default()
        }
    }

    fn course(p99: impl Fn(u32) -> f64, seconds: u32) -> LoadSummary {
        LoadSummary {
            windows: (0..seconds).map(|n| window(n, p99(n))).collect(),
            ..LoadSummary::default()
        }
    }

    fn told(plan: Plan, summary: &LoadSummary, seconds: u64) -> PlanTold {
        let objective = [Limit::objective("p99<=50ms").expect("objective")];
        plan.told(100.0, Duration::from_secs(seconds), summary, &objective, 1)
    }

    fn worse(summary: &LoadSummary, seconds: u64) -> Vec<String> {
        worse_than(Plan::Soak { worse: None }, summary, seconds)
    }

    fn worse_than(soak: Plan, summary: &LoadSummary, seconds: u64) -> Vec<String> {
        let PlanTold::Soak { drift } = told(soak, summary, seconds) else { return vec![] };
        assert_eq!(drift.len(), 3);
        drift
            .into_iter()
            .filter(|d| matches!(d.answer, Answer::Worse(_)))
            .map(|d| d.measure)
            .collect()
    }

    #[test]
    fn plans_are_read() {
        assert_eq!("soak".parse(), Ok(Plan::Soak { worse: None }));
        assert_eq!("soak:50%".parse(), Ok(Plan::Soak { worse: Some(0.5) }));
        assert_eq!("spike".parse(), Ok(Plan::Spike { to: None }));
        assert_eq!("breakpoint:500".parse(), Ok(Plan::Breakpoint { to: Some(500.0) }));
        for text in [
            "",
            "soak:5",
            "soak:0%",
            "soak:1001%",
            "soak:%",
            "spike:",
            "spike:0",
            "spike:x",
            "peak",
            "breakpoint:-1",
            "breakpoint:inf",
        ] {
            assert!(text.parse::<Plan>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_spike_jumps_once_and_comes_back() {
        let (plan, duration) = (Plan::Spike { to: None }, Duration::from_secs(9));
        let due = plan
            .arrival(10.0, duration, Arrival::Poisson)
            .offsets(10.0, 1)
            .take_while(|d| *d < duration);
        let in_third: Vec<usize> = due.fold(vec![0; 3], |mut n, d| {
            n[(d.as_secs() / 3) as usize] += 1;
            n
        });
        assert_eq!(in_third, [30, 150, 30]);
    }

    #[test]
    fn what_gets_slower_is_told_as_drift_and_what_varies_is_not() {
        assert_eq!(
            worse(&course(|n| 10.0 + f64::from(n), 40), 40),
            ["latency P50, ms", "latency P99, ms"]
        );
        assert_eq!(worse(&course(|n| 10.0 + f64::from(n * 7 % 5), 40), 40), [""; 0]);
        // Faster is no drift for the worse.
        assert_eq!(worse(&course(|n| 60.0 - f64::from(n), 40), 40), [""; 0]);
        let mut leaking = course(|_| 10.0, 40);
        leaking.windows.iter_mut().skip(20).for_each(|w| w.errors = 5);
        assert_eq!(worse(&leaking, 40), ["error rate"]);
        // By a fifth, of which the owner says that it does not matter.
        let slower = course(|n| if n < 20 { 10.0 } else { 12.0 }, 40);
        assert_eq!(worse(&slower, 40), ["latency P50, ms"]);
        assert_eq!(worse_than(Plan::Soak { worse: Some(0.5) }, &slower, 40), [""; 0]);
    }

    proptest! {
        #[test]
        fn a_spike_is_over_once_nothing_breaks_the_objective_any_more(back in 0u32..10, jump in any::<bool>()) {
            // Jump from 10 s to 20 s; slow until `back` seconds after it.
            let slow = |n: u32| if (if jump { 10 } else { 20 }..20 + back).contains(&n) { 80.0 } else { 20.0 };
            let PlanTold::Spike { back_after_s, held_before, from_s, until_s, .. } = told(Plan::Spike { to: None }, &course(slow, 30), 30) else {
                return Err(TestCaseError::fail("another plan"));
            };
            prop_assert_eq!((from_s, until_s, held_before), (10.0, 20.0, true));
            prop_assert_eq!(back_after_s, Some(f64::from(back)));
        }
    }

    #[test]
    fn a_spike_that_nothing_recovers_from_is_told() {
        let PlanTold::Spike { back_after_s, held_before, .. } =
            told(Plan::Spike { to: None }, &course(|_| 80.0, 30), 30)
        else {
            panic!("another plan")
        };
        assert_eq!((back_after_s, held_before), (None, false));
        // Nothing answered is not kept to.
        let mut hung = course(|_| 20.0, 30);
        hung.windows.iter_mut().skip(12).for_each(|w| (w.operations, w.in_flight) = (0, 500));
        let PlanTold::Spike { back_after_s, .. } = told(Plan::Spike { to: None }, &hung, 30) else {
            panic!("another plan")
        };
        assert_eq!(back_after_s, None);
    }

    #[test]
    fn a_breakpoint_is_the_rate_of_the_window_that_stopped_it() {
        let mut ramp = course(|_| 10.0, 10);
        (0..).zip(&mut ramp.windows).for_each(|(n, w)| w.arrivals = 100 + 10 * n);
        let plan = Plan::Breakpoint { to: None };
        assert_eq!(
            told(plan, &ramp, 20),
            PlanTold::Breakpoint { to_rate: 2000.0, held_rate: Some(190.0), broke_rate: None }
        );
        ramp.stopped_by =
            Some(StoppedBy { condition: "p99 > 50ms".into(), seen: "80 ms".into(), at_s: 9.0 });
        assert_eq!(
            told(plan, &ramp, 20),
            PlanTold::Breakpoint {
                to_rate: 2000.0,
                held_rate: Some(170.0),
                broke_rate: Some(180.0)
            }
        );
    }
}
