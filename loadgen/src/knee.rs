//! The knee: the highest rate at which a target keeps to an objective. The search is pure: it says
//! which rate is to be measured next, and is told what came of it. What it answers was measured,
//! never concluded.

use crate::arrival::FASTEST;
use crate::limit::Limit;
use std::time::Duration;
use verdict::history::load::{Judged, Knee, KneeStep, LimitedBy, LoadSummary, Window};

/// Most times that the rate is halved in search of one that holds.
const HALVINGS: u32 = 10;
/// Share of arrivals by which the operations under way may grow in the second half of a step before
/// its target counts as fallen behind: one that bears the rate has as many under way at its end as
/// in its middle.
const GROWTH: f64 = 0.1;
/// Operations under way that come and go by chance.
const CHANCE: u64 = 16;

/// A search for the knee.
#[derive(Debug, Clone)]
pub struct Search {
    first: f64,
    most: f64,
    precision: f64,
    /// Highest rate that held, lowest one that did not and why.
    held: Option<f64>,
    broke: Option<(f64, Judged, String)>,
    halvings: u32,
    steps: Vec<KneeStep>,
}

impl Search {
    /// A search that begins at `first` arrivals a second (above 0), and ends once the knee is known
    /// to lie within the share `precision` (above 0) above its answer.
    pub fn new(first: f64, precision: f64) -> Search {
        Search {
            first,
            most: FASTEST,
            precision,
            held: None,
            broke: None,
            halvings: 0,
            steps: Vec::new(),
        }
    }

    /// The rate to be measured next; none once the answer is known. The rate is doubled until it
    /// breaks (halved, if the first one does), then the gap is halved.
    pub fn next(&self) -> Option<f64> {
        match (self.held, &self.broke) {
            (None, None) => Some(self.first.min(self.most)),
            (Some(held), None) => (held < self.most).then(|| (held * 2.0).min(self.most)),
            (None, Some((broke, ..))) => (self.halvings < HALVINGS).then(|| broke / 2.0),
            (Some(held), Some((broke, ..))) => {
                (broke - held > held * self.precision).then(|| (held + broke) / 2.0)
            }
        }
    }

    /// What came of [`Search::next`].
    pub fn measured(&mut self, step: KneeStep) {
        match step.judged {
            Judged::Within => self.held = Some(step.rate),
            judged => {
                self.halvings += u32::from(self.held.is_none());
                self.broke = Some((step.rate, judged, step.why.clone().unwrap_or_default()));
            }
        }
        self.steps.push(step);
    }

    /// What was found, also before the search is done.
    pub fn answer(self, objective: &[Limit]) -> Knee {
        let done = self.next().is_none();
        let (limited_by, why) = match (&self.held, self.broke.clone()) {
            _ if !done => (LimitedBy::Interrupted, "it was stopped before it was done".to_owned()),
            (_, Some((rate, Judged::Generator, why))) => {
                (LimitedBy::Generator, format!("at {rate} a second the generator: {why}"))
            }
            (_, Some((rate, _, why))) => (LimitedBy::Target, format!("at {rate} a second {why}")),
            (_, None) => (
                LimitedBy::Nothing,
                format!("nothing up to {} a second, the most that can be asked for", self.most),
            ),
        };
        Knee {
            rate: self.held,
            broken_at: self.broke.map(|b| b.0),
            limited_by,
            why,
            objective: objective.iter().map(Limit::to_string).collect(),
            precision: self.precision,
            steps: self.steps,
        }
    }
}

/// Judges what was measured at a rate: by the objective, and by whether target and generator kept
/// up at all.
pub fn judge(
    rate: f64,
    summary: &LoadSummary,
    objective: &[Limit],
    slip_limit: Duration,
) -> KneeStep {
    let broken = objective.iter().map(|o| (o, o.seen(summary))).find(|(_, (_, holds))| !holds);
    let (judged, why) = match (&summary.invalid, broken) {
        (Some(invalid), _) if is_generators(summary, slip_limit) => {
            (Judged::Generator, Some(invalid.clone()))
        }
        (_, Some((o, (seen, _)))) if o.is_exceeded_by_slip_alone(summary) => {
            let slip = summary.slip_p99_ms;
            (
                Judged::Generator,
                Some(format!(
                    "{o} did not hold (seen {seen}), but the generator itself was late by {slip:.3} ms (P99)"
                )),
            )
        }
        (_, Some((o, (seen, _)))) => {
            (Judged::Beyond, Some(format!("{o} did not hold (seen {seen})")))
        }
        (Some(invalid), None) => (Judged::Beyond, Some(invalid.clone())),
        (None, None) => match fell_behind(&summary.windows) {
            Some(why) => (Judged::Beyond, Some(why)),
            None => (Judged::Within, None),
        },
    };
    KneeStep {
        rate,
        achieved_rate: summary.achieved_rate,
        latency_ms: summary.latency_ms,
        error_rate: summary.error_rate,
        judged,
        why,
    }
}

