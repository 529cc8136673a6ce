//! The report: a view of history and verdicts. One file below for each form; a line in `write_all` registers it.

pub mod html;
pub mod junit;
pub mod text;
pub mod timeline;

use crate::plan::Plan;
use crate::record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use verdict::history::load::LoadSummary;
use verdict::history::run::RunEvent;
use verdict::summary::{self, AlertRow, FaultRow, LedgerRow, Summary, Timings};
use verdict::{Cause, Evidence, History, Status, Verdict};

/// `report.json`. The committed schema `harness/report.schema.json` is made from this type, and a test holds both together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The run.
    pub run: Run,
    /// How many verdicts are what.
    pub summary: Summary,
    /// All verdicts, in the order of the features.
    pub verdicts: Vec<Told>,
    /// What is known of each alert.
    pub alerts: Vec<AlertRow>,
    /// Acknowledged against stored, by id.
    pub ledger: Vec<LedgerRow>,
    /// The faults.
    pub faults: Vec<FaultRow>,
    /// The background load.
    pub load: Option<LoadSummary>,
    /// How long the parts took.
    pub timings: Timings,
}

/// The run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Id.
    pub id: String,
    /// Seed.
    pub seed: u64,
    /// Divisor of the monitoring configuration's durations.
    pub time_scale: f64,
    /// Stack.
    pub stack: String,
    /// When it began, RFC 3339, UTC.
    pub started: String,
    /// How long it took, seconds.
    pub duration_s: f64,
    /// Versions: firedrill, engine, images.
    pub versions: BTreeMap<String, String>,
    /// Whatever differs from the described system.
    pub deviations: Vec<Deviation>,
    /// Whether all phases were gone through.
    pub complete: bool,
    /// The command that replays it.
    pub replay: String,
}

/// Something that differs from the described system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Deviation {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

/// A verdict and where it is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Told {
    /// Id.
    pub id: String,
    /// Feature.
    pub feature: String,
    /// Scenario.
    pub scenario: String,
    /// The `Then` step.
    pub step: String,
    /// `file:line` of the step.
    pub place: String,
    /// What was expected.
    pub expected: String,
    /// The answer.
    pub status: Status,
    /// Why.
    pub reason: String,
    /// What is broken.
    pub cause: Option<Cause>,
    /// Stage at which a signal stopped.
    pub stopped_at: Option<String>,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// Events that show it.
    pub witnesses: Vec<u64>,
    /// What to try.
    pub hint: Option<String>,
    /// Seconds of the drill that it rests on, or of the run.
    pub duration_s: f64,
}

/// What is fixed about a run besides its history, saved as `run.json` so that it can be judged again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFile {
    /// Versions.
    pub versions: BTreeMap<String, String>,
    /// The command that replays it.
    pub replay: String,
    /// The declaration that it is judged by.
    pub declaration: crate::declaration::Declaration,
    /// The plan.
    pub plan: Plan,
    /// Day on which it ran, `YYYY-MM-DD` (waivers expire).
    pub day: String,
}

/// Judges a history by a run file and makes the report.
pub fn judge(history: &History, file: &RunFile) -> Report {
    let plan = &file.plan;
    let mut verdicts: Vec<Verdict> = plan.expectations.iter().map(|p| p.expectation.judge(history)).collect();
    for verdict in &mut verdicts {
        waive(verdict, file);
    }
    let mut told: Vec<Told> = plan.expectations.iter().zip(&verdicts).map(|(p, v)| tell(history, v, &p.feature, &p.scenario, &p.step, &p.place)).collect();
    for left in &plan.left_out {
        let id = format!("skipped.{}.{}", left.feature, left.scenario).to_lowercase().replace(' ', "_");
        told.push(tell(history, &Verdict::skipped(id, left.scenario.clone(), left.reason.clone()), &left.feature, &left.scenario, "", ""));
    }
    for (_, event) in history.run() {
        if let RunEvent::Skipped { verdict, reason } = event {
            told.push(tell(history, &Verdict::skipped(verdict.clone(), verdict.clone(), reason.clone()), "Optional components", verdict, "", ""));
        }
    }
    for verdict in verdict::check::roll_call::roll_call(&verdicts, &plan.required) {
        told.push(tell(history, &verdict, "Roll-call", "Every verdict that must be returned is there", "", "verdicts.yaml"));
    }
    if !history.is_complete() {
        let why = history.run().find_map(|(_, r)| match r {
            RunEvent::Ended { reason, .. } => reason.clone(),
            _ => None,
        });
        let verdict = Verdict::unknown("run.complete", "the run goes through all its phases", why.unwrap_or_else(|| "it was cut short".into()));
        told.push(tell(history, &verdict, "The run", "It is complete", "", ""));
    }
    report(history, file, &verdicts, told)
}

fn waive(verdict: &mut Verdict, file: &RunFile) {
    let Some(waiver) = file.declaration.waivers.iter().find(|w| w.verdict == verdict.id) else { return };
    if verdict.status != Status::Fail {
        return;
    }
    if waiver.expires.as_str() < file.day.as_str() {
        verdict.reason = format!("{} (the waiver of {} expired on {})", verdict.reason, waiver.owner, waiver.expires);
    } else {
        verdict.status = Status::Waived;
        verdict.reason = format!("{} (waived by {} until {}: {})", verdict.reason, waiver.owner, waiver.expires, waiver.reason);
    }
}

