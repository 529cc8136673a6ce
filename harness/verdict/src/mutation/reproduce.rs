//! Whether the state machine reproduces what the server wrote of the rules as they are: only then
//! may it judge mutants.

use super::hold::{Shown, State, runs, spread};
use crate::check::firing::{ALERT_NAME, ALERT_STATE};
use crate::check::wording::{labels as in_words, seconds};
use crate::observation::metrics::Series;
use crate::observation::replay::{Grid, Held, Replay, Variant};
use std::collections::{BTreeMap, BTreeSet};

/// Longest stretch of evaluations that the server may have left out one after the other while an
/// alert was active; what is longer is no lateness but a server that was away.
const LEFT_OUT_MAX: u32 = 3;

type Labels = BTreeMap<String, String>;

/// A rule that was reproduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reproduced {
    /// Evaluations compared, for each label set that there ever was.
    pub evaluations: u64,
    /// Those of them at which the alert was pending or firing.
    pub active: u64,
    /// Those at which the samples alone don't tell whether the expression held: a sample was being
    /// scraped.
    pub undecidable: u64,
}

/// An expression's truth for one label set: where both agree it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// Whether it holds at each evaluation, with all samples.
    pub all: Vec<bool>,
    /// The same without the latest samples, which may have come too late for the evaluation.
    pub without_latest: Vec<bool>,
}

impl Truth {
    /// The truth of the expression for one label set, at each evaluation of the grid.
    pub fn of(held: &Held, grid: &Grid) -> Truth {
        Truth {
            all: spread(&held.all, grid.count),
            without_latest: spread(&held.without_latest, grid.count),
        }
    }

    /// Of a label set that is never in the result.
    fn never(grid: &Grid) -> Truth {
        Truth {
            all: vec![false; grid.count as usize],
            without_latest: vec![false; grid.count as usize],
        }
    }

    /// Where it held for certain, or where it may have held.
    pub fn bound(&self, possibly: bool) -> Vec<bool> {
        self.all
            .iter()
            .zip(&self.without_latest)
            .map(|(a, b)| if possibly { *a || *b } else { *a && *b })
            .collect()
    }

    /// Number of evaluations at which it is not known.
    pub fn undecidable(&self) -> u64 {
        self.all.iter().zip(&self.without_latest).filter(|(a, b)| a != b).count() as u64
    }
}

/// What the server wrote of each alert of a rule at each evaluation.
///
/// # Errors
/// A sample is stamped between two evaluations of the group.
pub fn written(replay: &Replay) -> Result<BTreeMap<Labels, Vec<Shown>>, String> {
    let mut written: BTreeMap<Labels, Vec<Shown>> = BTreeMap::new();
    let end_s = replay.grid.at_ms(replay.grid.count) as f64 / 1000.0;
    for series in &replay.alerts {
        let shown = match series.labels.get(ALERT_STATE).map(String::as_str) {
            Some("firing") => Shown::Firing,
            Some("pending") => Shown::Pending,
            _ => continue,
        };
        let line = written
            .entry(key(&series.labels, &replay.sets))
            .or_insert_with(|| vec![Shown::Nothing; replay.grid.count as usize]);
        for (at_s, _) in series
            .points
            .iter()
            .filter(|(t, _)| *t * 1000.0 > replay.grid.first_ms as f64 - 2.0 && *t < end_s - 0.002)
        {
            let Some(index) = replay.grid.index(*at_s) else {
                let after = seconds(*at_s - replay.grid.first_ms as f64 / 1000.0);
                return Err(format!(
                    "a sample of ALERTS is stamped {after} after the first evaluation of its group, between two of them"
                ));
            };
            line[index as usize] = shown;
        }
    }
    Ok(written)
}

