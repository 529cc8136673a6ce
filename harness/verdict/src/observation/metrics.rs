//! The metrics server: targets, series, samples, rules.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A scrape target, as the metrics server shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Name of its job (label `job`).
    pub job: String,
    /// Its label `instance`, mostly `host:port`.
    pub instance: String,
    /// All labels that its series carry.
    pub labels: BTreeMap<String, String>,
    /// URL that is scraped, query included.
    pub scrape_url: String,
    /// Whether the last scrape succeeded.
    pub up: bool,
    /// Error of the last scrape; empty if it succeeded.
    pub last_error: String,
    /// Seconds between the last scrape and the time at which the server was asked; `None` if it was
    /// never scraped.
    pub age_s: Option<f64>,
    /// Scrape interval that applies to it, in seconds.
    pub interval_s: f64,
    /// How long the last scrape took, in seconds.
    pub duration_s: f64,
    /// Seconds after which a scrape is given up; 0 where that was not recorded.
    #[serde(default)]
    pub timeout_s: f64,
}

impl Target {
    /// Whether it is scraped at this host.
    pub fn is_at(&self, host: &str) -> bool {
        crate::left_out::host_of(&self.scrape_url) == host
    }
}

/// How many series a selector matches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesCount {
    /// The selector, as PromQL.
    pub selector: String,
    /// Number of series with a sample within the lookback.
    pub count: u64,
}

/// A series with its points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Labels, name included as `__name__` where there is one.
    pub labels: BTreeMap<String, String>,
    /// Time in seconds since the Unix epoch, and value. JSON has no NaN and no infinity: points
    /// with those are strings in the server's answer and `None` here.
    pub points: Vec<(f64, Option<f64>)>,
}

/// Samples of an expression over a range of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// What the query is for; checkers find it by this name.
    pub name: String,
    /// The expression, as PromQL.
    pub expr: String,
    /// Start of the range, in seconds since the Unix epoch.
    pub start_s: f64,
    /// End of the range, included, in seconds since the Unix epoch.
    pub end_s: f64,
    /// Step of the range query in seconds; 0 if these are the raw samples as stored.
    pub step_s: f64,
    /// The series that the expression gave.
    pub series: Vec<Series>,
}

/// What an alerting rule's expression is made of, so that a silent alert can be explained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleInputs {
    /// Name of the alert.
    pub alert: String,
    /// The drill in whose window this was asked; `None` for the whole run.
    pub drill: Option<String>,
    /// The whole expression, as the server runs it.
    pub expr: String,
    /// Comparisons in it, outermost first: left side, operator, threshold, and the samples of the
    /// left side.
    pub comparisons: Vec<Comparison>,
    /// Selectors in it and how many series each matched over the window.
    pub selectors: Vec<SeriesCount>,
    /// Upper bounds of the histogram buckets below a `histogram_quantile`, seconds, `+Inf` left
    /// out.
    pub bucket_bounds: Vec<f64>,
}

/// A comparison of an expression with a literal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Left side of the comparison, as PromQL.
    pub left: String,
    /// Operator, one of `>`, `>=`, `<`, `<=`, `==`, `!=`.
    pub op: String,
    /// The literal on its right side.
    pub threshold: f64,
    /// Lowest value of the left side over the window and all series; `None` if it had none.
    pub lowest: Option<f64>,
    /// Highest value of the left side over the window and all series; `None` if it had none.
    pub highest: Option<f64>,
    /// Number of samples of the left side over the window and all series.
    pub samples: u64,
    /// Number of samples that are no number (0/0): no comparison with them is true.
    #[serde(default)]
    pub not_numbers: u64,
}

/// A rule group as the server has loaded it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleGroup {
    /// Path of its file in the server.
    pub file: String,
    /// Name of the group, unique within its file.
    pub name: String,
    /// Interval at which it is evaluated, in seconds.
    pub interval_s: f64,
    /// When it was last evaluated, on the server's clock, seconds since the epoch; a little after
    /// the instant that it was due.
    #[serde(default)]
    pub last_evaluation_s: Option<f64>,
    /// Its rules, in the order in which they are evaluated.
    pub rules: Vec<Rule>,
}

/// How often a rule group was evaluated since its server started or loaded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupEvaluations {
    /// Path of its file in the server.
    pub file: String,
    /// Name of the group, unique within its file.
    pub name: String,
    /// Number of evaluations of the group since then.
    pub evaluated: u64,
    /// Number of evaluations of single rules of the group that failed since then.
    pub failed: u64,
}

/// A rule as the server has loaded it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Name of the alert, or of the series that is recorded.
    pub name: String,
    /// Whether it is an alerting rule rather than a recording rule.
    pub alerting: bool,
    /// Its expression, as PromQL.
    pub expr: String,
    /// Its `for`, in seconds; 0 where it has none.
    pub for_s: f64,
    /// Its `keep_firing_for`, in seconds; 0 where it has none.
    #[serde(default)]
    pub keep_firing_s: f64,
    /// Labels that the rule itself adds.
    pub labels: BTreeMap<String, String>,
    /// Health as the server gives it: `ok`, `err` or `unknown`.
    pub health: String,
    /// Error of the last evaluation; empty if it succeeded.
    pub last_error: String,
    /// How long the last evaluation took, in seconds.
    pub evaluation_s: f64,
}

/// Whether a server runs with the configuration it was last given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reload {
    /// Whether the last reload was accepted.
    pub successful: bool,
    /// When the last accepted reload was, on the server's clock, in seconds since the Unix epoch.
    pub last_success_s: f64,
    /// What the server showed where the reload was not accepted.
    pub seen: String,
}
