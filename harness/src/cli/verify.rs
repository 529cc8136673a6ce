//! `firedrill verify [STACK]`: up, drive, break, judge, report, down.

use super::{Common, Failure, Format};
use crate::drill::bring_up::{Live, Options, settled};
use crate::exit::Exit;
use crate::plan::Plan;
use crate::report::{Report, text};
use std::path::Path;
use verdict::history::run::Phase;

/// Arguments of `verify`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Arguments {
    /// Name of a stack under compose/stacks, or a folder with a Compose file and a firedrill.yaml [default: email].
    stack: Option<String>,
    /// Print the plan, and what a run will list as different from what is written, and start nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl Arguments {
    /// The stack.
    pub(super) fn stack(&self) -> &str {
        self.stack.as_deref().unwrap_or("email")
    }
}

/// Runs it.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    let options = Options::new(arguments.stack(), common);
    if arguments.dry_run {
        print!("{}{}", options.plan()?, options.foreseen()?);
        return Ok(Exit::Pass);
    }
    once(&options, Options::plan, common, text::render).await
}

/// Up, one run of a plan, down, and what is printed of it.
pub async fn once(
    options: &Options,
    plan: impl Fn(&Options) -> Result<Plan, Failure>,
    common: &Common,
    text: fn(&Report) -> String,
) -> Result<Exit, Failure> {
    let (live, outcome) = settled(options, plan).await?;
    let clock = live.clock();
    let from = clock.now();
    let outcome = leave(live, common.keep, outcome).await?;
    if !common.keep {
        crate::record::append_phase(&outcome.folder, Phase::Down, from, clock.now())?;
    }
    let report = crate::report::write_all(&outcome.folder)?;
    print(&report, &outcome.folder, common, text);
    Ok(report.exit())
}

/// Takes the stack down, or leaves it (`--keep`), however the work on it ended, and tells both endings.
pub async fn leave<T>(live: Live, keep: bool, ended: Result<T, Failure>) -> Result<T, Failure> {
    let left = if keep { live.keep().await } else { live.down().await };
    match (ended, left) {
        (Ok(done), left) => left.map(|()| done),
        (Err(failure), Ok(())) if failure.exit == Exit::Interrupted && !keep => {
            Err(Failure::new(failure.exit, format!("{}, what was started is removed", failure.message)))
        }
        (Err(failure), Ok(())) => Err(failure),
        (Err(failure), Err(second)) => Err(Failure::new(
            failure.exit,
            format!(
                "{}\nand what was started could not be removed: {}\nhint: firedrill down --all tries again",
                failure.message, second.message
            ),
        )),
    }
}

/// Prints a report.
pub fn print(report: &Report, folder: &Path, common: &Common, text: fn(&Report) -> String) {
    match common.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(report).unwrap_or_default()),
        Format::Text => {
            print!("{}", text(report));
            println!("report: {}", folder.join("report.html").display());
        }
    }
}
