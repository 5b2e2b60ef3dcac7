//! Holding: what is done while a spec is refused. What ran goes on running; nothing is made, changed or removed, but for a change of
//! networks that was broken off half way: that is undone.
//!
//! What was wanted before is not known any more, but for what the labels, names and states of its containers tell.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use slipway_api::conditions;
use slipway_api::container_service::{ContainerServiceStatus, Drift};

use super::host::Stages;
use super::look::{Clock, has_run, is_up, start_again_at, succeeded};
use super::networks::{Kept, bring_back};
use super::removal::dependents_first;
use super::slot::{can_come_back, trust, was_put_aside};
use super::work::unpause;
use super::{HostPlan, Nodes, Plan, Step, Wait};
use crate::container_service::definition::ContainerKey;
use crate::container_service::observed::{Container, Host, State};

/// Starts again what ran until somebody stopped it or it ended, and goes on with what somebody paused.
///
/// Of several containers for one service, the one that a change has put aside is the last that is known to be good. A run to
/// its end is left alone. Where drift is not healed, only what a change has put aside is seen to: nobody else has stopped that.
pub fn plan_hold(nodes: &Nodes, drift: Drift, old: &ContainerServiceStatus, now: Timestamp) -> Plan {
    let failing_since = conditions::find(&old.conditions, conditions::READY)
        .filter(|ready| ready.status != "True")
        .map(|ready| ready.last_transition_time.0);
    let mut plan = Plan::default();
    for (name, node) in &nodes.0 {
        let Some(host) = node.host.as_ref().filter(|_| !node.suspend) else { continue };
        let (stages, again) = hold(host, drift, failing_since, Clock::of(host, now));
        plan.waits.extend(again.map(|at| Wait {
            until: Some(at),
            ..Wait::on(name, "Exited", format!("Node {name}: what has ended is started again after a pause"))
        }));
        if !stages.is_empty() {
            plan.hosts.insert(name.clone(), HostPlan { pulls: Vec::new(), stages });
        }
    }
    plan
}

/// Whether a host has anything that is held.
pub fn has_something(nodes: &Nodes) -> bool {
    nodes.0.values().filter_map(|node| node.host.as_ref()).any(|host| host.containers.iter().any(has_run))
}

fn hold(
    host: &Host,
    drift: Drift,
    failing_since: Option<Timestamp>,
    clock: Clock,
) -> (Vec<Vec<Step>>, Option<Timestamp>) {
    let (mut down, mut again) = (Vec::new(), None);
    let mut stages = Stages::default();
    let going: BTreeSet<&str> = undo(host, &mut stages).into_iter().map(|container| container.id.as_str()).collect();
    for containers in by_key(host.containers.iter().filter(|c| !going.contains(c.id.as_str()))).values() {
        let paused = containers.iter().find(|c| c.state == State::Paused && drift == Drift::Heal);
        if let Some(paused) = paused {
            stages.put(0, unpause(paused));
        }
        if containers.iter().any(|c| is_up(c)) {
            continue;
        }
        let ended = containers.iter().copied().filter(|c| c.state == State::Exited && has_run(c));
        // What was put aside with its networks cannot be started before they are there again.
        let ended = ended.filter(|c| !can_come_back(c, host));
        let Some(last) = ended.max_by_key(|c| trust(c)) else { continue };
        // What a change has put aside was stopped by Slipway, and for a successor that is not up.
        if !was_put_aside(last) && (drift != Drift::Heal || last.runs_once || succeeded(last)) {
            continue;
        }
        match start_again_at(last, failing_since, clock) {
            at if at > clock.now => again = again.into_iter().chain([at]).min(),
            _ => down.push(last),
        }
    }
    for (at, level) in dependents_first(down).into_iter().rev().enumerate() {
        for container in level {
            stages.put(at, Step::StartContainer { name: container.name.clone() });
        }
    }
    (stages.0, again)
}

fn by_key<'h>(containers: impl Iterator<Item = &'h Container>) -> BTreeMap<&'h ContainerKey, Vec<&'h Container>> {
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for container in containers.filter(|c| !matches!(c.state, State::Dead | State::Removing)) {
        found.entry(&container.key).or_default().push(container);
    }
    found
}

/// Goes back to what was put aside with its networks, unless something serves in the place of all of it: what is still to be made
/// there is not known. Returns the containers that go.
fn undo<'h>(host: &'h Host, stages: &mut Stages) -> Vec<&'h Container> {
    let aside = by_key(host.containers.iter().filter(|c| can_come_back(c, host)));
    let is_served = |key: &&ContainerKey| host.containers.iter().any(|c| c.key == **key && is_up(c));
    if aside.keys().all(is_served) {
        return Vec::new();
    }
    let best = aside.values().filter_map(|of_key| of_key.iter().copied().max_by_key(|c| trust(c)));
    // By its name one can tell that it was put aside, until it runs.
    let kept: Vec<Kept<'_>> = best.map(|container| (container.name.as_str(), container)).collect();
    bring_back(host, &kept, |container, _| aside.contains_key(&container.key), stages)
}
