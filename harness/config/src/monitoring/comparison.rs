//! Comparisons of an expression with a number, and the ratios among them.

use promql_parser::parser::Expr;
use promql_parser::parser::token::{T_DIV, T_EQLC, T_GTE, T_GTR, T_LSS, T_LTE};

use super::promql::{self, constant};

/// A comparison with a number that decides whether an alert is active.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    /// The side that is no number.
    pub left: &'a Expr,
    /// The operator's token, as it reads with the number on the right.
    pub op: u16,
    /// The number that it is compared with.
    pub limit: f64,
    /// Whether nothing but `and`, `or`, `unless` stands around it.
    pub decides: bool,
}

impl Comparison<'_> {
    /// The operator, as it reads with the number on the right.
    pub fn op_text(&self) -> &'static str {
        match self.op {
            T_LSS => "<",
            T_LTE => "<=",
            T_GTR => ">",
            T_GTE => ">=",
            T_EQLC => "==",
            _ => "!=",
        }
    }
}

/// The comparisons of an expression, those with `bool` left out: these filter nothing.
pub fn comparisons(expr: &Expr) -> Vec<Comparison<'_>> {
    let mut found = Vec::new();
    collect(expr, true, &mut found);
    found
}

fn collect<'a>(expr: &'a Expr, decides: bool, found: &mut Vec<Comparison<'a>>) {
    if let Expr::Binary(binary) = expr
        && binary.op.is_comparison_operator()
        && !binary.return_bool()
    {
        let op = binary.op.id();
        match (constant(&binary.lhs), constant(&binary.rhs)) {
            (None, Some(limit)) => found.push(Comparison { left: &binary.lhs, op, limit, decides }),
            (Some(limit), None) => {
                let op = match op {
                    T_LSS => T_GTR,
                    T_LTE => T_GTE,
                    T_GTR => T_LSS,
                    T_GTE => T_LTE,
                    _ => op,
                };
                found.push(Comparison { left: &binary.rhs, op, limit, decides });
            }
            _ => {}
        }
    }
    let joins = match expr {
        Expr::Paren(_) => true,
        Expr::Binary(binary) => binary.op.is_set_operator(),
        _ => false,
    };
    for child in promql::children(expr) {
        collect(child, decides && joins, found);
    }
}

/// The denominator of a division of rates within what is compared.
pub fn rate_below(expr: &Expr) -> Option<&Expr> {
    fn counts(expr: &Expr) -> bool {
        matches!(expr, Expr::Call(call) if ["rate", "irate", "increase"].contains(&call.func.name))
            || promql::children(expr).into_iter().any(counts)
    }
    match expr {
        Expr::Binary(binary)
            if binary.op.id() == T_DIV && counts(&binary.lhs) && counts(&binary.rhs) =>
        {
            Some(&binary.rhs)
        }
        Expr::Paren(paren) => rate_below(&paren.expr),
        Expr::Binary(binary) => rate_below(&binary.lhs).or_else(|| rate_below(&binary.rhs)),
        _ => None,
    }
}
