//! `firedrill baseline`: runs of a healthy stack, measured; recorded, or judged against recorded
//! ones.
//!
//! Each run is a stack of its own, brought up and taken down: runs on one stack would share what
//! differs from one start to the next (where data lie, which pool filled first), and differ less
//! than two versions do by chance alone.

pub mod recorded;

use crate::declaration::Declaration;
use crate::ops::alerts;
use crate::ops::console::Silent;
use crate::ops::live::{Outcome, up_planned};
use crate::ops::options::{Options, run_id};
use crate::ops::verify::leave;
use crate::plan::{Plan, Planned};
use crate::process::exit::Exit;
use crate::process::failure::Failure;
use crate::process::host::Host;
use crate::process::progress::Progress;
use crate::record::{self, Recorder};
use crate::report::{self, RunFile};
use recorded::{Recorded, Run};
use std::path::PathBuf;
use verdict::baseline::{Baseline, Gate};
use verdict::check::baseline::WithinBaseline;
use verdict::history::measure::{MeasureEvent, Side};
use verdict::history::run::RunEvent;
use verdict::summary::Routing;
use verdict::{EventKind, history};

/// The gate that a stack's baseline states, and the file that recorded runs go to.
pub struct BaselineSpec {
    /// What its owner states.
    pub declaration: Declaration,
    /// Time scale that it is measured at.
    pub time_scale: f64,
    pub gate: Gate,
    /// Where its recorded runs are kept.
    pub recorded: PathBuf,
}

impl BaselineSpec {
    /// Reads a stack and what its baseline asks.
    ///
    /// # Errors
    /// The stack's files are wrong, or its baseline measures nothing.
    pub fn read(options: &Options) -> Result<BaselineSpec, Failure> {
        let read = options.read()?;
        let file = &read.baseline_file;
        let recorded = if file.starts_with(&read.stack.folder) {
            file.with_file_name("baseline-recorded.json")
        } else {
            options
                .home
                .scenarios()
                .join("baselines/recorded")
                .join(format!("{}.json", read.subject.declaration.stack))
        };
        let gate =
            read.subject.baseline.as_ref().and_then(|b: &Baseline| b.gate.clone()).ok_or_else(
                || {
                    Failure::usage(format!(
                        "stack {} has no gate: {} states no `gate`",
                        read.stack.name(),
                        file.display()
                    ))
                    .hint("state under `gate` what is measured and how small a change matters")
                },
            )?;
        Ok(BaselineSpec {
            time_scale: read.scaled.scale,
            declaration: read.subject.declaration,
            gate,
            recorded,
        })
    }
}

/// Makes a run, and once more if it measured nothing at all: other programs kept the host busy, or
/// somebody set its clock.
///
/// # Errors
/// A run could not be carried out.
async fn measure(options: &Options, gate: &Gate) -> Result<Run, Failure> {
    let run = once(options, gate).await?;
    match run.values.values().next() {
        Some(first) if run.values.values().all(|v| v.value.is_none()) => {
            let progress = Progress::new(options.common.quiet);
            progress.say(&format!(
                "run {} measured nothing and is made once more: {}",
                run.id, first.rests_on
            ));
            once(options, gate).await
        }
        _ => Ok(run),
    }
}

/// Makes one run: up, warm-up, window, the gate's drills, capture, down; and what it measured.
///
/// # Errors
/// The run could not be carried out.
async fn once(options: &Options, gate: &Gate) -> Result<Run, Failure> {
    let plan = |options: &Options| {
        let mut plan = alerts::plan(options)?;
        plan.only(&gate.drills);
        Ok(Plan { gate: Some(gate.clone()), expectations: Vec::new(), mutation: false, ..plan })
    };
    let (live, plan) = up_planned(options, plan).await?;
    let outcome = live.run(&plan).await;
    let outcome = leave(live, false, outcome, &Silent).await?;
    let report = outcome.report;
    Ok(Run { id: report.run.id, seed: options.seed, values: report.measured })
}

/// Options of the n-th run: its own seed, so that runs differ as days do.
fn nth(options: &Options, n: usize) -> Options {
    Options { seed: options.seed.wrapping_add(n as u64), ..options.clone() }
}

/// Makes `runs` runs and records each as soon as it is made, so that a later one that can't be made
/// costs none: after those that were recorded (`added`), or in their place.
///
/// # Errors
/// Those that were recorded don't fit, a run could not be carried out or did not measure something,
/// or the file can't be written.
pub async fn record(options: &Options, runs: usize, added: bool) -> Result<Recorded, Failure> {
    let subject = BaselineSpec::read(options)?;
    let progress = Progress::new(options.common.quiet);
    let mut runs_before = Vec::new();
    if added {
        let recorded = Recorded::read(&subject.recorded)?;
        recorded.fits(&subject)?;
        runs_before = recorded.runs;
    }
    let before = runs_before.len();
    let mut recorded = Recorded::new(&subject, runs_before);
    for n in 0..runs {
        progress.say(&format!("run {} of {runs}", n + 1));
        // Seeds go on where the recorded runs' end: a run that is made twice tells nothing new.
        let run = measure(&nth(options, before + n), &subject.gate)
            .await
            .and_then(complete)
            .map_err(|failure| match n {
                0 => failure,
                _ => {
                    let (path, rest) = (subject.recorded.display(), runs - n);
                    failure.hint(format!(
                        "{n} runs are recorded in {path}; --add --runs {rest} makes the others"
                    ))
                }
            })?;
        recorded.runs.push(run);
        recorded.write(&subject.recorded)?;
    }
    progress.say(&format!("recorded in {}", subject.recorded.display()));
    Ok(recorded)
}

