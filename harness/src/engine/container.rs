//! Containers: made from a resolved specification, started, stopped, signalled, limited, looked at,
//! removed.

use super::spec::ContainerSpec;
use super::{Engine, EngineError};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a container's health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It has none.
    None,
    /// It has not passed yet.
    Starting,
    Healthy,
    Unhealthy,
}

/// A container as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerState {
    pub id: String,
    /// Name, without the leading slash.
    pub name: String,
    /// Service that it belongs to; its name where it has no such label.
    pub service: String,
    /// Image reference that it was made from.
    pub image: String,
    /// Whether it runs (a paused one does).
    pub running: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// Process id of its first process in the host's numbering; 0 if it does not run.
    pub pid: i32,
    /// What its health check says.
    pub health: Health,
    /// What the last health check printed.
    pub health_output: String,
    /// The health check's command, as the engine takes it: `CMD` or `CMD-SHELL` first.
    pub health_test: Vec<String>,
    /// Exit code of its last life; meaningless while it runs.
    pub exit_code: i64,
    /// Whether the kernel killed it for memory.
    pub oom_killed: bool,
    /// What the engine says went wrong with its last start.
    pub error: String,
    /// How often the engine restarted it by itself.
    pub restarts: u32,
    /// When it was started last, RFC 3339.
    pub started_at: String,
    /// Network to address.
    pub ips: BTreeMap<String, String>,
    /// TCP ports: inside to published on the host.
    pub ports: BTreeMap<u16, u16>,
    /// Limits that the engine has on record for it.
    pub limits: Limits,
    pub labels: BTreeMap<String, String>,
    /// What of the host is mounted: path inside to path on the host.
    pub binds: BTreeMap<String, String>,
}

impl ContainerState {
    /// Its address in any one of its networks.
    pub fn ip(&self) -> Option<&str> {
        self.ips.values().map(String::as_str).find(|address| !address.is_empty())
    }
}

/// Limits of a container. 0 is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// CPU in billionths of a core.
    pub nano_cpus: i64,
    /// Memory in bytes.
    pub memory: i64,
}

impl Engine {
    /// Makes a container and puts its files into it; does not start it. Returns its id.
    ///
    /// # Errors
    /// [`EngineError::NoImage`] when its image is not there, [`EngineError::Refused`] for what else
    /// the engine refuses.
    pub async fn create(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        match self {
            Engine::Docker(docker) => docker.create(spec).await,
        }
    }

    /// What a container's health check says now. An engine before 25 first looks when a whole
    /// interval is over; so while such a one still says that the container starts, its check is run
    /// from here, and what it says counts.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the container is gone.
    pub async fn health(&self, seen: &ContainerState) -> Result<Health, EngineError> {
        match self {
            Engine::Docker(docker) => docker.health(seen).await,
        }
    }

    /// Starts a container; starting one that runs does nothing.
    ///
    /// # Errors
    /// [`EngineError::Refused`] with the engine's words.
    pub async fn start(&self, container: &str) -> Result<(), EngineError> {
        match self {
            Engine::Docker(docker) => docker.start(container).await,
        }
    }

    /// Stops a container with its stop signal, and SIGKILL after `grace` (its own grace period if
    /// `None`).
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it is not there.
    pub async fn stop(&self, container: &str, grace: Option<Duration>) -> Result<(), EngineError> {
        match self {
            Engine::Docker(docker) => docker.stop(container, grace).await,
        }
    }

    /// Sends a signal (`SIGKILL`, `SIGSTOP`, …) to a container's first process. The engine then
    /// regards the container as stopped by hand and applies no restart policy.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it does not run.
    pub async fn kill(&self, container: &str, signal: &str) -> Result<(), EngineError> {
        match self {
            Engine::Docker(docker) => docker.kill(container, signal).await,
        }
    }

    /// Freezes all processes of a container; pausing a paused one does nothing.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it does not run.
    pub async fn pause(&self, container: &str) -> Result<(), EngineError> {
        match self {
            Engine::Docker(docker) => docker.pause(container).await,
        }
    }

    /// Lets a paused container go on; one that is not paused is left as it is.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it is not there.
    pub async fn unpause(&self, container: &str) -> Result<(), EngineError> {
        match self {
            Engine::Docker(docker) => docker.unpause(container).await,
        }
    }

    /// Restarts a container, with `grace` between its stop signal and SIGKILL.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it is not there.
    pub async fn restart(&self, container: &str, grace: Duration) -> Result<(), EngineError> {
        match self {
            Engine::Docker(docker) => docker.restart(container, grace).await,
        }
    }

    /// Removes a container and its anonymous volumes, running or not; removing one that is not
    /// there does nothing.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine refuses.
    pub async fn remove(&self, container: &str) -> Result<(), EngineError> {
        match self {
            Engine::Docker(docker) => docker.remove(container).await,
        }
    }

    /// Looks at a container, by id or name.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it is not there.
    pub async fn inspect(&self, container: &str) -> Result<ContainerState, EngineError> {
        match self {
            Engine::Docker(docker) => docker.inspect(container).await,
        }
    }

    /// Ids of the containers with a label, running or not.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine does not answer.
    pub async fn containers_with(
        &self,
        key: &str,
        value: Option<&str>,
    ) -> Result<Vec<String>, EngineError> {
        match self {
            Engine::Docker(docker) => docker.containers_with(key, value).await,
        }
    }

    /// The last `lines` lines that a container printed, at most 64 KiB.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it is not there.
    pub async fn log_tail(&self, container: &str, lines: u32) -> Result<Vec<String>, EngineError> {
        match self {
            Engine::Docker(docker) => docker.log_tail(container, lines).await,
        }
    }

    /// A file of a container, running or not. One that is larger than `at_most` bytes is refused.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when there is no such container or file, or it is too large.
    pub async fn read_file(
        &self,
        container: &str,
        path: &str,
        at_most: usize,
    ) -> Result<Vec<u8>, EngineError> {
        match self {
            Engine::Docker(docker) => docker.download(container, path, at_most).await,
        }
    }

    /// Whether an image is on this machine.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine does not answer.
    pub async fn has_image(&self, image: &str) -> Result<bool, EngineError> {
        match self {
            Engine::Docker(docker) => docker.has_image(image).await,
        }
    }
}
