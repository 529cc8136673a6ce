//! A copy of a stack whose services, jobs, alerts, own metrics, indices, receivers and drills are
//! renamed by seed gets the same verdicts, healthy and broken: no code of the harness knows a
//! stack's names, and no expectation hides in the configuration.
//!
//! On the mini stack in every run, on the pair and the e-mail stack with `FIREDRILL_NIGHTLY=1`. The
//! seed is `FIREDRILL_RENAMED_SEED`; a failure names it, and `FIREDRILL_RENAMED_KEEP=1` keeps the copies to
//! look at. `FIREDRILL_PROVISION=1` installs Docker where it is missing; without it the tests that
//! need Docker are ignored.

#![allow(clippy::unwrap_used)]

mod code;
mod copy;
mod judged;
mod names;
mod rewrite;

use firedrill::ops::console::Silent;
use firedrill::ops::options::Options;
use firedrill::ops::selftest;
use firedrill::ops::settings::{Common, Format, Images};
use firedrill::plan::subject;
use firedrill::process::home::Home;
use judged::{Judged, judge};
use libtest_mimic::Failed;
use names::Names;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use support::module::{Test, Tests};
use support::{images, is_set};
use verdict::Status;

const STACKS: [&str; 3] = ["mini", "pair", "email"];
/// What each stack is broken by here; both must be convicted on the original and on the copy.
const MINI: [&str; 2] = ["receiver_wrong_path", "rule_renamed_metric"];
const EMAIL: [&str; 2] = ["receiver_wrong_path", "worker_spans_without_parent"];

pub fn tests() -> Tests {
    firedrill::process::program::use_program(env!("CARGO_BIN_EXE_firedrill"));
    let mut tests = Vec::new();
    for stack in STACKS {
        tests.push(Test::new(
            format!("a renamed copy of {stack} is planned as the original is"),
            move || seeded(|| planned(stack)),
        ));
        tests.push(Test::new(format!("no code knows a name of {stack}"), move || {
            no_name_known(stack)
        }));
    }
    let same = |stack: &str| {
        format!("a renamed copy of {stack} gets the same verdicts, healthy and broken")
    };
    tests.push(images::needing(&same("mini"), images::no_engine, || {
        seeded(|| same_verdicts("mini", &MINI, true))
    }));
    tests.push(Test::nightly(&same("email"), |name| {
        images::needing(name, images::no_engine, || {
            seeded(|| same_verdicts("email", &EMAIL, false))
        })
    }));
    tests.push(Test::nightly(&same("pair"), |name| {
        images::needing(name, images::no_engine, || {
            seeded(|| same_verdicts("pair", &[], false).and_then(|()| convicted_alone("pair")))
        })
    }));
    Tests::one_by_one(tests)
}

