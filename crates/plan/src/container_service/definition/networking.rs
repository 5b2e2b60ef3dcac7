//! Networks: the project's own, and a container's place in them; ports.

use std::collections::{BTreeMap, HashMap};

use bollard_stubs::models::{EndpointIpamConfig, EndpointSettings, NetworkCreateRequest, PortBinding, PortMap};
use slipway_api::labels::REVISION;

use super::hash::SHORT;
use super::labels::{self, CONFIG_HASH};
use super::lower::Context;
use super::names::Names;
use super::{Network, list, map};
use crate::formats::compose::model::{self, Attachment, Port, Service};

/// Key of the network that services are in which name none.
const DEFAULT: &str = "default";

/// The networks of a project, by name on the engine.
pub(super) fn networks(
    project: &model::Project,
    names: &Names<'_>,
    context: &Context<'_>,
) -> BTreeMap<String, Network> {
    let implicit = model::Network::default();
    let has_default = project.networks.contains_key(DEFAULT);
    let uses_default =
        project.services.values().any(|service| service.networks.is_empty() && service.network_mode.is_none());
    let default = (uses_default && !has_default).then_some((DEFAULT, &implicit));
    let written = project.networks.iter().map(|(key, network)| (key.as_str(), network));
    written.chain(default).map(|(key, it)| (names.network(key), network(key, it, names, context))).collect()
}

fn network(key: &str, network: &model::Network, names: &Names<'_>, context: &Context<'_>) -> Network {
    let mut body = NetworkCreateRequest {
        name: names.network(key),
        driver: network.driver.clone(),
        internal: Some(network.internal),
        attachable: Some(network.attachable),
        ipam: network.ipam.clone(),
        enable_ipv4: network.enable_ipv4,
        enable_ipv6: network.enable_ipv6,
        options: map(&network.driver_opts),
        ..NetworkCreateRequest::default()
    };
    let mut own = labels::network(names, context.owner, key, &network.labels);
    let hash = context.key.hash(&(&body, labels::identity(&own)));
    let short = hash[..SHORT].to_owned();
    own.insert(CONFIG_HASH.to_owned(), hash);
    own.insert(REVISION.to_owned(), short.clone());
    body.labels = Some(own);
    Network { external: network.external, body, hash: short }
}

/// A container's place in networks.
pub(super) struct Place {
    /// `HostConfig.NetworkMode`.
    pub mode: String,
    /// By name on the engine; the first is the one that the container is created in.
    pub endpoints: Vec<(String, EndpointSettings)>,
    /// `Config.MacAddress` for engines before API 1.44.
    pub mac_address: Option<String>,
}

/// Where the container of a service is to be.
pub(super) fn place(key: &str, service: &Service, names: &Names<'_>, container: &str) -> Place {
    if let Some(mode) = &service.network_mode {
        let mac_address = service.mac_address.clone();
        return Place { mode: names.namespace(mode), endpoints: Vec::new(), mac_address };
    }
    let implicit = BTreeMap::from([(DEFAULT.to_owned(), Attachment::default())]);
    let attachments = if service.networks.is_empty() { &implicit } else { &service.networks };
    let mut endpoints: Vec<_> = by_priority(attachments)
        .into_iter()
        .map(|(network, attachment)| (names.network(network), endpoint(key, attachment, container)))
        .collect();
    // The service's own MAC address is that of its first endpoint, which is also the one that old engines know.
    if let Some((_, first)) = endpoints.first_mut()
        && first.mac_address.is_none()
    {
        first.mac_address.clone_from(&service.mac_address);
    }
    let mode = endpoints.first().map(|(name, _)| name.clone()).unwrap_or_default();
    let mac_address = endpoints.first().and_then(|(_, endpoint)| endpoint.mac_address.clone());
    Place { mode, endpoints, mac_address }
}

/// The highest priority first, then by name.
fn by_priority(attachments: &BTreeMap<String, Attachment>) -> Vec<(&str, &Attachment)> {
    let mut sorted: Vec<_> = attachments.iter().map(|(network, attachment)| (network.as_str(), attachment)).collect();
    sorted.sort_by_key(|(network, attachment)| (std::cmp::Reverse(attachment.priority), *network));
    sorted
}

fn endpoint(key: &str, attachment: &Attachment, container: &str) -> EndpointSettings {
    let aliases = [container, key].into_iter().chain(attachment.aliases.iter().map(String::as_str));
    let written = *attachment != Attachment::default();
    EndpointSettings {
        aliases: Some(aliases.map(str::to_owned).collect()),
        ipam_config: written.then(|| EndpointIpamConfig {
            ipv4_address: attachment.ipv4_address.clone(),
            ipv6_address: attachment.ipv6_address.clone(),
            link_local_ips: list(attachment.link_local_ips.clone()),
        }),
        mac_address: attachment.mac_address.clone(),
        driver_opts: map(&attachment.driver_opts),
        ..EndpointSettings::default()
    }
}

/// Ports that the container listens on.
pub(super) fn exposed_ports(service: &Service) -> Option<Vec<String>> {
    let mut ports: Vec<_> = service.expose.iter().cloned().chain(service.ports.iter().map(container_port)).collect();
    ports.sort_unstable();
    ports.dedup();
    (!ports.is_empty()).then_some(ports)
}

/// Which ports of the host lead to which of the container.
pub(super) fn port_bindings(service: &Service) -> PortMap {
    let mut bindings = HashMap::<String, Vec<PortBinding>>::new();
    for port in &service.ports {
        bindings.entry(container_port(port)).or_default().push(PortBinding {
            host_ip: Some(port.host_ip.map(|ip| ip.to_string()).unwrap_or_default()),
            host_port: Some(port.published.clone().unwrap_or_default()),
        });
    }
    bindings.into_iter().map(|(port, bindings)| (port, Some(bindings))).collect()
}

fn container_port(port: &Port) -> String {
    format!("{}/{}", port.target, port.protocol)
}

/// The fixed ports of the host that it takes. From a range the engine picks one that is free.
pub(super) fn host_ports(service: &Service) -> Vec<(String, u16, String)> {
    let fixed = service.ports.iter().filter_map(|port| {
        let number = port.published.as_ref()?.parse().ok().filter(|number| *number != 0)?;
        // All addresses is all addresses, in whatever way it is written.
        let address = port.host_ip.filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string()).unwrap_or_default();
        Some((address, number, port.protocol.clone()))
    });
    fixed.collect()
}

/// A fixed address in a network, which two containers cannot have at one time.
pub(super) fn fixed_address(service: &Service) -> Option<String> {
    let own = service.mac_address.as_ref().map(|mac| format!("the MAC address {mac}"));
    own.or_else(|| {
        service.networks.iter().find_map(|(network, at)| {
            let address = at.ipv4_address.as_ref().or(at.ipv6_address.as_ref()).or(at.mac_address.as_ref())?;
            Some(format!("the address {address} in network {network}"))
        })
    })
}
