//! The metrics server: targets, series, samples, rules.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A scrape target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Job.
    pub job: String,
    /// Instance label.
    pub instance: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// URL that is scraped.
    pub scrape_url: String,
    /// Whether the last scrape succeeded.
    pub up: bool,
    /// Error of the last scrape, empty if none.
    pub last_error: String,
    /// Seconds between the last scrape and the time asked; `None` if it was never scraped.
    pub age_s: Option<f64>,
    /// Scrape interval, seconds.
    pub interval_s: f64,
    /// Duration of the last scrape, seconds.
    pub duration_s: f64,
    /// After which a scrape is given up, seconds; 0 where that was not told.
    #[serde(default)]
    pub timeout_s: f64,
}

impl Target {
    /// Whether it is scraped at this host.
    pub fn is_at(&self, host: &str) -> bool {
        crate::left_out::host_of(&self.scrape_url) == host
    }
}

/// How many series match a selector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesCount {
    /// PromQL selector.
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

/// Samples of an expression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// What the query is for; checkers find it by this name.
    pub name: String,
    /// The expression.
    pub expr: String,
    /// Start of the range, seconds since the epoch.
    pub start_s: f64,
    /// End of the range, seconds since the epoch.
    pub end_s: f64,
    /// Step, seconds; 0 if these are the raw samples as stored.
    pub step_s: f64,
    /// The series.
    pub series: Vec<Series>,
}

/// What an alerting rule's expression is made of, so that a silent alert can be explained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleInputs {
    /// Alert name.
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
    /// Left side, PromQL.
    pub left: String,
    /// Operator: `>`, `>=`, `<`, `<=`, `==`, `!=`.
    pub op: String,
    /// Literal.
    pub threshold: f64,
    /// Lowest value of the left side over the window and all series.
    pub lowest: Option<f64>,
    /// Highest value.
    pub highest: Option<f64>,
    /// Number of samples seen.
    pub samples: u64,
    /// Number of samples that are no number (0/0): no comparison with them is true.
    #[serde(default)]
    pub not_numbers: u64,
}

/// A rule group as loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleGroup {
    /// File that it came from.
    pub file: String,
    /// Name.
    pub name: String,
    /// Evaluation interval, seconds.
    pub interval_s: f64,
    /// When it was last evaluated, on the server's clock, seconds since the epoch; a little after
    /// the instant that it was due.
    #[serde(default)]
    pub last_evaluation_s: Option<f64>,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// How often a rule group was evaluated since its server started or loaded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupEvaluations {
    /// File that it came from.
    pub file: String,
    /// Name.
    pub name: String,
    /// Evaluations that took place.
    pub evaluated: u64,
    /// Evaluations of single rules of the group that failed.
    pub failed: u64,
}

/// A rule as loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Alert name, or the recorded series' name.
    pub name: String,
    /// Whether it is an alerting rule.
    pub alerting: bool,
    /// Expression.
    pub expr: String,
    /// `for`, seconds.
    pub for_s: f64,
    /// `keep_firing_for`, seconds.
    #[serde(default)]
    pub keep_firing_s: f64,
    /// Labels that it adds.
    pub labels: BTreeMap<String, String>,
    /// `ok`, `err` or `unknown`.
    pub health: String,
    /// Error of the last evaluation, empty if none.
    pub last_error: String,
    /// Duration of the last evaluation, seconds.
    pub evaluation_s: f64,
}

/// Whether a server runs with the configuration it was last given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reload {
    /// Whether the last reload was accepted.
    pub successful: bool,
    /// When the last accepted one was, seconds since the epoch.
    pub last_success_s: f64,
    /// What was seen if not.
    pub seen: String,
}
