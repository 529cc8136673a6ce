//! From a service of the Compose file to a container that this host can grant. What it can't is cut
//! down and listed.

use super::mounts::Mounts;
use super::work_copy::WorkCopy;
use super::{Deviation, ServiceOverride, StackError};
use crate::engine::instance;
use crate::engine::label::{self, Owner};
use crate::engine::spec::{
    Attachment, ContainerSpec, FileSpec, HealthcheckSpec, PortSpec, RestartSpec, Ulimit,
};
use crate::stack::compose::{Content, Healthcheck, Project, Service};
use config::yaml::ConfigError;
use nix::sys::resource::{Resource, getrlimit};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

/// What resolving a service needs to know.
pub(super) struct Context<'a> {
    pub owner: &'a Owner,
    pub project: &'a Project,
    pub work: &'a WorkCopy,
    pub host: &'a Host,
    pub mounts: &'a Mounts,
    /// External volumes that are mounted themselves, by their names in the file.
    pub as_they_are: &'a BTreeMap<String, String>,
}

/// What the host can grant.
#[derive(Debug, Clone)]
pub(super) struct Host {
    /// Capabilities of the bounding set, as bits.
    capabilities: u64,
    /// Number of cores.
    cores: f64,
}

/// Capability names by bit.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

impl Host {
    /// Looks at this machine, on which the engine is taken to run too.
    pub fn look() -> Host {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let bits = status
            .lines()
            .find_map(|line| line.strip_prefix("CapBnd:"))
            .and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
        Host {
            capabilities: bits.unwrap_or(u64::MAX),
            cores: std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64),
        }
    }

    fn grants(&self, capability: &str) -> bool {
        let name = capability.trim_start_matches("CAP_");
        CAPABILITIES
            .iter()
            .position(|known| *known == name)
            .is_none_or(|bit| self.capabilities & (1 << bit) != 0)
    }

    fn missing(&self) -> Vec<String> {
        CAPABILITIES
            .iter()
            .filter(|name| !self.grants(name))
            .map(|name| (*name).to_owned())
            .collect()
    }

    /// The highest hard limit that a process here may have; `None` if there is none.
    fn hard_limit(&self, name: &str) -> Option<i64> {
        if self.grants("SYS_RESOURCE") {
            return None;
        }
        let resource = match name {
            "nofile" => Resource::RLIMIT_NOFILE,
            "nproc" => Resource::RLIMIT_NPROC,
            "memlock" => Resource::RLIMIT_MEMLOCK,
            "core" => Resource::RLIMIT_CORE,
            "stack" => Resource::RLIMIT_STACK,
            "fsize" => Resource::RLIMIT_FSIZE,
            "data" => Resource::RLIMIT_DATA,
            "as" => Resource::RLIMIT_AS,
            "cpu" => Resource::RLIMIT_CPU,
            "rss" => Resource::RLIMIT_RSS,
            "msgqueue" => Resource::RLIMIT_MSGQUEUE,
            "nice" => Resource::RLIMIT_NICE,
            "rtprio" => Resource::RLIMIT_RTPRIO,
            "sigpending" => Resource::RLIMIT_SIGPENDING,
            "locks" => Resource::RLIMIT_LOCKS,
            _ => return None,
        };
        let (_, hard) = getrlimit(resource).ok()?;
        i64::try_from(hard).ok()
    }
}

