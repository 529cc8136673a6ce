//! What each operator puts in a node's place. The steps are fixed, so that two runs of a stack can
//! be compared.

use super::tree::Replacements;
use crate::monitoring::{duration, promql};
use promql_parser::label::{MatchOp, Matcher, Matchers};
use promql_parser::parser::token::{self, TokenType};
use promql_parser::parser::{BinaryExpr, Expr, LabelModifier, NumberLiteral, VectorSelector};
use std::time::Duration;
use verdict::observation::replay::Operator;

/// Factors of a threshold.
const FACTORS: [f64; 4] = [0.9, 1.1, 0.5, 2.0];

/// The operators that change the expression.
pub(super) const OPERATORS: [(Operator, Replacements); 6] = [
    (Operator::Threshold, thresholds),
    (Operator::Comparison, comparisons),
    (Operator::Matcher, matchers),
    (Operator::Grouping, groupings),
    (Operator::Aggregation, aggregations),
    (Operator::Range, ranges),
];

/// Whether an operator only moves a level, or how fast a window fills. A threshold of a comparison
/// for equality is no level.
pub(super) fn is_level(operator: Operator, tree: &Expr) -> bool {
    match operator {
        Operator::Threshold => ordered(tree),
        Operator::Grouping | Operator::Aggregation | Operator::Range => true,
        Operator::Comparison | Operator::Duration | Operator::Matcher => false,
    }
}

/// Whether a comparison by order is anywhere in an expression.
fn ordered(expr: &Expr) -> bool {
    let by_order = |id: u16| [token::T_GTR, token::T_GTE, token::T_LSS, token::T_LTE].contains(&id);
    matches!(expr, Expr::Binary(binary) if by_order(binary.op.id()))
        || promql::children(expr).into_iter().any(ordered)
}

fn thresholds(expr: &Expr) -> Vec<(String, Expr)> {
    let Expr::Binary(binary) = expr else { return Vec::new() };
    if !binary.op.is_comparison_operator() {
        return Vec::new();
    }
    let equality = matches!(binary.op.id(), token::T_EQLC | token::T_NEQ);
    let steps = |value: f64| -> Vec<f64> {
        if equality || value == 0.0 {
            vec![value - 1.0, value + 1.0]
        } else {
            FACTORS.iter().map(|f| tidy(value * f)).collect()
        }
    };
    let change = |from: f64, to: f64| {
        format!("threshold: {} → {}", promql::number_text(from), promql::number_text(to))
    };
    for right in [true, false] {
        let side = if right { &binary.rhs } else { &binary.lhs };
        let put = |tree: Expr| with_side(binary, right, tree);
        if let Some(value) = constant(side) {
            return steps(value)
                .into_iter()
                .map(|to| (change(value, to), put(number(to))))
                .collect();
        }
        if let Some((value, factor)) = factor(side).filter(|_| !equality) {
            return steps(value)
                .into_iter()
                .map(|to| (change(value, to), put(factor(to))))
                .collect();
        }
    }
    Vec::new()
}

/// The shortest number that is the product to twelve digits: 0.8 × 1.1 is 0.88.
fn tidy(product: f64) -> f64 {
    format!("{product:.11e}").parse().unwrap_or(product)
}

fn number(value: f64) -> Expr {
    if value < 0.0 {
        -Expr::NumberLiteral(NumberLiteral { val: -value })
    } else {
        Expr::NumberLiteral(NumberLiteral { val: value })
    }
}

fn with_side(binary: &BinaryExpr, right: bool, tree: Expr) -> Expr {
    let mut changed = binary.clone();
    **(if right { &mut changed.rhs } else { &mut changed.lhs }) = tree;
    Expr::Binary(changed)
}

