//! `firedrill run SCENARIO...`: single drills.

use super::{Common, Failure};
use crate::drill::bring_up::Options;
use crate::exit::Exit;
use crate::plan::Plan;
use crate::stack::suggest;

/// Arguments of `run`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Names of drills: the files in the stack's scenarios folder, without .yaml. `firedrill verify --dry-run` lists them.
    #[arg(required = true)]
    scenarios: Vec<String>,
    /// Name of a stack under compose/stacks, or a folder with a Compose file and a firedrill.yaml.
    #[arg(long, default_value = "email")]
    stack: String,
}

/// Runs those drills of the stack's plan, and judges what is expected of them.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    let options = Options::new(&arguments.stack, common);
    super::verify::once(&options, |options| plan(options, arguments, common), common, crate::report::text::render).await
}

fn plan(options: &Options, arguments: &Arguments, common: &Common) -> Result<Plan, Failure> {
    let mut plan = options.plan()?;
    // Drills that no feature tells of are run as `alerts` runs them.
    if !arguments.scenarios.iter().all(|s| plan.drills.iter().any(|d| d.scenario.name == *s)) && common.tags.is_empty() {
        plan = super::alerts::plan(options)?;
    }
    let skipped = |drill: &str| plan.left_out.iter().find(|l| l.verdicts.contains(&format!("drill.{drill}.fault")));
    if let Some((drill, reason)) = arguments.scenarios.iter().find_map(|drill| Some((drill, &skipped(drill)?.reason))) {
        return Err(Failure::new(Exit::Unfit, format!("drill {drill} can't be run: {reason}\nhint: firedrill images obtains images")));
    }
    let known: Vec<&str> = plan.drills.iter().map(|d| d.scenario.name.as_str()).collect();
    if let Some(unknown) = arguments.scenarios.iter().find(|s| !known.contains(&s.as_str())) {
        let stack = &arguments.stack;
        if plan.left_out.iter().any(|l| l.scenario.contains(unknown.as_str())) {
            return Err(Failure::new(
                Exit::Usage,
                format!("drill {unknown} of stack {stack} is left out by its tags\nhint: add --tags nightly"),
            ));
        }
        if options.home.scenarios().join(format!("{unknown}.yaml")).is_file() {
            return Err(Failure::new(Exit::Usage, format!("{unknown} is no drill but a gate\nhint: firedrill gate {unknown}")));
        }
        return Err(Failure::new(
            Exit::Usage,
            format!("there is no drill {unknown} in the plan of stack {stack}\nhint: {}", suggest(unknown, known, "drills")),
        ));
    }
    plan.only(&arguments.scenarios);
    Ok(plan)
}
