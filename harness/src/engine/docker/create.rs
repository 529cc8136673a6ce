//! What Docker is told when a container is made.

use super::network;
use crate::engine::EngineError;
use crate::engine::spec::{ContainerSpec, HealthcheckSpec, MountSpec, RestartSpec};
use bollard::models::{
    ContainerCreateBody, DeviceMapping, HealthConfig, HostConfig, HostConfigLogConfig, Mount,
    MountBindOptions, MountBindOptionsPropagationEnum, MountTmpfsOptions, MountType,
    MountVolumeOptions, NetworkingConfig, PortBinding, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum,
};
use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

pub(super) fn body(spec: &ContainerSpec) -> Result<ContainerCreateBody, EngineError> {
    let networking = spec.networks.first().filter(|_| spec.network_mode.is_none()).map(|first| {
        NetworkingConfig {
            endpoints_config: Some(HashMap::from([(
                first.network.clone(),
                network::endpoint(first),
            )])),
        }
    });
    let port_key =
        |container: u16, udp: bool| format!("{container}/{}", if udp { "udp" } else { "tcp" });
    Ok(ContainerCreateBody {
        hostname: spec.hostname.clone(),
        domainname: spec.domainname.clone(),
        user: spec.user.clone(),
        tty: Some(spec.tty),
        open_stdin: Some(spec.stdin_open),
        env: Some(spec.env.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        cmd: spec.command.clone(),
        entrypoint: spec.entrypoint.clone(),
        image: Some(spec.image.clone()),
        working_dir: spec.working_dir.clone(),
        labels: Some(spec.labels.clone().into_iter().collect()),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_timeout,
        healthcheck: spec.healthcheck.as_ref().map(health_config),
        exposed_ports: Some(
            spec.ports.iter().map(|port| port_key(port.container, port.udp)).collect(),
        ),
        host_config: Some(host_config(spec)?),
        networking_config: networking,
        ..Default::default()
    })
}

fn host_config(spec: &ContainerSpec) -> Result<HostConfig, EngineError> {
    let mut ports: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &spec.ports {
        let key = format!("{}/{}", port.container, if port.udp { "udp" } else { "tcp" });
        let binding = PortBinding {
            host_ip: Some("127.0.0.1".into()),
            host_port: Some(port.host.to_string()),
        };
        ports.entry(key).or_default().get_or_insert_default().push(binding);
    }
    let some = |value: i64| (value != 0).then_some(value);
    let named = spec.network_mode.is_none();
    Ok(HostConfig {
        network_mode: Some(
            spec.network_mode
                .clone()
                .or_else(|| spec.networks.first().map(|first| first.network.clone()))
                .unwrap_or_else(|| "none".into()),
        ),
        port_bindings: Some(ports),
        mounts: Some(spec.mounts.iter().map(mount).collect::<Result<_, _>>()?),
        cap_add: Some(spec.cap_add.clone()),
        cap_drop: Some(spec.cap_drop.clone()),
        ulimits: Some(
            spec.ulimits
                .iter()
                .map(|limit| ResourcesUlimits {
                    name: Some(limit.name.clone()),
                    soft: Some(limit.soft),
                    hard: Some(limit.hard),
                })
                .collect(),
        ),
        sysctls: Some(spec.sysctls.clone().into_iter().collect()),
        extra_hosts: Some(spec.extra_hosts.clone()),
        nano_cpus: some(spec.nano_cpus),
        memory: some(spec.memory),
        memory_reservation: some(spec.memory_reservation),
        pids_limit: some(spec.pids_limit),
        cpu_shares: some(spec.cpu_shares),
        shm_size: some(spec.shm_size),
        restart_policy: Some(restart_policy(spec.restart)),
        init: spec.init,
        readonly_rootfs: Some(spec.read_only),
        pid_mode: spec.pid.clone(),
        ipc_mode: spec.ipc.clone(),
        devices: Some(spec.devices.iter().map(|device| device_mapping(device)).collect()),
        security_opt: Some(spec.security_opt.clone()),
        group_add: Some(spec.group_add.clone()),
        oom_score_adj: spec.oom_score_adj,
        // Names outside the stack must not be resolved: the engine's own name server forwards what
        // it does not know to the container's loopback, where nobody listens. And failing to
        // resolve must be quick, or clients of a service that is stopped would hang beyond its
        // return: old engines then give no answer at all, except, where `ndots` is set, to names
        // without a dot, which services have. Other names are given up after two seconds.
        dns: named.then(|| vec!["127.0.0.1".into()]),
        dns_options: named
            .then(|| ["ndots:1", "timeout:1", "attempts:2"].map(String::from).to_vec()),
        dns_search: named.then(|| vec![".".into()]),
        log_config: spec.logging.as_ref().map(|(driver, options)| HostConfigLogConfig {
            typ: Some(driver.clone()),
            config: Some(options.clone().into_iter().collect()),
        }),
        ..Default::default()
    })
}

fn mount(spec: &MountSpec) -> Result<Mount, EngineError> {
    Ok(match spec {
        MountSpec::Bind { source, target, read_only, propagation, alone } => Mount {
            typ: Some(MountType::BIND),
            source: Some(source.to_string_lossy().into_owned()),
            target: Some(target.clone()),
            read_only: Some(*read_only),
            bind_options: (propagation.is_some() || *alone)
                .then(|| {
                    let by_name = |name: &String| {
                        MountBindOptionsPropagationEnum::from_str(name).map_err(|_| {
                            EngineError::Unfit {
                                what: format!("mount propagation {name} of {target} is unknown"),
                                hint: "one of private, rprivate, shared, rshared, slave, rslave"
                                    .into(),
                            }
                        })
                    };
                    let propagation = propagation.as_ref().map(by_name).transpose()?;
                    Ok::<_, EngineError>(MountBindOptions {
                        propagation,
                        non_recursive: alone.then_some(true),
                        ..Default::default()
                    })
                })
                .transpose()?,
            ..Default::default()
        },
        MountSpec::Volume { source, target, read_only, no_copy } => Mount {
            typ: Some(MountType::VOLUME),
            source: source.clone(),
            target: Some(target.clone()),
            read_only: Some(*read_only),
            volume_options: no_copy
                .then(|| MountVolumeOptions { no_copy: Some(true), ..Default::default() }),
            ..Default::default()
        },
        MountSpec::Tmpfs { target, size, mode } => Mount {
            typ: Some(MountType::TMPFS),
            target: Some(target.clone()),
            tmpfs_options: Some(MountTmpfsOptions {
                size_bytes: *size,
                mode: mode.map(i64::from),
                ..Default::default()
            }),
            ..Default::default()
        },
    })
}

fn restart_policy(spec: RestartSpec) -> RestartPolicy {
    let (name, maximum) = match spec {
        RestartSpec::No => (RestartPolicyNameEnum::NO, None),
        RestartSpec::Always => (RestartPolicyNameEnum::ALWAYS, None),
        RestartSpec::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        RestartSpec::OnFailure(times) => {
            (RestartPolicyNameEnum::ON_FAILURE, Some(i64::from(times)))
        }
    };
    RestartPolicy { name: Some(name), maximum_retry_count: maximum }
}

fn device_mapping(text: &str) -> DeviceMapping {
    let mut parts = text.splitn(3, ':');
    let host = parts.next().unwrap_or_default().to_owned();
    DeviceMapping {
        path_in_container: Some(parts.next().map_or_else(|| host.clone(), str::to_owned)),
        path_on_host: Some(host),
        cgroup_permissions: Some(parts.next().unwrap_or("rwm").to_owned()),
    }
}

fn health_config(spec: &HealthcheckSpec) -> HealthConfig {
    let nanos = |duration: Duration| {
        (!duration.is_zero()).then(|| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    };
    HealthConfig {
        test: (!spec.test.is_empty()).then(|| spec.test.clone()),
        interval: nanos(spec.interval),
        timeout: nanos(spec.timeout),
        retries: (spec.retries > 0).then_some(i64::from(spec.retries)),
        start_period: nanos(spec.start_period),
        start_interval: nanos(spec.start_interval),
    }
}
