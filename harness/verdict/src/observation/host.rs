//! The host that the run shares with others.

use serde::{Deserialize, Serialize};

/// Pressure stall information, as the kernel's `/proc/pressure` gives it
/// (Documentation/accounting/psi.rst): the share of the last 10 s in which at least one task was
/// stalled.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pressure {
    /// Share in which a task waited for a processor, in per cent, 0 to 100.
    pub cpu_some_avg10: f64,
    /// Share in which a task waited for memory, in per cent, 0 to 100.
    pub memory_some_avg10: f64,
    /// Share in which a task waited for a disk, in per cent, 0 to 100.
    pub io_some_avg10: f64,
    /// Microseconds since the host's boot in which some task waited for a processor (`total` of
    /// `/proc/pressure/cpu`); 0 in histories of older versions.
    #[serde(default)]
    pub cpu_some_us: u64,
    /// The same for memory.
    #[serde(default)]
    pub memory_some_us: u64,
    /// The same for disks.
    #[serde(default)]
    pub io_some_us: u64,
    /// Microseconds in which a hypervisor ran other guests on our processors, summed over them
    /// (`steal` of `/proc/stat`): pressure does not see them.
    #[serde(default)]
    pub steal_us: u64,
}

/// A file that is mounted into a container by itself, not with its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountedFile {
    /// Path of the file inside the container.
    pub inside: String,
    /// Whether the path outside names another file by now: the container goes on seeing the old
    /// one.
    pub replaced: bool,
}
