//! What is known of each alert, from cause to resolution.

use crate::check::alerts::{AlertStages, StageRow};
use crate::check::causes::Causes;
use crate::history::alert::Notification;
use crate::history::fault::FaultEvent;
use crate::history::run::RunEvent;
use crate::observation::Fact;
use crate::{At, History, Status, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How an alert was proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProvedBy {
    /// The condition was made true in the service that the alert is about.
    #[serde(rename = "real cause")]
    RealCause,
    /// A real cause against a changed rule or input.
    #[serde(rename = "overridden threshold")]
    OverriddenThreshold,
    /// Samples that nothing in the stack caused.
    #[serde(rename = "synthetic signal")]
    SyntheticSignal,
}

impl ProvedBy {
    /// The way in words, as reports show it.
    pub fn name(self) -> &'static str {
        match self {
            ProvedBy::RealCause => "real cause",
            ProvedBy::OverriddenThreshold => "overridden threshold",
            ProvedBy::SyntheticSignal => "synthetic signal",
        }
    }
}

/// An alert of a run, from its cause to its resolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlertRow {
    /// Name of the alert.
    pub rule: String,
    /// Drills that are about it; if none, it was only watched.
    pub drills: Vec<String>,
    /// Whether it was seen to fire, at whatever time of the run.
    pub fired: bool,
    /// How it was proved; null if it was not.
    pub proved_by: Option<ProvedBy>,
    /// Stand-ins that accepted its notification: during its drill, or at any time if it has none.
    pub receivers: Vec<String>,
    /// Whether its resolution was seen at every receiver that is told of it.
    pub resolved: bool,
    /// Whether it was quiet while nothing was wrong; null if that could not be judged.
    pub quiet_when_healthy: Option<bool>,
    /// Seconds from the last injection of its phase until it was first seen to fire, in a sample or
    /// by a notification.
    pub detect_s: Option<f64>,
    /// Seconds from the last injection of its phase until the last receiver had it.
    pub notify_s: Option<f64>,
    /// Seconds that it may take until every receiver has it.
    pub budget_s: Option<f64>,
    /// Stage at which it stopped; null if it went all the way.
    pub stopped_at: Option<String>,
    /// Its stages, measured against what the configuration allows each; empty if it did not go all
    /// the way in a drill.
    #[serde(default)]
    pub stages: Vec<StageRow>,
    /// Seconds that all of them together may be beyond that, for what else runs on the host; null
    /// where none is measured.
    #[serde(default)]
    pub stages_noise_s: Option<f64>,
}

/// Of all measured stages the one that came nearest to what it may take, or went furthest beyond
/// it.
pub fn slowest_stage<'a>(
    alerts: impl IntoIterator<Item = &'a AlertRow>,
) -> Option<(&'a AlertRow, &'a StageRow)> {
    let all = alerts.into_iter().flat_map(|alert| alert.stages.iter().map(move |row| (alert, row)));
    let share = |row: &StageRow| row.measured_s / row.allowed_s;
    all.filter(|(_, row)| row.allowed_s > 0.0)
        .max_by(|(_, a), (_, b)| share(a).total_cmp(&share(b)))
}

/// What a run planned about an alert.
#[derive(Debug, Clone, Default)]
pub struct AboutAlert<'e> {
    /// Ids of the drills that are about it.
    pub drills: Vec<String>,
    /// The faults of its drill from which its times count, where it is expected to fire.
    pub causes: Option<&'e Causes>,
    /// Seconds that it may take until every receiver has it.
    pub budget_s: Option<f64>,
    /// What each of its stages may take, where they are judged.
    pub stages: Option<&'e AlertStages>,
}

/// What is known of each alert, by its name.
pub fn alerts(
    history: &History,
    verdicts: &[Verdict],
    planned: &BTreeMap<String, AboutAlert<'_>>,
) -> Vec<AlertRow> {
    planned.iter().map(|(alert, about)| alert_row(history, verdicts, alert, about)).collect()
}

