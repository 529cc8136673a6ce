//! How long an alert may take, stage by stage, from the user's own configuration.
//!
//! The bound runs from the moment a condition becomes true (a fault bites) to the notification, and
//! from healing to the news of it. Each stage says what it rests on. A measured time is compared
//! stage by stage, so a late page has a culprit; a wanted time below the bound is refused before
//! anything starts. What a noisy host adds is a stage of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use verdict::check::alerts::StageBudget;

use crate::monitoring::MonitoringConfig;

mod reach;
mod rule;

use reach::places;

/// A stage between a condition and its notification, or between its end and the news of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Until the window that the expression looks over holds enough of the new to cross the
    /// threshold.
    WindowFill,
    /// Until the window holds little enough of the old.
    WindowDrain,
    /// Until the next scrape has brought it in.
    Scrape,
    /// Until a recorded series that the expression reads is evaluated.
    Recording,
    /// `query_offset` of the group, by which its evaluations look back:
    /// <https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/>.
    QueryOffset,
    /// Until the rule is evaluated next.
    Evaluation,
    /// `for`, rounded up to whole evaluations.
    Hold,
    /// `keep_firing_for`, rounded up to whole evaluations.
    KeepFiring,
    /// `group_wait`: how long a new group waits before its first notification.
    GroupWait,
    /// `group_interval`: how long a group that was notified before waits until changes are notified.
    GroupInterval,
    /// Until it is this member's turn in a cluster of Alertmanagers: each waits `--cluster.peer-timeout`
    /// for each peer before it.
    PeerTurn,
    /// An allowance for the way from one server to the next and to the receiver.
    Delivery,
    /// An allowance for what else runs on the host.
    HostNoise,
}

impl Stage {
    /// Its name, as in `report.json`.
    pub fn name(self) -> &'static str {
        match self {
            Stage::WindowFill => "window_fill",
            Stage::WindowDrain => "window_drain",
            Stage::Scrape => "scrape",
            Stage::Recording => "recording",
            Stage::QueryOffset => "query_offset",
            Stage::Evaluation => "evaluation",
            Stage::Hold => "hold",
            Stage::KeepFiring => "keep_firing",
            Stage::GroupWait => "group_wait",
            Stage::GroupInterval => "group_interval",
            Stage::PeerTurn => "peer_turn",
            Stage::Delivery => "delivery",
            Stage::HostNoise => "host_noise",
        }
    }

    /// Whether it ends when the samples satisfy the expression.
    fn is_before_samples(self) -> bool {
        matches!(self, Stage::WindowFill | Stage::Scrape | Stage::Recording)
    }
}

/// The most that one stage takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageTime {
    /// Which stage it is.
    pub stage: Stage,
    /// The longest that it takes; in seconds where it is written.
    #[serde(serialize_with = "as_seconds", rename = "takes_s")]
    pub takes: Duration,
    /// The setting or assumption that this follows from, as a person reads it.
    pub basis: String,
}

/// How fast a window comes to cross a threshold after its condition began (or ended).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Fill {
    /// The window has to be filled (drained) wholly.
    #[default]
    Whole,
    /// The value jumps: once the window is full of the new it is `reached`, and the threshold lies
    /// at this value. It is crossed after threshold/reached of the window (and drained below it
    /// after the rest).
    Step {
        /// Value once the whole window lies in the condition.
        reached: f64,
        /// Value of the threshold.
        threshold: f64,
    },
    /// This share of the window, 0 to 1.
    Share(f64),
}

impl Fill {
    fn filling(self) -> (f64, String) {
        match self {
            Fill::Whole => (1.0, "the whole window".into()),
            Fill::Share(share) => {
                (share.clamp(0.0, 1.0), format!("{share} of the window, as given"))
            }
            Fill::Step { reached, threshold }
                if reached > 0.0 && threshold > 0.0 && threshold < reached =>
            {
                (threshold / reached, format!("from 0 to {reached}, threshold {threshold}"))
            }
            Fill::Step { .. } => {
                (1.0, "the whole window, for the threshold is not below what is reached".into())
            }
        }
    }

