//! A recorded run judged again, without Docker.

use crate::ops::live::Outcome;
use crate::process::failure::Failure;
use crate::report;
use std::path::{Path, PathBuf};

/// Judges a run, named as [`find`] takes it, and writes its reports anew.
///
/// # Errors
/// There is no such run, or it is not whole.
pub fn judge(asked: &Path, reports: &Path) -> Result<Outcome, Failure> {
    let folder = find(asked, reports)?;
    let report = report::write_all(&folder).map_err(|e| match Failure::from(e) {
        failure if failure.advice.hints.is_empty() => failure.hint("the record is not whole: a run that was killed early, or files that were removed; it can't be judged"),
        failure => failure,
    })?;
    Ok(Outcome { report, folder })
}

/// Folder of a recorded run: named itself, by its record, or by its id under the folder of reports.
///
/// # Errors
/// There is no such run.
pub fn find(asked: &Path, reports: &Path) -> Result<PathBuf, Failure> {
    let holds = |folder: &Path| folder.join("history.jsonl").is_file();
    // The record itself may be named as well as its folder.
    let named = if asked.file_name().is_some_and(|n| n == "history.jsonl") {
        asked.parent().map(Path::to_path_buf).unwrap_or_default()
    } else {
        asked.to_path_buf()
    };
    [named, reports.join(asked)].into_iter().find(|f| holds(f)).ok_or_else(|| {
        let report = reports.display();
        let mut runs: Vec<String> = std::fs::read_dir(reports)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|e| holds(&e.path()))
            .filter_map(|e| e.file_name().into_string().ok())
            .collect();
        runs.sort();
        let newest = runs.last().map_or_else(
            || format!("{report} holds none"),
            |r| format!("the newest in {report} is {r}"),
        );
        Failure::usage(format!("{} is no recorded run", asked.display()))
            .hint(format!("name a folder with a history.jsonl, or a run's id; {newest}"))
    })
}
