//! Which stacks are up, how their services do, and what is injected and not undone.

use crate::engine::{ContainerState, Engine};
use crate::journal::{Entry, Journal, Undo};
use crate::process::failure::Failure;
use crate::stack::Running;

/// What was seen.
#[derive(Debug)]
pub struct Status {
    pub stacks: Vec<StackStatus>,
    /// Faults that are open.
    pub open: Vec<Entry>,
}

/// A stack that is up.
#[derive(Debug)]
pub struct StackStatus {
    pub running: Running,
    /// How each of its services does, by what its instances are called.
    pub services: Vec<(String, ServiceStatus)>,
}

/// How an instance of a service does.
#[derive(Debug)]
pub enum ServiceStatus {
    /// Its container is there.
    Container(Box<ContainerState>),
    /// It has none.
    Gone,
}

/// Looks at every stack that is up, and at what the journal holds open.
///
/// # Errors
/// No engine answers, or the journal can't be read.
pub async fn status() -> Result<Status, Failure> {
    let engine = Engine::connect().await?;
    let journal = Journal::of_user();
    let mut stacks = Vec::new();
    for running in Running::all(&journal)? {
        let mut services = Vec::new();
        for (name, _) in running.instances() {
            let state = engine.container_of(&running.project, &name).await;
            let status =
                state.map_or(ServiceStatus::Gone, |s| ServiceStatus::Container(Box::new(s)));
            services.push((name, status));
        }
        stacks.push(StackStatus { running, services });
    }
    let mut open = journal.open_entries()?;
    open.retain(|entry| !entry.undo.as_ref().is_some_and(Undo::removes_stack));
    Ok(Status { stacks, open })
}

impl std::fmt::Display for ServiceStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ServiceStatus::Container(state) if state.paused => f.write_str("paused"),
            ServiceStatus::Container(state) if state.running => {
                let health = format!("{:?}", state.health).to_lowercase();
                write!(f, "running, health {health}")
            }
            ServiceStatus::Container(state) => write!(f, "ended with {}", state.exit_code),
            ServiceStatus::Gone => f.write_str("gone"),
        }
    }
}
