//! Faults: inject, prove that it bites, heal, prove that it left. One file below for each; a line
//! here registers it.

pub mod connection;
pub mod cut;
mod each;
pub mod fill_disk;
pub mod grow_database;
pub mod healing;
pub mod helper;
pub mod hold_connections;
pub mod host;
pub mod lifecycle;
pub mod packet_delay;
pub mod packet_filter;
pub mod packet_queue;
pub mod postgres;
pub mod pressure;
pub mod redis_fill;
pub mod resp;
pub mod sessions;
pub mod slow_commands;
pub mod statement;

use crate::engine::Health;
use crate::journal::Undo;
use crate::process::exit::Exit;
use crate::process::failure::UserError;
use futures::future::BoxFuture;
use serde_json::Value;
use std::collections::BTreeMap;
use verdict::history::fault::BlastRadius;

/// What a fault needs from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ability {
    /// Enter a container's namespaces (root, or `CAP_SYS_ADMIN` with ptrace access).
    EnterNamespaces,
    /// `iptables` on the host.
    PacketFilter,
    /// The kernel's packet queue, `NFQUEUE`.
    PacketQueue,
    /// Put a process of ours into a container's control group.
    ControlGroups,
    /// Loop devices, `losetup` and `mkfs`.
    LoopDevices,
}

/// Settings of a fault as a scenario writes them, text to text; each fault parses its own and
/// refuses the rest.
pub type Settings = BTreeMap<String, String>;

/// Why a fault could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// The scenario asks for something that does not exist. `hint` says what does.
    #[error("{what}")]
    Settings {
        /// What is wrong, naming the setting, the value seen and the one wanted.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The host lacks an ability.
    #[error("fault {kind} needs {needs}")]
    Unfit {
        kind: &'static str,
        /// What it needs.
        needs: String,
        /// What to do.
        hint: String,
    },
    /// It was tried and did not work.
    #[error("fault {kind} on {target}: {what}")]
    Failed {
        kind: &'static str,
        target: String,
        /// What went wrong.
        what: String,
    },
}

impl UserError for FaultError {
    fn exit(&self) -> Exit {
        match self {
            FaultError::Settings { .. } => Exit::Usage,
            FaultError::Unfit { .. } => Exit::Unfit,
            FaultError::Failed { .. } => Exit::Unknown,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            FaultError::Settings { hint, .. } | FaultError::Unfit { hint, .. } => {
                vec![hint.clone()]
            }
            FaultError::Failed { .. } => Vec::new(),
        }
    }
}

/// The run that a fault acts on.
pub struct Scene<'a> {
    pub engine: &'a crate::engine::Engine,
    /// Project that the stack's containers carry as label.
    pub project: &'a str,
    pub run: &'a str,
}

/// One fault, aimed at one service: at each of its instances, or at one of them; or between two sets
/// of instances. `drill` journals `undo` before it calls `inject`; healing is carrying out `undo`, so
/// that a crash between the two is healed by the same code.
pub trait Fault: Send + Sync {
    /// Kind, as scenarios name it.
    fn kind(&self) -> &'static str;
    /// Service, or instance of one, that it is aimed at.
    fn target(&self) -> &str;
    /// Instances that it acts on, once it is prepared; none where it acts on the host.
    fn instances(&self) -> &[String] {
        &[]
    }
    /// Whether it acts on the host, once, however many instances its target has.
    fn acts_on_host(&self) -> bool {
        false
    }
    /// Mechanism, for the history.
    fn mechanism(&self) -> String;
    /// What the host must offer.
    fn needs(&self) -> Vec<Ability>;
    /// What it may disturb by itself, without what a scenario adds: the service that it is aimed
    /// at, unless a fault says otherwise.
    fn blast_radius(&self) -> BlastRadius {
        BlastRadius { services: vec![self.target().to_string()], ..BlastRadius::default() }
    }
    /// What undoes it, worked out before it is injected. Faults with a helper process first start
    /// the helper in a state in which it does nothing yet, so that its process id is known.
    fn prepare<'a>(
        &'a mut self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Vec<Undo>, FaultError>>;
    /// Injects it.
    fn inject<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<(), FaultError>>;
    /// Looks whether its effect is there now: `Ok(Some(evidence))` if so, `Ok(None)` if not (yet).
    fn bites<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>>;
    /// After healing, looks whether its effect is gone: `Ok(Some(evidence))` if so, `Ok(None)` if
    /// not (yet).
    fn left<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>>;
}

