//! One generator of several that drive a load together.

use super::now;
use crate::arrival::Share;
use crate::recorder::{Counts, Times, packed, slips};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;
use verdict::history::load::Connections;

/// What makes a generator one of several.
#[derive(Debug)]
pub struct Part {
    /// Which arrivals are its own.
    pub share: Share,
    /// When the load begins, ns on the monotonic clock ([`now`]); at once without it. Arrivals that
    /// are due before the generator got there are begun late, and count as slip.
    pub begin: Option<u64>,
    /// Where what it measured goes, about once a second and at the end.
    pub tallies: Option<UnboundedSender<Tally>>,
    /// Ends it at once when cancelled, whatever is under way.
    pub abandon: CancellationToken,
}

impl Default for Part {
    fn default() -> Part {
        Part { share: Share::WHOLE, begin: None, tallies: None, abandon: CancellationToken::new() }
    }
}

impl Part {
    /// Waits for the beginning. Returns when that was to be and how late it is now, ns.
    pub(super) fn wait(&self) -> (u64, u64) {
        let Some(begin) = self.begin else { return (now(), 0) };
        loop {
            let left = begin.saturating_sub(now());
            if left == 0 || self.abandon.is_cancelled() {
                return (begin, now().saturating_sub(begin));
            }
            // In pieces, so that it is given up soon.
            std::thread::sleep(Duration::from_nanos(left.min(50_000_000)));
        }
    }
}

/// What a generator measured within an interval. Intervals follow each other without gap.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tally {
    /// When the interval began, after the beginning of the load.
    pub from: Duration,
    /// How long it was.
    pub length: Duration,
    /// Latency of the operations that ended in it.
    #[serde(with = "packed")]
    pub latency: Histogram<u64>,
    /// Their service time.
    #[serde(with = "packed")]
    pub service: Histogram<u64>,
    /// Slip of those that were begun in it.
    #[serde(with = "packed")]
    pub slip: Histogram<u64>,
    /// 99th percentile of slip since the beginning, ms.
    pub slip_p99_ms: f64,
    /// What was counted since the beginning.
    pub counts: Counts,
    /// How connections were used since the beginning.
    pub connections: Connections,
}

/// What is measured of the interval that isn't over.
#[derive(Debug)]
pub(super) struct Interval {
    /// When it began, ns.
    pub from: u64,
    pub times: Times,
    pub slip: Histogram<u64>,
}

impl Interval {
    pub fn begin(from: u64) -> Interval {
        Interval { from, times: Times::new(), slip: slips() }
    }
}
