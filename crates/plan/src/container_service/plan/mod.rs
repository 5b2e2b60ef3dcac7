//! The plan: what to do next on each host, and what is waited for. A value: comparable, printable, serialisable.
//!
//! Level-triggered: nothing is remembered between passes but what the hosts and the status show. The caller records
//! [`Plan::failed`], [`Plan::placed`] and [`Plan::images`] in the status, takes the steps, observes and plans again at once
//! if any step was taken, until only waits are left. Then it waits for events, or for the earliest [`Wait::until`].

mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use slipway_api::container_service::{
    ContainerServiceStatus, FailedRevision, ResolvedImage, Unhealthy, VolumeDeletion,
};

use super::definition::Definition;
use super::observed::{Host, Owner};
use super::validate::Valid;

pub use step::Step;

/// What to do next.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// By Node name.
    pub hosts: BTreeMap<String, HostPlan>,
    /// What cannot be done now, and why.
    pub waits: Vec<Wait>,
    /// Failures found in this pass. They are written to status before any step is taken.
    pub failed: Vec<FailedRevision>,
    /// Nodes chosen for mode Replicas. Written to status before any step is taken.
    pub placed: Vec<String>,
    /// What the images stand for. Written to status before any step is taken.
    pub images: Vec<ResolvedImage>,
    /// What the hosts show, measured by what is wanted.
    pub summary: Summary,
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
    pub reason: &'static str,
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
    /// Containers that are not as wanted.
    pub unhealthy: Vec<Unhealthy>,
    /// Hosts that cannot be observed now.
    pub unobserved: Vec<String>,
}

/// The Nodes of the object's namespace, by name: those that match and those that still may have something of the object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nodes(pub BTreeMap<String, NodeView>);

/// What planning needs to know of one Node.
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

/// The image references whose digest has to be looked up in their registry before [`plan`].
pub fn images_to_resolve(
    valid: &Valid,
    generation: i64,
    nodes: &Nodes,
    old: &ContainerServiceStatus,
    now: Timestamp,
) -> BTreeSet<String> {
    let _ = (valid, generation, nodes, old, now);
    BTreeSet::new()
}

/// What to do next, on every host.
pub fn plan(
    valid: &Valid,
    generation: i64,
    nodes: &Nodes,
    images: &ImageView,
    old: &ContainerServiceStatus,
    now: Timestamp,
) -> Plan {
    let _ = (valid, generation, nodes, images, old, now);
    Plan::default()
}

/// What to do next to remove everything of an owner. It is done when no step and no wait is left.
pub fn plan_deletion(
    owner: &Owner,
    volumes: VolumeDeletion,
    nodes: &Nodes,
    deadline: Timestamp,
    now: Timestamp,
) -> Deletion {
    let _ = (owner, volumes, nodes, deadline, now);
    Deletion::default()
}

/// A plan for a deletion.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// Steps and waits.
    pub plan: Plan,
    /// By Node name: what is left behind since the deadline has passed. Worth an Event when the deletion ends.
    pub abandoned: BTreeMap<String, String>,
}

impl Deletion {
    /// Nothing is left to do or to wait for.
    pub fn is_done(&self) -> bool {
        self.plan.hosts.is_empty() && self.plan.waits.is_empty()
    }
}

/// Whether a step must not be taken because another one of the same host plan, of an earlier stage, has failed.
pub fn blocks(definition: &Definition, failed: &Step, later: &Step) -> bool {
    let _ = (definition, failed, later);
    true
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (host, plan) in &self.hosts {
            for step in plan.pulls.iter().chain(plan.stages.iter().flatten()) {
                writeln!(f, "{host}: {step}")?;
            }
        }
        for wait in &self.waits {
            writeln!(f, "{}: wait: {} ({})", wait.host, wait.message, wait.reason)?;
        }
        Ok(())
    }
}
