//! Networks: bridges without masquerading, so that ports published on 127.0.0.1 work and nothing
//! outside is reached.

use super::{Asked, Engine, EngineError, label, spec::Attachment};
use bollard::models::{
    EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkConnectRequest,
    NetworkCreateRequest, NetworkDisconnectRequest,
};
use bollard::query_parameters::ListNetworksOptionsBuilder;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};

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
        let config = spec.subnets.iter().map(|(subnet, gateway)| IpamConfig {
            subnet: Some(subnet.clone()),
            gateway: gateway.clone(),
            ..Default::default()
        });
        let request = NetworkCreateRequest {
            name: spec.name.clone(),
            driver: Some("bridge".into()),
            ipam: (!spec.subnets.is_empty())
                .then(|| Ipam { config: Some(config.collect()), ..Default::default() }),
            options: Some(HashMap::from([
                ("com.docker.network.bridge.enable_ip_masquerade".to_owned(), "false".to_owned()),
                ("com.docker.network.bridge.name".to_owned(), bridge_name(&spec.name)),
            ])),
            labels: Some(spec.labels.clone().into_iter().collect()),
            ..Default::default()
        };
        self.docker
            .create_network(request)
            .await
            .asked(|| format!("making network {}", spec.name))
            .map(drop)
    }

    /// Attaches a container to a network under the attachment's names.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when either is not there.
    pub async fn attach(&self, container: &str, to: &Attachment) -> Result<(), EngineError> {
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(endpoint(to)),
        };
        self.docker
            .connect_network(&to.network, request)
            .await
            .asked(|| format!("attaching container {container} to network {}", to.network))
    }

    /// Detaches a container from a network; detaching one that is not attached does nothing.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine refuses.
    pub async fn detach(&self, container: &str, network: &str) -> Result<(), EngineError> {
        let request =
            NetworkDisconnectRequest { container: container.to_owned(), force: Some(true) };
        let what = || format!("detaching container {container} from network {network}");
        match self.docker.disconnect_network(network, request).await.asked(what) {
            Err(error) if !error.is_absent() && !error.to_string().contains("is not connected") => {
                Err(error)
            }
            _ => Ok(()),
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
        let options =
            ListNetworksOptionsBuilder::default().filters(&label::filter(key, value)).build();
        let seen =
            self.docker.list_networks(Some(options)).await.asked(|| "listing networks".into())?;
        Ok(seen.into_iter().filter_map(|network| network.name).collect())
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
        let options =
            ListNetworksOptionsBuilder::default().filters(&label::filter(key, value)).build();
        let seen =
            self.docker.list_networks(Some(options)).await.asked(|| "listing networks".into())?;
        let configs = seen.into_iter().filter_map(|n| n.ipam?.config).flatten();
        Ok(configs.filter_map(|c| c.subnet).collect())
    }

    /// Runs that networks of ours belong to; `stack` selects those of one stack.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine does not answer.
    pub async fn network_runs(&self, stack: Option<&str>) -> Result<Vec<String>, EngineError> {
        let (key, value) = stack.map_or((label::RUN, None), |stack| (label::STACK, Some(stack)));
        let options =
            ListNetworksOptionsBuilder::default().filters(&label::filter(key, value)).build();
        let seen =
            self.docker.list_networks(Some(options)).await.asked(|| "listing networks".into())?;
        Ok(seen.into_iter().filter_map(|network| network.labels?.remove(label::RUN)).collect())
    }

    /// Removes a network after detaching what is still attached; removing one that is not there
    /// does nothing.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when the engine refuses.
    pub async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        match self
            .docker
            .inspect_network(name, None)
            .await
            .asked(|| format!("looking at network {name}"))
        {
            Err(error) if error.is_absent() => return Ok(()),
            Err(error) => return Err(error),
            Ok(seen) => {
                for container in seen.containers.unwrap_or_default().keys() {
                    self.detach(container, name).await?;
                }
            }
        }
        match self.docker.remove_network(name).await.asked(|| format!("removing network {name}")) {
            Err(error) if !error.is_absent() => Err(error),
            _ => Ok(()),
        }
    }
}

pub(super) fn endpoint(attachment: &Attachment) -> EndpointSettings {
    EndpointSettings {
        aliases: Some(attachment.aliases.clone()),
        links: (!attachment.links.is_empty()).then(|| attachment.links.clone()),
        ipam_config: attachment.ipv4.as_ref().map(|address| EndpointIpamConfig {
            ipv4_address: Some(address.clone()),
            ..Default::default()
        }),
        ..Default::default()
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
