//! `firedrill up | status | down`: a stack that stays between commands.

use super::{Common, Failure, Terminal};
use crate::engine::Engine;
use crate::journal::Journal;
use crate::ops::live::LiveStack;
use crate::ops::options::Options;
use crate::ops::up::running;
use crate::process::exit::Exit;
use crate::stack::{self, Running};

/// Arguments of `up`.
#[derive(Debug, Clone, clap::Args)]
pub struct Up {
    /// Name of a stack under compose/stacks, or a folder with a Compose file and a firedrill.yaml.
    #[arg(default_value = "email")]
    stack: String,
}

/// Arguments of `down`.
#[derive(Debug, Clone, clap::Args)]
pub struct Down {
    /// Name or folder of a stack that is up; `firedrill status` shows which are.
    #[arg(default_value = "email")]
    stack: String,
    /// Everything of ours, whatever run it belongs to, also after a crash.
    #[arg(long)]
    all: bool,
}

/// Starts a stack and leaves it running.
pub async fn up(arguments: &Up, common: &Common) -> Result<Exit, Failure> {
    if !common.tags.is_empty() {
        return Err(Failure::usage("--tags selects scenarios, and `up` runs none")
            .hint("firedrill verify --tags"));
    }
    let live = LiveStack::up(&Options::new(&arguments.stack, common)).await?;
    for (service, ports) in
        live.running.services.iter().map(|(n, s)| (n, &s.ports)).filter(|(_, p)| !p.is_empty())
    {
        let ports: Vec<String> =
            ports.iter().map(|(inside, host)| format!("{inside} at 127.0.0.1:{host}")).collect();
        println!("{service:<24} {}", ports.join(", "));
    }
    for (service, why) in &live.running.left_out {
        println!("{service:<24} left out: {why}");
    }
    live.keep(&Terminal).await?;
    Ok(Exit::Pass)
}

/// Shows the stacks that run.
pub async fn status(_common: &Common) -> Result<Exit, Failure> {
    let engine = Engine::connect().await?;
    let journal = Journal::of_user();
    for running in Running::all(&journal)? {
        println!(
            "{} run {} since {}{}",
            running.stack,
            running.run,
            running.since,
            if running.kept { ", kept" } else { "" }
        );
        for service in running.services.keys() {
            let state = match engine.container_of(&running.project, service).await {
                Ok(s) if s.paused => "paused".to_owned(),
                Ok(s) if s.running => format!("running, health {:?}", s.health).to_lowercase(),
                Ok(s) => format!("ended with {}", s.exit_code),
                Err(_) => "gone".to_owned(),
            };
            println!("  {service:<24} {state}");
        }
        running
            .left_out
            .iter()
            .for_each(|(service, why)| println!("  {service:<24} left out: {why}"));
    }
    for entry in journal
        .open_entries()?
        .iter()
        .filter(|e| !matches!(e.undo, Some(crate::journal::Undo::RemoveRun { .. })))
    {
        println!("open: {} (firedrill heal undoes it)", entry.what);
    }
    Ok(Exit::Pass)
}

/// Removes a stack, or everything of ours.
pub async fn down(arguments: &Down, common: &Common) -> Result<Exit, Failure> {
    let engine = Engine::connect().await?;
    let journal = Journal::of_user();
    let removed = if arguments.all {
        stack::down::down_all(&engine, &journal).await
    } else {
        let running = running(&journal, &Options::new(&arguments.stack, common).name_or_word())?;
        stack::down(&engine, &journal, &running).await
    };
    let removed = removed?;
    println!(
        "removed: {} containers, {} networks, {} volumes, {} rules",
        removed.containers, removed.networks, removed.volumes, removed.rules
    );
    Ok(Exit::Pass)
}
