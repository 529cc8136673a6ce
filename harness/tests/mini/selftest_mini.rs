//! Ways in which the mini stack's monitoring is silently broken: each is convicted with the right
//! cause, and the healthy stack is acquitted of all of them first. Three of the catalogue, drawn by
//! seed (`FIREDRILL_SEED`), in every run; all with `FIREDRILL_NIGHTLY=1`.

#![allow(clippy::unwrap_used)]

use firedrill::ops::live::LiveStack;
use firedrill::ops::options::Options;
use firedrill::ops::selftest::{self, Sabotage};
use firedrill::ops::settings::Common;
use firedrill::process::exit::Exit;
use firedrill::process::failure::Failure;
use firedrill::report::text;
use libtest_mimic::Failed;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use support::module::{Test, Tests};
use support::{images, is_set, oracle};

/// How many are tried where it is not night.
const BY_DAY: usize = 3;

/// The stack, once the first test has brought it up.
type Shared = Arc<Mutex<Option<LiveStack>>>;

pub fn tests() -> Tests {
    firedrill::process::program::use_program(env!("CARGO_BIN_EXE_firedrill"));
    let runtime = Arc::new(
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
    );
    let common = Common {
        quiet: true,
        ..Common::of_tests(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("selftest_mini"))
    };
    let options = Options::for_tests("mini", common);
    let catalogue = options
        .sabotage_folder()
        .and_then(|f| Ok(selftest::read_all(&f)?))
        .unwrap_or_else(|f| panic!("{f}"));
    let night = is_set("FIREDRILL_NIGHTLY");
    let count = if night { catalogue.len() } else { BY_DAY };
    let mut chosen = selftest::subset(&catalogue, options.seed, count);
    chosen.sort();
    let shared = Shared::default();
    let mut tests = Vec::new();
    {
        let (shared, runtime, options, catalogue, chosen) =
            (shared.clone(), runtime.clone(), options.clone(), catalogue.clone(), chosen.clone());
        tests.push(images::needing(
            "the catalogue fits the stack, and the healthy stack is acquitted",
            images::no_engine,
            move || {
                runtime
                    .block_on(acquitted(&shared, &options, &catalogue, &chosen))
                    .map_err(|f| Failed::from(f.to_string()))
            },
        ));
    }
    tests.push(Test::new("the catalogue and its causes are those that were agreed on", {
        let promised = catalogue.iter().map(|(name, s)| {
            (
                name.clone(),
                format!("convicted of {} by {}", s.expect.cause.name(), s.expect.verdict),
            )
        });
        let promised: oracle::Returned = promised.collect();
        move || Ok(oracle::hold("selftest-mini", &promised)?)
    }));
    for name in chosen {
        let (shared, runtime, sabotage) =
            (shared.clone(), runtime.clone(), catalogue[&name].clone());
        let title = format!("{name} is convicted of {}", sabotage.expect.cause.name());
        tests.push(images::needing(&title, images::no_engine, move || {
            runtime.block_on(convicted(&shared, &sabotage))
        }));
    }
    Tests::one_by_one(tests).at_last(move || match shared.lock().unwrap().take() {
        Some(live) => runtime.block_on(live.down()).map_err(|f| f.to_string()),
        None => Ok(()),
    })
}

/// All fit the stack; then what the chosen ones break is in order on the healthy stack.
async fn acquitted(
    shared: &Shared,
    options: &Options,
    catalogue: &BTreeMap<String, Sabotage>,
    chosen: &[String],
) -> Result<(), Failure> {
    let (folder, mut plan) = (options.sabotage_folder()?, options.plan()?);
    for sabotage in catalogue.values() {
        sabotage.check(&folder, &plan)?;
    }
    let verdicts = chosen.iter().map(|n| catalogue[n].expect.verdict.clone()).collect();
    plan.only_verdicts(&verdicts, &BTreeSet::new());
    let live = LiveStack::up(options).await?;
    let healthy = live.run(&plan).await.map(|o| o.report);
    *shared.lock().unwrap() = Some(live);
    let healthy = healthy?;
    if healthy.exit() == Exit::Pass {
        Ok(())
    } else {
        Err(Failure::new(Exit::Fail, text::render(&healthy)))
    }
}

async fn convicted(shared: &Shared, sabotage: &Sabotage) -> Result<(), Failed> {
    // Taken for the while: nothing else runs meanwhile, and a lock must not be held while it is
    // waited.
    let live = shared.lock().unwrap().take().ok_or("the stack is not up")?;
    let outcome = selftest::try_on(&live, sabotage).await;
    *shared.lock().unwrap() = Some(live);
    let outcome = outcome.map_err(|f| Failed::from(f.to_string()))?;
    eprintln!("{}: {:.0} s\n{}", sabotage.name, outcome.seconds, outcome.told);
    if outcome.convicted { Ok(()) } else { Err(Failed::from(outcome.told)) }
}
