//! Literals: which exponent one has, and what it becomes.

use promql_parser::parser::{Expr, NumberLiteral};

use super::super::quantity::{Kind, Quantity};
use super::super::series::Unit;
use super::{Finding, Rewriting};
use crate::monitoring::promql::{self, constant, number_text};

/// Where a literal's exponent comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Source {
    Declared,
    Inferred,
    /// Of what it stands beside: it keeps its value, for this reason.
    Keeps(&'static str),
}

impl Source {
    fn why(self) -> &'static str {
        match self {
            Source::Declared => "declared",
            Source::Inferred => "inferred",
            Source::Keeps(why) => why,
        }
    }
}

impl Rewriting<'_> {
    /// A constant that stands beside `other`: compared with it, added to it, or bounding it.
    pub(super) fn literal(&mut self, number: Expr, other: &Quantity) -> Expr {
        let Some(value) = constant(&number) else {
            if other.exponent() != Some(0.0) || other.is_time() {
                self.undecided("a constant beside it can't be worked out");
            }
            return number;
        };
        let before = promql::print(&number);
        if value == 0.0 || !value.is_finite() {
            if let Kind::Undecided(why) = &other.kind
                && self.declared.is_none()
            {
                self.undecided(why);
            }
            self.considered(&before, None, 0.0, "zero and infinity stay what they are");
            return number;
        }
        let Some((exponent, source)) = self.exponent_beside(other, &before) else { return number };
        if exponent == 0.0 {
            if source == Source::Declared {
                let what = "a literal whose exponent is declared as 0";
                self.left(what, &before, "declared under `scaling`");
            }
            self.considered(&before, None, 0.0, source.why());
            return number;
        }
        let scaled = by_power(value, self.scale, exponent);
        if source == Source::Inferred
            && let Some(largest) = self.falls_below_one(value, exponent, other)
        {
            self.problem(
                format!(
                    "the count {before} would become {}, and a window of the scaled length holds no part of an event",
                    number_text(scaled)
                ),
                "use a smaller time scale, compare with 0, or declare its exponent under `scaling` in firedrill.yaml",
                largest,
            );
            return number;
        }
        self.considered(&before, Some(number_text(scaled)), exponent, source.why());
        let scale = self.scale;
        with_value(number, &|value| by_power(value, scale, exponent))
    }

    /// Notes a literal that was looked at; without `after`, it stays as it is.
    fn considered(&mut self, before: &str, after: Option<String>, exponent: f64, why: &str) {
        self.findings.push(Finding::Literal {
            before: before.to_owned(),
            after: after.unwrap_or_else(|| before.to_owned()),
            exponent,
            why: why.into(),
        });
    }

    /// The exponent of a literal that stands beside `other`; none where it is left as it is, which
    /// has been noted then.
    fn exponent_beside(&mut self, other: &Quantity, before: &str) -> Option<(f64, Source)> {
        if !other.is_time() {
            match &other.kind {
                Kind::Level | Kind::Constant | Kind::Text => {
                    return Some((0.0, Source::Keeps("a level keeps its value")));
                }
                Kind::Power(0.0) => {
                    let why = "a rate, a ratio or a level keeps its value";
                    return Some((0.0, Source::Keeps(why)));
                }
                _ => {}
            }
        }
        if let Some(exponent) = self.declared {
            return Some((exponent, Source::Declared));
        }
        match &other.kind {
            _ if other.is_time() => {
                let why = "it is a span or point of time of what is watched, which is not sped up";
                self.left("a literal that is itself a time", before, why);
                self.considered(before, None, 0.0, "a time of what is watched");
            }
            Kind::Power(exponent) => return Some((*exponent, Source::Inferred)),
            Kind::Undecided(why) => self.undecided(why),
            _ => self.undecided(
                "a raw counter is compared: what it has reached depends on when counting began",
            ),
        }
        None
    }

    /// The largest time scale at which a count stays at least 1, where at this one it does not.
    fn falls_below_one(&self, value: f64, exponent: f64, other: &Quantity) -> Option<f64> {
        let count = value.abs() / other.factor;
        if other.unit != Unit::NONE || by_power(count, self.scale, exponent) >= 1.0 - 1e-9 {
            return None;
        }
        // c·N^k ≥ 1 holds up to N = c^(-1/k).
        let largest = if count < 1.0 { 1.0 } else { (count.powf(-1.0 / exponent) + 1e-9).floor() };
        Some(largest.max(1.0))
    }

    /// Two things that are no constants are compared with each other.
    pub(super) fn comparable(&mut self, left: &Quantity, right: &Quantity, shown: &str) {
        if left.is_time() && right.is_time() {
            self.left(
                "a comparison of two times",
                shown,
                "both are times of what is watched, which is not sped up",
            );
            return;
        }
        let joined = left.clone().join(right.clone(), "compares");
        if let Kind::Undecided(why) = &joined.kind {
            match self.declared {
                Some(_) => self.left(
                    "a comparison without one exponent",
                    shown,
                    "declared under `scaling`; no literal is in it",
                ),
                None => self.undecided(why),
            }
        }
    }
}

/// value · scale^exponent; divides where it can, so that round results come out round.
fn by_power(value: f64, scale: f64, exponent: f64) -> f64 {
    if exponent < 0.0 { value / scale.powf(-exponent) } else { value * scale.powf(exponent) }
}

/// A constant expression with another value; it keeps its type (scalar or vector).
pub(super) fn with_value(expr: Expr, change: &dyn Fn(f64) -> f64) -> Expr {
    match expr {
        Expr::NumberLiteral(number) => Expr::NumberLiteral(NumberLiteral::new(change(number.val))),
        Expr::Paren(mut paren) => {
            paren.expr = Box::new(with_value(*paren.expr, change));
            Expr::Paren(paren)
        }
        Expr::Unary(mut unary) => {
            unary.expr = Box::new(with_value(*unary.expr, change));
            Expr::Unary(unary)
        }
        Expr::Call(mut call) if !call.args.args.is_empty() => {
            call.args.args =
                call.args.args.into_iter().map(|arg| Box::new(with_value(*arg, change))).collect();
            Expr::Call(call)
        }
        other => Expr::from(change(constant(&other).unwrap_or(f64::NAN))),
    }
}
