//! The controller of Node: keeps the connection that the Node describes, and says what it shows.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};
use slipway_api::conditions::State;
use slipway_api::container_service::PlacementMode;
use slipway_api::{ContainerService, Node, NodeStatus};
use slipway_drivers::docker::{Address, Engine, Query};
use slipway_drivers::{Class, DriverError};
use slipway_plan::container_service::observed::Owner;
use slipway_plan::node::{self, Endpoint, Host, Judgement, Observed, Plan};
use tokio::sync::broadcast::error::RecvError;

use crate::error::Error;
use crate::hosts::{HostChange, HostState, Hosts};
use crate::reconcile::{Acted, Cache, Cleanup, Key, Kind, Next, Pass, Reference, Report};

/// The controller of Node.
pub struct Nodes {
    /// The connections.
    pub hosts: Hosts,
    /// Who may still use a Node that is being deleted.
    pub services: Cache<ContainerService>,
}

/// A Node that can be used: its engine's address, with the credentials in it.
pub struct Connectable {
    address: Address,
}

#[async_trait]
impl Kind for Nodes {
    type Object = Node;
    type Inputs = Option<Secret>;
    type Valid = Connectable;
    type Observed = Observed;
    type Plan = Plan;
    type Outcome = ();

    const NAME: &'static str = "node";

    fn references(&self, node: &Node) -> Vec<Reference> {
        secret_name(node).map(|name| Reference::Secret(name.to_owned())).into_iter().collect()
    }

    fn triggers(&self, cache: &Cache<Node>) -> BoxStream<'static, Key> {
        let (hosts, nodes) = (self.hosts.clone(), cache.clone());
        stream::unfold(hosts.events(), move |mut events| {
            let nodes = nodes.clone();
            async move {
                let keys = match events.recv().await {
                    Ok(event) if matches!(event.change, HostChange::Owner(_) | HostChange::Room) => Vec::new(),
                    Ok(event) => vec![event.host],
                    Err(RecvError::Lagged(_)) => nodes.all().iter().map(|node| Key::of(&**node)).collect(),
                    Err(RecvError::Closed) => return None,
                };
                Some((stream::iter(keys), events))
            }
        })
        .flatten()
        .boxed()
    }

    /// A suspended Node is still watched, and watching is all that this controller does.
    fn suspended(&self, _node: &Node) -> bool {
        false
    }

    fn deletion_timeout(&self, node: &Node) -> Duration {
        node::validate(&node.spec).map_or(node::validate::DELETION_TIMEOUT, |valid| valid.deletion_timeout)
    }

    async fn read(&self, pass: &Pass<Node>) -> Result<Option<Secret>, Error> {
        match secret_name(&pass.object()) {
            Some(name) => pass.secret(name).await,
            None => Ok(None),
        }
    }

    fn validate(&self, node: &Node, secret: Option<Secret>) -> Result<Connectable, Error> {
        let spec = node::validate(&node.spec).map_err(Error::Invalid)?;
        let address = address(&spec.endpoint, secret)?;
        Ok(Connectable { address })
    }

    async fn observe(&self, valid: &Connectable, pass: &Pass<Node>) -> Result<Observed, Error> {
        let current = self.hosts.is_at(&pass.key, &valid.address);
        let host = if current { self.host(&pass.key) } else { Host::Connecting };
        Ok(Observed { current, host })
    }

    fn plan(&self, _valid: &Connectable, observed: &Observed, _pass: &Pass<Node>) -> Plan {
        node::plan(observed)
    }

    async fn act(&self, valid: &Connectable, _: &Observed, plan: &Plan, pass: &Pass<Node>) -> Result<(), Error> {
        match plan {
            Plan::Connect => self.hosts.connect(&pass.key, &valid.address),
            Plan::Keep => {}
        }
        Ok(())
    }

    fn report(
        &self,
        _valid: &Connectable,
        observed: &Observed,
        _plan: &Plan,
        _acted: &Acted<()>,
        pass: &Pass<Node>,
    ) -> Report<NodeStatus> {
        let spec = &pass.object().spec;
        let Judgement { status, state } =
            node::status(&pass.status(), spec, &observed.host, pass.generation(), pass.now());
        let next = match (&observed.host, state) {
            // The host says by an event when it is another one: a look now would see no more.
            (Host::Connecting, _) | (_, State::Converged) => Next::Settled,
            (_, State::Stalled) => Next::Person,
            (_, State::Progressing | State::Unknown) => Next::Retry,
        };
        Report { status, next }
    }

    /// What can never work any more must not be used any longer; what may pass leaves the connection as it is.
    fn failed(&self, node: &Node, error: &Error) {
        if error.class() == Class::Invalid {
            let trouble = DriverError::new(Class::Invalid, error.reason(), error.to_string());
            self.hosts.block(&Key::of(node), &trouble);
        }
    }

    async fn cleanup(&self, pass: &Pass<Node>) -> Result<Cleanup, Error> {
        // The services can only leave the host if there is a connection to it.
        if let Ok(valid) = self.read(pass).await.and_then(|secret| self.validate(&pass.object(), secret)) {
            self.hosts.connect(&pass.key, &valid.address);
        }
        let users = self.users(pass).await?;
        if users.is_empty() {
            self.hosts.forget(&pass.key);
            return Ok(Cleanup::Done);
        }
        let names = users.into_iter().collect::<Vec<_>>().join(", ");
        let message = match self.host(&pass.key) {
            Host::Away { message, .. } => {
                format!("ContainerServices may still run here: {names}; the host cannot be asked: {message}")
            }
            _ => format!("ContainerServices still run here: {names}; delete them, or place them elsewhere"),
        };
        let next = Next::At(pass.now() + Duration::from_secs(2));
        Ok(Cleanup::Wait { reason: "InUse".into(), message, next })
    }

    fn abandoned(&self, node: &Node) -> String {
        format!("whatever Slipway made on {}", node.spec.docker.endpoint)
    }

    fn gone(&self, key: &Key) {
        self.hosts.forget(key);
    }
}

