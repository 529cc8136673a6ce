//! `firedrill up | status | down`: a stack that stays between commands.

use super::{Common, Failure};
use crate::drill::bring_up::{Live, Options};
use crate::engine::Engine;
use crate::exit::Exit;
use crate::stack::Running;

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
    for line in crate::stack::status(&engine).await.map_err(|e| Failure::new(e.exit(), e))? {
        println!("{line}");
    }
    Ok(Exit::Pass)
}

/// Removes a stack, or everything of ours.
pub async fn down(arguments: &Down, common: &Common) -> Result<Exit, Failure> {
    let engine = Engine::connect().await.map_err(|e| Failure::new(e.exit(), e))?;
    let removed = if arguments.all {
        crate::stack::down_all(&engine).await.map_err(|e| Failure::new(e.exit(), e))?
    } else {
        let running = Running::load(&Options::new(&arguments.stack, common).stack_name()?).map_err(|e| Failure::new(e.exit(), e))?;
        running.down(&engine).await.map_err(|e| Failure::new(e.exit(), e))?
    };
    println!("{removed} containers, networks and volumes removed");
    Ok(Exit::Pass)
}
