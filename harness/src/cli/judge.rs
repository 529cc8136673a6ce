//! `firedrill judge RUN`: judges a recorded run again, without Docker.

use super::{Common, Failure};
use crate::ops::judge::judge;
use crate::process::exit::Exit;
use crate::report::text;
use std::path::PathBuf;

/// Arguments of `judge`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Folder of the run, or its id under the report folder.
    run: PathBuf,
}

/// Judges, prints.
pub fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    Ok(super::verify::print(&judge(&arguments.run, &common.report)?, common, text::render))
}
