//! The plan: what to do next on each host, and what is waited for. A value: comparable, printable, serialisable.
//!
//! Level-triggered: nothing is remembered between passes but what the hosts and the status show. The caller records
//! [`Plan::failed`], [`Plan::placed`] and [`Plan::images`] in the status, takes the steps, observes and plans again at once
//! if any step was taken, until only waits are left. Then it waits for events, or for the earliest [`Wait::until`].

mod completed;
mod conflicts;
mod drift;
mod failures;
mod gate;
mod hold;
mod host;
mod images;
mod look;
mod networks;
mod placement;
mod removal;
mod rollout;
mod slot;
mod step;
mod work;

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use slipway_api::conditions;
use slipway_api::container_service::{
    CompletedRun, ContainerServiceStatus, Drift, FailedRevision, ResolvedImage, Unhealthy, VolumeDeletion,
};

use self::failures::Revisions;
use self::host::{Cx, Outcome, Scene};
use self::images::Pins;
use super::definition::{Container, revision};
use super::observed::Host;
use super::validate::{Placement, Valid};
use crate::rollout::Ask;

pub use self::hold::{has_something, plan_hold};
pub use self::images::images_to_resolve;
pub use self::removal::{Deletion, plan_deletion};
pub use self::step::{Step, blocks};

/// Containers that started within this time are one start to whoever looks whether they stay up.
const TOGETHER: SignedDuration = SignedDuration::from_secs(2);

/// What to do next.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// By Node name.
    pub hosts: BTreeMap<String, HostPlan>,
    /// What cannot be done now, and why.
    pub waits: Vec<Wait>,
    /// Failed revisions that still count: those of the status and those found in this pass. Written to status before any step
    /// is taken.
    pub failed: Vec<FailedRevision>,
    /// Nodes chosen, for mode Replicas and where drift is not healed. Written to status before any step is taken.
    pub placed: Vec<String>,
    /// What the images stand for. Written to status before any step is taken.
    pub images: Vec<ResolvedImage>,
    /// Runs to the end that need not be made again.
    pub completed: Vec<CompletedRun>,
    /// What the hosts show, measured by what is wanted.
    pub summary: Summary,
    /// What the rollouts of the Nodes' Designs are to know, by Node: changes that wait to begin, or have begun.
    #[serde(skip)]
    pub asks: BTreeMap<String, Ask>,
    /// Look again at this time, though nothing is waited for: tags to follow, a Node that has been gone for long enough.
    pub look_again: Option<Timestamp>,
}

/// Steps on one host.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostPlan {
    /// Image pulls; they run outside the host's lock, beside the stages: no stage of the same plan needs them.
    pub pulls: Vec<Step>,
    /// Everything else, under the host's lock. Stages run one after the other; the steps of a stage run side by side.
    /// After a failed step the others go on, except those that [`blocks`] names.
    pub stages: Vec<Vec<Step>>,
}

/// Something that has to happen first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wait {
    /// The Node; empty if it is about the whole object.
    pub host: String,
    /// The service; empty if it is about the whole host.
    pub service: String,
    /// One CamelCase word.
    pub reason: String,
    /// In plain words, with what to do.
    pub message: String,
    /// Look again at this time, even if no event says so.
    pub until: Option<Timestamp>,
    /// Nothing but a person can end it.
    pub needs_person: bool,
}

/// What the hosts show, measured by what is wanted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Hosts that the project is placed on.
    pub hosts: usize,
    /// Containers wanted on all of them.
    pub wanted: usize,
    /// Of these, running and healthy, or done.
    pub ready: usize,
    /// Of these, of the newest revision.
    pub updated: usize,
    /// Not ready since somebody changed them, and `drift` is Ignore.
    pub tolerated: usize,
    /// Containers that are not as wanted.
    pub unhealthy: Vec<Unhealthy>,
    /// Hosts that cannot be observed now.
    pub unobserved: Vec<String>,
}

/// The Nodes of the object's namespace, by name: those that match and those that still may have something of the object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nodes(pub BTreeMap<String, NodeView>);

