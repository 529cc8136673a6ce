//! The oracle: `verify email`, `alerts email`, `verify mini` and `selftest mini` return the
//! verdicts that were agreed on, by id and status. What they would return is planned in seconds
//! without Docker; `verify mini` runs always, `alerts email` at night. `verify email` is compared
//! by `features`, which runs it anyway, and the sabotages of mini by `selftest_mini`.

#![allow(clippy::unwrap_used)]

use firedrill::ops::live::up_and_run;
use firedrill::ops::options::Options;
use firedrill::ops::settings::Common;
use firedrill::plan::Plan;
use firedrill::process::failure::Failure;
use firedrill::report::Report;
use libtest_mimic::Failed;
use std::collections::BTreeSet;
use support::images;
use support::module::{Test, Tests};
use support::oracle::{Returned, agreed, differences, hold};

pub fn tests() -> Tests {
    firedrill::process::program::use_program(env!("CARGO_BIN_EXE_firedrill"));
    Tests::one_by_one([
        Test::new("an id that appears, disappears or changes is named", named),
        Test::new("verify email plans what was agreed on", || {
            planned("verify-email", "email", Options::plan)
        }),
        Test::new("alerts email plans what was agreed on", || {
            planned("alerts-email", "email", firedrill::ops::alerts::plan)
        }),
        Test::new("verify mini plans what was agreed on", || {
            planned("verify-mini", "mini", Options::plan)
        }),
        images::needing("verify mini returns what was agreed on", images::no_engine, || {
            run("verify-mini", "mini", Options::plan)
        }),
        Test::nightly("alerts email returns what was agreed on", |name| {
            images::needing(name, images::no_engine, || {
                run("alerts-email", "email", firedrill::ops::alerts::plan)
            })
        }),
    ])
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

fn returned(report: &Report) -> Returned {
    report.verdicts.iter().map(|v| (v.id.clone(), v.status.word().to_owned())).collect()
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
    Ok(hold(command, &returned(&report))?)
}
