//! From a stack's name to a stack that runs: read, scaled, contained, images made, containers up,
//! stand-ins followed, backends connected. Several runs may follow one another on it; each has a
//! record of its own.

mod containers;
mod dashboards;
mod one_run;
mod ready;
mod trust;

use crate::engine::Engine;
use crate::journal::Journal;
use crate::ops::console::Console;
use crate::ops::options::Options;
use crate::plan::Plan;
use crate::plan::subject::LoadedStack;
use crate::process::clock::RunClock;
use crate::process::failure::{Advice, Failure};
use crate::process::interrupt::Interrupt;
use crate::process::progress::Progress;
use crate::stack::reaper::Reaper;
use crate::stack::{self, Running, ServiceOverride};
use config::monitoring::RenderedFile;
use one_run::Ran;
use ready::Ready;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use verdict::history::run::Deviation;
use verdict::{EventKind, history};

pub use one_run::Outcome;
pub use ready::up_planned;

/// Service name of the stand-ins' container.
const STAND_INS: &str = "firedrill-receivers";

/// A stack that runs.
pub struct LiveStack {
    /// What it was asked for.
    pub options: Options,
    pub engine: Engine,
    pub running: Running,
    /// What was added to services of the Compose file.
    pub(crate) additions: BTreeMap<String, ServiceOverride>,
    /// The stack as it was read.
    pub read: LoadedStack,
    journal: Journal,
    reaper: Option<Reaper>,
    progress: Progress,
    interrupt: Interrupt,
    images: BTreeMap<String, String>,
    deviations: Vec<Deviation>,
    /// What happened on the way up, told again at the beginning of each run's history.
    prologue: Mutex<Vec<EventKind>>,
    times: Times,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    clock: RunClock,
    images: (history::At, history::At),
    up: (history::At, history::At),
}

/// Brings a stack up and carries out its first run, in which it is seen whether scrapes bear the
/// time scale. Where they don't, a scale that was asked for is refused with the largest that works,
/// and the declared one is lowered: the stack is brought up anew, with the plan that `plan` makes
/// for it. The stack stays up, also if the run failed.
///
/// # Errors
/// The plan or the scale is wrong, or the stack does not come up; nothing is left then.
pub async fn up_and_run(
    options: &Options,
    plan: impl Fn(&Options) -> Result<Plan, Failure>,
) -> Result<(LiveStack, Result<Outcome, Failure>), Failure> {
    let mut options = options.clone();
    loop {
        let (live, planned) = up_planned(&options, &plan).await?;
        options.unavailable.clone_from(&live.options.unavailable);
        let steady_state = live.read.subject.declaration.steady_state.clone();
        let p99 = match live.carry_out(&planned, steady_state, true).await {
            Ok(Ran::Done(outcome)) => return Ok((live, Ok(*outcome))),
            Ok(Ran::ScaleTooHigh(p99)) => p99,
            Err(failure) => return Ok((live, Err(failure))),
        };
        options.scrapes.extend(p99);
        // Each time the scale is smaller, and at 1 nothing is asked.
        let lowered = options.read().map(|read| {
            live.progress.say(&format!(
                "scrapes take more than half of their timeout at time scale {}: once more at {}",
                live.read.scaled.scale, read.scaled.scale
            ));
        });
        live.down().await?;
        lowered?;
    }
}

impl LiveStack {
    /// Brings the stack up, without the optional services whose image can't be had.
    ///
    /// # Errors
    /// Its files are wrong, the machine is unfit, an image can't be had, a service does not become
    /// ready. Nothing is left then.
    pub async fn up(options: &Options) -> Result<LiveStack, Failure> {
        Ready::obtain(options, &Plan::default()).await?.up().await
    }

    /// The clock that its runs are recorded by.
    pub fn clock(&self) -> RunClock {
        self.times.clock
    }

    /// Leaves it running when this program ends.
    ///
    /// # Errors
    /// That can't be written down.
    pub async fn keep(mut self, console: &dyn Console) -> Result<(), Failure> {
        self.running.kept = true;
        self.running.save(&self.journal)?;
        if let Some(reaper) = self.reaper.take() {
            self.interrupt.reaper_watches(false);
            reaper.dismiss();
        }
        let (run, stack) = (&self.running.run, &self.running.stack);
        let told = Advice::from(format!("the stack stays up as run {run}"));
        console.line(&told.hint(format!("firedrill down {stack} removes it")).to_string());
        Ok(())
    }

    /// Removes it.
    ///
    /// # Errors
    /// Something could not be removed.
    pub async fn down(mut self) -> Result<(), Failure> {
        stack::remove_run(Some(&self.engine), &self.journal, &self.running.run).await?;
        if let Some(reaper) = self.reaper.take() {
            reaper.dismiss();
        }
        Ok(())
    }
}

/// The monitoring files as the stack runs with them; none at time scale 1, which runs the
/// configuration untouched.
fn at_scale(read: &LoadedStack) -> Vec<RenderedFile> {
    if read.scaled.scale == 1.0 { Vec::new() } else { read.scaled.config.render() }
}

/// Those of them that are files in the stack's folder, by path relative to it.
pub(crate) fn rendered(read: &LoadedStack) -> BTreeMap<String, String> {
    let relative = |p: &Path| {
        p.strip_prefix(&read.stack.folder).ok().map(|p| p.to_string_lossy().into_owned())
    };
    at_scale(read)
        .into_iter()
        .filter(|f| f.within.is_none())
        .filter_map(|f| Some((relative(&f.original)?, f.text)))
        .collect()
}
