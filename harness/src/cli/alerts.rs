//! `firedrill alerts [STACK]`: every alert of a stack proved, from its cause to whoever must be
//! told, and to the end of it.

use super::verify::Arguments;
use super::{Common, Failure, Terminal};
use crate::ops::alerts::plan;
use crate::ops::options::Options;
use crate::ops::verify::verify;
use crate::plan::Plan;
use crate::process::exit::Exit;
use crate::report::text;

/// Runs it.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    if !common.tags.is_empty() {
        return Err(Failure::usage(
            "--tags selects scenarios of features, and `alerts` runs every drill of the stack",
        )
        .hint("firedrill run DRILL... runs single drills"));
    }
    let options = Options::new(arguments.stack(), common);
    if arguments.dry_run {
        let plan = plan(&options)?;
        print!("{plan}");
        print!("{}{}", budgets(&plan), options.foreseen()?);
        return Ok(Exit::Pass);
    }
    let outcome = verify(&options, plan, &Terminal).await?;
    Ok(super::verify::print(&outcome, common, text::alerts_only))
}

/// What each alert may take, and of what that consists.
fn budgets(plan: &Plan) -> String {
    let width = plan.budgets.keys().map(|a| a.chars().count()).max().unwrap_or(0);
    let mut out = String::from("budgets, from the injection and from healing\n");
    for (alert, budget) in &plan.budgets {
        let drill = plan.drills.iter().find(|d| d.scenario.is_about(alert)).map(|d| &d.scenario);
        let (builds, clears) =
            drill.map_or((0.0, 0.0), |s| (s.builds_up_s.of(alert), s.clears_s.of(alert)));
        let mut stages: Vec<String> = budget
            .stages
            .iter()
            .filter(|s| s.1 > 0.0)
            .map(|(name, s)| format!("{name} {s:.1}"))
            .collect();
        if builds > 0.0 {
            stages.insert(0, format!("builds_up {builds:.1}"));
        }
        out += &format!(
            "  {alert:<width$}  fires within {:>5.1} s, notified within {:>5.1} s ({}), resolved within {:.1} s{}\n",
            budget.fire_s + builds,
            budget.notify_s + builds,
            stages.join(" + "),
            budget.resolve_s + clears,
            if drill.is_none() { "; no drill is about it" } else { "" }
        );
    }
    out
}
