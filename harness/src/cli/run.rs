//! `firedrill run SCENARIO...`: single drills.

use super::{Common, Failure, Terminal};
use crate::ops::options::Options;
use crate::ops::run::plan;
use crate::ops::verify::verify;
use crate::process::exit::Exit;
use crate::report::text;

/// Arguments of `run`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Names of drills: the files in the stack's scenarios folder, without .yaml. `firedrill verify
    /// --dry-run` lists them.
    #[arg(required = true)]
    scenarios: Vec<String>,
    /// Name of a stack under compose/stacks, or a folder with a Compose file and a firedrill.yaml.
    #[arg(long, default_value = "email")]
    stack: String,
}

/// Runs those drills of the stack's plan, and judges what is expected of them.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    let options = Options::new(&arguments.stack, common);
    let outcome =
        verify(&options, |options| plan(options, &arguments.scenarios), &Terminal).await?;
    Ok(super::verify::print(&outcome, common, text::render))
}
