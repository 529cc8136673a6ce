//! Instances of a service: what they are called, and which containers they are now.

use super::{Asked, ContainerState, Engine, EngineError, label};
use bollard::query_parameters::ListContainersOptionsBuilder;
use std::collections::HashMap;
use std::net::IpAddr;

/// An instance of a service, as the engine knows it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Id of its container.
    pub id: String,
    /// What it is called: see [`names`].
    pub name: String,
    pub service: String,
    /// Its number among those of its service, from 1.
    pub index: u32,
    /// Name of the machine that it is on.
    pub node: String,
    /// Its address in any one of its networks; none if it does not run.
    pub address: Option<IpAddr>,
    pub state: State,
}

/// Whether an instance does anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Running,
    Paused,
    /// It was stopped, was killed or ended by itself.
    Ended,
}

/// What the instances of a service are called: one alone as the service, several with their
/// numbers, `service-1` to `service-n`.
pub fn names(service: &str, count: usize) -> Vec<String> {
    (1..=count).map(|index| name(service, index, count)).collect()
}

/// What one of them is called.
pub fn name(service: &str, index: usize, count: usize) -> String {
    if count == 1 { service.to_owned() } else { format!("{service}-{index}") }
}

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

/// The engine runs on this machine: [`Engine::connect`] accepts no other.
fn this_machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

impl Engine {
    /// The instances of a service of a project (the value of Compose's project label), by number.
    /// Those that have ended are among them; those whose container was removed are not.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine does not answer.
    pub async fn instances(
        &self,
        project: &str,
        service: &str,
    ) -> Result<Vec<Instance>, EngineError> {
        let found = self.labelled(project, label::SERVICE, service).await?;
        let mut found: Vec<Instance> = found.into_iter().map(Instance::of).collect();
        found.sort_by_key(|instance| instance.index);
        Ok(found)
    }

    /// The container of an instance of a project; a service that has one may be named in its place.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when there is none, or a service of several instances is named.
    pub async fn container_of(
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
            let names: Vec<String> = found.into_iter().map(|c| Instance::of(c).name).collect();
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
            .docker
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_instance_is_called_as_its_service_and_several_by_number() {
        assert_eq!(names("web", 1), ["web"]);
        assert_eq!(names("web", 3), ["web-1", "web-2", "web-3"]);
        assert_eq!(names("web", 0), Vec::<String>::new());
    }
}
