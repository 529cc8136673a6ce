//! A rule that is changed for a drill, since its own condition can't be had within bounds: a
//! threshold, or what it looks at. The change is made in the parsed expression, in the rule file as
//! it runs at the time scale.

use crate::monitoring::{MonitoringConfig, RuleGroup, promql, rules};
use crate::yaml::{Document, Node};
use promql_parser::parser::token::{T_GTE, T_GTR, T_LSS, T_LTE};
use promql_parser::parser::{Expr, NumberLiteral};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A part of an alert's expression that is something else while a drill runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// Name of the alert whose rule is changed.
    pub alert: String,
    /// What is replaced: a literal or another part of the expression, in PromQL. It must be there
    /// exactly once.
    pub replace: String,
    /// What takes its place.
    pub with: Replacement,
    /// Why no drill can make the rule fire as it is, for the report.
    pub why: String,
}

/// What takes the place of a part of an expression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Replacement {
    /// An expression, in PromQL.
    Expression(String),
    /// A threshold, in place of the literal that something is compared with.
    Beyond(Beyond),
}

/// A threshold that is chosen when the drill begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Beyond {
    /// By how much the threshold lies beyond the level that was measured just before, on the side
    /// on which the alert fires.
    pub beyond_measured: f64,
}

/// An override that fits a rule file.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The expression without the change, as the parser prints it.
    pub before: String,
    /// What has to be measured for it, and how the threshold follows from that.
    pub measure: Option<Measure>,
}

/// The compared level, and on which side of it the threshold goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// The side of the comparison that is no literal, in PromQL.
    pub expr: String,
    /// Whether the alert fires above the threshold.
    pub above: bool,
    /// Distance of the threshold from the level, in the unit of what is compared.
    pub beyond: f64,
}

impl Measure {
    /// The threshold for these values of the level, to six digits after the point; none if there
    /// are no values.
    pub fn threshold(&self, levels: &[f64]) -> Option<f64> {
        let fold = if self.above { f64::max } else { f64::min };
        let level = levels.iter().copied().filter(|l| l.is_finite()).reduce(fold)?;
        let threshold = if self.above { level + self.beyond } else { level - self.beyond };
        Some((threshold * 1e6).round() / 1e6)
    }
}

/// Why an override does not fit: what is wrong, and what to do.
pub type Misfit = (String, String);

