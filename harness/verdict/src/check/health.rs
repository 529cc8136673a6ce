//! Services are ready and their health endpoints answer.

use super::Checker;
use crate::{History, Verdict};
use serde::{Deserialize, Serialize};

/// Every service of the stack became ready, and still ran at the end without restarts of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServicesReady {
    /// Services that must be ready; those left out by profile are not listed.
    pub services: Vec<String>,
}

/// Each documented health endpoint answers as declared, in the healthy stack (the last answer before the first drill).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthEndpoints {
    /// Endpoints, written as the probe names them.
    pub endpoints: Vec<String>,
}

impl Checker for ServicesReady {
    fn id(&self) -> String { String::from("ServicesReady") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}

impl Checker for HealthEndpoints {
    fn id(&self) -> String { String::from("HealthEndpoints") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}
