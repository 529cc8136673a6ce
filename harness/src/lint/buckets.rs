//! Where a histogram's buckets end, as far as what a server shows is evidence for it.
//!
//! Most programs expose each bucket from the start, filled or not. Some (Redis' latencies by
//! command) expose a bucket only when something fell into it: their largest bound is what was seen
//! so far, and the next slow command adds another. Only what can't come from growing is evidence
//! that the buckets end there: a last bucket into which nothing fell, or observations beyond it
//! that made none.

use std::collections::{BTreeMap, BTreeSet};

/// One series of a histogram's buckets.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bucket {
    /// Its labels without `le` and `__name__`.
    labels: BTreeMap<String, String>,
    /// Its upper bound; infinite for the last.
    bound: f64,
    /// What the server showed last: observations up to its bound.
    count: f64,
}

impl Bucket {
    /// The bucket of a series with these labels; none if it is no bucket.
    pub fn of(labels: &BTreeMap<String, String>, count: Option<f64>) -> Option<Bucket> {
        let mut labels = labels.clone();
        labels.remove("__name__");
        let bound = labels.remove("le")?.parse().ok()?;
        Some(Bucket { labels, bound, count: count? })
    }

    /// The target that showed it.
    fn target(&self) -> [Option<&str>; 2] {
        ["job", "instance"].map(|name| self.labels.get(name).map(String::as_str))
    }
}

/// The largest finite bound of all, if it is sure that no bucket lies beyond it.
pub(super) fn end(buckets: &[Bucket]) -> Option<f64> {
    let mut histograms: BTreeMap<&BTreeMap<String, String>, Vec<&Bucket>> = BTreeMap::new();
    for bucket in buckets {
        histograms.entry(&bucket.labels).or_default().push(bucket);
    }
    let mut ends: BTreeMap<[Option<&str>; 2], BTreeSet<u64>> = BTreeMap::new();
    let mut last = None::<f64>;
    let mut sure = Vec::new();
    for histogram in histograms.values_mut() {
        histogram.sort_by(|a, b| a.bound.total_cmp(&b.bound));
        let Some(at) = histogram.iter().rposition(|bucket| bucket.bound.is_finite()) else {
            continue;
        };
        let top = histogram[at];
        let below = at.checked_sub(1).map_or(0.0, |before| histogram[before].count);
        let beyond = histogram.last().map_or(top.count, |all| all.count);
        if top.count <= below || beyond > top.count {
            sure.push(top.bound);
        }
        ends.entry(top.target()).or_default().insert(top.bound.to_bits());
        last = Some(last.map_or(top.bound, |last| last.max(top.bound)));
    }
    // One program gives all series of a histogram the same buckets, unless they come with the data.
    let grows = ends.values().any(|of_target| of_target.len() > 1);
    last.filter(|last| !grows && sure.contains(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Buckets as an exposition has them.
    fn buckets(series: &[(&str, &[(&str, f64)])]) -> Vec<Bucket> {
        let mut all = Vec::new();
        for (labels, counts) in series {
            for (le, count) in *counts {
                let pairs = labels
                    .split(' ')
                    .filter_map(|pair| pair.split_once('='))
                    .chain([("__name__", "x_bucket"), ("le", le)]);
                let labels =
                    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                all.extend(Bucket::of(&labels, Some(*count)));
            }
        }
        all
    }

    #[test]
    fn buckets_that_are_there_from_the_start_end_where_they_end() {
        // As client libraries write them: the largest are empty in a healthy service, and all
        // before the first observation.
        let healthy = [("0.1", 90.0), ("1", 100.0), ("5", 100.0), ("10", 100.0), ("+Inf", 100.0)];
        assert_eq!(end(&buckets(&[("job=web instance=a path=/", &healthy)])), Some(10.0));
        assert_eq!(
            end(&buckets(&[("job=web instance=a", &[("1", 0.0), ("+Inf", 0.0)])])),
            Some(1.0),
            "nothing observed yet"
        );
        // Full up to the last, and beyond it: what fell there made no bucket.
        assert_eq!(
            end(&buckets(&[("job=web instance=a", &[("1", 4.0), ("2", 5.0), ("+Inf", 6.0)])])),
            Some(2.0)
        );
        // Another program may have others.
        let other = [
            ("job=web instance=a", &healthy[..]),
            ("job=api instance=b", &[("20", 1.0), ("30", 1.0), ("+Inf", 1.0)][..]),
        ];
        assert_eq!(end(&buckets(&other)), Some(30.0));
    }

    #[test]
    fn buckets_that_come_with_the_data_are_no_evidence() {
        // As redis_exporter writes what Redis 8 answers to LATENCY HISTOGRAM: a bucket for each
        // power of two into which some fell.
        let get = [
            ("1.007", 121.0),
            ("2.015", 834.0),
            ("4.031", 840.0),
            ("16.127", 841.0),
            ("+Inf", 841.0),
        ];
        let set = [("2.015", 12.0), ("8.063", 15.0), ("+Inf", 15.0)];
        let one = [("job=redis instance=r cmd=get", &get[..])];
        assert_eq!(end(&buckets(&one)), None, "one command, each bucket filled");
        assert_eq!(
            end(&buckets(&[one[0], ("job=redis instance=r cmd=set", &set[..])])),
            None,
            "two commands"
        );
        // All buckets up to the largest that was seen.
        assert_eq!(
            end(&buckets(&[(
                "job=a instance=a",
                &[("1", 0.0), ("2", 3.0), ("3", 3.0), ("4", 7.0), ("+Inf", 7.0)]
            )])),
            None
        );
        // One of them looks as if it ended; the other of the same program shows that it does not.
        let fixed = [("1", 1.0), ("2", 1.0), ("+Inf", 1.0)];
        let longer = [("1", 1.0), ("8", 3.0), ("+Inf", 3.0)];
        assert_eq!(
            end(&buckets(&[
                ("job=a instance=a cmd=x", &fixed),
                ("job=a instance=a cmd=y", &longer)
            ])),
            None
        );
    }

    #[test]
    fn what_is_no_bucket_is_none() {
        let labels = |le: &str| BTreeMap::from([("le".to_owned(), le.to_owned())]);
        assert_eq!(Bucket::of(&labels("wide"), Some(1.0)), None);
        assert_eq!(Bucket::of(&labels("1"), None), None);
        assert_eq!(Bucket::of(&BTreeMap::new(), Some(1.0)), None);
        assert_eq!(end(&[]), None);
    }
}