/// What planning needs to know of one Node.
#[allow(clippy::struct_excessive_bools)] // Four independent switches of a Node, not a state in disguise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeView {
    /// The selector picks it.
    pub matches: bool,
    /// `spec.cordon`: takes no new placements.
    pub cordon: bool,
    /// `spec.suspend`: no action there.
    pub suspend: bool,
    /// It is being deleted: takes no new placements.
    pub deleting: bool,
    /// Why the rollout of its Design does not let it be disrupted now.
    pub held: Option<String>,
    /// Since when it cannot be reached.
    pub unreachable_since: Option<Timestamp>,
    /// Why it cannot be used now.
    pub fault: Option<Fault>,
    /// The engine's own ID; two Nodes with one ID are one host.
    pub engine_id: Option<String>,
    /// What it shows of this object; `None` if it cannot be observed now.
    pub host: Option<Host>,
}

/// Why something cannot be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// One CamelCase word.
    pub reason: String,
    /// In plain words.
    pub message: String,
    /// Trying again does not help: a person must act.
    pub needs_person: bool,
}

/// What came of the look-ups that [`images_to_resolve`] asked for, by image reference as written: a digest, or why there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageView(pub BTreeMap<String, Result<String, Fault>>);

/// What to do next, on every host.
pub fn plan(
    valid: &Valid,
    generation: i64,
    nodes: &Nodes,
    images: &ImageView,
    old: &ContainerServiceStatus,
    now: Timestamp,
) -> Plan {
    let pins = images::pin(valid, generation, nodes, images, old, now);
    let wanted = revisions(valid, &pins);
    let order = host::order(&valid.definition);
    let failing_since = match conditions::find(&old.conditions, conditions::READY) {
        Some(ready) if ready.status == "True" => None,
        Some(ready) => Some(ready.last_transition_time.0),
        None => Some(now),
    };
    let places = placement::place(valid, nodes, &old.placed, now);
    let cx = Cx { valid, generation, old, pins: &pins, wanted: &wanted, order: &order, failing_since };
    let chosen = |name: &str| places.chosen.contains(name);
    let scenes: Vec<_> = nodes
        .0
        .iter()
        .filter(|(name, _)| chosen(name))
        .filter_map(|(name, node)| {
            let mut scene = Scene::of(&cx, name, node.host.as_ref()?, node.suspend, now);
            scene.held = node.held.as_deref();
            Some(scene)
        })
        .collect();
    let mut failed = failures::still_wanted(&old.failed, &wanted, valid.restart.as_deref());
    for scene in &scenes {
        failed.extend(scene.new_failures(&failed));
    }
    let unobserved: Vec<_> = places.chosen.iter().copied().filter(|name| nodes.0[*name].host.is_none()).collect();
    let standings: Vec<_> = scenes.iter().map(|scene| scene.standing(&failed)).collect();
    let turn = rollout::admit(&standings, &unobserved, valid.update.max_unavailable);

    let mut plan = Plan {
        // Where nothing is to run, it does not matter what could not be pulled.
        waits: if places.chosen.is_empty() { Vec::new() } else { image_waits(&pins) },
        placed: match valid.placement {
            // Who reports drift has to know where the project was.
            Placement::Each if valid.drift == Drift::Heal => Vec::new(),
            Placement::Each | Placement::Replicas { .. } => {
                places.chosen.iter().map(|name| (*name).to_owned()).collect()
            }
        },
        images: images::records(&pins),
        asks: rollout::asks(&standings, now),
        completed: completed::records(&old.completed, &scenes, &unobserved),
        summary: Summary { hosts: places.chosen.len(), ..Summary::default() },
        look_again: images::next_look_up(valid, &pins).into_iter().chain(places.look_again).min(),
        ..Plan::default()
    };
    plan.waits.extend(places.waits);
    plan.waits.extend(failed.iter().map(failure_wait));
    for scene in &scenes {
        plan.add(scene, scene.outcome(&failed, &turn));
    }
    for name in unobserved {
        plan.add_unobserved(name, &nodes.0[name], valid.definition.containers.len());
    }
    let elsewhere = nodes.0.iter().filter(|(name, _)| !chosen(name) && !places.shadowed.contains(name.as_str()));
    for (name, node) in elsewhere {
        plan.add_sweep(valid, name, node);
    }
    plan.failed = failed;
    plan.hosts.retain(|_, host| !host.pulls.is_empty() || !host.stages.is_empty());
    plan
}

fn revisions(valid: &Valid, pins: &Pins) -> Revisions {
    let one = |container: &Container| {
        let pin = pins.get(&container.image)?.as_ref().ok()?;
        Some(revision(container, &pin.digest))
    };
    valid.definition.containers.iter().map(|(key, container)| (key.clone(), one(container))).collect()
}