/// The value of an expression of numbers alone.
fn constant(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::NumberLiteral(number) => Some(number.val),
        Expr::Paren(paren) => constant(&paren.expr),
        Expr::Unary(unary) => constant(&unary.expr).map(|v| -v),
        Expr::Binary(binary) => {
            let (a, b) = (constant(&binary.lhs)?, constant(&binary.rhs)?);
            match binary.op.id() {
                token::T_ADD => Some(a + b),
                token::T_SUB => Some(a - b),
                token::T_MUL => Some(a * b),
                token::T_DIV => Some(a / b),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The constant factor of a product, and the product with another one.
fn factor(expr: &Expr) -> Option<(f64, impl Fn(f64) -> Expr)> {
    let Expr::Binary(product) = expr else { return None };
    if product.op.id() != token::T_MUL {
        return None;
    }
    let right = constant(&product.rhs).is_some();
    let value = constant(if right { &product.rhs } else { &product.lhs })?;
    Some((value, move |to| with_side(product, right, number(to))))
}

fn comparisons(expr: &Expr) -> Vec<(String, Expr)> {
    let Expr::Binary(binary) = expr else { return Vec::new() };
    let to: &[u16] = match binary.op.id() {
        token::T_GTR => &[token::T_GTE, token::T_LSS],
        token::T_GTE => &[token::T_GTR, token::T_LSS],
        token::T_LSS => &[token::T_LTE, token::T_GTR],
        token::T_LTE => &[token::T_LSS, token::T_GTR],
        token::T_EQLC => &[token::T_NEQ],
        token::T_NEQ => &[token::T_EQLC],
        _ => &[],
    };
    let with = |id: &u16| {
        let mut changed = binary.clone();
        changed.op = TokenType::new(*id);
        (format!("comparison: {} → {}", binary.op, changed.op), Expr::Binary(changed))
    };
    to.iter().map(with).collect()
}

fn matchers(expr: &Expr) -> Vec<(String, Expr)> {
    match expr {
        Expr::VectorSelector(selector) => changed_selectors(selector)
            .into_iter()
            .map(|(c, s)| (c, Expr::VectorSelector(s)))
            .collect(),
        Expr::MatrixSelector(matrix) => {
            let put = |vs: VectorSelector| {
                let mut changed = matrix.clone();
                changed.vs = vs;
                Expr::MatrixSelector(changed)
            };
            changed_selectors(&matrix.vs).into_iter().map(|(c, s)| (c, put(s))).collect()
        }
        _ => Vec::new(),
    }
}

fn changed_selectors(selector: &VectorSelector) -> Vec<(String, VectorSelector)> {
    // Alternatives within one selector are rare, and experimental.
    if !selector.matchers.or_matchers.is_empty() {
        return Vec::new();
    }
    let all = &selector.matchers.matchers;
    let with = |matchers: Vec<Matcher>| VectorSelector {
        matchers: Matchers::new(matchers),
        ..selector.clone()
    };
    let mut changed = Vec::new();
    for (at, matcher) in all.iter().enumerate() {
        let (id, op, turned) = match &matcher.op {
            MatchOp::Equal => (token::T_NEQ, "=", "!="),
            MatchOp::NotEqual => (token::T_EQL, "!=", "="),
            MatchOp::Re(_) => (token::T_NEQ_REGEX, "=~", "!~"),
            MatchOp::NotRe(_) => (token::T_EQL_REGEX, "!~", "=~"),
        };
        let (name, value) = (&matcher.name, &matcher.value);
        let dropped =
            all.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, m)| m.clone()).collect();
        changed.push((format!("matcher dropped: {name}{op}{value:?}"), with(dropped)));
        if let Ok(negated) = Matcher::new_matcher(id, name.clone(), value.clone()) {
            let negated = all
                .iter()
                .enumerate()
                .map(|(i, m)| if i == at { negated.clone() } else { m.clone() })
                .collect();
            changed.push((
                format!("matcher negated: {name}{op}{value:?} → {name}{turned}{value:?}"),
                with(negated),
            ));
        }
    }
    changed
}

fn groupings(expr: &Expr) -> Vec<(String, Expr)> {
    let Expr::Aggregate(aggregate) = expr else { return Vec::new() };
    let Some(modifier) = &aggregate.modifier else { return Vec::new() };
    let (word, turned) = match modifier {
        LabelModifier::Include(labels) => {
            ("by", (LabelModifier::Exclude(labels.clone()), "without"))
        }
        LabelModifier::Exclude(labels) => {
            ("without", (LabelModifier::Include(labels.clone()), "by"))
        }
    };
    let labels = modifier.labels().labels.join(", ");
    let with = |modifier: Option<LabelModifier>| {
        let mut changed = aggregate.clone();
        changed.modifier = modifier;
        Expr::Aggregate(changed)
    };
    vec![
        (format!("grouping dropped: {word} ({labels})"), with(None)),
        (format!("grouping: {word} ({labels}) → {} ({labels})", turned.1), with(Some(turned.0))),
    ]
}

fn aggregations(expr: &Expr) -> Vec<(String, Expr)> {
    let Expr::Aggregate(aggregate) = expr else { return Vec::new() };
    let to = match aggregate.op.id() {
        token::T_SUM => token::T_AVG,
        token::T_AVG => token::T_MAX,
        token::T_MAX => token::T_MIN,
        token::T_MIN => token::T_MAX,
        token::T_COUNT => token::T_SUM,
        _ => return Vec::new(),
    };
    let mut changed = aggregate.clone();
    changed.op = TokenType::new(to);
    vec![(format!("aggregation: {} → {}", aggregate.op, changed.op), Expr::Aggregate(changed))]
}

fn ranges(expr: &Expr) -> Vec<(String, Expr)> {
    let steps = |range: Duration| {
        let halved = Duration::from_millis((range.as_millis() / 2) as u64);
        [range * 2, halved].into_iter().filter(|d| !d.is_zero())
    };
    let change = |from: Duration, to: Duration| {
        format!("range: {} → {}", duration::format(from), duration::format(to))
    };
    match expr {
        Expr::MatrixSelector(matrix) => steps(matrix.range)
            .map(|to| {
                let mut changed = matrix.clone();
                changed.range = to;
                (change(matrix.range, to), Expr::MatrixSelector(changed))
            })
            .collect(),
        Expr::Subquery(subquery) => steps(subquery.range)
            .map(|to| {
                let mut changed = subquery.clone();
                changed.range = to;
                (change(subquery.range, to), Expr::Subquery(changed))
            })
            .collect(),
        _ => Vec::new(),
    }
}
