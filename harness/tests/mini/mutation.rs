//! Changed rules on one real Prometheus: what it wrote of the mini stack's rules is reproduced
//! evaluation by evaluation, changes that matter are noticed, and one that is redundant is not.
//! `FIREDRILL_PROVISION=1` installs Docker where it is missing; without it the test is ignored.

#![allow(clippy::unwrap_used)]

use firedrill::ops::live::LiveStack;
use firedrill::ops::options::Options;
use firedrill::ops::settings::Common;
use firedrill::ops::verify::leave;
use firedrill::report::{html, text};
use libtest_mimic::Failed;
use std::path::PathBuf;
use support::images;
use support::module::Tests;
use verdict::Status;
use verdict::mutation::{Mutation, Outcome};

pub fn tests() -> Tests {
    firedrill::process::program::use_program(env!("CARGO_BIN_EXE_firedrill"));
    let common = Common::of_tests(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("mutation"));
    let name = "changed rules of the mini stack are noticed, but for a redundant one";
    Tests::one_by_one([images::needing(name, images::no_engine, move || {
        runtime().block_on(noticed(common))
    })])
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn noticed(common: Common) -> Result<(), Failed> {
    let options = Options::for_tests("mini", common);
    let mut plan = options.plan().map_err(|e| e.to_string())?;
    plan.mutation = true;
    let live = LiveStack::up(&options).await.map_err(|e| e.to_string())?;
    let ran = live.run(&plan).await;
    let outcome = leave(live, false, ran, &firedrill::ops::console::Silent)
        .await
        .map_err(|e| e.to_string())?;
    let report = &outcome.report;
    let shown = text::render(report);
    let m = report.mutation.as_ref().ok_or("nothing was replayed")?;
    assert_eq!(m.status, Status::Pass, "{shown}");
    assert!(m.active > 0 && m.evaluations > 100, "{shown}");
    assert!(m.undecidable * 10 < m.evaluations, "too much is left open: {shown}");

    // As long as the exporter is well, each of these fires; and without the alternative that holds
    // in the drill, none does.
    becomes(m, "ExporterDown", "comparison: == → !=", &[Outcome::Killed]);
    becomes(m, "SpareDown", "comparison: == → !=", &[Outcome::Killed]);
    becomes(m, "SpareDown", "threshold: 0 → 1", &[Outcome::Killed]);
    becomes(m, "ScriptedValueHigh", "comparison: > → <", &[Outcome::Killed]);
    // Its target is always discovered, so what the rule asks of a target that is not is never
    // asked: the drill can't tell.
    becomes(m, "ExporterDown", "matcher dropped: job=\"exporter\"", &[Outcome::Survived]);
    // Nothing makes it fire, so only its silence is judged.
    becomes(m, "ScriptedErrorRate", "for: 2s → 4s", &[Outcome::Survived]);

    assert!(
        shown.contains("Would it be noticed") && shown.contains("Exercised in this run"),
        "{shown}"
    );
    let counts = report.coverage.counts;
    assert!(
        counts.fired.seen == 2 && counts.fired.of == 4 && counts.told.seen == 3,
        "{:#?}",
        report.coverage
    );
    let page =
        html::render(report, &firedrill::record::read(&outcome.folder).map_err(|e| e.to_string())?)
            .map_err(|e| e.to_string())?;
    assert!(
        page.contains("What was exercised") && page.contains("not noticed"),
        "{}",
        outcome.folder.display()
    );
    Ok(())
}

/// Some mutant of a rule with this change has this outcome.
#[track_caller]
fn becomes(m: &Mutation, rule: &str, change: &str, outcomes: &[Outcome]) {
    let of = m
        .rules
        .iter()
        .find(|r| r.rule == rule)
        .unwrap_or_else(|| panic!("{rule} was not replayed"));
    let found: Vec<_> = of.mutants.iter().filter(|x| x.change == change).collect();
    assert!(
        !found.is_empty(),
        "no mutant `{change}` of {rule}: {:?}",
        of.mutants.iter().map(|x| &x.change).collect::<Vec<_>>()
    );
    assert!(found.iter().any(|x| outcomes.contains(&x.outcome)), "{rule}, {change}: {found:#?}");
}
