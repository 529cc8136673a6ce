//! Types of a Compose project whose variables are filled in and whose paths are absolute.

use super::interpolate::Environment;
use config::yaml::Mark;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A Compose project.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// Its name, if the file states one.
    pub name: Option<String>,
    /// File that it was read from.
    pub file: PathBuf,
    /// Services that take part.
    pub services: BTreeMap<String, Service>,
    /// Services that are left out.
    pub left_out: BTreeMap<String, LeftOut>,
    pub networks: BTreeMap<String, Network>,
    pub volumes: BTreeMap<String, Volume>,
    /// Configuration files by name.
    pub configs: BTreeMap<String, Content>,
    /// Secrets by name.
    pub secrets: BTreeMap<String, Content>,
    /// What Compose itself would warn of.
    pub warnings: Vec<String>,
}

/// A service that takes no part.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftOut {
    /// The service, as it is written.
    pub service: Service,
    pub why: Absence,
}

/// Why a service takes no part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absence {
    /// None of its profiles is turned on.
    Profiles(Vec<String>),
    /// It is told to be left out, with the reason.
    Told(String),
}

impl std::fmt::Display for Absence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Absence::Profiles(profiles) => match profiles.as_slice() {
                [one] => write!(f, "it belongs to profile {one}, which is not turned on"),
                all => write!(
                    f,
                    "it belongs to profiles {}, none of which is turned on",
                    all.join(", ")
                ),
            },
            Absence::Told(why) => f.write_str(why),
        }
    }
}

impl Service {
    /// What its instances are called.
    pub fn instances(&self) -> Vec<String> {
        crate::engine::instance::names(&self.name, self.replicas)
    }

    /// Names by which others reach it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let aliases = self.networks.values().flat_map(|network| &network.aliases);
        std::iter::once(&self.name).chain(&self.container_name).chain(aliases).map(String::as_str)
    }

    /// Services without which it can't be started.
    pub fn needs(&self) -> impl Iterator<Item = &str> {
        let modes = [&self.network_mode, &self.pid, &self.ipc];
        let shared = modes.into_iter().flatten().filter_map(|mode| mode.strip_prefix("service:"));
        self.depends_on
            .iter()
            .filter(|(_, dependency)| dependency.required)
            .map(|(name, _)| name.as_str())
            .chain(shared)
    }
}

/// A service.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    pub name: String,
    /// Where it stands.
    pub mark: Mark,
    pub image: Option<String>,
    /// Whether it would be built from a folder of the user's.
    pub build: Option<Mark>,
    pub command: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    /// Environment, with `env_file` and the names without a value resolved.
    pub environment: Environment,
    pub ports: Vec<Port>,
    pub volumes: Vec<ServiceVolume>,
    /// Networks and what it is called there.
    pub networks: BTreeMap<String, ServiceNetwork>,
    /// Network mode, where there is one: `none` or `service:<name>`.
    pub network_mode: Option<String>,
    /// What must be there first.
    pub depends_on: BTreeMap<String, Dependency>,
    /// Services that it finds under names of its own.
    pub links: Vec<Link>,
    /// How many instances of it run.
    pub replicas: usize,
    pub healthcheck: Option<Healthcheck>,
    pub configs: Vec<ContentMount>,
    pub secrets: Vec<ContentMount>,
    /// Profiles that turn it on.
    pub profiles: Vec<String>,
    /// Name that the user wants the container to have.
    pub container_name: Option<String>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    pub user: Option<String>,
    pub working_dir: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    /// Whether it asks for everything the host has.
    pub privileged: bool,
    /// Resource limits: name to soft and hard.
    pub ulimits: BTreeMap<String, (i64, i64)>,
    pub sysctls: BTreeMap<String, String>,
    /// Lines of the hosts file, `name:address`.
    pub extra_hosts: Vec<String>,
    /// Name servers that the file asks for.
    pub dns: Vec<String>,
    /// CPU limit in cores; 0 is none.
    pub cpus: f64,
    /// Relative CPU weight; 0 is the default.
    pub cpu_shares: i64,
    /// Memory limit in bytes; 0 is none.
    pub memory: i64,
    /// Soft memory limit in bytes; 0 is none.
    pub memory_reservation: i64,
    /// Limit on the number of processes; 0 is none.
    pub pids_limit: i64,
    /// Size of /dev/shm in bytes; 0 is the default.
    pub shm_size: i64,
    /// Restart policy: `no`, `always`, `unless-stopped`, `on-failure[:n]`.
    pub restart: String,
    /// Signal that stops it.
    pub stop_signal: Option<String>,
    /// Time between that signal and SIGKILL.
    pub stop_grace_period: Option<Duration>,
    /// Whether an init process reaps orphans.
    pub init: Option<bool>,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether its standard input stays open.
    pub stdin_open: bool,
    pub pid: Option<String>,
    pub ipc: Option<String>,
    pub devices: Vec<String>,
    pub security_opt: Vec<String>,
    pub group_add: Vec<String>,
    /// Adjustment of the out-of-memory score.
    pub oom_score_adj: Option<i64>,
    /// Log driver and options.
    pub logging: Option<LogDriver>,
    pub platform: Option<String>,
}

