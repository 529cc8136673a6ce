//! What the name of a series tells: counter or level, seconds or bytes.
//!
//! A configuration does not carry the types of its series, so they are read from the conventions of
//! names and from how rules use them; whoever knows better declares it.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::parser::Expr;

use super::quantity::{Kind, Quantity};
use crate::monitoring::promql;

/// Powers of seconds and bytes; other units don't matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) seconds: i32,
    pub(super) bytes: i32,
}

impl Unit {
    pub(super) const NONE: Unit = Unit { seconds: 0, bytes: 0 };
    pub(super) const SECONDS: Unit = Unit { seconds: 1, bytes: 0 };

    pub(super) fn times(self, other: Unit) -> Unit {
        Unit { seconds: self.seconds + other.seconds, bytes: self.bytes + other.bytes }
    }

    pub(super) fn over(self, other: Unit) -> Unit {
        Unit { seconds: self.seconds - other.seconds, bytes: self.bytes - other.bytes }
    }
}

/// Type of a series, where its owner states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeriesType {
    /// It only grows, until it starts again.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// What is known about series.
#[derive(Debug, Clone, Default)]
pub(super) struct Knowledge {
    /// Stated by the owner.
    pub(super) stated: BTreeMap<String, SeriesType>,
    /// Series that some rule takes a rate of, and their siblings.
    counted: BTreeSet<String>,
    /// Quantities of recorded series.
    pub(super) recorded: BTreeMap<String, Quantity>,
}

impl Knowledge {
    /// Learns from how an expression uses its series.
    pub(super) fn learn(&mut self, expr: &Expr) {
        if let Expr::Call(call) = expr
            && matches!(call.func.name, "rate" | "irate" | "increase" | "resets")
        {
            for selector in promql::selectors(expr) {
                let Some(name) = promql::metric_name(selector) else { continue };
                self.counted.insert(name.to_owned());
                for suffix in ["_bucket", "_sum", "_count"] {
                    if let Some(base) = name.strip_suffix(suffix) {
                        self.counted.extend(
                            ["_bucket", "_sum", "_count"].map(|other| format!("{base}{other}")),
                        );
                    }
                }
            }
        }
        for child in promql::children(expr) {
            self.learn(child);
        }
    }

    /// The quantity that a series has.
    pub(super) fn quantity(&self, name: Option<&str>) -> Quantity {
        let Some(name) = name else { return Quantity::new(Kind::Level, Unit::NONE) };
        if let Some(recorded) = self.recorded.get(name) {
            return recorded.clone();
        }
        let unit = unit_of(name);
        let kind = match self.stated.get(name) {
            Some(SeriesType::Counter) => Kind::Counter,
            Some(SeriesType::Gauge) => Kind::Level,
            None if is_instant(name) => Kind::Instant,
            None if name.ends_with("_total")
                || name.ends_with("_bucket")
                || self.counted.contains(name) =>
            {
                Kind::Counter
            }
            None => Kind::Level,
        };
        Quantity::new(kind, unit)
    }
}

fn is_instant(name: &str) -> bool {
    [
        "_timestamp_seconds",
        "_timestamp",
        "_start_time_seconds",
        "_boot_time_seconds",
        "_created",
        "_cert_expiry",
        "_not_after",
    ]
    .iter()
    .any(|suffix| name.ends_with(suffix))
        || matches!(name, "ALERTS_FOR_STATE" | "node_time_seconds")
}

/// Unit of a series by its name.
pub(super) fn unit_of(name: &str) -> Unit {
    let of_base = |base: &str| {
        let times = [
            "seconds",
            "milliseconds",
            "microseconds",
            "nanoseconds",
            "minutes",
            "hours",
            "ms",
            "us",
            "usec",
            "msec",
            "duration",
            "latency",
        ];
        let vague = ["lag", "age", "uptime", "delay"];
        match base.rsplit('_').next().unwrap_or("") {
            "bytes" => Unit { seconds: 0, bytes: 1 },
            last if times.contains(&last) || vague.contains(&last) => Unit::SECONDS,
            _ => Unit::NONE,
        }
    };
    // Buckets and counts number events, whatever these measure.
    if name.ends_with("_bucket") || name.ends_with("_count") {
        return Unit::NONE;
    }
    of_base(name.strip_suffix("_total").or_else(|| name.strip_suffix("_sum")).unwrap_or(name))
}

/// Unit of what the histograms in an expression observe.
pub(super) fn observed_unit(expr: &Expr) -> Unit {
    promql::selectors(expr)
        .iter()
        .filter_map(|selector| promql::metric_name(selector))
        .map(|name| {
            let base = ["_bucket", "_count", "_sum"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix))
                .unwrap_or(name);
            // Recorded series keep the metric between colons.
            base.split(':').map(unit_of).find(|unit| *unit != Unit::NONE).unwrap_or(Unit::NONE)
        })
        .find(|unit| *unit != Unit::NONE)
        .unwrap_or(Unit::NONE)
}
