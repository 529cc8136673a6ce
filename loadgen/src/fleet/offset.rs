//! How much one clock shows more than another, from round trips between the two.

use verdict::history::load::Measured;

/// Bounds of what their clock shows more than ours, ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    least: i64,
    most: i64,
}

impl Offset {
    /// What one round trip tells: theirs was read at some time between that of asking and that of
    /// hearing the answer.
    pub fn of(asked: i64, theirs: i64, heard: i64) -> Offset {
        Offset { least: theirs - heard.max(asked), most: theirs - asked }
    }

    /// What both tell together. Where they contradict each other (a clock ran on between the two)
    /// the closer one stands.
    pub fn and(self, other: Offset) -> Offset {
        let both = Offset { least: self.least.max(other.least), most: self.most.min(other.most) };
        match both.least <= both.most {
            true => both,
            false if other.width() < self.width() => other,
            false => self,
        }
    }

    fn width(self) -> i64 {
        self.most - self.least
    }

    /// The most likely offset, ns: the middle.
    pub fn middle(self) -> i64 {
        self.least + self.width() / 2
    }

    /// The same in microseconds, with how far at most the true one is from it.
    pub fn measured(self) -> Measured {
        Measured { us: self.middle() as f64 / 1e3, uncertainty_us: self.width() as f64 / 2e3 }
    }

    /// How much it has changed until `later`.
    pub fn until(self, later: Offset) -> Measured {
        let (before, after) = (self.measured(), later.measured());
        Measured {
            us: after.us - before.us,
            uncertainty_us: before.uncertainty_us + after.uncertainty_us,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_truth_is_within_the_bounds_however_unlike_the_two_ways_are(
            truth in -1_000_000_000_000i64..1_000_000_000_000,
            trips in prop::collection::vec((0i64..50_000_000, 0i64..50_000_000), 1..20),
        ) {
            let mut at = 0;
            let samples: Vec<Offset> = trips.iter().map(|(there, back)| {
                let (asked, heard) = (at, at + there + back);
                at = heard + 1;
                Offset::of(asked, asked + there + truth, heard)
            }).collect();
            let all = samples.iter().copied().reduce(Offset::and).expect("some");
            let told = all.measured();
            prop_assert!((told.us - truth as f64 / 1e3).abs() <= told.uncertainty_us + 1e-3, "{told:?} of {truth} ns");
            let quickest = trips.iter().map(|(there, back)| there + back).min().expect("some");
            prop_assert!(all.width() <= quickest, "no worse than the quickest round trip");
            prop_assert!((all.middle() - truth).abs() <= all.width());
        }
    }

    #[test]
    fn of_two_that_contradict_the_closer_one_stands() {
        let (wide, narrow) = (Offset::of(0, 1000, 100), Offset::of(0, 2000, 10));
        assert_eq!((wide.and(narrow), narrow.and(wide)), (narrow, narrow));
        let drift = wide.until(narrow);
        assert!(
            (drift.us - 1.045).abs() < 1e-9 && (drift.uncertainty_us - 0.055).abs() < 1e-9,
            "{drift:?}"
        );
    }
}
