//! Containers: made from a resolved specification, started, stopped, signalled, limited, looked at,
//! removed.

use super::spec::ContainerSpec;
use super::{Asked, Engine, EngineError, create, label};
use bollard::container::LogOutput;
use bollard::models::{ContainerInspectResponse, HealthStatusEnum};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    LogsOptionsBuilder, RemoveContainerOptionsBuilder, RestartContainerOptionsBuilder,
    StopContainerOptionsBuilder,
};
use futures::StreamExt;
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

/// A memory limit that limits nothing.
const UNLIMITED_MEMORY: i64 = 1 << 50;

/// How long a health check that is run from here may take.
const CHECK_WITHIN: Duration = Duration::from_secs(5);

impl Engine {
    /// Makes a container and puts its files into it; does not start it. Returns its id.
    ///
    /// # Errors
    /// [`EngineError::NoImage`] when its image is not there, [`EngineError::Refused`] for what else
    /// the engine refuses.
    pub async fn create(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        let mut options = CreateContainerOptionsBuilder::default().name(&spec.name);
        if let Some(platform) = &spec.platform {
            options = options.platform(platform);
        }
        let what = || format!("making container {} of image {}", spec.name, spec.image);
        let made = self
            .docker
            .create_container(Some(options.build()), create::body(spec)?)
            .await
            .asked(what);
        let id = match made {
            Ok(made) => made.id,
            Err(EngineError::Refused { status: Some(404), seen, .. })
                if seen.to_lowercase().contains("no such image") =>
            {
                return Err(EngineError::NoImage {
                    image: spec.image.clone(),
                    service: spec.service.clone(),
                });
            }
            Err(error) => return Err(error),
        };
        for more in spec.networks.iter().skip(1) {
            self.attach(&id, more).await?;
        }
        self.upload(&id, &spec.files).await?;
        Ok(id)
    }

    /// What a container's health check says now. An engine before 25 first looks when a whole
    /// interval is over; so while such a one still says that the container starts, its check is run
    /// from here, and what it says counts.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the container is gone.
    pub async fn health(&self, seen: &ContainerState) -> Result<Health, EngineError> {
        if self.checks_early || seen.health != Health::Starting || !seen.running || seen.paused {
            return Ok(seen.health);
        }
        let test: Vec<&str> = seen.health_test.iter().map(String::as_str).collect();
        let command = match test.as_slice() {
            ["CMD", command @ ..] => command.to_vec(),
            ["CMD-SHELL", command] => vec!["/bin/sh", "-c", command],
            _ => return Ok(seen.health),
        };
        match self.exec(&seen.id, &command, CHECK_WITHIN).await {
            Ok(ran) if ran.code == 0 => Ok(Health::Healthy),
            Err(error) if error.is_absent() => Err(error),
            // It ended meanwhile, or hangs: not healthy yet.
            Ok(_) | Err(_) => Ok(Health::Starting),
        }
    }

    /// Starts a container; starting one that runs does nothing.
    ///
    /// # Errors
    /// [`EngineError::Refused`] with the engine's words.
    pub async fn start(&self, container: &str) -> Result<(), EngineError> {
        match self
            .docker
            .start_container(container, None)
            .await
            .asked(|| format!("starting container {container}"))
        {
            Err(EngineError::Refused { status: Some(304), .. }) => Ok(()),
            other => other,
        }
    }

    /// Stops a container with its stop signal, and SIGKILL after `grace` (its own grace period if
    /// `None`).
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it is not there.
    pub async fn stop(&self, container: &str, grace: Option<Duration>) -> Result<(), EngineError> {
        let options = grace.map(|grace| {
            StopContainerOptionsBuilder::default()
                .t(i32::try_from(grace.as_secs()).unwrap_or(i32::MAX))
                .build()
        });
        match self
            .docker
            .stop_container(container, options)
            .await
            .asked(|| format!("stopping container {container}"))
        {
            Err(EngineError::Refused { status: Some(304), .. }) => Ok(()),
            other => other,
        }
    }

    /// Sends a signal (`SIGKILL`, `SIGSTOP`, …) to a container's first process. The engine then
    /// regards the container as stopped by hand and applies no restart policy.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it does not run.
    pub async fn kill(&self, container: &str, signal: &str) -> Result<(), EngineError> {
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        self.docker
            .kill_container(container, Some(options))
            .await
            .asked(|| format!("sending {signal} to container {container}"))
    }

    /// Freezes all processes of a container; pausing a paused one does nothing.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it does not run.
    pub async fn pause(&self, container: &str) -> Result<(), EngineError> {
        match self
            .docker
            .pause_container(container)
            .await
            .asked(|| format!("pausing container {container}"))
        {
            Err(EngineError::Refused { seen, .. }) if seen.contains("already paused") => Ok(()),
            other => other,
        }
    }

