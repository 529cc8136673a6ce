//! `firedrill fault list|inject`: one fault by hand.

use super::{Common, Failure};
use crate::drill::bring_up::Options;
use crate::engine::Engine;
use crate::exit::Exit;
use crate::fault::{self, Scene, Settings};
use crate::journal::Journal;

/// What to do.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Show all kinds.
    List,
    /// Inject one into a stack that runs (`firedrill up`); `firedrill heal` undoes it.
    Inject {
        /// Kind.
        kind: String,
        /// Service.
        target: String,
        /// Settings, `key=value`.
        settings: Vec<String>,
        /// Stack.
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
        Command::Inject { kind, target, settings, stack } => inject(kind, target, settings, &Options::new(stack, common)).await,
    }
}

async fn inject(kind: &str, target: &str, settings: &[String], options: &Options) -> Result<Exit, Failure> {
    let usage = |e: fault::FaultError| Failure::from(crate::drill::Error::from(e));
    let parsed: Option<Settings> = settings.iter().map(|s| s.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()))).collect();
    let parsed = parsed.ok_or_else(|| Failure::new(Exit::Usage, "settings are written key=value\nhint: firedrill fault list shows them"))?;
    let mut fault = fault::aim(kind, target, &parsed).map_err(usage)?;
    let engine = Engine::connect().await.map_err(|e| Failure::new(e.exit(), e))?;
    let journal = Journal::of_user();
    let running = super::up::running(&journal, &options.stack_name()?)?;
    let scene = Scene { engine: &engine, project: &running.project, run: &running.run };
    for undo in fault.prepare(&scene).await.map_err(usage)? {
        let what = format!("fault {kind} on {target}, by hand");
        journal.open(&running.run, &running.stack, &what, undo).map_err(|e| Failure::new(e.exit(), e))?;
    }
    fault.inject(&scene).await.map_err(usage)?;
    for _ in 0..100 {
        if let Some(evidence) = fault.bites(&scene).await.map_err(usage)? {
            println!("{evidence}\nhint: firedrill heal undoes it");
            return Ok(Exit::Pass);
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    Err(Failure::new(Exit::Unknown, format!("fault {kind} on {target} was injected, and its effect was not seen within 20 s\nhint: firedrill heal undoes it")))
}
