//! The controller of Design: keeps each compiled, says what is wrong with it and what its Nodes are to be, keeps the last
//! good model, and lets Nodes be disrupted in the order and within the budgets of the rollout.

mod compiled;
mod parts;
mod revisions;
mod rollout;
mod sites;
mod triggers;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use kube::{Resource, ResourceExt};
use slipway_api::conditions::{STALLED, find, is_ready};
use slipway_api::design::{CompiledModel, IncludeSource, NodeCounts};
use slipway_api::{ContainerService, Design, DesignStatus, Node};
use slipway_plan::design::namespace::{Addresses, shared_addresses};
use slipway_plan::design::{kept, status};
use slipway_plan::{Finding, Severity};

use self::compiled::{Compiled, Model, by_node};
use self::parts::Parts;
use self::revisions::Kept;
use self::rollout::{Let, Rolling};
use crate::clock::now;
use crate::error::Error;
use crate::reconcile::{Acted, Cache, Cleanup, Key, Kind, Next, Pass, Reference, Report};

pub use self::sites::{Change, Leave, News, Party, Site, Sites};

/// How long deletion waits when nothing is written.
const DELETION_TIMEOUT: Duration = Duration::from_mins(5);
/// Time between looks at a deletion that waits for Nodes.
const DELETING: Duration = Duration::from_secs(5);
/// Nodes that are named in a message.
const NAMED: usize = 5;

/// The controller of Design.
pub struct Designs {
    /// The Designs.
    pub designs: Cache<Design>,
    /// Who follows them.
    pub nodes: Cache<Node>,
    /// Who else acts on the Nodes.
    pub services: Cache<ContainerService>,
    /// What is said to all of them.
    pub sites: Sites,
    memory: Mutex<HashMap<Key, Arc<Mutex<Memory>>>>,
    wake: triggers::Wake,
}

/// What is remembered of a Design, to do nothing twice.
#[derive(Default)]
struct Memory {
    compiled: Option<Compiled>,
    /// The last model without errors, with its generation; the newest one while there are none.
    good: Option<(i64, Arc<Model>)>,
    config_maps: BTreeSet<String>,
    /// Static addresses, with their Nodes.
    addresses: Arc<Addresses>,
    /// When what rollouts depend on changed last.
    changed: Option<Timestamp>,
}

/// What the spec refers to.
pub struct Inputs {
    parts: Parts,
    nodes: Vec<Arc<Node>>,
    part_of: Option<String>,
}

/// What was made of it.
pub struct Observed {
    nodes: Vec<Arc<Node>>,
    part_of: Option<String>,
    findings: Vec<Finding>,
    /// The model that the Nodes run on, with its generation.
    good: Option<(i64, Arc<Model>)>,
    /// The model to be kept, if that is not the one that is kept already.
    pack: Option<Vec<u8>>,
    is_valid: bool,
    /// The newest generation asks for a rollout, be it valid or not.
    wants_rollout: bool,
    counts: NodeCounts,
    rolling: Rolling,
}

