//! One schedule shared out among several generators: together they begin exactly the arrivals of
//! one.

use super::Offsets;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Which arrivals of a schedule one of several generators begins: those whose number, counted from
/// 0, leaves `index` when it is divided by the number of generators. Each draws the whole schedule
/// and passes over what is not its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(u32, u32)", into = "(u32, u32)")]
pub struct Share {
    index: u32,
    among: u32,
}

impl Share {
    /// All of it.
    pub const WHOLE: Share = Share { index: 0, among: 1 };

    /// That of the generator `index` (from 0) among so many; `None` if there are fewer.
    pub fn new(index: u32, among: u32) -> Option<Share> {
        (index < among).then_some(Share { index, among })
    }

    /// The arrivals of a schedule that fall to it, with their numbers in the whole of it.
    pub fn of(self, offsets: Offsets) -> Shared {
        Shared { share: self, offsets, number: 0 }
    }

    /// The number of its first arrival, and how far it is from one to the next.
    pub fn numbers(self) -> (u64, u64) {
        (self.index.into(), self.among.into())
    }

    /// How many of `total` things fall to it; those of all generators add up to the total.
    pub fn count(self, total: usize) -> usize {
        let among = self.among as usize;
        total / among + usize::from((self.index as usize) < total % among)
    }
}

impl TryFrom<(u32, u32)> for Share {
    type Error = String;

    fn try_from((index, among): (u32, u32)) -> Result<Share, String> {
        Share::new(index, among).ok_or_else(|| {
            format!(
                "share {index} of {among} is none: wanted a number below that of the generators"
            )
        })
    }
}

impl From<Share> for (u32, u32) {
    fn from(share: Share) -> (u32, u32) {
        (share.index, share.among)
    }
}

/// The arrivals of one share: numbers in the whole schedule, rising, and the offsets at which they
/// are due.
#[derive(Debug, Clone)]
pub struct Shared {
    share: Share,
    offsets: Offsets,
    number: u64,
}

impl Iterator for Shared {
    type Item = (u64, Duration);

    fn next(&mut self) -> Option<(u64, Duration)> {
        loop {
            let (number, offset) = (self.number, self.offsets.next()?);
            self.number += 1;
            if number % u64::from(self.share.among) == u64::from(self.share.index) {
                return Some((number, offset));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrival::tests::shape;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_union_of_all_shares_is_the_schedule_of_one(shape in shape(), rate in 0.1f64..5000.0, seed: u64, among in 1u32..9) {
            let whole: Vec<(u64, Duration)> = (0..).zip(shape.offsets(rate, seed)).take(400).collect();
            let shares = (0..among).map(|i| Share::new(i, among).expect("share"));
            let of = |share: Share| share.of(shape.offsets(rate, seed)).take_while(|(n, _)| *n < 400).collect::<Vec<_>>();
            let each: Vec<_> = shares.map(of).collect();
            let (most, least) = (each.iter().map(Vec::len).max(), each.iter().map(Vec::len).min());
            prop_assert!(most <= least.map(|l| l + 1), "shared out evenly: {most:?} and {least:?}");
            let mut union = each.concat();
            union.sort_unstable();
            prop_assert_eq!(union, whole);
        }

        #[test]
        fn counts_add_up(total in 0usize..100_000, among in 1u32..50) {
            let counts = (0..among).map(|i| Share::new(i, among).expect("share").count(total));
            prop_assert_eq!(counts.sum::<usize>(), total);
        }
    }

    #[test]
    fn a_share_that_is_none_is_not_read() {
        assert_eq!(serde_json::from_str::<Share>("[1,3]").ok(), Share::new(1, 3));
        for text in ["[3,3]", "[0,0]", "[1]", "{}"] {
            assert!(serde_json::from_str::<Share>(text).is_err(), "{text}");
        }
    }
}
