//! Docker's volumes.

use super::{Asked, Docker};
use crate::engine::volume::is_bind;
use crate::engine::{EngineError, label};
use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder};
use std::collections::BTreeMap;
use std::path::PathBuf;

impl Docker {
    pub(in crate::engine) async fn create_volume(
        &self,
        name: &str,
        driver: Option<&str>,
        driver_opts: &BTreeMap<String, String>,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), EngineError> {
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            driver: driver.map(str::to_owned),
            driver_opts: Some(driver_opts.clone().into_iter().collect()),
            labels: Some(labels.clone().into_iter().collect()),
            ..Default::default()
        };
        self.client.create_volume(request).await.asked(|| format!("making volume {name}")).map(drop)
    }

    pub(in crate::engine) async fn volume(
        &self,
        name: &str,
    ) -> Result<Option<Option<PathBuf>>, EngineError> {
        match self.client.inspect_volume(name).await.asked(|| format!("looking at volume {name}")) {
            // A volume with options is mounted there only while a container uses it.
            Ok(seen) => {
                Ok(Some(match seen.options.get("device").filter(|_| seen.driver == "local") {
                    Some(device) if seen.options.get("o").is_some_and(|o| is_bind(o)) => {
                        Some(PathBuf::from(device))
                    }
                    Some(_) => None,
                    None => Some(PathBuf::from(seen.mountpoint)).filter(|folder| folder.is_dir()),
                }))
            }
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(in crate::engine) async fn volumes_with(
        &self,
        key: &str,
        value: Option<&str>,
    ) -> Result<Vec<String>, EngineError> {
        let options =
            ListVolumesOptionsBuilder::default().filters(&label::filter(key, value)).build();
        let seen =
            self.client.list_volumes(Some(options)).await.asked(|| "listing volumes".into())?;
        Ok(seen.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect())
    }

    pub(in crate::engine) async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let options = RemoveVolumeOptionsBuilder::default().force(true).build();
        match self
            .client
            .remove_volume(name, Some(options))
            .await
            .asked(|| format!("removing volume {name}"))
        {
            Err(error) if !error.is_absent() => Err(error),
            _ => Ok(()),
        }
    }
}
