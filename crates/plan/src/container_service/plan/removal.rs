//! Removal: of what is not wanted on a host, and of everything when the object is deleted.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use slipway_api::container_service::VolumeDeletion;

use super::host::Stages;
use super::look::is_up;
use super::work::stop;
use super::{HostPlan, Nodes, Plan, Step, Wait};
use crate::container_service::observed::{Container, Host, Owner, State, Volume};

/// A plan for a deletion.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// Steps and waits.
    pub plan: Plan,
    /// The deadline has passed: hosts that are away are not waited for any more, and errors end the deletion too.
    pub overdue: bool,
    /// By Node name: what would be left behind if it ended now. Worth an Event if it does.
    pub left: BTreeMap<String, String>,
}

impl Deletion {
    /// Nothing is left to do or to wait for.
    pub fn is_done(&self) -> bool {
        self.plan.hosts.is_empty() && self.plan.waits.is_empty()
    }
}

/// What to do next to remove everything of an owner.
///
/// It ends when [`Deletion::is_done`]; or, once it is overdue, after a pass that had errors. What is left then on a host is
/// swept when the host comes back.
pub fn plan_deletion(
    owner: &Owner,
    volumes: VolumeDeletion,
    nodes: &Nodes,
    deadline: Timestamp,
    now: Timestamp,
) -> Deletion {
    let mut deletion = Deletion { overdue: now >= deadline, ..Deletion::default() };
    let mut engines = BTreeSet::new();
    for (name, node) in &nodes.0 {
        let shared = node.engine_id.as_ref().filter(|id| !id.is_empty());
        if node.host.is_some() && shared.is_some_and(|id| !engines.insert(id)) {
            continue;
        }
        let (reason, why) = match (&node.host, node.suspend) {
            (Some(host), false) => {
                let stages = sweep(owner, host, volumes);
                if !stages.is_empty() {
                    deletion.left.insert(name.clone(), inventory(owner, host, volumes));
                    deletion.plan.hosts.insert(name.clone(), HostPlan { pulls: Vec::new(), stages });
                } else if host.containers.iter().any(|c| c.state == State::Removing) {
                    deletion.plan.waits.push(Wait {
                        until: Some(deadline),
                        ..Wait::on(name, "Removing", "the engine is still removing containers")
                    });
                }
                continue;
            }
            (Some(host), true) if sweep(owner, host, volumes).is_empty() => continue,
            (Some(host), true) => {
                deletion.left.insert(name.clone(), inventory(owner, host, volumes));
                ("NodeSuspended", format!("Node {name} is suspended; resume it to let its containers be removed"))
            }
            (None, _) => {
                deletion.left.insert(name.clone(), "whatever it had; it could not be reached".into());
                let why = node.fault.as_ref().map_or("it cannot be reached", |f| f.message.as_str());
                ("HostAway", format!("Node {name}: {why}"))
            }
        };
        if !deletion.overdue {
            deletion.plan.waits.push(Wait { until: Some(deadline), ..Wait::on(name, reason, why) });
        }
    }
    deletion
}

/// Everything of an owner on a host: containers, then networks, helper volumes and, if they are to go, named volumes.
pub(super) fn sweep(owner: &Owner, host: &Host, volumes: VolumeDeletion) -> Vec<Vec<Step>> {
    let mut stages = Stages::default();
    let at = containers(&host.containers.iter().collect::<Vec<_>>(), &mut stages, 0);
    let leaving = host.containers.iter().filter(|c| c.state == State::Removing);
    let held: BTreeSet<_> = leaving.flat_map(|c| c.networks.iter().chain(&c.volumes)).collect();
    for (name, network) in
        host.networks.iter().filter(|(name, n)| n.owner.as_ref() == Some(owner) && !held.contains(name))
    {
        stages.put(at, Step::RemoveNetwork { name: name.clone(), id: network.id.clone() });
    }
    for name in volumes_to_go(owner, host, volumes).filter(|name| !held.contains(name)) {
        stages.put(at, Step::RemoveVolume { name: name.clone() });
    }
    stages.0
}

fn volumes_to_go<'a>(owner: &'a Owner, host: &'a Host, volumes: VolumeDeletion) -> impl Iterator<Item = &'a String> {
    let goes =
        move |v: &Volume| v.owner.as_ref() == Some(owner) && (v.role.is_some() || volumes == VolumeDeletion::Delete);
    host.volumes.iter().filter(move |(_, v)| goes(v)).map(|(name, _)| name)
}

/// Stops containers, those that depend on others first, then removes them all; returns the stage after that.
pub(super) fn containers(which: &[&Container], stages: &mut Stages, from: usize) -> usize {
    let mut which: Vec<&Container> = which.iter().copied().filter(|c| c.state != State::Removing).collect();
    which.sort_by(|a, b| a.name.cmp(&b.name));
    if which.is_empty() {
        return from;
    }
    let mut at = from;
    for level in dependents_first(which.iter().copied().filter(|c| is_up(c)).collect()) {
        for c in level {
            stages.put(at, stop(c, &c.name));
        }
        at += 1;
    }
    for c in which {
        stages.put(at, Step::RemoveContainer { id: c.id.clone(), name: c.name.clone() });
    }
    at + 1
}

/// Containers in levels, by the dependencies in their labels: none in a level, nor in those after it, depends on one before.
pub(super) fn dependents_first(mut left: Vec<&Container>) -> Vec<Vec<&Container>> {
    let mut levels = Vec::new();
    while !left.is_empty() {
        let needed: BTreeSet<&String> = left.iter().flat_map(|c| &c.depends_on).collect();
        let (mut now, mut later): (Vec<&Container>, Vec<&Container>) =
            left.iter().copied().partition(|c| !needed.contains(&c.key.service));
        if now.is_empty() {
            std::mem::swap(&mut now, &mut later);
        }
        levels.push(now);
        left = later;
    }
    levels
}

fn inventory(owner: &Owner, host: &Host, volumes: VolumeDeletion) -> String {
    let networks = host.networks.values().filter(|n| n.owner.as_ref() == Some(owner)).count();
    let counts = [
        (host.containers.len(), "container"),
        (networks, "network"),
        (volumes_to_go(owner, host, volumes).count(), "volume"),
    ];
    let told: Vec<_> = counts
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{n} {what}{}", if n == 1 { "" } else { "s" }))
        .collect();
    told.join(", ")
}
