//! The reaper: a process of its own that takes a run's stack away when the harness is gone, however
//! it went.
//!
//! It holds the reading end of a pipe whose writing end only the harness has. The end of that pipe
//! without a word means that the harness died. A run that stays (`--keep`) or is down already is
//! told to it first. Stacks started by `up`, and faults injected by hand, never get one.

use crate::engine::Engine;
use crate::journal::{Journal, STATE_VARIABLE};
use crate::process::failure::{Advice, UserError};
use crate::stack::{StackError, remove_run};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

/// Name of the hidden subcommand.
pub const SUBCOMMAND: &str = "reaper";

/// The word that sends a reaper home.
const DISMISSED: &str = "dismissed";

/// The harness's hold on its reaper. Dropping it without [`Reaper::dismiss`] has the run removed.
#[derive(Debug)]
pub struct Reaper {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Reaper {
    /// Starts a reaper for a run of the user's journal, before anything of that run is made. It is
    /// this very program, whose command line must hand the subcommand to [`main`].
    ///
    /// # Errors
    /// [`StackError::Files`] when it can't be started.
    pub fn spawn(run: &str) -> Result<Reaper, StackError> {
        let program = crate::process::program::program()
            .map_err(StackError::files("looking for our own program"))?;
        Reaper::spawn_as(&program, &Journal::of_user(), run)
    }

    /// Starts `program` as the reaper for a run of a journal.
    ///
    /// # Errors
    /// [`StackError::Files`] when it can't be started.
    pub fn spawn_as(program: &Path, journal: &Journal, run: &str) -> Result<Reaper, StackError> {
        let start = || {
            std::fs::create_dir_all(journal.home())?;
            let log = OpenOptions::new()
                .create(true)
                .append(true)
                .open(journal.home().join("reaper.log"))?;
            Command::new(program)
                .args([SUBCOMMAND, "--run", run])
                .env(STATE_VARIABLE, journal.home())
                .current_dir("/")
                // A group of its own, so that Ctrl-C at the terminal does not end it together with
                // the harness.
                .process_group(0)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
        };
        let mut child =
            start().map_err(StackError::files(format!("starting the reaper of run {run}")))?;
        let pipe = child.stdin.take();
        Ok(Reaper { child, pipe })
    }

    /// Tells the reaper that nothing is to be removed, because the run is down already or stays,
    /// and waits for its end.
    pub fn dismiss(mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            // A reaper that is gone already needs no word.
            let _ = pipe.write_all(DISMISSED.as_bytes());
        }
        // Only whether it ended matters, not how.
        let _ = self.child.wait();
    }

    /// Process id of the reaper.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// The reaper's own life: waits for the end of the pipe on standard input, then removes the run
/// unless it was dismissed. What it did stands in `reaper.log` beside the journal.
///
/// # Errors
/// [`StackError`] when the run could not be removed; the journal keeps it open then.
pub async fn main(run: &str) -> Result<(), StackError> {
    // What ends a whole session or machine politely must not end the one process that cleans up
    // after the others. A handler that does nothing stays for the life of the process.
    for kind in
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()]
    {
        if let Err(error) = signal(kind) {
            eprintln!("reaper of run {run}: {error}");
        }
    }
    let mut words = String::new();
    // A pipe that can't be read has no writer either.
    let _ = tokio::io::stdin().read_to_string(&mut words).await;
    if words == DISMISSED {
        return Ok(());
    }
    let told = |advice: Advice| eprintln!("reaper of run {run}: {advice}");
    let engine = Engine::connect().await.inspect_err(|error| told(error.advice())).ok();
    let removed = remove_run(engine.as_ref(), &Journal::of_user(), run).await;
    match &removed {
        Ok(removed) => eprintln!("reaper of run {run}: the harness is gone; removed {removed:?}"),
        Err(error) => told(error.advice()),
    }
    removed.map(drop)
}
