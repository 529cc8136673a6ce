//! Functions of PromQL, by what they make of a quantity's exponent:
//! <https://prometheus.io/docs/prometheus/latest/querying/functions/>.

use promql_parser::parser::{Call, Expr};

use super::super::quantity::{Kind, Quantity};
use super::super::series::{Unit, observed_unit};
use super::literal::with_value;
use super::{Finding, Rewriting};
use crate::monitoring::promql::{self, constant};

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
    pub(super) fn call(&mut self, mut call: Call) -> (Expr, Quantity) {
        let name = call.func.name;
        let observed = observed_unit(&Expr::Call(call.clone()));
        let walked: Vec<_> =
            std::mem::take(&mut call.args.args).into_iter().map(|arg| self.walk(*arg)).collect();
        let (mut args, quantities): (Vec<_>, Vec<_>) = walked.into_iter().unzip();
        let first = quantities.first().cloned().unwrap_or_else(Quantity::constant);
        let last = quantities.last().cloned().unwrap_or_else(Quantity::constant);
        let result = match name {
            "delta" | "idelta" | "deriv" if first.kind == Kind::Counter => {
                if name == "deriv" {
                    Quantity::new(Kind::Power(0.0), first.unit.over(Unit::SECONDS))
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
            name if CALENDAR.contains(&name) => {
                self.left("a calendar function", &format!("{name}()"), "it reads the wall clock");
                Quantity::power(0.0)
            }
            "pi" => Quantity::constant(),
            "abs" => first,
            name if PASSING.contains(&name) => first,
            "ceil" | "floor" => rounding(first, name),
            "round" => match args.len() {
                2 => {
                    let step = args.remove(1);
                    args.push(self.literal(step, &first));
                    first
                }
                _ => rounding(first, name),
            },
            "clamp" | "clamp_min" | "clamp_max" => {
                self.bounds(name, &mut args, &quantities, &first);
                first
            }
            "min_of" | "max_of" => first.join(last, "chooses between"),
            name => over_window(name, &first, &last)
                .or_else(|| of_time(name))
                .or_else(|| curve(name, &first))
                .or_else(|| of_histogram(name, &last, observed))
                .unwrap_or_else(|| Quantity::undecided(format!("{name}() is not known here"))),
        };
        call.args.args = args.into_iter().map(Box::new).collect();
        (Expr::Call(call), result)
    }

    /// The bounds of a `clamp`: all arguments but the first.
    fn bounds(&mut self, name: &str, args: &mut [Expr], are: &[Quantity], bounded: &Quantity) {
        for at in 1..args.len() {
            if are[at].is_constant() {
                let bound = std::mem::replace(&mut args[at], Expr::from(0.0));
                args[at] = self.literal(bound, bounded);
            } else {
                self.comparable(bounded, &are[at], name);
            }
        }
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
}

/// What a function over a window yields: rates, counts, and what it picks or adds up.
fn over_window(name: &str, first: &Quantity, last: &Quantity) -> Option<Quantity> {
    Some(match name {
        "rate" | "irate" | "increase" => match &first.kind {
            Kind::Counter | Kind::Level if name == "increase" => {
                Quantity::new(Kind::Power(-1.0), first.unit)
            }
            Kind::Counter | Kind::Level => {
                Quantity::new(Kind::Power(0.0), first.unit.over(Unit::SECONDS))
            }
            Kind::Undecided(_) => first.clone(),
            _ => Quantity::undecided(format!("{name}() is taken of something that is no counter")),
        },
        "changes" | "resets" => Quantity::power(-1.0),
        "count_over_time" | "present_over_time" | "absent" | "absent_over_time" | "sgn" => {
            Quantity::power(0.0)
        }
        "sum_over_time" => match &first.kind {
            Kind::Level => Quantity::new(Kind::Power(0.0), first.unit),
            Kind::Instant => Quantity::undecided("points in time are added up"),
            _ => first.clone(),
        },
        "integral" => match first.exponent() {
            Some(exponent) => {
                Quantity::new(Kind::Power(exponent - 1.0), first.unit.times(Unit::SECONDS))
            }
            None => Quantity::undecided("integral() of something without an exponent"),
        },
        "stddev_over_time" | "stdvar_over_time" | "mad_over_time" => Quantity::undecided(format!(
            "{name}(): the noise within a window stays, the slope across it shrinks"
        )),
        name if PICKING.contains(&name) => match last.kind {
            Kind::Level => Quantity::new(Kind::Power(0.0), last.unit),
            _ => last.clone(),
        },
        _ => return None,
    })
}

/// Points in time, in seconds since 1970.
fn of_time(name: &str) -> Option<Quantity> {
    let known = matches!(name, "time" | "timestamp" | "start_timestamp" | "start" | "end");
    (known || name.starts_with("ts_of_")).then(|| Quantity::new(Kind::Instant, Unit::SECONDS))
}

/// What a function of each single value yields.
fn curve(name: &str, first: &Quantity) -> Option<Quantity> {
    if name == "sqrt" {
        return Some(match first.exponent() {
            Some(exponent) => Quantity::power(exponent / 2.0),
            None if first.is_constant() => first.clone(),
            None => Quantity::undecided("sqrt() of something without an exponent"),
        });
    }
    CURVES.contains(&name).then(|| match &first.kind {
        Kind::Constant => first.clone(),
        _ if first.exponent() == Some(0.0) => Quantity::power(0.0),
        _ => Quantity::undecided(format!("{name}() is no power law")),
    })
}

/// What a function of a histogram yields; `observed` is the unit of what was observed.
fn of_histogram(name: &str, last: &Quantity, observed: Unit) -> Option<Quantity> {
    Some(match name {
        "histogram_quantile" => match &last.kind {
            Kind::Undecided(_) => last.clone(),
            _ => Quantity::new(Kind::Power(0.0), observed),
        },
        "histogram_fraction" => Quantity::power(0.0),
        "histogram_avg" | "histogram_stddev" => Quantity::new(Kind::Power(0.0), observed),
        "histogram_stdvar" => Quantity::new(Kind::Power(0.0), observed.times(observed)),
        "histogram_count" => Quantity::new(last.kind.clone(), Unit::NONE),
        "histogram_sum" => Quantity::new(last.kind.clone(), observed),
        _ => return None,
    })
}

fn rounding(quantity: Quantity, name: &str) -> Quantity {
    match quantity.exponent() {
        Some(0.0) => quantity,
        None if quantity.is_constant() => quantity,
        _ => Quantity::undecided(format!("{name}() rounds to whole numbers, which don't shrink")),
    }
}
