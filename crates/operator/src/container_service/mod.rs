//! The ContainerService controller: wires the kind's steps into the reconcile pattern.

pub mod act;
pub mod converge;
pub mod logins;
pub mod nodes;
pub mod pulls;
pub mod read;
pub mod references;
pub mod sweep;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use slipway_api::conditions::STALLED;
use slipway_api::{ContainerService, ContainerServiceStatus, Node};
use slipway_drivers::Class;
use slipway_plan::container_service::definition::{self, HashKey, NeedKind};
use slipway_plan::container_service::observed::Owner;
use slipway_plan::container_service::plan::{self, ImageView, Plan, Step};
use slipway_plan::container_service::status;
use slipway_plan::container_service::validate::{self, Valid};
use slipway_plan::{Finding, Severity};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{BroadcastStream, UnboundedReceiverStream};

use crate::Error;
use crate::design::{Change, News, Party, Sites};
use crate::hosts::{self, HostChange, HostEvent};
use crate::installation::Installation;
use crate::reconcile::{self, Acted, Cache, Cleanup, Held, Key, Kind, Next, Pass, Reference, Report, calm};

use act::Target;
use converge::{Hosts, Ledger, Observed, Outcome, Tools, carry_out, hold, observe, remove};
use read::{Inputs, Reader};
use references::References;

/// How long deletion waits for a host that is away, unless the object says otherwise.
const DELETION_TIMEOUT: Duration = Duration::from_mins(5);

/// A container that starts makes several events, and a project many of them: after the first of a burst, which counts at
/// once, an object is looked at no more often than this because of events.
const BURST: Duration = Duration::from_millis(250);

/// The ContainerService kind.
pub struct ContainerServices {
    installation: Installation,
    nodes: Cache<Node>,
    hosts: hosts::Hosts,
    /// What the Designs say of the Nodes.
    sites: Sites,
    tools: Tools,
    references: References,
    /// What deletion could not remove, by object, for the Event at its end.
    left: Mutex<HashMap<Key, String>>,
    wake: mpsc::UnboundedSender<Key>,
    woken: Mutex<Option<mpsc::UnboundedReceiver<Key>>>,
}

impl ContainerServices {
    /// The kind, on the hosts of a registry.
    pub fn new(
        installation: Installation,
        nodes: Cache<Node>,
        hosts: hosts::Hosts,
        sites: Sites,
        tools: Tools,
    ) -> Self {
        let (wake, woken) = mpsc::unbounded_channel();
        Self {
            installation,
            nodes,
            hosts,
            sites,
            tools,
            references: References::default(),
            left: Mutex::default(),
            wake,
            woken: Mutex::new(Some(woken)),
        }
    }

    fn owner(&self, key: &Key) -> Owner {
        Owner { installation: self.installation.id.clone(), namespace: key.namespace.clone(), name: key.name.clone() }
    }
}

/// A valid object, and what goes with it that planning need not know.
pub struct Validated {
    /// What planning works with.
    pub valid: Valid,
    logins: Vec<slipway_drivers::docker::RegistryLogin>,
}

#[async_trait]
impl Kind for ContainerServices {
    type Object = ContainerService;
    type Inputs = Inputs;
    type Valid = Validated;
    type Observed = Observed;
    type Plan = Plan;
    type Outcome = Outcome;

    const NAME: &'static str = "containerservice";

    fn references(&self, object: &ContainerService) -> Vec<Reference> {
        let known = self.references.of(&self.owner(&Key::of(object)));
        known
            .into_iter()
            .map(|(kind, name)| match kind {
                NeedKind::Secret => Reference::Secret(name),
                NeedKind::ConfigMap => Reference::ConfigMap(name),
            })
            .collect()
    }