impl Override {
    /// The service that loads the alert, and the rule file that holds it, as it runs.
    ///
    /// # Errors
    /// No rule makes the alert, or the override does not fit it.
    pub fn file<'c>(
        &self,
        config: &'c MonitoringConfig,
    ) -> Result<(&'c str, &'c Document), Misfit> {
        let holds = |groups: &[RuleGroup]| {
            groups.iter().flat_map(|g| &g.rules).any(|r| r.is_alert() && r.name == self.alert)
        };
        let files = config
            .prometheus
            .iter()
            .flat_map(|p| p.rules.iter().map(|file| (p.service.as_str(), file)));
        let mut files = files.filter(|(_, file)| holds(&file.view));
        let hint = "only an alert whose rules are in one file can be changed".to_owned();
        match (files.next(), files.next()) {
            (Some((service, only)), None) => self.fit(&only.doc).map(|_| (service, &only.doc)),
            (None, _) => Err((format!("no rule makes alert {}", self.alert), hint)),
            (Some(_), Some(_)) => {
                Err((format!("several rule files make alert {}", self.alert), hint))
            }
        }
    }

    /// Looks for the rule in a rule file, and for the part that is to be replaced.
    ///
    /// # Errors
    /// There is no such rule, or more than one; the part is not there exactly once; a level can't
    /// be told.
    pub fn fit(&self, file: &Document) -> Result<Fit, Misfit> {
        let expr = self.expr(file)?;
        let part = parsed(&self.replace)?;
        let measure = match &self.with {
            Replacement::Expression(text) => parsed(text).map(|_| None)?,
            Replacement::Beyond(Beyond { beyond_measured }) => {
                if !(beyond_measured.is_finite() && *beyond_measured > 0.0) {
                    return Err((
                        format!("beyond_measured: seen {beyond_measured}, wanted a number above 0"),
                        "correct the number".into(),
                    ));
                }
                let (level, above) = compared(&expr, &part).ok_or_else(|| {
                    let what = format!("nothing is compared with `{}` by < or > in the expression of {}", self.replace, self.alert);
                    (what, "beyond_measured chooses a threshold: name the literal of a comparison, or state `with` in PromQL".to_owned())
                })?;
                Some(Measure { expr: level, above, beyond: *beyond_measured })
            }
        };
        let before = promql::print(&expr);
        match replaced(expr, &part, &part).1 {
            1 => Ok(Fit { before, measure }),
            times => Err((
                format!("`{}` is {times} times in the expression of {}, wanted once: `{before}`", self.replace, self.alert),
                "name a part as the rule holds it at the time scale that it runs at (a count over a window is another number there)".into(),
            )),
        }
    }

    /// The text of a rule file with the change, and the changed expression. `threshold` is what the
    /// measured level led to.
    ///
    /// # Errors
    /// As [`Override::fit`], and where a threshold is needed and not given.
    pub fn apply(
        &self,
        file: &Document,
        threshold: Option<f64>,
    ) -> Result<(String, String), Misfit> {
        self.fit(file)?;
        let with = match (&self.with, threshold) {
            (Replacement::Expression(text), _) => parsed(text)?,
            (Replacement::Beyond(_), Some(threshold)) => {
                Expr::NumberLiteral(NumberLiteral { val: threshold })
            }
            (Replacement::Beyond(_), None) => {
                return Err((
                    "its level was not measured".into(),
                    "does the metrics server answer?".into(),
                ));
            }
        };
        let expr = promql::print(&replaced(self.expr(file)?, &parsed(&self.replace)?, &with).0);
        let mut changed = file.clone();
        let groups =
            changed.root.get_non_null_mut("groups").map(Node::items_mut).unwrap_or_default();
        let rules =
            groups.iter_mut().filter_map(|g| g.get_non_null_mut("rules")).flat_map(Node::items_mut);
        for node in
            rules.filter(|r| r.get_non_null("alert").and_then(Node::text) == Some(&self.alert))
        {
            node.set("expr", Node::string(expr.clone()));
        }
        Ok((changed.to_yaml(), expr))
    }

    fn expr(&self, file: &Document) -> Result<Expr, Misfit> {
        let groups =
            rules::read(file).map_err(|e| (e.to_string(), "correct the rule file".to_owned()))?;
        let mut found = groups
            .into_iter()
            .flat_map(|g| g.rules)
            .filter(|r| r.is_alert() && r.name == self.alert);
        match (found.next(), found.next()) {
            (Some(only), None) => Ok(only.expr),
            (None, _) => {
                Err((format!("no rule makes alert {}", self.alert), "correct the name".into()))
            }
            (Some(_), Some(_)) => Err((
                format!("several rules make alert {}", self.alert),
                "only an alert of one rule can be changed".into(),
            )),
        }
    }
}

fn parsed(text: &str) -> Result<Expr, Misfit> {
    promql::parse(text)
        .map_err(|e| (format!("`{text}` is no PromQL: {e}"), "correct the expression".into()))
}

/// Puts `with` in the place of each `part`, and counts them.
fn replaced(expr: Expr, part: &Expr, with: &Expr) -> (Expr, usize) {
    if expr == *part {
        return (with.clone(), 1);
    }
    let mut count = 0;
    let mut walk = |inner: Box<Expr>| {
        let (inner, found) = replaced(*inner, part, with);
        count += found;
        Box::new(inner)
    };
    let expr = match expr {
        Expr::Paren(mut paren) => {
            paren.expr = walk(paren.expr);
            Expr::Paren(paren)
        }
        Expr::Unary(mut unary) => {
            unary.expr = walk(unary.expr);
            Expr::Unary(unary)
        }
        Expr::Subquery(mut subquery) => {
            subquery.expr = walk(subquery.expr);
            Expr::Subquery(subquery)
        }
        Expr::Aggregate(mut aggregate) => {
            aggregate.expr = walk(aggregate.expr);
            aggregate.param = aggregate.param.map(walk);
            Expr::Aggregate(aggregate)
        }
        Expr::Call(mut call) => {
            call.args.args = call.args.args.into_iter().map(&mut walk).collect();
            Expr::Call(call)
        }
        Expr::Binary(mut binary) => {
            binary.lhs = walk(binary.lhs);
            binary.rhs = walk(binary.rhs);
            Expr::Binary(binary)
        }
        other => other,
    };
    (expr, count)
}

