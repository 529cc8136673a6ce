//! Events about the services of the stack.

use serde::{Deserialize, Serialize};

/// A service's life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StackEvent {
    /// Its container was started.
    Started {
        /// Service, as the Compose file names it.
        service: String,
        /// Container id.
        container: String,
        /// Image reference that ran.
        image: String,
    },
    /// Its readiness condition held.
    Ready {
        /// Service.
        service: String,
        /// Seconds since the containers began to start.
        after_s: f64,
        /// Which condition: `healthcheck`, `running`, `completed`.
        condition: String,
    },
    /// Its readiness condition did not hold within the bound.
    NotReady {
        /// Service.
        service: String,
        /// What was seen last.
        seen: String,
        /// The last lines of its log.
        log_tail: Vec<String>,
    },
    /// It is not part of this run, by profile or because its image cannot be had.
    LeftOut {
        /// Service.
        service: String,
        /// Why.
        why: String,
    },
    /// Its container's state at the end, before `down`.
    State {
        /// Service.
        service: String,
        /// Whether it runs.
        running: bool,
        /// How often the engine restarted it, faults of ours not counted.
        restarts: u32,
        /// Whether the kernel killed it for memory.
        oom_killed: bool,
    },
}
