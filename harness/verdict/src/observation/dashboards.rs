//! Dashboards and data sources.

use serde::{Deserialize, Serialize};

/// A dashboard that the server has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dashboard {
    /// Uid, by which panels refer to it.
    pub uid: String,
    /// Title that users see.
    pub title: String,
    /// Number of panels that show data; rows and text panels do not count.
    pub panels: u64,
}

/// The result of one query of a panel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    /// Uid of the dashboard that the panel is on.
    pub dashboard: String,
    /// Title of the panel.
    pub panel: String,
    /// The query as the dashboard has it, variables included.
    pub query: String,
    /// Name or uid of the data source that the query goes to.
    pub datasource: String,
    /// Number of frames in the answer; a frame is a series or a table.
    pub frames: u64,
    /// Number of values in all frames that are numbers.
    pub values: u64,
    /// Error of the query; `None` if it succeeded.
    pub error: Option<String>,
    /// Seconds of monotonic time until the answer was there, or was given up.
    pub took_s: f64,
    /// Whether no answer came while `took_s` was waited for one.
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
    /// The text that is shown.
    pub text: String,
    /// Tags by which it is found.
    pub tags: Vec<String>,
    /// When it begins, in seconds since the Unix epoch.
    pub from_s: f64,
    /// When it ends, in seconds since the Unix epoch; equal to `from_s` for an instant.
    pub to_s: f64,
}

/// The health of a data source, as a query through it shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Datasource {
    /// Name of the data source.
    pub name: String,
    /// Uid, by which panels refer to it.
    pub uid: String,
    /// Type, for example `prometheus`.
    pub kind: String,
    /// Whether a query through it succeeds.
    pub ok: bool,
    /// What the data source answered, or the error.
    pub seen: String,
}
