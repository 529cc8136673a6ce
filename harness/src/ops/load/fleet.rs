//! The load of one URL by several workers.

use super::{Arguments, Running, usage};
use crate::engine::Engine;
use crate::journal::Journal;
use crate::ops::settings::Common;
use crate::ops::up;
use crate::ops::workers::{WorkerContainers, own_image, token};
use crate::process::exit::Exit;
use crate::process::failure::Failure;
use crate::stack;
use loadgen::fleet::{self, FleetError, Load, Place, Token, Watching};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use verdict::history::load::LoadSummary;

/// Who drives the URL together.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "With --url, past one machine")]
pub struct FleetOptions {
    /// Let these workers (`firedrill worker` on each machine) drive it together, each its part of
    /// one schedule. The URL is as they see it; rate and connections are for all of them. A worker
    /// that is lost makes the load invalid.
    #[arg(
        long,
        value_name = "HOST:PORT",
        value_delimiter = ',',
        requires = "url",
        conflicts_with = "worker_containers"
    )]
    workers: Vec<String>,
    /// File with the secret that the workers know [default: the variable FIREDRILL_WORKER_TOKEN].
    #[arg(long, value_name = "FILE", requires = "workers")]
    token_file: Option<PathBuf>,
    /// Let N containers of ours in the networks of a stack that is up drive it together, as
    /// http://SERVICE:PORT/PATH there.
    #[arg(long, value_name = "N", requires = "url", value_parser = clap::value_parser!(u32).range(1..=64))]
    worker_containers: Option<u32>,
    /// That stack [default: the one that is up].
    #[arg(long, value_name = "STACK", requires = "worker_containers")]
    worker_stack: Option<String>,
}

impl FleetOptions {
    /// Whether others than this process are to drive.
    pub(super) fn asked(&self) -> bool {
        !self.workers.is_empty() || self.worker_containers.is_some()
    }
}

/// Drives it.
pub(super) async fn drive(
    load: &Load,
    log: Option<Box<dyn Write + Send>>,
    arguments: &Arguments,
    common: &Common,
    running: &Running,
) -> Result<LoadSummary, Failure> {
    let options = &arguments.fleet;
    let Some(count) = options.worker_containers else {
        let token = token(options.token_file.as_deref())?;
        let places: Vec<Place> =
            options.workers.iter().map(|w| Place { name: w.clone(), address: w.clone() }).collect();
        return coordinate(load, &places, &token, log, running).await;
    };
    let stack = stack_up(options.worker_stack.as_deref(), common)?;
    let engine = Engine::connect().await?;
    let begun = running.interrupt.unless(async {
        let image = own_image(&engine, common).await?;
        WorkerContainers::up(&engine, &Journal::of_user(), &stack, &image, count, running.seed)
            .await
            .map_err(Failure::from)
    });
    // What was begun until then goes with it: its reaper takes it away.
    let containers = begun.await.ok_or_else(|| {
        Failure::new(Exit::Interrupted, "interrupted; the workers' containers are removed")
    })??;
    running.interrupt.reaper_watches(true);
    running.progress.say(&format!(
        "run {}: {count} workers in the networks of {}",
        containers.run, stack.stack
    ));
    let driven = coordinate(load, &containers.places, &containers.token, log, running).await;
    containers.down().await?;
    driven
}

/// The stack in whose networks containers are to drive.
fn stack_up(name: Option<&str>, common: &Common) -> Result<stack::Running, Failure> {
    let journal = Journal::of_user();
    if let Some(name) = name {
        let options = crate::ops::options::Options::new(name, common);
        return up::running(&journal, &options.name_or_word());
    }
    let all = stack::Running::all(&journal)?;
    let mut kept: Vec<stack::Running> = all.into_iter().filter(|r| r.kept).collect();
    match (kept.pop(), kept.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(usage("no stack is up in whose networks workers could drive")
            .hint("firedrill up STACK starts one")),
        (Some(last), false) => {
            let names: Vec<String> = kept.into_iter().chain([last]).map(|r| r.stack).collect();
            Err(usage(format!("several stacks are up: {}", names.join(", ")))
                .hint("name one with --worker-stack"))
        }
    }
}

async fn coordinate(
    load: &Load,
    places: &[Place],
    token: &Token,
    log: Option<Box<dyn Write + Send>>,
    running: &Running,
) -> Result<LoadSummary, Failure> {
    let (stop, duration) = (CancellationToken::new(), load.duration);
    let mut next = Duration::ZERO;
    let mut live = |now, lasted| {
        if lasted >= next {
            running.tell(now, lasted, duration);
            next = lasted + Duration::from_millis(900);
        }
    };
    let mut driven = std::pin::pin!(fleet::drive(
        load,
        places,
        token,
        Watching { log, stop: stop.clone(), live: &mut live }
    ));
    let summary = tokio::select! {
        driven = &mut driven => driven,
        () = running.interrupt.wait() => {
            stop.cancel();
            driven.await
        }
    };
    summary.map_err(|e| {
        let exit = match e {
            FleetError::Token { .. }
            | FleetError::Refused { .. }
            | FleetError::Few(_)
            | FleetError::Log(_) => Exit::Usage,
            FleetError::Unreachable { .. }
            | FleetError::Foreign { .. }
            | FleetError::Version { .. } => Exit::Unfit,
            FleetError::Busy { .. } | FleetError::Target { .. } | FleetError::Lost { .. } => {
                Exit::Unfit
            }
        };
        Failure::of_load(exit, e)
    })
}
