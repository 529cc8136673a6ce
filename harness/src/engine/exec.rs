//! Commands inside a container: only where nothing from outside will do, since the container must
//! have the tool.

use super::{Engine, EngineError};
use std::time::Duration;

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutput {
    /// Exit code; -1 if it was ended by a signal.
    pub code: i64,
    pub stdout: String,
    pub stderr: String,
}

impl Engine {
    /// Runs a command in a running container and waits for it, at most `within`.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the container does not run, is paused, or the command takes
    /// too long.
    pub async fn exec(
        &self,
        container: &str,
        command: &[&str],
        within: Duration,
    ) -> Result<CommandOutput, EngineError> {
        match self {
            Engine::Docker(docker) => docker.exec(container, command, within).await,
        }
    }
}