    fn draining(self) -> (f64, String) {
        match self {
            Fill::Step { reached, threshold }
                if reached > 0.0 && threshold > 0.0 && threshold < reached =>
            {
                (1.0 - threshold / reached, format!("from {reached} to 0, threshold {threshold}"))
            }
            Fill::Step { .. } | Fill::Whole => (1.0, "the whole window".into()),
            // How the value falls is not known from how it rose.
            Fill::Share(_) => (1.0, "the whole window, since only its filling was given".into()),
        }
    }
}

/// What a budget rests on besides the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetAssumptions {
    /// How far a window has to fill before the threshold is crossed.
    pub fill: Fill,
    /// The 99th percentile of how long scrapes take, as measured.
    pub scrape_takes: Duration,
    /// Whether the target hangs instead of refusing, so that its scrape ends by time-out.
    pub target_hangs: bool,
    /// Whether the alert joins a group that was notified before.
    pub joins_group: bool,
    /// Allowance for the way from Prometheus over Alertmanager to the receiver.
    pub delivery: Duration,
    /// Allowance for what else runs on the host; its own stage.
    pub host_noise: Duration,
    /// Position of the Alertmanager that has to notify: 0 if all members of the cluster are up.
    pub peer_position: u32,
}

impl Default for BudgetAssumptions {
    fn default() -> Self {
        BudgetAssumptions {
            fill: Fill::Whole,
            scrape_takes: Duration::ZERO,
            target_hangs: false,
            joins_group: false,
            delivery: Duration::from_millis(500),
            host_noise: Duration::ZERO,
            peer_position: 0,
        }
    }
}

impl BudgetAssumptions {
    /// As fast as everything can be: what a configuration can't promise then, it can't promise at
    /// all.
    pub fn at_best() -> BudgetAssumptions {
        BudgetAssumptions { delivery: Duration::ZERO, ..BudgetAssumptions::default() }
    }
}

/// The bound of one alert on its way to one receiver.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Budget {
    /// Name of the alert.
    pub alert: String,
    /// Service of the Prometheus server that evaluates it.
    pub prometheus: String,
    /// Name of the receiver; empty where no Alertmanager is configured.
    pub receiver: String,
    /// Key of the route that leads there, as `route.routes[1]`; empty without an Alertmanager.
    pub route: String,
    /// Whether every integration of the receiver is notified of the resolution.
    pub sends_resolved: bool,
    /// The stages from the condition to the notification, in order.
    pub stages: Vec<StageTime>,
    /// The stages from healing to the notification of the resolution, in order.
    pub resolve_stages: Vec<StageTime>,
    /// From the condition until the alert fires in Prometheus, seconds where it is written.
    #[serde(serialize_with = "as_seconds", rename = "fire_s")]
    pub fire: Duration,
    /// From the condition until the receiver is notified, seconds where it is written.
    #[serde(serialize_with = "as_seconds", rename = "notify_s")]
    pub notify: Duration,
    /// From healing until the alert is inactive in Prometheus, seconds where it is written.
    #[serde(serialize_with = "as_seconds", rename = "clear_s")]
    pub clear: Duration,
    /// From healing until the receiver is notified of the resolution, seconds where it is written.
    #[serde(serialize_with = "as_seconds", rename = "resolve_s")]
    pub resolve: Duration,
}

fn as_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// Why there is no budget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// No rule has that name.
    #[error("no alert `{name}` is configured; configured are: {known}")]
    NoSuchAlert {
        /// The name that was asked for.
        name: String,
        /// The names that are there, with commas between.
        known: String,
    },
    /// An expectation that can't be met by the configuration, however fast everything is.
    #[error(
        "alert `{alert}` to {receiver} within {wanted}: its configuration promises {allowed} from the samples to the news: {stages}"
    )]
    Impossible {
        /// Alert.
        alert: String,
        /// Receiver.
        receiver: String,
        /// Wanted bound.
        wanted: String,
        /// Bound that the configuration gives.
        allowed: String,
        /// The stages.
        stages: String,
    },
}

impl BudgetError {
    /// What to do about it, as one sentence.
    pub fn hint(&self) -> String {
        match self {
            BudgetError::NoSuchAlert { .. } => "is its file under `rule_files`?".into(),
            BudgetError::Impossible { allowed, .. } => format!(
                "expect no less than {allowed}, or shorten `for`, the group's interval or its wait"
            ),
        }
    }
}

