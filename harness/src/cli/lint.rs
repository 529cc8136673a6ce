//! `firedrill lint STACK`: what is wrong with a stack's monitoring configuration, without starting
//! anything.

use super::{Common, Failure, Format};
use crate::ops::lint::lint;
use crate::process::exit::Exit;

/// Arguments of `lint`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Name of a stack under compose/stacks, or a folder with a Compose file and a firedrill.yaml.
    #[arg(default_value = "email")]
    stack: String,
    /// Check the files only, even if the stack is up.
    #[arg(long)]
    files_only: bool,
}

/// Checks, prints.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    let linted = lint(&arguments.stack, arguments.files_only, common).await?;
    match common.format {
        Format::Json => println!(
            "{}",
            serde_json::to_string_pretty(&linted).map_err(|e| Failure::foreign(Exit::Defect, e))?
        ),
        Format::Text => print!("{}", linted.text()),
    }
    Ok(if linted.fails() { Exit::Fail } else { Exit::Pass })
}
