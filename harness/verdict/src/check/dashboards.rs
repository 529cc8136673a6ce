//! Each panel's query returns data; data sources are healthy.

use super::Checker;
use crate::{History, Verdict};
use serde::{Deserialize, Serialize};

/// A dashboard that must be there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpectedDashboard {
    /// Uid.
    pub uid: String,
    /// Least number of panels with queries.
    pub panels: u64,
    /// Panels (titles) that are empty in a healthy stack, for example errors by kind.
    pub may_be_empty: Vec<String>,
}

/// Each query of each panel of the dashboards returns data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PanelsReturnData {
    /// The dashboards.
    pub dashboards: Vec<ExpectedDashboard>,
}

/// Each declared data source answers a query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasourcesHealthy {
    /// Names.
    pub names: Vec<String>,
}

impl Checker for PanelsReturnData {
    fn id(&self) -> String { String::from("PanelsReturnData") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}

impl Checker for DatasourcesHealthy {
    fn id(&self) -> String { String::from("DatasourcesHealthy") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}