impl Budget {
    /// From the first recorded samples that satisfy the expression to the notification: without
    /// filling, scraping and recording.
    pub fn from_samples(&self) -> Duration {
        self.stages
            .iter()
            .filter(|time| !time.stage.is_before_samples())
            .map(|time| time.takes)
            .sum()
    }

    /// The stages until the notification as names ([`Stage::name`]) and seconds, for a report.
    pub fn stage_seconds(&self) -> Vec<(String, f64)> {
        self.stages
            .iter()
            .map(|time| (time.stage.name().to_owned(), time.takes.as_secs_f64()))
            .collect()
    }

    /// Refuses a wanted bound, from the samples to the news, that lies below what this budget
    /// promises.
    ///
    /// # Errors
    /// Says what the configuration promises, by stages.
    pub fn check_feasible(&self, wanted: Duration) -> Result<(), BudgetError> {
        let promised = self.from_samples();
        if wanted >= promised {
            return Ok(());
        }
        let stages = self
            .stages
            .iter()
            .filter(|time| !time.stage.is_before_samples() && !time.takes.is_zero());
        Err(BudgetError::Impossible {
            alert: self.alert.clone(),
            receiver: self.receiver.clone(),
            wanted: seconds(wanted),
            allowed: seconds(promised),
            stages: stages
                .map(|time| format!("{} {}", time.stage.name(), seconds(time.takes)))
                .collect::<Vec<_>>()
                .join(" + "),
        })
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, time) in self.stages.iter().enumerate() {
            let plus = if index == 0 { "" } else { " + " };
            write!(out, "{plus}{} {}", time.stage.name(), seconds(time.takes))?;
        }
        Ok(())
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", (duration.as_secs_f64() * 1000.0).ceil() / 1000.0)
}

/// The budgets of an alert, one for each server that evaluates it, rule of that name, and route
/// that it ends in.
///
/// `labels` are those of the alert that are not fixed in the rule: they come from its series, and
/// routes may look at them. Labels of the rule, external labels and `alertname` are added.
/// Inhibitions, silences and mute times are not looked at, nor is relabelling of alerts.
///
/// # Errors
/// Names the alerts that are there if this one is not.
pub fn budgets(
    config: &MonitoringConfig,
    alert: &str,
    labels: &BTreeMap<String, String>,
    assumptions: &BudgetAssumptions,
) -> Result<Vec<Budget>, BudgetError> {
    let mut found = Vec::new();
    for server in &config.prometheus {
        for place in
            places(server).filter(|place| place.rule.is_alert() && place.rule.name == alert)
        {
            found.extend(rule::of_rule(config, server, &place, labels, assumptions));
        }
    }
    if found.is_empty() {
        let known: Vec<_> = config
            .rules()
            .filter(|(_, _, rule)| rule.is_alert())
            .map(|(_, _, rule)| rule.name.as_str())
            .collect();
        return Err(BudgetError::NoSuchAlert { name: alert.to_owned(), known: known.join(", ") });
    }
    Ok(found)
}

/// Of several budgets the one that notifies last; none if there is none.
pub fn slowest(budgets: &[Budget]) -> Option<&Budget> {
    budgets.iter().max_by_key(|budget| budget.notify)
}

fn sum(stages: &[StageTime]) -> Duration {
    stages.iter().map(|time| time.takes).sum()
}

/// What each measured stage may take, from the stages of a budget by name. Without any, nothing is
/// known, and nothing is allowed to any stage but the allowance for the host.
pub fn by_stage(stages: &[(String, f64)]) -> StageBudget {
    let of = |wanted: &[Stage]| {
        stages
            .iter()
            .filter(|(name, _)| wanted.iter().any(|stage| stage.name() == name))
            .map(|(_, s)| s)
            .sum()
    };
    StageBudget {
        condition_s: of(&[Stage::WindowFill, Stage::Scrape, Stage::Recording]),
        evaluation_s: of(&[Stage::QueryOffset, Stage::Evaluation]),
        hold_s: of(&[Stage::Hold]),
        notify_s: of(&[Stage::GroupWait, Stage::GroupInterval, Stage::PeerTurn, Stage::Delivery]),
        noise_s: of(&[Stage::HostNoise]),
    }
}

#[cfg(test)]
mod tests;
