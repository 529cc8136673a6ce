//! Tables that a report shows, read from a history and its verdicts. Pure, and part of judging: a report computes nothing.

use crate::history::alert::Notification;
use crate::history::fault::FaultEvent;
use crate::history::load::{LoadEvent, LoadSummary, Outcome};
use crate::history::run::{Phase, RunEvent};
use crate::observation::Fact;
use crate::{At, EventKind, History, Status, Verdict};
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
    /// Samples that nothing caused.
    #[serde(rename = "synthetic signal")]
    SyntheticSignal,
}

/// An alert, from cause to resolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlertRow {
    /// Alert name.
    pub rule: String,
    /// Whether it was seen to fire.
    pub fired: bool,
    /// How; null if it was not proved.
    pub proved_by: Option<ProvedBy>,
    /// Stand-ins that accepted its notification.
    pub receivers: Vec<String>,
    /// Whether its resolution was seen at every receiver that is told of it.
    pub resolved: bool,
    /// Whether it was quiet while nothing was wrong; null if that could not be judged.
    pub quiet_when_healthy: Option<bool>,
    /// Seconds from the injection until it fired.
    pub detect_s: Option<f64>,
    /// Seconds from the injection until the last receiver had it.
    pub notify_s: Option<f64>,
    /// Seconds that it may take until every receiver has it.
    pub budget_s: Option<f64>,
    /// Stage at which it stopped, if it did.
    pub stopped_at: Option<String>,
}

/// A signal's ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerRow {
    /// Signal: `log:<source>`, `trace`, `mail`.
    pub signal: String,
    /// Acknowledged operations that must lead to it.
    pub sent: u64,
    /// Those of them that are stored.
    pub stored: u64,
    /// Those that are not. Null where sampling makes absence lawful.
    pub lost: Option<u64>,
    /// Those stored more than once.
    pub duplicated: u64,
    /// 99th percentile of the time between the outcome and the stored event's own time, seconds; null if unknown.
    pub late_p99_s: Option<f64>,
}

/// A fault's life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultRow {
    /// Drill.
    pub drill: String,
    /// Kind.
    pub kind: String,
    /// Service.
    pub target: String,
    /// Mechanism.
    pub mechanism: String,
    /// Seconds since the run began.
    pub injected_at: f64,
    /// Seconds since the run began; null if it did not bite.
    pub bit_at: Option<f64>,
    /// Seconds since the run began; null if it was not healed.
    pub healed_at: Option<f64>,
}

/// How long the parts of a run took.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Timings {
    /// Obtaining images, seconds.
    pub images_s: Option<f64>,
    /// From creating containers to all ready, seconds.
    pub up_s: Option<f64>,
    /// Load and drills, seconds.
    pub drive_s: Option<f64>,
    /// Draining and reading what judging needs, seconds.
    pub capture_s: Option<f64>,
    /// Removing the stack, seconds.
    pub down_s: Option<f64>,
}

/// How many verdicts are what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Unknown.
    pub unknown: u64,
    /// Skipped.
    pub skipped: u64,
    /// Waived.
    pub waived: u64,
}

impl Summary {
    /// Counts verdicts.
    pub fn of<'a>(verdicts: impl IntoIterator<Item = &'a Verdict>) -> Summary {
        let mut summary = Summary::default();
        for verdict in verdicts {
            *match verdict.status {
                Status::Pass => &mut summary.passed,
                Status::Fail => &mut summary.failed,
                Status::Unknown => &mut summary.unknown,
                Status::Skipped => &mut summary.skipped,
                Status::Waived => &mut summary.waived,
            } += 1;
        }
        summary
    }
}

/// The faults of a run.
pub fn faults(history: &History) -> Vec<FaultRow> {
    let mut rows: Vec<FaultRow> = Vec::new();
    let seconds = |at: At| at.mono_us as f64 / 1e6;
    for (event, fault) in history.faults() {
        if let FaultEvent::Injected { drill, kind, target, mechanism, .. } = fault {
            rows.push(FaultRow { drill: drill.clone(), kind: kind.clone(), target: target.clone(), mechanism: mechanism.clone(), injected_at: seconds(event.at), bit_at: None, healed_at: None });
        } else if let Some(row) = rows.iter_mut().rev().find(|r| r.drill == fault.drill()) {
            match fault {
                FaultEvent::Bit { .. } => row.bit_at = Some(seconds(event.at)),
                FaultEvent::Healed { .. } => row.healed_at = Some(seconds(event.at)),
                _ => {}
            }
        }
    }
    rows
}

