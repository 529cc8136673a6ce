//! Each scenario of `features/` as an ordinary test case. The steps of all selected scenarios build
//! one plan, which runs once on one stack; then each scenario is judged, and fails at its `Then`
//! line. A seeded subset of the sabotage catalogue follows on the same stack, then one of the
//! breakages of its files (all with `FIREDRILL_NIGHTLY=1`), brought up alone. Nothing starts unless a
//! case is really run (`--list` starts nothing).

mod reconcile;

use firedrill::ops::console::Silent;
use firedrill::ops::live::{LiveStack, up_and_run};
use firedrill::ops::options::Options;
use firedrill::ops::selftest;
use firedrill::ops::settings::Common;
use firedrill::process::failure::Failure;
use firedrill::report::{Report, text};
use libtest_mimic::{Arguments, Failed, Trial};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};
use support::{images, is_set, oracle};
use verdict::Status;

/// How many sabotages are tried here; all of them at night, by `firedrill selftest`.
const SABOTAGES: usize = 3;
/// How many breakages of files are tried by day.
const OF_FILES: usize = 1;

struct Shared {
    runtime: tokio::runtime::Runtime,
    options: Options,
    live: Mutex<Option<LiveStack>>,
    report: OnceLock<Result<Report, String>>,
}

fn main() {
    firedrill::process::program::use_program(env!("CARGO_BIN_EXE_firedrill"));
    let mut arguments = Arguments::from_args();
    // One stack, one run: the cases only look at its record.
    arguments.test_threads = Some(1);
    let conclusion = match trials() {
        Ok((shared, trials)) => {
            let conclusion = libtest_mimic::run(&arguments, trials);
            if let Some(live) =
                shared.live.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
                && let Err(e) = shared.runtime.block_on(live.down())
            {
                eprintln!("the stack could not be removed: {e}");
                std::process::exit(101);
            }
            conclusion
        }
        Err(failure) => libtest_mimic::run(
            &arguments,
            vec![Trial::test("the features can be planned", move || {
                Err(Failed::from(failure.to_string()))
            })],
        ),
    };
    conclusion.exit();
}

fn trials() -> Result<(Arc<Shared>, Vec<Trial>), Failure> {
    let stack = std::env::var("FIREDRILL_STACK").unwrap_or_else(|_| "email".into());
    let options = Options::for_tests(
        &stack,
        Common::of_tests(concat!(env!("CARGO_TARGET_TMPDIR"), "/report").into()),
    );
    let plan = options.plan()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Failure::foreign(firedrill::process::exit::Exit::Defect, e))?;
    let folder = options.sabotage_folder()?;
    let catalogue = selftest::read_all(&folder).map_err(Failure::from)?;
    let of_files = selftest::broken::read_all(&folder).map_err(Failure::from)?;
    let shared =
        Arc::new(Shared { runtime, options, live: Mutex::new(None), report: OnceLock::new() });
    let mut seen = BTreeSet::new();
    let mut trials = Vec::new();
    for planned in &plan.expectations {
        let name = format!("{}::{}", planned.feature, planned.scenario);
        if seen.insert(name.clone()) {
            let (shared, feature, scenario) =
                (shared.clone(), planned.feature.clone(), planned.scenario.clone());
            let trial = images::needing(&name, images::no_engine, move || {
                judged(&shared, &feature, &scenario)
            });
            trials.push(trial.into());
        }
    }
    for left in &plan.left_out {
        trials.push(
            Trial::test(format!("{}::{}", left.feature, left.scenario), || Ok(()))
                .with_ignored_flag(true)
                .with_kind(left.reason.clone()),
        );
    }
    let shared_call = shared.clone();
    let roll_call = move || judged(&shared_call, "Roll-call", "");
    let name = "Roll-call::every verdict that must be returned is there";
    trials.push(images::needing(name, images::no_engine, roll_call).into());
    // What was agreed on is the e-mail stack's whole run, not a selection of it.
    if stack == "email" && shared.options.common.tags.is_empty() {
        let shared = shared.clone();
        let name = "Oracle::the verdicts are those that were agreed on";
        trials.push(images::needing(name, images::no_engine, move || as_agreed(&shared)).into());
    }
    // The sources and stores that are compared are the e-mail stack's own.
    if stack == "email" {
        let shared = shared.clone();
        let name = "Reconciliation::what is told of the traffic is what took place";
        trials.push(images::needing(name, images::no_engine, move || reconciled(&shared)).into());
    }
    let seed = shared.options.seed;
    for name in selftest::subset(&catalogue, seed, SABOTAGES) {
        let (shared, catalogue) = (shared.clone(), catalogue.clone());
        let shown = format!("Sabotage::{name} is convicted");
        let work = move || convicted(&shared, &catalogue[&name]);
        trials.push(images::needing(&shown, images::no_engine, work).into());
    }
    let by_day = if is_set("FIREDRILL_NIGHTLY") { of_files.len() } else { OF_FILES };
    for name in selftest::subset(&of_files, seed, by_day) {
        let (shared, breakage) = (shared.clone(), of_files[&name].clone());
        let shown = format!("Broken files::{name} is convicted");
        let work = move || convicted_alone(&shared, &breakage);
        trials.push(images::needing(&shown, images::no_engine, work).into());
    }
    Ok((shared, trials))
}