/// A service that another finds under a name of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub service: String,
    pub alias: String,
}

/// A log driver and its options.
pub type LogDriver = (String, BTreeMap<String, String>);

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    pub container: u16,
    /// Host port that the file asks for.
    pub host: Option<u16>,
    /// Host address that the file asks for.
    pub host_ip: Option<String>,
    /// Whether it is UDP.
    pub udp: bool,
    /// Where it stands.
    pub mark: Mark,
}

/// A mount of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceVolume {
    /// What is mounted.
    pub source: VolumeSource,
    pub target: String,
    /// Whether writing is refused.
    pub read_only: bool,
    /// Where it stands.
    pub mark: Mark,
}

/// What a service mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeSource {
    /// A file or folder of the host.
    Bind {
        path: PathBuf,
        /// Whether a missing folder is made.
        create: bool,
        propagation: Option<String>,
    },
    /// A named volume of the project.
    Named {
        /// Its name in the file.
        name: String,
        /// Whether the image's files are left out.
        no_copy: bool,
    },
    /// A volume without a name.
    Anonymous,
    Tmpfs {
        /// Size in bytes.
        size: Option<i64>,
        mode: Option<u32>,
    },
}

/// How a service is attached to a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceNetwork {
    pub aliases: Vec<String>,
    pub ipv4: Option<String>,
}

/// What must hold of another service first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependency {
    pub condition: Condition,
    /// Whether it must be there at all.
    pub required: bool,
}

/// Condition of a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// It was started.
    Started,
    /// Its health check passes.
    Healthy,
    /// It ended with exit code 0.
    Completed,
}

/// A health check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// Whether the image's is turned off.
    pub disable: bool,
    /// `NONE`, `CMD …` or `CMD-SHELL …`; empty keeps the image's.
    pub test: Vec<String>,
    /// Time between two checks.
    pub interval: Option<Duration>,
    /// Time that one may take.
    pub timeout: Option<Duration>,
    /// Failures in a row that count.
    pub retries: Option<u32>,
    /// Time in which failures don't count.
    pub start_period: Option<Duration>,
    /// Time between two checks meanwhile.
    pub start_interval: Option<Duration>,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Name of a network that is not the project's own, if it is external.
    pub external: Option<String>,
    /// Subnets and their gateways.
    pub subnets: Vec<(String, Option<String>)>,
    pub labels: BTreeMap<String, String>,
    /// Where it stands.
    pub mark: Mark,
}

/// A named volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Name of a volume that is not the project's own, if it is external.
    pub external: Option<String>,
    pub driver: Option<String>,
    pub driver_opts: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// Where it stands.
    pub mark: Mark,
}

/// Content of a configuration file or a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    File(PathBuf),
    /// Text that stands in the Compose file or in the environment, or is made up.
    Text {
        text: String,
        /// Where it stands.
        mark: Mark,
        /// Whether its lines are those of the file that follow the mark.
        follows: bool,
    },
}

/// A configuration file or secret in a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentMount {
    /// Its name in the file.
    pub source: String,
    /// Absolute path inside.
    pub target: String,
    pub uid: u64,
    pub gid: u64,
    pub mode: u32,
    /// Where it stands.
    pub mark: Mark,
}
