//! Faults that need a live process run in a helper of ours: this program again, with a hidden subcommand, in a session of its own.

use crate::journal::Undo;
use std::io;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// Program that helpers run; tests name the built binary, since their own has no subcommands.
pub fn program() -> io::Result<std::path::PathBuf> {
    match std::env::var_os("FIREDRILL_PROGRAM") {
        Some(path) => Ok(path.into()),
        None => std::env::current_exe(),
    }
}

/// Starts a helper and waits until it prints `ready`; returns what ends it.
///
/// # Errors
/// It can't be started, or ends before it is ready; the error has its last words.
pub async fn start(arguments: &[String]) -> io::Result<Undo> {
    let mut command = Command::new(program()?);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(false);
    command.process_group(0);
    let mut child = command.spawn()?;
    let pid = child.id().ok_or_else(|| io::Error::other("the helper ended at once"))? as i32;
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("the helper has no output"))?;
    let mut lines = BufReader::new(stdout).lines();
    let ready = tokio::time::timeout(std::time::Duration::from_secs(10), lines.next_line()).await;
    if !matches!(&ready, Ok(Ok(Some(line))) if line == "ready") {
        let _ = child.start_kill();
        let output = child.wait_with_output().await?;
        return Err(io::Error::other(format!("the helper did not become ready: {}", String::from_utf8_lossy(&output.stderr).trim())));
    }
    let start_ticks = start_ticks(pid)?;
    // Reap it whenever it ends, so that no zombie is left while the run goes on.
    tokio::spawn(async move { child.wait().await });
    Ok(Undo::EndHelper { pid, start_ticks })
}

/// Start time of a process in clock ticks since boot: field 22 of its `stat`, counted after the name, which may hold spaces.
pub fn start_ticks(pid: i32) -> io::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name
        .split_whitespace()
        .nth(19)
        .and_then(|f| f.parse().ok())
        .ok_or_else(|| io::Error::other(format!("process {pid} has no start time")))
}
