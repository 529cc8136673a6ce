//! `firedrill run SCENARIO...`: single drills.

use super::{Common, Failure};
use crate::drill::bring_up::Options;
use crate::exit::Exit;

/// Arguments of `run`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Names of scenarios of the stack.
    #[arg(required = true)]
    scenarios: Vec<String>,
    /// Stack.
    #[arg(long, default_value = "email")]
    stack: String,
}

/// Runs those drills of the stack's plan, and judges what is expected of them.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    let options = Options::new(&arguments.stack, common);
    let mut plan = options.plan()?;
    let known: Vec<String> = plan.drills.iter().map(|d| d.scenario.name.clone()).collect();
    if let Some(unknown) = arguments.scenarios.iter().find(|s| !known.contains(s)) {
        return Err(Failure::new(Exit::Usage, format!("no scenario {unknown:?} in the plan of {}\nhint: there are {}", arguments.stack, known.join(", "))));
    }
    plan.only(&arguments.scenarios);
    super::verify::once(&options, &plan, common).await
}
