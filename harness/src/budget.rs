//! How long an alert may take, stage by stage, from the user's own configuration.
//!
//! The bound runs from the moment a condition becomes true (a fault bites) to the notification, and from healing to the
//! news of it. Each stage says what it rests on. A measured time is compared stage by stage, so a late page has a culprit;
//! a wanted time below the bound is refused before anything starts. What a noisy host adds is a stage of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use promql_parser::parser::{Expr, Offset};
use serde::{Serialize, Serializer};

use crate::monitoring::{AlertmanagerServer, MonitoringConfig, PrometheusServer, Rule, RuleGroup, duration, promql};

/// A stage between a condition and its notification, or between its end and the news of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Until the window that the expression looks over holds enough of the new to cross the threshold.
    WindowFill,
    /// Until the window holds little enough of the old.
    WindowDrain,
    /// Until the next scrape has brought it in.
    Scrape,
    /// Until a recorded series that the expression reads is evaluated.
    Recording,
    /// By how much evaluations look back.
    QueryOffset,
    /// Until the rule is evaluated next.
    Evaluation,
    /// `for`, rounded up to whole evaluations.
    Hold,
    /// `keep_firing_for`, rounded up to whole evaluations.
    KeepFiring,
    /// `group_wait` of a new group.
    GroupWait,
    /// `group_interval` of a group that was notified before.
    GroupInterval,
    /// Until it is this member's turn in a cluster of Alertmanagers.
    PeerTurn,
    /// From one server to the next and to the receiver.
    Delivery,
    /// What else runs on the host.
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
}

/// The most that one stage takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageTime {
    /// The stage.
    pub stage: Stage,
    /// The most that it takes.
    #[serde(serialize_with = "as_seconds", rename = "takes_s")]
    pub takes: Duration,
    /// What that rests on.
    pub basis: String,
}

/// How fast a window comes to cross a threshold after its condition began (or ended).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Fill {
    /// The whole window has to be filled.
    #[default]
    Whole,
    /// The value jumps: once the window is full of the new it is `reached`, and the threshold lies at this value. It is
    /// crossed after threshold/reached of the window (and drained below it after the rest).
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
            Fill::Share(share) => (share.clamp(0.0, 1.0), format!("{share} of the window, as given")),
            Fill::Step { reached, threshold } if reached > 0.0 && threshold > 0.0 && threshold < reached => {
                (threshold / reached, format!("from 0 to {reached}, threshold {threshold}"))
            }
            Fill::Step { .. } => (1.0, "the whole window, for the threshold is not below what is reached".into()),
        }
    }

    fn draining(self) -> (f64, String) {
        match self {
            Fill::Step { reached, threshold } if reached > 0.0 && threshold > 0.0 && threshold < reached => {
                (1.0 - threshold / reached, format!("from {reached} to 0, threshold {threshold}"))
            }
            Fill::Step { .. } | Fill::Whole => (1.0, "the whole window".into()),
            // How the value falls is not known from how it rose.
            Fill::Share(_) => (1.0, "the whole window, since only its filling was given".into()),
        }
    }
}

/// What the configuration does not tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Circumstances {
    /// How the window fills.
    pub fill: Fill,
    /// 99th percentile of how long a scrape takes, measured.
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

