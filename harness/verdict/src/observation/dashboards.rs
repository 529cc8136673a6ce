//! Dashboards and data sources.

use serde::{Deserialize, Serialize};

/// A dashboard that the server has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dashboard {
    /// Uid.
    pub uid: String,
    /// Title.
    pub title: String,
    /// Number of panels that show data (rows and text panels apart).
    pub panels: u64,
}

/// The result of one query of a panel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    /// Uid of the dashboard.
    pub dashboard: String,
    /// Title of the panel.
    pub panel: String,
    /// Query, as written in the dashboard.
    pub query: String,
    /// Data source's name or uid.
    pub datasource: String,
    /// Number of frames (series).
    pub frames: u64,
    /// Number of values that are numbers.
    pub values: u64,
    /// Error of the query, if any.
    pub error: Option<String>,
    /// Seconds that the answer took.
    pub took_s: f64,
    /// There was no answer while `took_s` was waited for one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed_out: bool,
    /// Why it was not asked, if it was not: nothing is known of it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// Something noted on a dashboard, at an instant or over a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Annotation {
    /// Uid of the dashboard; empty if it is on all.
    pub dashboard: String,
    /// What it says.
    pub text: String,
    /// Tags.
    pub tags: Vec<String>,
    /// From, seconds since the epoch.
    pub from_s: f64,
    /// To; the same as `from_s` for an instant.
    pub to_s: f64,
}

/// A data source's health.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Datasource {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Type, for example `prometheus`.
    pub kind: String,
    /// Whether a query through it succeeds.
    pub ok: bool,
    /// What it said.
    pub seen: String,
}
