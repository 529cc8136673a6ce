//! Volumes.

use super::{Engine, EngineError};
use std::collections::BTreeMap;
use std::path::PathBuf;

impl Engine {
    /// Makes a volume; making one that is there does nothing.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine refuses.
    pub async fn create_volume(
        &self,
        name: &str,
        driver: Option<&str>,
        driver_opts: &BTreeMap<String, String>,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), EngineError> {
        match self {
            Engine::Docker(docker) => docker.create_volume(name, driver, driver_opts, labels).await,
        }
    }

    /// The folder of this machine that holds a volume, if its driver tells one; the outer none if
    /// there is no such volume.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine does not answer.
    pub async fn volume(&self, name: &str) -> Result<Option<Option<PathBuf>>, EngineError> {
        match self {
            Engine::Docker(docker) => docker.volume(name).await,
        }
    }

    /// Names of the volumes with a label.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine does not answer.
    pub async fn volumes_with(
        &self,
        key: &str,
        value: Option<&str>,
    ) -> Result<Vec<String>, EngineError> {
        match self {
            Engine::Docker(docker) => docker.volumes_with(key, value).await,
        }
    }

    /// Removes a volume; removing one that is not there does nothing.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it is in use.
    pub async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        match self {
            Engine::Docker(docker) => docker.remove_volume(name).await,
        }
    }
}

/// Whether the mount options of a volume make it a bind mount.
pub fn is_bind(options: &str) -> bool {
    options.split(',').any(|option| matches!(option.trim(), "bind" | "rbind"))
}
