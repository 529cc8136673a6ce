//! One run of a plan on a stack that is brought up for it and taken down after it.

use crate::ops::console::Console;
use crate::ops::live::{LiveStack, Outcome, up_and_run};
use crate::ops::options::Options;
use crate::plan::Plan;
use crate::process::exit::Exit;
use crate::process::failure::{Advice, Failure};
use verdict::history::run::Phase;

/// Up, one run of a plan, down.
///
/// # Errors
/// The run could not be carried out, or what was started can't be removed.
pub async fn verify(
    options: &Options,
    plan: impl Fn(&Options) -> Result<Plan, Failure>,
    console: &dyn Console,
) -> Result<Outcome, Failure> {
    let (live, outcome) = up_and_run(options, plan).await?;
    let (clock, keep) = (live.clock(), options.common.keep);
    let from = clock.now();
    let outcome = leave(live, keep, outcome, console).await?;
    if !keep {
        crate::record::append_phase(&outcome.folder, Phase::Down, from, clock.now())?;
    }
    let report = crate::report::write_all(&outcome.folder)?;
    Ok(Outcome { report, ..outcome })
}

/// Takes the stack down, or leaves it (`--keep`), however the work on it ended, and tells both
/// endings.
///
/// # Errors
/// The work's, or that what was started can't be removed.
pub async fn leave<T>(
    live: LiveStack,
    keep: bool,
    ended: Result<T, Failure>,
    console: &dyn Console,
) -> Result<T, Failure> {
    let left = if keep { live.keep(console).await } else { live.down().await };
    match (ended, left) {
        (Ok(done), left) => left.map(|()| done),
        (Err(failure), Ok(())) if failure.exit == Exit::Interrupted && !keep => {
            Err(Failure::new(failure.exit, format!("{failure}, what was started is removed")))
        }
        (Err(failure), Ok(())) => Err(failure),
        (Err(failure), Err(second)) => {
            let (first, second) = (failure.advice, second.advice);
            let what = format!(
                "{}\nand what was started could not be removed: {}",
                first.what, second.what
            );
            let hints = first.hints.into_iter().chain(second.hints).collect();
            Err(Failure::new(failure.exit, Advice { what, hints })
                .hint("firedrill down --all tries again"))
        }
    }
}
