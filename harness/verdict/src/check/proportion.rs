//! Exact binomial statistics: nothing here approximates, and nothing is judged that a sample can't
//! tell.

use statrs::distribution::{Binomial, DiscreteCDF};

/// P(X ≤ k) for X of n trials with chance p.
fn at_most(k: u64, n: u64, p: f64) -> f64 {
    if k >= n {
        return 1.0;
    }
    Binomial::new(p, n).map_or(f64::NAN, |b| b.cdf(k))
}

/// P(X ≥ k) for X of n trials with chance p. NaN if p is outside 0 to 1.
pub(crate) fn at_least(k: u64, n: u64, p: f64) -> f64 {
    if k == 0 {
        return 1.0;
    }
    if k > n {
        return 0.0;
    }
    Binomial::new(p, n).map_or(f64::NAN, |b| b.sf(k - 1))
}

/// Two-sided exact binomial test: the chance of a count as extreme as `k` of `n` if the true chance
/// is `p`, as twice the smaller tail, at most 1. None if `p` is no chance: outside of 0 to 1.
pub fn two_sided(k: u64, n: u64, p: f64) -> Option<f64> {
    let tail = at_most(k, n, p).min(at_least(k, n, p));
    (0.0..=1.0).contains(&p).then(|| (2.0 * tail).min(1.0))
}

/// The largest count that the two-sided test at level `alpha` rejects for being too small; `None`
/// if it rejects none.
fn rejected_below(n: u64, p: f64, alpha: f64) -> Option<u64> {
    // The tail grows with k: a binary search for the first k that is not rejected.
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = low + (high - low) / 2;
        if 2.0 * at_most(middle, n, p) < alpha { low = middle + 1 } else { high = middle }
    }
    low.checked_sub(1)
}

/// The chance that the test at level `alpha` for chance `p` convicts a process of chance `other`
/// (smaller than p).
pub(crate) fn power(n: u64, p: f64, other: f64, alpha: f64) -> f64 {
    rejected_below(n, p, alpha).map_or(0.0, |k| at_most(k, n, other))
}

/// The smallest sample that tells `p` from its half at level `alpha` with power `wanted`; `None`
/// above a million.
pub(crate) fn sample_for_half(p: f64, alpha: f64, wanted: f64) -> Option<u64> {
    let enough = |n: u64| power(n, p, p / 2.0, alpha) >= wanted;
    let mut high = 8;
    while !enough(high) {
        high *= 2;
        if high > 1_000_000 {
            return None;
        }
    }
    // Power saws a little as n grows, so this finds a sample that is enough and whose neighbour
    // below is not.
    let mut low = high / 2;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if enough(middle) { high = middle } else { low = middle }
    }
    Some(high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_values() {
        let chance = |k, p| two_sided(k, 10, p).expect("p is a chance");
        assert!((chance(5, 0.5) - 1.0).abs() < 1e-12);
        assert!((chance(0, 0.5) - 2.0 / 1024.0).abs() < 1e-12);
        assert!((at_least(10, 10, 0.5) - 1.0 / 1024.0).abs() < 1e-12);
        assert_eq!(chance(9, 1.0), 0.0);
        assert_eq!(chance(10, 1.0), 1.0);
    }

    #[test]
    fn what_is_no_chance_is_not_tested() {
        for p in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            for k in [0, 5, 10] {
                assert_eq!(two_sided(k, 10, p), None, "{k} of 10 at {p}");
            }
        }
        for p in [0.0, 1.0] {
            assert!(two_sided(5, 10, p).is_some_and(|chance| chance == 0.0), "5 of 10 at {p}");
        }
    }

    #[test]
    fn half_of_fifty_per_cent_takes_about_a_hundred() {
        let n = sample_for_half(0.5, 0.001, 0.99).expect("a sample");
        assert!((80..150).contains(&n), "{n}");
        assert!(power(n, 0.5, 0.25, 0.001) >= 0.99);
    }

    proptest! {
        #[test]
        fn a_true_rate_is_convicted_at_most_alpha_of_the_time(n in 1u64..400, p in 0.05f64..0.95) {
            // The chance, under the rate itself, of all counts that the test rejects.
            let rejected: f64 = (0..=n).filter(|k| two_sided(*k, n, p).is_some_and(|chance| chance < 0.01)).map(|k| at_most(k, n, p) - if k == 0 { 0.0 } else { at_most(k - 1, n, p) }).sum();
            prop_assert!(rejected <= 0.01 + 1e-9);
        }

        #[test]
        fn rejection_below_agrees_with_the_test(n in 1u64..400, p in 0.05f64..0.95) {
            if let Some(k) = rejected_below(n, p, 0.01) {
                prop_assert!(2.0 * at_most(k, n, p) < 0.01);
                prop_assert!(2.0 * at_most(k + 1, n, p) >= 0.01);
            } else {
                prop_assert!(2.0 * at_most(0, n, p) >= 0.01);
            }
        }
    }
}
