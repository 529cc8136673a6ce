//! Faults that need a live process run in a helper of ours: this program again, with a hidden
//! subcommand, in a session of its own.

use crate::fault::healing::start_ticks_of;
use crate::journal::Undo;
use crate::process::program::program;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getppid};
use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// Starts a helper and waits until it prints `ready`; returns what ends it.
///
/// # Errors
/// It can't be started, or ends before it is ready; the error has its last words.
pub async fn start(arguments: &[String]) -> io::Result<Undo> {
    let mut command = Command::new(program()?);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(false);
    command.process_group(0);
    let mut child = command.spawn()?;
    let pid = child.id().ok_or_else(|| io::Error::other("the helper ended at once"))? as i32;
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("the helper has no output"))?;
    let mut lines = BufReader::new(stdout).lines();
    let ready = tokio::time::timeout(Duration::from_secs(10), lines.next_line()).await;
    if !matches!(&ready, Ok(Ok(Some(line))) if line == "ready") {
        let _ = child.start_kill();
        let output = child.wait_with_output().await?;
        return Err(io::Error::other(format!(
            "the helper did not become ready: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )));
    }
    let start_ticks =
        start_ticks_of(pid).ok_or_else(|| io::Error::other("the helper ended at once"))?;
    // Reap it whenever it ends, so that no zombie is left while the run goes on.
    tokio::spawn(async move { child.wait().await });
    Ok(Undo::EndHelper { pid, start_ticks })
}

/// Tells a helper that was started to begin.
///
/// # Errors
/// It is gone.
pub fn begin(pid: i32) -> io::Result<()> {
    Ok(nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGUSR1)?)
}

/// The harness, as a helper sees it. A helper that has done nothing yet ends when its harness is
/// gone: that may have been killed before it had written down that the helper is there. Afterwards
/// only the journal ends it, so that a fault by hand stays.
#[derive(Debug, Clone, Copy)]
pub struct Harness(Pid);

impl Harness {
    /// How often a helper that waits looks.
    pub const LOOK: Duration = Duration::from_millis(200);

    /// The harness of this process; to be asked before it is told `ready`.
    pub fn of_this() -> Harness {
        Harness(getppid())
    }

    /// Whether it is gone.
    pub fn is_gone(self) -> bool {
        getppid() != self.0
    }
}

/// What a helper waits for that does nothing before it is told to: SIGUSR1.
#[derive(Debug)]
pub struct Orders {
    harness: Harness,
    go: SigSet,
}

impl Orders {
    /// From now on an order is not missed; to be called while the process has one thread.
    ///
    /// # Errors
    /// The signal can't be blocked.
    pub fn awaited() -> io::Result<Orders> {
        let mut go = SigSet::empty();
        go.add(Signal::SIGUSR1);
        go.thread_block()?;
        Ok(Orders { harness: Harness::of_this(), go })
    }

    /// Returns once the order has come; ends this process if its harness is gone before that.
    ///
    /// # Errors
    /// The signal can't be waited for.
    pub fn wait(self) -> io::Result<()> {
        let told = Arc::new(AtomicBool::new(false));
        std::thread::spawn({
            let told = told.clone();
            move || {
                while !told.load(Ordering::SeqCst) {
                    if self.harness.is_gone() {
                        std::process::exit(0);
                    }
                    std::thread::sleep(Harness::LOOK);
                }
            }
        });
        self.go.wait()?;
        told.store(true, Ordering::SeqCst);
        Ok(())
    }
}