fn tell(history: &History, v: &Verdict, feature: &str, scenario: &str, step: &str, place: &str) -> Told {
    let end = history.events.last().map_or(0.0, |e| e.at.mono_us as f64 / 1e6);
    let window = history.run().find_map(|(_, r)| match r {
        RunEvent::DrillBegan { drill, .. } if v.id.starts_with(&format!("drill.{drill}.")) || v.expected.contains(drill.as_str()) => history.drill_window(drill),
        _ => None,
    });
    let duration_s = window.and_then(|(b, e)| Some(e?.since(b))).unwrap_or(end);
    Told {
        id: v.id.clone(),
        feature: feature.to_owned(),
        scenario: scenario.to_owned(),
        step: step.to_owned(),
        place: place.to_owned(),
        expected: v.expected.clone(),
        status: v.status,
        reason: v.reason.clone(),
        cause: v.cause,
        stopped_at: v.stopped_at.clone(),
        evidence: v.evidence.clone(),
        witnesses: v.witnesses.clone(),
        hint: v.hint.clone(),
        duration_s,
    }
}

fn report(history: &History, file: &RunFile, verdicts: &[Verdict], told: Vec<Told>) -> Report {
    let declaration = &file.declaration;
    let (mut id, mut seed, mut time_scale, mut started) = (String::new(), 0, 1.0, 0i64);
    for (event, run) in history.run() {
        if let RunEvent::Started { id: i, seed: s, time_scale: n, .. } = run {
            (id, seed, time_scale, started) = (i.clone(), *s, *n, event.at.wall_us);
        }
    }
    let subjects = declaration
        .alerts
        .iter()
        .map(|a| {
            let drills = file.plan.drills.iter().filter(|d| d.scenario.alerts.contains(&a.name)).map(|d| d.scenario.name.clone()).collect();
            (a.name.clone(), (drills, file.plan.budgets.get(&a.name).map(|b| b.notify_s)))
        })
        .collect();
    let sources: Vec<summary::LedgerSource<'_>> = declaration
        .logs
        .iter()
        .flat_map(|l| l.sources.iter().filter(|s| !s.steps.is_empty()).map(|s| summary::LedgerSource { source: &s.source, index_prefix: &s.index_prefix, id_field: &l.id_field, select: &s.select, steps: &s.steps }))
        .collect();
    let trace_steps: Vec<String> = declaration.traces.iter().flat_map(|t| t.steps.iter().map(|s| s.step.clone())).collect();
    let traces = declaration.traces.as_ref().map(|t| (t.id_attribute.as_str(), trace_steps.as_slice()));
    let mail = declaration.workload.as_ref().filter(|w| w.imap.is_some() && w.journeys.contains_key("send_mail")).map(|_| vec!["send_mail/send".to_owned()]).unwrap_or_default();
    Report {
        run: Run {
            id,
            seed,
            time_scale,
            stack: declaration.stack.clone(),
            started: jiff::Timestamp::from_microsecond(started).map(|t| t.to_string()).unwrap_or_default(),
            duration_s: history.events.last().map_or(0.0, |e| e.at.mono_us as f64 / 1e6),
            versions: file.versions.clone(),
            deviations: summary::deviations(history).into_iter().map(|(what, why)| Deviation { what, why }).collect(),
            complete: history.is_complete(),
            replay: file.replay.clone(),
        },
        summary: told.iter().fold(Summary::default(), |s, t| count(s, t.status)),
        verdicts: told,
        alerts: summary::alerts(history, verdicts, &subjects),
        ledger: summary::ledger(history, &sources, traces, &mail),
        faults: summary::faults(history),
        load: summary::load(history, "background"),
        timings: summary::timings(history),
    }
}

fn count(mut s: Summary, status: Status) -> Summary {
    *match status {
        Status::Pass => &mut s.passed,
        Status::Fail => &mut s.failed,
        Status::Unknown => &mut s.unknown,
        Status::Skipped => &mut s.skipped,
        Status::Waived => &mut s.waived,
    } += 1;
    s
}

impl Report {
    /// Exit code that the run earns: no verdict at all is Unknown.
    pub fn exit(&self) -> crate::exit::Exit {
        use crate::exit::Exit;
        match self.summary {
            Summary { failed: 1.., .. } => Exit::Fail,
            Summary { unknown: 1.., .. } | Summary { passed: 0, .. } => Exit::Unknown,
            _ => Exit::Pass,
        }
    }

    /// The JSON schema of `report.json`.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Report).to_value()
    }
}

/// Judges a recorded run and writes every form of the report beside its history.
///
/// # Errors
/// The record can't be read, or the report can't be written.
pub fn write_all(folder: &Path) -> Result<Report, record::Error> {
    let history = record::read(folder)?;
    let file: RunFile = record::read_json(folder, "run.json")?;
    let report = judge(&history, &file);
    record::write_json(folder, "report.json", &report)?;
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).map_err(|source| record::Error::File { path: folder.join(name), source });
    write("junit.xml", junit::render(&report))?;
    match html::render(&report, &history) {
        Ok(page) => write("report.html", page)?,
        Err(e) => tracing::error!("the page can't be made: {e:#}"),
    }
    Ok(report)
}