/// Aims a fault at a service.
type Aim = fn(&str, &Settings) -> Result<Box<dyn Fault>, FaultError>;

/// Undoes what a fault did, from what it wrote down of it ([`Undo::Fault`]): also after a crash,
/// and again if it was done already.
type UndoState = fn(Option<Remains>, Value) -> BoxFuture<'static, Result<(), String>>;

/// A container that a fault acted on, as it is when the fault is undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remains {
    pub name: String,
    /// Its first process; none if it does not run.
    pub pid: Option<i32>,
}

/// A kind of fault.
pub struct Kind {
    /// As scenarios name it.
    pub name: &'static str,
    /// What it does, in one line, with its settings in brackets.
    pub what: &'static str,
    /// How it is aimed.
    pub aim: Aim,
    /// How its own state is undone; none if what any fault may need ([`Undo`]) is enough.
    pub undo: Option<UndoState>,
}

/// The registry. A fault is a file below and a line here.
const FAULTS: &[Kind] = &[
    lifecycle::STOP,
    lifecycle::KILL,
    lifecycle::PAUSE,
    lifecycle::RESTART,
    pressure::CPU_PRESSURE,
    pressure::MEMORY_PRESSURE,
    packet_filter::REFUSE_CONNECTIONS,
    packet_filter::PARTITION,
    cut::CUT,
    packet_delay::PACKET_DELAY,
    packet_filter::FLAKY_CONNECTIONS,
    fill_disk::FILL_DISK,
    host::HOST_CPU,
    host::HOST_MEMORY,
    hold_connections::HOLD_CONNECTIONS,
    statement::LOCK_TABLE,
    statement::LONG_STATEMENT,
    grow_database::GROW_DATABASE,
    redis_fill::REDIS_FILL,
    slow_commands::SLOW_COMMANDS,
];

/// All kinds.
pub fn kinds() -> Vec<&'static str> {
    FAULTS.iter().map(|kind| kind.name).collect()
}

/// All kinds with what they do.
pub fn list() -> impl Iterator<Item = (&'static str, &'static str)> {
    FAULTS.iter().map(|kind| (kind.name, kind.what))
}

/// Aims a fault of this kind at a service, or at one instance of it by what that is called.
///
/// # Errors
/// An unknown kind, or settings that it refuses.
pub fn aim(kind: &str, target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    match named(kind) {
        Some(kind) => {
            let aimed = (kind.aim)(target, settings)?;
            if aimed.acts_on_host() {
                return Ok(aimed);
            }
            Ok(Box::new(each::Each::of(kind, settings, aimed)))
        }
        None => Err(FaultError::Settings {
            what: format!("there is no fault {kind}"),
            hint: crate::yaml::suggest(kind, kinds(), "faults"),
        }),
    }
}

/// Whether a kind is between two sets of services instead of on one.
pub fn is_between(kind: &str) -> bool {
    kind == cut::CUT.name
}

/// Services that settings name: the other end of a connection (`to`, with a port or without), the
/// other side of a cut (`and`).
pub fn named_in(settings: &Settings) -> impl Iterator<Item = &str> {
    let to = settings.get("to").map(|to| to.split(':').next().unwrap_or(to));
    to.into_iter().chain(settings.get("and").into_iter().flat_map(|and| sides(and)))
}

/// The names of several services, or instances, in one text.
pub fn sides(names: &str) -> impl Iterator<Item = &str> {
    names.split(',').map(str::trim).filter(|name| !name.is_empty())
}

