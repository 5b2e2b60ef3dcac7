//! Conflicts: what is in the way on a host, named before anything is made there.

use bollard_stubs::models::PortBinding;

use super::Wait;
use crate::container_service::definition::{Container, Definition};
use crate::container_service::observed::{self, Host, Other, Owner};
use crate::container_service::validate::{ports_clash, show_port};

/// What is in the way of making containers on a host. `missing`: those that would be made, by service.
pub(super) fn conflicts<'a>(
    owner: &Owner,
    definition: &Definition,
    node: &str,
    host: &Host,
    missing: impl Iterator<Item = (&'a str, &'a Container)>,
) -> Vec<Wait> {
    let mut found = Vec::new();
    let mut person = |service: &str, reason: &'static str, message: String| {
        let wait = Wait::on(node, reason, message);
        found.push(Wait { service: service.into(), needs_person: true, ..wait });
    };
    let project = definition.project.as_str();
    // Who was there first keeps the project's name.
    if host.containers.is_empty()
        && let Some(other) = host.others.iter().find(|o| o.project.as_deref() == Some(project))
    {
        let message =
            format!("project name {project} is taken by {}; set another `name` in the Compose file", who(other));
        person("", "ProjectTaken", message);
    }
    for (name, network) in &definition.networks {
        match (host.networks.get(name), network.external) {
            (None, true) => person(
                "",
                "ExternalNetworkMissing",
                format!("external network {name} does not exist; create it on the host"),
            ),
            (Some(there), false) if there.owner.as_ref() != Some(owner) => person(
                "",
                "NetworkTaken",
                format!("network {name} exists and is not this service's; remove it, or declare it `external: true`"),
            ),
            _ => {}
        }
    }
    for (name, volume) in &definition.volumes {
        match (host.volumes.get(name), volume.external) {
            (None, true) => person(
                "",
                "ExternalVolumeMissing",
                format!("external volume {name} does not exist; create it on the host"),
            ),
            // What Compose made for this very project is taken over, so that its data are; it is never removed.
            (Some(there), false)
                if there.owner.as_ref() != Some(owner)
                    && (there.owner.is_some() || there.project.as_deref() != Some(project)) =>
            {
                person(
                    "",
                    "VolumeTaken",
                    format!("volume {name} exists and is not this service's; declare it `external: true` to use it"),
                );
            }
            _ => {}
        }
    }
    for (service, container) in missing {
        if let Some(other) = name_taken(host, &container.name) {
            let message = format!("container name {} is taken by {}", container.name, who(other));
            person(service, "ContainerNameTaken", message);
        }
        if let Some(message) = port_taken(host, container) {
            person(service, "HostPortTaken", message);
        }
    }
    found
}

/// Somebody else's container of that name.
pub(super) fn name_taken<'a>(host: &'a Host, name: &str) -> Option<&'a Other> {
    host.others.iter().find(|o| o.name == name)
}

/// The first host port of a container that somebody else has, and who.
pub(super) fn port_taken(host: &Host, container: &Container) -> Option<String> {
    container.host_ports.iter().find_map(|port| {
        let other = host.others.iter().find(|o| o.host_ports.iter().any(|p| ports_clash(p, port)))?;
        Some(format!("host port {} is taken by {}", show_port(port), who(other)))
    })
}

/// The host ports that a container of ours takes while it is up, as `(address, port, protocol)`.
pub(super) fn published(container: &observed::Container) -> Vec<(String, u16, String)> {
    let bindings = container.host_config.port_bindings.iter().flatten();
    let listeners = bindings.flat_map(|(target, listeners)| {
        let protocol = target.split_once('/').map_or("tcp", |(_, protocol)| protocol);
        listeners.iter().flatten().map(move |listener| (protocol, listener))
    });
    let one = |(protocol, listener): (&str, &PortBinding)| {
        let address = listener.host_ip.clone().unwrap_or_default();
        let address = if matches!(address.as_str(), "0.0.0.0" | "::") { String::new() } else { address };
        Some((address, listener.host_port.as_deref()?.parse().ok()?, protocol.to_owned()))
    };
    listeners.filter_map(one).collect()
}

fn who(other: &Other) -> String {
    match (&other.owner, &other.project) {
        (Some(owner), _) => format!("ContainerService {}/{} (container {})", owner.namespace, owner.name, other.name),
        (None, Some(project)) => format!("Compose project {project} (container {})", other.name),
        (None, None) => format!("container {}", other.name),
    }
}
