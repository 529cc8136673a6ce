//! The report: a view of history and verdicts. One file below for each form; a line in `write_all`
//! registers it.

pub mod chart;
pub mod compared;
pub mod html;
pub mod junit;
pub mod plots;
pub mod text;
pub mod timeline;

use crate::declaration::{Declaration, DeclaredAlert};
use crate::plan::{self, Plan, Planned};
use crate::process::host::Host;
use crate::record;
use crate::secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use verdict::history::load::LoadSummary;
use verdict::history::run::RunEvent;
use verdict::mutation::{self, Mutation};
use verdict::summary::{
    self, AboutAlert, AlertRow, ComparedRow, Coverage, Curves, FaultRow, Headline, LedgerRow,
    Measured, Place, Proved, Routing, Summary, Timings, Waiver,
};
use verdict::{Expectation, History, Verdict, left_out};

pub use verdict::summary::{Deviation, ReportedVerdict};

/// `report.json`. The committed schema `harness/report.schema.json` is made from this type, and a
/// test holds both together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The run.
    pub run: Run,
    /// What one wants to know first.
    pub glance: Headline,
    /// How many verdicts are what.
    pub summary: Summary,
    /// All verdicts: features from the stack's health upwards, each in the order in which it tells
    /// them.
    pub verdicts: Vec<ReportedVerdict>,
    /// What is known of each alert.
    pub alerts: Vec<AlertRow>,
    /// How many of them are proved, and how.
    pub proved: Proved,
    /// What was exercised of the rules and of the ways that their alerts take.
    pub coverage: Coverage,
    /// What became of changed rules; null if the run did not ask for it.
    pub mutation: Option<Mutation>,
    /// Acknowledged against stored, by id.
    pub ledger: Vec<LedgerRow>,
    /// The faults.
    pub faults: Vec<FaultRow>,
    /// The background load.
    pub load: Option<LoadSummary>,
    /// How long operations took, by percentile, while no fault was there and while one was.
    #[serde(default)]
    pub curves: Curves,
    /// What a run of a gate measured, by measure.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measured: BTreeMap<String, Measured>,
    /// A candidate's runs beside a baseline's, measure by measure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compared: Vec<ComparedRow>,
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
    /// The machine; null for runs of old.
    #[serde(default)]
    pub host: Option<Host>,
}

/// What is fixed about a run besides its history, saved as `run.json` so that it can be judged
/// again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFile {
    pub versions: BTreeMap<String, String>,
    /// The command that replays it.
    pub replay: String,
    /// The declaration that it is judged by.
    pub declaration: Declaration,
    pub plan: Plan,
    /// The ways that alerts may take, as configured.
    #[serde(default)]
    pub routing: Routing,
    /// Day on which it ran, `YYYY-MM-DD` (waivers expire).
    pub day: String,
    /// The machine.
    #[serde(default)]
    pub host: Option<Host>,
}

/// Judges a history by a run file and makes the report.
pub fn judge(history: &History, file: &RunFile) -> Report {
    let plan = &file.plan;
    // What is said about services that are left out says nothing about the stack.
    let (whole, seen) = (history, left_out::without(history, &plan.absent));
    let history = seen.as_ref();
    let waivers: Vec<Waiver<'_>> = file
        .declaration
        .waivers
        .iter()
        .map(|w| Waiver {
            verdict: &w.verdict,
            owner: &w.owner,
            reason: &w.reason,
            expires: &w.expires,
        })
        .collect();
    let judged = plan::judge(&plan.expectations, history);
    let (planned, mut verdicts): (Vec<&Planned>, Vec<Verdict>) = judged.into_iter().unzip();
    for verdict in &mut verdicts {
        summary::waive(verdict, &waivers, &file.day);
    }
    // Rules are reproduced sample by sample, whatever they are about.
    let mutation = mutation::judge(whole, plan.expectations.iter().map(|p| &p.expectation));
    let tables = Tables { mutation, ..Tables::of(history, file, &verdicts) };
    let mut told: Vec<ReportedVerdict> = Vec::new();
    for (p, verdict) in planned.into_iter().zip(&verdicts) {
        let place =
            Place { feature: &p.feature, scenario: &p.scenario, step: &p.step, place: &p.place };
        told.push(summary::tell(history, verdict, place, p.expectation.drill()));
    }
    if let Some(gate) = &plan.gate {
        let place = Place {
            feature: "Baseline",
            scenario: "A run measures everything",
            ..Place::default()
        };
        let measured = summary::all_measured(gate, &tables.measured);
        told.extend(measured.iter().map(|v| summary::tell(history, v, place, None)));
        verdicts.extend(measured);
    }
    for left in &plan.left_out {
        let whole = || {
            vec![
                format!("skipped.{}.{}", left.feature, left.scenario)
                    .to_lowercase()
                    .replace(' ', "_"),
            ]
        };
        let place = Place { feature: &left.feature, scenario: &left.scenario, ..Place::default() };
        for id in if left.verdicts.is_empty() { whole() } else { left.verdicts.clone() } {
            told.push(summary::tell(
                history,
                &Verdict::skipped(id, left.scenario.clone(), left.reason.clone()),
                place,
                None,
            ));
        }
    }
    let missing = Place {
        feature: "Roll-call",
        scenario: "Every verdict that must be returned is there",
        step: "",
        place: "verdicts.yaml",
    };
    told.extend(
        verdict::check::roll_call::roll_call(&verdicts, &plan.required)
            .iter()
            .map(|v| summary::tell(history, v, missing, None)),
    );
    told.extend(summary::skip(history));
    summary::order(&mut told);
    report(history, file, &verdicts, told, tables)
}