impl Nodes {
    fn host(&self, key: &Key) -> Host {
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
    async fn users(&self, pass: &Pass<Node>) -> Result<BTreeSet<String>, Error> {
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
    fn likely(&self, node: &Node) -> BTreeSet<String> {
        let namespace = node.namespace().unwrap_or_default();
        let services = self.services.list(&namespace);
        services.iter().filter(|service| may_use(service, node)).map(|service| service.name_any()).collect()
    }
}

async fn has_containers(engine: &dyn Engine, owner: &Owner) -> Result<bool, Error> {
    let query =
        Query { owner: owner.clone(), images: BTreeSet::new(), networks: BTreeSet::new(), volumes: BTreeSet::new() };
    Ok(!engine.observe(&query).await?.containers.is_empty())
}

fn may_use(service: &ContainerService, node: &Node) -> bool {
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
    let docker = &node.spec.docker;
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
            let mut keys = Keys::of(name, secret)?;
            let (ca, cert, key) = (keys.take("ca.crt")?, keys.take("tls.crt")?, keys.take("tls.key")?);
            Address::Tls { host, port, ca, cert, key }
        }
        Endpoint::Ssh { user, host, port, secret: name } => {
            let mut keys = Keys::of(name, secret)?;
            let (key, known_hosts) = (keys.take("ssh-privatekey")?, keys.take("known_hosts")?);
            Address::Ssh { user, host, port, key, known_hosts }
        }
    })
}

/// The entries of a Secret.
struct Keys {
    name: String,
    secret: Secret,
}

impl Keys {
    fn of(name: String, secret: Option<Secret>) -> Result<Self, Error> {
        let secret = secret.ok_or_else(|| {
            let message = format!("Secret {name}, which spec.docker names, is not there; create it");
            Error::new(Class::Invalid, "SecretMissing", message)
        })?;
        Ok(Self { name, secret })
    }

    fn take(&mut self, key: &str) -> Result<Vec<u8>, Error> {
        let value =
            self.secret.data.as_mut().and_then(|data| data.remove(key)).map(|bytes| bytes.0).unwrap_or_default();
        if value.is_empty() {
            let message = format!("Secret {} has no `{key}`, which spec.docker needs", self.name);
            return Err(Error::new(Class::Invalid, "KeyMissing", message));
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
