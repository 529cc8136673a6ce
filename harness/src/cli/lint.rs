//! `firedrill lint STACK`: what is wrong with a stack's monitoring configuration, without starting anything.

use super::{Common, Failure, Format};
use crate::exit::Exit;
use crate::journal::Journal;
use crate::lint;
use crate::stack::{Running, Stack};
use std::collections::BTreeMap;

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
    let profiles = common.profiles.iter().cloned().collect();
    let stack = Stack::open_with(&arguments.stack, &profiles, &BTreeMap::new()).map_err(|e| Failure::new(e.exit(), e))?;
    let (mut linted, config) = lint::files(&stack).map_err(|e| Failure::new(e.exit(), e))?;
    let up = Running::of_stack(&Journal::of_user(), stack.name()).map_err(|e| Failure::new(e.exit(), e))?;
    if let Some(running) = up.filter(|running| !arguments.files_only && running.kept && running.folder == stack.folder) {
        lint::live::add(&mut linted, &stack, &config, &running).await.map_err(|why| {
            Failure::new(Exit::Unknown, format!("{why}\nhint: firedrill status shows whether it is up; --files-only leaves it out"))
        })?;
    }
    // Places within the folder in which this runs are told from there.
    if let Ok(here) = std::env::current_dir() {
        for finding in &mut linted.findings {
            if let Ok(near) = finding.file.strip_prefix(&here) {
                finding.file = near.to_owned();
            }
        }
    }
    match common.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&linted).map_err(|e| Failure::new(Exit::Defect, e))?),
        Format::Text => print!("{}", linted.text()),
    }
    Ok(if linted.fails() { Exit::Fail } else { Exit::Pass })
}
