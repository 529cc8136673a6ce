//! `firedrill gate [GATE]`: commands one after the other, with one exit code and one report.

use super::{Cli, Command, Common, Failure, Format};
use crate::ops::gate::outcome::exit_of;
use crate::ops::gate::{Asked, Ready};
use crate::process::exit::Exit;
use crate::process::failure::Advice;
use clap::Parser;

/// Arguments of `gate`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "The exit code is the worst of the steps': 130 interrupted · 70 defect · 64 usage · 1 fail · 3 unfit · 2 unknown · 0 pass. \
A step that was not begun makes it unknown at best."
)]
pub struct Arguments {
    /// Name of a gate under scenarios (release, nightly), or a file.
    #[arg(default_value = "release")]
    gate: String,
    /// Stack, instead of the one that the file states: a name under compose/stacks, or a folder.
    #[arg(long, value_name = "STACK")]
    stack: Option<String>,
    /// Hours that the steps divide among them, instead of those that the file states; 0.1 tries it
    /// out.
    #[arg(long, value_name = "H")]
    hours: Option<f64>,
    /// Print the command lines and run nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Runs it.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    let asked = Asked {
        gate: arguments.gate.clone(),
        stack: arguments.stack.clone(),
        hours: arguments.hours,
    };
    let ready = Ready::read(&asked, common, check_line)?;
    if arguments.dry_run {
        print!("{}", ready.lines());
        return Ok(Exit::Pass);
    }
    let ended = ready.run().await?;
    match common.format {
        Format::Json => {
            println!("{}", serde_json::to_string_pretty(&ended.report).unwrap_or_default())
        }
        _ => {
            print!("{}", ended.report.text());
            println!("report: {}", ended.folder.join("index.html").display());
        }
    }
    Ok(exit_of(Some(ended.report.exit)))
}

/// Whether a gate may have this command line.
///
/// # Errors
/// What is wrong with it.
fn check_line(words: &[String]) -> Result<(), Advice> {
    let line = ["firedrill".to_owned()].into_iter().chain(words.iter().cloned());
    let cli = Cli::try_parse_from(line).map_err(|e| {
        let told = e.to_string();
        let told: Vec<&str> = told
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty() && !l.starts_with("Usage:"))
            .collect();
        Advice::from(told.first().map_or("it can't be read", |l| l.trim_start_matches("error: ")))
    })?;
    for option in ["--report", "--keep", "--quiet", "-q", "--format", "--provision", "--images"] {
        if words.iter().any(|w| w == option || w.starts_with(&format!("{option}="))) {
            let what = format!("{option} is the gate's own");
            return Err(Advice::from(what).hint("give it to firedrill gate"));
        }
    }
    let judges = "verify, alerts, run, load, selftest, baseline check, lint, judge and doctor do";
    match cli.command {
        Some(Command::Baseline(super::baseline::Command::Record { .. })) => {
            Err(Advice::from("baseline record judges nothing").hint(judges))
        }
        Some(
            Command::Verify(_)
            | Command::Alerts(_)
            | Command::Run(_)
            | Command::Load(_)
            | Command::Selftest(_)
            | Command::Baseline(_)
            | Command::Lint(_)
            | Command::Judge(_)
            | Command::Doctor,
        ) => Ok(()),
        _ => {
            let word = words.first().map_or("nothing", String::as_str);
            Err(Advice::from(format!("{word} judges nothing")).hint(judges))
        }
    }
}

#[cfg(test)]
mod tests;
