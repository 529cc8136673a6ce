//! Why a stack did not notice. One list, shared by "why did it not page?" and the sabotage
//! catalogue.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The stage or part that is broken. A cause knows neither a stack's names nor a sabotage's.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    // Services.
    /// A service did not become ready, or a health endpoint does not answer as declared.
    ServiceUnhealthy,
    /// A service is left out of the run, and something else answers for it.
    LeftOutAnswers,

    // Scraping.
    /// No target of the job is known to the metrics server.
    TargetNotInDiscovery,
    /// The target is known and its scrapes fail.
    TargetNotScraped,
    /// The target's last scrape is older than its interval allows.
    TargetStale,
    /// The target answers, but not within the time-out of its scrape while it has work to do.
    ScrapeTimesOut,
    /// The service has no metrics endpoint that is scraped.
    NoMetricsEndpoint,
    /// A job scrapes what belongs to another service.
    TargetOfAnother,
    /// A series that is expected, or that a rule selects, does not exist.
    SeriesAbsent,
    /// The metrics server keeps samples for less time than declared.
    RetentionTooShort,

    // Rules.
    /// The server refused its last configuration and runs on an older one.
    ReloadRejected,
    /// The server reads another file than the one that lies on disk under its name.
    FileReplacedUnderMount,
    /// The metrics server has not loaded the rule.
    RuleNotLoaded,
    /// The rule's group fails to evaluate.
    RuleFailing,
    /// Two rules make alerts of the same name and labels, so that one hides or resolves the
    /// other's.
    RuleDuplicated,
    /// The expression was evaluated and never true.
    ExpressionFalse,
    /// A histogram's highest finite bucket does not reach beyond the threshold, so the quantile
    /// can't exceed it.
    BucketsBelowThreshold,
    /// The condition held, but not for as long as `for` asks.
    StillPending,
    /// The metrics server was restarted while the condition held, and `for` began anew.
    ResetByRestart,
    /// The alert fired while the stack was healthy.
    FiredWhileHealthy,

    // Servers of one role.
    /// Metrics servers that scrape the same can't be told apart by their external labels.
    ReplicasAlike,
    /// A metrics server sends its alerts to some of the alert managers only.
    ManagerNotAddressed,
    /// Alert managers that should be one cluster don't know each other.
    PeersApart,
    /// Alert managers of one cluster run with different configurations.
    PeersDiffer,
    /// Each metrics server sends an alert under a label of its own, so that it is held twice.
    ReplicaLabelKept,

    // Notification.
    /// The alert fired and the alert manager never had it.
    NotSentToManager,
    /// Another alert inhibits the notification.
    Inhibited,
    /// A silence matches the alert.
    Silenced,
    /// A time interval mutes the route of the alert.
    Muted,
    /// The alert's route leads to other receivers.
    RoutedElsewhere,
    /// The alert waits for its group's timer at the alert manager.
    WaitingInGroup,
    /// The alert manager takes the receiver for told already, and does not repeat it yet.
    Deduplicated,
    /// The receiver refused the notification (wrong path, wrong key, error).
    ReceiverRefused,
    /// The notification did not arrive and nothing above explains it.
    NotNotified,
    /// A service is gone, and no alert says so.
    Gap,
    /// It arrived later than its budget allows.
    TooLate,
    /// The alert was never reported as resolved.
    NotResolved,
    /// People were told that it is over while it was not.
    FalseAllClear,
    /// A notification that must keep coming stopped coming.
    NotRepeated,
    /// It was notified more often than once.
    NotifiedTwice,
    /// The notified alert carries other labels than declared.
    LabelsDiffer,
    /// An alert fired during a drill that neither is about it nor names it in its blast radius.
    FiredUnexpectedly,

    // Logs.
    /// An acknowledged operation has no log line in the store.
    LogLineMissing,
    /// A line is in the store more than once.
    LogLineDuplicated,
    /// A line is in another index than its day and source demand.
    WrongIndex,
    /// A field is missing in a line.
    FieldMissing,
    /// A field has another type than declared.
    FieldTypeMismatch,

    // Traces.
    /// Spans that belong to one operation are in different traces, or a span's parent is missing.
    SpanWithoutParent,
    /// A trace lacks a span that its journey declares.
    SpanMissing,
    /// The share of traces kept does not fit the stated rate.
    SamplingRateOff,
    /// No trace arrived at the store.
    NoTraces,

    // Dashboards.
    /// A panel's query returns no data.
    PanelWithoutData,
    /// A panel's query fails.
    PanelQueryFails,
    /// A data source does not answer a query.
    DatasourceUnhealthy,
    /// A declared dashboard does not exist.
    DashboardMissing,

    // Recovery and baselines.
    /// After healing, a measure did not return into its baseline.
    NotRecovered,
    /// A measure is outside its baseline in a healthy run.
    OutsideBaseline,
}

impl Cause {
    /// The name that reports and sabotage files use.
    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(s)) => s,
            _ => format!("{self:?}"),
        }
    }
}
