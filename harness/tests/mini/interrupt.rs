//! Ctrl-C and SIGTERM while a stack comes up and while a drill runs: healed, cleaned up, exit code
//! 130; and a second Ctrl-C, which ends the program at once, leaves the cleaning to the reaper. On
//! the mini stack, with the built binary.

use firedrill::engine::containment;
use firedrill::engine::{Engine, label};
use libtest_mimic::Failed;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use support::images;
use support::module::Tests;

/// Longest time until a line of progress is seen; images may have to be made first.
const PROGRESS: Duration = Duration::from_secs(1800);
/// Longest time from the signal until the program has ended, and until nothing of the run is left.
const ENDED: Duration = Duration::from_secs(90);

pub fn tests() -> Tests {
    let trial = |name: &str, test: fn() -> Result<(), Failed>| {
        images::trial(name, &["prometheus", "alertmanager"], test)
    };
    // Each brings up the same stack; side by side they would only wait for each other.
    Tests::one_by_one([
        trial("ctrl_c_while_services_start", || {
            interrupted(&["up", "mini"], "ready: ", &[Signal::SIGINT])
        }),
        trial("sigterm_before_images_are_there", || {
            interrupted(&["verify", "mini"], "seed ", &[Signal::SIGTERM])
        }),
        trial("ctrl_c_during_a_drill", || {
            interrupted(
                &["run", "exporter_stopped", "--stack", "mini"],
                "drill ",
                &[Signal::SIGINT],
            )
        }),
        trial("sigterm_during_a_drill", || {
            interrupted(&["run", "spare_paused", "--stack", "mini"], "drill ", &[Signal::SIGTERM])
        }),
        trial("a_second_ctrl_c_leaves_it_to_the_reaper", || {
            interrupted(
                &["run", "exporter_stopped", "--stack", "mini"],
                "drill ",
                &[Signal::SIGINT, Signal::SIGINT],
            )
        }),
        trial("a_stack_that_will_stay_belongs_to_its_run_until_then", will_stay),
    ])
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime")
}

/// Lines of the error stream as they come, of a process that does not outlive the test.
struct Harness {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Drop for Harness {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Harness {
    fn start(arguments: &[&str], home: &std::path::Path) -> Result<Harness, Failed> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        command.args(arguments).args(["--seed", "7", "--report", "report"]).current_dir(home);
        command
            .env("FIREDRILL_STATE", home.join("state"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let stderr = child.stderr.take().ok_or("no error stream")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Harness { child, lines, seen: Vec::new() })
    }

    /// Waits for a line of progress with these words.
    fn until(&mut self, words: &str) -> Result<(), Failed> {
        let until = Instant::now() + PROGRESS;
        loop {
            let line = self.lines.recv_timeout(until.saturating_duration_since(Instant::now()));
            let line = line
                .map_err(|_| format!("it never said {words:?}, but:\n{}", self.seen.join("\n")))?;
            let found = line.contains(words);
            self.seen.push(line);
            if found {
                return Ok(());
            }
        }
    }

    /// Sends a signal.
    fn signal(&self, signal: Signal) -> Result<(), Failed> {
        Ok(kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?)
    }

    /// The exit code, once it has ended by itself.
    fn ended(&mut self) -> Result<Option<i32>, Failed> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.seen.extend(self.lines.iter());
                return Ok(status.code());
            }
            if began.elapsed() > ENDED {
                return Err(format!(
                    "still there {} s after the signal:\n{}",
                    ENDED.as_secs(),
                    self.seen.join("\n")
                )
                .into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Id of the run that it began, if it had come that far.
    fn run(&self) -> Option<String> {
        let line = self.seen.iter().find_map(|l| l.split_once("] run ").map(|(_, rest)| rest))?;
        line.split(':').next().map(str::to_owned)
    }
}

fn interrupted(arguments: &[&str], at: &str, signals: &[Signal]) -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let mut harness = Harness::start(arguments, home.path())?;
    harness.until(at)?;
    for (i, signal) in signals.iter().enumerate() {
        if i > 0 {
            harness.until("interrupted: ")?;
        }
        harness.signal(*signal)?;
    }
    let exit = harness.ended()?;
    let told = harness.seen.join("\n");
    if exit != Some(130) {
        return Err(format!("exit code {exit:?}, wanted 130:\n{told}").into());
    }
    let wanted = if signals.len() > 1 { "ended at once" } else { "error: interrupted" };
    if !told.contains(wanted) {
        return Err(format!("it did not say {wanted:?}:\n{told}").into());
    }
    let began = Instant::now();
    loop {
        match (left(harness.run().as_deref(), home.path())?, signals.len()) {
            (None, _) => return Ok(()),
            // Only the reaper may still be at work when the program has ended.
            (Some(left), 2) if began.elapsed() > ENDED => {
                return Err(format!("left behind by the reaper: {left}").into());
            }
            (Some(_), 2) => std::thread::sleep(Duration::from_millis(200)),
            (Some(left), _) => return Err(format!("left behind: {left}\n{told}").into()),
        }
    }
}

/// While a run drives a stack that it will leave up, `down` does not take it away; a run that is
/// killed before that leaves nothing.
fn will_stay() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let mut harness = Harness::start(&["verify", "mini", "--keep"], home.path())?;
    harness.until("] drive")?;
    let mut down = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    down.args(["down", "mini"]).current_dir(home.path());
    let down = down.env("FIREDRILL_STATE", home.path().join("state")).output()?;
    let told = String::from_utf8_lossy(&down.stderr);
    if down.status.code() != Some(64) || !told.contains("stack mini is not up") {
        return Err(format!("down ended with {:?}: {told}", down.status.code()).into());
    }
    harness.signal(Signal::SIGKILL)?;
    harness.ended()?;
    let began = Instant::now();
    while let Some(left) = left(harness.run().as_deref(), home.path())? {
        if began.elapsed() > ENDED {
            return Err(format!("left behind by the reaper: {left}").into());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// What is left of a run, and what its journal still holds open.
fn left(run: Option<&str>, home: &std::path::Path) -> Result<Option<String>, Failed> {
    let journal = firedrill::journal::Journal::at(home.join("state"));
    let open = journal.open_entries()?;
    if !open.is_empty() {
        return Ok(Some(format!(
            "{} open entries of the journal, first {}",
            open.len(),
            open[0].what
        )));
    }
    let Some(run) = run else { return Ok(None) };
    runtime().block_on(async {
        let engine = Engine::connect().await?;
        let things = [
            ("containers", engine.containers_with(label::RUN, Some(run)).await?.len()),
            ("networks", engine.networks_with(label::RUN, Some(run)).await?.len()),
            ("volumes", engine.volumes_with(label::RUN, Some(run)).await?.len()),
            ("rules", containment::runs().await?.iter().filter(|r| *r == run).count()),
        ];
        Ok(things.into_iter().find(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")))
    })
}
