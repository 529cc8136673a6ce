//! `firedrill baseline record|check [STACK]`: what a healthy run measures, and whether a candidate
//! is worse.

use super::{Common, Failure};
use crate::ops::baseline::{self, BaselineSpec, Reference};
use crate::ops::options::Options;
use crate::process::exit::Exit;

/// What is done.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Measure runs of a healthy stack and keep them as its baseline, in
    /// scenarios/baselines/recorded.
    Record {
        /// What both share.
        #[command(flatten)]
        arguments: Arguments,
        /// Keep the runs that are recorded, and add to them.
        #[arg(long)]
        add: bool,
    },
    /// Measure runs and judge them against the recorded ones: exit 0 no worse, 1 worse, 2 too few
    /// runs to tell.
    Check {
        /// What both share.
        #[command(flatten)]
        arguments: Arguments,
        /// Compare with another version of the stack, run in turn with this one, instead of
        /// recorded runs.
        #[arg(long, value_name = "STACK")]
        versus: Option<String>,
    },
}

/// Arguments of both.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Name of a stack under compose/stacks, or a folder with a Compose file and a firedrill.yaml.
    #[arg(default_value = "email")]
    stack: String,
    /// Number of runs, each a stack of its own, brought up and taken down.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,
}

/// Runs it. The time scale is 1 unless another is asked for: what is measured is what the
/// configuration does.
pub async fn run(command: &Command, common: &Common) -> Result<Exit, Failure> {
    let common = Common { time_scale: Some(common.time_scale.unwrap_or(1.0)), ..common.clone() };
    match command {
        Command::Record { arguments, add } => {
            let options = Options::new(&arguments.stack, &common);
            let recorded = baseline::record(&options, arguments.runs.into(), *add).await?;
            println!("{}", recorded.table(&BaselineSpec::read(&options)?.gate));
            Ok(Exit::Pass)
        }
        Command::Check { arguments, versus } => {
            let options = Options::new(&arguments.stack, &common);
            let against = match versus {
                Some(stack) => Reference::Version(Box::new(Options::new(stack, &common))),
                None => Reference::Recorded,
            };
            let outcome = baseline::check(&options, arguments.runs.into(), against).await?;
            Ok(super::verify::print(&outcome, &common, crate::report::text::render))
        }
    }
}
