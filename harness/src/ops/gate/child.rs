//! One command of a gate: a process of this very program, whose output goes into a file.

use super::outcome::exit_of;
use crate::process::exit::Exit;
use crate::process::interrupt::Interrupt;
use crate::process::progress::Progress;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

/// Tells a command which process is its gate: it ends when that one is gone.
pub const OF_GATE: &str = "--of-gate";
/// Lines of its end that are kept for people.
const LAST: usize = 25;
/// How long it may take to heal and clean up after it was interrupted, before it is told again.
const CLEANING: Duration = Duration::from_secs(300);

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub exit: Exit,
    /// How long it took.
    pub took: Duration,
    /// Its last lines.
    pub last: Vec<String>,
    /// What else is to be said of its end.
    pub note: Option<String>,
}

/// Asks to be ended when the gate that started this process is gone, however it went. To be called
/// before anything else starts.
pub fn follow(gate: i32) {
    // SIGTERM heals and cleans up, as Ctrl-C does.
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGTERM);
    // It may have gone just before.
    if nix::unistd::getppid() != Pid::from_raw(gate) {
        std::process::exit(Exit::Interrupted as i32);
    }
}

/// Runs a command to its end. Its output is written to `output` and what it tells of its progress
/// is told with `label` before it. When the user interrupts, or `within` is over, it is interrupted
/// and waited for: it heals and cleans up.
///
/// # Errors
/// It can't be started, or its output can't be written.
pub async fn run(
    words: &[String],
    output: &Path,
    label: &str,
    within: Option<Duration>,
    (interrupt, progress): (&Interrupt, &Progress),
) -> io::Result<Ended> {
    let began = Instant::now();
    let file = Arc::new(tokio::sync::Mutex::new(File::create(output).await?));
    let mut child = Command::new(crate::process::program::program()?)
        .args(words)
        .args([OF_GATE.to_owned(), std::process::id().to_string()])
        // A group of its own: Ctrl-C at the terminal is ours to hand on, once.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let last = Arc::new(Mutex::new(VecDeque::new()));
    let (told, kept) = (progress.clone(), last.clone());
    let prefix = format!("{label}: ");
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let copied = tokio::spawn(async move {
        let words = |line: &str| keep(&kept, line);
        let progress = |line: &str| {
            // An error is the last word of a command; progress is not kept.
            if line.starts_with('[') {
                let line = line.split_once("] ").map_or(line, |(_, l)| l);
                told.live(&format!("{prefix}{line}"), Duration::ZERO);
            } else {
                keep(&kept, line);
            }
        };
        let (out, err) =
            tokio::join!(copy(stdout, file.clone(), words), copy(stderr, file.clone(), progress));
        out.and(err)
    });
    let (exit, note) = ended(&mut child, within, interrupt).await?;
    copied.await.map_err(io::Error::other)??;
    progress.settle();
    let last = last.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
    Ok(Ended { exit, took: began.elapsed(), last, note })
}

async fn ended(
    child: &mut Child,
    within: Option<Duration>,
    interrupt: &Interrupt,
) -> io::Result<(Exit, Option<String>)> {
    let over = async {
        match within {
            Some(within) => tokio::time::sleep(within).await,
            None => std::future::pending().await,
        }
    };
    let late = tokio::select! {
        status = child.wait() => return Ok(end(status?)),
        () = interrupt.wait() => false,
        () = over => true,
    };
    for signal in [Signal::SIGINT, Signal::SIGINT, Signal::SIGKILL] {
        if let Some(id) = child.id() {
            // One that is gone already needs no signal.
            let _ = kill(Pid::from_raw(id as i32), signal);
        }
        if let Ok(status) = tokio::time::timeout(CLEANING, child.wait()).await {
            let (_, note) = end(status?);
            return Ok(match within.filter(|_| late) {
                Some(within) => (
                    Exit::Unknown,
                    Some(format!("it did not end within {within:?} and was interrupted")),
                ),
                // It may have ended by itself in that very moment: the gate is interrupted all the
                // same.
                None => (Exit::Interrupted, note),
            });
        }
    }
    Ok((Exit::Defect, Some("it could not be ended".into())))
}

fn end(status: std::process::ExitStatus) -> (Exit, Option<String>) {
    let note = match status.code() {
        Some(code) if exit_of(Some(code)) as i32 == code => None,
        _ => Some(format!("it ended with {status}, which no command of ours does")),
    };
    (exit_of(status.code()), note)
}

/// Copies lines into a file as they come; a line is looked at as it passes.
async fn copy(
    from: Option<impl AsyncRead + Unpin>,
    to: Arc<tokio::sync::Mutex<File>>,
    look: impl Fn(&str),
) -> io::Result<()> {
    let Some(from) = from else { return Ok(()) };
    let (mut from, mut line) = (BufReader::new(from), Vec::new());
    while from.read_until(b'\n', &mut line).await? > 0 {
        let told = String::from_utf8_lossy(&line);
        // What an engine or a kernel adds is no output of ours.
        let told = crate::secret::scrub(&told);
        to.lock().await.write_all(told.as_bytes()).await?;
        look(told.trim_end());
        line.clear();
    }
    to.lock().await.flush().await
}

fn keep(last: &Mutex<VecDeque<String>>, line: &str) {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    if last.len() == LAST {
        last.pop_front();
    }
    last.push_back(line.to_owned());
}
