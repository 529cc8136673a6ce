//! The life of an alert as the metrics server leads it: pending while `for` runs, firing, and
//! firing on for `keep_firing_for`.

use crate::observation::replay::{Grid, Run, Variant};

/// State of one alert (one label set of a rule).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// No alert: the expression does not hold.
    Inactive,
    /// Its expression has held since an instant, milliseconds.
    Pending(i64),
    /// It fires; its expression no longer holds since an instant, if there is one.
    Firing(Option<i64>),
}

/// What the server writes of a state as the series `ALERTS`, by
/// <https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/#inspecting-alerts-during-runtime>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Shown {
    /// No sample.
    #[default]
    Nothing,
    /// A sample of a pending alert.
    Pending,
    /// A sample of a firing alert.
    Firing,
}

impl State {
    /// The state after an evaluation at an instant (milliseconds since 1970), at which the expression
    /// held or did not, by `for` and `keep_firing_for` of the rule:
    /// <https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/>.
    pub fn step(self, at_ms: i64, held: bool, rule: &Variant) -> State {
        let ripe = |since: i64| {
            if at_ms - since >= rule.for_ms { State::Firing(None) } else { State::Pending(since) }
        };
        match (self, held) {
            (State::Inactive, true) => ripe(at_ms),
            (State::Pending(since), true) => ripe(since),
            (State::Firing(_), true) => State::Firing(None),
            (State::Firing(gone), false) if rule.keep_firing_ms > 0 => {
                let gone = gone.unwrap_or(at_ms);
                if at_ms - gone < rule.keep_firing_ms {
                    State::Firing(Some(gone))
                } else {
                    State::Inactive
                }
            }
            (_, false) => State::Inactive,
        }
    }

    /// What the server writes of this state.
    pub fn shown(self) -> Shown {
        match self {
            State::Inactive => Shown::Nothing,
            State::Pending(_) => Shown::Pending,
            State::Firing(_) => Shown::Firing,
        }
    }
}

/// What the server writes at each evaluation of a rule whose expression held at those of `held`,
/// from an inactive alert on. Evaluations that were left out change nothing and write nothing;
/// `left_out` is sorted.
pub fn shown(grid: &Grid, held: &[bool], left_out: &[u32], rule: &Variant) -> Vec<Shown> {
    let mut state = State::Inactive;
    (0..grid.count)
        .map(|index| {
            if left_out.binary_search(&index).is_ok() {
                return Shown::Nothing;
            }
            state = state.step(
                grid.at_ms(index),
                held.get(index as usize).copied().unwrap_or(false),
                rule,
            );
            state.shown()
        })
        .collect()
}

/// A value for each of `count` evaluations: true within the runs.
pub fn spread(runs: &[Run], count: u32) -> Vec<bool> {
    let mut held = vec![false; count as usize];
    for (from, to) in runs {
        let to = (*to).min(count.saturating_sub(1)) as usize;
        if let Some(some) = held.get_mut(*from as usize..=to) {
            some.fill(true);
        }
    }
    held
}