fn alert_row(
    history: &History,
    verdicts: &[Verdict],
    alert: &str,
    about: &AboutAlert<'_>,
) -> AlertRow {
    let (drills, budget_s) = (about.drills.as_slice(), about.budget_s);
    let stages = about.stages.map(|stages| stages.rows(history)).unwrap_or_default();
    let of_claim = |claim: &str| verdicts.iter().find(|v| v.id == format!("alert.{alert}.{claim}"));
    let status = |claim: &str| of_claim(claim).map(|v| v.status);
    let passed = |claim: &str| status(claim) == Some(Status::Pass);
    let window = drills.iter().find_map(|d| {
        let (began, ended) = history.drill_window(d)?;
        let causes = |fault: &String| {
            about.causes.is_none_or(|c| c.injected.is_empty() || c.injected.contains(fault))
        };
        let injections = history.faults().filter(|(_, f)| {
            matches!(f, FaultEvent::Injected { drill, fault, .. } if drill == d && causes(fault))
        });
        let injections: Vec<At> = injections.map(|(e, _)| e.at).collect();
        let own = || injections.iter().filter(|at| **at >= began);
        // A fault that was there early was injected before its drill began.
        let early = injections.iter().max();
        Some((*own().min().or(early)?, *own().max().or(early)?, ended))
    });
    let told = told(history, alert, window.map(|(first, _, ended)| (first, ended)));
    // Samples are a step apart; whoever was told of it earlier saw it fire earlier.
    let after = |at: At, injected: At| at.since(injected).max(0.0);
    let detect_s = window.and_then(|(first, injected, end)| {
        let sampled = first_firing(history, alert, Some(first), end)
            .map(|s| (s - injected.wall_s()).max(0.0));
        told.values().map(|t| after(t.first, injected)).chain(sampled).reduce(f64::min)
    });
    let notify_s = window.and_then(|(_, injected, _)| {
        told.values().map(|t| after(t.first, injected)).reduce(f64::max)
    });
    // From cause to receiver to resolution, as far as that was asked for.
    let proved = passed("fires")
        && ["reaches", "resolves"].iter().all(|c| status(c).is_none_or(|s| s == Status::Pass));
    AlertRow {
        rule: alert.to_owned(),
        drills: drills.to_vec(),
        fired: passed("fires") || first_firing(history, alert, None, None).is_some(),
        proved_by: proved.then(|| proved_by(history, alert, drills)),
        resolved: match status("resolves") {
            Some(status) => status == Status::Pass,
            None => !told.is_empty() && told.values().all(|t| t.over),
        },
        receivers: told.into_keys().collect(),
        quiet_when_healthy: match status("quiet") {
            Some(Status::Pass) => Some(true),
            Some(Status::Fail) => Some(false),
            _ => None,
        },
        detect_s,
        notify_s,
        budget_s,
        stopped_at: ["fires", "reaches", "resolves"]
            .iter()
            .filter_map(|c| of_claim(c))
            .find(|v| v.status != Status::Pass)
            .and_then(|v| v.stage().map(str::to_owned)),
        stages_noise_s: about.stages.filter(|_| !stages.is_empty()).map(|of| of.allowed.noise_s),
        stages,
    }
}

/// How the drills that an alert was proved in caused it.
fn proved_by(history: &History, alert: &str, drills: &[String]) -> ProvedBy {
    let overridden = history.run().any(|(_, r)| match r {
        RunEvent::Overridden { drill, alert: changed, .. } => {
            changed == alert && drills.contains(drill)
        }
        _ => false,
    });
    if overridden { ProvedBy::OverriddenThreshold } else { ProvedBy::RealCause }
}

/// How many alerts are proved, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Proved {
    /// Number that a real cause proved.
    pub real_cause: u64,
    /// Number that a real cause proved against a changed rule.
    pub overridden_threshold: u64,
    /// Number that samples proved which nothing caused.
    pub synthetic_signal: u64,
    /// Number that is not proved, or that no drill is about.
    pub not_proved: u64,
}

impl Proved {
    /// Counts the alerts by how they were proved.
    pub fn of(alerts: &[AlertRow]) -> Proved {
        let mut counts = Proved::default();
        for alert in alerts {
            *match alert.proved_by {
                Some(ProvedBy::RealCause) => &mut counts.real_cause,
                Some(ProvedBy::OverriddenThreshold) => &mut counts.overridden_threshold,
                Some(ProvedBy::SyntheticSignal) => &mut counts.synthetic_signal,
                None => &mut counts.not_proved,
            } += 1;
        }
        counts
    }
}

/// What a receiver was told of an alert.
struct ReportedVerdict {
    first: At,
    over: bool,
}

/// Receivers that were told, at whatever time of the run, that an alert fires.
pub(super) fn receivers_told(history: &History, alert: &str) -> BTreeSet<String> {
    told(history, alert, None).into_keys().collect()
}

/// What each receiver was told of an alert: from the injection to the end of its drill, or in the
/// whole run if it has none.
fn told(
    history: &History,
    alert: &str,
    window: Option<(At, Option<At>)>,
) -> BTreeMap<String, ReportedVerdict> {
    let within =
        |at: At| window.is_none_or(|(from, to)| at >= from && to.is_none_or(|to| at <= to));
    let about = |n: &Notification, resolved: bool| {
        n.alerts.iter().any(|a| {
            a.resolved == resolved && a.labels.get("alertname").is_some_and(|x| x == alert)
        })
    };
    let mut told: BTreeMap<String, ReportedVerdict> = BTreeMap::new();
    for (event, n) in history.notifications().filter(|(e, _)| within(e.at)) {
        let Some(receiver) = &n.receiver else { continue };
        if about(n, false) {
            told.entry(receiver.clone())
                .or_insert(ReportedVerdict { first: event.at, over: false })
                .over = false;
        }
        if let (true, Some(t)) = (about(n, true), told.get_mut(receiver)) {
            t.over = true;
        }
    }
    told
}

/// The first sample of `ALERTS{alertstate="firing"}` of an alert between two instants, seconds
/// since the epoch.
fn first_firing(history: &History, alert: &str, from: Option<At>, to: Option<At>) -> Option<f64> {
    let firing = |labels: &BTreeMap<String, String>| {
        labels.get("alertname").is_some_and(|a| a == alert)
            && labels.get("alertstate").is_some_and(|s| s == "firing")
    };
    let samples = history.observations().filter_map(|(_, o)| match &o.fact {
        Fact::Samples(s) if s.name == "alerts" => Some(s),
        _ => None,
    });
    let points = samples
        .flat_map(|s| &s.series)
        .filter(|s| firing(&s.labels))
        .flat_map(|s| &s.points)
        .map(|(t, _)| *t);
    points
        .filter(|t| from.is_none_or(|f| *t >= f.wall_s()) && to.is_none_or(|e| *t <= e.wall_s()))
        .reduce(f64::min)
}
