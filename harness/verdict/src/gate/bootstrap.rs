//! A studentised bootstrap interval for the difference of two means (Efron and Tibshirani, An
//! Introduction to the Bootstrap, chapter 16), with residuals of both sides pooled: few runs give
//! few residuals, and both sides measure the same thing.

/// Resamples that must lie beyond the quantile, so that it is known within a seventh of alpha.
const BEYOND: f64 = 50.0;
/// Most resamples drawn.
const MOST: f64 = 200_000.0;

/// Ends of two one-sided intervals of a difference of means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The difference is larger than this, but for the chance alpha.
    pub at_least: f64,
    /// The difference is smaller than this, but for the chance alpha.
    pub at_most: f64,
}

/// The arithmetic mean of the values; NaN if there is none.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn squares(values: &[f64]) -> f64 {
    let m = mean(values);
    values.iter().map(|v| (v - m).powi(2)).sum()
}

/// The standard deviation of a sample, with n − 1 as divisor; NaN of fewer than two values.
pub fn spread(values: &[f64]) -> f64 {
    (squares(values) / (values.len() as f64 - 1.0)).sqrt()
}

/// The standard deviation within two samples, pooled by their degrees of freedom.
pub fn pooled_spread(x: &[f64], y: &[f64]) -> f64 {
    ((squares(x) + squares(y)) / (x.len() + y.len() - 2) as f64).sqrt()
}

fn standard_error(x: &[f64], y: &[f64]) -> f64 {
    pooled_spread(x, y) * (1.0 / x.len() as f64 + 1.0 / y.len() as f64).sqrt()
}

/// The interval of mean(y) − mean(x) at level 1 − `alpha` on each side, by the bootstrap-t method
/// over the residuals of both (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
/// chapter 12). Both need two values or more; the seed makes it repeatable.
pub fn interval(x: &[f64], y: &[f64], alpha: f64, seed: u64) -> Interval {
    let seen = mean(y) - mean(x);
    let error = standard_error(x, y);
    // Nothing varied: the difference is what it is. (Values that differ in their last bit only are
    // no variation.)
    if error <= 1e-12 * (1.0 + mean(x).abs() + mean(y).abs()) {
        return Interval { at_least: seen, at_most: seen };
    }
    let residuals: Vec<f64> = [x, y]
        .into_iter()
        .flat_map(|side| {
            let (m, n) = (mean(side), side.len() as f64);
            // A residual from a mean of n values is smaller than one from the true mean.
            let widened = (n / (n - 1.0)).sqrt();
            side.iter().map(move |v| (v - m) * widened)
        })
        .collect();
    let mut random = SplitMix(seed);
    let mut drawn = |n: usize| {
        let (mut sum, mut of_squares) = (0.0, 0.0);
        for _ in 0..n {
            let r = residuals[random.below(residuals.len())];
            sum += r;
            of_squares += r * r;
        }
        (sum / n as f64, of_squares - sum * sum / n as f64)
    };
    let (n, m) = (x.len(), y.len());
    let shares = (1.0 / n as f64 + 1.0 / m as f64) / (n + m - 2) as f64;
    let resamples = (BEYOND / alpha).clamp(1000.0, MOST) as usize;
    let mut statistics: Vec<f64> = (0..resamples)
        .filter_map(|_| {
            let ((mean_x, squares_x), (mean_y, squares_y)) = (drawn(n), drawn(m));
            let t = (mean_y - mean_x) / ((squares_x + squares_y) * shares).sqrt();
            t.is_finite().then_some(t)
        })
        .collect();
    statistics.sort_by(f64::total_cmp);
    let quantile = |q: f64| {
        let rank = (q * statistics.len() as f64).ceil().max(1.0) as usize;
        statistics.get(rank.min(statistics.len()) - 1).copied().unwrap_or(f64::INFINITY)
    };
    Interval {
        at_least: seen - quantile(1.0 - alpha) * error,
        at_most: seen - quantile(alpha) * error,
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and the same on every machine and with every
/// version of a library, so that a recorded run is judged the same for ever.
pub struct SplitMix(pub u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `n` − 1, which is to be above 0; the bias is below n / 2^64.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    pub(super) fn seed(&mut self) -> u64 {
        self.next()
    }
}
