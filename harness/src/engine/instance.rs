//! Instances of a service: what they are called, and which containers they are now.

use super::{ContainerState, Engine, EngineError};
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
        match self {
            Engine::Docker(docker) => docker.instances(project, service).await,
        }
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
        match self {
            Engine::Docker(docker) => docker.container_of(project, instance).await,
        }
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
