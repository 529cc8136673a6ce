use super::error_rate::resampled;
use super::*;
use crate::check::proportion;
use proptest::prelude::*;

fn question() -> Question {
    Question {
        compared: Compared::Ratio,
        better: Better::Lower,
        practical: 0.05,
        alpha: 0.01,
        power: 0.9,
    }
}

/// Medians of runs, ms: skewed as latencies are.
const RECORDED: [f64; 16] =
    [10.2, 10.4, 9.9, 10.1, 10.8, 10.0, 10.3, 9.8, 10.6, 10.2, 11.0, 10.1, 9.9, 10.5, 10.0, 10.3];

fn recorded(random: &mut bootstrap::SplitMix) -> f64 {
    RECORDED[random.below(RECORDED.len())]
}

#[test]
fn unchanged_software_fails_as_rarely_as_stated() {
    // Without a practical threshold, which only makes failing rarer: the interval alone must keep
    // to alpha.
    for (alpha, runs) in [(0.05, 5), (0.05, 10), (0.01, 8)] {
        let q = Question { practical: 1e-9, alpha, ..question() };
        let tally = resampled(&q, recorded, runs, 1.0, 400, 7);
        let chance =
            proportion::two_sided(tally.worse, tally.asked, alpha).expect("alpha is a chance");
        assert!(
            chance > 0.001,
            "alpha {alpha} with {runs} runs: {} of {} failed, chance {chance:.5}",
            tally.worse,
            tally.asked
        );
    }
}

#[test]
fn a_planted_slowdown_is_found_with_the_stated_power() {
    let q = question();
    let x: Vec<f64> = RECORDED.iter().map(|v| v.ln()).collect();
    let runs =
        power::runs(bootstrap::spread(&x), 1.1f64.ln(), q.alpha, q.power).expect("few runs do");
    let tally = resampled(&q, recorded, runs, 1.1, 300, 11);
    let (found, of) = (tally.worse, tally.asked);
    let chance = proportion::two_sided(found, of, q.power).expect("power is a chance");
    assert!(
        chance > 0.001 || found as f64 > q.power * of as f64,
        "{found} of {of} with {runs} runs each"
    );
}

#[test]
fn a_difference_that_nobody_cares_about_passes() {
    let slower: Vec<f64> = RECORDED.iter().map(|v| v * 1.01).collect();
    assert!(matches!(question().answer(&RECORDED, &slower, 3), Answer::Holds(_)));
}

#[test]
fn few_and_noisy_runs_are_no_pass() {
    let noisy = [10.0, 14.0, 8.0, 12.0];
    match question().answer(&noisy, &[11.0, 9.0, 13.0, 10.0], 3) {
        Answer::TooFewRuns { wanted: Some(n), .. } => assert!(n > 50, "{n}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        question().answer(&RECORDED, &[10.0], 3),
        Answer::TooFewRuns { wanted: Some(_), change: None }
    ));
    assert!(matches!(question().answer(&[], &[], 3), Answer::TooFewRuns { .. }));
}

#[test]
fn a_hit_rate_that_falls_is_worse() {
    let q = Question { better: Better::Higher, ..question() };
    let fell: Vec<f64> = RECORDED.iter().map(|v| v * 0.8).collect();
    match q.answer(&RECORDED, &fell, 3) {
        Answer::Worse(change) => assert!((change.seen - 0.2).abs() < 1e-9, "{change:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_that_never_vary_are_compared_as_they_are() {
    let q = Question { compared: Compared::Difference, practical: 0.01, ..question() };
    assert!(matches!(q.answer(&[0.0; 5], &[0.0; 5], 3), Answer::Holds(_)));
    assert!(matches!(q.answer(&[0.0; 5], &[0.02; 5], 3), Answer::Worse(_)));
    assert!(matches!(question().answer(&[0.0; 5], &[1.0; 5], 3), Answer::NotComparable));
    assert!(matches!(q.answer(&[f64::NAN; 5], &[1.0; 5], 3), Answer::NotComparable));
}

fn runs() -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec(1.0..100.0f64, 3..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_unit_does_not_matter(x in runs(), y in runs(), by in 0.001..1000.0f64) {
        let scaled = |v: &[f64]| v.iter().map(|x| x * by).collect::<Vec<_>>();
        let name = |a: Answer| std::mem::discriminant(&a);
        prop_assert_eq!(name(question().answer(&x, &y, 5)), name(question().answer(&scaled(&x), &scaled(&y), 5)));
    }

    #[test]
    fn what_is_worse_still_never_passes_where_the_better_failed(x in runs(), y in runs(), by in 1.0..3.0f64) {
        let slower: Vec<f64> = y.iter().map(|v| v * by).collect();
        if matches!(question().answer(&x, &y, 5), Answer::Worse(_)) {
            prop_assert!(matches!(question().answer(&x, &slower, 5), Answer::Worse(_)));
        }
    }

    #[test]
    fn a_truncated_record_never_passes(x in runs(), y in runs(), keep in 0usize..3) {
        let few = &y[..keep];
        prop_assert!(!matches!(question().answer(&x, few, 5), Answer::Holds(_) | Answer::Worse(_)), "two runs said something");
    }
}