/// Resolves an instance of a service, by its number. Deviations are added to `deviations`.
pub(super) fn service(
    context: &Context,
    (service, index): (&Service, usize),
    image: &str,
    ports: &[PortSpec],
    addition: Option<&ServiceOverride>,
    deviations: &mut BTreeSet<Deviation>,
) -> Result<ContainerSpec, StackError> {
    let host = context.host;
    let mut note = |what: String, why: &str| {
        deviations
            .insert(Deviation { what: format!("{}: {what}", service.name), why: why.to_owned() });
    };
    let (cap_add, cap_drop) = capabilities(service, host, &mut note);
    let mut spec = ContainerSpec {
        service: service.name.clone(),
        instance: instance::name(&service.name, index, service.replicas),
        index,
        name: container_name(&context.owner.project, &service.name, index),
        image: image.to_owned(),
        command: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        env: service.environment.clone(),
        user: service.user.clone(),
        working_dir: service.working_dir.clone(),
        hostname: service.hostname.clone(),
        domainname: service.domainname.clone(),
        networks: attachments(context, service, &mut note),
        mounts: context.mounts.specs(
            &service.name,
            context.work,
            &context.owner.project,
            context.as_they_are,
        ),
        ports: ports.to_vec(),
        cap_add,
        cap_drop,
        ulimits: ulimits(service, host, &mut note),
        extra_hosts: service.extra_hosts.clone(),
        healthcheck: service.healthcheck.as_ref().map(healthcheck),
        nano_cpus: nano_cpus(service, host, &mut note),
        memory: service.memory,
        memory_reservation: service.memory_reservation,
        pids_limit: service.pids_limit,
        cpu_shares: service.cpu_shares,
        shm_size: service.shm_size,
        restart: restart(&service.restart),
        stop_signal: service.stop_signal.clone(),
        stop_timeout: service
            .stop_grace_period
            .map(|grace| i64::try_from(grace.as_secs()).unwrap_or(i64::MAX)),
        init: service.init,
        read_only: service.read_only,
        tty: service.tty,
        stdin_open: service.stdin_open,
        security_opt: service.security_opt.clone(),
        group_add: service.group_add.clone(),
        oom_score_adj: oom_score_adj(service, host, &mut note),
        logging: service.logging.clone(),
        platform: service.platform.clone(),
        ..Default::default()
    };
    spec.sysctls = sysctls(service, &mut note);
    spec.devices = devices(service, &mut note);
    if !service.dns.is_empty() {
        note("dns left out".into(), "a contained stack resolves its own names only");
    }
    namespaces(&mut spec, context, service, &mut note);
    spec.files = content_files(context, service)?;
    if let Some(addition) = addition {
        add(&mut spec, addition);
    }
    spec.labels = service.labels.clone();
    finish_labels(&mut spec, context.owner, Some(context.project));
    Ok(spec)
}

/// Processors that it may use, in billionths: no more than the host has.
fn nano_cpus(service: &Service, host: &Host, note: &mut impl FnMut(String, &str)) -> i64 {
    if service.cpus > host.cores {
        note(format!("cpus {} cut to {}", service.cpus, host.cores), "the host has no more cores");
    }
    (service.cpus.min(host.cores) * 1e9) as i64
}

fn oom_score_adj(
    service: &Service,
    host: &Host,
    note: &mut impl FnMut(String, &str),
) -> Option<i64> {
    let wanted = service.oom_score_adj?;
    if wanted < 0 && !host.grants("SYS_RESOURCE") {
        note(
            "oom_score_adj left out".into(),
            "the host lacks CAP_SYS_RESOURCE, which lowering it takes",
        );
        return None;
    }
    Some(wanted)
}

/// Sysctls of the container's own namespaces.
fn sysctls(service: &Service, note: &mut impl FnMut(String, &str)) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    for (name, value) in &service.sysctls {
        if ["net.", "kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."]
            .iter()
            .any(|own| name.starts_with(own))
        {
            kept.insert(name.clone(), value.clone());
        } else {
            note(
                format!("sysctl {name} left out"),
                "it belongs to the whole host and not to a container",
            );
        }
    }
    kept
}

/// Devices of the host, as far as a run may have them.
fn devices(service: &Service, note: &mut impl FnMut(String, &str)) -> Vec<String> {
    let mut granted = Vec::new();
    for device in &service.devices {
        let mut parts = device.splitn(3, ':');
        let path = parts.next().unwrap_or_default();
        let Ok(found) = std::fs::metadata(path) else {
            note(format!("device {path} left out"), "the host has no such device");
            continue;
        };
        let inside = parts.next().unwrap_or(path);
        let rights = parts.next().unwrap_or("rwm");
        // Behind a block device lie the owner's file systems.
        if found.file_type().is_block_device() && rights != "r" {
            note(
                format!("the host's device {path} can only be read at {inside}"),
                "a run never writes to the owner's disks",
            );
            granted.push(format!("{path}:{inside}:r"));
        } else {
            note(
                format!("the host's device {path} is there at {inside}"),
                "what the service does with it reaches the host",
            );
            granted.push(device.clone());
        }
    }
    granted
}