/// The labels that tell alerts of one rule apart.
pub fn key(labels: &Labels, sets: &[String]) -> Labels {
    let fixed = ["__name__", ALERT_NAME, ALERT_STATE];
    let own = labels
        .iter()
        .filter(|(k, v)| !v.is_empty() && !fixed.contains(&k.as_str()) && !sets.contains(k));
    own.map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// Evaluations of a group that the server left out: it wrote nothing for any of the group's alerts,
/// though each that was active before was active after, and as far as before.
pub fn left_out(grid: &Grid, alerts: &[Series]) -> Vec<u32> {
    let mut lines: BTreeMap<Labels, BTreeMap<u32, Shown>> = BTreeMap::new();
    for series in alerts {
        let shown = if series.labels.get(ALERT_STATE).is_some_and(|s| s == "firing") {
            Shown::Firing
        } else {
            Shown::Pending
        };
        let own = series
            .labels
            .iter()
            .filter(|(k, _)| k.as_str() != ALERT_STATE)
            .map(|(k, v)| (k.clone(), v.clone()));
        lines
            .entry(own.collect())
            .or_default()
            .extend(series.points.iter().filter_map(|(t, _)| Some((grid.index(*t)?, shown))));
    }
    let any: BTreeSet<u32> = lines.values().flat_map(|line| line.keys().copied()).collect();
    let silent = runs((0..grid.count).filter(|i| !any.contains(i)));
    let mut found = Vec::new();
    for (from, to) in silent {
        if from == 0 || to - from >= LEFT_OUT_MAX {
            continue;
        }
        let before: Vec<_> = lines
            .values()
            .filter_map(|line| Some((line.get(&(from - 1))?, line.get(&(to + 1)))))
            .collect();
        // An alert that fires again at once after an evaluation without it has no `for`: nothing
        // then tells it from one that resolved.
        if !before.is_empty()
            && before.iter().all(|(before, after)| after.is_some_and(|after| after >= *before))
        {
            found.extend(from..=to);
        }
    }
    found
}

/// Follows the rule as it is through all evaluations and compares with what the server wrote.
///
/// # Errors
/// The first deviation, or why nothing can be compared.
pub fn reproduce(replay: &Replay) -> Result<Reproduced, String> {
    if let Some(why) = &replay.error {
        return Err(why.clone());
    }
    if replay.grid.count == 0 || replay.grid.interval_ms <= 0 {
        return Err("no evaluation of its group was recorded".into());
    }
    let written = written(replay)?;
    let held: BTreeMap<&Labels, Truth> =
        replay.held.iter().map(|h| (&h.labels, Truth::of(h, &replay.grid))).collect();
    let labels: BTreeSet<&Labels> = written.keys().chain(held.keys().copied()).collect();
    let mut reproduced = Reproduced::default();
    let never = Truth::never(&replay.grid);
    let nothing = vec![Shown::Nothing; replay.grid.count as usize];
    if labels.is_empty() {
        reproduced.evaluations = u64::from(replay.grid.count) - replay.left_out.len() as u64;
    }
    for of in labels {
        let (truth, line) = (held.get(of).unwrap_or(&never), written.get(of).unwrap_or(&nothing));
        follow(replay, of, truth, line, &mut reproduced)?;
    }
    Ok(reproduced)
}

fn follow(
    replay: &Replay,
    labels: &Labels,
    truth: &Truth,
    line: &[Shown],
    sum: &mut Reproduced,
) -> Result<(), String> {
    let grid = &replay.grid;
    let mut states = before(grid, &replay.rule);
    for index in 0..grid.count {
        if replay.left_out.binary_search(&index).is_ok() {
            continue;
        }
        let at = index as usize;
        let inputs: BTreeSet<bool> = [truth.all[at], truth.without_latest[at]].into();
        let next: BTreeSet<State> = inputs
            .iter()
            .flat_map(|held| states.iter().map(|s| s.step(grid.at_ms(index), *held, &replay.rule)))
            .collect();
        sum.evaluations += 1;
        sum.active += u64::from(line[at] != Shown::Nothing);
        sum.undecidable += u64::from(inputs.len() > 1);
        let agreeing: BTreeSet<State> =
            next.iter().copied().filter(|s| s.shown() == line[at]).collect();
        if agreeing.is_empty() {
            let wanted: BTreeSet<&str> = next.iter().map(|s| word(s.shown())).collect();
            return Err(format!(
                "at its evaluation {} of {}, {} after the first, {}: the server wrote {}, computed from the recorded samples: {}",
                index + 1,
                grid.count,
                seconds((grid.at_ms(index) - grid.first_ms) as f64 / 1000.0),
                if labels.is_empty() {
                    "without labels".to_owned()
                } else {
                    format!("labels {}", in_words(labels, &[]))
                },
                word(line[at]),
                wanted.into_iter().collect::<Vec<_>>().join(" or "),
            ));
        }
        states = agreeing;
    }
    Ok(())
}

/// All states in which an alert may have been when the record begins.
fn before(grid: &Grid, rule: &Variant) -> BTreeSet<State> {
    let earlier = rule.for_ms.max(0) / grid.interval_ms + 1;
    let pending = (1..=earlier).map(|back| State::Pending(grid.first_ms - back * grid.interval_ms));
    let kept = (1..=rule.keep_firing_ms.max(0) / grid.interval_ms + 1)
        .map(|back| State::Firing(Some(grid.first_ms - back * grid.interval_ms)));
    pending.chain(kept).chain([State::Inactive, State::Firing(None)]).collect()
}

fn word(shown: Shown) -> &'static str {
    match shown {
        Shown::Nothing => "nothing",
        Shown::Pending => "pending",
        Shown::Firing => "firing",
    }
}
