//! `firedrill fault list|inject`: one fault by hand.

use super::{Common, Failure};
use crate::fault;
use crate::ops::fault::inject;
use crate::ops::options::Options;
use crate::process::exit::Exit;
use crate::process::failure::Advice;

/// What to do.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Show all kinds: what each does, and its settings in brackets.
    List,
    /// Inject one into a stack that is up (`firedrill up`); `firedrill heal` undoes it.
    Inject {
        /// Kind; `firedrill fault list` shows all.
        kind: String,
        /// Service that it is aimed at, or one of its instances (`web-2`).
        target: String,
        /// Settings of the kind, for example `to=postgres delay_ms=300`.
        #[arg(value_name = "KEY=VALUE")]
        settings: Vec<String>,
        /// Stack that is up: its name or folder.
        #[arg(long, default_value = "email")]
        stack: String,
    },
}

/// Runs it.
pub async fn run(command: &Command, common: &Common) -> Result<Exit, Failure> {
    match command {
        Command::List => {
            fault::list().for_each(|(kind, what)| println!("{kind:<20} {what}"));
            Ok(Exit::Pass)
        }
        Command::Inject { kind, target, settings, stack } => {
            let evidence = inject(kind, target, settings, &Options::new(stack, common)).await?;
            println!("{}", Advice::from(evidence).hint("firedrill heal undoes it"));
            Ok(Exit::Pass)
        }
    }
}
