//! Exit codes, as the command line documents them.

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything that was judged passed.
    Pass = 0,
    /// Something was shown not to hold.
    Fail = 1,
    /// Something could not be judged.
    Unknown = 2,
    /// The environment is unfit: engine, image, kernel ability, port.
    Unfit = 3,
    /// Usage or configuration.
    Usage = 64,
    /// A defect of ours.
    Defect = 70,
    /// Interrupted; healed and cleaned up.
    Interrupted = 130,
}
