//! One stack, judged healthy and under each of some sabotages, and what is left of it afterwards.

use firedrill::engine::containment;
use firedrill::engine::{Engine, label};
use firedrill::journal::Journal;
use firedrill::ops::live::LiveStack;
use firedrill::ops::options::Options;
use firedrill::ops::selftest;
use firedrill::report::{Report, text};
use std::collections::BTreeMap;
use verdict::{Cause, Status};

/// A verdict without its words, which name names.
pub type Answer = (Status, Option<Cause>);

/// A state of the stack, as it was judged.
#[derive(Debug)]
pub struct Judged {
    /// `healthy`, or the sabotage.
    pub state: String,
    /// Verdicts by id.
    pub answers: BTreeMap<String, Answer>,
    /// In full, by id.
    pub told: BTreeMap<String, String>,
    /// The verdict and cause that a sabotage must earn.
    pub wanted: Option<(String, Cause)>,
}

/// Brings a stack up, judges it healthy and broken, and removes it, whatever happened.
pub async fn judge(options: &Options, sabotages: &[&str]) -> Result<Vec<Judged>, String> {
    let live = LiveStack::up(options).await.map_err(|f| f.to_string())?;
    let run = live.running.run.clone();
    let work = live.running.work_copy().folder;
    let engine = live.engine.clone();
    let judged = states(&live, sabotages).await;
    let removed = live.down().await.map_err(|f| f.to_string());
    let left = left_behind(&engine, &run, &work).await?;
    let judged = judged?;
    removed?;
    if left.is_empty() {
        Ok(judged)
    } else {
        Err(format!("run {run} left behind: {}", left.join(", ")))
    }
}

async fn states(live: &LiveStack, sabotages: &[&str]) -> Result<Vec<Judged>, String> {
    let plan = live.options.plan().map_err(|f| f.to_string())?;
    let catalogue = selftest::read_all(&live.options.sabotage_folder().map_err(|f| f.to_string())?)
        .map_err(|e| e.to_string())?;
    let healthy = live.run(&plan).await.map_err(|f| f.to_string())?.report;
    let mut found = vec![judged("healthy", &healthy, None)];
    for name in sabotages {
        let sabotage =
            catalogue.get(*name).ok_or_else(|| format!("there is no sabotage {name}"))?;
        live.apply(sabotage).await.map_err(|f| f.to_string())?;
        // The whole plan: a sabotage must break in the copy what it breaks in the original, and
        // nothing else.
        let mut steady = live.read.subject.declaration.steady_state.clone();
        steady.within_s = steady.within_s.min(steady.hold_s * 2.0 + 6.0);
        let broken = live.run_with(&plan, steady).await.map_err(|f| f.to_string());
        live.restore(sabotage).await.map_err(|f| f.to_string())?;
        found.push(judged(
            name,
            &broken?.report,
            Some((sabotage.expect.verdict.clone(), sabotage.expect.cause)),
        ));
    }
    Ok(found)
}

fn judged(state: &str, report: &Report, wanted: Option<(String, Cause)>) -> Judged {
    // What is left out is called by its scenario's words and says nothing about the stack.
    let verdicts: Vec<_> = report.verdicts.iter().filter(|t| t.status != Status::Skipped).collect();
    Judged {
        state: state.into(),
        answers: verdicts.iter().map(|t| (t.id.clone(), (t.status, t.cause))).collect(),
        told: verdicts.iter().map(|t| (t.id.clone(), text::verdict(t, report))).collect(),
        wanted,
    }
}

/// Whatever of a run is still there.
async fn left_behind(
    engine: &Engine,
    run: &str,
    work: &std::path::Path,
) -> Result<Vec<String>, String> {
    let failed = |e: firedrill::engine::EngineError| e.to_string();
    let mut left = Vec::new();
    let mut note = |what: &str, found: Vec<String>| {
        left.extend(found.into_iter().map(|f| format!("{what} {f}")))
    };
    note("container", engine.containers_with(label::RUN, Some(run)).await.map_err(failed)?);
    note("network", engine.networks_with(label::RUN, Some(run)).await.map_err(failed)?);
    note("volume", engine.volumes_with(label::RUN, Some(run)).await.map_err(failed)?);
    note(
        "packet filter rule of",
        containment::runs().await.map_err(failed)?.into_iter().filter(|r| r == run).collect(),
    );
    note(
        "journal entry",
        Journal::of_user()
            .open_entries()
            .map_err(|e| e.to_string())?
            .into_iter()
            .filter(|e| e.run == run)
            .map(|e| e.what)
            .collect(),
    );
    note("folder", work.exists().then(|| work.display().to_string()).into_iter().collect());
    Ok(left)
}
