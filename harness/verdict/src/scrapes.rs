//! How long scrapes surely take: what a time scale, which divides their timeout, is held against.

use crate::check::proportion::at_least;
use crate::observation::metrics::Samples;
use std::collections::BTreeMap;

/// Name under which a run records how long its scrapes took before the first drill, as raw samples.
pub const STEADY_SCRAPES: &str = "scrapes.steady";

/// Share of scrapes that may take longer than the 99th percentile.
const BEYOND_P99: f64 = 0.01;

/// The 99th percentile of how long scrapes take, seconds, by job; of several targets of a job that
/// of the slowest.
///
/// A run holds a few dozen scrapes before its drills, of which a single slow one proves nothing. So
/// each figure is the largest that the percentile reaches surely: were it smaller, so many scrapes
/// as took that long would be seen with at most the chance `alpha`, which all targets share. A
/// target whose scrapes are too few for that has none.
pub fn p99(samples: &Samples, alpha: f64) -> BTreeMap<String, f64> {
    let chance = alpha / samples.series.len().max(1) as f64;
    let mut found: BTreeMap<String, f64> = BTreeMap::new();
    for series in &samples.series {
        let mut took: Vec<f64> = series
            .points
            .iter()
            .filter_map(|(_, value)| *value)
            .filter(|s| s.is_finite())
            .collect();
        took.sort_by(|a, b| b.total_cmp(a));
        let surely =
            (1..=took.len()).find(|k| at_least(*k as u64, took.len() as u64, BEYOND_P99) <= chance);
        if let (Some(k), Some(job)) = (surely, series.labels.get("job")) {
            let slowest = found.entry(job.clone()).or_insert(0.0);
            *slowest = slowest.max(took[k - 1]);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::metrics::Series;

    fn samples(targets: &[(&str, &[f64])]) -> Samples {
        let series = targets.iter().enumerate().map(|(i, (job, took))| Series {
            labels: [("job", (*job).to_owned()), ("instance", i.to_string())]
                .map(|(k, v)| (k.to_owned(), v))
                .into(),
            points: took.iter().enumerate().map(|(i, s)| (i as f64, Some(*s))).collect(),
        });
        let (name, expr) = (STEADY_SCRAPES.into(), "scrape_duration_seconds".into());
        Samples { name, expr, start_s: 0.0, end_s: 60.0, step_s: 0.0, series: series.collect() }
    }

    #[test]
    fn a_job_that_is_slow_is_told_from_one_that_was_slow_once() {
        let slow: Vec<f64> = (0..30).map(|i| 0.6 + f64::from(i) / 1000.0).collect();
        let once: Vec<f64> = (0..30).map(|i| if i % 15 == 7 { 3.0 } else { 0.01 }).collect();
        let found = p99(&samples(&[("slow", &slow), ("once", &once)]), 0.001);
        assert!((0.62..0.63).contains(&found["slow"]), "{found:?}");
        assert_eq!(found["once"], 0.01, "two of thirty");
    }

    #[test]
    fn the_slowest_target_of_a_job_counts_and_too_few_scrapes_say_nothing() {
        let found = p99(
            &samples(&[("a", &[0.1; 20]), ("a", &[0.4; 20]), ("b", &[9.0]), ("c", &[])]),
            0.001,
        );
        assert_eq!(found, BTreeMap::from([("a".to_owned(), 0.4)]));
        assert_eq!(p99(&samples(&[]), 0.001), BTreeMap::new());
    }

    #[test]
    fn more_scrapes_tell_more() {
        // One in ten is slow: of ten that is chance, of a hundred it is not.
        let took =
            |n: usize| (0..n).map(|i| if i % 10 == 3 { 2.0 } else { 0.1 }).collect::<Vec<_>>();
        assert_eq!(p99(&samples(&[("a", &took(10))]), 0.001)["a"], 0.1);
        assert_eq!(p99(&samples(&[("a", &took(100))]), 0.001)["a"], 2.0);
    }
}