    fn triggers(&self, cache: &Cache<ContainerService>) -> BoxStream<'static, Key> {
        let woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner).take();
        let pulls =
            woken.map_or_else(|| stream::pending().boxed(), |woken| UnboundedReceiverStream::new(woken).boxed());
        let of_hosts = cache.clone();
        let hosts = BroadcastStream::new(self.hosts.events())
            .flat_map(move |event| stream::iter(touched(&of_hosts, event.ok())));
        let of_nodes = cache.clone();
        let nodes = nodes::changes(&self.nodes).flat_map(move |namespace| stream::iter(all(&of_nodes, namespace)));
        let (of_sites, sites) = (cache.clone(), self.sites.clone());
        let designs = BroadcastStream::new(self.sites.news())
            .flat_map(move |news| stream::iter(told(&of_sites, &sites, news.ok())));
        stream::select_all([pulls, calm(hosts.boxed(), BURST), nodes.boxed(), calm(designs.boxed(), BURST)]).boxed()
    }

    fn suspended(&self, object: &ContainerService) -> bool {
        object.spec.suspend
    }

    fn deletion_timeout(&self, object: &ContainerService) -> Duration {
        let written = object.spec.deletion.timeout.as_deref();
        written.and_then(|text| slipway_plan::duration::parse(text).ok()).unwrap_or(DELETION_TIMEOUT)
    }

    async fn read(&self, pass: &Pass<ContainerService>) -> Result<Inputs, Error> {
        let reader = Reader::new(&pass.context.client, &pass.key.namespace);
        let inputs = reader.read(&pass.object().spec).await?;
        self.references.set(&self.owner(&pass.key), inputs.references.clone());
        Ok(inputs)
    }

    fn validate(&self, object: &ContainerService, inputs: Inputs) -> Result<Validated, Error> {
        let owner = self.owner(&Key::of(object));
        validated(owner, object, inputs, &self.installation.key).map_err(Error::Invalid)
    }

    async fn observe(&self, valid: &Validated, pass: &Pass<ContainerService>) -> Result<Observed, Error> {
        let object = pass.object();
        let (nodes, targets) = self.look(&pass.key, object.spec.placement.node_selector.as_ref());
        let hosts = Hosts { nodes, targets, logins: valid.logins.clone() };
        Ok(observe(hosts, &valid.valid, pass.generation(), &pass.status()).await)
    }

    fn plan(&self, valid: &Validated, observed: &Observed, pass: &Pass<ContainerService>) -> Plan {
        let (nodes, images) = (&observed.hosts.nodes, &observed.images);
        let plan = plan::plan(&valid.valid, pass.generation(), nodes, images, &pass.status(), observed.at);
        // What is to be done where is heard by the rollouts of the Nodes' Designs, which let it be done.
        self.sites.tell(Party::Service(pass.key.clone()), pass.generation(), plan.asks.clone());
        plan
    }

    /// What cannot be used does nothing; what may pass goes on as it was.
    fn failed(&self, object: &ContainerService, error: &Error) {
        if error.class() == Class::Invalid {
            let party = Party::Service(Key::of(object));
            self.sites.tell(party, object.metadata.generation.unwrap_or_default(), BTreeMap::new());
        }
    }

    async fn act(
        &self,
        valid: &Validated,
        observed: &Observed,
        plan: &Plan,
        pass: &Pass<ContainerService>,
    ) -> Result<Outcome, Error> {
        let (wake, key) = (self.wake.clone(), pass.key.clone());
        let wake = Arc::new(move || {
            // Nobody listens any more: the controller has ended.
            let _ = wake.send(key.clone());
        });
        let outcome = carry_out(plan, &valid.valid, observed, &pass.status(), &self.tools, pass, wake).await?;
        tell(pass, &outcome.taken);
        Ok(outcome)
    }

    fn report(
        &self,
        _valid: &Validated,
        observed: &Observed,
        plan: &Plan,
        acted: &Acted<Outcome>,
        pass: &Pass<ContainerService>,
    ) -> Report<ContainerServiceStatus> {
        let (old, generation) = (pass.status(), pass.generation());
        match acted {
            Acted::Suspended => {
                Report { status: status::suspended(&old, generation, observed.at), next: Next::Settled }
            }
            Acted::Failed(error) => Report::new(old, &error.verdict(), Next::Retry, generation, observed.at),
            Acted::Done(outcome) => {
                let mut plan = plan.clone();
                plan.waits.extend(outcome.waits.clone());
                let errors: Vec<_> = observed.errors.iter().chain(&outcome.errors).cloned().collect();
                let status = status::status(&old, generation, &plan, &errors, observed.at);
                Report { status, next: next(&plan, outcome, &errors, &observed.images) }
            }
        }
    }

    async fn hold(&self, pass: &Pass<ContainerService>) -> Option<Held> {
        let object = pass.object();
        let owner = self.owner(&pass.key);
        let (nodes, targets) = self.look(&pass.key, object.spec.placement.node_selector.as_ref());
        let hosts = Hosts { nodes, targets, logins: Vec::new() };
        let (held, taken) = hold(hosts, &owner, object.spec.drift, &pass.status(), &self.tools.locks).await?;
        tell(pass, &taken);
        Some(held)
    }

    async fn cleanup(&self, pass: &Pass<ContainerService>) -> Result<Cleanup, Error> {
        let object = pass.object();
        let owner = self.owner(&pass.key);
        let (mut nodes, targets) = self.look(&pass.key, object.spec.placement.node_selector.as_ref());
        // A host that is away and was not picked is not waited for: should it have something all the same, the sweep finds it.
        nodes.0.retain(|name, node| node.matches || targets.contains_key(name));
        let mut hosts = Hosts { nodes, targets, logins: Vec::new() };
        let since = object.metadata.deletion_timestamp.as_ref().map_or_else(Timestamp::now, |time| time.0);
        let deadline = since.checked_add(self.deletion_timeout(&object)).unwrap_or(since);
        let volumes = object.spec.deletion.volumes;
        let (deletion, outcome) = remove(&mut hosts, &owner, volumes, deadline, &self.tools.locks).await;
        if !deletion.is_done() && (!deletion.overdue || outcome.errors.is_empty()) {
            return Ok(self.waiting(pass, &deletion, &outcome));
        }
        if !deletion.left.is_empty() && deletion.overdue {
            let text =
                format!("deletion ended at its deadline; swept when the host comes back: {}", left_behind(&deletion));
            pass.event(reconcile::Severity::Warning, "DeletionAbandoned", text);
        }
        Ok(Cleanup::Done)
    }

    fn abandoned(&self, object: &ContainerService) -> String {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner).remove(&Key::of(object));
        left.unwrap_or_else(|| "what it has on hosts that could not be reached".into())
    }

    fn gone(&self, key: &Key) {
        self.sites.forget(&Party::Service(key.clone()));
        self.references.forget(&self.owner(key));
        self.left.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

impl ContainerServices {
    fn look(&self, key: &Key, selector: Option<&LabelSelector>) -> (plan::Nodes, BTreeMap<String, Target>) {
        nodes::nodes(&self.nodes, &self.hosts, Some(&self.sites), &key.namespace, selector)
    }

    fn waiting(&self, pass: &Pass<ContainerService>, deletion: &plan::Deletion, outcome: &Outcome) -> Cleanup {
        let next = if outcome.taken.is_empty() { Next::Retry } else { Next::Again };
        let wait = deletion.plan.waits.first();
        let (reason, message) = match (outcome.errors.first(), wait) {
            (Some(error), _) => (error.reason.clone(), format!("{}: {}", error.host, error.message)),
            (None, Some(wait)) => (wait.reason.clone(), wait.message.clone()),
            (None, None) => ("Deleting".to_owned(), "removing containers and networks".to_owned()),
        };
        self.left.lock().unwrap_or_else(PoisonError::into_inner).insert(pass.key.clone(), left_behind(deletion));
        Cleanup::Wait { reason, message, next }
    }
}

#[async_trait]
impl Ledger for Pass<ContainerService> {
    async fn record(&self, status: &ContainerServiceStatus) -> Result<(), Error> {
        self.write(status).await
    }
}

/// Everything that planning works with, or all that is wrong. Pure; `slipway plan` uses it as well.
pub fn validated(
    owner: Owner,
    object: &ContainerService,
    inputs: Inputs,
    key: &HashKey,
) -> Result<Validated, Vec<Finding>> {
    let spec = &object.spec;
    let mut findings = inputs.findings;
    let loaded = match inputs.loaded {
        Ok(loaded) => loaded,
        Err(wrong) => {
            findings.extend(wrong);
            findings.extend(validate::validate_spec(spec));
            return Err(findings);
        }
    };
    let context = definition::Context {
        owner: &owner,
        name: &owner.name,
        environment: &spec.environment,
        files: &spec.files,
        contents: &inputs.contents,
        key,
        base: inputs.base,
    };
    let lowered = definition::lower(&loaded.project, &context);
    let valid = lowered.and_then(|definition| validate::validate_definition(owner, spec, definition));
    match valid {
        Ok(mut valid) if findings.iter().all(|finding| finding.severity == Severity::Warning) => {
            valid.warnings.extend(loaded.warnings);
            Ok(Validated { valid, logins: inputs.logins })
        }
        Ok(_) => Err(findings),
        Err(wrong) => {
            findings.extend(wrong);
            Err(findings)
        }
    }
}

/// The objects that something on a host may be news for; all of them if the news was lost.
fn touched(cache: &Cache<ContainerService>, event: Option<HostEvent>) -> Vec<Key> {
    match event {
        None => all(cache, None),
        Some(HostEvent { change: HostChange::Description, .. }) => Vec::new(),
        Some(HostEvent { change: HostChange::Room, host }) => stalled(cache, &host.namespace),
        Some(HostEvent { change: HostChange::State, host }) => all(cache, Some(host.namespace)),
        Some(HostEvent { change: HostChange::Owner(owner), .. }) => {
            Some(Key::new(owner.namespace, owner.name)).filter(|key| cache.get(key).is_some()).into_iter().collect()
        }
    }
}

/// The objects that would do something to a Node which its Design says something else of; all of the namespace, where it
/// is about more than the rollout; all of them if the news was lost.
fn told(cache: &Cache<ContainerService>, sites: &Sites, news: Option<News>) -> Vec<Key> {
    match news {
        None => all(cache, None),
        Some(News { change: Change::Word, .. }) => Vec::new(),
        Some(News { node, change: Change::Gate }) => sites.services_on(&node),
        Some(News { node, change: Change::Suspended }) => all(cache, Some(node.namespace)),
    }
}

/// The objects of a namespace, or of all.
fn all(cache: &Cache<ContainerService>, namespace: Option<String>) -> Vec<Key> {
    let objects = namespace.map_or_else(|| cache.all(), |namespace| cache.list(&namespace));
    objects.iter().map(|object| Key::of(&**object)).collect()
}

/// Those of a namespace that wait for a person.
fn stalled(cache: &Cache<ContainerService>, namespace: &str) -> Vec<Key> {
    let waits = |object: &ContainerService| {
        let conditions = object.status.iter().flat_map(|status| &status.conditions);
        conditions.into_iter().any(|condition| condition.type_ == STALLED && condition.status == "True")
    };
    cache.list(namespace).iter().filter(|object| waits(object)).map(|object| Key::of(&**object)).collect()
}

/// What a deletion would leave on the hosts if it ended now, host by host.
fn left_behind(deletion: &plan::Deletion) -> String {
    let each = deletion.left.iter().map(|(host, what)| format!("{host}: {what}"));
    each.collect::<Vec<_>>().join("; ")
}

/// One Event for what a pass has done, host by host.
fn tell(pass: &Pass<ContainerService>, taken: &[(String, Step)]) {
    let mut by_host: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (host, step) in taken {
        by_host.entry(host).or_default().push(step.to_string());
    }
    if by_host.is_empty() {
        return;
    }
    let text: Vec<_> = by_host.iter().map(|(host, steps)| format!("{host}: {}", steps.join(", "))).collect();
    pass.event(reconcile::Severity::Normal, "Applied", text.join("; "));
}

/// When to look again.
fn next(plan: &Plan, outcome: &Outcome, errors: &[status::StepError], images: &ImageView) -> Next {
    // No event tells that a registry answers again.
    let asks_again = images.0.values().any(|asked| asked.as_ref().is_err_and(|fault| !fault.needs_person));
    let until = plan.until().into_iter().chain(outcome.waits.iter().filter_map(|wait| wait.until)).min();
    if !outcome.taken.is_empty() || outcome.conflict {
        Next::Again
    } else if let Some(until) = until {
        Next::At(until)
    } else if asks_again || errors.iter().any(|error| !error.needs_person) {
        Next::Retry
    } else if !errors.is_empty() || plan.waits.iter().any(|wait| wait.needs_person) {
        Next::Person
    } else {
        Next::Settled
    }
}
