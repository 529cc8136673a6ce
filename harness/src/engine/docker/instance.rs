//! Instances of a service are found by the labels of Docker's containers.

use super::{Asked, Docker};
use crate::engine::instance::State;
use crate::engine::{ContainerState, EngineError, Instance, label};
use bollard::query_parameters::ListContainersOptionsBuilder;
use std::collections::HashMap;

impl Instance {
    fn of(seen: ContainerState) -> Instance {
        let service = seen.service.clone();
        let address = seen.ip().and_then(|ip| ip.parse().ok());
        let state = match (seen.running, seen.paused) {
            (_, true) => State::Paused,
            (true, false) => State::Running,
            (false, false) => State::Ended,
        };
        Instance {
            // Versions that knew one instance of each service gave it no name of its own.
            name: seen.labels.get(label::INSTANCE).cloned().unwrap_or_else(|| service.clone()),
            index: seen.labels.get(label::NUMBER).and_then(|n| n.parse().ok()).unwrap_or(1),
            id: seen.id,
            service,
            node: this_machine(),
            address,
            state,
        }
    }
}

/// Docker runs on this machine: [`Docker::connect`] accepts no other.
fn this_machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

impl Docker {
    pub(in crate::engine) async fn instances(
        &self,
        project: &str,
        service: &str,
    ) -> Result<Vec<Instance>, EngineError> {
        let found = self.labelled(project, label::SERVICE, service).await?;
        let mut found: Vec<Instance> = found.into_iter().map(Instance::of).collect();
        found.sort_by_key(|instance| instance.index);
        Ok(found)
    }

    pub(in crate::engine) async fn container_of(
        &self,
        project: &str,
        instance: &str,
    ) -> Result<ContainerState, EngineError> {
        let mut found = self.labelled(project, label::INSTANCE, instance).await?;
        if found.is_empty() {
            found = self.labelled(project, label::SERVICE, instance).await?;
        }
        let refused = |status, seen: String| EngineError::Refused {
            what: format!("looking for service {instance} of project {project}"),
            status,
            seen,
        };
        if found.len() > 1 {
            let mut names: Vec<String> =
                found.into_iter().map(|container| Instance::of(container).name).collect();
            names.sort_unstable();
            return Err(refused(None, format!("it has several instances: {}", names.join(", "))));
        }
        found.pop().ok_or_else(|| refused(Some(404), "there is no such container".into()))
    }

    /// The containers of a project that carry a label.
    async fn labelled(
        &self,
        project: &str,
        key: &str,
        value: &str,
    ) -> Result<Vec<ContainerState>, EngineError> {
        let labels = vec![format!("{}={project}", label::PROJECT), format!("{key}={value}")];
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&HashMap::from([("label".to_owned(), labels)]))
            .build();
        let seen = self
            .client
            .list_containers(Some(options))
            .await
            .asked(|| "listing containers".into())?;
        let mut found = Vec::new();
        for id in seen.into_iter().filter_map(|container| container.id) {
            match self.inspect(&id).await {
                Ok(state) => found.push(state),
                // It was removed between the two questions.
                Err(error) if error.is_absent() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}
