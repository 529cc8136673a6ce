//! Makes a monitoring configuration N times as fast, and says what it could not.
//!
//! All durations by which the stack waits are divided by N; the traffic it watches is not sped up.
//! So whatever counts events over a window counts fewer of them, and the literals that such counts
//! are compared with are scaled along. The expression's syntax tree decides which: see
//! [`Scale::apply`].

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::monitoring::{MonitoringConfig, duration};
use crate::yaml::Place;

mod document;
mod events;
mod exponent;
mod flag;
mod quantity;
mod rule;
mod series;

pub use document::scrapes_fit;
pub use events::{RangeUse, SAMPLING_SHARE, Traffic, WindowEvents, events_in_window, ranges};
pub use series::SeriesType;

/// What the owner of a stack states about how it scales (`scaling` in firedrill.yaml).
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Declared {
    /// Name of an alert or recorded series, to the exponent k that its literals are scaled with
    /// (multiplied by N^k) wherever none can be inferred, where a count would fall below 1, and
    /// where the literal is a time. 0 leaves them.
    pub exponents: BTreeMap<String, f64>,
    /// Types of series that their names don't tell.
    pub series: BTreeMap<String, SeriesType>,
}

/// What is done with an expression whose time exponent can't be inferred.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScalingDecision {
    /// Exponent k: literals are multiplied by N^k. 0 leaves them.
    pub exponent: f64,
    /// Why this exponent is right; shown in the report.
    pub why: String,
}

impl Declared {
    /// What these decisions of a declaration state, without types of series.
    pub fn from_decisions(decisions: &BTreeMap<String, ScalingDecision>) -> Declared {
        let exponents =
            decisions.iter().map(|(name, decision)| (name.clone(), decision.exponent)).collect();
        Declared { exponents, series: BTreeMap::new() }
    }
}

/// A time scale N: how many times as fast the monitoring shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    n: f64,
    declared: Declared,
    scrape_p99: BTreeMap<String, Duration>,
    now_s: Option<i64>,
    traffic: Option<Traffic>,
    unscalable: Vec<(Place, String)>,
}

/// The configuration at a time scale, and everything that its reader must know about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaled {
    /// The time scale N.
    pub scale: f64,
    /// The scaled configuration, with the flags of the commands.
    pub config: MonitoringConfig,
    /// Every literal that an expression compares or adds: what it became and why.
    pub literals: Vec<Literal>,
    /// What was left as it is.
    pub not_scaled: Vec<NotScaled>,
    /// Durations that did not divide into whole milliseconds, or met a bound of their server.
    pub roundings: Vec<Rounding>,
    /// Flags and settings with which servers have to be started.
    pub flags: Vec<Flag>,
    /// What the windows of rules about the traffic will hold.
    pub events: Vec<WindowEvents>,
}

/// A literal of an expression.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Literal {
    /// Name of the alert or the recorded series.
    pub rule: String,
    /// The literal as written.
    pub before: String,
    /// The literal as it runs; the same text where it keeps its value.
    pub after: String,
    /// The exponent k that was applied: the literal was multiplied by N^k.
    pub exponent: f64,
    /// Where the exponent comes from: declared, inferred, or why it is 0.
    pub why: String,
    /// Where it stands.
    pub place: Place,
}

/// Something that was left as it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NotScaled {
    /// What it is, in words.
    pub what: String,
    /// Its value, as written.
    pub value: String,
    /// Why it is left as it is.
    pub why: String,
    /// Where it stands; none for what servers do without being configured.
    pub place: Option<Place>,
}

/// A duration that is not exactly the N-th part of what is written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rounding {
    /// Which duration it is: a key, or an alert and what it is of it.
    pub what: String,
    /// The exact N-th part, in milliseconds.
    pub exact_ms: f64,
    /// The duration that is used, in milliseconds.
    pub used_ms: u64,
    /// The bound that it met; empty where it is only rounded to whole milliseconds.
    pub why: String,
}

/// A flag or setting with which a server has to be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flag {
    /// Name of the service.
    pub service: String,
    /// Name of the flag without dashes, or of a setting of Elasticsearch.
    pub name: String,
    /// What it is set to.
    pub value: String,
}

/// A number that is no time scale.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("time scale {0} is out of range, wanted 1 to 10000")]
pub struct ScaleError(pub f64);

impl ScaleError {
    /// What to do about it, as one sentence.
    pub fn hint(&self) -> &'static str {
        "20 makes minutes of hours; 1 runs the configuration untouched"
    }
}

/// Why a configuration can't be had at a time scale.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refusal {
    /// The N that was asked for.
    pub scale: f64,
    /// Everything that stands against it, not only the first.
    pub reasons: Vec<Reason>,
    /// The largest N, whole or 1, that none of the reasons stands against.
    pub largest_n_that_works: f64,
}