fn named(kind: &str) -> Option<&'static Kind> {
    FAULTS.iter().find(|known| known.name == kind)
}

/// Refuses settings that a fault does not know.
fn only(kind: &'static str, settings: &Settings, known: &[&str]) -> Result<(), FaultError> {
    match settings.keys().find(|k| !known.contains(&k.as_str())) {
        None => Ok(()),
        Some(key) => Err(FaultError::Settings {
            what: format!("fault {kind} has no setting {key:?}"),
            hint: if known.is_empty() {
                "it has none".into()
            } else {
                format!("its settings are {}", known.join(", "))
            },
        }),
    }
}

/// Reads a whole number within a range.
fn number(
    kind: &'static str,
    settings: &Settings,
    key: &str,
    default: u32,
    range: std::ops::RangeInclusive<u32>,
) -> Result<u32, FaultError> {
    let Some(text) = settings.get(key) else { return Ok(default) };
    text.parse().ok().filter(|n| range.contains(n)).ok_or_else(|| FaultError::Settings {
        what: format!("fault {kind}: `{key}` is {text:?}"),
        hint: format!("write a whole number from {} to {}", range.start(), range.end()),
    })
}

/// Reads the setting `port`.
fn port(kind: &'static str, settings: &Settings, default: u16) -> Result<u16, FaultError> {
    number(kind, settings, "port", default.into(), 1..=65535).map(|port| port as u16)
}

impl Scene<'_> {
    /// What the instances of a service are called that are there now. A name that is no service's
    /// is taken for an instance's.
    async fn instances(&self, service: &str) -> Result<Vec<String>, FaultError> {
        let found = self.engine.instances(self.project, service).await;
        let found = found.map_err(|e| self.failed("target", service, e.advice()))?;
        if found.is_empty() {
            return Ok(vec![service.to_owned()]);
        }
        Ok(found.into_iter().map(|instance| instance.name).collect())
    }

    /// The container of an instance, as it is now.
    async fn container(&self, service: &str) -> Result<crate::engine::ContainerState, FaultError> {
        self.engine
            .container_of(self.project, service)
            .await
            .map_err(|e| self.failed("target", service, e.advice()))
    }

    /// The container of an instance that can be disturbed: it runs, and is not frozen already.
    async fn alive(
        &self,
        kind: &'static str,
        service: &str,
    ) -> Result<crate::engine::ContainerState, FaultError> {
        let state = self
            .engine
            .container_of(self.project, service)
            .await
            .map_err(|e| self.failed(kind, service, e.advice()))?;
        match (state.running, state.paused) {
            (true, false) => Ok(state),
            (true, true) => Err(self.failed(
                kind,
                service,
                "nothing to disturb: its container is paused already",
            )),
            (false, _) => {
                Err(self.failed(kind, service, "nothing to disturb: its container does not run"))
            }
        }
    }

    /// Its address in the stack's network.
    async fn address(&self, service: &str) -> Result<std::net::IpAddr, FaultError> {
        let container = self.container(service).await?;
        let address = container.ip().and_then(|ip| ip.parse().ok());
        address.ok_or_else(|| self.failed("target", service, "it has no address: is it running?"))
    }

    /// Evidence that an instance works again: its container runs, is not paused, and is healthy where
    /// it has a health check.
    async fn works(&self, kind: &'static str, service: &str) -> Result<Option<String>, FaultError> {
        let state =
            self.container(service).await.map_err(|e| self.failed(kind, service, e.advice()))?;
        let health = match self
            .engine
            .health(&state)
            .await
            .map_err(|e| self.failed(kind, service, e.advice()))?
        {
            Health::None => "",
            Health::Healthy => " and is healthy",
            Health::Starting | Health::Unhealthy => return Ok(None),
        };
        Ok((state.running && !state.paused).then(|| format!("{service} runs{health}")))
    }

    fn failed(&self, kind: &'static str, target: &str, what: impl std::fmt::Display) -> FaultError {
        FaultError::Failed { kind, target: target.to_owned(), what: what.to_string() }
    }
}