/// The background load's own account.
pub fn load(history: &History, stream: &str) -> Option<LoadSummary> {
    history.events.iter().rev().find_map(|e| match &e.kind {
        EventKind::Load(LoadEvent::Ended { stream: s, summary }) if s == stream => Some(summary.clone()),
        _ => None,
    })
}

/// How long the phases took.
pub fn timings(history: &History) -> Timings {
    let edge = |phase: Phase, begin: bool| {
        history.run().find_map(|(e, r)| match r {
            RunEvent::PhaseBegan { phase: p } if begin && *p == phase => Some(e.at),
            RunEvent::PhaseEnded { phase: p } if !begin && *p == phase => Some(e.at),
            _ => None,
        })
    };
    let between = |first: Phase, last: Phase| Some(edge(last, false)?.since(edge(first, true)?));
    Timings {
        images_s: between(Phase::Images, Phase::Images),
        up_s: between(Phase::Up, Phase::Up),
        drive_s: between(Phase::Steady, Phase::Drive),
        capture_s: between(Phase::Drain, Phase::Capture),
        down_s: between(Phase::Down, Phase::Down),
    }
}

/// All deviations that were recorded, each once.
pub fn deviations(history: &History) -> Vec<(String, String)> {
    let mut seen = BTreeSet::new();
    let all = history.run().filter_map(|(_, r)| match r {
        RunEvent::Deviation { what, why } => Some((what.clone(), why.clone())),
        _ => None,
    });
    all.filter(|d| seen.insert(d.clone())).collect()
}

/// What is known of each alert: `subjects` gives for each the drills that are about it and its budget in seconds.
pub fn alerts(history: &History, verdicts: &[Verdict], subjects: &BTreeMap<String, (Vec<String>, Option<f64>)>) -> Vec<AlertRow> {
    subjects.iter().map(|(alert, (drills, budget))| alert_row(history, verdicts, alert, drills, *budget)).collect()
}

fn alert_row(history: &History, verdicts: &[Verdict], alert: &str, drills: &[String], budget_s: Option<f64>) -> AlertRow {
    let status = |claim: &str| verdicts.iter().find(|v| v.id == format!("alert.{alert}.{claim}")).map(|v| v.status);
    let passed = |claim: &str| status(claim) == Some(Status::Pass);
    let window = drills.iter().find_map(|d| {
        let injected = history.faults().find_map(|(e, f)| matches!(f, FaultEvent::Injected { drill, .. } if drill == d).then_some(e.at))?;
        let end = history.drill_window(d).and_then(|w| w.1).unwrap_or(injected.plus(1e9));
        Some((injected, end))
    });
    let of_alert = |n: &Notification| n.alerts.iter().any(|a| !a.resolved && a.labels.get("alertname").is_some_and(|x| x == alert));
    let mut receivers: BTreeMap<String, f64> = BTreeMap::new();
    if let Some((injected, end)) = window {
        for (event, n) in history.notifications().filter(|(e, n)| e.at >= injected && e.at <= end && of_alert(n)) {
            if let Some(receiver) = &n.receiver {
                receivers.entry(receiver.clone()).or_insert(event.at.since(injected));
            }
        }
    }
    let detect_s = window.and_then(|(injected, end)| first_firing(history, alert, injected, end)).map(|s| s.max(0.0));
    let fails = ["fires", "reaches", "resolves"].iter().find_map(|c| verdicts.iter().find(|v| v.id == format!("alert.{alert}.{c}") && v.status != Status::Pass));
    let fired = passed("fires") || detect_s.is_some();
    AlertRow {
        rule: alert.to_owned(),
        fired,
        proved_by: passed("fires").then_some(ProvedBy::RealCause),
        notify_s: receivers.values().copied().reduce(f64::max),
        receivers: receivers.into_keys().collect(),
        resolved: passed("resolves"),
        quiet_when_healthy: match status("quiet") {
            Some(Status::Pass) => Some(true),
            Some(Status::Fail) => Some(false),
            _ => None,
        },
        detect_s,
        budget_s,
        stopped_at: fails.and_then(|v| v.stopped_at.clone()),
    }
}

