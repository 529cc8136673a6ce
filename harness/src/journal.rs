//! What must be undone: every fault, resource and host rule, written and synced to disk *before* it is made, in one
//! known place per user, so that `heal` and `down` find it after any crash.

use serde::{Deserialize, Serialize};

/// How to undo one thing. All are idempotent: undoing what is not there succeeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "undo", rename_all = "snake_case")]
pub enum Undo {
    /// Start a container that was stopped or killed.
    StartContainer {
        /// Container id.
        container: String,
    },
    /// Unpause a container.
    Unpause {
        /// Container id.
        container: String,
    },
    /// Give a container its limits back.
    RestoreLimits {
        /// Container id.
        container: String,
        /// CPU quota in billionths of a core; 0 is none.
        nano_cpus: i64,
        /// Memory limit in bytes; 0 is none.
        memory: i64,
    },
    /// End a helper process of ours and its children. The start time guards against a recycled process id.
    EndHelper {
        /// Process id.
        pid: i32,
        /// Start time in clock ticks since boot, field 22 of `/proc/<pid>/stat`.
        start_ticks: u64,
    },
    /// Delete packet filter rules in a container's network namespace.
    DeleteContainerRules {
        /// Container id.
        container: String,
        /// Arguments of `iptables`, with `-D` in place of `-I` or `-A`.
        rules: Vec<Vec<String>>,
    },
    /// Delete packet filter rules of the host.
    DeleteHostRules {
        /// Arguments of `iptables`, with `-D`.
        rules: Vec<Vec<String>>,
    },
    /// Delete keys that were filled into Redis.
    DeleteRedisKeys {
        /// Container id of the server.
        container: String,
        /// Port inside the container's network.
        port: u16,
        /// Prefix of the keys.
        prefix: String,
    },
    /// Remove everything that carries this run's label.
    RemoveRun {
        /// Run id.
        run: String,
    },
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Id, unique in the journal.
    pub id: u64,
    /// Run that made it.
    pub run: String,
    /// Stack that it concerns.
    pub stack: String,
    /// What it is, for people: `fault stop on postfix`.
    pub what: String,
    /// How to undo it; `None` on the line that closes the entry.
    pub undo: Option<Undo>,
}
