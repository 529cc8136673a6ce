//! Commands inside a container: only where nothing from outside will do, since the container must
//! have the tool.

use super::{Asked, Engine, EngineError};
use bollard::container::LogOutput;
use bollard::exec::StartExecResults;
use bollard::models::ExecConfig;
use futures::StreamExt;
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
        let what = || format!("running `{}` in container {container}", command.join(" "));
        let run = async {
            let config = ExecConfig {
                attach_stdout: Some(true),
                attach_stderr: Some(true),
                cmd: Some(command.iter().map(|part| (*part).to_owned()).collect()),
                ..Default::default()
            };
            let exec = self.docker.create_exec(container, config).await.asked(what)?;
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            if let StartExecResults::Attached { mut output, .. } =
                self.docker.start_exec(&exec.id, None).await.asked(what)?
            {
                while let Some(part) = output.next().await {
                    match part.asked(what)? {
                        LogOutput::StdErr { message } => stderr.extend_from_slice(&message),
                        other => stdout.extend_from_slice(&other.into_bytes()),
                    }
                }
            }
            let seen = self.docker.inspect_exec(&exec.id).await.asked(what)?;
            Ok(CommandOutput {
                code: seen.exit_code.unwrap_or(-1),
                stdout: String::from_utf8_lossy(&stdout).into_owned(),
                stderr: String::from_utf8_lossy(&stderr).into_owned(),
            })
        };
        tokio::time::timeout(within, run).await.unwrap_or_else(|_| {
            Err(EngineError::Refused {
                what: what(),
                status: None,
                seen: format!("not done within {} s", within.as_secs_f64()),
            })
        })
    }
}