fn image_waits(pins: &Pins) -> Vec<Wait> {
    let faults = pins.values().filter_map(|pin| pin.as_ref().err());
    faults
        .map(|f| Wait { needs_person: f.needs_person, ..Wait::of_object(f.reason.clone(), f.message.clone()) })
        .collect()
}

fn failure_wait(failed: &FailedRevision) -> Wait {
    let message = format!(
        "{} failed on {}: {}; this revision is tried again only when spec.restart asks for it",
        failed.service, failed.host, failed.message
    );
    let wait = Wait::on(&failed.host, failed.reason.clone(), message);
    Wait { service: failed.service.clone(), needs_person: true, ..wait }
}

impl Plan {
    /// No step is to be taken.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// When to look again, even if no event says so.
    pub fn until(&self) -> Option<Timestamp> {
        let times = || self.waits.iter().filter_map(|wait| wait.until);
        let only_settling = self.waits.iter().all(|wait| wait.reason == "Starting" && wait.until.is_some());
        // Nothing follows from one of them alone: a single look tells of all that started together.
        let last = times().min().and_then(|first| times().filter(|time| *time <= look::later(first, TOGETHER)).max());
        let next = if only_settling { last } else { times().min() };
        next.into_iter().chain(self.look_again).min()
    }

    fn add(&mut self, scene: &Scene<'_>, outcome: Outcome) {
        let Outcome { mut plan, mut waits, summary } = outcome;
        if scene.suspended {
            waits.clear();
            // A change that has not begun has no step yet: it waits for its turn, which a suspended host does not get.
            let behind = summary.ready + summary.tolerated < summary.wanted || summary.updated < summary.wanted;
            if plan != HostPlan::default() || behind {
                let message =
                    format!("Node {} is suspended; what should be done there waits for it to be resumed", scene.node);
                waits.push(Wait { needs_person: true, ..Wait::on(scene.node, "NodeSuspended", message) });
            }
            plan = HostPlan::default();
        }
        self.hosts.insert(scene.node.into(), plan);
        self.waits.extend(waits);
        let Summary { hosts: _, wanted, ready, updated, tolerated, unhealthy, unobserved } = summary;
        self.summary.wanted += wanted;
        self.summary.ready += ready;
        self.summary.updated += updated;
        self.summary.tolerated += tolerated;
        self.summary.unhealthy.extend(unhealthy);
        self.summary.unobserved.extend(unobserved);
    }

    fn add_unobserved(&mut self, name: &str, node: &NodeView, containers: usize) {
        let fault = node.fault.clone().unwrap_or_else(|| Fault {
            reason: "HostAway".into(),
            message: "it has not been reached yet".into(),
            needs_person: false,
        });
        let wait = Wait::on(name, fault.reason, format!("Node {name}: {}", fault.message));
        self.waits.push(Wait { needs_person: fault.needs_person, ..wait });
        self.summary.wanted += containers;
        self.summary.unobserved.push(name.into());
    }

    /// A Node that the project does not run on: what it has of it goes, but for named volumes.
    fn add_sweep(&mut self, valid: &Valid, name: &str, node: &NodeView) {
        let Some(host) = &node.host else { return };
        let stages = removal::sweep(&valid.owner, host, VolumeDeletion::Keep);
        if stages.is_empty() {
            return;
        }
        if node.suspend {
            let message =
                format!("Node {name} is suspended; what it still has of this service stays until it is resumed");
            self.waits.push(Wait { needs_person: true, ..Wait::on(name, "NodeSuspended", message) });
            return;
        }
        self.hosts.insert(name.into(), HostPlan { pulls: Vec::new(), stages });
    }
}

impl Wait {
    pub(super) fn on(host: &str, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { host: host.into(), ..Self::of_object(reason, message) }
    }

    pub(super) fn of_object(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            host: String::new(),
            service: String::new(),
            reason: reason.into(),
            message: message.into(),
            until: None,
            needs_person: false,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (host, plan) in &self.hosts {
            for step in plan.pulls.iter().chain(plan.stages.iter().flatten()) {
                writeln!(f, "{host}: {step}")?;
            }
        }
        for wait in &self.waits {
            writeln!(f, "waits: {} ({})", wait.message, wait.reason)?;
        }
        Ok(())
    }
}
