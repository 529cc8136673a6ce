//! A stack: a folder with `firedrill.yaml` and a Compose file, brought up as containers of one run
//! and taken down again.
//!
//! [`Stack::open`] reads it, [`WorkCopy::make`] copies its folder to the run's own state directory,
//! [`up`] chooses host ports and starts its services as far as their dependencies
//! allow, [`down`] takes everything away.

pub mod binaries;
mod check;
mod compose;
pub mod dashboards;
pub mod down;
mod holder;
mod journeys;
pub mod mounts;
mod open;
mod optional;
pub mod ports;
pub mod provision;
pub mod reaper;
mod recreate;
mod resolve;
pub mod running;
mod secrets;
mod start;
pub mod topology;
mod up;
mod volumes;
pub mod work_copy;

pub(crate) use compose::absolute;
pub use down::{Removed, down, remove_run};
pub use mounts::{Mounts, Need};
pub use open::Stack;
use ports::plan_ports;
pub use ports::{PortPlan, ports_are_free};
pub use recreate::recreate;
pub use running::{Deviation, Running, RunningInstance, RunningService};
pub use topology::Topology;
pub use up::{ServiceOverride, Up, foreseen, up};
pub use work_copy::WorkCopy;

use crate::engine::EngineError;
use crate::journal::JournalError;
use crate::process::exit::Exit;
use crate::process::failure::{Advice, UserError};
use config::yaml::ConfigError;

/// Why a stack could not be opened, started or removed.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A file of the user's is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no such stack.
    #[error("{what}")]
    NotFound {
        /// What was looked for and where.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The journal can't be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A host port is taken.
    #[error(
        "{place}: port {port} on 127.0.0.1, which service {service} publishes, is in use by {holder}"
    )]
    PortInUse {
        /// File and line that ask for it.
        place: String,
        port: u16,
        service: String,
        /// Who holds it, as far as can be seen.
        holder: String,
    },
    /// A service did not become ready.
    #[error("service {service} is not ready: {seen}{}", tail(log_tail))]
    NotReady {
        service: String,
        /// What was seen last.
        seen: String,
        /// The last lines of its log.
        log_tail: Vec<String>,
    },
    /// A file of the run's state could not be written or read.
    #[error("{what}: {source}")]
    Files {
        /// What was tried, naming the path.
        what: String,
        /// What went wrong.
        source: std::io::Error,
    },
}

impl UserError for StackError {
    fn exit(&self) -> Exit {
        match self {
            StackError::Config(_) => Exit::Usage,
            StackError::NotFound { .. } => Exit::Usage,
            StackError::Engine(error) => error.exit(),
            StackError::Journal(error) => error.exit(),
            StackError::PortInUse { .. } | StackError::Files { .. } => Exit::Unfit,
            StackError::NotReady { .. } => Exit::Unknown,
        }
    }

    fn advice(&self) -> Advice {
        match self {
            // Its text ends with its hint.
            StackError::Config(error) => error.advice(),
            other => Advice { what: other.to_string(), hints: other.hints() },
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            StackError::Config(error) => return error.hints(),
            StackError::Engine(error) => return error.hints(),
            StackError::Journal(error) => return error.hints(),
            StackError::NotReady { .. } => return Vec::new(),
            StackError::NotFound { hint, .. } => hint,
            StackError::PortInUse { .. } => {
                "end it, change the port, or let firedrill choose host ports (`ports: chosen` in firedrill.yaml, the default)"
            }
            StackError::Files { .. } => {
                "the state of runs is kept in $XDG_STATE_HOME/firedrill or ~/.local/state/firedrill"
            }
        };
        vec![hint.to_owned()]
    }
}

impl StackError {
    pub(crate) fn files(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> StackError {
        let what = what.into();
        move |source| StackError::Files { what, source }
    }
}

fn tail(lines: &[String]) -> String {
    if lines.is_empty() {
        return "\nits log is empty".into();
    }
    lines.iter().fold("\nthe end of its log:".to_owned(), |text, line| format!("{text}\n  {line}"))
}
