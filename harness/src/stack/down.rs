//! Taking a run away: what faults left, containers, networks, volumes, rules, files, journal
//! entries. Idempotent, and as complete after a crash as after a clean run.

use super::StackError;
use super::running::Running;
use super::work_copy::run_folder;
use crate::engine::containment;
use crate::engine::{Engine, EngineError, label};
use crate::fault::healing::carry_out;
use crate::journal::{Journal, Undo};
use futures::StreamExt;
use std::time::Duration;

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    pub containers: usize,
    pub networks: usize,
    pub volumes: usize,
    /// Rules of the host's packet filter.
    pub rules: usize,
}

/// Takes a stack that is up away.
///
/// # Errors
/// As [`remove_run`].
pub async fn down(
    engine: &Engine,
    journal: &Journal,
    running: &Running,
) -> Result<Removed, StackError> {
    remove_run(Some(engine), journal, &running.run).await
}

/// Takes everything of a run away, whether it was up, half up, or its harness was killed.
/// Everything is tried; the first failure is returned at the end, and the journal keeps the run
/// open then, so that it can be tried again. Without an engine only what needs none is done, and
/// that counts as a failure.
///
/// # Errors
/// [`StackError`] for the first thing that could not be removed.
pub async fn remove_run(
    engine: Option<&Engine>,
    journal: &Journal,
    run: &str,
) -> Result<Removed, StackError> {
    let mut first: Option<StackError> = None;
    let mut keep = |error: StackError| {
        first.get_or_insert(error);
    };
    let entries: Vec<_> =
        journal.open_entries()?.into_iter().filter(|entry| entry.run == run).collect();
    // Helpers and rules of the host outlive containers; the other entries are about containers that
    // go anyway.
    for entry in entries.iter().rev() {
        if let Some(undo @ (Undo::EndHelper { .. } | Undo::DeleteHostRules { .. })) = &entry.undo
            && let Err(seen) = carry_out(engine, undo).await
        {
            keep(
                EngineError::Unfit {
                    what: format!("undoing {}: {seen}", entry.what),
                    hint: "try `firedrill heal`".into(),
                }
                .into(),
            );
        }
    }
    let mut removed = Removed::default();
    match engine {
        None => keep(
            EngineError::Missing {
                at: "its socket".into(),
                seen: format!("containers of run {run} may still be there"),
            }
            .into(),
        ),
        Some(engine) => {
            if let Err(error) = remove_all(engine, run, &mut removed).await {
                keep(error.into());
            }
        }
    }
    match containment::lift(run).await {
        Ok(rules) => removed.rules = rules,
        Err(error) => keep(error.into()),
    }
    if first.is_none() {
        let folder = run_folder(journal, run);
        match std::fs::remove_dir_all(&folder) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(StackError::Files {
                    what: format!("removing {}", folder.display()),
                    source,
                });
            }
            _ => {}
        }
        for entry in entries {
            journal.close(entry.id)?;
        }
    }
    first.map_or(Ok(removed), Err)
}

/// Takes everything of ours away, whatever run it belongs to.
///
/// # Errors
/// As [`remove_runs`].
pub async fn down_all(engine: &Engine, journal: &Journal) -> Result<Removed, StackError> {
    remove_runs(engine, journal, None).await
}

/// Takes all runs away, or all those of one stack, whether they were up, half up, or are known by a
/// label only.
///
/// # Errors
/// As [`remove_run`], for the first run that can't be removed; the others are.
pub async fn remove_runs(
    engine: &Engine,
    journal: &Journal,
    stack: Option<&str>,
) -> Result<Removed, StackError> {
    let mut total = Removed::default();
    let mut first = None;
    for run in known_runs(engine, journal, stack).await? {
        match remove_run(Some(engine), journal, &run).await {
            Ok(removed) => {
                total.containers += removed.containers;
                total.networks += removed.networks;
                total.volumes += removed.volumes;
                total.rules += removed.rules;
            }
            Err(error) => drop(first.get_or_insert(error)),
        }
    }
    first.map_or(Ok(total), Err)
}

/// Runs that anything here speaks of: the journal, the state folder, labels, rules. `stack` selects
/// those of one stack.
///
/// # Errors
/// [`StackError`] when one of them can't be asked.
pub async fn known_runs(
    engine: &Engine,
    journal: &Journal,
    stack: Option<&str>,
) -> Result<Vec<String>, StackError> {
    let mut runs: Vec<String> = journal
        .open_entries()?
        .into_iter()
        .filter(|entry| stack.is_none_or(|stack| stack == entry.stack))
        .map(|entry| entry.run)
        .collect();
    runs.extend(
        Running::all(journal)?
            .into_iter()
            .filter(|running| stack.is_none_or(|stack| stack == running.stack))
            .map(|running| running.run),
    );
    let (key, value) = stack.map_or((label::RUN, None), |stack| (label::STACK, Some(stack)));
    for id in engine.containers_with(key, value).await? {
        match engine.inspect(&id).await {
            Ok(seen) => runs.extend(seen.labels.get(label::RUN).cloned()),
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error.into()),
        }
    }
    runs.extend(engine.network_runs(stack).await?);
    if stack.is_none() {
        runs.extend(containment::runs().await?);
    }
    runs.sort();
    runs.dedup();
    Ok(runs)
}

/// A request of a harness that was just killed may still be under way in the engine: it is clean
/// when two looks in a row, this far apart, find nothing.
const SETTLE: Duration = Duration::from_millis(300);
/// How often it is tried.
const TRIES: usize = 40;

async fn remove_all(engine: &Engine, run: &str, removed: &mut Removed) -> Result<(), EngineError> {
    let mut clean = 0;
    let mut last = None;
    for _ in 0..TRIES {
        match remove_once(engine, run, removed).await {
            Ok(true) => {
                last = None;
                clean = 0;
            }
            Ok(false) => {
                last = None;
                clean += 1;
                if clean == 2 {
                    return Ok(());
                }
            }
            Err(error) => {
                last = Some(error);
                clean = 0;
            }
        }
        tokio::time::sleep(SETTLE).await;
    }
    Err(last.unwrap_or_else(|| EngineError::Refused {
        what: format!("removing run {run}"),
        status: None,
        seen: "things of it keep coming back".into(),
    }))
}

/// Removes what is there now; says whether there was anything.
async fn remove_once(
    engine: &Engine,
    run: &str,
    removed: &mut Removed,
) -> Result<bool, EngineError> {
    let containers = engine.containers_with(label::RUN, Some(run)).await?;
    let results: Vec<Result<(), EngineError>> = futures::stream::iter(&containers)
        .map(|id| engine.remove(id))
        .buffer_unordered(8)
        .collect()
        .await;
    results.into_iter().collect::<Result<Vec<()>, _>>()?;
    removed.containers += containers.len();
    let networks = engine.networks_with(label::RUN, Some(run)).await?;
    for network in &networks {
        engine.remove_network(network).await?;
    }
    removed.networks += networks.len();
    let volumes = engine.volumes_with(label::RUN, Some(run)).await?;
    for volume in &volumes {
        engine.remove_volume(volume).await?;
    }
    removed.volumes += volumes.len();
    Ok(!(containers.is_empty() && networks.is_empty() && volumes.is_empty()))
}
