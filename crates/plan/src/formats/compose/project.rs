//! What can only be said of the project as a whole: profiles, references, cycles, conflicts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::codes;
use super::model::{Condition, MountKind, Network, Port, Project, Service};
use super::read::{Findings, shorten};
use super::service::Read;
use super::values;
use crate::finding::Finding;

/// Name of the network that services without `networks:` are in.
const DEFAULT_NETWORK: &str = "default";

/// Everything that has a name in the file, whether it could be read or not: what is broken is not undefined as well.
pub(super) struct Declared {
    pub(super) services: BTreeSet<String>,
    pub(super) networks: BTreeSet<String>,
    pub(super) volumes: BTreeSet<String>,
    pub(super) secrets: BTreeSet<String>,
    pub(super) configs: BTreeSet<String>,
}

/// Puts together the project that the profiles leave, and checks it.
pub(super) fn assemble(
    mut project: Project,
    services: BTreeMap<String, Read>,
    declared: &Declared,
    profiles: &[String],
    base: &str,
    findings: &Findings,
) -> Project {
    let check = Check { base, declared, findings };
    let active = active(&services, profiles);
    let is_filtered = !services.is_empty();
    project.services = services
        .into_iter()
        .filter(|(name, _)| active.contains(name))
        .map(|(name, read)| (name, read.service))
        .collect();
    if project.services.is_empty() && is_filtered {
        check.warn(
            codes::NO_EFFECT,
            "services",
            "no service is left: all of them belong to profiles that are not in spec.profiles",
        );
    }
    check.dependencies(&mut project);
    check.networks(&mut project);
    check.references(&mut project);
    check.cycles(&project);
    check.names(&project);
    check.ports(&project);
    project
}

/// Services without profiles, those of the chosen profiles, and what these depend on.
fn active(services: &BTreeMap<String, Read>, profiles: &[String]) -> BTreeSet<String> {
    let chosen = |read: &Read| {
        read.profiles.is_empty()
            || read.profiles.iter().any(|profile| profiles.contains(profile))
            || profiles.iter().any(|p| p == "*")
    };
    let mut active = BTreeSet::new();
    let mut next: Vec<&String> = services.iter().filter(|(_, read)| chosen(read)).map(|(name, _)| name).collect();
    while let Some(name) = next.pop() {
        let Some(read) = services.get(name) else { continue };
        if active.insert(name.clone()) {
            next.extend(read.service.depends_on.iter().filter(|(_, on)| on.required).map(|(name, _)| name));
        }
    }
    active
}

struct Check<'a> {
    base: &'a str,
    declared: &'a Declared,
    findings: &'a Findings,
}

