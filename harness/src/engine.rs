//! The engine: starts, stops, inspects, signals and limits containers. It knows containers and
//! nothing of tests.
//!
//! Docker is spoken to through bollard. One file below for each kind of thing: containers, the
//! instances of a service, networks, volumes, files, commands inside a container, and commands of
//! the host inside a container's network namespace.

pub mod container;
pub mod containment;
mod create;
pub mod exec;
pub mod files;
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
use std::time::Duration;

/// Oldest API of the engine that is known to work.
pub const OLDEST_API: (u32, u32) = (1, 41);

/// A connection to the container engine.
#[derive(Debug, Clone)]
pub struct Engine {
    pub docker: bollard::Docker,
    /// Whether it runs health checks at their `start_interval` while a container starts: 25 and
    /// newer do.
    checks_early: bool,
}

/// API of the first engine that knows `start_interval`.
const CHECKS_EARLY: (u32, u32) = (1, 44);

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

    pub(crate) fn from_bollard(what: impl Into<String>, error: bollard::errors::Error) -> Self {
        use bollard::errors::Error;
        let what = what.into();
        match error {
            Error::DockerResponseServerError { status_code, message } => EngineError::Refused {
                what,
                status: Some(status_code),
                seen: message.trim().to_owned(),
            },
            other => EngineError::Refused { what, status: None, seen: with_causes(&other) },
        }
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

/// Gives a bollard result the words of what was asked for.
pub(crate) trait Asked<T> {
    /// Names what was asked for, in case it was refused.
    fn asked(self, what: impl FnOnce() -> String) -> Result<T, EngineError>;
}

impl<T> Asked<T> for Result<T, bollard::errors::Error> {
    fn asked(self, what: impl FnOnce() -> String) -> Result<T, EngineError> {
        self.map_err(|error| EngineError::from_bollard(what(), error))
    }
}

impl Engine {
    /// Connects to the engine at `DOCKER_HOST`, or its usual socket, and agrees on the API version
    /// with it.
    ///
    /// # Errors
    /// [`EngineError::Missing`] when none answers within five seconds, [`EngineError::Unfit`] when
    /// it is too old.
    pub async fn connect() -> Result<Engine, EngineError> {
        let at =
            std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".into());
        if !at.starts_with("unix://") {
            return Err(EngineError::Unfit {
                what: format!("DOCKER_HOST names an engine on another machine: {at}"),
                hint: "containment, faults and published ports are this machine's: unset DOCKER_HOST, or name a unix:// socket".into(),
            });
        }
        let missing = |seen: String| EngineError::Missing { at: at.clone(), seen };
        let docker = bollard::Docker::connect_with_defaults()
            .map_err(|error| missing(with_causes(&error)))?;
        let docker = tokio::time::timeout(Duration::from_secs(5), docker.negotiate_version())
            .await
            .map_err(|_| missing("no answer within 5 s".into()))?
            .map_err(|error| missing(with_causes(&error)))?;
        // Loading and exporting images and slow removals take longer than the two minutes that
        // bollard allows.
        let mut engine =
            Engine { docker: docker.with_timeout(Duration::from_secs(600)), checks_early: false };
        let version = engine.version().await?;
        engine.checks_early = parse_api(&version.api).is_some_and(|seen| seen >= CHECKS_EARLY);
        if parse_api(&version.api).is_some_and(|seen| seen < OLDEST_API) {
            return Err(EngineError::Unfit {
                what: format!(
                    "the engine speaks API {}, wanted {}.{} or newer",
                    version.api, OLDEST_API.0, OLDEST_API.1
                ),
                hint: "install Docker 20.10 or newer".into(),
            });
        }
        Ok(engine)
    }

    /// Asks the engine for its version.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it does not answer.
    pub async fn version(&self) -> Result<Version, EngineError> {
        let seen = self.docker.version().await.asked(|| "the engine's version".into())?;
        Ok(Version {
            engine: seen.version.unwrap_or_default(),
            api: seen.api_version.unwrap_or_default(),
            kernel: seen.kernel_version.unwrap_or_default(),
            os: seen.os.unwrap_or_default(),
        })
    }
}

/// Reads `1.41` into a pair.
pub(crate) fn parse_api(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.trim().split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
