//! What is wrong with a monitoring configuration: from its files, and from the stack if it is up.

use crate::journal::Journal;
use crate::lint::{self, Finding, Linted, Severity};
use crate::ops::settings::Common;
use crate::process::exit::Exit;
use crate::process::failure::Failure;
use crate::secret;
use crate::stack::{Running, Stack, StackError};
use config::monitoring::files::normal;
use config::yaml::ConfigError;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Checks a stack, only its files if so asked or if it is not up; or whatever is found under paths
/// that are no stack.
///
/// # Errors
/// There is no such stack and no such path, or a stack that is up does not answer.
pub async fn lint(paths: &[String], files_only: bool, common: &Common) -> Result<Linted, Failure> {
    let profiles: BTreeSet<String> = common.profiles.iter().cloned().collect();
    // Only one path can be a stack.
    let opened = match paths {
        [one] => match Stack::open_with(one, &profiles, &BTreeMap::new()) {
            Err(error) if !is_about_files(&error, Path::new(one)) => return Err(error.into()),
            opened => Some(opened),
        },
        _ => None,
    };
    let stack = match opened {
        Some(Ok(stack)) => stack,
        unread => {
            let mut linted = without_declaration(paths, &profiles)?;
            if let Some(Err(StackError::Config(error))) = unread {
                linted.findings.push(left_out(error));
                linted.sort();
            }
            near(&mut linted);
            return Ok(linted);
        }
    };
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
    near(&mut linted);
    Ok(linted)
}

/// Whether a path can be looked at all the same: it is there and has no declaration, or one whose
/// Compose file says something that this program can't run.
fn is_about_files(error: &StackError, path: &Path) -> bool {
    path.exists()
        && match error {
            StackError::NotFound { .. } => !path.join("firedrill.yaml").is_file(),
            StackError::Config(error) => !error.place.file.ends_with("firedrill.yaml"),
            _ => false,
        }
}

/// That the declaration was not looked at, since the stack can't be read as a run would.
fn left_out(error: ConfigError) -> Finding {
    Finding {
        severity: Severity::Note,
        check: "declaration-left-out",
        file: error.place.file,
        line: error.place.line,
        column: error.place.column,
        what: format!("a run can't use this: {}; looked at without firedrill.yaml", error.problem),
        hint: error.hint,
    }
}

fn without_declaration(
    paths: &[String],
    profiles: &BTreeSet<String>,
) -> Result<Linted, ConfigError> {
    let here = std::env::current_dir().unwrap_or_default();
    let whole: Vec<PathBuf> = paths.iter().map(|path| normal(&here.join(path))).collect();
    for path in &whole {
        secret::learn_folder(path);
    }
    let mut linted = lint::paths(&whole, profiles)?;
    linted.stack = paths.join(" ");
    Ok(linted)
}

/// Places within the folder in which this runs are told from there.
fn near(linted: &mut Linted) {
    let Ok(here) = std::env::current_dir() else { return };
    let folder = format!("{}/", here.display());
    for finding in &mut linted.findings {
        if let Ok(near) = finding.file.strip_prefix(&here) {
            finding.file = near.to_owned();
        }
        // Findings speak of other places too.
        if here.parent().is_some() && finding.what.contains(&folder) {
            finding.what = finding.what.replace(&folder, "");
        }
    }
    for seen in &mut linted.unread {
        if let Some(near) = seen.strip_prefix(&folder).map(str::to_owned) {
            *seen = near;
        }
    }
}
