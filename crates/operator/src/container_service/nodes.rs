//! The Nodes of a namespace as planning sees them, and those of them that steps can be taken on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};
use kube::{Resource, ResourceExt};
use slipway_api::Node;
use slipway_drivers::Class;
use slipway_plan::container_service::plan::{Fault, NodeView, Nodes};

use super::act::Target;
use crate::hosts::{HostState, Hosts};
use crate::reconcile::{Cache, Key};

/// Every Node of a namespace, and the targets among them. Whether a Node matches is for the selector to say; those that do
/// not may still have something of the object.
pub fn nodes(
    cache: &Cache<Node>,
    hosts: &Hosts,
    namespace: &str,
    selector: Option<&LabelSelector>,
) -> (Nodes, BTreeMap<String, Target>) {
    // A selector that cannot be read was refused by validation; it picks nothing here.
    let selector = selector.map(|selector| Selector::try_from(selector.clone()));
    let matches = |node: &Node| match &selector {
        None => true,
        Some(Ok(selector)) => selector.matches(node.labels()),
        Some(Err(_)) => false,
    };
    let mut views = BTreeMap::new();
    let mut targets = BTreeMap::new();
    for node in cache.list(namespace) {
        let name = node.name_any();
        let (view, target) = look(&node, matches(&node), hosts);
        targets.extend(target.map(|target| (name.clone(), target)));
        views.insert(name, view);
    }
    (Nodes(views), targets)
}

fn look(node: &Node, matches: bool, hosts: &Hosts) -> (NodeView, Option<Target>) {
    let mut view = NodeView {
        matches,
        cordon: node.spec.cordon,
        suspend: node.spec.suspend,
        deleting: node.meta().deletion_timestamp.is_some(),
        ..NodeView::default()
    };
    let fault =
        |reason: &str, message: String, needs_person| Some(Fault { reason: reason.into(), message, needs_person });
    let handle = hosts.get(&Key::of(node));
    let state = handle.as_ref().map_or(HostState::Connecting, super::super::hosts::HostHandle::state);
    match state {
        HostState::Connecting => view.fault = fault("Connecting", "its engine is being connected to".into(), false),
        HostState::Ready { twins, docker, .. } if !twins.is_empty() => {
            let twins: Vec<_> = twins.iter().map(ToString::to_string).collect();
            view.engine_id = Some(docker.engine_id);
            view.fault = fault("SameEngine", format!("it leads to the same engine as {}", twins.join(", ")), true);
        }
        HostState::Ready { docker, engine, .. } => {
            view.engine_id = Some(docker.engine_id.clone());
            return (view, Some(Target { engine, lock: docker.engine_id }));
        }
        HostState::Away { class, reason, message, since } => {
            let needs_person = matches!(class, Class::Denied | Class::Invalid);
            view.fault = fault(reason, message, needs_person);
            view.unreachable_since = Some(recorded(node).map_or(since, |recorded| recorded.min(since)));
        }
    }
    (view, None)
}

/// Since when the Node's status has it away: it survives a restart of this process.
fn recorded(node: &Node) -> Option<Timestamp> {
    node.status.as_ref()?.unreachable_since.as_deref()?.parse().ok()
}
