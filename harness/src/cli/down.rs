//! `firedrill down [STACK]`: removes a stack that is up, or everything of ours.

use super::{Common, Failure};
use crate::ops::down::{Which, down};
use crate::ops::options::Options;
use crate::process::exit::Exit;

/// Arguments of `down`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Name or folder of a stack that is up, or its run where several are; `firedrill status` shows
    /// which are.
    #[arg(default_value = "email")]
    stack: String,
    /// Everything of ours, whatever run it belongs to, also after a crash.
    #[arg(long)]
    all: bool,
}

/// Removes, prints.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    let which = if arguments.all {
        Which::All
    } else {
        Which::Stack(Box::new(Options::new(&arguments.stack, common)))
    };
    let removed = down(&which).await?;
    println!(
        "removed: {} containers, {} networks, {} volumes, {} rules",
        removed.containers, removed.networks, removed.volumes, removed.rules
    );
    Ok(Exit::Pass)
}