/// One reason against a time scale.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason {
    /// What it is about: an alert, a recorded series, a job or a setting.
    pub subject: String,
    /// Where it stands, if anywhere.
    pub place: Option<Place>,
    /// The expression or value that was seen there.
    pub seen: String,
    /// Why it can't be scaled.
    pub why: String,
    /// What to do about it, as one sentence.
    pub hint: String,
    /// The largest N that this reason allows.
    pub largest_n: f64,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "time scale {} can't be had; the largest that works is {}",
            self.scale, self.largest_n_that_works
        )?;
        for reason in &self.reasons {
            write!(out, "\n  ")?;
            let place = reason.place.as_ref().map(Place::to_string);
            if let Some(place) = &place {
                write!(out, "{place}: ")?;
            }
            // A setting is named by its place.
            if place.as_ref() != Some(&reason.subject) {
                write!(out, "{}: ", reason.subject)?;
            }
            write!(out, "{}", reason.why)?;
            if !reason.seen.is_empty() {
                write!(out, "; seen `{}`", reason.seen)?;
            }
            write!(out, "\n    hint: {}", reason.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

impl Scale {
    /// A time scale of `n`, 1 to 10000.
    ///
    /// # Errors
    /// Refuses anything else.
    pub fn new(n: f64) -> Result<Scale, ScaleError> {
        if (1.0..=10_000.0).contains(&n) {
            Ok(Scale {
                n,
                declared: Declared::default(),
                scrape_p99: BTreeMap::new(),
                now_s: None,
                traffic: None,
                unscalable: Vec::new(),
            })
        } else {
            Err(ScaleError(n))
        }
    }

    /// The number N, 1 to 10000.
    pub fn n(&self) -> f64 {
        self.n
    }

    /// This scale with what the owner of the stack states about it.
    #[must_use]
    pub fn declared(mut self, declared: Declared) -> Scale {
        self.declared = declared;
        self
    }

    /// With the 99th percentile of how long scrapes take, by job, as measured: where one exceeds
    /// half its scaled timeout, the scale is refused.
    #[must_use]
    pub fn measured_scrapes(mut self, p99: BTreeMap<String, Duration>) -> Scale {
        self.scrape_p99 = p99;
        self
    }

    /// At this instant, seconds since 1970: windows of the calendar are put around it or away from
    /// it. Without, they stay.
    #[must_use]
    pub fn at(mut self, now_s: i64) -> Scale {
        self.now_s = Some(now_s);
        self
    }

    /// With the traffic that windows will hold: a scale at which a healthy stack's windows cross a
    /// threshold by chance is refused.
    #[must_use]
    pub fn traffic(mut self, traffic: Option<Traffic>) -> Scale {
        self.traffic = traffic;
        self
    }

    /// With files that the servers read as they are written, whatever a run writes in their place,
    /// each with the reason: any scale but 1 is refused, since it would be true of some servers or
    /// files only.
    #[must_use]
    pub fn unscalable(mut self, files: Vec<(Place, String)>) -> Scale {
        self.unscalable = files;
        self
    }

    /// The configuration at this scale. At 1 it is returned untouched.
    ///
    /// Divided by N are scrape intervals and timeouts, evaluation intervals, `for`,
    /// `keep_firing_for`, ranges, subqueries and offsets of expressions, the waits of
    /// Alertmanager's routes, `resolve_timeout`, the decision wait of tail sampling, batches of a
    /// Collector, looks of a shipper at its files, fault detection of Elasticsearch, what a
    /// blackbox exporter keeps back of a time-out, and the flags that carry such durations.
    /// Defaults that the files don't mention are written out. For each sub-expression the exponent
    /// k by which its value changes (N^k) is inferred, and the literals beside it follow.
    ///
    /// # Errors
    /// Everything that can't be decided, and the largest N that works.
    pub fn apply(&self, config: &MonitoringConfig) -> Result<Scaled, Refusal> {
        let mut scaled = Scaled {
            scale: self.n,
            config: config.clone(),
            literals: Vec::new(),
            not_scaled: Vec::new(),
            roundings: Vec::new(),
            flags: Vec::new(),
            events: Vec::new(),
        };
        if self.n == 1.0 {
            return Ok(scaled);
        }
        let mut work = Work {
            scale: self,
            reasons: Vec::new(),
            not_scaled: Vec::new(),
            roundings: Vec::new(),
            literals: Vec::new(),
            flags: Vec::new(),
        };
        for (place, why) in &self.unscalable {
            work.reasons.push(Reason {
                subject: "this file would run as it is written".into(),
                place: Some(place.clone()),
                seen: String::new(),
                why: why.clone(),
                hint: "put it into the stack's folder, or mount it by itself, so that the run can write it anew; or use time scale 1"
                    .into(),
                largest_n: 1.0,
            });
        }
        for server in &mut scaled.config.prometheus {
            work.measured(server);
            work.rules(server);
            work.prometheus(server);
            work.prometheus_flags(server);
        }
        for server in &mut scaled.config.alertmanagers {
            work.alertmanager(server);
            work.alertmanager_flags(server);
        }
        for server in &mut scaled.config.collectors {
            work.collector(server);
        }
        for server in &mut scaled.config.elasticsearch {
            work.elasticsearch(server);
        }
        for server in &mut scaled.config.probers {
            work.prober(server);
        }
        for server in &mut scaled.config.shippers {
            work.shipper(server);
        }
        scaled.events = work.events(config);
        if !work.reasons.is_empty() {
            let largest =
                work.reasons.iter().map(|reason| reason.largest_n).fold(f64::INFINITY, f64::min);
            return Err(Refusal {
                scale: self.n,
                reasons: work.reasons,
                largest_n_that_works: largest.max(1.0),
            });
        }
        scaled.literals = work.literals;
        scaled.not_scaled = work.not_scaled;
        scaled.roundings = work.roundings;
        scaled.flags = work.flags;
        Ok(scaled)
    }

    /// The configuration at this scale, or at the largest smaller one that works; in that case with
    /// the refusal that says why. For a default scale, which may lower itself; one asked for by a
    /// person goes through [`Scale::apply`].
    pub fn apply_or_lower(&self, config: &MonitoringConfig) -> (Scaled, Option<Refusal>) {
        let mut scale = self.clone();
        let mut first = None;
        loop {
            match scale.apply(config) {
                Ok(scaled) => return (scaled, first),
                Err(refusal) => {
                    // Lowering may bring up another reason, so it is repeated; 1 always works.
                    scale.n = if refusal.largest_n_that_works < scale.n {
                        refusal.largest_n_that_works
                    } else {
                        1.0
                    };
                    first.get_or_insert(refusal);
                }
            }
        }
    }
}

/// What one application gathers.
struct Work<'a> {
    scale: &'a Scale,
    reasons: Vec<Reason>,
    not_scaled: Vec<NotScaled>,
    roundings: Vec<Rounding>,
    literals: Vec<Literal>,
    flags: Vec<Flag>,
}

impl Work<'_> {
    /// A N-th of a duration; notes a rounding, refuses what would vanish.
    fn divided(&mut self, from: Duration, what: &str, place: Option<&Place>) -> Duration {
        let division = divide(from, self.scale.n);
        if let Some(exact_ms) = division.rounded_from_ms {
            self.rounded(what, exact_ms, division.duration, "");
        }
        if let Some(largest_n) = division.too_short {
            self.reasons.push(Reason {
                subject: what.to_owned(),
                place: place.cloned(),
                seen: text_of(from),
                why: format!("divided by {} it is less than a millisecond", self.scale.n),
                hint: "use a smaller time scale".into(),
                largest_n,
            });
        }
        division.duration
    }

    fn rounded(&mut self, what: &str, exact_ms: f64, used: Duration, why: &str) {
        let used_ms = u64::try_from(used.as_millis()).unwrap_or(u64::MAX);
        self.roundings.push(Rounding {
            what: what.to_owned(),
            exact_ms,
            used_ms,
            why: why.to_owned(),
        });
    }

    fn left(
        &mut self,
        what: impl Into<String>,
        value: impl Into<String>,
        why: impl Into<String>,
        place: Option<Place>,
    ) {
        self.not_scaled.push(NotScaled {
            what: what.into(),
            value: value.into(),
            why: why.into(),
            place,
        });
    }
}

/// A duration divided by N.
struct Division {
    duration: Duration,
    /// The exact result in milliseconds, where it is not whole.
    rounded_from_ms: Option<f64>,
    /// Where the result would be nothing: the largest N that leaves a millisecond.
    too_short: Option<f64>,
}

fn divide(from: Duration, n: f64) -> Division {
    let from_ms = from.as_secs_f64() * 1000.0;
    let exact = from_ms / n;
    let whole = exact.round();
    let vanishes = !from.is_zero() && whole < 1.0;
    let used = if vanishes { 1.0 } else { whole };
    Division {
        duration: Duration::from_millis(used as u64),
        rounded_from_ms: ((exact - whole).abs() > 1e-6 && !vanishes).then_some(exact),
        too_short: vanishes.then(|| from_ms.floor().max(1.0)),
    }
}

fn text_of(duration: Duration) -> String {
    duration::format(duration)
}

#[cfg(test)]
mod delays;
#[cfg(test)]
mod laws;
#[cfg(test)]
pub(crate) mod table_a;