/// What is let.
pub struct Plan(Let);

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Designs {
    /// The controller, over the objects that there are.
    pub fn new(designs: Cache<Design>, nodes: Cache<Node>, services: Cache<ContainerService>, sites: Sites) -> Self {
        Self { designs, nodes, services, sites, memory: Mutex::default(), wake: triggers::Wake::default() }
    }

    fn memory(&self) -> MutexGuard<'_, HashMap<Key, Arc<Mutex<Memory>>>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory_of(&self, key: &Key) -> Arc<Mutex<Memory>> {
        self.memory().entry(key.clone()).or_default().clone()
    }

    /// The Nodes whose designRef names a Design.
    fn nodes_of(&self, key: &Key) -> Vec<Arc<Node>> {
        let is_of =
            |node: &Arc<Node>| node.spec.design.design_ref.as_ref().is_some_and(|reference| reference.name == key.name);
        self.nodes.list(&key.namespace).into_iter().filter(is_of).collect()
    }

    /// Compiles what changed, aside from the threads that others wait for. Says whether other addresses are in use.
    async fn compile(&self, inputs: &Inputs, pass: &Pass<Design>) -> Result<bool, Error> {
        let (memory, nodes, parts) = (self.memory_of(&pass.key), inputs.nodes.clone(), inputs.parts.clone());
        let (generation, now) = (pass.generation(), now());
        let work = move || {
            let config_maps = parts.config_maps.clone();
            // Not kept locked meanwhile: others look into the memory, too.
            let taken = lock(&memory).compiled.take();
            let (compiled, changed) = match taken {
                Some(mut compiled) => {
                    let changed = compiled.update(parts, &nodes);
                    (compiled, changed)
                }
                None => (Compiled::new(parts, &nodes), true),
            };
            let mut memory = lock(&memory);
            memory.config_maps = config_maps;
            if changed {
                memory.changed = Some(now);
            }
            if compiled.is_valid() {
                memory.good = Some((generation, compiled.model.clone()));
            }
            let before = std::mem::replace(&mut memory.addresses, compiled.addresses.clone());
            let others_hear = before != compiled.addresses;
            memory.compiled = Some(compiled);
            others_hear
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Error::Panicked)
    }

    /// The last good model, from where it is kept if this process has not seen it.
    async fn last_good(&self, pass: &Pass<Design>) -> Result<Option<(i64, Arc<Model>)>, Error> {
        let memory = self.memory_of(&pass.key);
        let known = || lock(&memory).good.clone();
        let recorded = pass.status().model;
        if let (None, Some(recorded)) = (known(), &recorded)
            && let Some(kept) = revisions::load(pass, Some(&recorded.hash)).await?
        {
            let generation = kept.generation;
            let model = tokio::task::spawn_blocking(move || kept::unpack(&kept.site).map(|it| Model::of(&it, None)));
            match model.await.map_err(|_| Error::Panicked)? {
                Ok(model) => {
                    lock(&memory).good = Some((generation, Arc::new(model)));
                }
                Err(reason) => tracing::warn!("the kept model of Design {} cannot be read: {reason}", pass.key),
            }
        }
        Ok(known())
    }

    /// What is wrong between the Designs of the namespace, of this one.
    fn shared(&self, key: &Key) -> Vec<Finding> {
        let memories: Vec<_> = self.memory().iter().map(|(key, memory)| (key.clone(), memory.clone())).collect();
        let addresses: Vec<_> = memories
            .into_iter()
            .filter(|(other, _)| other.namespace == key.namespace && self.designs.get(other).is_some())
            .map(|(other, memory)| (other.name, lock(&memory).addresses.clone()))
            .collect();
        let addresses: Vec<_> = addresses.iter().map(|(name, addresses)| (name.as_str(), &**addresses)).collect();
        let found = shared_addresses(&addresses).into_iter().filter(|(name, _)| *name == key.name);
        found.map(|(_, finding)| finding).collect()
    }
}

#[async_trait]
impl Kind for Designs {
    type Object = Design;
    type Inputs = Inputs;
    type Valid = Inputs;
    type Observed = Observed;
    type Plan = Plan;
    type Outcome = ();

    const NAME: &'static str = "design";
    const OWN_FIRST_STATUS: bool = true;

    fn references(&self, design: &Design) -> Vec<Reference> {
        let own = design.spec.include.iter().filter_map(|include| match include {
            IncludeSource::ConfigMapKeyRef(reference) => Some(reference.name.clone()),
            IncludeSource::DesignRef(_) => None,
        });
        let memory = self.memory().get(&Key::of(design)).cloned();
        let read = memory.map(|memory| lock(&memory).config_maps.clone());
        let names: BTreeSet<String> = own.chain(read.into_iter().flatten()).collect();
        names.into_iter().map(Reference::ConfigMap).collect()
    }

