//! Docker's networks.

use super::{Asked, Docker};
use crate::engine::network::{NetworkSpec, bridge_name};
use crate::engine::spec::Attachment;
use crate::engine::{EngineError, label};
use bollard::models::{
    EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkConnectRequest,
    NetworkCreateRequest, NetworkDisconnectRequest,
};
use bollard::query_parameters::ListNetworksOptionsBuilder;
use std::collections::HashMap;

impl Docker {
    pub(in crate::engine) async fn create_network(
        &self,
        spec: &NetworkSpec,
    ) -> Result<(), EngineError> {
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
        self.client
            .create_network(request)
            .await
            .asked(|| format!("making network {}", spec.name))
            .map(drop)
    }

    pub(in crate::engine) async fn attach(
        &self,
        container: &str,
        to: &Attachment,
    ) -> Result<(), EngineError> {
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(endpoint(to)),
        };
        self.client
            .connect_network(&to.network, request)
            .await
            .asked(|| format!("attaching container {container} to network {}", to.network))
    }

    pub(in crate::engine) async fn detach(
        &self,
        container: &str,
        network: &str,
    ) -> Result<(), EngineError> {
        let request =
            NetworkDisconnectRequest { container: container.to_owned(), force: Some(true) };
        let what = || format!("detaching container {container} from network {network}");
        match self.client.disconnect_network(network, request).await.asked(what) {
            Err(error) if !error.is_absent() && !error.to_string().contains("is not connected") => {
                Err(error)
            }
            _ => Ok(()),
        }
    }

    pub(in crate::engine) async fn networks_with(
        &self,
        key: &str,
        value: Option<&str>,
    ) -> Result<Vec<String>, EngineError> {
        let options =
            ListNetworksOptionsBuilder::default().filters(&label::filter(key, value)).build();
        let seen =
            self.client.list_networks(Some(options)).await.asked(|| "listing networks".into())?;
        Ok(seen.into_iter().filter_map(|network| network.name).collect())
    }

    pub(in crate::engine) async fn subnets_with(
        &self,
        key: &str,
        value: Option<&str>,
    ) -> Result<Vec<String>, EngineError> {
        let options =
            ListNetworksOptionsBuilder::default().filters(&label::filter(key, value)).build();
        let seen =
            self.client.list_networks(Some(options)).await.asked(|| "listing networks".into())?;
        let configs = seen.into_iter().filter_map(|n| n.ipam?.config).flatten();
        Ok(configs.filter_map(|c| c.subnet).collect())
    }

    pub(in crate::engine) async fn network_runs(
        &self,
        stack: Option<&str>,
    ) -> Result<Vec<String>, EngineError> {
        let (key, value) = stack.map_or((label::RUN, None), |stack| (label::STACK, Some(stack)));
        let options =
            ListNetworksOptionsBuilder::default().filters(&label::filter(key, value)).build();
        let seen =
            self.client.list_networks(Some(options)).await.asked(|| "listing networks".into())?;
        Ok(seen.into_iter().filter_map(|network| network.labels?.remove(label::RUN)).collect())
    }

    pub(in crate::engine) async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        match self
            .client
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
        match self.client.remove_network(name).await.asked(|| format!("removing network {name}")) {
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
