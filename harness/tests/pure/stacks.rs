//! The stacks of this repository, as far as no engine is needed to tell: each can be planned, its
//! roll-call names what the plan asks for, and each breakage fits the files that it breaks.

#![allow(clippy::unwrap_used)]

use firedrill::ops::options::Options;
use firedrill::ops::selftest;
use firedrill::ops::settings::Common;
use firedrill::plan::Plan;
use std::collections::BTreeSet;
use std::path::Path;
use support::root;

fn stacks() -> Vec<String> {
    let folders = std::fs::read_dir(root().join("compose/stacks")).unwrap();
    let mut names: Vec<String> =
        folders.map(|folder| folder.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn options(stack: &str, report: &Path) -> Options {
    Options::for_tests(stack, Common::of_tests(report.into()))
}

fn planned(stack: &str, options: &Options) -> Plan {
    options.plan().unwrap_or_else(|failure| panic!("{stack}: {failure}"))
}

#[test]
fn a_roll_call_names_each_verdict_of_its_plan_and_no_other() {
    let report = tempfile::tempdir().unwrap();
    let stacks = stacks();
    assert!(stacks.iter().any(|stack| stack == "email"), "{stacks:?}");
    for stack in &stacks {
        let plan = planned(stack, &options(stack, report.path()));
        let asked: BTreeSet<String> =
            plan.expectations.iter().map(|planned| planned.expectation.checker().id()).collect();
        let called: BTreeSet<String> = plan.required.iter().map(|r| r.id.clone()).collect();
        let missing: Vec<&String> = asked.difference(&called).collect();
        let unknown: Vec<&String> = called.difference(&asked).collect();
        assert!(
            missing.is_empty() && unknown.is_empty(),
            "verdicts.yaml of {stack} lacks {missing:?}, and names {unknown:?}, which nothing asks for"
        );
    }
}

#[test]
fn each_breakage_fits_its_stack_and_shows_where_it_says() {
    let report = tempfile::tempdir().unwrap();
    for stack in stacks() {
        let whole = options(&stack, report.path());
        let folder = whole.sabotage_folder().unwrap_or_else(|f| panic!("{stack}: {f}"));
        let plan = planned(&stack, &whole);
        for (name, overlay) in selftest::read_all(&folder).unwrap() {
            overlay.check(&folder, &plan).unwrap_or_else(|e| panic!("{stack}, {name}: {e}"));
        }
        for (name, breakage) in selftest::broken::read_all(&folder).unwrap() {
            assert_eq!(breakage.stack, stack, "{name}");
            let within = tempfile::tempdir().unwrap();
            let broken = breakage
                .break_copy(folder.parent().unwrap(), within.path())
                .map(|copy| options(&copy.to_string_lossy(), report.path()))
                .and_then(|options| breakage.plan(&options))
                .unwrap_or_else(|f| panic!("{stack}, {name}: {f}"));
            assert_eq!(broken.drills.len(), breakage.drills().len(), "{stack}, {name}");
        }
    }
}
