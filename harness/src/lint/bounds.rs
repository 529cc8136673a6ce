//! Between which numbers the results of an expression lie.

use config::monitoring::promql::{self, constant};
use promql_parser::parser::token::{
    T_ADD, T_AVG, T_COUNT, T_DIV, T_MAX, T_MIN, T_MUL, T_SUB, T_SUM,
};
use promql_parser::parser::{
    BinaryExpr, Expr, LabelModifier, MatrixSelector, VectorMatchCardinality,
};

/// Bounds of what an expression yields, where its form tells.
pub(super) fn bounds(expr: &Expr) -> Option<(f64, f64)> {
    const FROM_ZERO: (f64, f64) = (0.0, f64::INFINITY);
    match expr {
        Expr::Paren(paren) => bounds(&paren.expr),
        Expr::VectorSelector(selector) => match promql::metric_name(selector)? {
            "up" | "probe_success" => Some((0.0, 1.0)),
            _ => None,
        },
        Expr::Call(call) => match call.func.name {
            "rate" | "irate" | "increase" | "changes" | "resets" | "sqrt" | "abs" => {
                Some(FROM_ZERO)
            }
            // Where nothing is there is no result, not 0.
            "count_over_time" => Some((1.0, f64::INFINITY)),
            "absent" | "absent_over_time" | "present_over_time" => Some((1.0, 1.0)),
            "avg_over_time" | "min_over_time" | "max_over_time" | "last_over_time" => {
                match call.args.args.first().map(|arg| &**arg)? {
                    Expr::MatrixSelector(matrix) => {
                        bounds(&Expr::VectorSelector(matrix.vs.clone()))
                    }
                    _ => None,
                }
            }
            _ => None,
        },
        Expr::Aggregate(aggregate) => match aggregate.op.id() {
            T_COUNT => Some((1.0, f64::INFINITY)),
            T_SUM => bounds(&aggregate.expr).filter(|(least, _)| *least >= 0.0).map(|_| FROM_ZERO),
            T_MAX | T_MIN | T_AVG => bounds(&aggregate.expr),
            _ => None,
        },
        Expr::Binary(binary) if binary.op.id() == T_SUB => {
            let from = constant(&binary.lhs)?;
            let (least, most) = bounds(&binary.rhs)?;
            Some((from - most, from - least))
        }
        Expr::Binary(binary) if binary.op.id() == T_DIV && is_share(binary) => Some((0.0, 1.0)),
        Expr::Binary(binary)
            if [T_MUL, T_DIV].contains(&binary.op.id())
                && constant(&binary.rhs).is_some_and(|by| by > 0.0) =>
        {
            let ((least, most), by) = (bounds(&binary.lhs)?, constant(&binary.rhs)?);
            let by = if binary.op.id() == T_MUL { by } else { 1.0 / by };
            Some((least * by, most * by))
        }
        Expr::Binary(binary)
            if binary.op.id() == T_MUL && constant(&binary.lhs).is_some_and(|by| by > 0.0) =>
        {
            let ((least, most), by) = (bounds(&binary.rhs)?, constant(&binary.lhs)?);
            Some((least * by, most * by))
        }
        Expr::Binary(binary) if [T_ADD, T_MUL, T_DIV].contains(&binary.op.id()) => {
            let from_zero = |expr: &Expr| {
                constant(expr).map_or_else(
                    || bounds(expr).is_some_and(|(least, _)| least >= 0.0),
                    |value| value >= 0.0,
                )
            };
            (from_zero(&binary.lhs) && from_zero(&binary.rhs)).then_some(FROM_ZERO)
        }
        _ => None,
    }
}

/// Whether a division is of a part of what happened by all of it: sums of one counter's rates over
/// one window, of which the upper has all matchers of the lower and is told apart by no fewer labels.
fn is_share(division: &BinaryExpr) -> bool {
    let many_below = division
        .modifier
        .as_ref()
        .is_some_and(|modifier| matches!(modifier.card, VectorMatchCardinality::OneToMany(_)));
    let (Some((part, groups)), Some((whole, wider))) =
        (sum_of_rates(&division.lhs), sum_of_rates(&division.rhs))
    else {
        return false;
    };
    let (part_of, whole_of) = (&part.1.vs, &whole.1.vs);
    !many_below
        && (wider.is_none() || groups == wider)
        && part.0 == whole.0
        && part.1.range == whole.1.range
        && promql::metric_name(part_of).is_some()
        && promql::metric_name(part_of) == promql::metric_name(whole_of)
        && (&part_of.offset, &part_of.at) == (&whole_of.offset, &whole_of.at)
        && part_of.matchers.or_matchers.is_empty()
        && whole_of.matchers.or_matchers.is_empty()
        && whole_of.matchers.matchers.iter().all(|m| part_of.matchers.matchers.contains(m))
}

/// The function and the window below a sum, and what the sum is grouped by.
#[allow(clippy::type_complexity)]
fn sum_of_rates(expr: &Expr) -> Option<((&str, &MatrixSelector), Option<&LabelModifier>)> {
    match expr {
        Expr::Paren(paren) => sum_of_rates(&paren.expr),
        Expr::Aggregate(sum) if sum.op.id() == T_SUM => match &*sum.expr {
            Expr::Call(call) if ["rate", "increase"].contains(&call.func.name) => {
                match call.args.args.first().map(|first| &**first)? {
                    Expr::MatrixSelector(window) => {
                        Some(((call.func.name, window), sum.modifier.as_ref()))
                    }
                    _ => None,
                }
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_what_happened_is_at_most_all_of_it() {
        let bad = "sum(rate(x_total{code=~\"5..\"}[5m]))";
        for (text, wanted) in [
            (format!("{bad} / sum(rate(x_total[5m]))"), Some((0.0, 1.0))),
            (format!("100 * {bad} / sum(rate(x_total[5m]))"), None),
            (format!("100 * ({bad} / sum(rate(x_total[5m])))"), Some((0.0, 100.0))),
            (format!("1 - {bad} / sum(rate(x_total[5m]))"), Some((0.0, 1.0))),
            (format!("{bad} / sum(rate(x_total[5m])) * 100"), Some((0.0, 100.0))),
            (format!("{bad} / sum(rate(y_total[5m]))"), None),
            (format!("{bad} / sum(rate(x_total[1m]))"), None),
            (format!("{bad} / sum(rate(x_total{{code=\"200\"}}[5m]))"), None),
            (format!("{bad} / sum by (job) (rate(x_total[5m]))"), None),
            (
                "sum by (a) (rate(x_total[5m])) / on () group_left () sum(rate(x_total[5m]))"
                    .into(),
                Some((0.0, 1.0)),
            ),
        ] {
            let most = |(least, most): (f64, f64)| most.is_finite().then_some((least, most));
            let seen = bounds(&promql::parse(&text).unwrap()).and_then(most);
            assert_eq!(seen, wanted, "{text}");
        }
    }
}