impl Check<'_> {
    fn error(&self, code: &'static str, path: &str, message: impl Into<String>) {
        self.findings.push(Finding::error(code, format!("{}.{path}", self.base), message));
    }

    fn warn(&self, code: &'static str, path: &str, message: impl Into<String>) {
        self.findings.push(Finding::warning(code, format!("{}.{path}", self.base), message));
    }

    fn undefined(&self, path: &str, what: &str, name: &str, defined: &BTreeSet<String>) {
        let message = format!("{what} `{}` is not defined", shorten(name));
        let finding = Finding::error(codes::UNDEFINED_REFERENCE, format!("{}.{path}", self.base), message);
        self.findings.push(match values::nearest(name, defined.iter().map(String::as_str)) {
            Some(near) => finding.hint(format!("did you mean `{near}`?")),
            None if what == "the service" => finding,
            None => finding.hint(format!("add it to the top-level {}s:", what.trim_start_matches("the "))),
        });
    }

    fn dependencies(&self, project: &mut Project) {
        let active: BTreeSet<String> = project.services.keys().cloned().collect();
        let disabled: BTreeSet<String> =
            project.services.iter().filter(|(_, service)| no_health(service)).map(|(name, _)| name.clone()).collect();
        for (name, service) in &mut project.services {
            for (dependency, on) in &service.depends_on {
                let path = format!("services.{name}.depends_on");
                if !self.declared.services.contains(dependency) {
                    let shares =
                        [("network_mode", &service.network_mode), ("pid", &service.pid), ("ipc", &service.ipc)];
                    let by = shares.iter().find(|(_, mode)| mode.as_deref() == Some(&format!("service:{dependency}")));
                    let path = by.map_or(path, |(key, _)| format!("services.{name}.{key}"));
                    self.undefined(&path, "the service", dependency, &self.declared.services);
                } else if on.condition == Condition::Healthy && disabled.contains(dependency) {
                    let message =
                        format!("`{}` is awaited to be healthy, and its health check is off", shorten(dependency));
                    self.error(codes::INVALID_VALUE, &path, message);
                }
            }
            // One that is not required and whose profile is off is not waited for.
            service.depends_on.retain(|dependency, _| active.contains(dependency));
        }
    }

    /// Everybody without a network is in `default`; networks that nobody uses are not made.
    fn networks(&self, project: &mut Project) {
        let mut used = BTreeSet::new();
        for (name, service) in &mut project.services {
            if service.network_mode.is_none() && service.networks.is_empty() {
                service.networks.insert(DEFAULT_NETWORK.into(), super::model::Attachment::default());
            }
            for (network, attachment) in &service.networks {
                used.insert(network.clone());
                let path = format!("services.{name}.networks.{network}");
                match project.networks.get(network) {
                    None if network != DEFAULT_NETWORK => {
                        if !self.declared.networks.contains(network) {
                            let path = format!("services.{name}.networks");
                            self.undefined(&path, "the network", network, &self.declared.networks);
                        }
                    }
                    defined => {
                        let addresses =
                            [("ipv4_address", &attachment.ipv4_address), ("ipv6_address", &attachment.ipv6_address)];
                        for (key, address) in addresses {
                            if let Some(address) = address.as_ref().and_then(|address| address.parse().ok()) {
                                self.fixed_address(&format!("{path}.{key}"), address, defined, service.replicas);
                            }
                        }
                    }
                }
            }
        }
        if used.contains(DEFAULT_NETWORK) {
            project.networks.entry(DEFAULT_NETWORK.into()).or_default();
        }
        project.networks.retain(|name, _| used.contains(name));
    }

    /// The engine gives a fixed address only in a network whose subnet was written.
    fn fixed_address(&self, path: &str, address: IpAddr, network: Option<&Network>, replicas: u32) {
        if replicas > 1 {
            self.error(codes::INVALID_ADDRESS, path, format!("{replicas} containers cannot have one address"));
        }
        if network.is_some_and(|network| network.external) {
            return;
        }
        let pools = network.and_then(|network| network.ipam.as_ref()?.config.as_ref());
        let subnets: Vec<ipnet::IpNet> =
            pools.into_iter().flatten().filter_map(|pool| pool.subnet.as_ref()?.parse().ok()).collect();
        if !subnets.iter().any(|subnet| subnet.contains(&address)) {
            let message = format!("{address} is in none of the network's subnets");
            let finding = Finding::error(codes::INVALID_ADDRESS, format!("{}.{path}", self.base), message);
            self.findings.push(finding.hint("write the subnet under ipam.config of the top-level network"));
        }
    }

    /// Volumes, secrets and configs: those that are used must be defined, those that nobody uses are left out.
    fn references(&self, project: &mut Project) {
        let (mut volumes, mut secrets, mut configs) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (name, service) in &project.services {
            for mount in service.volumes.iter().filter(|mount| mount.kind == MountKind::Volume) {
                if let Some(source) = &mount.source
                    && volumes.insert(source.clone())
                    && !self.declared.volumes.contains(source)
                {
                    self.undefined(&format!("services.{name}.volumes"), "the volume", source, &self.declared.volumes);
                }
            }
            for (key, uses, declared, used) in [
                ("secret", &service.secrets, &self.declared.secrets, &mut secrets),
                ("config", &service.configs, &self.declared.configs, &mut configs),
            ] {
                for object in uses {
                    if used.insert(object.source.clone()) && !declared.contains(&object.source) {
                        let path = format!("services.{name}.{key}s");
                        self.undefined(&path, &format!("the {key}"), &object.source, declared);
                    }
                }
            }
        }
        project.volumes.retain(|name, _| volumes.contains(name));
        project.secrets.retain(|name, _| secrets.contains(name));
        project.configs.retain(|name, _| configs.contains(name));
    }

    fn cycles(&self, project: &Project) {
        let mut done = BTreeSet::new();
        for name in project.services.keys() {
            let mut way = Vec::new();
            if let Some(cycle) = find_cycle(&project.services, name, &mut way, &mut done) {
                let path = format!("services.{}.depends_on", cycle[0]);
                self.error(codes::DEPENDENCY_CYCLE, &path, format!("services wait for each other: {}", shown(&cycle)));
                return;
            }
        }
    }

    fn names(&self, project: &Project) {
        let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, service) in &project.services {
            let Some(container) = &service.container_name else { continue };
            let path = format!("services.{name}.container_name");
            if service.replicas > 1 {
                let message = format!("{} containers cannot have one name", service.replicas);
                self.error(codes::NAME_CONFLICT, &path, message);
            }
            if let Some(other) = taken.insert(container, name) {
                self.error(
                    codes::NAME_CONFLICT,
                    &path,
                    format!("`{}` is the name of {other} as well", shorten(container)),
                );
            }
        }
    }

    /// The same port of the host, wanted twice.
    fn ports(&self, project: &Project) {
        let mut taken: BTreeMap<(u16, &str), Vec<Listener<'_>>> = BTreeMap::new();
        for (name, service) in project.services.iter().filter(|(_, service)| service.network_mode.is_none()) {
            let path = format!("services.{name}.ports");
            for port in &service.ports {
                let Some(number) = fixed(port) else { continue };
                if service.replicas > 1 {
                    let message = format!("{} containers cannot have port {number} of one host", service.replicas);
                    let finding = Finding::error(codes::PORT_CONFLICT, format!("{}.{path}", self.base), message);
                    self.findings.push(finding.hint(format!(
                        "leave the port of the host out, or write a range: {number}-{}:{}",
                        number.saturating_add(9),
                        port.target
                    )));
                }
                let others = taken.entry((number, port.protocol.as_str())).or_default();
                if let Some((_, other)) = others.iter().find(|(ip, _)| overlap(*ip, port.host_ip)) {
                    let message =
                        format!("port {number}/{} of the host is published by {other} as well", port.protocol);
                    self.error(codes::PORT_CONFLICT, &path, message);
                }
                others.push((port.host_ip, name));
            }
        }
    }
}

