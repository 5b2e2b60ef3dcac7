//! A Node's Docker half: the address with its credentials, and who still uses the host.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};
use slipway_api::container_service::PlacementMode;
use slipway_api::{ContainerService, Node};
use slipway_drivers::Class;
use slipway_drivers::docker::{Address, Engine, Query};
use slipway_plan::container_service::observed::Owner;
use slipway_plan::node::{Endpoint, Host};

use super::Nodes;
use crate::error::Error;
use crate::hosts::HostState;
use crate::reconcile::{Key, Pass};

impl Nodes {
    pub(super) fn host(&self, key: &Key) -> Host {
        match self.hosts.get(key).map(|host| host.state()) {
            None | Some(HostState::Connecting) => Host::Connecting,
            Some(HostState::Ready { docker, twins, .. }) => {
                Host::Ready { docker, twins: twins.iter().map(ToString::to_string).collect() }
            }
            Some(HostState::Away { class, reason, message, since }) => {
                let needs_person = matches!(class, Class::Denied | Class::Invalid);
                Host::Away { needs_person, reason, message, since }
            }
        }
    }

    /// The ContainerServices that have something on the host; if it cannot be asked, those that may.
    pub(super) async fn users(&self, pass: &Pass<Node>) -> Result<BTreeSet<String>, Error> {
        match self.hosts.get(&pass.key).map(|host| host.state()) {
            Some(HostState::Ready { engine, twins, .. }) if twins.is_empty() => self.present(&*engine, pass).await,
            // Nothing was placed here for this Node.
            Some(HostState::Ready { .. }) => Ok(BTreeSet::new()),
            _ => Ok(self.likely(&pass.object())),
        }
    }

    /// Those with containers on the host. Volumes stay behind on purpose; what belongs to no object is swept by others.
    async fn present(&self, engine: &dyn Engine, pass: &Pass<Node>) -> Result<BTreeSet<String>, Error> {
        let mut users = BTreeSet::new();
        let namespace = &pass.key.namespace;
        for owner in engine.owners(&pass.context.installation.id).await? {
            let exists = self.services.get(&Key::new(namespace, &owner.name)).is_some();
            if owner.namespace == *namespace && exists && has_containers(engine, &owner).await? {
                users.insert(owner.name);
            }
        }
        Ok(users)
    }

    /// Those that are placed on the host, by their spec and status.
    pub(super) fn likely(&self, node: &Node) -> BTreeSet<String> {
        let namespace = node.namespace().unwrap_or_default();
        let services = self.services.list(&namespace);
        services.iter().filter(|service| may_use(service, node)).map(|service| service.name_any()).collect()
    }
}

async fn has_containers(engine: &dyn Engine, owner: &Owner) -> Result<bool, Error> {
    let query = Query::owned(owner.clone());
    Ok(!engine.observe(&query).await?.containers.is_empty())
}

pub(super) fn may_use(service: &ContainerService, node: &Node) -> bool {
    let placement = &service.spec.placement;
    match placement.mode {
        PlacementMode::Replicas => {
            let placed = service.status.as_ref().map(|status| &*status.placed).unwrap_or_default();
            placed.contains(&node.name_any())
        }
        PlacementMode::Each => match placement.node_selector.clone().map(Selector::try_from) {
            None => true,
            Some(Ok(selector)) => selector.matches(node.labels()),
            // A selector that nobody understands has placed nothing.
            Some(Err(_)) => false,
        },
    }
}

/// The Secret that the endpoint needs.
pub(crate) fn secret_name(node: &Node) -> Option<&str> {
    let docker = node.spec.docker.as_ref()?;
    let tls = docker.tls.as_ref().map(|tls| &tls.secret_ref);
    let ssh = docker.ssh.as_ref().map(|ssh| &ssh.secret_ref);
    tls.or(ssh).map(|secret| secret.name.as_str())
}

/// The address with the credentials that the endpoint's Secret holds.
pub(crate) fn address(endpoint: &Endpoint, secret: Option<Secret>) -> Result<Address, Error> {
    Ok(match endpoint.clone() {
        Endpoint::Unix { path } => Address::Unix(path),
        Endpoint::PlainTcp { host, port } => Address::PlainTcp { host, port },
        Endpoint::Tls { host, port, secret: name } => {
            let mut keys = Keys::of(name, "spec.docker", secret)?;
            let (ca, cert, key) = (keys.take("ca.crt")?, keys.take("tls.crt")?, keys.take("tls.key")?);
            Address::Tls { host, port, ca, cert, key }
        }
        Endpoint::Ssh { user, host, port, secret: name } => {
            let mut keys = Keys::of(name, "spec.docker", secret)?;
            let (key, known_hosts) = (keys.take("ssh-privatekey")?, keys.take("known_hosts")?);
            Address::Ssh { user, host, port, key, known_hosts }
        }
    })
}

/// The entries of a Secret.
pub(super) struct Keys {
    name: String,
    /// The part of the spec that names it.
    field: &'static str,
    secret: Secret,
}

impl Keys {
    pub(super) fn of(name: String, field: &'static str, secret: Option<Secret>) -> Result<Self, Error> {
        let secret = secret.ok_or_else(|| {
            let message = format!("Secret {name}, which {field} names, is not there; create it");
            Error::new(Class::Invalid, "SecretMissing", message)
        })?;
        Ok(Self { name, field, secret })
    }

    pub(super) fn take(&mut self, key: &str) -> Result<Vec<u8>, Error> {
        let value =
            self.secret.data.as_mut().and_then(|data| data.remove(key)).map(|bytes| bytes.0).unwrap_or_default();
        if value.is_empty() {
            let message = format!("Secret {} has no `{key}`, which {} needs", self.name, self.field);
            return Err(Error::new(Class::Invalid, "KeyMissing", message));
        }
        Ok(value)
    }
}
