//! Alerting rules changed in fixed ways, by their syntax trees, never by text. What becomes of the
//! mutants is judged by [`verdict::mutation`] from what [`capture`] has recorded; nothing here
//! knows a stack's names.

mod operator;
mod tree;

use crate::monitoring::{duration, promql};
use std::collections::BTreeSet;
use std::time::Duration;
use verdict::observation::replay::{Operator, Variant};

/// A rule that differs from the one loaded in one place.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The operator that changed it.
    pub operator: Operator,
    /// What was changed, in a few words.
    pub change: String,
    /// The rule as it is with the change.
    pub variant: Variant,
    /// Whether it differs only in a level or in how fast a window fills.
    pub level: bool,
}

/// All mutants of a rule, in the order of the operators, each text once; none that means the same
/// by its text.
///
/// # Errors
/// The expression does not parse, in the parser's words.
pub fn mutants(rule: &Variant) -> Result<Vec<Made>, String> {
    let parsed = promql::parse(&rule.expr)?;
    let mut seen = BTreeSet::from([Variant { expr: promql::print(&parsed), ..rule.clone() }]);
    let mut made = Vec::new();
    let mut keep = |operator: Operator, change: String, variant: Variant, level: bool| {
        if seen.insert(variant.clone()) {
            made.push(Made { operator, change, variant, level });
        }
    };
    for (operator, of_node) in operator::OPERATORS {
        for (change, tree) in tree::variants(&parsed, of_node) {
            let level = operator::is_level(operator, &tree);
            let text = promql::print(&tree);
            // What can't be printed so that it parses again is no mutant that anybody could write.
            if promql::parse(&text).as_ref() == Ok(&tree) {
                keep(operator, change, Variant { expr: text, ..rule.clone() }, level);
            }
        }
        if operator == Operator::Comparison {
            durations(rule, &mut keep);
        }
    }
    Ok(made)
}

