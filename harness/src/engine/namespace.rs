//! Commands and sockets of the host inside a container's network namespace. The container needs no
//! tools: only a thread moves, and what it starts runs there with the host's binaries.

use super::EngineError;
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longest time that a command of ours (`iptables`, `tc`) may take.
const BOUND: Duration = Duration::from_secs(20);

/// What a host command said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutput {
    /// Whether it ended with 0.
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `program` inside the network namespace of process `pid` (see
/// [`super::ContainerState::pid`]) and waits for it, at most 20 s.
///
/// # Errors
/// [`EngineError::Unfit`] when the namespace can't be entered or the program can't be started or
/// does not end.
pub async fn run(pid: i32, program: &str, args: &[String]) -> Result<CommandOutput, EngineError> {
    let (name, line) = (program.to_owned(), args.to_vec());
    within(pid, move || command(&name, &line)).await?.map_err(|seen| failed(program, args, seen))
}

/// Runs `program` in the host's own network namespace and waits for it, at most 20 s.
///
/// # Errors
/// [`EngineError::Unfit`] when it can't be started or does not end.
pub async fn run_on_host(program: &str, args: &[String]) -> Result<CommandOutput, EngineError> {
    let (name, line) = (program.to_owned(), args.to_vec());
    let ran = tokio::task::spawn_blocking(move || command(&name, &line)).await;
    ran.unwrap_or_else(|error| Err(error.to_string())).map_err(|seen| failed(program, args, seen))
}

/// Runs a closure on a thread of its own inside the network namespace of process `pid`. Sockets
/// that it opens stay there.
///
/// # Errors
/// [`EngineError::Unfit`] when the namespace can't be entered.
pub async fn within<T, F>(pid: i32, job: F) -> Result<T, EngineError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    on_thread(move || enter(pid), job).await
}

/// Runs a closure on a thread of its own inside a fresh, empty network namespace: to try what the
/// kernel can do.
///
/// # Errors
/// [`EngineError::Unfit`] when a namespace can't be made.
pub async fn in_fresh<T, F>(job: F) -> Result<T, EngineError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    on_thread(
        || {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|error| format!("making a network namespace: {error}"))
        },
        job,
    )
    .await
}

fn enter(pid: i32) -> Result<(), String> {
    if pid <= 0 {
        return Err("the container does not run".into());
    }
    let path = format!("/proc/{pid}/ns/net");
    let namespace = File::open(&path).map_err(|error| format!("opening {path}: {error}"))?;
    setns(namespace, CloneFlags::CLONE_NEWNET).map_err(|error| format!("entering {path}: {error}"))
}

async fn on_thread<T, E, F>(enter: E, job: F) -> Result<T, EngineError>
where
    T: Send + 'static,
    E: FnOnce() -> Result<(), String> + Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    // A thread of its own: one that moved must not go back to a pool.
    let (send, receive) = tokio::sync::oneshot::channel();
    let started = std::thread::Builder::new().name("namespace".into()).spawn(move || {
        // The receiver may be gone, if the caller was cancelled; then nobody needs the answer.
        let _ = send.send(enter().map(|()| job()));
    });
    let unfit = |what: String| {
        EngineError::Unfit {
        what,
        hint: "entering a container's network namespace takes root, or CAP_SYS_ADMIN with ptrace access".into(),
    }
    };
    started.map_err(|error| unfit(format!("starting a thread: {error}")))?;
    match receive.await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(what)) => Err(unfit(what)),
        Err(_) => Err(unfit("the thread in the namespace died".into())),
    }
}

fn failed(program: &str, args: &[String], seen: String) -> EngineError {
    EngineError::Unfit {
        what: format!("`{program} {}`: {seen}", args.join(" ")),
        hint: format!(
            "install {program} (Debian: packages iptables, iproute2); `firedrill doctor` shows what is missing"
        ),
    }
}

/// Runs a command on this thread, bounded in time.
pub(crate) fn command(program: &str, args: &[String]) -> Result<CommandOutput, String> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("can't be started: {error}"))?;
    let drain = |from: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            if let Some(mut from) = from {
                // What can't be read is not shown; the exit status decides.
                let _ = from.read_to_end(&mut text);
            }
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    let stdout = drain(child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
    let stderr = drain(child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
    let started = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if started.elapsed() > BOUND => {
                // It may have ended just now, which is as good.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("not done within {} s", BOUND.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    Ok(CommandOutput {
        ok: status.success(),
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
    })
}
