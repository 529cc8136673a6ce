//! The engine: starts, stops, inspects, signals and limits containers. It knows containers and
//! nothing of tests.
//!
//! What can be asked of any engine has one file below for each kind of thing: containers, the
//! instances of a service, networks, volumes, commands inside a container. `docker` is the one
//! engine that there is. Commands of the host inside a container's network namespace need none.

pub mod container;
pub mod containment;
mod docker;
pub mod exec;
pub mod instance;
pub mod label;
pub mod namespace;
pub mod network;
pub mod spec;
pub mod volume;

pub use container::{ContainerState, Health, Limits};
pub use exec::CommandOutput;
pub use instance::Instance;

use crate::process::exit::Exit;
use crate::process::failure::UserError;

/// What runs a stack's containers.
#[derive(Debug, Clone)]
pub enum Engine {
    /// Docker on this machine.
    Docker(docker::Docker),
}

/// What the engine says about itself.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Version {
    /// Version of the engine, for example `20.10.24`.
    pub engine: String,
    /// Version of its API, for example `1.41`.
    pub api: String,
    /// Kernel that containers share.
    pub kernel: String,
    /// Operating system of the engine.
    pub os: String,
}

/// What the engine could not do.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No engine answers.
    #[error("no container engine answers at {at}: {seen}")]
    Missing {
        /// Address that was tried.
        at: String,
        /// What was seen there.
        seen: String,
    },
    /// An image is not there.
    #[error("image {image} of service {service} is not on this machine")]
    NoImage { image: String, service: String },
    /// A host port is taken.
    #[error("port {port} on 127.0.0.1 that service {service} publishes is in use: {seen}")]
    PortInUse {
        port: u16,
        service: String,
        /// What the engine said.
        seen: String,
    },
    /// The engine refused a request.
    #[error("{what}: {seen}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Status of the engine's answer, if there was one.
        status: Option<u16>,
        /// What it answered.
        seen: String,
    },
    /// The host can't do it.
    #[error("{what}")]
    Unfit {
        /// What failed and how.
        what: String,
        /// What to do.
        hint: String,
    },
}

impl UserError for EngineError {
    fn exit(&self) -> Exit {
        match self {
            EngineError::Missing { .. }
            | EngineError::NoImage { .. }
            | EngineError::PortInUse { .. }
            | EngineError::Unfit { .. } => Exit::Unfit,
            EngineError::Refused { .. } => Exit::Unknown,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            EngineError::Missing { .. } => {
                "start Docker (`systemctl start docker`, or `dockerd` as root), or let firedrill install and start it: `--provision` or FIREDRILL_PROVISION=1"
            }
            EngineError::NoImage { .. } => {
                "let firedrill obtain it with `--images auto`, or name an image of ours under `images:` in firedrill.yaml"
            }
            EngineError::PortInUse { .. } => {
                "end what holds it, or let firedrill choose host ports (`ports: chosen` in firedrill.yaml)"
            }
            EngineError::Refused { .. } => return Vec::new(),
            EngineError::Unfit { hint, .. } => hint,
        };
        vec![hint.to_owned()]
    }
}

impl EngineError {
    /// Whether the engine says that the thing is not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, EngineError::Refused { status: Some(404), .. })
    }
}

/// An error with its causes, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

impl Engine {
    /// Connects to the engine at `DOCKER_HOST`, or its usual socket, and agrees on the API version
    /// with it.
    ///
    /// # Errors
    /// [`EngineError::Missing`] when none answers within five seconds, [`EngineError::Unfit`] when
    /// it is too old.
    pub async fn connect() -> Result<Engine, EngineError> {
        docker::Docker::connect().await.map(Engine::Docker)
    }

    /// Asks the engine for its version.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it does not answer.
    pub async fn version(&self) -> Result<Version, EngineError> {
        match self {
            Engine::Docker(docker) => docker.version().await,
        }
    }

    /// The folder of this machine that holds images and volumes.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine does not answer.
    pub async fn folder(&self) -> Result<String, EngineError> {
        match self {
            Engine::Docker(docker) => docker.folder().await,
        }
    }

    /// Docker itself, for whoever builds images in it.
    pub fn docker(&self) -> &bollard::Docker {
        match self {
            Engine::Docker(docker) => docker.client(),
        }
    }
}