    fn triggers(&self, _cache: &Cache<Design>) -> BoxStream<'static, Key> {
        triggers::all(self)
    }

    /// Its Nodes are what is suspended: it is compiled all the same.
    fn suspended(&self, _design: &Design) -> bool {
        false
    }

    fn deletion_timeout(&self, design: &Design) -> Duration {
        let written = design.spec.deletion.as_ref().and_then(|deletion| deletion.timeout.as_deref());
        written.and_then(|text| slipway_plan::duration::parse(text).ok()).unwrap_or(DELETION_TIMEOUT)
    }

    async fn read(&self, pass: &Pass<Design>) -> Result<Inputs, Error> {
        // Before that, the site would seem to have no Nodes.
        tokio::join!(self.nodes.ready(), self.services.ready());
        let part_of = parts::part_of(&self.designs.list(&pass.key.namespace), &pass.key.name);
        let parts = parts::read(&self.designs, pass).await?;
        Ok(Inputs { parts, nodes: self.nodes_of(&pass.key), part_of })
    }

    /// What is wrong with a site is what comes of a pass, and stops none.
    fn validate(&self, _design: &Design, inputs: Inputs) -> Result<Inputs, Error> {
        Ok(inputs)
    }

    async fn observe(&self, inputs: &Inputs, pass: &Pass<Design>) -> Result<Observed, Error> {
        if inputs.part_of.is_some() {
            self.memory().remove(&pass.key);
            return Ok(Observed::of_part(inputs));
        }
        if self.compile(inputs, pass).await? {
            self.wake.others(&pass.key, &self.designs);
        }
        let good = self.last_good(pass).await?;
        let mut findings = self.shared(&pass.key);
        let memory = self.memory_of(&pass.key);
        let memory = lock(&memory);
        let Some(compiled) = &memory.compiled else { return Err(Error::Panicked) };
        findings.extend(compiled.findings.iter().cloned());
        findings.sort_by(|a, b| (a.severity, &a.object, &a.path).cmp(&(b.severity, &b.object, &b.path)));
        let is_valid = compiled.is_valid();
        let recorded = pass.status().model;
        let is_kept = recorded.is_some_and(|kept| kept.hash == compiled.model.hash);
        let rolling = self.look(&pass.key, &inputs.nodes, good.as_ref().map(|(_, model)| &**model), memory.changed);
        Ok(Observed {
            nodes: inputs.nodes.clone(),
            part_of: None,
            pack: (is_valid && !is_kept).then(|| compiled.pack()),
            findings,
            good,
            is_valid,
            wants_rollout: compiled.model.rollout.is_some(),
            counts: counts(&inputs.nodes),
            rolling,
        })
    }

    fn plan(&self, _inputs: &Inputs, observed: &Observed, pass: &Pass<Design>) -> Plan {
        if observed.good.is_none() && observed.wants_rollout {
            return Plan(Let::nobody(&pass.key.name, pass.status().rollout));
        }
        let record = pass.status().rollout.unwrap_or_default();
        let model = observed.good.as_ref().map(|(_, model)| &**model);
        // What is asked of the rollout now is in the spec that is in force now, if only by its name.
        let retry = pass.object().spec.rollout.clone();
        Plan(Let::of(&observed.rolling, model, retry.as_ref(), &record, now()))
    }

    async fn act(&self, _inputs: &Inputs, observed: &Observed, plan: &Plan, pass: &Pass<Design>) -> Result<(), Error> {
        if let (Some(site), Some((generation, model))) = (&observed.pack, &observed.good) {
            let kept = Kept { hash: model.hash.clone(), generation: *generation, site: site.clone() };
            revisions::keep(pass, &kept).await?;
        }
        // On record before anybody is let.
        if pass.status().rollout != plan.0.record {
            let Report { status, .. } = judge(observed, plan, pass);
            pass.write(&status).await?;
        }
        self.sites.publish(&pass.key, site(observed, plan, pass), &observed.nodes);
        Ok(())
    }

    fn report(
        &self,
        _inputs: &Inputs,
        observed: &Observed,
        plan: &Plan,
        acted: &Acted<()>,
        pass: &Pass<Design>,
    ) -> Report<DesignStatus> {
        if let Acted::Failed(error) = acted {
            tracing::warn!("Design {}: {error}", pass.key);
            return Report { status: pass.status(), next: Next::Retry };
        }
        judge(observed, plan, pass)
    }

    async fn cleanup(&self, pass: &Pass<Design>) -> Result<Cleanup, Error> {
        let users = self.users(&pass.key);
        if !users.is_empty() {
            let message = format!("still in use by {}; delete them, or change what refers to it", named(&users));
            let next = Next::At(pass.now() + DELETING);
            return Ok(Cleanup::Wait { reason: "InUse".into(), message, next });
        }
        revisions::remove(pass, |_| true).await?;
        self.gone(&pass.key);
        Ok(Cleanup::Done)
    }

    fn abandoned(&self, design: &Design) -> String {
        let users = self.users(&Key::of(design));
        if users.is_empty() { "its kept model".into() } else { format!("{}, which still refer to it", named(&users)) }
    }

    fn gone(&self, key: &Key) {
        self.memory().remove(key);
        self.sites.withdraw(key, &self.nodes_of(key));
        self.wake.others(key, &self.designs);
    }
}

