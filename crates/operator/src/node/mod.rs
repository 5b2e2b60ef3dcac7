//! The controller of Node: keeps the connection to its Docker engine and the session with its BMC, does what its spec wants
//! of the BMC, and says what both show.

mod bmc;
mod docker;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use k8s_openapi::api::core::v1::Secret;
use slipway_api::conditions::State;
use slipway_api::node::BmcEndpoint;
use slipway_api::{ContainerService, Node, NodeSpec, NodeStatus};
use slipway_drivers::docker::Address;
use slipway_drivers::{Class, DriverError};
use slipway_plan::node::bmc::{Seen, View};
use slipway_plan::node::{self, Bmc, Docker, Host, Judgement, Observed, Plan, Subject, Word};
use tokio::sync::broadcast::error::RecvError;

use crate::bmcs::Bmcs;
use crate::clock::now;
use crate::design::{News, Party, Sites};
use crate::error::Error;
use crate::hosts::{HostChange, Hosts};
use crate::reconcile::{Acted, Cache, Cleanup, Key, Kind, Next, Pass, Reference, Report, Severity};

pub(crate) use docker::{address, secret_name};

/// Time until a Node whose Design has not been compiled yet is looked at again.
const DESIGN_AWAITED: Duration = Duration::from_secs(11);

/// The controller of Node.
pub struct Nodes {
    /// The connections to Docker engines.
    pub hosts: Hosts,
    /// The sessions with BMCs.
    pub bmcs: Bmcs,
    /// Who may still use a Node that is being deleted, or powered off.
    pub services: Cache<ContainerService>,
    /// What the Designs say of their Nodes.
    pub sites: Sites,
}

/// What a Node's spec refers to.
pub struct Inputs {
    docker: Option<Secret>,
    bmc: bmc::Inputs,
}

/// A Node that can be used: the ways to it, with the credentials in them.
pub struct Reachable {
    spec: node::Valid,
    docker: Option<Address>,
    /// What is wrong with this half does not concern the other one.
    bmc: Option<Result<bmc::Way, Error>>,
}

#[async_trait]
impl Kind for Nodes {
    type Object = Node;
    type Inputs = Inputs;
    type Valid = Reachable;
    type Observed = Observed;
    type Plan = Plan;
    type Outcome = ();

    const NAME: &'static str = "node";
    const OWN_FIRST_STATUS: bool = true;

    fn references(&self, node: &Node) -> Vec<Reference> {
        let docker = secret_name(node).map(|name| Reference::Secret(name.to_owned()));
        docker.into_iter().chain(bmc::references(self.bmc(node).as_ref())).collect()
    }

