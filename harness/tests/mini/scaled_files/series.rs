//! Series over an hour, and the same with time compressed: counters keep their slope, gauges their
//! level.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::fmt::Write as _;
use std::time::Duration;

/// Time between scrapes, and between evaluations, of what is not compressed.
pub const INTERVAL: Duration = Duration::from_secs(15);
/// Number of scrapes: an hour and a half.
pub const STEPS: usize = 360;

/// How a series is carried over to compressed time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// What it counts goes on as before, so in less time it counts less.
    Counter,
    /// Its value stays.
    Level,
    /// A point in time, told as its age, which stays.
    Age,
}

/// A series with a value for each scrape, none where it is gone.
#[derive(Debug, Clone)]
pub struct Series {
    /// Name and labels.
    pub name: String,
    pub kind: Kind,
    pub values: Vec<Option<f64>>,
}

impl Series {
    /// A series that has one value (for counters: one slope, per second) in each phase.
    pub fn of_phases(name: &str, kind: Kind, phases: &[(usize, Option<f64>)]) -> Series {
        let mut values = Vec::with_capacity(STEPS);
        let mut counted = 0.0;
        for (length, value) in phases {
            for _ in 0..*length {
                counted += value.unwrap_or(0.0) * INTERVAL.as_secs_f64();
                values.push(value.map(|value| if kind == Kind::Counter { counted } else { value }));
            }
        }
        values.truncate(STEPS);
        Series { name: name.to_owned(), kind, values }
    }

    /// A series of random phases; values (slopes) are of the order of `size`, and none is round, so
    /// that no comparison hangs on the last digit.
    pub fn random(name: &str, kind: Kind, size: f64, runner: &mut TestRunner) -> Series {
        let phase = (8_usize..70, -2.0_f64..1.5, 0_u8..12);
        let mut phases = Vec::new();
        let mut length = 0;
        while length < STEPS {
            let (steps, power, special) = drawn(&phase, runner);
            length += steps;
            let value = match special {
                0 => None,
                // A level that several series share would leave it to chance which of them is the
                // largest.
                1 | 2 if kind == Kind::Counter => Some(0.0),
                _ => Some(size * 10_f64.powf(power)),
            };
            phases.push((steps, value));
        }
        let mut series = Series::of_phases(name, kind, &phases);
        if kind == Kind::Counter && drawn(&(0_u8..3), runner) == 0 {
            // Its process starts again.
            let at = drawn(&(20..STEPS - 20), runner);
            let before = series.values[at].unwrap_or(0.0);
            series.values[at..].iter_mut().flatten().for_each(|value| *value -= before);
        }
        series
    }

    /// As promtool reads it, with time compressed `n` times.
    fn text(&self, n: f64) -> String {
        let mut text = String::new();
        let mut gone = true;
        for (at, value) in self.values.iter().enumerate() {
            let now = at as f64 * INTERVAL.as_secs_f64() / n;
            match value {
                Some(value) => {
                    let value = match self.kind {
                        Kind::Counter => value / n,
                        Kind::Level => *value,
                        Kind::Age => now - value,
                    };
                    let _ = write!(text, "{value} ");
                    gone = false;
                }
                // What a server writes when a series is gone, once.
                None => {
                    text.push_str(if gone { "_ " } else { "stale " });
                    gone = true;
                }
            }
        }
        text.trim_end().to_owned()
    }
}

/// One value of a strategy.
pub fn drawn<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> S::Value {
    strategy.new_tree(runner).unwrap().current()
}

/// A file for `promtool test rules`: these series compressed `n` times, and the question for all
/// alerts at each evaluation. Groups are evaluated in the order given: without one, promtool's is
/// left to chance.
pub fn test_file(rules: &str, groups: &[&str], series: &[Series], n: f64) -> String {
    let step = INTERVAL.div_f64(n);
    let shown = config::monitoring::duration::format;
    let mut text = format!(
        "rule_files: [{rules}]\nevaluation_interval: {0}\ngroup_eval_order: [{1}]\ntests:\n- interval: {0}\n  input_series:\n",
        shown(step),
        groups.join(", ")
    );
    for series in series {
        let _ = writeln!(text, "  - series: '{}'\n    values: '{}'", series.name, series.text(n));
    }
    text.push_str("  promql_expr_test:\n");
    for at in 0..STEPS {
        let time = step * u32::try_from(at).unwrap();
        let _ = writeln!(text, "  - {{expr: ALERTS, eval_time: {}, exp_samples: []}}", shown(time));
    }
    text
}
