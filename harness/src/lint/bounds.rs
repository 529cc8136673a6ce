//! Between which numbers the results of an expression lie.

use config::monitoring::promql::{self, constant};
use promql_parser::parser::Expr;
use promql_parser::parser::token::{
    T_ADD, T_AVG, T_COUNT, T_DIV, T_MAX, T_MIN, T_MUL, T_SUB, T_SUM,
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