/// The address of the host that a service listens on, and the service.
type Listener<'a> = (Option<IpAddr>, &'a str);

fn no_health(service: &Service) -> bool {
    service.healthcheck.as_ref().is_some_and(|check| check.test.first().is_some_and(|word| word == "NONE"))
}

/// The one port of the host that is asked for; 0 and ranges leave the choice to the engine.
fn fixed(port: &Port) -> Option<u16> {
    port.published.as_ref()?.parse().ok().filter(|number| *number != 0)
}

/// No address and the unspecified one mean all of the host.
fn overlap(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) if one.is_ipv4() == other.is_ipv4() => {
            one == other || one.is_unspecified() || other.is_unspecified()
        }
        (Some(_), Some(_)) => false,
        _ => true,
    }
}

/// Depth first; `done` are services that lead into no cycle.
fn find_cycle<'p>(
    services: &'p BTreeMap<String, Service>,
    name: &'p str,
    way: &mut Vec<&'p str>,
    done: &mut BTreeSet<&'p str>,
) -> Option<Vec<&'p str>> {
    if done.contains(name) {
        return None;
    }
    if let Some(start) = way.iter().position(|step| *step == name) {
        return Some(way[start..].to_vec());
    }
    way.push(name);
    for dependency in services.get(name)?.depends_on.keys() {
        if let Some(cycle) = find_cycle(services, dependency, way, done) {
            return Some(cycle);
        }
    }
    way.pop();
    done.insert(name);
    None
}

fn shown(cycle: &[&str]) -> String {
    let first = cycle.first().copied().unwrap_or_default();
    let mut steps: Vec<&str> = cycle.iter().copied().take(20).collect();
    steps.push(if cycle.len() > 20 { "…" } else { first });
    steps.join(" -> ")
}
