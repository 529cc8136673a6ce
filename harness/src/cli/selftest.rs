//! `firedrill selftest`: breaks the stack's monitoring in known ways, and sees each convicted with
//! the right cause.

use super::{Common, Failure, Terminal};
use crate::ops::options::Options;
use crate::ops::selftest::{Wanted, selftest};
use crate::process::exit::Exit;

/// Arguments of `selftest`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Name of a stack under compose/stacks, or a folder with a Compose file and a firedrill.yaml.
    #[arg(default_value = "email")]
    stack: String,
    /// Only this sabotage (a file in the stack's sabotage folder, without .yaml); may be given
    /// several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// This many, drawn by seed; all without it.
    #[arg(long, value_name = "N", conflicts_with = "only")]
    count: Option<usize>,
}

/// Runs it.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    let wanted = match arguments.count {
        Some(count) => Wanted::Drawn(count),
        None if arguments.only.is_empty() => Wanted::All,
        None => Wanted::Named(arguments.only.clone()),
    };
    selftest(&Options::new(&arguments.stack, common), &wanted, &Terminal).await
}
