//! `firedrill verify [STACK]`: up, drive, break, judge, report, down.

use super::{Common, Failure, Format, Terminal};
use crate::ops::live::Outcome;
use crate::ops::options::Options;
use crate::ops::verify::verify;
use crate::process::exit::Exit;
use crate::report::{Report, text};

/// Arguments of `verify`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Arguments {
    /// Name of a stack under compose/stacks, or a folder with a Compose file and a firedrill.yaml
    /// [default: email].
    stack: Option<String>,
    /// Print the plan, and what a run will list as different from what is written, and start
    /// nothing.
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
    let outcome = verify(&options, Options::plan, &Terminal).await?;
    Ok(print(&outcome, common, text::render))
}

/// Prints a report; the exit code that it earns.
pub fn print(outcome: &Outcome, common: &Common, text: fn(&Report) -> String) -> Exit {
    match common.format {
        Format::Json => {
            println!("{}", serde_json::to_string_pretty(&outcome.report).unwrap_or_default())
        }
        _ => {
            print!("{}", text(&outcome.report));
            println!("report: {}", outcome.folder.join("report.html").display());
        }
    }
    outcome.report.exit()
}