/// A run that measured everything: another is no baseline.
fn complete(run: Run) -> Result<Run, Failure> {
    match run.values.iter().find(|(_, value)| value.value.is_none()) {
        None => Ok(run),
        Some((name, value)) => Err(Failure::new(
            Exit::Unknown,
            format!("run {} did not measure {name}: {}", run.id, value.rests_on),
        )
        .hint("it is not recorded; mend that first")),
    }
}

/// What the candidate's runs are compared with.
pub enum Reference {
    /// The recorded runs.
    Recorded,
    /// Runs of another version of the stack, made now and in turn with the candidate's.
    Version(Box<Options>),
}

/// Makes `runs` runs and judges them.
///
/// # Errors
/// There is nothing to compare with, a run could not be carried out, or the report can't be
/// written.
pub async fn check(options: &Options, runs: usize, against: Reference) -> Result<Outcome, Failure> {
    let subject = BaselineSpec::read(options)?;
    let progress = Progress::new(options.common.quiet);
    let (mut baseline, mut candidate) = (Vec::new(), Vec::new());
    if let Reference::Recorded = against {
        let recorded = Recorded::read(&subject.recorded)?;
        recorded.fits(&subject)?;
        baseline = recorded.runs;
    }
    for n in 0..runs {
        progress.say(&format!("run {} of {runs}", n + 1));
        if let Reference::Version(other) = &against {
            // In turn, and each first as often as the other: what drifts meets both alike.
            let other = nth(other, n);
            if n % 2 == 0 {
                baseline.push(measure(&other, &subject.gate).await?);
                candidate.push(measure(&nth(options, n), &subject.gate).await?);
            } else {
                candidate.push(measure(&nth(options, n), &subject.gate).await?);
                baseline.push(measure(&other, &subject.gate).await?);
            }
        } else {
            candidate.push(measure(&nth(options, n), &subject.gate).await?);
        }
    }
    judge(options, &subject, &baseline, &candidate)
}

/// Records what was measured as a history of its own, and judges that: `firedrill judge` does it
/// again.
fn judge(
    options: &Options,
    subject: &BaselineSpec,
    baseline: &[Run],
    candidate: &[Run],
) -> Result<Outcome, Failure> {
    let id = run_id(options.seed);
    let folder = options.common.report.join(&id);
    let unwritable = |e: std::io::Error| {
        Failure::usage(format!("{}: {e}", folder.display()))
            .hint("name another folder with --report")
    };
    std::fs::create_dir_all(&folder).map_err(unwritable)?;
    let recorder = Recorder::begin(&folder, crate::process::clock::RunClock::begin())?;
    recorder.write(EventKind::Run(RunEvent::Started {
        format: history::FORMAT,
        id,
        seed: options.seed,
        stack: subject.declaration.stack.clone(),
        time_scale: subject.time_scale,
    }))?;
    for (side, runs) in [(Side::Baseline, baseline), (Side::Candidate, candidate)] {
        for run in runs {
            for (measure, value) in &run.values {
                let event = MeasureEvent {
                    side,
                    run: run.id.clone(),
                    measure: measure.clone(),
                    value: value.value,
                    rests_on: value.rests_on.clone(),
                };
                recorder.write(EventKind::Measure(event))?;
            }
        }
    }
    recorder.end(true, None)?;
    let versions = [("firedrill".to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into();
    let file = RunFile {
        versions,
        replay: format!("firedrill {}", options.command),
        declaration: subject.declaration.unobserved(),
        plan: Plan { expectations: expectations(&subject.gate, options.seed), ..Plan::default() },
        day: jiff::Zoned::now().date().to_string(),
        host: Some(Host::here()),
        routing: Routing::default(),
    };
    record::write_json(&folder, "run.json", &file)?;
    Ok(Outcome { report: report::write_all(&folder)?, folder })
}

fn expectations(gate: &Gate, seed: u64) -> Vec<Planned> {
    let planned = |(name, measure): (&String, &verdict::baseline::Measure)| Planned {
        feature: "Baseline".into(),
        scenario: "A candidate is no worse than the baseline".into(),
        step: format!("Then {name} is no worse"),
        place: "baseline".into(),
        members: Vec::new(),
        expectation: WithinBaseline {
            name: name.clone(),
            measure: measure.clone(),
            question: gate.question(measure),
            seed,
        }
        .into(),
    };
    gate.measures.iter().map(planned).collect()
}
