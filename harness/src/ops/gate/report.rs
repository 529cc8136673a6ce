//! What a gate came to: gate.json, one JUnit file of all that was judged, a page that leads to
//! every run's, and words for people.

use super::outcome::Outcome;
use crate::process::host::Host;
use crate::report::html;
use minijinja::Value;
use minijinja::value::Serde;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

/// `gate.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Id, which is the name of its folder.
    pub id: String,
    /// Name of the gate.
    pub gate: String,
    /// What it is for.
    pub about: String,
    pub stack: String,
    pub seed: u64,
    /// Hours that were divided among the steps, if any.
    pub hours: Option<f64>,
    /// When it began, RFC 3339, UTC.
    pub started: String,
    /// How long it took, seconds.
    pub duration_s: f64,
    pub firedrill: String,
    pub host: Host,
    pub exit: i32,
    pub steps: Vec<StepReport>,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    pub name: String,
    /// Its line, as the file has it.
    pub run: String,
    /// What it comes to.
    pub outcome: Outcome,
    /// Why an end is allowed, or why it was not begun.
    pub because: Option<String>,
    /// How often it was run, and what each came to.
    pub ran: Vec<Ran>,
}

/// One run of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ran {
    /// Its command line, without the program and where its report goes.
    pub command: String,
    pub exit: i32,
    /// How long it took, seconds.
    pub took_s: f64,
    /// File of its output, relative to the gate's folder.
    pub output: String,
    /// Page of what it measured, if it wrote one besides its runs'.
    pub page: Option<String>,
    /// What else is to be said.
    pub note: Option<String>,
    /// Whether its runs are judged as they are: those of a self-test are broken on purpose.
    pub judged: bool,
    /// The runs that it made.
    pub runs: Vec<Made>,
}

/// A run that a command made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Made {
    pub id: String,
    /// Its folder, relative to the gate's.
    pub folder: String,
    /// What it came to.
    pub outcome: String,
    /// Verdicts that passed, failed, are unknown.
    pub verdicts: (u64, u64, u64),
}

impl Report {
    /// The word that its exit code stands for.
    pub fn word(&self) -> &'static str {
        match self.exit {
            0 => "pass",
            1 => "fail",
            3 => "unfit",
            64 => "usage",
            70 => "defect",
            130 => "interrupted",
            _ => "unknown",
        }
    }

    /// The last words for people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for step in &self.steps {
            let took: f64 = step.ran.iter().map(|r| r.took_s).sum();
            let times = if step.ran.len() > 1 {
                format!(", {} runs", step.ran.len())
            } else {
                String::new()
            };
            let because = step.because.as_ref().map(|b| format!(": {b}")).unwrap_or_default();
            out += &format!(
                "{:<11} {} ({took:.0} s{times}){because}\n",
                step.outcome.word(),
                step.name
            );
        }
        let count =
            |wanted: &[Outcome]| self.steps.iter().filter(|s| wanted.contains(&s.outcome)).count();
        let (passed, allowed, not_run) =
            (count(&[Outcome::Pass]), count(&[Outcome::Allowed]), count(&[Outcome::NotRun]));
        out += &format!(
            "{}: of {} steps {passed} passed, {allowed} ended as allowed, {} did not pass, {not_run} not run; gate {} of {} took {:.0} s (seed {})\n",
            self.word(),
            self.steps.len(),
            self.steps.len() - passed - allowed - not_run,
            self.gate,
            self.stack,
            self.duration_s,
            self.seed
        );
        out
    }

    /// JUnit of the whole: a case for each run of each step, and all that its runs judged. A run's
    /// file that can't be read is an error there.
    pub fn junit(&self, folder: &Path) -> String {
        let mut junit =
            quick_junit::Report::new(format!("firedrill gate {} {}", self.gate, self.id));
        let mut own = TestSuite::new(format!("gate {}", self.gate));
        let mut of_runs = Vec::new();
        for step in &self.steps {
            for ran in &step.ran {
                own.add_test_case(case(step, Some(ran)));
                for made in ran.runs.iter().filter(|_| ran.judged) {
                    let path = folder.join(&made.folder).join("junit.xml");
                    let read = std::fs::read_to_string(&path).map_err(|e| e.to_string());
                    match read.and_then(|text| {
                        quick_junit::Report::deserialize_from_str(&text).map_err(|e| e.to_string())
                    }) {
                        Ok(report) => {
                            of_runs.extend(report.test_suites.into_iter().map(|mut suite| {
                                suite.name =
                                    format!("{} {}: {}", step.name, made.id, suite.name.as_str())
                                        .into();
                                suite
                            }))
                        }
                        Err(why) => {
                            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
                            status.set_message(format!("{}: {why}", path.display()));
                            own.add_test_case(TestCase::new(
                                format!("{}: run {} can be read", step.name, made.id),
                                status,
                            ));
                        }
                    }
                }
            }
            if step.ran.is_empty() {
                own.add_test_case(case(step, None));
            }
        }
        junit.add_test_suite(own);
        junit.add_test_suites(of_runs);
        junit
            .to_string()
            .unwrap_or_else(|e| format!("<!-- the report could not be written as XML: {e} -->"))
    }

    /// The page.
    ///
    /// # Errors
    /// The template does not fit: a defect of ours.
    pub fn page(&self) -> Result<String, minijinja::Error> {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|s| minijinja::context! { word => s.outcome.word(), class => s.outcome.class(), step => Value::from(Serde(s)) })
            .collect();
        let class = match self.exit {
            0 => "pass",
            1 | 64 | 70 => "fail",
            _ => "unknown",
        };
        html::page(
            "gate.html",
            minijinja::context! { gate => Value::from(Serde(self)), word => self.word(), class => class, steps => steps },
        )
    }
}

fn case(step: &StepReport, ran: Option<&Ran>) -> TestCase {
    let status = match (step.outcome, ran) {
        (Outcome::NotRun, _) | (_, None) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(step.because.clone().unwrap_or_default());
            status
        }
        (Outcome::Pass | Outcome::Allowed, _) => TestCaseStatus::success(),
        (_, Some(ran)) if ran.exit == 0 => TestCaseStatus::success(),
        (_, Some(ran)) => {
            // What was not shown is an error in JUnit; what was shown not to hold is a failure.
            let mut status = TestCaseStatus::non_success(if ran.exit == 1 {
                NonSuccessKind::Failure
            } else {
                NonSuccessKind::Error
            });
            let note = ran.note.as_ref().map(|n| format!("; {n}")).unwrap_or_default();
            status.set_message(format!(
                "firedrill {} ended with {}{note}; its output: {}",
                ran.command, ran.exit, ran.output
            ));
            status
        }
    };
    let mut case = TestCase::new(
        ran.map_or_else(|| step.run.clone(), |r| format!("{}: {}", step.name, r.command)),
        status,
    );
    case.set_classname(&step.name);
    case.set_time(Duration::from_secs_f64(ran.map_or(0.0, |r| r.took_s.max(0.0))));
    case
}
