//! Rewrites an expression for a time scale: its durations, and the literals that what it measures
//! is compared with.

use std::time::Duration;

use promql_parser::parser::token::{T_COUNT, T_COUNT_VALUES, T_GROUP, T_STDVAR};
use promql_parser::parser::{
    AggregateExpr, AtModifier, Expr, MatrixSelector, Offset, SubqueryExpr, VectorSelector,
};

use super::quantity::{Kind, Quantity};
use super::series::{Knowledge, Unit};
use crate::monitoring::promql;

mod function;
mod literal;
mod operator;

/// Something that was found while an expression was rewritten.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Finding {
    /// A literal that was considered: its text before and after, the exponent, and why this one.
    Literal { before: String, after: String, exponent: f64, why: String },
    /// Something that is left as it is although it may matter.
    Left { what: String, value: String, why: String },
    /// A duration that does not divide into whole milliseconds.
    Rounded { wanted_ms: f64, got: Duration, from: Duration },
    /// Why this expression can't be scaled, and the largest N at which it can.
    Problem { why: String, hint: String, largest: f64 },
}

/// Rewrites one expression.
pub(super) struct Rewriting<'a> {
    pub(super) scale: f64,
    pub(super) knowledge: &'a Knowledge,
    /// What the owner declared for this rule.
    pub(super) declared: Option<f64>,
    pub(super) findings: Vec<Finding>,
}

impl Rewriting<'_> {
    /// Rewrites an expression and says what kind of quantity it yields.
    pub(super) fn walk(&mut self, expr: Expr) -> (Expr, Quantity) {
        match expr {
            Expr::NumberLiteral(_) => (expr, Quantity::constant()),
            Expr::StringLiteral(_) => (expr, Quantity::new(Kind::Text, Unit::NONE)),
            Expr::Paren(mut paren) => {
                let (inner, quantity) = self.walk(*paren.expr);
                paren.expr = Box::new(inner);
                (Expr::Paren(paren), quantity)
            }
            Expr::Unary(mut unary) => {
                let (inner, quantity) = self.walk(*unary.expr);
                unary.expr = Box::new(inner);
                (Expr::Unary(unary), quantity)
            }
            Expr::VectorSelector(selector) => {
                let quantity = self.knowledge.quantity(promql::metric_name(&selector));
                (Expr::VectorSelector(self.selector(selector)), quantity)
            }
            Expr::MatrixSelector(MatrixSelector { vs, range }) => {
                let quantity = self.knowledge.quantity(promql::metric_name(&vs));
                let range = self.duration(range);
                (Expr::MatrixSelector(MatrixSelector { vs: self.selector(vs), range }), quantity)
            }
            Expr::Subquery(SubqueryExpr { expr, offset, at, range, step }) => {
                let (inner, quantity) = self.walk(*expr);
                self.at(&at);
                let range = self.duration(range);
                let step = step.map(|step| self.duration(step));
                let offset = offset.map(|offset| self.offset(offset));
                (
                    Expr::Subquery(SubqueryExpr { expr: Box::new(inner), offset, at, range, step }),
                    quantity,
                )
            }
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Call(call) => self.call(call),
            Expr::Binary(binary) => self.binary(binary),
            Expr::Extension(_) => {
                (expr, Quantity::undecided("the parser made something unknown of it"))
            }
        }
    }

    fn selector(&mut self, mut selector: VectorSelector) -> VectorSelector {
        self.at(&selector.at);
        selector.offset = selector.offset.map(|offset| self.offset(offset));
        selector
    }

    fn at(&mut self, at: &Option<AtModifier>) {
        if let Some(AtModifier::At(_)) = at {
            self.left("a fixed time after `@`", "@", "it is a wall-clock time");
        }
    }

    fn offset(&mut self, offset: Offset) -> Offset {
        match offset {
            Offset::Pos(back) => Offset::Pos(self.duration(back)),
            Offset::Neg(ahead) => Offset::Neg(self.duration(ahead)),
        }
    }

    fn duration(&mut self, from: Duration) -> Duration {
        let division = super::divide(from, self.scale);
        if let Some(wanted_ms) = division.rounded_from_ms {
            self.findings.push(Finding::Rounded { wanted_ms, got: division.duration, from });
        }
        if let Some(largest) = division.too_short {
            let why = format!(
                "{} divided by {} is less than a millisecond",
                super::text_of(from),
                self.scale
            );
            self.problem(why, "use a smaller time scale", largest);
        }
        division.duration
    }

    fn left(&mut self, what: &str, value: &str, why: &str) {
        self.findings.push(Finding::Left {
            what: what.into(),
            value: value.into(),
            why: why.into(),
        });
    }

    fn problem(&mut self, why: impl Into<String>, hint: impl Into<String>, largest: f64) {
        self.findings.push(Finding::Problem { why: why.into(), hint: hint.into(), largest });
    }

    fn undecided(&mut self, why: &str) {
        let hint = "declare its exponent under `scaling` in firedrill.yaml (0 leaves its literals as they are)";
        self.problem(why, hint, 1.0);
    }

    fn aggregate(&mut self, mut aggregate: AggregateExpr) -> (Expr, Quantity) {
        let (inner, quantity) = self.walk(*aggregate.expr);
        aggregate.expr = Box::new(inner);
        aggregate.param = aggregate.param.map(|param| Box::new(self.walk(*param).0));
        let result = match aggregate.op.id() {
            T_COUNT | T_COUNT_VALUES | T_GROUP => Quantity::power(0.0),
            T_STDVAR => quantity.clone().times(quantity),
            _ => quantity,
        };
        (Expr::Aggregate(aggregate), result)
    }
}