/// The report of the one run; the first case that asks for it runs it.
fn report(shared: &Shared) -> Result<&Report, Failed> {
    let report = shared.report.get_or_init(|| {
        shared.runtime.block_on(async {
            let (live, outcome) =
                up_and_run(&shared.options, Options::plan).await.map_err(|f| f.to_string())?;
            *shared.live.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(live);
            outcome.map(|o| o.report).map_err(|f| f.to_string())
        })
    });
    report.as_ref().map_err(|e| Failed::from(e.clone()))
}

fn judged(shared: &Shared, feature: &str, scenario: &str) -> Result<(), Failed> {
    let report = report(shared)?;
    let told: Vec<_> = report
        .verdicts
        .iter()
        .filter(|t| t.feature == feature && (scenario.is_empty() || t.scenario == scenario))
        .collect();
    let bad: Vec<String> = told
        .iter()
        .filter(|t| !matches!(t.status, Status::Pass | Status::Waived | Status::Skipped))
        .map(|t| text::verdict(t, report))
        .collect();
    // The roll-call speaks only when something is missing; any other scenario must have been
    // judged.
    if told.is_empty() && !scenario.is_empty() {
        return Err(Failed::from("no verdict was returned"));
    }
    if bad.is_empty() { Ok(()) } else { Err(Failed::from(bad.join("\n"))) }
}

fn as_agreed(shared: &Shared) -> Result<(), Failed> {
    let verdicts = report(shared)?.verdicts.iter();
    let returned = verdicts.map(|v| (v.id.clone(), v.status.word().to_owned())).collect();
    Ok(oracle::hold("verify-email", &returned)?)
}

fn reconciled(shared: &Shared) -> Result<(), Failed> {
    report(shared)?;
    let live = shared.live.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let live = live.as_ref().ok_or_else(|| Failed::from("the stack is not up"))?;
    shared.runtime.block_on(reconcile::reconcile(live)).map_err(Failed::from)
}

fn convicted(shared: &Shared, sabotage: &selftest::Sabotage) -> Result<(), Failed> {
    report(shared)?;
    let live = shared.live.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let live = live.as_ref().ok_or_else(|| Failed::from("the stack is not up"))?;
    let plan = live.options.plan().map_err(|f| Failed::from(f.to_string()))?;
    if let Some(why) = sabotage.left_out(&plan) {
        eprintln!("{} is left out: {why}", sabotage.name);
        return Ok(());
    }
    let outcome = shared
        .runtime
        .block_on(selftest::try_on(live, sabotage))
        .map_err(|f| Failed::from(f.to_string()))?;
    if outcome.convicted { Ok(()) } else { Err(Failed::from(outcome.told)) }
}

/// Brings the broken stack up in the healthy one's place.
fn convicted_alone(shared: &Shared, breakage: &selftest::broken::Breakage) -> Result<(), Failed> {
    let healthy = shared.live.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    let told = |f: Failure| Failed::from(f.to_string());
    if let Some(healthy) = healthy {
        shared.runtime.block_on(healthy.down()).map_err(told)?;
    }
    let tried = breakage.try_alone(&shared.options, &Silent);
    let outcome = shared.runtime.block_on(tried).map_err(told)?;
    if outcome.convicted { Ok(()) } else { Err(Failed::from(outcome.told)) }
}