impl Default for Circumstances {
    fn default() -> Self {
        Circumstances {
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

/// The bound of one alert on its way to one receiver.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Budget {
    /// Alert.
    pub alert: String,
    /// Service of the Prometheus server that evaluates it.
    pub prometheus: String,
    /// Receiver; empty where no Alertmanager is configured.
    pub receiver: String,
    /// Key of the route that leads there.
    pub route: String,
    /// Whether every integration of the receiver is told of the resolution.
    pub sends_resolved: bool,
    /// From the condition to the notification.
    pub stages: Vec<StageTime>,
    /// From healing to the news of it.
    pub resolve_stages: Vec<StageTime>,
    /// Until the alert fires in Prometheus.
    #[serde(serialize_with = "as_seconds", rename = "fire_s")]
    pub fire: Duration,
    /// Until the receiver has been told.
    #[serde(serialize_with = "as_seconds", rename = "notify_s")]
    pub notify: Duration,
    /// From healing until the alert is inactive in Prometheus.
    #[serde(serialize_with = "as_seconds", rename = "clear_s")]
    pub clear: Duration,
    /// From healing until the receiver has been told of the resolution.
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
    #[error("no alert `{name}` is configured; configured are: {known}\nhint: is its file under `rule_files`?")]
    NoSuchAlert {
        /// Name that was asked for.
        name: String,
        /// Names that are there.
        known: String,
    },
    /// An expectation that can't be met by the configuration, however fast everything is.
    #[error(
        "alert `{alert}` to {receiver} within {wanted}: its configuration allows {allowed}: {stages}\nhint: expect no less than {allowed}"
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

impl Budget {
    /// From the first recorded samples that satisfy the expression to the notification: without filling and scraping.
    pub fn from_samples(&self) -> Duration {
        self.stages.iter().filter(|time| !matches!(time.stage, Stage::WindowFill | Stage::Scrape)).map(|time| time.takes).sum()
    }

    /// The stages as names and seconds, for a report.
    pub fn stage_seconds(&self) -> Vec<(String, f64)> {
        self.stages.iter().map(|time| (time.stage.name().to_owned(), time.takes.as_secs_f64())).collect()
    }

    /// Refuses a wanted bound that lies below this budget.
    ///
    /// # Errors
    /// Says what the configuration allows, by stages.
    pub fn admits(&self, wanted: Duration) -> Result<(), BudgetError> {
        if wanted >= self.notify {
            return Ok(());
        }
        Err(BudgetError::Impossible {
            alert: self.alert.clone(),
            receiver: self.receiver.clone(),
            wanted: seconds(wanted),
            allowed: seconds(self.notify),
            stages: self.to_string(),
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

/// The budgets of an alert, one for each server that evaluates it, rule of that name, and route that it ends in.
///
/// `labels` are those of the alert that are not fixed in the rule: they come from its series, and routes may look at them.
/// Labels of the rule, external labels and `alertname` are added. Inhibitions, silences and mute times are not looked at, nor
/// is relabelling of alerts.
///
/// # Errors
/// Names the alerts that are there if this one is not.
pub fn budgets(
    config: &MonitoringConfig,
    alert: &str,
    labels: &BTreeMap<String, String>,
    circumstances: &Circumstances,
) -> Result<Vec<Budget>, BudgetError> {
    let mut found = Vec::new();
    for server in &config.prometheus {
        for place in places(server).filter(|place| place.rule.is_alert() && place.rule.name == alert) {
            found.extend(of_rule(config, server, &place, labels, circumstances));
        }
    }
    if found.is_empty() {
        let known: Vec<_> = config.rules().filter(|(_, _, rule)| rule.is_alert()).map(|(_, _, rule)| rule.name.as_str()).collect();
        return Err(BudgetError::NoSuchAlert { name: alert.to_owned(), known: known.join(", ") });
    }
    Ok(found)
}

/// Of several budgets the one that notifies last; none if there is none.
pub fn slowest(budgets: &[Budget]) -> Option<&Budget> {
    budgets.iter().max_by_key(|budget| budget.notify)
}

/// A rule and where it is evaluated.
#[derive(Clone, Copy)]
struct RulePlace<'a> {
    file: usize,
    group: &'a RuleGroup,
    index: usize,
    rule: &'a Rule,
}

fn places(server: &PrometheusServer) -> impl Iterator<Item = RulePlace<'_>> {
    server.rules.iter().enumerate().flat_map(|(file, loaded)| {
        loaded
            .view
            .iter()
            .flat_map(move |group| group.rules.iter().enumerate().map(move |(index, rule)| RulePlace { file, group, index, rule }))
    })
}

/// What an expression reads: the farthest look back, and the recorded series on the way.
#[derive(Clone, Default)]
struct Reach<'a> {
    window: Duration,
    recordings: Vec<(&'a str, Duration)>,
    jobs: Vec<&'a str>,
    any_job: bool,
}

impl Reach<'_> {
    fn total(&self) -> Duration {
        self.window + self.recordings.iter().map(|(_, interval)| *interval).sum::<Duration>()
    }
}

/// Recorded series may be built on one another; deeper chains than this are not known to exist.
const DEPTH: usize = 20;

fn reach<'a>(server: &'a PrometheusServer, reader: RulePlace<'a>, expr: &'a Expr, around: Duration, depth: usize) -> Reach<'a> {
    let back = |offset: &Option<Offset>| match offset {
        Some(Offset::Pos(back)) => *back,
        _ => Duration::ZERO,
    };
    let (selector, range) = match expr {
        Expr::VectorSelector(selector) => (selector, Duration::ZERO),
        Expr::MatrixSelector(matrix) => (&matrix.vs, matrix.range),
        Expr::Subquery(subquery) => {
            return reach(server, reader, &subquery.expr, around + subquery.range + back(&subquery.offset), depth);
        }
        other => {
            let mut farthest = Reach::default();
            for child in promql::children(other) {
                let mut one = reach(server, reader, child, around, depth);
                one.jobs.extend(std::mem::take(&mut farthest.jobs));
                one.any_job |= farthest.any_job;
                if one.total() < farthest.total() {
                    farthest.jobs = one.jobs;
                    farthest.any_job = one.any_job;
                } else {
                    farthest = one;
                }
            }
            return farthest;
        }
    };
    let window = around + range + back(&selector.offset);
    let recorded =
        promql::metric_name(selector).and_then(|name| places(server).find(|place| !place.rule.is_alert() && place.rule.name == name));
    if let Some(place) = recorded
        && depth < DEPTH
    {
        let mut below = reach(server, place, &place.rule.expr, window, depth + 1);
        // A group evaluates its rules in order, so what stands before in the same group is fresh.
        let same_group = (place.file, &place.group.name) == (reader.file, &reader.group.name);
        if !(same_group && place.index < reader.index) {
            below.recordings.push((&place.rule.name, interval_of(server, place.group)));
        }
        return below;
    }
    let job = promql::equal_to(selector, "job");
    Reach { window, recordings: Vec::new(), jobs: job.into_iter().collect(), any_job: job.is_none() }
}

fn interval_of(server: &PrometheusServer, group: &RuleGroup) -> Duration {
    group.interval.unwrap_or(server.config.view.global.evaluation_interval)
}

/// `hold` in whole evaluations.
fn rounded_up(hold: Duration, interval: Duration) -> Duration {
    if interval.is_zero() {
        return hold;
    }
    let times = hold.as_nanos().div_ceil(interval.as_nanos());
    interval * u32::try_from(times).unwrap_or(u32::MAX)
}

fn of_rule(
    config: &MonitoringConfig,
    server: &PrometheusServer,
    place: &RulePlace<'_>,
    labels: &BTreeMap<String, String>,
    circumstances: &Circumstances,
) -> Vec<Budget> {
    let rule = place.rule;
    let interval = interval_of(server, place.group);
    let reach = reach(server, *place, &rule.expr, Duration::ZERO, 0);
    let mut first = Vec::new();
    let mut last = Vec::new();
    if !reach.window.is_zero() {
        let window = duration::format(reach.window);
        let ((filling, how), (draining, back)) = (circumstances.fill.filling(), circumstances.fill.draining());
        push(&mut first, Stage::WindowFill, reach.window.mul_f64(filling), format!("window {window}: {how}"));
        push(&mut last, Stage::WindowDrain, reach.window.mul_f64(draining), format!("window {window}: {back}"));
    }
    let (takes, basis) = scrape(server, &reach, circumstances);
    for stages in [&mut first, &mut last] {
        push(stages, Stage::Scrape, takes, basis.clone());
        for (name, interval) in &reach.recordings {
            push(stages, Stage::Recording, *interval, format!("recorded series `{name}`, evaluated every {}", duration::format(*interval)));
        }
        let offset = place.group.query_offset.unwrap_or(server.config.view.global.rule_query_offset);
        if !offset.is_zero() {
            push(stages, Stage::QueryOffset, offset, "evaluations look back by it".into());
        }
        push(
            stages,
            Stage::Evaluation,
            interval,
            format!("group `{}` is evaluated every {}", place.group.name, duration::format(interval)),
        );
    }
    for (stages, stage, wanted, key) in
        [(&mut first, Stage::Hold, rule.hold(), "for"), (&mut last, Stage::KeepFiring, rule.keep_firing(), "keep_firing_for")]
    {
        if !wanted.is_zero() {
            let text = format!("{key} {} in steps of {}", duration::format(wanted), duration::format(interval));
            push(stages, stage, rounded_up(wanted, interval), text);
        }
    }
    let noise = circumstances.host_noise;
    let fire = sum(&first) + noise;
    let clear = sum(&last) + noise;
    let made = |receiver: &str, route: &str, sends_resolved: bool, first: Vec<StageTime>, last: Vec<StageTime>| Budget {
        alert: rule.name.clone(),
        prometheus: server.service.clone(),
        receiver: receiver.to_owned(),
        route: route.to_owned(),
        sends_resolved,
        fire,
        clear,
        notify: sum(&first),
        resolve: sum(&last),
        stages: first,
        resolve_stages: last,
    };
    let with_noise = |stages: &mut Vec<StageTime>| {
        if !noise.is_zero() {
            push(stages, Stage::HostNoise, noise, "allowance for what else runs on the host".into());
        }
    };
    let Some(manager) = alertmanager_of(config, server) else {
        with_noise(&mut first);
        with_noise(&mut last);
        return vec![made("", "", false, first, last)];
    };
    let mut all = server.config.view.global.external_labels.clone();
    all.extend(labels.clone());
    all.extend(rule.labels.clone());
    all.insert("alertname".into(), rule.name.clone());
    let view = &manager.config.view;
    view.route_for(&all)
        .iter()
        .map(|end| {
            let (mut first, mut last) = (first.clone(), last.clone());
            let route = end.route;
            let key = &route.place.key;
            if circumstances.joins_group {
                let basis = format!("{key}: its group was notified before, every {}", duration::format(route.group_interval));
                push(&mut first, Stage::GroupInterval, route.group_interval, basis);
            } else {
                push(
                    &mut first,
                    Stage::GroupWait,
                    route.group_wait,
                    format!("{key}: a new group waits {}", duration::format(route.group_wait)),
                );
            }
            let basis = format!("{key}: changes of a group are told every {}", duration::format(route.group_interval));
            push(&mut last, Stage::GroupInterval, route.group_interval, basis);
            for stages in [&mut first, &mut last] {
                if circumstances.peer_position > 0 {
                    let turn = peer_timeout(manager) * circumstances.peer_position;
                    push(
                        stages,
                        Stage::PeerTurn,
                        turn,
                        format!("{} peers come before, each with its time-out", circumstances.peer_position),
                    );
                }
                push(stages, Stage::Delivery, circumstances.delivery, "allowance for the way to the receiver".into());
                with_noise(stages);
            }
            let resolved = view.receiver(&route.receiver).is_some_and(|receiver| receiver.integrations.iter().all(|one| one.send_resolved));
            made(&route.receiver, key, resolved, first, last)
        })
        .collect()
}

fn push(stages: &mut Vec<StageTime>, stage: Stage, takes: Duration, basis: String) {
    stages.push(StageTime { stage, takes, basis });
}

fn sum(stages: &[StageTime]) -> Duration {
    stages.iter().map(|time| time.takes).sum()
}

/// The scrape that brings the condition in: of the jobs that the expression names, else of the slowest.
fn scrape(server: &PrometheusServer, reach: &Reach<'_>, circumstances: &Circumstances) -> (Duration, String) {
    let config = &server.config.view;
    let named: Vec<_> = config.jobs.iter().filter(|job| reach.jobs.contains(&job.name.as_str())).collect();
    let all = reach.any_job || named.is_empty();
    let candidates = if all { config.jobs.iter().collect() } else { named };
    let Some(job) = candidates.iter().max_by_key(|job| job.interval) else {
        return (config.global.scrape_interval, "no job is configured: the global interval".into());
    };
    let why = if all { ", the slowest of all, since the expression names none" } else { "" };
    let (takes, how) = if circumstances.target_hangs {
        (job.timeout, "its time-out, since the target hangs")
    } else {
        (circumstances.scrape_takes, "the 99th percentile of its duration")
    };
    let interval = duration::format(job.interval);
    (job.interval + takes, format!("job `{}` every {interval}{why}, and {how}", job.name))
}

/// The Alertmanager that a server sends to: the one that it names, else the first.
fn alertmanager_of<'a>(config: &'a MonitoringConfig, server: &PrometheusServer) -> Option<&'a AlertmanagerServer> {
    let targets = server.config.view.alertmanagers.iter().flat_map(|manager| &manager.targets);
    let hosts: Vec<_> = targets.filter_map(|(target, _)| target.split(':').next()).collect();
    let named = config.alertmanagers.iter().find(|manager| hosts.contains(&manager.service.as_str()));
    named.or(config.alertmanagers.first())
}