/// The runs of evaluations that are in a sorted list.
pub fn runs(sorted: impl IntoIterator<Item = u32>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for index in sorted {
        match runs.last_mut() {
            Some((_, to)) if index <= *to + 1 => *to = index.max(*to),
            _ => runs.push((index, index)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(for_ms: i64, keep_firing_ms: i64) -> Variant {
        Variant { expr: String::new(), for_ms, keep_firing_ms }
    }

    fn grid(count: u32) -> Grid {
        Grid { first_ms: 1_770_000_000_321, interval_ms: 750, count, exact: true }
    }

    /// `.` nothing, `p` pending, `F` firing.
    fn life(held: &str, rule: &Variant) -> String {
        let held: Vec<bool> = held.chars().map(|c| c == 'x').collect();
        let shown = shown(&grid(held.len() as u32), &held, &[], rule);
        shown.iter().map(|s| ['.', 'p', 'F'][*s as usize]).collect()
    }

    #[test]
    fn as_the_server_does() {
        assert_eq!(life(".xxxx.", &rule(0, 0)), ".FFFF.");
        assert_eq!(life(".xxxx.", &rule(1500, 0)), ".ppFF.");
        // A `for` between two evaluations is over at the next one.
        assert_eq!(life(".xxxx.", &rule(751, 0)), ".ppFF.");
        assert_eq!(life("xx.xxx", &rule(1500, 0)), "pp.ppF");
        // It is kept from the first evaluation at which it does not hold, for less than the time
        // stated.
        assert_eq!(life("xx....", &rule(0, 1500)), "FFFF..");
        assert_eq!(life("xx..x....", &rule(750, 1500)), "pFFFFFF..");
        // What is pending is not kept.
        assert_eq!(life("x...", &rule(750, 1500)), "p...");
    }

    #[test]
    fn an_evaluation_left_out_neither_writes_nor_forgets() {
        let held = spread(&[(0, 4)], 5);
        let shown = shown(&grid(5), &held, &[2], &rule(2250, 0));
        assert_eq!(
            shown,
            [Shown::Pending, Shown::Pending, Shown::Nothing, Shown::Firing, Shown::Firing]
        );
    }

    #[test]
    fn runs_and_back() {
        assert_eq!(runs([1, 2, 3, 7, 9, 10]), [(1, 3), (7, 7), (9, 10)]);
        assert_eq!(runs([]), []);
        let held = spread(&[(1, 3), (7, 7), (9, 99)], 11);
        assert_eq!(runs((0..11).filter(|i| held[*i as usize])), [(1, 3), (7, 7), (9, 10)]);
        assert_eq!(spread(&[(5, 6)], 0), Vec::<bool>::new());
    }

    fn first_firing(shown: &[Shown]) -> usize {
        shown.iter().position(|s| *s == Shown::Firing).unwrap_or(usize::MAX)
    }

    proptest! {
        #[test]
        fn a_longer_for_never_fires_earlier_nor_more(held in prop::collection::vec(any::<bool>(), 1..60), a in 0i64..9000, more in 0i64..9000, keep in 0i64..4000) {
            let grid = grid(held.len() as u32);
            let (short, long) = (shown(&grid, &held, &[], &rule(a, keep)), shown(&grid, &held, &[], &rule(a + more, keep)));
            prop_assert!(first_firing(&long) >= first_firing(&short));
            prop_assert!(long.iter().zip(&short).all(|(l, s)| *l != Shown::Firing || *s == Shown::Firing));
        }

        /// What holds more often is shown no less: so two extremes bound whatever was seen in
        /// between.
        #[test]
        fn more_that_holds_shows_no_less(pairs in prop::collection::vec((any::<bool>(), any::<bool>()), 1..60), hold in 0i64..9000, keep in 0i64..4000) {
            let grid = grid(pairs.len() as u32);
            let less: Vec<bool> = pairs.iter().map(|(a, b)| *a && *b).collect();
            let more: Vec<bool> = pairs.iter().map(|(a, _)| *a).collect();
            let (less, more) = (shown(&grid, &less, &[], &rule(hold, keep)), shown(&grid, &more, &[], &rule(hold, keep)));
            prop_assert!(less.iter().zip(&more).all(|(l, m)| l <= m));
        }

        #[test]
        fn it_never_fires_before_it_has_held_for_as_long_as_stated(held in prop::collection::vec(any::<bool>(), 1..60), hold in 1i64..9000) {
            let grid = grid(held.len() as u32);
            let shown = shown(&grid, &held, &[], &rule(hold, 0));
            for (at, _) in shown.iter().enumerate().filter(|(_, s)| **s == Shown::Firing) {
                let since = held[..=at].iter().rposition(|h| !h).map_or(0, |i| i + 1);
                prop_assert!((at - since) as i64 * 750 >= hold);
            }
        }
    }
}
