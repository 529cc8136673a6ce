//! The reaper: a process of its own that takes a run's stack away when the harness is gone, however it went.
//!
//! It holds the reading end of a pipe whose writing end only the harness has. The end of that pipe without a word means
//! that the harness died. A run that stays (`--keep`) or is down already is told to it first. Stacks started by `up`, and
//! faults injected by hand, never get one.

use crate::engine::Engine;
use crate::exit::Exit;
use crate::journal::{Journal, STATE_VARIABLE};
use crate::stack::{StackError, remove_run};
use nix::sys::signal::SigSet;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Name of the hidden subcommand.
pub const SUBCOMMAND: &str = "reaper";

/// The harness's hold on its reaper. Dropping it without [`Reaper::release`] has the run removed.
#[derive(Debug)]
pub struct Reaper {
    child: Child,
    pipe: Option<ChildStdin>,
}

/// What becomes of the run when its reaper is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// It is down already.
    Done,
    /// It stays.
    Keep,
}

impl Reaper {
    /// Starts a reaper for a run, before anything of that run is made. `program` is our own executable
    /// (`std::env::current_exe`), which must hand the subcommand to [`main`].
    ///
    /// # Errors
    /// [`StackError::Files`] when it can't be started.
    pub fn spawn(program: &Path, journal: &Journal, run: &str) -> Result<Reaper, StackError> {
        let start = || {
            std::fs::create_dir_all(journal.home())?;
            let log = OpenOptions::new().create(true).append(true).open(journal.home().join("reaper.log"))?;
            Command::new(program)
                .args([SUBCOMMAND, "--run", run])
                .env(STATE_VARIABLE, journal.home())
                .current_dir("/")
                // A group of its own, so that Ctrl-C at the terminal does not end it together with the harness.
                .process_group(0)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
        };
        let mut child = start().map_err(StackError::files(format!("starting the reaper of run {run}")))?;
        let pipe = child.stdin.take();
        Ok(Reaper { child, pipe })
    }

    /// Tells the reaper that nothing is to be removed, and waits for its end.
    pub fn release(mut self, release: Release) {
        if let Some(mut pipe) = self.pipe.take() {
            let word: &[u8] = if release == Release::Keep { b"keep\n" } else { b"done\n" };
            // A reaper that is gone already needs no word.
            let _ = pipe.write_all(word);
        }
        // Only whether it ended matters, not how.
        let _ = self.child.wait();
    }

    /// Process id of the reaper.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// The reaper's own life: waits for the end of the pipe on standard input, then removes the run unless told otherwise.
pub fn main(run: &str) -> Exit {
    // What ends a whole session or machine politely must not end the one process that cleans up after the others.
    if let Err(error) = SigSet::all().thread_block() {
        eprintln!("reaper of run {run}: signals can't be blocked: {error}");
    }
    let mut words = String::new();
    if std::io::stdin().read_to_string(&mut words).is_ok() && ["keep", "done"].contains(&words.trim()) {
        return Exit::Pass;
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("reaper of run {run}: {error}");
            return Exit::Defect;
        }
    };
    let removed = runtime.block_on(async {
        let engine = Engine::connect().await.inspect_err(|error| eprintln!("reaper of run {run}: {error}")).ok();
        remove_run(engine.as_ref(), &Journal::of_user(), run).await
    });
    match removed {
        Ok(removed) => {
            eprintln!("reaper of run {run}: the harness is gone; removed {removed:?}");
            Exit::Pass
        }
        Err(error) => {
            eprintln!("reaper of run {run}: {error}");
            error.exit()
        }
    }
}
