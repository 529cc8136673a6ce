//! Networks: bridges without masquerading, so that ports published on 127.0.0.1 work and nothing
//! outside is reached.

use super::{Engine, EngineError, spec::Attachment};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// A network to make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkSpec {
    pub name: String,
    /// Subnets in CIDR notation with their gateways; empty lets the engine choose.
    pub subnets: Vec<(String, Option<String>)>,
    pub labels: BTreeMap<String, String>,
}

/// Name of the bridge interface that a network of ours gets, so that a rule about it can be written
/// before it is made. At most 15 characters, as the kernel demands.
pub fn bridge_name(network: &str) -> String {
    let digest = Sha256::digest(network.as_bytes());
    let hex: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    format!("fd-{hex}")
}

impl Engine {
    /// Makes a bridge network whose interface is [`bridge_name`].
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine refuses, for example because its address pools are
    /// used up.
    pub async fn create_network(&self, spec: &NetworkSpec) -> Result<(), EngineError> {
        match self {
            Engine::Docker(docker) => docker.create_network(spec).await,
        }
    }

    /// Attaches a container to a network under the attachment's names.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when either is not there.
    pub async fn attach(&self, container: &str, to: &Attachment) -> Result<(), EngineError> {
        match self {
            Engine::Docker(docker) => docker.attach(container, to).await,
        }
    }

    /// Detaches a container from a network; detaching one that is not attached does nothing.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine refuses.
    pub async fn detach(&self, container: &str, network: &str) -> Result<(), EngineError> {
        match self {
            Engine::Docker(docker) => docker.detach(container, network).await,
        }
    }

    /// Names of the networks with a label.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine does not answer.
    pub async fn networks_with(
        &self,
        key: &str,
        value: Option<&str>,
    ) -> Result<Vec<String>, EngineError> {
        match self {
            Engine::Docker(docker) => docker.networks_with(key, value).await,
        }
    }

    /// Subnets of networks that carry a label, in CIDR notation.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine does not answer.
    pub async fn subnets_with(
        &self,
        key: &str,
        value: Option<&str>,
    ) -> Result<Vec<String>, EngineError> {
        match self {
            Engine::Docker(docker) => docker.subnets_with(key, value).await,
        }
    }

    /// Runs that networks of ours belong to; `stack` selects those of one stack.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine does not answer.
    pub async fn network_runs(&self, stack: Option<&str>) -> Result<Vec<String>, EngineError> {
        match self {
            Engine::Docker(docker) => docker.network_runs(stack).await,
        }
    }

    /// Removes a network after detaching what is still attached; removing one that is not there
    /// does nothing.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine refuses.
    pub async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        match self {
            Engine::Docker(docker) => docker.remove_network(name).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_name_fits_the_kernel_and_differs_by_network() {
        let (a, b) = (
            bridge_name("firedrill-email-7f3a_default"),
            bridge_name("firedrill-email-7f3b_default"),
        );
        assert!(a.len() <= 15 && a != b, "{a} {b}");
    }
}