fn peer_timeout(manager: &AlertmanagerServer) -> Duration {
    let written = manager.flags.get("cluster.peer-timeout").and_then(|text| duration::parse(text).ok());
    written.unwrap_or(Duration::from_secs(15))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timescale::{Scale, table_a::table_a};

    fn at_20() -> MonitoringConfig {
        Scale::new(20.0).unwrap().apply(&table_a()).unwrap().config
    }

    fn of(config: &MonitoringConfig, alert: &str, circumstances: &Circumstances) -> Vec<Budget> {
        budgets(config, alert, &BTreeMap::new(), circumstances).unwrap()
    }

    fn ms(stages: &[StageTime]) -> Vec<(Stage, u128)> {
        stages.iter().map(|time| (time.stage, time.takes.as_millis())).collect()
    }

    #[test]
    fn a_target_that_goes_down() {
        let circumstances = Circumstances { scrape_takes: Duration::from_millis(50), ..Circumstances::default() };
        let found = of(&at_20(), "EmailServiceDown", &circumstances);
        assert_eq!(found.iter().map(|b| b.receiver.as_str()).collect::<Vec<_>>(), ["critical-ops", "nobody"]);
        let budget = &found[0];
        assert_eq!(
            ms(&budget.stages),
            [(Stage::Scrape, 800), (Stage::Evaluation, 750), (Stage::Hold, 6000), (Stage::GroupWait, 1500), (Stage::Delivery, 500)]
        );
        assert_eq!((budget.fire.as_millis(), budget.notify.as_millis()), (7550, 9550));
        assert_eq!(budget.from_samples().as_millis(), 8750);
        // Seen on a real stack: notified 8.1 s after the target went.
        assert!(budget.notify > Duration::from_millis(8100));
        assert_eq!(
            ms(&budget.resolve_stages),
            [(Stage::Scrape, 800), (Stage::Evaluation, 750), (Stage::GroupInterval, 15_000), (Stage::Delivery, 500)]
        );
        assert!(budget.stages[0].basis.contains("job `email-service` every 750ms"), "{}", budget.stages[0].basis);
        assert!(budget.sends_resolved && budget.route == "route.routes[0]");
    }

    #[test]
    fn a_rate_over_a_window() {
        let step = Circumstances { fill: Fill::Step { reached: 0.5, threshold: 0.05 }, ..Circumstances::default() };
        let found = of(&at_20(), "HighErrorRate", &step);
        assert_eq!(ms(&found[0].stages)[0], (Stage::WindowFill, 1500));
        assert_eq!(ms(&found[0].resolve_stages)[0], (Stage::WindowDrain, 13_500));
        // Seen on a real stack: notified 12.6 s after half of the requests began to fail.
        assert!(found[0].notify > Duration::from_millis(12_600) && found[0].notify < Duration::from_millis(14_100));
        let whole = of(&at_20(), "HighErrorRate", &Circumstances::default());
        assert_eq!(ms(&whole[0].stages)[0], (Stage::WindowFill, 15_000));
        let never = Circumstances { fill: Fill::Step { reached: 0.01, threshold: 0.05 }, ..Circumstances::default() };
        assert_eq!(of(&at_20(), "HighErrorRate", &never)[0].notify, whole[0].notify);
    }

    #[test]
    fn a_recorded_series_adds_its_evaluation() {
        let found = of(&at_20(), "HighRequestLatency", &Circumstances::default());
        let kinds: Vec<_> = found[0].stages.iter().map(|time| time.stage).collect();
        assert_eq!(
            kinds,
            [Stage::WindowFill, Stage::Scrape, Stage::Recording, Stage::Evaluation, Stage::Hold, Stage::GroupWait, Stage::Delivery]
        );
        assert_eq!(found[0].receiver, "ops");
    }

    #[test]
    fn each_circumstance_is_a_stage_of_its_own() {
        let circumstances = Circumstances {
            target_hangs: true,
            joins_group: true,
            host_noise: Duration::from_secs(2),
            peer_position: 2,
            ..Circumstances::default()
        };
        let found = of(&at_20(), "PostfixDown", &circumstances);
        assert_eq!(
            ms(&found[1].stages),
            [
                (Stage::Scrape, 1250),
                (Stage::Evaluation, 750),
                (Stage::Hold, 3000),
                (Stage::GroupInterval, 15_000),
                (Stage::PeerTurn, 1500),
                (Stage::Delivery, 500),
                (Stage::HostNoise, 2000),
            ]
        );
        assert_eq!(found[1].receiver, "mail-team");
        assert_eq!(found[1].fire.as_millis(), 7000);
    }

    #[test]
    fn holds_are_rounded_up_to_evaluations() {
        let second = Duration::from_secs(1);
        assert_eq!(rounded_up(Duration::from_millis(2500), second), Duration::from_secs(3));
        assert_eq!(rounded_up(Duration::from_secs(3), second), Duration::from_secs(3));
        assert_eq!(rounded_up(Duration::ZERO, second), Duration::ZERO);
    }

    #[test]
    fn every_alert_of_the_fixture_has_a_budget() {
        let config = at_20();
        for (_, _, rule) in config.rules().filter(|(_, _, rule)| rule.is_alert()) {
            let found = of(&config, &rule.name, &Circumstances::default());
            let slow = slowest(&found).unwrap();
            assert!(slow.notify >= rule.hold() && slow.notify < Duration::from_secs(60), "{}: {slow}", rule.name);
            assert_eq!(slow.notify, sum(&slow.stages));
        }
    }

    #[test]
    fn impossible_expectations_are_refused() {
        let budget = of(&at_20(), "EmailServiceDown", &Circumstances::default()).remove(0);
        assert!(budget.admits(Duration::from_secs(10)).is_ok());
        let refusal = budget.admits(Duration::from_secs(5)).unwrap_err().to_string();
        for part in ["EmailServiceDown", "within 5 s", "9.5 s", "hold 6 s", "hint"] {
            assert!(refusal.contains(part), "{refusal} lacks {part}");
        }
        let unknown = budgets(&at_20(), "EmailServerDown", &BTreeMap::new(), &Circumstances::default()).unwrap_err().to_string();
        assert!(unknown.contains("EmailServiceDown"), "{unknown}");
    }

    #[test]
    fn a_budget_is_written_in_seconds() {
        let budget = of(&at_20(), "EmailServiceDown", &Circumstances::default()).remove(0);
        let json = serde_json::to_value(&budget).unwrap();
        assert_eq!(json["notify_s"], 9.5);
        assert_eq!(json["stages"][2]["stage"], "hold");
        assert_eq!(json["stages"][2]["takes_s"], 6.0);
    }
}
