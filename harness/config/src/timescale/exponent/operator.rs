//! Binary operators, by what they make of the exponents of both sides.

use std::time::Duration;

use promql_parser::parser::token::{T_ADD, T_ATAN2, T_DIV, T_LOR, T_MOD, T_MUL, T_POW, T_SUB};
use promql_parser::parser::{BinaryExpr, Expr, VectorSelector};

use super::super::quantity::{Kind, Quantity};
use super::super::series::Unit;
use super::Rewriting;
use crate::monitoring::promql::{self, constant};

/// A side of an operator: the rewritten expression, and what it yields.
struct Side {
    expr: Expr,
    quantity: Quantity,
}

impl Side {
    fn is_constant(&self) -> bool {
        self.quantity.is_constant()
    }

    fn number(&self) -> Option<f64> {
        constant(&self.expr)
    }
}

impl Rewriting<'_> {
    pub(super) fn binary(&mut self, mut binary: BinaryExpr) -> (Expr, Quantity) {
        let difference = Difference::of(&binary);
        let shown = promql::print(&Expr::Binary(binary.clone()));
        let mut side = |expr: Box<Expr>| {
            let (expr, quantity) = self.walk(*expr);
            Side { expr, quantity }
        };
        let mut left = side(std::mem::replace(&mut binary.lhs, Box::new(Expr::from(0.0))));
        let mut right = side(std::mem::replace(&mut binary.rhs, Box::new(Expr::from(0.0))));
        let both_constant = left.is_constant() && right.is_constant();
        let one_constant = left.is_constant() != right.is_constant();
        let result = match binary.op.id() {
            _ if both_constant && !binary.op.is_set_operator() => Quantity::constant(),
            T_LOR => either(&left, &right),
            _ if binary.op.is_set_operator() => left.quantity.clone(),
            _ if binary.op.is_comparison_operator() => {
                self.settle(&mut left, &mut right);
                if !one_constant {
                    self.comparable(&left.quantity, &right.quantity, &shown);
                }
                match binary.return_bool() {
                    true => Quantity::power(0.0),
                    false => measured(&left, &right),
                }
            }
            T_ADD | T_SUB if one_constant => {
                self.settle(&mut left, &mut right);
                measured(&left, &right)
            }
            T_ADD | T_SUB => sum(left.quantity.clone(), right.quantity.clone(), difference),
            T_MUL if left.is_constant() => right.quantity.clone().scaled_by(left.number()),
            T_MUL if right.is_constant() => left.quantity.clone().scaled_by(right.number()),
            T_MUL => left.quantity.clone().times(right.quantity.clone()),
            T_DIV if right.is_constant() => {
                left.quantity.clone().scaled_by(right.number().map(f64::recip))
            }
            T_DIV => left.quantity.clone().over(right.quantity.clone()),
            T_MOD if left.quantity.kind == Kind::Instant => {
                self.left("a time of day", &shown, "it reads the wall clock");
                Quantity::power(0.0)
            }
            T_MOD => {
                self.settle(&mut left, &mut right);
                if one_constant {
                    measured(&left, &right)
                } else {
                    left.quantity.clone().join(right.quantity.clone(), "divides with a rest")
                }
            }
            T_POW => power(&left, &right),
            T_ATAN2 => {
                match left.quantity.clone().join(right.quantity.clone(), "takes the angle of") {
                    Quantity { kind: Kind::Undecided(why), .. } => Quantity::undecided(why),
                    _ => Quantity::power(0.0),
                }
            }
            _ => Quantity::undecided(format!("the operator {} is not known here", binary.op)),
        };
        binary.lhs = Box::new(left.expr);
        binary.rhs = Box::new(right.expr);
        (Expr::Binary(binary), result)
    }

    /// Scales the constant beside a measured quantity with it, where one side is a constant.
    fn settle(&mut self, left: &mut Side, right: &mut Side) {
        let (number, other) = match (left.is_constant(), right.is_constant()) {
            (true, false) => (left, right),
            (false, true) => (right, left),
            _ => return,
        };
        let taken = std::mem::replace(&mut number.expr, Expr::from(0.0));
        number.expr = self.literal(taken, &other.quantity);
    }
}

/// What is measured where one side may be a constant; the left side where none is.
fn measured(left: &Side, right: &Side) -> Quantity {
    if left.is_constant() { right.quantity.clone() } else { left.quantity.clone() }
}

fn either(left: &Side, right: &Side) -> Quantity {
    let value = match (left.is_constant(), right.is_constant()) {
        (true, true) => return Quantity::constant(),
        (false, false) => {
            return left.quantity.clone().join(right.quantity.clone(), "offers either");
        }
        (true, false) => left.number(),
        (false, true) => right.number(),
    };
    let measured = measured(left, right);
    match measured.exponent() {
        Some(0.0) => measured,
        _ if value == Some(0.0) => measured,
        _ => Quantity::undecided("`or` offers a constant beside what does not keep its value"),
    }
}

