//! Targets are up and fresh, expected series exist, the configuration in force is the one on disk.

use super::Checker;
use crate::{History, Verdict};
use serde::{Deserialize, Serialize};

/// Targets of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpectedTarget {
    /// Job.
    pub job: String,
    /// How many targets it has at least.
    pub count: u64,
}

/// Every expected target is up and its last scrape is younger than three intervals, in the healthy stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetsUp {
    /// What must be there.
    pub targets: Vec<ExpectedTarget>,
}

/// Each expected selector matches at least one series, in the healthy stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesPresent {
    /// PromQL selectors.
    pub selectors: Vec<String>,
}

/// Every service exposes metrics (has at least one target), except those that the declaration names as having none; those are named in
/// the verdict's reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricsEndpoints {
    /// Service to job.
    pub services: Vec<(String, String)>,
    /// Services without metrics, with the reason.
    pub without: Vec<(String, String)>,
}

/// The metrics server and the alert manager run with the configuration they were last given, and every rule group evaluates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationLoaded {
    /// Services whose reload status was asked.
    pub servers: Vec<String>,
    /// Alerts that must be loaded.
    pub alerts: Vec<String>,
}

impl Checker for TargetsUp {
    fn id(&self) -> String { String::from("TargetsUp") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}

impl Checker for SeriesPresent {
    fn id(&self) -> String { String::from("SeriesPresent") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}

impl Checker for MetricsEndpoints {
    fn id(&self) -> String { String::from("MetricsEndpoints") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}

impl Checker for ConfigurationLoaded {
    fn id(&self) -> String { String::from("ConfigurationLoaded") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}
