//! Holding: what is done while a spec is refused. What ran goes on running; nothing is made, changed or removed.
//!
//! What was wanted before is not known any more, but for what the labels, names and states of its containers tell.

use std::collections::BTreeMap;

use jiff::Timestamp;
use slipway_api::conditions;
use slipway_api::container_service::ContainerServiceStatus;

use super::host::Stages;
use super::look::{Clock, has_run, is_up, start_again_at, succeeded};
use super::removal::dependents_first;
use super::slot::{can_come_back, trust, was_put_aside};
use super::work::unpause;
use super::{HostPlan, Nodes, Plan, Step, Wait};
use crate::container_service::definition::ContainerKey;
use crate::container_service::observed::{Container, Host, State};

/// Starts again what ran until somebody stopped it or it ended, and goes on with what somebody paused.
///
/// Of several containers for one service, the one that a change has put aside is the last that is known to be good. A run to
/// its end is left alone.
pub fn plan_hold(nodes: &Nodes, old: &ContainerServiceStatus, now: Timestamp) -> Plan {
    let failing_since = conditions::find(&old.conditions, conditions::READY)
        .filter(|ready| ready.status != "True")
        .map(|ready| ready.last_transition_time.0);
    let mut plan = Plan::default();
    for (name, node) in &nodes.0 {
        let Some(host) = node.host.as_ref().filter(|_| !node.suspend) else { continue };
        let (stages, again) = hold(host, failing_since, Clock::of(host, now));
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

fn hold(host: &Host, failing_since: Option<Timestamp>, clock: Clock) -> (Vec<Vec<Step>>, Option<Timestamp>) {
    let mut services: BTreeMap<&ContainerKey, Vec<&Container>> = BTreeMap::new();
    for container in host.containers.iter().filter(|c| !matches!(c.state, State::Dead | State::Removing)) {
        services.entry(&container.key).or_default().push(container);
    }
    let (mut down, mut again) = (Vec::new(), None);
    let mut stages = Stages::default();
    for containers in services.values() {
        let paused = containers.iter().find(|c| c.state == State::Paused);
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
        if !was_put_aside(last) && (last.runs_once || succeeded(last)) {
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