    fn triggers(&self, cache: &Cache<Node>) -> BoxStream<'static, Key> {
        let all = cache.clone();
        let hosts = news(self.hosts.events(), cache.clone(), |event| {
            (!matches!(event.change, HostChange::Owner(_) | HostChange::Room)).then_some(event.host)
        });
        let designs = news(self.sites.news(), cache.clone(), |news: News| Some(news.node));
        stream::select_all([hosts, news(self.bmcs.changes(), all, Some), designs]).boxed()
    }

    /// A suspended Node is still watched, and watching is all that this controller does then: the plan knows of it.
    fn suspended(&self, _node: &Node) -> bool {
        false
    }

    /// A session ends with its Node. What stays is on the Docker host, or in the virtual drive.
    fn leaves_traces(&self, node: &Node) -> bool {
        node.spec.docker.is_some() || node.spec.virtual_media.is_some()
    }

    fn deletion_timeout(&self, node: &Node) -> Duration {
        node::validate(&node.spec).map_or(node::validate::DELETION_TIMEOUT, |valid| valid.deletion_timeout)
    }

    async fn read(&self, pass: &Pass<Node>) -> Result<Inputs, Error> {
        let docker = match secret_name(&pass.object()) {
            Some(name) => pass.secret(name).await?,
            None => None,
        };
        Ok(Inputs { docker, bmc: bmc::Inputs::read(self.bmc(&pass.object()), pass).await? })
    }

    fn validate(&self, node: &Node, inputs: Inputs) -> Result<Reachable, Error> {
        // The BMC that its Design tells of is taken for the Node's own, if it names none.
        let spec = NodeSpec { bmc: inputs.bmc.endpoint.clone(), ..node.spec.clone() };
        let spec = node::validate(&spec).map_err(Error::Invalid)?;
        let docker = spec.docker.as_ref().map(|endpoint| address(endpoint, inputs.docker)).transpose()?;
        let sent = self.sent(node);
        let bmc = spec.bmc.as_ref().and_then(|wanted| bmc::way(wanted, inputs.bmc, node, &sent).transpose());
        Ok(Reachable { spec, docker, bmc })
    }

    async fn observe(&self, valid: &Reachable, pass: &Pass<Node>) -> Result<Observed, Error> {
        let docker = valid.docker.as_ref().map(|address| {
            let current = self.hosts.is_at(&pass.key, address);
            Docker { current, host: if current { self.host(&pass.key) } else { Host::Connecting } }
        });
        let node = pass.object();
        let mut bmc = valid.bmc.as_ref().map(|way| self.session(way.as_ref(), pass));
        if let Some(session) = &mut bmc
            && node.spec.bmc.is_none()
        {
            session.facts.address = self.bmc(&node).map(|bmc| bmc.address);
        }
        Ok(Observed { docker, bmc, design: self.sites.word(&node) })
    }

    fn plan(&self, valid: &Reachable, observed: &Observed, pass: &Pass<Node>) -> Plan {
        let object = pass.object();
        let of = Subject { name: &pass.key.name, uid: object.metadata.uid.as_deref().unwrap_or_default() };
        let plan = node::plan(&valid.spec, observed, &pass.status(), of, now());
        self.tell(observed, &plan, pass);
        plan
    }

    async fn act(&self, valid: &Reachable, observed: &Observed, plan: &Plan, pass: &Pass<Node>) -> Result<(), Error> {
        match &valid.docker {
            Some(address) if plan.connect => self.hosts.connect(&pass.key, address),
            Some(_) => {}
            None => self.hosts.forget(&pass.key),
        }
        match &valid.bmc {
            Some(Ok(way)) => self.command(way, observed, plan, pass).await?,
            Some(Err(_)) | None => self.bmcs.forget(&pass.key),
        }
        for note in plan.bmc.iter().flat_map(|bmc| &bmc.notes) {
            let severity = if note.warning { Severity::Warning } else { Severity::Normal };
            pass.event(severity, note.reason, &note.text);
        }
        Ok(())
    }

    fn report(
        &self,
        valid: &Reachable,
        observed: &Observed,
        plan: &Plan,
        acted: &Acted<()>,
        pass: &Pass<Node>,
    ) -> Report<NodeStatus> {
        if let Acted::Failed(error) = acted {
            // What could not be put on record was not done.
            tracing::debug!("not done: {error}");
            return Report { status: pass.status(), next: Next::Retry };
        }
        let first_word = observed.bmc.as_ref().and_then(|session| self.first_word(session, pass));
        if let (Some(until), None) = (first_word, &observed.docker) {
            return Report { status: pass.status(), next: Next::At(until) };
        }
        let Judgement { status, state } = judge(observed, plan, pass);
        let waiting = observed.bmc.as_ref().and_then(|session| bmc::next_try(session, now()));
        let until = plan.bmc.as_ref().and_then(|bmc| bmc.until).into_iter().chain(waiting).min();
        let connecting = matches!(observed.docker, Some(Docker { host: Host::Connecting, .. }));
        let under_way = plan.bmc.as_ref().is_some_and(|bmc| bmc.awaited);
        let to_change = matches!(&valid.bmc, Some(Ok(way)) if way.is_to_change(&status));
        // A Node says that its Design is awaited, if it is for long.
        let awaited = matches!(observed.design, Word::Awaited { told: false }).then(|| now() + DESIGN_AWAITED);
        let next = match (until.into_iter().chain(awaited).min(), state) {
            _ if to_change => Next::At(now()),
            (Some(time), _) => Next::At(time),
            // Host and BMC say by an event when something is otherwise: a look now would see no more.
            (None, State::Converged) => Next::Settled,
            (None, State::Stalled) => Next::Person,
            (None, State::Progressing) if connecting || under_way || observed.bmc.is_some() => Next::Settled,
            (None, State::Progressing | State::Unknown) => Next::Retry,
        };
        Report { status, next }
    }

    /// What can never work any more must not be used any longer; what may pass leaves the connection as it is.
    fn failed(&self, node: &Node, error: &Error) {
        if error.class() == Class::Invalid {
            // What cannot be used does nothing.
            let party = Party::Node(Key::of(node));
            self.sites.tell(party, node.metadata.generation.unwrap_or_default(), BTreeMap::new());
            let trouble = DriverError::new(Class::Invalid, error.reason(), error.to_string());
            self.hosts.block(&Key::of(node), &trouble);
            self.bmcs.forget(&Key::of(node));
        }
    }

    async fn cleanup(&self, pass: &Pass<Node>) -> Result<Cleanup, Error> {
        let valid = match self.read(pass).await {
            Ok(inputs) => self.validate(&pass.object(), inputs).ok(),
            Err(_) => None,
        };
        // The services can only leave the host if there is a connection to it.
        if let Some(address) = valid.as_ref().and_then(|valid| valid.docker.as_ref()) {
            self.hosts.connect(&pass.key, address);
        }
        let users = if pass.object().spec.docker.is_some() { self.users(pass).await? } else { BTreeSet::new() };
        if !users.is_empty() {
            let names = users.into_iter().collect::<Vec<_>>().join(", ");
            let message = match self.host(&pass.key) {
                Host::Away { message, .. } => {
                    format!("ContainerServices may still run here: {names}; the host cannot be asked: {message}")
                }
                _ => format!("ContainerServices still run here: {names}; delete them, or place them elsewhere"),
            };
            let next = Next::At(pass.now() + Duration::from_secs(2));
            return Ok(Cleanup::Wait { reason: "InUse".into(), message, next });
        }
        if let Some(wait) = self.let_go(valid.as_ref(), pass).await? {
            return Ok(wait);
        }
        self.gone(&pass.key);
        Ok(Cleanup::Done)
    }

    fn abandoned(&self, node: &Node) -> String {
        let docker = node.spec.docker.as_ref().map(|docker| format!("whatever Slipway made on {}", docker.endpoint));
        let media = node.status.as_ref().and_then(|status| status.done.as_ref()?.virtual_media.as_ref());
        let media = media.map(|image| format!("the virtual media {image} at the BMC"));
        let left: Vec<_> = docker.into_iter().chain(media).collect();
        if left.is_empty() { "nothing that Slipway knows of".into() } else { left.join(", ") }
    }

    fn gone(&self, key: &Key) {
        self.sites.forget(&Party::Node(key.clone()));
        self.hosts.forget(key);
        self.bmcs.forget(key);
    }
}

