//! `firedrill lint PATH`: what is wrong with a monitoring configuration, without starting anything.

use super::{Common, Failure, Format};
use crate::ops::lint::lint;
use crate::process::exit::Exit;

/// Arguments of `lint`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Folders or files with monitoring configuration; or a stack: its name under compose/stacks, or
    /// its folder with a Compose file and a firedrill.yaml.
    #[arg(default_value = "email", value_name = "PATH")]
    paths: Vec<String>,
    /// Check the files only, even if the stack is up.
    #[arg(long)]
    files_only: bool,
}

/// Checks, prints.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    let linted = lint(&arguments.paths, arguments.files_only, common).await?;
    let defect = |error: serde_json::Error| Failure::foreign(Exit::Defect, error);
    match common.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&linted).map_err(defect)?),
        Format::Sarif => println!("{}", linted.sarif().map_err(defect)?),
        Format::Github => print!("{}", linted.github()),
        Format::Text => print!("{}", linted.text()),
    }
    Ok(match (linted.is_empty(), linted.fails()) {
        (true, _) => {
            if common.format != Format::Text {
                eprint!("{}", linted.text());
            }
            Exit::Unknown
        }
        (false, true) => Exit::Fail,
        (false, false) => Exit::Pass,
    })
}
