//! A ContainerService: what it refers to, its containers, and the Nodes that it is placed on.

use slipway_api::conditions::{READY, find};
use slipway_api::container_service::Unhealthy;
use slipway_api::{ContainerService, Node};

use super::facts::{Facts, references, selects};
use super::{Link, NextTry, State, Subject, design, head, missing, node, operator};
use crate::cadence;

/// Reasons that say that a host, not a container, is the cause.
const OF_HOSTS: [&str; 4] = ["HostAway", "NoHostObserved", "NodeSuspended", "SameEngine"];

/// The chain of a ContainerService, and what else is wrong.
pub(super) fn links(service: &ContainerService, facts: &Facts) -> (Vec<Link>, Vec<String>) {
    let face = facts.subject.face();
    let mut head = head(&face);
    operator::deletion(&face, &mut head);
    if head.state == State::Ready {
        return (vec![head], notes(service));
    }
    let sick: Vec<&Node> = facts.nodes.iter().filter(|node| selects(service, node) && !is_ready(node)).collect();
    let of = &service.status.as_ref().map(|status| status.unhealthy.clone()).unwrap_or_default();
    let container = of.iter().find(|container| is_told(container, &head));
    let mut chain = Vec::new();
    if let Some(link) = missing(facts, &references(&Subject::ContainerService(Box::new(service.clone())))) {
        chain.push(link);
    } else if design::is_cause(&head.reason) {
        let nodes = facts.nodes.iter().filter(|node| selects(service, node));
        chain
            .extend(nodes.map(|node| design::of_node(node, facts)).find(|links| !links.is_empty()).unwrap_or_default());
    } else if let Some(host) = cause(&head, container, &sick) {
        chain.extend(node::links(host, facts));
    } else if let Some(container) = container {
        chain.push(link_of(container, &head));
    }
    head.next_try = if chain.is_empty() { next_try(&head, facts) } else { NextTry::default() };
    if let Some(last) = chain.last_mut()
        && last.next_try == NextTry::default()
    {
        last.next_try = next_try(&head, facts);
    }
    let others = sick.iter().filter(|node| !chain.iter().any(|link| link.object == name(node)));
    let mut notes = notes(service);
    notes.extend(others.map(|node| format!("{} is not ready either: {}", name(node), reason(node))));
    chain.insert(0, head);
    (chain, notes)
}

fn notes(service: &ContainerService) -> Vec<String> {
    service
        .status
        .iter()
        .flat_map(|status| &status.failed)
        .map(|failed| {
            format!(
                "a change of service {} failed on {}: {}: {}",
                failed.service, failed.host, failed.reason, failed.message
            )
        })
        .collect()
}

/// Whether the object's own words are about this container.
fn is_told(container: &Unhealthy, head: &Link) -> bool {
    container.reason == head.reason && head.message.contains(&container.message)
}

/// The Node that keeps the service from being ready.
fn cause<'a>(head: &Link, container: Option<&Unhealthy>, sick: &[&'a Node]) -> Option<&'a Node> {
    if let Some(container) = container {
        // An empty service is the host as a whole.
        let host = sick.iter().find(|node| node.metadata.name.as_deref() == Some(&container.host));
        return host.copied().filter(|_| container.service.is_empty() || OF_HOSTS.contains(&&*head.reason));
    }
    let same = sick.iter().find(|node| reason(node) == head.reason);
    let any = sick.first().filter(|_| OF_HOSTS.contains(&&*head.reason) || head.state == State::Unknown);
    same.or(any).copied()
}

fn link_of(container: &Unhealthy, head: &Link) -> Link {
    let number = container.number.map(|number| format!("-{number}")).unwrap_or_default();
    Link {
        object: format!("container {}{number} on {}", container.service, container.host),
        message: format!("{}: {}", container.state, container.message),
        ..head.clone()
    }
}

fn next_try(head: &Link, facts: &Facts) -> NextTry {
    let age = head.since.and_then(|since| facts.now.duration_since(since).try_into().ok()).unwrap_or_default();
    let by = |pause| facts.now.checked_add(cadence::at_most(pause)).ok();
    match head.state {
        State::Stalled => {
            NextTry { by: by(cadence::PERSON), when: "the spec, what it refers to or a host changes".into() }
        }
        _ => NextTry { by: by(cadence::retry(age)), when: "something happens on its hosts".into() },
    }
}

fn is_ready(node: &Node) -> bool {
    ready(node).is_some_and(|ready| ready.status == "True")
}

fn reason(node: &Node) -> &str {
    ready(node).map_or("NotSeen", |ready| &ready.reason)
}

fn ready(node: &Node) -> Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    find(&node.status.as_ref()?.conditions, READY)
}

fn name(node: &Node) -> String {
    format!("node/{}", node.metadata.name.as_deref().unwrap_or_default())
}