/// Seconds from `from` to the first sample of `ALERTS{alertstate="firing"}` of an alert, up to `to`.
fn first_firing(history: &History, alert: &str, from: At, to: At) -> Option<f64> {
    let firing = |labels: &BTreeMap<String, String>| labels.get("alertname").is_some_and(|a| a == alert) && labels.get("alertstate").is_some_and(|s| s == "firing");
    let samples = history.observations().filter_map(|(_, o)| match &o.fact {
        Fact::Samples(s) if s.name == "alerts" => Some(s),
        _ => None,
    });
    let points = samples.flat_map(|s| &s.series).filter(|s| firing(&s.labels)).flat_map(|s| &s.points).map(|(t, _)| *t);
    points.filter(|t| *t >= from.wall_s() && *t <= to.wall_s()).reduce(f64::min).map(|t| t - from.wall_s())
}

/// A source of log lines, for the ledger: name, field that holds the operation's id, selecting fields, steps.
pub struct LedgerSource<'a> {
    /// Source.
    pub source: &'a str,
    /// Index prefix.
    pub index_prefix: &'a str,
    /// Field with the operation's id.
    pub id_field: &'a str,
    /// Fields that select the answering lines.
    pub select: &'a BTreeMap<String, String>,
    /// Steps that lead to a line.
    pub steps: &'a [String],
}

/// Acknowledged operations of these steps.
fn acknowledged<'a>(history: &'a History, steps: &'a [String]) -> impl Iterator<Item = &'a crate::history::load::Operation> {
    history.operations().map(|(_, o)| o).filter(move |o| o.outcome == Outcome::Acknowledged && steps.iter().any(|s| *s == format!("{}/{}", o.journey, o.step)))
}

fn row(signal: String, sent: &BTreeSet<&str>, copies: &BTreeMap<String, u64>, sampled: bool) -> LedgerRow {
    let stored = sent.iter().filter(|id| copies.contains_key(**id)).count() as u64;
    let duplicated = sent.iter().filter(|id| copies.get(**id).is_some_and(|n| *n > 1)).count() as u64;
    LedgerRow { signal, sent: sent.len() as u64, stored, lost: (!sampled).then_some(sent.len() as u64 - stored), duplicated, late_p99_s: None }
}

/// The ledger: acknowledged operations against stored lines, spans and delivered mail, by id.
pub fn ledger(history: &History, sources: &[LedgerSource<'_>], traces: Option<(&str, &[String])>, mail_steps: &[String]) -> Vec<LedgerRow> {
    let mut rows = Vec::new();
    for source in sources {
        let sent: BTreeSet<&str> = acknowledged(history, source.steps).map(|o| o.id.as_str()).collect();
        let mut copies: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (_, o) in history.observations() {
            let Fact::Documents { documents, .. } = &o.fact else { continue };
            for d in documents.iter().filter(|d| d.index.starts_with(source.index_prefix)) {
                let selected = source.select.iter().all(|(f, v)| d.fields.get(f).and_then(|x| x.as_str()) == Some(v));
                if let (true, Some(id)) = (selected, d.fields.get(source.id_field).and_then(|x| x.as_str())) {
                    copies.entry(id.to_owned()).or_default().insert(format!("{}/{}", d.index, d.id));
                }
            }
        }
        let counted = copies.into_iter().map(|(id, c)| (id, c.len() as u64)).collect();
        rows.push(row(format!("log:{}", source.source), &sent, &counted, false));
    }
    if let Some((attribute, steps)) = traces {
        let sent: BTreeSet<&str> = acknowledged(history, steps).map(|o| o.id.as_str()).collect();
        let mut ids: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for (_, o) in history.observations() {
            let Fact::Spans { spans, .. } = &o.fact else { continue };
            for span in spans {
                if let Some(id) = span.attributes.get(attribute) {
                    ids.entry(id.clone()).or_default().insert(&span.trace_id);
                }
            }
        }
        let counted = ids.into_iter().map(|(id, t)| (id, t.len() as u64)).collect();
        rows.push(row("trace".into(), &sent, &counted, true));
    }
    if !mail_steps.is_empty() {
        let sent: BTreeSet<&str> = acknowledged(history, mail_steps).map(|o| o.id.as_str()).collect();
        let mut counted = BTreeMap::new();
        for event in &history.events {
            if let EventKind::Load(LoadEvent::MailSeen { operation, copies, .. }) = &event.kind {
                let n: &mut u64 = counted.entry(operation.clone()).or_default();
                *n = (*n).max(u64::from(*copies));
            }
        }
        rows.push(row("mail".into(), &sent, &counted, false));
    }
    rows
}
