//! What a container is to be made of. All is resolved: no variable, no relative path, no default
//! left to find.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A container to make.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Service that it belongs to; also its DNS name.
    pub service: String,
    /// What the instance is called: the service's name, with its number where there are several.
    pub instance: String,
    /// Its number among those of its service, from 1.
    pub index: usize,
    /// Name of the container.
    pub name: String,
    pub image: String,
    /// Command, in place of the image's.
    pub command: Option<Vec<String>>,
    /// Entry point, in place of the image's.
    pub entrypoint: Option<Vec<String>>,
    pub env: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// User, as `user`, `uid` or `uid:gid`.
    pub user: Option<String>,
    pub working_dir: Option<String>,
    /// Host name inside.
    pub hostname: Option<String>,
    /// Domain name inside.
    pub domainname: Option<String>,
    /// Network mode, where it is not a network of the stack: `none` or `container:<name>`.
    pub network_mode: Option<String>,
    /// Networks that it is attached to.
    pub networks: Vec<Attachment>,
    pub mounts: Vec<MountSpec>,
    /// Ports published on 127.0.0.1.
    pub ports: Vec<PortSpec>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    /// Resource limits of processes.
    pub ulimits: Vec<Ulimit>,
    /// Kernel settings of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Lines of its hosts file, `name:address`.
    pub extra_hosts: Vec<String>,
    pub healthcheck: Option<HealthcheckSpec>,
    /// CPU limit in billionths of a core; 0 is none.
    pub nano_cpus: i64,
    /// Memory limit in bytes; 0 is none.
    pub memory: i64,
    /// Soft memory limit in bytes; 0 is none.
    pub memory_reservation: i64,
    /// Limit on the number of processes; 0 is none.
    pub pids_limit: i64,
    /// Relative CPU weight; 0 is the default.
    pub cpu_shares: i64,
    /// Size of /dev/shm in bytes; 0 is the default.
    pub shm_size: i64,
    pub restart: RestartSpec,
    /// Signal that stops it.
    pub stop_signal: Option<String>,
    /// Seconds between that signal and SIGKILL.
    pub stop_timeout: Option<i64>,
    /// Whether an init process reaps its orphans.
    pub init: Option<bool>,
    /// Whether its root file system is read-only.
    pub read_only: bool,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether its standard input stays open.
    pub stdin_open: bool,
    /// Process namespace: `host` or `container:<name>`.
    pub pid: Option<String>,
    pub ipc: Option<String>,
    pub devices: Vec<String>,
    pub security_opt: Vec<String>,
    pub group_add: Vec<String>,
    /// Adjustment of the kernel's out-of-memory score.
    pub oom_score_adj: Option<i64>,
    /// Log driver and its options.
    pub logging: Option<(String, BTreeMap<String, String>)>,
    /// Platform, for example `linux/amd64`.
    pub platform: Option<String>,
    /// Files put into it before it starts.
    pub files: Vec<FileSpec>,
}

/// A network that a container is attached to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Name of the engine's network.
    pub network: String,
    /// Names under which the container is found there.
    pub aliases: Vec<String>,
    pub ipv4: Option<String>,
    /// Names under which this container alone finds others there, written `name:alias`.
    #[serde(default)]
    pub links: Vec<String>,
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MountSpec {
    /// A folder or file of the host.
    Bind {
        /// Absolute path on the host.
        source: PathBuf,
        target: String,
        /// Whether writing is refused.
        read_only: bool,
        /// Propagation, for example `rslave`.
        propagation: Option<String>,
        /// Whether what is mounted below it on the host is left out.
        #[serde(default)]
        alone: bool,
    },
    Volume {
        /// Name of the engine's volume; none for an anonymous one.
        source: Option<String>,
        target: String,
        /// Whether writing is refused.
        read_only: bool,
        /// Whether the image's files at that path are left out of a new volume.
        no_copy: bool,
    },
    Tmpfs {
        target: String,
        /// Size in bytes; none for the default.
        size: Option<i64>,
        mode: Option<u32>,
    },
}

impl MountSpec {
    /// Path inside.
    pub fn target(&self) -> &str {
        match self {
            MountSpec::Bind { target, .. }
            | MountSpec::Volume { target, .. }
            | MountSpec::Tmpfs { target, .. } => target,
        }
    }
}

/// A port published on 127.0.0.1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSpec {
    pub container: u16,
    /// Port on 127.0.0.1.
    pub host: u16,
    /// Whether it is UDP.
    pub udp: bool,
}

/// A resource limit of processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Name, for example `nofile`.
    pub name: String,
    /// Soft limit; -1 is none.
    pub soft: i64,
    /// Hard limit; -1 is none.
    pub hard: i64,
}

/// A health check. Zero durations and retries keep the engine's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthcheckSpec {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", command]`; empty keeps the image's.
    pub test: Vec<String>,
    /// Time between two checks.
    pub interval: Duration,
    /// Time that one check may take.
    pub timeout: Duration,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    /// Time at the start in which failures don't count.
    pub start_period: Duration,
    /// Time between two checks in the start period (engine 25 and newer).
    pub start_interval: Duration,
}

/// When the engine restarts a container by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartSpec {
    #[default]
    No,
    /// Whenever it ends.
    Always,
    /// Whenever it ends, unless it was stopped.
    UnlessStopped,
    /// When it fails; 0 is without a bound.
    OnFailure(u32),
}

/// A file put into a container before it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSpec {
    /// Absolute path inside.
    pub path: String,
    pub content: Vec<u8>,
    /// Permission bits, for example 0o644.
    pub mode: u32,
    /// User id that owns it.
    pub uid: u64,
    /// Group id that owns it.
    pub gid: u64,
}

impl FileSpec {
    /// A file that everybody may read and root owns.
    pub fn readable(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        FileSpec { path: path.into(), content: content.into(), mode: 0o644, uid: 0, gid: 0 }
    }
}