fn power(left: &Side, right: &Side) -> Quantity {
    let flat = right.quantity.exponent() == Some(0.0);
    match (left.quantity.exponent(), right.number()) {
        (Some(exponent), Some(power)) => Quantity::power(exponent * power),
        (Some(0.0), None) if flat => Quantity::power(0.0),
        (None, _) if left.is_constant() && flat => Quantity::power(0.0),
        _ => Quantity::undecided("a power of something without an exponent"),
    }
}

/// What `+` and `-` have on their sides.
#[derive(Debug, Clone, Copy)]
struct Difference {
    minus: bool,
    /// One series at two times.
    two_times: bool,
    /// An increase by hand: `x - x offset 5m`.
    by_hand: bool,
}

impl Difference {
    fn of(binary: &BinaryExpr) -> Difference {
        let minus = binary.op.id() == T_SUB;
        Difference {
            minus,
            two_times: minus && looks_at_two_times(&binary.lhs, &binary.rhs),
            by_hand: minus && is_same_series(&binary.lhs, &binary.rhs),
        }
    }
}

/// Two measured quantities are added or subtracted.
fn sum(left: Quantity, right: Quantity, difference: Difference) -> Quantity {
    let Difference { minus, two_times, by_hand } = difference;
    let age = Quantity::new(Kind::Power(0.0), Unit::SECONDS);
    match (&left.kind, &right.kind) {
        (Kind::Instant, Kind::Instant) if minus => age,
        (Kind::Instant, _) | (_, Kind::Instant)
            if left.exponent().or(right.exponent()) == Some(0.0) =>
        {
            if minus {
                age
            } else {
                Quantity::new(Kind::Instant, Unit::SECONDS)
            }
        }
        (Kind::Counter, Kind::Counter) if minus && by_hand => {
            Quantity::new(Kind::Power(-1.0), left.unit)
        }
        (Kind::Counter, Kind::Counter) if minus => Quantity::undecided(
            "the difference of two raw counters may be a level that stays or something that grows",
        ),
        _ if minus && two_times => Quantity::undecided(
            "the difference of a series at two times mixes its level and its slope",
        ),
        _ => left.join(right, if minus { "subtracts" } else { "adds" }),
    }
}

/// Whether two expressions look at one series at different times: by offset, by range, or by what
/// they pick from it.
fn looks_at_two_times(left: &Expr, right: &Expr) -> bool {
    let (mut one, mut two) = (Vec::new(), Vec::new());
    views(left, "", &mut one);
    views(right, "", &mut two);
    one.iter().any(|(series, view)| two.iter().any(|(other, seen)| series == other && view != seen))
}

fn views(expr: &Expr, around: &str, found: &mut Vec<(String, String)>) {
    let seen = |selector: &VectorSelector, range: Option<Duration>| {
        let view = format!("{around}|{:?}|{range:?}", selector.offset);
        let series = VectorSelector { offset: None, at: None, ..selector.clone() };
        (promql::print(&Expr::VectorSelector(series)), view)
    };
    match expr {
        Expr::VectorSelector(selector) => found.push(seen(selector, None)),
        Expr::MatrixSelector(matrix) => found.push(seen(&matrix.vs, Some(matrix.range))),
        Expr::Subquery(subquery) => views(
            &subquery.expr,
            &format!("{around}[{:?}{:?}", subquery.range, subquery.offset),
            found,
        ),
        Expr::Call(call) => {
            let picks = matches!(
                call.func.name,
                "min_over_time"
                    | "max_over_time"
                    | "first_over_time"
                    | "last_over_time"
                    | "quantile_over_time"
            );
            let around =
                if picks { format!("{around}{}", call.func.name) } else { around.to_owned() };
            for arg in &call.args.args {
                views(arg, &around, found);
            }
        }
        other => {
            for child in promql::children(other) {
                views(child, around, found);
            }
        }
    }
}

/// Whether both are the same expression apart from offsets: `x - x offset 5m`, an increase by hand.
fn is_same_series(left: &Expr, right: &Expr) -> bool {
    fn bare(expr: &Expr) -> Option<String> {
        match expr {
            Expr::Paren(paren) => bare(&paren.expr),
            Expr::VectorSelector(selector) => {
                Some(promql::print(&Expr::VectorSelector(VectorSelector {
                    offset: None,
                    at: None,
                    ..selector.clone()
                })))
            }
            Expr::Aggregate(aggregate) => {
                Some(format!("{}{:?}{}", aggregate.op, aggregate.modifier, bare(&aggregate.expr)?))
            }
            _ => None,
        }
    }
    bare(left).is_some() && bare(left) == bare(right)
}
