//! The oracle: `verify email`, `alerts email`, `verify mini` and `selftest mini` return the
//! verdicts that were agreed on, by id and status. What they would return is planned in seconds
//! without Docker; `verify mini` runs always, `alerts email` at night. `verify email` is compared
//! by `features`, which runs it anyway, and the sabotages of mini by `selftest_mini`.

#![allow(clippy::unwrap_used)]

#[path = "oracle/compare.rs"]
mod compare;
#[path = "images/obtain.rs"]
mod images;

use compare::{Returned, agreed, differences, hold};
use firedrill::ops::live::up_and_run;
use firedrill::ops::options::Options;
use firedrill::ops::settings::Common;
use firedrill::plan::Plan;
use firedrill::process::failure::Failure;
use firedrill::report::Report;
use libtest_mimic::{Arguments, Failed, Trial};
use std::collections::BTreeSet;

const ALERTS: &str = "alerts email returns what was agreed on";

fn main() {
    firedrill::process::program::use_program(env!("CARGO_BIN_EXE_firedrill"));
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trials = vec![
        Trial::test("an id that appears, disappears or changes is named", named),
        Trial::test("verify email plans what was agreed on", || {
            planned("verify-email", "email", Options::plan)
        }),
        Trial::test("alerts email plans what was agreed on", || {
            planned("alerts-email", "email", firedrill::ops::alerts::plan)
        }),
        Trial::test("verify mini plans what was agreed on", || {
            planned("verify-mini", "mini", Options::plan)
        }),
        images::needing("verify mini returns what was agreed on", images::no_engine, || {
            run("verify-mini", "mini", Options::plan)
        }),
        match images::is_set("FIREDRILL_NIGHTLY") {
            true => images::needing(ALERTS, images::no_engine, || {
                run("alerts-email", "email", firedrill::ops::alerts::plan)
            }),
            false => Trial::test(format!("{ALERTS} (nightly)"), || Ok(())).with_ignored_flag(true),
        },
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn named() -> Result<(), Failed> {
    let of = |rows: &[(&str, &str)]| -> Returned {
        rows.iter().map(|(id, is)| ((*id).to_owned(), (*is).to_owned())).collect()
    };
    let was = of(&[("kept", "pass"), ("gone", "pass"), ("worse", "pass")]);
    assert!(differences(&was, &was).is_empty());
    let found = differences(&was, &of(&[("kept", "pass"), ("new", "pass"), ("worse", "unknown")]));
    for (id, word) in
        [("gone", "disappeared"), ("new", "appeared"), ("worse", "changed from pass to unknown")]
    {
        assert!(found.iter().any(|line| line.contains(id) && line.contains(word)), "{found:?}");
    }
    assert_eq!(found.len(), 3, "{found:?}");
    Ok(())
}

fn options(command: &str, stack: &str) -> Options {
    let common = Common {
        quiet: true,
        ..Common::of_tests(concat!(env!("CARGO_TARGET_TMPDIR"), "/oracle").into())
    };
    Options { command: command.into(), ..Options::for_tests(stack, common) }
}

/// What is planned must be what was agreed on, but for what only a run can return: skipped verdicts
/// and the roll-call's.
fn planned(
    command: &str,
    stack: &str,
    plan: fn(&Options) -> Result<Plan, Failure>,
) -> Result<(), Failed> {
    let plan = plan(&options(command, stack)).map_err(|f| f.to_string())?;
    let planned: BTreeSet<String> =
        plan.expectations.iter().map(|p| p.expectation.checker().id()).collect();
    let agreed = agreed(command)?;
    let of_runs = |id: &str, status: &str| status == "skipped" || id.starts_with("roll_call");
    let wanted: BTreeSet<String> =
        agreed.iter().filter(|(id, is)| !of_runs(id, is)).map(|(id, _)| id.clone()).collect();
    let lacking: Vec<&String> = wanted.difference(&planned).collect();
    let new: Vec<&String> = planned.iter().filter(|id| !agreed.contains_key(*id)).collect();
    if lacking.is_empty() && new.is_empty() {
        Ok(())
    } else {
        Err(format!("disappeared: {lacking:?}; appeared: {new:?}").into())
    }
}

fn run(
    command: &str,
    stack: &str,
    plan: fn(&Options) -> Result<Plan, Failure>,
) -> Result<(), Failed> {
    let runtime = tokio::runtime::Runtime::new()?;
    let report: Report = runtime.block_on(async {
        let (live, outcome) =
            up_and_run(&options(command, stack), plan).await.map_err(|f| f.to_string())?;
        live.down().await.map_err(|f| f.to_string())?;
        outcome.map(|o| o.report).map_err(|f| f.to_string())
    })?;
    Ok(hold(command, &compare::returned(&report))?)
}
