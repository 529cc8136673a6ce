//! Docker's containers.

use super::{Asked, Docker, create};
use crate::engine::spec::ContainerSpec;
use crate::engine::{ContainerState, EngineError, Health, Limits, label};
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

/// A memory limit that limits nothing.
const UNLIMITED_MEMORY: i64 = 1 << 50;

/// How long a health check that is run from here may take.
const CHECK_WITHIN: Duration = Duration::from_secs(5);

impl Docker {
    pub(in crate::engine) async fn create(
        &self,
        spec: &ContainerSpec,
    ) -> Result<String, EngineError> {
        let mut options = CreateContainerOptionsBuilder::default().name(&spec.name);
        if let Some(platform) = &spec.platform {
            options = options.platform(platform);
        }
        let what = || format!("making container {} of image {}", spec.name, spec.image);
        let made = self
            .client
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

    pub(in crate::engine) async fn health(
        &self,
        seen: &ContainerState,
    ) -> Result<Health, EngineError> {
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

    pub(in crate::engine) async fn start(&self, container: &str) -> Result<(), EngineError> {
        match self
            .client
            .start_container(container, None)
            .await
            .asked(|| format!("starting container {container}"))
        {
            Err(EngineError::Refused { status: Some(304), .. }) => Ok(()),
            other => other,
        }
    }

    pub(in crate::engine) async fn stop(
        &self,
        container: &str,
        grace: Option<Duration>,
    ) -> Result<(), EngineError> {
        let options = grace.map(|grace| {
            StopContainerOptionsBuilder::default()
                .t(i32::try_from(grace.as_secs()).unwrap_or(i32::MAX))
                .build()
        });
        match self
            .client
            .stop_container(container, options)
            .await
            .asked(|| format!("stopping container {container}"))
        {
            Err(EngineError::Refused { status: Some(304), .. }) => Ok(()),
            other => other,
        }
    }

    pub(in crate::engine) async fn kill(
        &self,
        container: &str,
        signal: &str,
    ) -> Result<(), EngineError> {
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        self.client
            .kill_container(container, Some(options))
            .await
            .asked(|| format!("sending {signal} to container {container}"))
    }

    pub(in crate::engine) async fn pause(&self, container: &str) -> Result<(), EngineError> {
        match self
            .client
            .pause_container(container)
            .await
            .asked(|| format!("pausing container {container}"))
        {
            Err(EngineError::Refused { seen, .. }) if seen.contains("already paused") => Ok(()),
            other => other,
        }
    }

    pub(in crate::engine) async fn unpause(&self, container: &str) -> Result<(), EngineError> {
        match self
            .client
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

    pub(in crate::engine) async fn restart(
        &self,
        container: &str,
        grace: Duration,
    ) -> Result<(), EngineError> {
        let options = RestartContainerOptionsBuilder::default()
            .t(i32::try_from(grace.as_secs()).unwrap_or(i32::MAX))
            .build();
        self.client
            .restart_container(container, Some(options))
            .await
            .asked(|| format!("restarting container {container}"))
    }

    pub(in crate::engine) async fn remove(&self, container: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let what = || format!("removing container {container}");
        match self.client.remove_container(container, Some(options)).await.asked(what) {
            Err(EngineError::Refused { status: Some(409), seen, .. })
                if seen.contains("already in progress") =>
            {
                Ok(())
            }
            Err(error) if !error.is_absent() => Err(error),
            _ => Ok(()),
        }
    }

    pub(in crate::engine) async fn inspect(
        &self,
        container: &str,
    ) -> Result<ContainerState, EngineError> {
        let seen = self
            .client
            .inspect_container(container, None)
            .await
            .asked(|| format!("looking at container {container}"))?;
        Ok(state(seen))
    }

    pub(in crate::engine) async fn containers_with(
        &self,
        key: &str,
        value: Option<&str>,
    ) -> Result<Vec<String>, EngineError> {
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&label::filter(key, value))
            .build();
        let seen = self
            .client
            .list_containers(Some(options))
            .await
            .asked(|| "listing containers".into())?;
        Ok(seen.into_iter().filter_map(|container| container.id).collect())
    }

    pub(in crate::engine) async fn log_tail(
        &self,
        container: &str,
        lines: u32,
    ) -> Result<Vec<String>, EngineError> {
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .tail(&lines.to_string())
            .build();
        let mut stream = std::pin::pin!(self.client.logs(container, Some(options)));
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

    pub(in crate::engine) async fn has_image(&self, image: &str) -> Result<bool, EngineError> {
        match self.client.inspect_image(image).await.asked(|| format!("looking at image {image}")) {
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
