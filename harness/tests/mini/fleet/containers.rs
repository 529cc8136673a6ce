//! Workers as containers in the mini stack's network.

use super::crew::{Process, program, until};
use firedrill::engine::{Engine, label};
use firedrill::journal::Journal;
use libtest_mimic::Failed;
use nix::sys::signal::Signal;
use std::path::Path;
use verdict::history::load::WorkerState;

/// A mini stack that is up, and removed however the test ends.
struct Mini {
    home: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    engine: Engine,
}

impl Drop for Mini {
    fn drop(&mut self) {
        let removed = command(self.home.path(), &["down", "mini"]).and_then(Process::ended);
        if !removed.as_ref().is_ok_and(|told| told.exit == Some(0)) {
            eprintln!(
                "the mini stack could not be removed: {:?}",
                removed.map(|t| t.words()).map_err(|e| e.message().map(str::to_owned))
            );
        }
    }
}

fn command(home: &Path, arguments: &[&str]) -> Result<Process, Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no workspace")?;
    Process::start(program(home).env("FIREDRILL_HOME", root).args(arguments).args(["--seed", "7"]))
}

impl Mini {
    fn up() -> Result<Mini, Failed> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let engine = runtime.block_on(Engine::connect())?;
        let mini = Mini { home: tempfile::tempdir()?, runtime, engine };
        let told = command(mini.home.path(), &["up", "mini"])?.ended()?;
        if told.exit == Some(0) { Ok(mini) } else { Err(told.words().into()) }
    }

    fn load(&self, url: &str, rate: &str, duration: &str) -> Result<Process, Failed> {
        let arguments = [
            "load",
            "--url",
            url,
            "--worker-containers",
            "2",
            "--rate",
            rate,
            "--duration",
            duration,
        ];
        command(
            self.home.path(),
            &[&arguments[..], &["--max-slip", "10s", "--format", "json"]].concat(),
        )
    }

    /// Containers of a load that says its run on its error stream.
    fn containers(&self, said: &str) -> Result<Vec<String>, Failed> {
        let run = said
            .lines()
            .find_map(|l| l.split_once("] run ")?.1.split_once(": 2 workers"))
            .ok_or_else(|| format!("no run: {said}"))?
            .0;
        Ok(self.runtime.block_on(self.engine.containers_with(label::RUN, Some(run)))?)
    }

    /// Runs that the journal says are still to be removed: the stack's own is one.
    fn open(&self) -> Result<usize, Failed> {
        Ok(Journal::at(self.home.path().join("state")).open_entries()?.len())
    }
}

pub fn in_a_stack() -> Result<(), Failed> {
    let mini = Mini::up()?;
    let own = mini.open()?;
    // By the service's name, which means something only in there.
    let told = mini.load("http://exporter:9000/metrics", "50", "2s")?.ended()?;
    let summary = told.summary.as_ref().ok_or_else(|| told.words())?;
    assert_eq!((summary.operations, summary.error_rate), (100, 0.0), "{}", told.words());
    let names: Vec<(&str, WorkerState)> =
        summary.workers.iter().map(|w| (w.name.as_str(), w.state)).collect();
    assert_eq!(
        names,
        [("firedrill-worker-1", WorkerState::Ended), ("firedrill-worker-2", WorkerState::Ended)],
        "{}",
        told.words()
    );
    assert_eq!((mini.containers(&told.stderr)?.len(), mini.open()?), (0, own), "removed");

    // They drive nothing but the stack.
    mini.load("http://192.0.2.1/", "50", "2s")?
        .ended()?
        .refused(64, "neither on the loopback interface")?;

    // One that is killed.
    let load = mini.load("http://exporter:9000/metrics", "50", "6s")?;
    load.says(" s left")?;
    let containers = mini.containers(&load.said())?;
    assert_eq!(containers.len(), 2);
    mini.runtime.block_on(mini.engine.kill(&containers[0], "SIGKILL"))?;
    let told = load.ended()?;
    let summary = told.summary.as_ref().ok_or_else(|| told.words())?;
    let lost = summary.workers.iter().filter(|w| w.state == WorkerState::Lost).count();
    assert_eq!(
        (told.exit, lost, summary.invalid.is_some()),
        (Some(2), 1, true),
        "{}",
        told.words()
    );
    assert_eq!((mini.containers(&told.stderr)?.len(), mini.open()?), (0, own), "removed");

    // The coordinator is killed: its reaper takes them away, and the stack stays.
    let load = mini.load("http://exporter:9000/metrics", "50", "60s")?;
    load.says(" s left")?;
    load.signal(Signal::SIGKILL)?;
    let said = load.said();
    until("the reaper has removed them", || {
        Ok(mini.containers(&said)?.is_empty() && mini.open()? == own)
    })?;
    let status = command(mini.home.path(), &["status"])?.ended()?;
    assert_eq!(status.exit, Some(0), "{}", status.words());
    let told = mini.load("http://exporter:9000/metrics", "50", "1s")?.ended()?;
    assert_eq!(
        told.summary.as_ref().map(|s| s.operations),
        Some(50),
        "the stack still serves: {}",
        told.words()
    );
    Ok(())
}
