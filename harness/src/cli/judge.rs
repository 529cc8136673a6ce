//! `firedrill judge RUN`: judges a recorded run again, without Docker.

use super::{Common, Failure};
use crate::exit::Exit;
use crate::report;
use std::path::PathBuf;

/// Arguments of `judge`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Folder of the run, or its id under the report folder.
    run: PathBuf,
}

/// Judges, writes the reports anew, prints.
pub fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    let folder = if arguments.run.join("history.jsonl").exists() { arguments.run.clone() } else { common.report.join(&arguments.run) };
    if !folder.join("history.jsonl").exists() {
        return Err(Failure::new(Exit::Usage, format!("{} holds no recorded run\nhint: name a folder with a history.jsonl, or the id of a run under {}", folder.display(), common.report.display())));
    }
    let report = report::write_all(&folder)?;
    super::verify::print(&report, &folder, common);
    Ok(report.exit())
}
