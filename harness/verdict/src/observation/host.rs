//! The host that the run shares with others.

use serde::{Deserialize, Serialize};

/// Pressure stall information (`/proc/pressure`), share of the last 10 s in which some task was
/// stalled, 0 to 100.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pressure {
    /// CPU, per cent.
    pub cpu_some_avg10: f64,
    /// Memory, per cent.
    pub memory_some_avg10: f64,
    /// Disk, per cent.
    pub io_some_avg10: f64,
}

/// A file that is mounted into a container by itself, not with its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountedFile {
    /// Its path inside the container.
    pub inside: String,
    /// Whether the path outside names another file by now: the container goes on seeing the old
    /// one.
    pub replaced: bool,
}