impl Nodes {
    /// The BMC that a Node names, else the one that its Design tells of.
    fn bmc(&self, node: &Node) -> Option<BmcEndpoint> {
        let told = || self.sites.told(node).and_then(|told| told.bmc.clone());
        node.spec.bmc.clone().or_else(told)
    }

    /// Says to the rollout of its Design what is done, or would be. Nothing, before the BMC has shown anything.
    fn tell(&self, observed: &Observed, plan: &Plan, pass: &Pass<Node>) {
        let node = pass.object();
        let connecting = matches!(&observed.bmc, Some(Bmc { view: View { seen: Seen::Nothing, .. }, .. }));
        if node.spec.design.design_ref.is_none() || connecting {
            return;
        }
        let ask = plan.bmc.as_ref().and_then(|bmc| bmc.ask.clone());
        let asks = ask.map(|ask| (pass.key.name.clone(), ask)).into_iter().collect();
        self.sites.tell(Party::Node(pass.key.clone()), pass.generation(), asks);
    }
}

/// The whole status, by what is observed and planned.
fn judge(observed: &Observed, plan: &Plan, pass: &Pass<Node>) -> Judgement {
    node::status(&pass.status(), &pass.object().spec, observed, plan, pass.generation(), pass.now())
}

/// The keys of what has news; all of them if some were missed.
fn news<T: Clone + Send + 'static>(
    events: tokio::sync::broadcast::Receiver<T>,
    nodes: Cache<Node>,
    key: impl Fn(T) -> Option<Key> + Send + Sync + 'static,
) -> BoxStream<'static, Key> {
    let key = Arc::new(key);
    stream::unfold(events, move |mut events| {
        let (nodes, key) = (nodes.clone(), key.clone());
        async move {
            let keys = match events.recv().await {
                Ok(event) => key(event).into_iter().collect(),
                Err(RecvError::Lagged(_)) => nodes.all().iter().map(|node| Key::of(&**node)).collect(),
                Err(RecvError::Closed) => return None,
            };
            Some((stream::iter::<Vec<Key>>(keys), events))
        }
    })
    .flatten()
    .boxed()
}

#[cfg(test)]
mod tests;
