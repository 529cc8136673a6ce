//! Load generators, each as its own documentation tells to use it for the task.

use super::answer;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is asked of a client.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// Operations a second; as many as it can if there is none.
    pub rate: Option<u32>,
    pub seconds: u32,
    pub connections: u32,
}

/// What a client told, and what it cost.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    pub operations: u64,
    /// Processor time of its process for each of them, microseconds.
    pub cpu_us: f64,
    /// P50, P90, P99 and largest.
    pub latency_ms: [f64; 4],
    /// P50 and P99 of what only ours tells.
    pub slip_ms: [f64; 2],
}

pub enum Client {
    Firedrill,
    Wrk(PathBuf),
    Oha(PathBuf),
    Wrk2(PathBuf),
    Vegeta(PathBuf),
    Hey(PathBuf),
    Ab(PathBuf),
}

impl Client {
    pub fn name(&self) -> &'static str {
        match self {
            Client::Firedrill => "firedrill",
            Client::Wrk(_) => "wrk",
            Client::Oha(_) => "oha",
            Client::Wrk2(_) => "wrk2",
            Client::Vegeta(_) => "vegeta",
            Client::Hey(_) => "hey",
            Client::Ab(_) => "ab",
        }
    }

    /// Whether it knows such a task.
    pub fn can(&self, task: &Task) -> bool {
        match self {
            Client::Firedrill | Client::Oha(_) | Client::Vegeta(_) | Client::Hey(_) => true,
            Client::Wrk(_) | Client::Ab(_) => task.rate.is_none(),
            Client::Wrk2(_) => task.rate.is_some(),
        }
    }

    /// Runs a task on the second processor.
    pub fn run(&self, address: SocketAddr, task: &Task) -> Result<Measured, String> {
        let scratch = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut command = self.command(address, task, scratch.path())?;
        let before = children_us();
        let done =
            command.output().map_err(|e| format!("{} can't be started: {e}", self.name()))?;
        let used = children_us() - before;
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        if !done.status.success() {
            return Err(format!("{} ended with {}: {text}", self.name(), done.status));
        }
        let told = self
            .told(&text, scratch.path())
            .filter(|t| t.operations > 0)
            .ok_or_else(|| format!("{} told what can't be read: {text}", self.name()))?;
        Ok(Measured { cpu_us: used as f64 / told.operations as f64, ..told })
    }

    /// What starts it; it may keep files in `scratch`.
    fn command(&self, address: SocketAddr, task: &Task, scratch: &Path) -> Result<Command, String> {
        let mut command = pinned();
        let words = Words {
            url: format!("http://{address}/"),
            seconds: task.seconds.to_string(),
            connections: task.connections.to_string(),
        };
        match self {
            Client::Firedrill => {
                let rate = task.rate.unwrap_or(0).to_string();
                command.arg(std::env::current_exe().map_err(|e| e.to_string())?);
                command.arg("be-a-generator").arg(address.to_string()).arg(rate);
                command.arg(words.seconds).arg(words.connections);
            }
            // Without a rate of its own it is asked for all that it can also where others keep
            // one: what it tells then shows.
            Client::Wrk(program) => words.wrk(command.arg(program), None),
            Client::Oha(program) => words.oha(command.arg(program), task.rate),
            Client::Wrk2(program) => {
                let rate = task.rate.ok_or("wrk2 is asked for a rate only")?;
                words.wrk(command.arg(program), Some(rate));
            }
            Client::Vegeta(program) => {
                words.vegeta(command.arg(program), task.rate.unwrap_or(0), scratch)?;
            }
            Client::Hey(program) => words.hey(command.arg(program), task),
            Client::Ab(program) => words.ab(command.arg(program)),
        }
        Ok(command)
    }

    /// What it measured, read from what it wrote.
    fn told(&self, text: &str, scratch: &Path) -> Option<Measured> {
        match self {
            Client::Firedrill => answer::ours(text),
            Client::Wrk(_) | Client::Wrk2(_) => answer::wrk(text),
            Client::Oha(_) => answer::oha(text),
            Client::Vegeta(program) => {
                let mut report = Command::new(program);
                report.args(["report", "-type", "json"]).arg(scratch.join(VEGETA_RESULTS));
                let report = report.output().ok()?;
                answer::vegeta(&String::from_utf8_lossy(&report.stdout))
            }
            Client::Hey(_) => answer::hey(text),
            Client::Ab(_) => answer::ab(text),
        }
    }
}

const VEGETA_RESULTS: &str = "results";

/// A task, as command lines say it.
struct Words {
    url: String,
    seconds: String,
    connections: String,
}

impl Words {
    fn wrk(&self, command: &mut Command, rate: Option<u32>) {
        command.arg("-t1").args(["-c", &self.connections]).args(["-d", &self.seconds]);
        command.args(["--timeout", "30"]);
        if let Some(rate) = rate {
            command.args(["-R", &rate.to_string()]);
        }
        command.args(["--latency", &self.url]);
    }

    fn oha(&self, command: &mut Command, rate: Option<u32>) {
        command.args(["--no-tui", "--output-format", "json", "-c", &self.connections]);
        command.args(["-z", &format!("{}s", self.seconds), "-w"]);
        if let Some(rate) = rate {
            command.args(["-q", &rate.to_string(), "--latency-correction"]);
        }
        command.arg(&self.url);
    }

    fn vegeta(&self, command: &mut Command, rate: u32, scratch: &Path) -> Result<(), String> {
        let targets = scratch.join("targets");
        std::fs::write(&targets, format!("GET {}\n", self.url)).map_err(|e| e.to_string())?;
        command.args(["attack", "-duration", &format!("{}s", self.seconds), "-timeout", "30s"]);
        command.args(["-rate", &rate.to_string(), "-max-workers", &self.connections]);
        command.args(["-max-connections", &self.connections]);
        command.arg("-targets").arg(targets).arg("-output").arg(scratch.join(VEGETA_RESULTS));
        Ok(())
    }

    fn hey(&self, command: &mut Command, task: &Task) {
        command.args(["-z", &format!("{}s", self.seconds), "-c", &self.connections, "-t", "30"]);
        if let Some(rate) = task.rate {
            // Its rate is each worker's.
            command.args(["-q", &(f64::from(rate) / f64::from(task.connections)).to_string()]);
        }
        command.arg(&self.url);
    }

    fn ab(&self, command: &mut Command) {
        command.args(["-q", "-k", "-s", "30", "-c", &self.connections]);
        // Of seconds it makes 50,000 requests at most, but for a number given after them.
        command.args(["-t", &self.seconds, "-n", "5000000", &self.url]);
    }
}

/// A command on the second processor.
fn pinned() -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "1"]).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// P50 and P99 of how late a thread is that only sleeps, and what that costs each time,
/// microseconds.
pub fn sleeper() -> Result<[f64; 3], String> {
    let before = children_us();
    let done = pinned()
        .arg(std::env::current_exe().map_err(|e| e.to_string())?)
        .arg("only-sleep")
        .output()
        .map_err(|e| e.to_string())?;
    let used = (children_us() - before) as f64;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let told: Vec<f64> = text.split_whitespace().filter_map(|t| t.parse().ok()).collect();
    match told[..] {
        [p50, p99] => Ok([p50, p99, used / f64::from(super::SLIP.0 * super::SLIP.1)]),
        _ => Err(format!("what a sleeping thread told can't be read: {text}")),
    }
}

/// Processor time of all processes that ended so far, microseconds. One runs at a time.
fn children_us() -> i64 {
    getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_or(0, |u| u.user_time().num_microseconds() + u.system_time().num_microseconds())
}