/// Tables that other figures are made of.
struct Tables {
    alerts: Vec<AlertRow>,
    ledger: Vec<LedgerRow>,
    measured: BTreeMap<String, Measured>,
    mutation: Option<Mutation>,
}

impl Tables {
    fn of(history: &History, file: &RunFile, verdicts: &[Verdict]) -> Tables {
        let (alerts, ledger) =
            (alerts(history, file, verdicts), ledger(history, &file.declaration));
        let measured = file
            .plan
            .gate
            .as_ref()
            .map(|gate| summary::measures(history, gate, &ledger, &alerts))
            .unwrap_or_default();
        Tables { alerts, ledger, measured, mutation: None }
    }
}

fn alerts(history: &History, file: &RunFile, verdicts: &[Verdict]) -> Vec<AlertRow> {
    let about_alert = |alert: &DeclaredAlert| {
        let about: Vec<_> = file
            .plan
            .drills
            .iter()
            .map(|d| &d.scenario)
            .filter(|s| s.is_about(&alert.name))
            .collect();
        let builds_up_s = about.iter().map(|s| s.builds_up_s.of(&alert.name)).fold(0.0, f64::max);
        let causes = file.plan.expectations.iter().find_map(|planned| match &planned.expectation {
            Expectation::AlertFires(fires) if fires.alert == alert.name => Some(&fires.causes),
            _ => None,
        });
        AboutAlert {
            causes,
            drills: about.iter().map(|s| s.name.clone()).collect(),
            budget_s: file.plan.budgets.get(&alert.name).map(|b| b.notify_s + builds_up_s),
            stages: file.plan.expectations.iter().find_map(|planned| match &planned.expectation {
                Expectation::AlertStages(stages) if stages.alert == alert.name => Some(stages),
                _ => None,
            }),
        }
    };
    let planned = file
        .declaration
        .alerts
        .iter()
        .map(|alert| (alert.name.clone(), about_alert(alert)))
        .collect();
    summary::alerts(history, verdicts, &planned)
}

fn ledger(history: &History, declaration: &Declaration) -> Vec<LedgerRow> {
    let sources: Vec<summary::LedgerSource<'_>> = declaration
        .logs
        .iter()
        .flat_map(|l| {
            l.answering().map(|s| summary::LedgerSource {
                source: &s.source,
                index_prefix: &s.index_prefix,
                id_field: &l.id_field,
                select: &s.select,
                steps: &s.steps,
            })
        })
        .collect();
    let trace_steps: Vec<String> =
        declaration.traces.iter().flat_map(|t| t.steps.iter().map(|s| s.step.clone())).collect();
    let traces =
        declaration.traces.as_ref().map(|t| (t.id_attribute.as_str(), trace_steps.as_slice()));
    let sinks = match &declaration.workload {
        // As runs were recorded before there were sinks.
        Some(workload) if workload.imap.is_some() => summary::sinks_seen(history),
        Some(workload) => workload.steps_to_sinks(),
        None => BTreeMap::new(),
    };
    summary::ledger(history, &sources, traces, &sinks)
}

