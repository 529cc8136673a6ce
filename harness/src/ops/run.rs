//! Single drills of a stack, by their names.

use crate::ops::alerts;
use crate::ops::options::Options;
use crate::plan::Plan;
use crate::process::exit::Exit;
use crate::process::failure::Failure;
use crate::yaml::suggest;

/// The plan of these drills, as the features tell of them; those that no feature tells of as
/// `alerts` runs them.
///
/// # Errors
/// The stack's files are wrong, or there is no such drill.
pub fn plan(options: &Options, scenarios: &[String]) -> Result<Plan, Failure> {
    let mut plan = options.plan()?;
    // Drills that no feature tells of are run as `alerts` runs them.
    if !scenarios.iter().all(|s| plan.drills.iter().any(|d| d.scenario.name == *s))
        && options.common.tags.is_empty()
    {
        plan = alerts::plan(options)?;
    }
    let skipped = |drill: &str| {
        plan.left_out.iter().find(|l| l.verdicts.contains(&format!("drill.{drill}.fault")))
    };
    if let Some((drill, reason)) =
        scenarios.iter().find_map(|drill| Some((drill, &skipped(drill)?.reason)))
    {
        return Err(Failure::new(Exit::Unfit, format!("drill {drill} can't be run: {reason}"))
            .hint("firedrill images obtains images"));
    }
    let known: Vec<&str> = plan.drills.iter().map(|d| d.scenario.name.as_str()).collect();
    if let Some(unknown) = scenarios.iter().find(|s| !known.contains(&s.as_str())) {
        let stack = &options.stack;
        if plan.left_out.iter().any(|l| l.scenario.contains(unknown.as_str())) {
            return Err(Failure::usage(format!(
                "drill {unknown} of stack {stack} is left out by its tags"
            ))
            .hint("add --tags nightly"));
        }
        if options.home.scenarios().join(format!("{unknown}.yaml")).is_file() {
            return Err(Failure::usage(format!("{unknown} is no drill but a gate"))
                .hint(format!("firedrill gate {unknown}")));
        }
        return Err(Failure::usage(format!(
            "there is no drill {unknown} in the plan of stack {stack}"
        ))
        .hint(suggest(unknown, known, "drills")));
    }
    plan.only(scenarios);
    Ok(plan)
}
