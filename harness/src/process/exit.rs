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

/// What a command ends with if it can't be carried out: the message for people, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// The message; its last line may be a hint.
    pub message: String,
    /// The exit code.
    pub exit: Exit,
}

impl Failure {
    /// A failure with this exit code.
    pub fn new(exit: Exit, message: impl std::fmt::Display) -> Failure {
        Failure { message: message.to_string(), exit }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}