fn report(
    history: &History,
    file: &RunFile,
    verdicts: &[Verdict],
    told: Vec<ReportedVerdict>,
    tables: Tables,
) -> Report {
    let declaration = &file.declaration;
    let (mut id, mut seed, mut time_scale, mut started) = (String::new(), 0, 1.0, 0i64);
    for (event, run) in history.run() {
        if let RunEvent::Started { id: i, seed: s, time_scale: n, .. } = run {
            // It is written once the stack is up; the clock began before.
            (id, seed, time_scale, started) =
                (i.clone(), *s, *n, event.at.wall_us - event.at.mono_us);
        }
    }
    let counts = Summary::of(told.iter().map(|t| t.status));
    let Tables { alerts, ledger, measured, mutation } = tables;
    let faults = summary::faults(history);
    let of_alerts =
        declaration.alerts.iter().map(|a| (a.name.clone(), a.receivers.clone())).collect();
    let of_switches = declaration
        .dead_mans_switches
        .iter()
        .map(|s| (s.name.clone(), s.receivers.clone()))
        .collect();
    let declared = summary::coverage::Declared { alerts: &of_alerts, switches: &of_switches };
    let coverage = summary::coverage::coverage(history, verdicts, &alerts, declared, &file.routing);
    Report {
        run: Run {
            id,
            seed,
            time_scale,
            stack: declaration.stack.clone(),
            started: jiff::Timestamp::from_microsecond(started)
                .map(|t| t.to_string())
                .unwrap_or_default(),
            duration_s: summary::duration_s(history),
            versions: file.versions.clone(),
            deviations: summary::deviations(history),
            complete: history.is_complete(),
            replay: file.replay.clone(),
            host: file.host.clone(),
        },
        glance: summary::glance(counts, verdicts, &alerts, &faults, &ledger),
        summary: counts,
        verdicts: told,
        proved: Proved::of(&alerts),
        alerts,
        coverage,
        mutation,
        ledger,
        faults,
        load: summary::load(history, "background"),
        curves: summary::curves(history),
        measured,
        compared: summary::compared(
            history,
            verdicts.iter().filter_map(|v| Some((expected_as(&file.plan, &v.id)?, v))),
        ),
        timings: summary::timings(history),
    }
}

/// What was expected, by the verdict's id.
fn expected_as<'p>(plan: &'p Plan, id: &str) -> Option<&'p Expectation> {
    plan.expectations.iter().map(|p| &p.expectation).find(|e| e.checker().id() == id)
}

impl Report {
    /// Exit code that the run earns: no verdict at all is Unknown.
    pub fn exit(&self) -> crate::process::exit::Exit {
        use crate::process::exit::Exit;
        match self.glance.outcome {
            verdict::Status::Fail => Exit::Fail,
            verdict::Status::Pass => Exit::Pass,
            _ => Exit::Unknown,
        }
    }

    /// The JSON schema of `report.json`.
    pub fn schema() -> serde_json::Value {
        let mut schema = schemars::schema_for!(Report).to_value();
        unwrapped(&mut schema);
        schema
    }
}

/// Makes each paragraph of a description one line: where a doc comment's lines end is the source's
/// affair.
fn unwrapped(schema: &mut serde_json::Value) {
    use serde_json::Value;
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "description" => {
                        let paragraphs = text.split("\n\n").map(|p| p.replace('\n', " "));
                        *text = paragraphs.collect::<Vec<_>>().join("\n\n");
                    }
                    other => unwrapped(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(unwrapped),
        _ => {}
    }
}

/// Judges a recorded run and writes every form of the report beside its history.
///
/// # Errors
/// The record can't be read, or the report can't be written.
pub fn write_all(folder: &Path) -> Result<Report, record::Error> {
    let history = record::read(folder)?;
    let file: RunFile = record::read_json(folder, "run.json")?;
    crate::declaration::secrets::learn(&file.declaration);
    let report = judge(&history, &file);
    record::write_json(folder, "report.json", &report)?;
    let write = |name: &str, text: String| {
        secret::write_file(&folder.join(name), &text)
            .map_err(|source| record::Error::File { path: folder.join(name), source })
    };
    write("junit.xml", junit::render(&report))?;
    match html::render(&report, &history) {
        Ok(page) => write("report.html", page)?,
        Err(e) => tracing::error!("the page can't be made: {e:#}"),
    }
    Ok(report)
}