impl Designs {
    /// Who refers to a Design.
    fn users(&self, key: &Key) -> Vec<String> {
        let nodes = self.nodes_of(key).into_iter().filter(|node| node.meta().deletion_timestamp.is_none());
        let includes = |design: &Arc<Design>| {
            let is_it =
                |include: &IncludeSource| matches!(include, IncludeSource::DesignRef(it) if it.name == key.name);
            design.meta().deletion_timestamp.is_none()
                && design.name_any() != key.name
                && design.spec.include.iter().any(is_it)
        };
        let designs = self.designs.list(&key.namespace).into_iter().filter(includes);
        let designs = designs.map(|design| format!("Design {}", design.name_any()));
        let mut users: Vec<String> = nodes.map(|node| format!("Node {}", node.name_any())).chain(designs).collect();
        users.sort();
        users
    }
}

impl Observed {
    fn of_part(inputs: &Inputs) -> Self {
        Self {
            nodes: inputs.nodes.clone(),
            part_of: inputs.part_of.clone(),
            findings: Vec::new(),
            good: None,
            pack: None,
            is_valid: true,
            wants_rollout: false,
            counts: NodeCounts::default(),
            rolling: Rolling::default(),
        }
    }
}

/// What is said to the Nodes.
fn site(observed: &Observed, plan: &Plan, pass: &Pass<Design>) -> Site {
    let good = observed.good.as_ref();
    let last_good = good.filter(|_| !observed.is_valid).map(|(generation, _)| *generation);
    Site {
        part_of: observed.part_of.clone(),
        suspended: pass.object().spec.suspend,
        model: good.map(|(_, model)| model.clone()),
        last_good,
        findings: by_node(&observed.findings),
        gate: plan.0.gate(),
    }
}

/// The status, and when to look again.
fn judge(observed: &Observed, plan: &Plan, pass: &Pass<Design>) -> Report<DesignStatus> {
    let (mut status, generation) = (pass.status(), pass.generation());
    let object = pass.object();
    if let Some(other) = &observed.part_of {
        let status = DesignStatus { conditions: status.conditions, ..DesignStatus::default() };
        return Report::new(status, &status::included(other), Next::Settled, generation, pass.now());
    }
    status.nodes = Some(observed.counts.clone());
    status.model = observed
        .good
        .as_ref()
        .map(|(generation, model)| CompiledModel { hash: model.hash.clone(), generation: *generation });
    status::show(&mut status, &observed.findings);
    status.groups.clone_from(&plan.0.groups);
    status.rollout.clone_from(&plan.0.record);
    let verdict = status::verdict(&status::Standing {
        findings: &observed.findings,
        nodes: &observed.counts,
        model: observed.good.as_ref().map(|(generation, _)| *generation),
        groups: &plan.0.groups,
        moving: plan.0.moving,
        paused: object.spec.rollout.as_ref().is_some_and(|rollout| rollout.paused),
        suspended: object.spec.suspend,
    });
    let is_wrong = observed.findings.iter().any(|finding| finding.severity == Severity::Error);
    let next = match plan.0.again {
        Some(time) => Next::At(time),
        None if is_wrong => Next::Person,
        None => Next::Settled,
    };
    Report::new(status, &verdict, next, generation, pass.now())
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn counts(nodes: &[Arc<Node>]) -> NodeCounts {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let conditions =
        |node: &Arc<Node>| node.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    let is_stalled = |node: &Arc<Node>| find(&conditions(node), STALLED).is_some_and(|it| it.status == "True");
    NodeCounts {
        total: count(nodes.len()),
        ready: count(nodes.iter().filter(|node| is_ready(&conditions(node))).count()),
        failed: count(nodes.iter().filter(|node| is_stalled(node)).count()),
    }
}

/// The first names, and how many more.
fn named(names: &[String]) -> String {
    let shown = names[..names.len().min(NAMED)].join(", ");
    if names.len() > NAMED { format!("{shown} and {} more", names.len() - NAMED) } else { shown }
}
