//! Sampled operations are one complete trace; the rate fits its interval.

use super::Checker;
use crate::{History, Verdict};
use serde::{Deserialize, Serialize};

/// A span that a complete trace has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpectedSpan {
    /// Service that makes it.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Service and name of its parent; `None` for the root.
    pub parent: Option<(String, String)>,
}

/// The trace that a step of a journey leads to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpectedTrace {
    /// `journey/step`.
    pub step: String,
    /// Its spans.
    pub spans: Vec<ExpectedSpan>,
}

/// Each operation of which a span was kept (found by the attribute that carries its id) is one complete trace: one root, every
/// declared span there with its parent, no span whose parent is missing, and all spans that carry the id in one trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TracesComplete {
    /// Attribute that carries the operation's id.
    pub id_attribute: String,
    /// What each step leads to.
    pub traces: Vec<ExpectedTrace>,
    /// Least number of complete traces for a verdict.
    pub least: u64,
}

/// The share of acknowledged operations whose trace was kept fits the stated rate: exact binomial test at level `alpha`.
/// Unknown if the sample is too small to tell the rate from its half with power 0.99.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SamplingRate {
    /// Attribute that carries the operation's id.
    pub id_attribute: String,
    /// Steps (`journey/step`) that are sampled.
    pub steps: Vec<String>,
    /// Stated rate, 0 to 1.
    pub rate: f64,
    /// Chance of a false conviction.
    pub alpha: f64,
}

impl Checker for TracesComplete {
    fn id(&self) -> String { String::from("TracesComplete") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}

impl Checker for SamplingRate {
    fn id(&self) -> String { String::from("SamplingRate") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}
