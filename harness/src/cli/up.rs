//! `firedrill up | status | down`: a stack that stays between commands.

use super::{Common, Failure};
use crate::drill::bring_up::{Live, Options};
use crate::engine::Engine;
use crate::exit::Exit;
use crate::journal::Journal;
use crate::stack::{self, Running};

/// Arguments of `up`.
#[derive(Debug, Clone, clap::Args)]
pub struct Up {
    /// Stack.
    #[arg(default_value = "email")]
    stack: String,
}

/// Arguments of `down`.
#[derive(Debug, Clone, clap::Args)]
pub struct Down {
    /// Stack.
    #[arg(default_value = "email")]
    stack: String,
    /// Everything of ours, by label.
    #[arg(long)]
    all: bool,
}

/// Starts a stack and leaves it running.
pub async fn up(arguments: &Up, common: &Common) -> Result<Exit, Failure> {
    let live = Live::up(&Options::new(&arguments.stack, common)).await?;
    for (service, ports) in live.running.services.iter().map(|(n, s)| (n, &s.ports)).filter(|(_, p)| !p.is_empty()) {
        let ports: Vec<String> = ports.iter().map(|(inside, host)| format!("{inside} at 127.0.0.1:{host}")).collect();
        println!("{service:<24} {}", ports.join(", "));
    }
    live.keep().await?;
    Ok(Exit::Pass)
}

/// Shows the stacks that run.
pub async fn status(_common: &Common) -> Result<Exit, Failure> {
    let engine = Engine::connect().await.map_err(|e| Failure::new(e.exit(), e))?;
    let journal = Journal::of_user();
    for running in Running::all(&journal).map_err(|e| Failure::new(e.exit(), e))? {
        println!("{} run {} since {}{}", running.stack, running.run, running.since, if running.kept { ", kept" } else { "" });
        for service in running.services.keys() {
            let state = match engine.container_of(&running.project, service).await {
                Ok(s) if s.paused => "paused".to_owned(),
                Ok(s) if s.running => format!("running, health {:?}", s.health).to_lowercase(),
                Ok(s) => format!("ended with {}", s.exit_code),
                Err(_) => "gone".to_owned(),
            };
            println!("  {service:<24} {state}");
        }
    }
    for entry in journal.open_entries().map_err(|e| Failure::new(e.exit(), e))?.iter().filter(|e| !matches!(e.undo, Some(crate::journal::Undo::RemoveRun { .. }))) {
        println!("open: {} (firedrill heal undoes it)", entry.what);
    }
    Ok(Exit::Pass)
}

/// Removes a stack, or everything of ours.
pub async fn down(arguments: &Down, common: &Common) -> Result<Exit, Failure> {
    let engine = Engine::connect().await.map_err(|e| Failure::new(e.exit(), e))?;
    let journal = Journal::of_user();
    let removed = if arguments.all {
        stack::down::down_all(&engine, &journal).await
    } else {
        // A folder that is gone, or can't be read any more, must not keep its stack from being removed.
        let name = Options::new(&arguments.stack, common).stack_name().unwrap_or_else(|_| arguments.stack.clone());
        let running = running(&journal, &name)?;
        stack::down(&engine, &journal, &running).await
    };
    let removed = removed.map_err(|e| Failure::new(e.exit(), e))?;
    println!("removed: {} containers, {} networks, {} volumes, {} rules", removed.containers, removed.networks, removed.volumes, removed.rules);
    Ok(Exit::Pass)
}

/// The newest run of a stack that was told to stay up.
///
/// # Errors
/// It is not up.
pub fn running(journal: &Journal, stack: &str) -> Result<Running, Failure> {
    // A run that is under way belongs to the program that drives it.
    let all = Running::all(journal).map_err(|e| Failure::new(e.exit(), e))?;
    let found = all.into_iter().rfind(|r| r.stack == stack && r.kept);
    found.ok_or_else(|| Failure::new(Exit::Usage, format!("stack {stack} is not up\nhint: firedrill up {stack}")))
}