/// Namespaces that it shares with other containers, or the host.
fn namespaces(
    spec: &mut ContainerSpec,
    context: &Context,
    service: &Service,
    note: &mut impl FnMut(String, &str),
) {
    let other = |mode: &str| {
        // Only a service of one instance shares its namespaces: others are refused when read.
        mode.strip_prefix("service:").map(|name| container_name(&context.owner.project, name, 1))
    };
    if let Some(mode) = &service.network_mode {
        spec.network_mode =
            Some(other(mode).map_or_else(|| mode.clone(), |name| format!("container:{name}")));
        spec.networks.clear();
        spec.hostname = None;
        spec.ports.clear();
        spec.extra_hosts.clear();
    }
    let namespace = |mode: &Option<String>| {
        mode.as_ref().map(|mode| {
            other(mode).map_or_else(|| mode.clone(), |name| format!("container:{name}"))
        })
    };
    spec.pid = namespace(&service.pid);
    spec.ipc = namespace(&service.ipc);
    for (key, mode, reaches) in [
        ("pid", &spec.pid, "sees and may signal the processes"),
        ("ipc", &spec.ipc, "shares the memory"),
    ] {
        let why = "what it does there leaves the stack: containment holds only as far as this service is trusted";
        match mode.as_deref() {
            Some("host") => {
                note(format!("{key}: host, so that it {reaches} of the whole host"), why)
            }
            Some(other)
                if other.starts_with("container:")
                    && !other.starts_with(&format!("container:{}-", context.owner.project)) =>
            {
                note(
                    format!(
                        "{key}: {other}, so that it {reaches} of a container that is not the run's"
                    ),
                    why,
                );
            }
            _ => {}
        }
    }
}

/// What is added takes the place of what is there.
fn add(spec: &mut ContainerSpec, addition: &ServiceOverride) {
    spec.env.extend(addition.env.clone());
    spec.files.retain(|file| !addition.files.iter().any(|added| added.path == file.path));
    spec.files.extend(addition.files.iter().cloned());
    if let Some(command) = &addition.command {
        spec.command = Some(command.clone());
    }
    if let Some(first) = spec.networks.first_mut() {
        first.aliases.extend(addition.aliases.iter().cloned());
    }
}

/// Name of the container of an instance.
pub(super) fn container_name(project: &str, service: &str, index: usize) -> String {
    format!("{project}-{service}-{index}")
}

/// Adds our labels and Compose's own.
pub(super) fn finish_labels(spec: &mut ContainerSpec, owner: &Owner, project: Option<&Project>) {
    spec.labels.extend(owner.labels());
    let hash = Sha256::digest(serde_json::to_vec(&spec).unwrap_or_default());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    for (key, value) in [
        (label::SERVICE, spec.service.clone()),
        (label::INSTANCE, spec.instance.clone()),
        (label::NUMBER, spec.index.to_string()),
        ("com.docker.compose.oneoff", "False".into()),
        ("com.docker.compose.config-hash", hash),
    ] {
        spec.labels.insert(key.to_owned(), value);
    }
    if let Some(project) = project {
        let file = project.file.to_string_lossy().into_owned();
        let folder = project.file.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
        spec.labels.insert("com.docker.compose.project.config_files".into(), file);
        spec.labels.insert("com.docker.compose.project.working_dir".into(), folder);
        if let Some(service) = project.services.get(&spec.service) {
            let on: Vec<String> = service
                .depends_on
                .iter()
                .map(|(name, dependency)| {
                    let condition = match dependency.condition {
                        crate::stack::compose::Condition::Started => "service_started",
                        crate::stack::compose::Condition::Healthy => "service_healthy",
                        crate::stack::compose::Condition::Completed => {
                            "service_completed_successfully"
                        }
                    };
                    format!("{name}:{condition}:false")
                })
                .collect();
            spec.labels.insert("com.docker.compose.depends_on".into(), on.join(","));
        }
    }
}

fn capabilities(
    service: &Service,
    host: &Host,
    note: &mut impl FnMut(String, &str),
) -> (Vec<String>, Vec<String>) {
    let plain = |name: &String| name.trim_start_matches("CAP_").to_uppercase();
    let mut add: Vec<String> = service.cap_add.iter().map(plain).collect();
    let mut drop: Vec<String> = service.cap_drop.iter().map(plain).collect();
    if service.privileged {
        note(
            "privileged cut down to all capabilities that the host has".into(),
            "a privileged container could undo its containment, and hosts without CAP_SYS_RESOURCE refuse it",
        );
        add = vec!["ALL".into()];
    }
    if add.iter().any(|name| name == "ALL") {
        let missing = host.missing();
        if !missing.is_empty() {
            note(format!("capabilities {} left out", missing.join(", ")), "the host lacks them");
            drop.extend(missing);
        }
    } else {
        add.retain(|name| {
            let granted = host.grants(name);
            if !granted {
                note(format!("capability {name} left out"), "the host lacks it");
            }
            granted
        });
    }
    (add, drop)
}

