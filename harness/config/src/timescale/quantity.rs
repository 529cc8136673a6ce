//! What kind of quantity an expression yields, as far as the division of all durations by N
//! concerns it.

use super::series::Unit;

/// A quantity: how it scales, and its unit as far as names tell.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quantity {
    pub(super) kind: Kind,
    pub(super) unit: Unit,
    /// Constants that it was multiplied with: `increase(x[5m]) / 300` counts 300 times what it
    /// shows.
    pub(super) factor: f64,
}

/// How a quantity changes when all durations of the configuration are divided by N and the traffic
/// is not.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A number that stands in the expression.
    Constant,
    /// A series as scraped that is not known to be a counter: it keeps its value, but `rate` may
    /// still be taken of it.
    Level,
    /// It becomes N^k of itself.
    Power(f64),
    /// A counter's raw value: what it is depends on when counting began.
    Counter,
    /// A point in time, in seconds since 1970.
    Instant,
    /// No single exponent, and why.
    Undecided(String),
    /// A text.
    Text,
}

impl Quantity {
    pub(super) fn new(kind: Kind, unit: Unit) -> Self {
        Quantity { kind, unit, factor: 1.0 }
    }

    /// A number of things that becomes N^k of itself.
    pub(super) fn power(exponent: f64) -> Self {
        Quantity::new(Kind::Power(exponent), Unit::NONE)
    }

    pub(super) fn constant() -> Self {
        Quantity::new(Kind::Constant, Unit::NONE)
    }

    pub(super) fn undecided(why: impl Into<String>) -> Self {
        Quantity::new(Kind::Undecided(why.into()), Unit::NONE)
    }

    pub(super) fn is_constant(&self) -> bool {
        self.kind == Kind::Constant
    }

    /// The exponent, where there is one.
    pub(super) fn exponent(&self) -> Option<f64> {
        match self.kind {
            Kind::Level => Some(0.0),
            Kind::Power(exponent) => Some(exponent),
            _ => None,
        }
    }

    /// Whether it is a span of time: seconds, and no rate or ratio of them.
    pub(super) fn is_time(&self) -> bool {
        self.kind == Kind::Instant
            || (self.exponent() == Some(0.0) && self.unit.seconds == 1 && self.unit.bytes == 0)
    }

    /// Adding, subtracting or joining two that are no constants.
    pub(super) fn join(self, other: Quantity, verb: &str) -> Quantity {
        let unit = if self.unit == other.unit { self.unit } else { Unit::NONE };
        match (&self.kind, &other.kind) {
            (Kind::Undecided(_), _) => self,
            (_, Kind::Undecided(_)) => other,
            (Kind::Text, _) => other,
            (_, Kind::Text) => self,
            (Kind::Counter, Kind::Counter) => Quantity::new(Kind::Counter, unit),
            (Kind::Instant, Kind::Instant) => Quantity::new(Kind::Instant, unit),
            (Kind::Level, Kind::Level) => Quantity::new(Kind::Level, unit),
            (Kind::Constant, _) => other,
            (_, Kind::Constant) => self,
            _ => match (self.exponent(), other.exponent()) {
                (Some(one), Some(two)) if one == two => Quantity::new(Kind::Power(one), unit),
                (Some(one), Some(two)) => Quantity::undecided(format!(
                    "it {verb} what becomes N^{one} of itself and what becomes N^{two} of itself"
                )),
                _ => Quantity::undecided(format!(
                    "it {verb} a raw counter or a point in time and something else"
                )),
            },
        }
    }

    /// Multiplied with a number.
    pub(super) fn scaled_by(mut self, number: Option<f64>) -> Quantity {
        self.factor *=
            number.filter(|number| number.is_finite() && *number != 0.0).map_or(1.0, f64::abs);
        self
    }

    pub(super) fn times(self, other: Quantity) -> Quantity {
        let unit = self.unit.times(other.unit);
        match (&self.kind, &other.kind) {
            (Kind::Undecided(_), _) | (_, Kind::Constant) => self,
            (_, Kind::Undecided(_)) | (Kind::Constant, _) => other,
            _ => match (self.exponent(), other.exponent()) {
                (Some(one), Some(two)) => Quantity::new(Kind::Power(one + two), unit),
                _ => Quantity::undecided("it multiplies a raw counter or a point in time"),
            },
        }
    }

    pub(super) fn over(self, other: Quantity) -> Quantity {
        let unit = self.unit.over(other.unit);
        match (&self.kind, &other.kind) {
            (Kind::Undecided(_), _) | (_, Kind::Constant) => self,
            (_, Kind::Undecided(_)) => other,
            (Kind::Constant, _) if other.exponent().is_some() => Quantity::new(
                Kind::Power(-other.exponent().unwrap_or(0.0)),
                Unit::NONE.over(other.unit),
            ),
            // Both have counted since the same start, so their ratio is a level.
            (Kind::Counter, Kind::Counter) => Quantity::new(Kind::Power(0.0), unit),
            _ => match (self.exponent(), other.exponent()) {
                (Some(one), Some(two)) => Quantity::new(Kind::Power(one - two), unit),
                _ => Quantity::undecided(
                    "it divides a raw counter or a point in time by something else",
                ),
            },
        }
    }
}
