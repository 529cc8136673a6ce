//! Rewrites an expression for a time scale: its durations, and the literals that what it measures
//! is compared with.

use std::time::Duration;

use promql_parser::parser::token::{
    T_ADD, T_ATAN2, T_COUNT, T_COUNT_VALUES, T_DIV, T_GROUP, T_LOR, T_MOD, T_MUL, T_POW, T_STDVAR,
    T_SUB,
};
use promql_parser::parser::{
    AggregateExpr, AtModifier, BinaryExpr, Call, Expr, MatrixSelector, NumberLiteral, Offset,
    SubqueryExpr, VectorSelector,
};

use super::quantity::{Kind, Quantity};
use super::series::{Knowledge, Unit, observed_unit};
use crate::monitoring::promql::{self, constant, number_text};

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

/// Functions that yield some value out of a window: it scales as what they look at.
const PICKING: [&str; 6] = [
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "last_over_time",
    "first_over_time",
    "quantile_over_time",
];
/// Functions that hand on their first argument.
const PASSING: [&str; 9] = [
    "scalar",
    "vector",
    "sort",
    "sort_desc",
    "sort_by_label",
    "sort_by_label_desc",
    "label_replace",
    "label_join",
    "info",
];
const CALENDAR: [&str; 8] = [
    "minute",
    "hour",
    "day_of_week",
    "day_of_month",
    "day_of_year",
    "days_in_month",
    "month",
    "year",
];
const CURVES: [&str; 18] = [
    "exp", "ln", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh",
    "tanh", "asinh", "acosh", "atanh", "deg", "rad",
];

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

    /// A constant that stands beside `other`: compared with it, added to it, or bounding it.
    fn literal(&mut self, number: Expr, other: &Quantity) -> Expr {
        let Some(value) = constant(&number) else {
            if other.exponent() != Some(0.0) || other.is_time() {
                self.undecided("a constant beside it can't be worked out");
            }
            return number;
        };
        let before = promql::print(&number);
        let note = |this: &mut Self, after: String, exponent: f64, why: &str| {
            this.findings.push(Finding::Literal {
                before: before.clone(),
                after,
                exponent,
                why: why.into(),
            });
        };
        if value == 0.0 || !value.is_finite() {
            if let Kind::Undecided(why) = &other.kind
                && self.declared.is_none()
            {
                self.undecided(why);
            }
            note(self, before.clone(), 0.0, "zero and infinity stay what they are");
            return number;
        }
        let inferred = match &other.kind {
            _ if other.is_time() => match self.declared {
                Some(exponent) => (exponent, "declared"),
                None => {
                    let why =
                        "it is a span or point of time of what is watched, which is not sped up";
                    self.left("a literal that is itself a time", &before, why);
                    note(self, before.clone(), 0.0, "a time of what is watched");
                    return number;
                }
            },
            Kind::Level | Kind::Constant | Kind::Text => (0.0, "a level keeps its value"),
            Kind::Power(0.0) => (0.0, "a rate, a ratio or a level keeps its value"),
            Kind::Power(exponent) => match self.declared {
                Some(declared) => (declared, "declared"),
                None => (*exponent, "inferred"),
            },
            Kind::Counter | Kind::Undecided(_) | Kind::Instant => match self.declared {
                Some(exponent) => (exponent, "declared"),
                None => {
                    match &other.kind {
                        Kind::Undecided(why) => self.undecided(why),
                        _ => self.undecided("a raw counter is compared: what it has reached depends on when counting began"),
                    }
                    return number;
                }
            },
        };
        let (exponent, why) = inferred;
        if exponent == 0.0 {
            if why == "declared" {
                self.left(
                    "a literal whose exponent is declared as 0",
                    &before,
                    "declared under `scaling`",
                );
            }
            note(self, before.clone(), 0.0, why);
            return number;
        }
        let scaled = by_power(value, self.scale, exponent);
        let count = value.abs() / other.factor;
        if why == "inferred"
            && other.unit == Unit::NONE
            && by_power(count, self.scale, exponent) < 1.0 - 1e-9
        {
            // c·N^k ≥ 1 holds up to N = c^(-1/k).
            let largest =
                if count < 1.0 { 1.0 } else { (count.powf(-1.0 / exponent) + 1e-9).floor() };
            self.problem(
                format!(
                    "the count {before} would become {}, and a window of the scaled length holds no part of an event",
                    number_text(scaled)
                ),
                "use a smaller time scale, compare with 0, or declare its exponent under `scaling` in firedrill.yaml",
                largest.max(1.0),
            );
            return number;
        }
        note(self, number_text(scaled), exponent, why);
        let scale = self.scale;
        with_value(number, &|value| by_power(value, scale, exponent))
    }

    /// Two things that are no constants are compared with each other.
    fn comparable(&mut self, left: &Quantity, right: &Quantity, shown: &str) {
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

    fn call(&mut self, mut call: Call) -> (Expr, Quantity) {
        let name = call.func.name;
        let observed = observed_unit(&Expr::Call(call.clone()));
        let walked: Vec<_> =
            std::mem::take(&mut call.args.args).into_iter().map(|arg| self.walk(*arg)).collect();
        let (mut args, quantities): (Vec<_>, Vec<_>) = walked.into_iter().unzip();
        let first = quantities.first().cloned().unwrap_or_else(Quantity::constant);
        let last = quantities.last().cloned().unwrap_or_else(Quantity::constant);
        let rate_unit = |unit: Unit| unit.over(Unit::SECONDS);
        let result = match name {
            "rate" | "irate" | "increase" => match &first.kind {
                Kind::Counter | Kind::Level if name == "increase" => {
                    Quantity::new(Kind::Power(-1.0), first.unit)
                }
                Kind::Counter | Kind::Level => {
                    Quantity::new(Kind::Power(0.0), rate_unit(first.unit))
                }
                Kind::Undecided(_) => first,
                _ => Quantity::undecided(format!(
                    "{name}() is taken of something that is no counter"
                )),
            },
            "delta" | "idelta" | "deriv" if first.kind == Kind::Counter => {
                if name == "deriv" {
                    Quantity::new(Kind::Power(0.0), rate_unit(first.unit))
                } else {
                    Quantity::new(Kind::Power(-1.0), first.unit)
                }
            }
            "delta"
            | "idelta"
            | "deriv"
            | "predict_linear"
            | "double_exponential_smoothing"
            | "holt_winters" => {
                if name == "predict_linear" {
                    self.horizon(&mut args);
                }
                Quantity::undecided(format!(
                    "{name}() of a gauge mixes its level, which stays, and its slope over a window, which shrinks"
                ))
            }
            "changes" | "resets" => Quantity::power(-1.0),
            "count_over_time" | "present_over_time" | "absent" | "absent_over_time" | "sgn" => {
                Quantity::power(0.0)
            }
            "sum_over_time" => match &first.kind {
                Kind::Level => Quantity::new(Kind::Power(0.0), first.unit),
                Kind::Instant => Quantity::undecided("points in time are added up"),
                _ => first,
            },
            "integral" => match first.exponent() {
                Some(exponent) => {
                    Quantity::new(Kind::Power(exponent - 1.0), first.unit.times(Unit::SECONDS))
                }
                None => Quantity::undecided("integral() of something without an exponent"),
            },
            "stddev_over_time" | "stdvar_over_time" | "mad_over_time" => Quantity::undecided(
                format!("{name}(): the noise within a window stays, the slope across it shrinks"),
            ),
            name if PICKING.contains(&name) => match last.kind {
                Kind::Level => Quantity::new(Kind::Power(0.0), last.unit),
                _ => last,
            },
            "time" | "timestamp" | "start_timestamp" | "start" | "end" => {
                Quantity::new(Kind::Instant, Unit::SECONDS)
            }
            name if name.starts_with("ts_of_") => Quantity::new(Kind::Instant, Unit::SECONDS),
            name if CALENDAR.contains(&name) => {
                self.left("a calendar function", &format!("{name}()"), "it reads the wall clock");
                Quantity::power(0.0)
            }
            "pi" => Quantity::constant(),
            "abs" => first,
            name if PASSING.contains(&name) => first,
            "ceil" | "floor" => self.rounding(first, name),
            "round" => match args.len() {
                2 => {
                    let step = args.remove(1);
                    args.push(self.literal(step, &first));
                    first
                }
                _ => self.rounding(first, name),
            },
            "clamp" | "clamp_min" | "clamp_max" => {
                for at in 1..args.len() {
                    if quantities[at].is_constant() {
                        let bound = std::mem::replace(&mut args[at], Expr::from(0.0));
                        args[at] = self.literal(bound, &first);
                    } else {
                        self.comparable(&first, &quantities[at], name);
                    }
                }
                first
            }
            "sqrt" => match first.exponent() {
                Some(exponent) => Quantity::power(exponent / 2.0),
                None if first.is_constant() => first,
                None => Quantity::undecided("sqrt() of something without an exponent"),
            },
            name if CURVES.contains(&name) => match &first.kind {
                Kind::Constant => first,
                _ if first.exponent() == Some(0.0) => Quantity::power(0.0),
                _ => Quantity::undecided(format!("{name}() is no power law")),
            },
            "histogram_quantile" => match &last.kind {
                Kind::Undecided(_) => last,
                _ => Quantity::new(Kind::Power(0.0), observed),
            },
            "histogram_fraction" => Quantity::power(0.0),
            "histogram_avg" | "histogram_stddev" => Quantity::new(Kind::Power(0.0), observed),
            "histogram_stdvar" => Quantity::new(Kind::Power(0.0), observed.times(observed)),
            "histogram_count" => Quantity::new(last.kind, Unit::NONE),
            "histogram_sum" => Quantity::new(last.kind, observed),
            "min_of" | "max_of" => first.join(last, "chooses between"),
            other => Quantity::undecided(format!("{other}() is not known here")),
        };
        call.args.args = args.into_iter().map(Box::new).collect();
        (Expr::Call(call), result)
    }

    /// How far `predict_linear` looks ahead: a duration of the configuration.
    fn horizon(&mut self, args: &mut [Expr]) {
        let Some(horizon) = args.get_mut(1) else { return };
        let before = promql::print(horizon);
        match self.declared {
            Some(exponent) if exponent != 0.0 && constant(horizon).is_some() => {
                let taken = std::mem::replace(horizon, Expr::from(0.0));
                let scale = self.scale;
                *horizon = with_value(taken, &|value| value / scale);
                let after = promql::print(horizon);
                self.findings.push(Finding::Literal {
                    before,
                    after,
                    exponent: -1.0,
                    why: "how far predict_linear looks ahead".into(),
                });
            }
            Some(_) => self.left(
                "how far predict_linear looks ahead",
                &before,
                "declared as 0 under `scaling`",
            ),
            // The comparison that follows refuses it.
            None => {}
        }
    }

    fn rounding(&mut self, quantity: Quantity, name: &str) -> Quantity {
        match quantity.exponent() {
            Some(0.0) => quantity,
            None if quantity.is_constant() => quantity,
            _ => {
                Quantity::undecided(format!("{name}() rounds to whole numbers, which don't shrink"))
            }
        }
    }

    fn binary(&mut self, mut binary: BinaryExpr) -> (Expr, Quantity) {
        let shown = promql::print(&Expr::Binary(binary.clone()));
        let two_times = binary.op.id() == T_SUB && looks_at_two_times(&binary.lhs, &binary.rhs);
        let by_hand = binary.op.id() == T_SUB && is_same_series(&binary.lhs, &binary.rhs);
        let returns_bool = binary.return_bool();
        let (mut lhs, left) = self.walk(*binary.lhs);
        let (mut rhs, right) = self.walk(*binary.rhs);
        let both_constant = left.is_constant() && right.is_constant();
        // The constant beside a measured quantity is what has to be scaled with it.
        let mut settle = |this: &mut Self| {
            if left.is_constant() && !both_constant {
                let taken = std::mem::replace(&mut lhs, Expr::from(0.0));
                lhs = this.literal(taken, &right);
            } else if right.is_constant() && !both_constant {
                let taken = std::mem::replace(&mut rhs, Expr::from(0.0));
                rhs = this.literal(taken, &left);
            }
        };
        let one_constant = left.is_constant() != right.is_constant();
        let result = match binary.op.id() {
            _ if both_constant && !binary.op.is_set_operator() => Quantity::constant(),
            T_LOR if both_constant => Quantity::constant(),
            T_LOR => match (left.is_constant(), right.is_constant()) {
                (true, false) | (false, true) => {
                    let (measured, value) = if left.is_constant() {
                        (right, constant(&lhs))
                    } else {
                        (left, constant(&rhs))
                    };
                    match measured.exponent() {
                        Some(0.0) => measured,
                        _ if value == Some(0.0) => measured,
                        _ => Quantity::undecided(
                            "`or` offers a constant beside what does not keep its value",
                        ),
                    }
                }
                _ => left.join(right, "offers either"),
            },
            _ if binary.op.is_set_operator() => left,
            _ if binary.op.is_comparison_operator() => {
                settle(self);
                if !one_constant {
                    self.comparable(&left, &right, &shown);
                }
                match (returns_bool, left.is_constant()) {
                    (true, _) => Quantity::power(0.0),
                    (false, true) => right,
                    (false, false) => left,
                }
            }
            T_ADD | T_SUB if one_constant => {
                settle(self);
                if left.is_constant() { right } else { left }
            }
            T_ADD | T_SUB => self.sum(left, right, binary.op.id() == T_SUB, two_times, by_hand),
            T_MUL if left.is_constant() => right.scaled_by(constant(&lhs)),
            T_MUL if right.is_constant() => left.scaled_by(constant(&rhs)),
            T_MUL => left.times(right),
            T_DIV if right.is_constant() => left.scaled_by(constant(&rhs).map(f64::recip)),
            T_DIV => left.over(right),
            T_MOD if left.kind == Kind::Instant => {
                self.left("a time of day", &shown, "it reads the wall clock");
                Quantity::power(0.0)
            }
            T_MOD => {
                settle(self);
                if left.is_constant() {
                    right
                } else if one_constant {
                    left
                } else {
                    left.join(right, "divides with a rest")
                }
            }
            T_POW => match (left.exponent(), constant(&rhs)) {
                (Some(exponent), Some(power)) => Quantity::power(exponent * power),
                (Some(0.0), None) if right.exponent() == Some(0.0) => Quantity::power(0.0),
                (None, _) if left.is_constant() && right.exponent() == Some(0.0) => {
                    Quantity::power(0.0)
                }
                _ => Quantity::undecided("a power of something without an exponent"),
            },
            T_ATAN2 => match left.join(right, "takes the angle of") {
                Quantity { kind: Kind::Undecided(why), .. } => Quantity::undecided(why),
                _ => Quantity::power(0.0),
            },
            _ => Quantity::undecided(format!("the operator {} is not known here", binary.op)),
        };
        binary.lhs = Box::new(lhs);
        binary.rhs = Box::new(rhs);
        (Expr::Binary(binary), result)
    }

    /// Two measured quantities are added or subtracted.
    fn sum(
        &mut self,
        left: Quantity,
        right: Quantity,
        minus: bool,
        two_times: bool,
        by_hand: bool,
    ) -> Quantity {
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
}

/// value · scale^exponent; divides where it can, so that round results come out round.
fn by_power(value: f64, scale: f64, exponent: f64) -> f64 {
    if exponent < 0.0 { value / scale.powf(-exponent) } else { value * scale.powf(exponent) }
}

/// A constant expression with another value; it keeps its type (scalar or vector).
fn with_value(expr: Expr, change: &dyn Fn(f64) -> f64) -> Expr {
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