    /// Lets a paused container go on; one that is not paused is left as it is.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it is not there.
    pub async fn unpause(&self, container: &str) -> Result<(), EngineError> {
        match self
            .docker
            .unpause_container(container)
            .await
            .asked(|| format!("unpausing container {container}"))
        {
            Err(EngineError::Refused { seen, .. })
                if seen.contains("is not paused") || seen.contains("is not running") =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// Restarts a container, with `grace` between its stop signal and SIGKILL.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it is not there.
    pub async fn restart(&self, container: &str, grace: Duration) -> Result<(), EngineError> {
        let options = RestartContainerOptionsBuilder::default()
            .t(i32::try_from(grace.as_secs()).unwrap_or(i32::MAX))
            .build();
        self.docker
            .restart_container(container, Some(options))
            .await
            .asked(|| format!("restarting container {container}"))
    }

    /// Removes a container and its anonymous volumes, running or not; removing one that is not
    /// there does nothing.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine refuses.
    pub async fn remove(&self, container: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let what = || format!("removing container {container}");
        match self.docker.remove_container(container, Some(options)).await.asked(what) {
            Err(EngineError::Refused { status: Some(409), seen, .. })
                if seen.contains("already in progress") =>
            {
                Ok(())
            }
            Err(error) if !error.is_absent() => Err(error),
            _ => Ok(()),
        }
    }

    /// Looks at a container, by id or name.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it is not there.
    pub async fn inspect(&self, container: &str) -> Result<ContainerState, EngineError> {
        let seen = self
            .docker
            .inspect_container(container, None)
            .await
            .asked(|| format!("looking at container {container}"))?;
        Ok(state(seen))
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
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&label::filter(key, value))
            .build();
        let seen = self
            .docker
            .list_containers(Some(options))
            .await
            .asked(|| "listing containers".into())?;
        Ok(seen.into_iter().filter_map(|container| container.id).collect())
    }

    /// The last `lines` lines that a container printed, at most 64 KiB.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it is not there.
    pub async fn log_tail(&self, container: &str, lines: u32) -> Result<Vec<String>, EngineError> {
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .tail(&lines.to_string())
            .build();
        let mut stream = std::pin::pin!(self.docker.logs(container, Some(options)));
        let mut text = Vec::new();
        while let Some(part) = stream.next().await {
            let part: LogOutput =
                part.asked(|| format!("reading the log of container {container}"))?;
            text.extend_from_slice(part.as_ref());
            if text.len() > 64 * 1024 {
                break;
            }
        }
        let text = String::from_utf8_lossy(&text);
        let all: Vec<String> = text.lines().map(|line| line.trim_end().to_owned()).collect();
        let from = all.len().saturating_sub(lines as usize);
        Ok(all[from..].to_vec())
    }

    /// Whether an image is on this machine.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine does not answer.
    pub async fn has_image(&self, image: &str) -> Result<bool, EngineError> {
        match self.docker.inspect_image(image).await.asked(|| format!("looking at image {image}")) {
            Ok(_) => Ok(true),
            Err(error) if error.is_absent() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn state(seen: ContainerInspectResponse) -> ContainerState {
    let state = seen.state.unwrap_or_default();
    let config = seen.config.unwrap_or_default();
    let host = seen.host_config.unwrap_or_default();
    let network = seen.network_settings.unwrap_or_default();
    let labels: BTreeMap<String, String> = config.labels.unwrap_or_default().into_iter().collect();
    let name = seen.name.unwrap_or_default().trim_start_matches('/').to_owned();
    let health = state.health.unwrap_or_default();
    let mut ports = BTreeMap::new();
    for (key, bindings) in network.ports.unwrap_or_default() {
        let inside = key.strip_suffix("/tcp").and_then(|port| port.parse::<u16>().ok());
        let outside = bindings
            .unwrap_or_default()
            .into_iter()
            .find_map(|binding| binding.host_port?.parse::<u16>().ok());
        if let (Some(inside), Some(outside)) = (inside, outside) {
            ports.insert(inside, outside);
        }
    }
    ContainerState {
        id: seen.id.unwrap_or_default(),
        service: labels.get(label::SERVICE).cloned().unwrap_or_else(|| name.clone()),
        name,
        image: config.image.unwrap_or_default(),
        running: state.running.unwrap_or(false),
        paused: state.paused.unwrap_or(false),
        pid: i32::try_from(state.pid.unwrap_or(0)).unwrap_or(0),
        health: match health.status {
            None | Some(HealthStatusEnum::EMPTY | HealthStatusEnum::NONE) => Health::None,
            Some(HealthStatusEnum::STARTING) => Health::Starting,
            Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
            Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        },
        health_output: health
            .log
            .unwrap_or_default()
            .pop()
            .and_then(|last| last.output)
            .map(|output| output.trim().to_owned())
            .unwrap_or_default(),
        health_test: config.healthcheck.and_then(|check| check.test).unwrap_or_default(),
        exit_code: state.exit_code.unwrap_or(0),
        oom_killed: state.oom_killed.unwrap_or(false),
        error: state.error.unwrap_or_default(),
        restarts: u32::try_from(seen.restart_count.unwrap_or(0)).unwrap_or(0),
        started_at: state.started_at.unwrap_or_default(),
        ips: network
            .networks
            .unwrap_or_default()
            .into_iter()
            .map(|(name, endpoint)| (name, endpoint.ip_address.unwrap_or_default()))
            .collect(),
        ports,
        limits: Limits {
            nano_cpus: match host.nano_cpus.unwrap_or(0) {
                0 => match (host.cpu_quota.unwrap_or(0), host.cpu_period.unwrap_or(0)) {
                    (quota, period) if quota > 0 && period > 0 => quota * 1_000_000_000 / period,
                    _ => 0,
                },
                nanos => nanos,
            },
            memory: host.memory.filter(|bytes| (0..UNLIMITED_MEMORY).contains(bytes)).unwrap_or(0),
        },
        labels,
        binds: seen
            .mounts
            .unwrap_or_default()
            .into_iter()
            .filter_map(|m| Some((m.destination?, m.source?)))
            .collect(),
    }
}
