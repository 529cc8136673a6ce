//! Takes a rule's expression apart, so that its parts can be asked for one by one.

use promql_parser::parser::{BinModifier, BinaryExpr, Expr, VectorSelector, parse, token};
use promql_parser::util::{ExprVisitor, walk_expr};

/// A comparison whose right side is a literal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Compared {
    pub(crate) left: String,
    pub(crate) op: &'static str,
    pub(crate) threshold: f64,
}

/// What an expression is made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Parts {
    /// Comparisons, outermost first. One of two vectors `a > b` is given as `(a) - (b) > 0`.
    pub(crate) comparisons: Vec<Compared>,
    /// Selectors without range, offset and `@`, each once.
    pub(crate) selectors: Vec<String>,
    /// Those of them that are below a `histogram_quantile`.
    pub(crate) buckets: Vec<String>,
}

/// Takes an expression apart; the error says what can't be parsed.
pub(crate) fn parts(expr: &str) -> Result<Parts, String> {
    let parsed = parse(expr)?;
    let mut visitor = Visitor { parts: Parts::default(), within: Vec::new() };
    let _ = walk_expr(&mut visitor, &parsed);
    Ok(visitor.parts)
}

struct Visitor {
    parts: Parts,
    /// For each expression around the one visited, whether it is a `histogram_quantile`.
    within: Vec<bool>,
}

impl ExprVisitor for Visitor {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Self::Error> {
        self.within
            .push(matches!(expr, Expr::Call(call) if call.func.name == "histogram_quantile"));
        match expr {
            Expr::Binary(binary) => self.parts.comparisons.extend(compared(binary)),
            Expr::VectorSelector(selector) => self.select(selector),
            Expr::MatrixSelector(matrix) => self.select(&matrix.vs),
            // The walk leaves the parameter out: `topk(scalar(x), …)`.
            Expr::Aggregate(aggregate) => {
                if let Some(parameter) = &aggregate.param {
                    walk_expr(self, parameter)?;
                }
            }
            _ => {}
        }
        Ok(true)
    }

    fn post_visit(&mut self, _: &Expr) -> Result<bool, Self::Error> {
        self.within.pop();
        Ok(true)
    }
}

impl Visitor {
    fn select(&mut self, selector: &VectorSelector) {
        let bare =
            Expr::VectorSelector(VectorSelector { offset: None, at: None, ..selector.clone() })
                .to_string();
        let note = |all: &mut Vec<String>| {
            if !all.contains(&bare) {
                all.push(bare.clone());
            }
        };
        note(&mut self.parts.selectors);
        if self.within.contains(&true) {
            note(&mut self.parts.buckets);
        }
    }
}

fn compared(binary: &BinaryExpr) -> Option<Compared> {
    let (op, turned) = match binary.op.id() {
        token::T_GTR => (">", "<"),
        token::T_GTE => (">=", "<="),
        token::T_LSS => ("<", ">"),
        token::T_LTE => ("<=", ">="),
        token::T_EQLC => ("==", "=="),
        token::T_NEQ => ("!=", "!="),
        _ => return None,
    };
    Some(match (literal(&binary.lhs), literal(&binary.rhs)) {
        (_, Some(threshold)) => Compared { left: binary.lhs.to_string(), op, threshold },
        (Some(threshold), None) => Compared { left: binary.rhs.to_string(), op: turned, threshold },
        (None, None) => {
            let modifier = binary.modifier.clone().map(|m| BinModifier { return_bool: false, ..m });
            let matching = modifier.map(|m| m.to_string()).unwrap_or_default();
            Compared {
                left: format!("({}) -{matching} ({})", binary.lhs, binary.rhs),
                op,
                threshold: 0.0,
            }
        }
    })
}

/// The value of an expression of numbers alone.
fn literal(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::NumberLiteral(number) => Some(number.val),
        Expr::Paren(paren) => literal(&paren.expr),
        Expr::Unary(unary) => literal(&unary.expr).map(|v| -v),
        Expr::Binary(binary) => {
            let (a, b) = (literal(&binary.lhs)?, literal(&binary.rhs)?);
            match binary.op.id() {
                token::T_ADD => Some(a + b),
                token::T_SUB => Some(a - b),
                token::T_MUL => Some(a * b),
                token::T_DIV => Some(a / b),
                token::T_MOD => Some(a % b),
                token::T_POW => Some(a.powf(b)),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparisons(expr: &str) -> Vec<(String, &'static str, f64)> {
        parts(expr).unwrap().comparisons.into_iter().map(|c| (c.left, c.op, c.threshold)).collect()
    }

    #[test]
    fn a_comparison_with_a_literal() {
        let expr = r#"sum by (service) (rate(http_requests_total{status=~"5.."}[15s])) / sum by (service) (rate(http_requests_total[15s])) > 0.05"#;
        let got = parts(expr).unwrap();
        assert_eq!(got.comparisons.len(), 1);
        assert_eq!((got.comparisons[0].op, got.comparisons[0].threshold), (">", 0.05));
        assert!(parse(&got.comparisons[0].left).is_ok());
        assert_eq!(got.selectors, [r#"http_requests_total{status=~"5.."}"#, "http_requests_total"]);
        assert!(got.buckets.is_empty());
    }

    #[test]
    fn sides_are_turned_and_constants_folded() {
        assert_eq!(comparisons("0.8 < up"), [("up".to_owned(), ">", 0.8)]);
        assert_eq!(comparisons("x >= bool -(5 * 1024)"), [("x".to_owned(), ">=", -5120.0)]);
        assert_eq!(comparisons("x > 5 * 60"), [("x".to_owned(), ">", 300.0)]);
    }

    #[test]
    fn two_vectors_are_compared_by_their_difference() {
        let got = comparisons("time() - last_tick > on (instance) group_left () 3 * period");
        assert_eq!(got.len(), 1);
        assert_eq!((got[0].1, got[0].2), (">", 0.0));
        parse(&got[0].0).unwrap();
        assert!(got[0].0.contains("on (instance)") && !got[0].0.contains('>'), "{}", got[0].0);
    }

    #[test]
    fn outermost_first_and_through_and_or() {
        assert_eq!(
            comparisons("count(up == 0) > 1 or absent(up) == 1"),
            [
                ("count(up == 0)".to_owned(), ">", 1.0),
                ("up".to_owned(), "==", 0.0),
                ("absent(up)".to_owned(), "==", 1.0)
            ]
        );
    }

    #[test]
    fn buckets_are_those_below_the_quantile_only() {
        let expr = "histogram_quantile(0.99, sum by (le) (rate(d_bucket[5m] offset 1m))) > 2 and rate(d_count[5m]) > 0 unless on () x";
        let got = parts(expr).unwrap();
        assert_eq!(got.buckets, ["d_bucket"]);
        assert_eq!(got.selectors, ["d_bucket", "d_count", "x"]);
    }

    #[test]
    fn what_does_not_parse_is_an_error() {
        assert!(parts("up ==").is_err());
        assert_eq!(parts("vector(1)").unwrap(), Parts::default());
    }
}