/// Whether an invalid load is so by its generator's doing. Arrivals that are missed while it keeps
/// its schedule are not: too many were under way because the target did not answer them.
fn is_generators(summary: &LoadSummary, slip_limit: Duration) -> bool {
    let kept_up = summary.slip_p99_ms <= slip_limit.as_secs_f64() * 1e3
        && summary.generator.is_none_or(|g| g.saturated_s == 0);
    !(summary.missed_starts > 0
        && kept_up
        && !summary.errors.contains_key("this machine had no room"))
}

/// Whether more and more operations were under way while arrivals went on.
fn fell_behind(windows: &[Window]) -> Option<String> {
    let whole: Vec<&Window> = windows.iter().filter(|w| w.arrivals > 0).collect();
    let at = whole.len().checked_sub(1)? / 2;
    let (middle, last) = (whole.get(at)?, whole.last()?);
    let arrived: u64 = whole[at + 1..].iter().map(|w| w.arrivals).sum();
    let grown = last.in_flight.saturating_sub(middle.in_flight);
    (grown > CHANCE && grown as f64 > arrived as f64 * GROWTH).then(|| {
        format!(
            "the target fell behind: {} operations under way after {} s, {} after {} s",
            middle.in_flight, middle.to_s, last.in_flight, last.to_s
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use verdict::history::load::{Generator, Percentiles};

    fn step(rate: f64, judged: Judged) -> KneeStep {
        let why = (judged != Judged::Within).then(|| "p99<=50ms did not hold".to_owned());
        KneeStep {
            rate,
            achieved_rate: rate,
            latency_ms: Percentiles::default(),
            error_rate: 0.0,
            judged,
            why,
        }
    }

    /// Searches with a target that bears `knee` and a generator that offers at most `offers`.
    fn search(first: f64, precision: f64, mut judge: impl FnMut(f64) -> Judged) -> Knee {
        let mut search = Search::new(first, precision);
        while let Some(rate) = search.next() {
            search.measured(step(rate, judge(rate)));
            assert!(search.steps.len() < 64, "it ends");
        }
        search.answer(&[])
    }

    proptest! {
        #[test]
        fn a_target_with_a_knee_is_told_within_the_precision(knee in 1.0f64..500_000.0, first in 1.0f64..10_000.0, precision in 0.01f64..0.5) {
            let found = search(first, precision, |rate| if rate <= knee { Judged::Within } else { Judged::Beyond });
            prop_assume!(first / 1024.0 < knee);
            let rate = found.rate.expect("found");
            prop_assert_eq!(found.limited_by, LimitedBy::Target);
            prop_assert!(rate <= knee && knee <= rate * (1.0 + precision) + 1e-9, "found {rate}, the knee is {knee}");
        }

        #[test]
        fn a_generator_that_gives_out_first_makes_it_a_lower_bound(knee in 100.0f64..50_000.0, share in 0.1f64..0.9, first in 1.0f64..10.0) {
            let offers = knee * share;
            let found = search(first, 0.05, |rate| if rate > offers { Judged::Generator } else { Judged::Within });
            prop_assert_eq!(found.limited_by, LimitedBy::Generator);
            prop_assert!(found.rate.is_some_and(|r| r <= offers && offers <= r * 1.05 + 1e-9));
        }

        /// Whatever the target does, also one that holds and breaks by chance.
        #[test]
        fn what_is_answered_was_measured_and_held(seed: u64, first in 0.1f64..10_000.0, precision in 0.005f64..0.5) {
            let mut draw = crate::draw::Draw::new(seed, 0);
            let found = search(first, precision, |_| [Judged::Within, Judged::Beyond, Judged::Generator][draw.below(3)]);
            let held: Vec<f64> = found.steps.iter().filter(|s| s.judged == Judged::Within).map(|s| s.rate).collect();
            prop_assert_eq!(found.rate, held.iter().copied().reduce(f64::max));
            prop_assert!(found.rate.is_none_or(|r| r <= FASTEST));
            prop_assert!(found.broken_at.is_none_or(|b| found.steps.iter().any(|s| s.rate == b && s.judged != Judged::Within)));
            prop_assert!(found.rate.zip(found.broken_at).is_none_or(|(held, broke)| held < broke));
        }
    }

    #[test]
    fn what_never_holds_has_no_knee_and_what_never_breaks_no_limit() {
        let never = search(1000.0, 0.05, |_| Judged::Beyond);
        assert_eq!(
            (never.rate, never.limited_by, never.steps.len()),
            (None, LimitedBy::Target, HALVINGS as usize)
        );
        let always = search(1000.0, 0.05, |_| Judged::Within);
        assert_eq!((always.rate, always.limited_by), (Some(FASTEST), LimitedBy::Nothing));
        let stopped = Search::new(10.0, 0.05).answer(&[]);
        assert_eq!((stopped.rate, stopped.limited_by), (None, LimitedBy::Interrupted));
    }

    #[test]
    fn a_step_is_judged_by_the_one_who_gave_out() {
        let objective = [Limit::objective("p99<=50ms").expect("objective")];
        let slip = Duration::from_millis(25);
        let latency_ms = Percentiles { p99: 40.0, ..Percentiles::default() };
        let good = LoadSummary { latency_ms, operations: 1000, ..LoadSummary::default() };
        let judged = |s: &LoadSummary| judge(100.0, s, &objective, slip);
        assert_eq!((judged(&good).judged, judged(&good).why), (Judged::Within, None));
        let slow =
            LoadSummary { latency_ms: Percentiles { p99: 51.0, ..latency_ms }, ..good.clone() };
        assert_eq!(judged(&slow).judged, Judged::Beyond);
        // Late starts are the generator's, and make everything late.
        let late = LoadSummary {
            slip_p99_ms: 30.0,
            invalid: Some("fell behind its schedule".into()),
            ..slow.clone()
        };
        assert_eq!(judged(&late).judged, Judged::Generator);
        let barely = LoadSummary { slip_p99_ms: 2.0, ..slow.clone() };
        assert_eq!(
            judged(&barely).judged,
            Judged::Generator,
            "without its slip the objective may have held"
        );
        assert_eq!(
            judged(&LoadSummary { slip_p99_ms: 0.9, ..slow.clone() }).judged,
            Judged::Beyond
        );
        let busy = Some(Generator { saturated_s: 1, ..Generator::default() });
        let busy = LoadSummary {
            generator: busy,
            missed_starts: 5,
            invalid: Some("bottleneck".into()),
            ..slow.clone()
        };
        assert_eq!(judged(&busy).judged, Judged::Generator);
        // Too many under way is the target's, as long as the generator kept its schedule.
        let full = LoadSummary {
            missed_starts: 5,
            invalid: Some("too many were in flight".into()),
            ..good.clone()
        };
        assert_eq!(judged(&full).judged, Judged::Beyond);
    }

    #[test]
    fn a_target_that_falls_behind_within_the_objective_is_noticed() {
        let window = |n: u64, in_flight| Window {
            from_s: n as f64,
            to_s: n as f64 + 1.0,
            arrivals: 100,
            operations: 100,
            in_flight,
            ..Window::default()
        };
        let course = |in_flight: [u64; 4]| -> Vec<Window> {
            in_flight.iter().zip(0..).map(|(f, n)| window(n, *f)).collect()
        };
        assert_eq!(fell_behind(&course([50, 52, 49, 60])), None, "slow, and no slower");
        assert_eq!(fell_behind(&course([0, 5, 10, 20])), None, "chance");
        assert!(
            fell_behind(&course([20, 40, 60, 80]))
                .is_some_and(|w| w.contains("40 operations under way after 2 s, 80 after 4 s"))
        );
        let drained =
            [course([20, 40, 60, 80]), vec![Window { operations: 80, ..Window::default() }]]
                .concat();
        assert!(
            fell_behind(&drained).is_some(),
            "what ends after the last arrival excuses nothing"
        );
        assert_eq!(fell_behind(&[]), None);
        assert_eq!(fell_behind(&[window(0, 100)]), None, "one window has no course");
    }
}