/// What is compared with a literal, and whether the comparison holds above it.
fn compared(expr: &Expr, literal: &Expr) -> Option<(String, bool)> {
    if let Expr::Binary(binary) = expr {
        let greater = [T_GTR, T_GTE].contains(&binary.op.id());
        let less = [T_LSS, T_LTE].contains(&binary.op.id());
        if (greater || less) && *binary.rhs == *literal {
            return Some((promql::print(&binary.lhs), greater));
        }
        if (greater || less) && *binary.lhs == *literal {
            return Some((promql::print(&binary.rhs), less));
        }
    }
    promql::children(expr).into_iter().find_map(|child| compared(child, literal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timescale::table_a::table_a;

    fn of(alert: &str, replace: &str, with: Replacement) -> Override {
        Override { alert: alert.into(), replace: replace.into(), with, why: "a test".into() }
    }

    fn beyond(by: f64) -> Replacement {
        Replacement::Beyond(Beyond { beyond_measured: by })
    }

    /// The file of the fixture that holds the alert.
    fn file(changed: &Override) -> Result<Document, Misfit> {
        let config = table_a();
        let path = changed.file(&config)?.1.file.clone();
        Ok(config.prometheus[0].rules.iter().find(|f| f.doc.file == path).unwrap().doc.clone())
    }

    #[test]
    fn a_threshold_lies_beyond_the_level_on_the_side_on_which_the_alert_fires() {
        for (alert, literal, above, levels, threshold) in [
            ("HighMemoryUsage", "85", true, [30.0, 40.0], 40.02),
            ("OutOfMemory", "0.05", false, [0.7, 0.6], 0.58),
        ] {
            let changed = of(alert, literal, beyond(0.02));
            let before = file(&changed).unwrap();
            let measure = changed.fit(&before).unwrap().measure.unwrap();
            assert_eq!(
                (measure.above, measure.threshold(&levels), measure.threshold(&[])),
                (above, Some(threshold), None),
                "{alert}"
            );
            assert!(
                measure.expr.contains("node_memory_MemAvailable_bytes")
                    && !measure.expr.contains(literal),
                "{}",
                measure.expr
            );
            let (text, expr) = changed.apply(&before, Some(threshold)).unwrap();
            assert!(expr.ends_with(&threshold.to_string()) && !expr.contains(literal), "{expr}");
            let after = Document::parse(&before.file, &text).unwrap();
            assert_eq!(promql::print(&changed.expr(&after).unwrap()), expr);
            let (old, new) = (before.to_yaml(), text);
            let differ = old.lines().zip(new.lines()).filter(|(a, b)| a != b).count();
            assert_eq!(
                (differ, old.lines().count()),
                (1, new.lines().count()),
                "nothing else has changed"
            );
            assert!(changed.apply(&before, None).is_err());
        }
    }

    #[test]
    fn an_operand_is_replaced_by_another() {
        let changed = of(
            "RedisClientsHigh",
            "redis_connected_clients",
            Replacement::Expression("redis_connected_clients * 10".into()),
        );
        assert_eq!(
            changed.apply(&file(&changed).unwrap(), None).unwrap().1,
            "redis_connected_clients * 10 > 1000"
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (alert, replace, with, part) in [
            ("HighMemoryUsage", "0.86", beyond(0.1), "nothing is compared"),
            ("HighMemoryUsage", "1", beyond(0.1), "nothing is compared"),
            ("HighMemoryUsage", "85", beyond(0.0), "above 0"),
            ("HighMemoryUsage", "85", Replacement::Expression("(".into()), "no PromQL"),
            ("HighMemoryUsage", "up", Replacement::Expression("1".into()), "0 times"),
            ("NoSuchAlert", "85", beyond(0.1), "no rule makes"),
        ] {
            let (what, _) = file(&of(alert, replace, with)).unwrap_err();
            assert!(what.contains(part), "{what} lacks {part}");
        }
    }
}