fn seed() -> u64 {
    std::env::var("FIREDRILL_RENAMED_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_121)
}

fn seeded(test: impl FnOnce() -> Result<(), String>) -> Result<(), Failed> {
    test().map_err(|e| Failed::from(format!("{e}\nagain with: FIREDRILL_RENAMED_SEED={}", seed())))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn options(stack: &str) -> Options {
    let common = Common {
        report: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("renamed"),
        seed: Some(seed()),
        time_scale: None,
        tags: Vec::new(),
        profiles: Vec::new(),
        images: Images::Auto,
        keep: false,
        provision: is_set("FIREDRILL_PROVISION"),
        format: Format::Text,
        quiet: true,
    };
    Options::new(stack, &common)
}

/// A renamed copy of a stack of ours, in a folder that goes when it is dropped.
struct Copy {
    folder: tempfile::TempDir,
    names: Names,
}

impl Copy {
    fn of(stack: &str) -> Result<Copy, String> {
        let home = Home::find();
        let read = subject::read(stack, &home, None).map_err(|e| e.to_string())?;
        let names = Names::of(&read, seed());
        let mut folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        if is_set("FIREDRILL_RENAMED_KEEP") {
            folder.disable_cleanup(true);
            eprintln!("the copy of {stack} stays in {}", folder.path().display());
        }
        copy::make(&read, &home, &names, folder.path()).map_err(|e| e.to_string())?;
        Ok(Copy { folder, names })
    }

    fn options(&self) -> Options {
        options(&self.folder.path().to_string_lossy())
    }
}

/// The copy can be read, shares no name with the original, and is asked the same questions under
/// its own names.
fn planned(stack: &str) -> Result<(), String> {
    let copy = Copy::of(stack)?;
    let home = Home::find();
    let original = subject::read(stack, &home, None).map_err(|e| e.to_string())?;
    let renamed = subject::read(&copy.folder.path().to_string_lossy(), &home, None)
        .map_err(|e| format!("the copy can't be read: {e}"))?;
    let (before, after) = (stated(&original), stated(&renamed));
    for (kind, names) in &before {
        let expected: BTreeSet<String> =
            names.iter().map(|n| copy.names.map(n).to_owned()).collect();
        if expected != after[kind] {
            return Err(format!("{kind}: the copy has {:?}, wanted {expected:?}", after[kind]));
        }
        let kept: Vec<_> = names.intersection(&after[kind]).collect();
        if !kept.is_empty() {
            return Err(format!("{kind} kept their names: {kept:?}"));
        }
    }
    let plan = |options: Options| options.plan().map_err(|f| f.to_string());
    let (plan, copied) = (plan(options(stack))?, plan(copy.options())?);
    let ids = |plan: &firedrill::plan::Plan| {
        plan.expectations.iter().map(|p| p.expectation.checker().id()).collect::<BTreeSet<_>>()
    };
    let required = |plan: &firedrill::plan::Plan| {
        plan.required.iter().map(|r| r.id.clone()).collect::<BTreeSet<_>>()
    };
    for (what, wanted, seen) in [
        ("verdicts", ids(&plan), ids(&copied)),
        ("the roll-call", required(&plan), required(&copied)),
    ] {
        let wanted: BTreeSet<String> = wanted.iter().map(|id| copy.names.id(id)).collect();
        if wanted.is_empty() || wanted != seen {
            return Err(format!(
                "{what}: missing {:?}, unwanted {:?}",
                wanted.difference(&seen).collect::<Vec<_>>(),
                seen.difference(&wanted).collect::<Vec<_>>()
            ));
        }
    }
    Ok(())
}

/// What a stack's files state under which name.
fn stated(read: &subject::LoadedStack) -> BTreeMap<&'static str, BTreeSet<String>> {
    let d = &read.subject.declaration;
    BTreeMap::from([
        ("stack", [d.stack.clone()].into()),
        ("services", read.stack.topology.names().cloned().collect()),
        ("jobs", d.targets.iter().map(|t| t.job.clone()).collect()),
        ("alerts", d.alerts.iter().map(|a| a.name.clone()).collect()),
        ("switches", d.dead_mans_switches.iter().map(|s| s.name.clone()).collect()),
        ("receivers", d.receivers.iter().map(|r| r.name.clone()).collect()),
        ("drills", read.subject.scenarios.keys().cloned().collect()),
        ("budgets", read.subject.budgets.keys().cloned().collect()),
        ("journeys", d.workload.iter().flat_map(|w| w.journeys.keys().cloned()).collect()),
        (
            "steps",
            d.workload
                .iter()
                .flat_map(|w| &w.journeys)
                .flat_map(|(_, j)| j.steps.iter().map(|s| s.name.clone()))
                .collect(),
        ),
    ])
}

fn no_name_known(stack: &str) -> Result<(), Failed> {
    let home = Home::find();
    let read = subject::read(stack, &home, None).map_err(|e| Failed::from(e.to_string()))?;
    let sources = ["harness/src", "harness/config/src", "harness/verdict/src", "loadgen/src"]
        .map(|s| home.root().join(s));
    let known =
        code::names_known(&read, &sources.iter().map(PathBuf::as_path).collect::<Vec<&Path>>());
    if known.is_empty() {
        Ok(())
    } else {
        Err(Failed::from(format!("the harness knows names of {stack}:\n{}", known.join("\n"))))
    }
}

/// Judges original and copy in the same states. Small stacks stand side by side.
fn same_verdicts(stack: &str, sabotages: &[&str], side_by_side: bool) -> Result<(), String> {
    let copy = Copy::of(stack)?;
    let (original, renamed) = (options(stack), copy.options());
    let (original, renamed) = runtime().block_on(async {
        if side_by_side {
            futures::future::join(judge(&original, sabotages), judge(&renamed, sabotages)).await
        } else {
            (judge(&original, sabotages).await, judge(&renamed, sabotages).await)
        }
    });
    let (original, renamed) = (
        original.map_err(|e| format!("original: {e}"))?,
        renamed.map_err(|e| format!("copy: {e}"))?,
    );
    let wrong: Vec<String> =
        original.iter().zip(&renamed).flat_map(|(a, b)| compare(a, b, &copy.names)).collect();
    if original.len() == sabotages.len() + 1 && wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

/// Each breakage of a stack's files is convicted on the copy as well, of the same cause and by the
/// copy's names.
fn convicted_alone(stack: &str) -> Result<(), String> {
    let copy = Copy::of(stack)?;
    let options = copy.options();
    let folder = options.sabotage_folder().map_err(|f| f.to_string())?;
    let breakages = selftest::broken::read_all(&folder).map_err(|e| e.to_string())?;
    if breakages.is_empty() {
        return Err(format!("no breakage of {stack} is in {}", copy.folder.path().display()));
    }
    let mut free = Vec::new();
    for (name, breakage) in &breakages {
        match runtime().block_on(breakage.try_alone(&options, &Silent)) {
            Ok(outcome) if outcome.convicted => {}
            Ok(outcome) => free.push(format!("{name}: {}", outcome.told)),
            Err(failure) => free.push(format!("{name}: {failure}")),
        }
    }
    if free.is_empty() { Ok(()) } else { Err(free.join("\n")) }
}

/// What differs between original and copy in one state, and what is not as that state wants it.
fn compare(original: &Judged, renamed: &Judged, names: &Names) -> Vec<String> {
    let state = &original.state;
    let mut wrong = Vec::new();
    let mut expected: BTreeMap<String, (&String, judged::Answer)> =
        original.answers.iter().map(|(id, a)| (names.id(id), (id, *a))).collect();
    for (id, answer) in &renamed.answers {
        match expected.remove(id) {
            Some((_, wanted)) if wanted == *answer => {}
            Some((old, wanted)) => wrong.push(format!(
                "{state}: {old} is {wanted:?}, its copy {id} {answer:?}\n{}{}",
                original.told[old], renamed.told[id]
            )),
            None => wrong.push(format!("{state}: only the copy has {id}\n{}", renamed.told[id])),
        }
    }
    wrong.extend(
        expected.values().map(|(old, _)| {
            format!("{state}: only the original has {old}\n{}", original.told[*old])
        }),
    );
    for judged in [original, renamed] {
        match &judged.wanted {
            None => wrong.extend(
                judged
                    .answers
                    .iter()
                    .filter(|(_, (s, _))| *s != Status::Pass)
                    .map(|(id, _)| format!("{state}: {}", judged.told[id])),
            ),
            Some((id, cause)) if judged.answers.get(id) == Some(&(Status::Fail, Some(*cause))) => {}
            Some((id, cause)) => wrong.push(format!(
                "{state}: {id} should fail because of {}: {}",
                cause.name(),
                judged.told.get(id).map_or("it was not judged", String::as_str)
            )),
        }
    }
    wrong
}
