//! What is wrong with a stack's monitoring configuration: from its files, and from the stack if it
//! is up.

use crate::journal::Journal;
use crate::lint::{self, Linted};
use crate::ops::settings::Common;
use crate::process::exit::Exit;
use crate::process::failure::Failure;
use crate::stack::{Running, Stack};
use std::collections::BTreeMap;

/// Checks a stack; only its files, if so asked or if it is not up.
///
/// # Errors
/// There is no such stack, or a stack that is up does not answer.
pub async fn lint(stack: &str, files_only: bool, common: &Common) -> Result<Linted, Failure> {
    let profiles = common.profiles.iter().cloned().collect();
    let stack = Stack::open_with(stack, &profiles, &BTreeMap::new())?;
    let (mut linted, config) = lint::files(&stack)?;
    let up = Running::of_stack(&Journal::of_user(), stack.name())?;
    if let Some(running) =
        up.filter(|running| !files_only && running.kept && running.folder == stack.folder)
    {
        lint::live::add(&mut linted, &stack, &config, &running).await.map_err(|why| {
            Failure::new(Exit::Unknown, why)
                .hint("firedrill status shows whether it is up; --files-only leaves it out")
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
    Ok(linted)
}
