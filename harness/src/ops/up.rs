//! Stacks that stay between commands.

use crate::journal::Journal;
use crate::process::failure::Failure;
use crate::stack::Running;
use crate::yaml::suggest;
use std::collections::BTreeSet;

/// A run that was told to stay up: the newest of a stack, or the one of this id.
///
/// # Errors
/// It is not up.
pub fn running(journal: &Journal, stack: &str) -> Result<Running, Failure> {
    // A run that is under way belongs to the program that drives it.
    let all: Vec<Running> = Running::all(journal)?.into_iter().filter(|r| r.kept).collect();
    let up: BTreeSet<String> = all.iter().map(|r| r.stack.clone()).collect();
    all.into_iter().rfind(|r| r.stack == stack || r.run == stack).ok_or_else(|| {
        let hint = match up.is_empty() {
            true => "no stack is up; firedrill up STACK starts one, firedrill down --all removes what a crash may have left".to_owned(),
            false => suggest(stack, up.iter().map(String::as_str), "stacks that are up"),
        };
        Failure::usage(format!("stack {stack} is not up")).hint(hint)
    })
}
