//! The Nodes of a namespace as planning sees them, and those of them that steps can be taken on.

use std::collections::{BTreeMap, HashMap};

use futures::stream::{BoxStream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};
use kube::{Resource, ResourceExt};
use slipway_api::Node;
use slipway_drivers::Class;
use slipway_plan::container_service::plan::{Fault, NodeView, Nodes};
use tokio_stream::wrappers::BroadcastStream;

use super::act::Target;
use crate::design::Sites;
use crate::hosts::{HostState, Hosts};
use crate::reconcile::{Cache, Key};

/// Every Node of a namespace, and the targets among them. Whether a Node matches is for the selector to say; those that do
/// not may still have something of the object.
pub fn nodes(
    cache: &Cache<Node>,
    hosts: &Hosts,
    sites: Option<&Sites>,
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
        let (mut view, target) = look(&node, matches(&node), hosts);
        if let Some(sites) = sites {
            view.suspend |= sites.suspends(&node);
            view.held = sites.leave(&node).hold();
        }
        targets.extend(target.map(|target| (name.clone(), target)));
        views.insert(name, view);
    }
    (Nodes(views), targets)
}

/// The namespaces whose Nodes have changed in what planning reads of them; `None` if that is not known. A Node's status
/// says how many containers run there: not every change of it may wake all services.
pub fn changes(cache: &Cache<Node>) -> BoxStream<'static, Option<String>> {
    let cache = cache.clone();
    let mut known: HashMap<Key, Facts> = HashMap::new();
    BroadcastStream::new(cache.changes())
        .filter_map(move |key| {
            let Ok(key) = key else { return std::future::ready(Some(None)) };
            let now = cache.get(&key).map(|node| Facts::of(&node));
            let before = match now.clone() {
                Some(facts) => known.insert(key.clone(), facts),
                None => known.remove(&key),
            };
            std::future::ready((before != now).then_some(Some(key.namespace)))
        })
        .boxed()
}

/// What planning reads of a Node's object; the rest comes from its host.
#[derive(Clone, PartialEq)]
struct Facts {
    uid: Option<String>,
    generation: Option<i64>,
    labels: BTreeMap<String, String>,
    deleting: bool,
}

impl Facts {
    fn of(node: &Node) -> Self {
        let meta = node.meta();
        Self {
            uid: meta.uid.clone(),
            generation: meta.generation,
            labels: node.labels().clone(),
            deleting: meta.deletion_timestamp.is_some(),
        }
    }
}

fn look(node: &Node, matches: bool, hosts: &Hosts) -> (NodeView, Option<Target>) {
    let mut view = NodeView {
        // A host without an engine runs nothing.
        matches: matches && node.spec.docker.is_some(),
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
