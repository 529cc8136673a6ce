//! Docker, spoken to through bollard.

mod container;
mod create;
mod exec;
mod files;
mod instance;
mod network;
mod volume;

use super::{EngineError, Version, with_causes};
use std::time::Duration;

/// Oldest API of the engine that is known to work.
const OLDEST_API: (u32, u32) = (1, 41);

/// API of the first engine that knows `start_interval`.
const CHECKS_EARLY: (u32, u32) = (1, 44);

/// A connection to Docker.
#[derive(Debug, Clone)]
pub struct Docker {
    client: bollard::Docker,
    /// Whether it runs health checks at their `start_interval` while a container starts: 25 and
    /// newer do.
    checks_early: bool,
}

/// Gives a bollard result the words of what was asked for.
trait Asked<T> {
    /// Names what was asked for, in case it was refused.
    fn asked(self, what: impl FnOnce() -> String) -> Result<T, EngineError>;
}

impl<T> Asked<T> for Result<T, bollard::errors::Error> {
    fn asked(self, what: impl FnOnce() -> String) -> Result<T, EngineError> {
        self.map_err(|error| refused(what(), error))
    }
}

fn refused(what: String, error: bollard::errors::Error) -> EngineError {
    use bollard::errors::Error;
    match error {
        Error::DockerResponseServerError { status_code, message } => EngineError::Refused {
            what,
            status: Some(status_code),
            seen: message.trim().to_owned(),
        },
        other => EngineError::Refused { what, status: None, seen: with_causes(&other) },
    }
}

impl Docker {
    pub(super) async fn connect() -> Result<Docker, EngineError> {
        let at =
            std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".into());
        if !at.starts_with("unix://") {
            return Err(EngineError::Unfit {
                what: format!("DOCKER_HOST names an engine on another machine: {at}"),
                hint: "containment, faults and published ports are this machine's: unset DOCKER_HOST, or name a unix:// socket".into(),
            });
        }
        let missing = |seen: String| EngineError::Missing { at: at.clone(), seen };
        let client = bollard::Docker::connect_with_defaults()
            .map_err(|error| missing(with_causes(&error)))?;
        let client = tokio::time::timeout(Duration::from_secs(5), client.negotiate_version())
            .await
            .map_err(|_| missing("no answer within 5 s".into()))?
            .map_err(|error| missing(with_causes(&error)))?;
        // Loading and exporting images and slow removals take longer than the two minutes that
        // bollard allows.
        let mut engine =
            Docker { client: client.with_timeout(Duration::from_secs(600)), checks_early: false };
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

    pub(super) async fn version(&self) -> Result<Version, EngineError> {
        let seen = self.client.version().await.asked(|| "the engine's version".into())?;
        Ok(Version {
            engine: seen.version.unwrap_or_default(),
            api: seen.api_version.unwrap_or_default(),
            kernel: seen.kernel_version.unwrap_or_default(),
            os: seen.os.unwrap_or_default(),
        })
    }

    pub(super) async fn folder(&self) -> Result<String, EngineError> {
        let info = self.client.info().await.asked(|| "asking the engine".into())?;
        Ok(info.docker_root_dir.unwrap_or_else(|| "/var/lib/docker".into()))
    }

    pub(super) fn client(&self) -> &bollard::Docker {
        &self.client
    }
}

/// Reads `1.41` into a pair.
fn parse_api(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.trim().split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