/// `for` and `keep_firing_for`, doubled and 0.
fn durations(rule: &Variant, keep: &mut impl FnMut(Operator, String, Variant, bool)) {
    let text = |ms: i64| duration::format(Duration::from_millis(ms.unsigned_abs()));
    for (name, ms) in [("for", rule.for_ms), ("keep_firing_for", rule.keep_firing_ms)] {
        if ms <= 0 {
            continue;
        }
        for to in [ms * 2, 0] {
            let variant = if name == "for" {
                Variant { for_ms: to, ..rule.clone() }
            } else {
                Variant { keep_firing_ms: to, ..rule.clone() }
            };
            keep(
                Operator::Duration,
                format!("{name}: {} → {}", text(ms), text(to)),
                variant,
                false,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(expr: &str) -> Vec<Made> {
        mutants(&Variant { expr: expr.into(), for_ms: 3000, keep_firing_ms: 0 }).unwrap()
    }

    fn by(expr: &str, operator: Operator) -> Vec<String> {
        of(expr).into_iter().filter(|m| m.operator == operator).map(|m| m.variant.expr).collect()
    }

    #[test]
    fn thresholds_by_steps() {
        assert_eq!(by("x > 100", Operator::Threshold), ["x > 90", "x > 110", "x > 50", "x > 200"]);
        assert_eq!(
            by("5 * 1024 < x", Operator::Threshold),
            ["4608 < x", "5632 < x", "2560 < x", "10240 < x"]
        );
        // Nothing times a factor is nothing, and equality has no neighbourhood.
        assert_eq!(by("x > 0", Operator::Threshold), ["x > -1", "x > 1"]);
        assert_eq!(by("up == 1", Operator::Threshold), ["up == 0", "up == 2"]);
        // A threshold that is itself measured is scaled by its literal.
        assert_eq!(
            by("time() - t > 3 * p", Operator::Threshold),
            [
                "time() - t > 2.7 * p",
                "time() - t > 3.3 * p",
                "time() - t > 1.5 * p",
                "time() - t > 6 * p"
            ]
        );
        assert_eq!(by("a > b", Operator::Threshold), Vec::<String>::new());
    }

    #[test]
    fn comparisons_are_weakened_and_turned() {
        assert_eq!(
            by("x > 1 and y == 0", Operator::Comparison),
            ["x >= 1 and y == 0", "x < 1 and y == 0", "x > 1 and y != 0"]
        );
        assert_eq!(by("x <= bool 1", Operator::Comparison), ["x < bool 1", "x > bool 1"]);
    }

    #[test]
    fn matchers_are_dropped_and_negated_one_by_one() {
        assert_eq!(
            by("rate(x{a=\"1\", b=~\"2|3\"}[5m]) > 1", Operator::Matcher),
            [
                "rate(x{b=~\"2|3\"}[5m]) > 1",
                "rate(x{a!=\"1\",b=~\"2|3\"}[5m]) > 1",
                "rate(x{a=\"1\"}[5m]) > 1",
                "rate(x{a=\"1\",b!~\"2|3\"}[5m]) > 1"
            ]
        );
        // What would select everything is refused by every server, so it is no mutant.
        assert_eq!(by("{__name__=~\"a.+\"} > 1", Operator::Matcher), Vec::<String>::new());
    }

    #[test]
    fn aggregations_and_ranges() {
        let expr = "sum by (job) (rate(x[5m])) > 1";
        assert_eq!(by(expr, Operator::Aggregation), ["avg by (job) (rate(x[5m])) > 1"]);
        assert_eq!(
            by(expr, Operator::Grouping),
            ["sum(rate(x[5m])) > 1", "sum without (job) (rate(x[5m])) > 1"]
        );
        assert_eq!(
            by(expr, Operator::Range),
            ["sum by (job) (rate(x[10m])) > 1", "sum by (job) (rate(x[2m30s])) > 1"]
        );
        assert_eq!(
            by("max_over_time(x[1h:1m]) > 1", Operator::Range),
            ["max_over_time(x[2h:1m]) > 1", "max_over_time(x[30m:1m]) > 1"]
        );
        assert_eq!(by("topk(3, x) > 1", Operator::Aggregation), Vec::<String>::new());
    }

    #[test]
    fn durations_are_doubled_and_dropped() {
        let made = mutants(&Variant { expr: "up == 0".into(), for_ms: 3000, keep_firing_ms: 1500 })
            .unwrap();
        let changes: Vec<&str> = made
            .iter()
            .filter(|m| m.operator == Operator::Duration)
            .map(|m| m.change.as_str())
            .collect();
        assert_eq!(
            changes,
            [
                "for: 3s → 6s",
                "for: 3s → 0s",
                "keep_firing_for: 1s500ms → 3s",
                "keep_firing_for: 1s500ms → 0s"
            ]
        );
        let without =
            mutants(&Variant { expr: "up == 0".into(), for_ms: 0, keep_firing_ms: 0 }).unwrap();
        assert!(without.iter().all(|m| m.operator != Operator::Duration));
    }

    #[test]
    fn no_text_comes_twice_and_none_is_the_rule() {
        for expr in [
            "sum(x{a=\"1\"}) / sum(x{a=\"1\"}) > 0.5 or absent(x) == 1",
            "up{job=\"a\"} == 0 or absent(up{job=\"a\"})",
            "vector(1)",
        ] {
            let made = of(expr);
            let texts: BTreeSet<&Variant> = made.iter().map(|m| &m.variant).collect();
            assert_eq!(texts.len(), made.len());
            let same = promql::print(&promql::parse(expr).unwrap());
            assert!(
                made.iter().all(|m| m.variant.expr != same || m.variant.for_ms != 3000),
                "{expr}"
            );
        }
    }

    #[test]
    fn what_does_not_parse_is_an_error() {
        assert!(mutants(&Variant { expr: "up ==".into(), for_ms: 0, keep_firing_ms: 0 }).is_err());
    }
}
