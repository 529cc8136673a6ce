//! Events about the services of the stack.

use serde::{Deserialize, Serialize};

/// A step in the life of a service's container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StackEvent {
    /// Its container was started.
    Started {
        /// Name of the service, as the Compose file has it.
        service: String,
        /// Id that the engine gave the container.
        container: String,
        /// Reference of the image that runs.
        image: String,
    },
    /// The readiness condition of its service held.
    Ready {
        /// Name of the service, as the Compose file has it.
        service: String,
        /// Seconds since the containers began to start.
        after_s: f64,
        /// Which condition it was: `healthcheck`, `running` or `completed`.
        condition: String,
        /// How often its container was restarted by the engine until then.
        #[serde(default, skip_serializing_if = "never")]
        restarts: u32,
    },
    /// Its readiness condition did not hold within the bound.
    NotReady {
        /// Name of the service, as the Compose file has it.
        service: String,
        /// What was seen last of the condition.
        seen: String,
        /// The last lines of the container's log.
        log_tail: Vec<String>,
    },
    /// It is not part of this run, by profile or because its image cannot be had.
    LeftOut {
        /// Name of the service, as the Compose file has it.
        service: String,
        /// Why it is left out, as a sentence.
        why: String,
    },
    /// The state of its container at the end of the run, before `down`.
    State {
        /// Name of the service, as the Compose file has it.
        service: String,
        /// Whether the container runs.
        running: bool,
        /// How often the engine restarted it; restarts by faults of a drill do not count.
        restarts: u32,
        /// Whether the kernel killed it for want of memory.
        oom_killed: bool,
    },
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn never(times: &u32) -> bool {
    *times == 0
}
