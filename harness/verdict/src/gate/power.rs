//! How many runs it takes.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Runs on each side beyond which nobody waits.
const MOST: usize = 1000;

/// Fewest runs on each side with which a one-sided test at level `alpha` finds a difference of
/// `difference` with chance `power`, where runs differ by a standard deviation of `spread` on the
/// same scale. `None` above a thousand.
///
/// The sum of two quantiles of Student's distribution stands for the non-central one: within a run
/// of the exact number.
pub fn runs(spread: f64, difference: f64, alpha: f64, power: f64) -> Option<usize> {
    if !spread.is_finite() || difference <= 0.0 {
        return None;
    }
    (super::LEAST_RUNS..=MOST).find(|&n| {
        let error = spread * (2.0 / n as f64).sqrt();
        StudentsT::new(0.0, 1.0, (2 * n - 2) as f64).is_ok_and(|t| {
            difference >= error * (t.inverse_cdf(1.0 - alpha) + t.inverse_cdf(power).max(0.0))
        })
    })
}
