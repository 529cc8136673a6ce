//! Alerts are quiet when healthy, fire under their fault, reach their receivers, and resolve; and why they don't.
//!
//! Firing is read from `Samples` named `alerts` (the `ALERTS` series over the whole run, step = evaluation interval), never by polling.

use super::Checker;
use crate::{History, Verdict};
use serde::{Deserialize, Serialize};

/// The alert was neither firing nor pending-to-firing while the stack was healthy: in the steady phases before and between the
/// drills, and during drills whose blast radius does not name it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertQuiet {
    /// Alert name.
    pub alert: String,
    /// Drills that may raise it.
    pub allowed_in: Vec<String>,
}

/// The alert fires within its budget after the fault bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertFires {
    /// Alert name.
    pub alert: String,
    /// Drill that causes it.
    pub drill: String,
    /// Seconds from the injection within which it must be firing.
    pub within_s: f64,
    /// What the drill is, for the sentence: `fault stop on postfix`.
    pub fault: String,
}

/// A notification of the alert, firing, was accepted by each receiver within the budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertReaches {
    /// Alert name.
    pub alert: String,
    /// Drill that causes it.
    pub drill: String,
    /// Receivers, as the declaration names the stand-ins.
    pub receivers: Vec<String>,
    /// Labels that the notified alert must carry, where the protocol shows labels.
    pub labels: std::collections::BTreeMap<String, String>,
    /// Seconds from the injection within which each must have it.
    pub within_s: f64,
}

/// After healing the alert stops firing and each receiver that speaks of resolution gets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertResolves {
    /// Alert name.
    pub alert: String,
    /// Drill that causes it.
    pub drill: String,
    /// Receivers that must get the resolution.
    pub receivers: Vec<String>,
    /// Seconds from healing.
    pub within_s: f64,
}

/// During a drill no alert fires beyond those that it is about and those of its blast radius.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NothingElseFires {
    /// Drill.
    pub drill: String,
    /// Alerts that may fire: its own, its blast radius's, and those of drills in the same wave.
    pub allowed: Vec<String>,
}

impl Checker for AlertQuiet {
    fn id(&self) -> String { String::from("AlertQuiet") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}

impl Checker for AlertFires {
    fn id(&self) -> String { String::from("AlertFires") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}

impl Checker for AlertReaches {
    fn id(&self) -> String { String::from("AlertReaches") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}

impl Checker for AlertResolves {
    fn id(&self) -> String { String::from("AlertResolves") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}

impl Checker for NothingElseFires {
    fn id(&self) -> String { String::from("NothingElseFires") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}
