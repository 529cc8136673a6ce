//! Commands inside Docker's containers.

use super::{Asked, Docker};
use crate::engine::{CommandOutput, EngineError};
use bollard::container::LogOutput;
use bollard::exec::StartExecResults;
use bollard::models::ExecConfig;
use futures::StreamExt;
use std::time::Duration;

impl Docker {
    pub(in crate::engine) async fn exec(
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
            let exec = self.client.create_exec(container, config).await.asked(what)?;
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            if let StartExecResults::Attached { mut output, .. } =
                self.client.start_exec(&exec.id, None).await.asked(what)?
            {
                while let Some(part) = output.next().await {
                    match part.asked(what)? {
                        LogOutput::StdErr { message } => stderr.extend_from_slice(&message),
                        other => stdout.extend_from_slice(&other.into_bytes()),
                    }
                }
            }
            let seen = self.client.inspect_exec(&exec.id).await.asked(what)?;
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