fn ulimits(service: &Service, host: &Host, note: &mut impl FnMut(String, &str)) -> Vec<Ulimit> {
    service
        .ulimits
        .iter()
        .map(|(name, (soft, hard))| {
            let mut limit = Ulimit { name: name.clone(), soft: *soft, hard: *hard };
            // -1 is "without a limit", the most of all.
            let above = |wanted: i64, most: i64| wanted < 0 || wanted > most;
            if let Some(most) = host.hard_limit(name).filter(|most| above(limit.hard, *most)) {
                note(
                    format!("ulimit {name} {hard} cut to {most}"),
                    "the host's hard limit is lower, and raising it takes CAP_SYS_RESOURCE",
                );
                limit.hard = most;
                if above(limit.soft, most) {
                    limit.soft = most;
                }
            }
            limit
        })
        .collect()
}

fn attachments(
    context: &Context,
    service: &Service,
    note: &mut impl FnMut(String, &str),
) -> Vec<Attachment> {
    // A service's own name leads to it anyway.
    let links: Vec<String> = service
        .links
        .iter()
        .filter(|link| link.alias != link.service)
        .map(|link| format!("{}:{}", link.service, link.alias))
        .collect();
    service
        .networks
        .iter()
        .map(|(name, network)| {
            if let Some(external) =
                context.project.networks.get(name).and_then(|network| network.external.as_ref())
            {
                note(
                    format!("external network {external} replaced by one of the run's own"),
                    "a run touches nothing that it did not make",
                );
            }
            let mut aliases = vec![service.name.clone()];
            aliases.extend(service.container_name.clone());
            aliases.extend(network.aliases.iter().cloned());
            Attachment {
                network: network_name(&context.owner.project, name),
                aliases,
                ipv4: network.ipv4.clone(),
                links: links.clone(),
            }
        })
        .collect()
}

/// Name of the engine's network for a network of the project.
pub(super) fn network_name(project: &str, network: &str) -> String {
    format!("{project}_{network}")
}

/// Name of the engine's volume for a volume of the project.
pub(super) fn volume_name(project: &str, volume: &str) -> String {
    format!("{project}_{volume}")
}

fn content_files(context: &Context, service: &Service) -> Result<Vec<FileSpec>, StackError> {
    let named = service
        .configs
        .iter()
        .map(|mount| (mount, context.project.configs.get(&mount.source)))
        .chain(
            service.secrets.iter().map(|mount| (mount, context.project.secrets.get(&mount.source))),
        );
    let mut files: Vec<FileSpec> = Vec::new();
    for (mount, content) in named {
        let content = match content {
            Some(Content::Text { text, .. }) => text.clone().into_bytes(),
            Some(Content::File(path)) => {
                // Where the run has a copy, it may hold what takes the original's place.
                let copy = context.work.place(path).filter(|copy| copy.exists());
                std::fs::read(copy.as_deref().unwrap_or(path)).map_err(|error| {
                    ConfigError::at(
                        &mount.mark,
                        format!("{} can't be read: {error}", path.display()),
                        "check the path",
                    )
                })?
            }
            None => continue,
        };
        files.push(FileSpec {
            path: mount.target.clone(),
            content,
            mode: mount.mode,
            uid: mount.uid,
            gid: mount.gid,
        });
    }
    Ok(files)
}

fn healthcheck(check: &Healthcheck) -> HealthcheckSpec {
    if check.disable {
        return HealthcheckSpec { test: vec!["NONE".into()], ..Default::default() };
    }
    let or_default = |duration: Option<Duration>| duration.unwrap_or_default();
    HealthcheckSpec {
        test: check.test.clone(),
        interval: or_default(check.interval),
        timeout: or_default(check.timeout),
        retries: check.retries.unwrap_or(0),
        start_period: or_default(check.start_period),
        start_interval: or_default(check.start_interval),
    }
}

fn restart(policy: &str) -> RestartSpec {
    match policy {
        "always" => RestartSpec::Always,
        "unless-stopped" => RestartSpec::UnlessStopped,
        _ => match policy.strip_prefix("on-failure") {
            Some(times) => {
                RestartSpec::OnFailure(times.trim_start_matches(':').parse().unwrap_or(0))
            }
            None => RestartSpec::No,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_a_capability_grants_the_others() {
        let bare = Host { capabilities: !(1 << 24), cores: 2.0 };
        assert!(
            !bare.grants("SYS_RESOURCE")
                && !bare.grants("CAP_SYS_RESOURCE")
                && bare.grants("NET_ADMIN")
        );
        assert_eq!(bare.missing(), ["SYS_RESOURCE"]);
        assert!(Host { capabilities: u64::MAX, cores: 2.0 }.hard_limit("nofile").is_none());
    }

    #[test]
    fn restart_policies_are_read() {
        assert_eq!(restart("on-failure:3"), RestartSpec::OnFailure(3));
        assert_eq!(restart("on-failure"), RestartSpec::OnFailure(0));
        assert_eq!(restart("no"), RestartSpec::No);
    }
}
