//! The objects as they hang together: Designs, their Nodes, the ContainerServices on them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use serde::Serialize;
use slipway_api::conditions::{READY, STALLED, find};
use slipway_api::{ContainerService, Design, Node};

use crate::why::{State, selects};

/// An object and what hangs on it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Branch {
    /// `dsn/lab`, `node/n20`, `csvc/web`.
    pub object: String,
    /// Its namespace.
    pub namespace: String,
    /// How it stands.
    pub state: State,
    /// `Ready`'s reason.
    pub reason: String,
    /// Facts on one line: power and inventory of a Node, containers of a service, Nodes of a Design.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// `Ready`'s message, unless all is as wanted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What hangs on it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Branch>,
}

/// What the tree is made of.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// The Designs.
    pub designs: Vec<Design>,
    /// The Nodes.
    pub nodes: Vec<Node>,
    /// The ContainerServices.
    pub services: Vec<ContainerService>,
}

/// The trees of all objects, by namespace and name. A service stands under each Node that it is placed on; one without a Node
/// stands by itself.
pub fn tree(objects: &Objects) -> Vec<Branch> {
    let mut roots: Vec<Branch> = objects.designs.iter().map(|design| of_design(design, objects)).collect();
    let is_known = |node: &Node| objects.designs.iter().any(|design| belongs(node, design));
    roots.extend(objects.nodes.iter().filter(|node| !is_known(node)).map(|node| of_node(node, objects)));
    let is_placed = |service: &ContainerService| objects.nodes.iter().any(|node| is_on(service, node));
    roots.extend(objects.services.iter().filter(|service| !is_placed(service)).map(of_service));
    roots.sort_by_cached_key(|branch| (branch.namespace.clone(), rank(&branch.object), branch.object.clone()));
    roots
}

/// The parts of the trees that an object is in: the way to it, and what hangs on it.
pub fn around(roots: Vec<Branch>, object: &str) -> Vec<Branch> {
    let keep = |mut branch: Branch| {
        if branch.object == object {
            return Some(branch);
        }
        branch.children = around(branch.children, object);
        (!branch.children.is_empty()).then_some(branch)
    };
    roots.into_iter().filter_map(keep).collect()
}

/// Designs first, then Nodes of none, then services of none.
fn rank(object: &str) -> u8 {
    match object.split('/').next() {
        Some("dsn") => 0,
        Some("node") => 1,
        _ => 2,
    }
}

fn of_design(design: &Design, objects: &Objects) -> Branch {
    let status = design.status.clone().unwrap_or_default();
    let nodes = objects.nodes.iter().filter(|node| belongs(node, design));
    let counts = status.nodes.unwrap_or_default();
    Branch {
        summary: format!("{} of {} Nodes ready, {} failed", counts.ready, counts.total, counts.failed),
        children: sorted(nodes.map(|node| of_node(node, objects)).collect()),
        ..branch("dsn", &design.metadata, &status.conditions)
    }
}

fn of_node(node: &Node, objects: &Objects) -> Branch {
    let status = node.status.clone().unwrap_or_default();
    let docker = status.docker.as_ref().map(|docker| format!("Docker {}", docker.version));
    let health = status.health.as_ref().filter(|health| *health != "Ok");
    let facts: Vec<String> =
        [status.power.clone(), status.inventory.clone(), docker, health.cloned()].into_iter().flatten().collect();
    let services = objects.services.iter().filter(|service| is_on(service, node));
    Branch {
        summary: facts.join(", "),
        children: sorted(services.map(of_service).collect()),
        ..branch("node", &node.metadata, &status.conditions)
    }
}

fn of_service(service: &ContainerService) -> Branch {
    let status = service.status.clone().unwrap_or_default();
    let hosts = status.hosts.map(|hosts| format!(" on {hosts} host{}", if hosts == 1 { "" } else { "s" }));
    Branch {
        summary: status.ready.map(|ready| format!("{ready}{}", hosts.unwrap_or_default())).unwrap_or_default(),
        ..branch("csvc", &service.metadata, &status.conditions)
    }
}

fn branch(kind: &str, meta: &ObjectMeta, conditions: &[Condition]) -> Branch {
    let ready = find(conditions, READY);
    let stalled = find(conditions, STALLED).is_some_and(|stalled| stalled.status == "True");
    let state = match ready.map(|ready| ready.status.as_str()) {
        Some("True") => State::Ready,
        _ if stalled => State::Stalled,
        Some("Unknown") => State::Unknown,
        _ => State::Working,
    };
    let told = ready.filter(|_| state != State::Ready);
    Branch {
        object: format!("{kind}/{}", meta.name.as_deref().unwrap_or_default()),
        namespace: meta.namespace.clone().unwrap_or_default(),
        state,
        reason: ready.map_or("NotSeen", |ready| &ready.reason).into(),
        summary: String::new(),
        message: told.map(|ready| ready.message.clone()).unwrap_or_default(),
        children: Vec::new(),
    }
}

fn sorted(mut branches: Vec<Branch>) -> Vec<Branch> {
    branches.sort_by(|one, other| one.object.cmp(&other.object));
    branches
}

fn is_on(service: &ContainerService, node: &Node) -> bool {
    service.metadata.namespace == node.metadata.namespace && selects(service, node)
}

/// Whether a Node's designRef names a Design.
fn belongs(node: &Node, design: &Design) -> bool {
    let named = node.spec.design.design_ref.as_ref().map(|design| &design.name);
    named.is_some() && named == design.metadata.name.as_ref() && node.metadata.namespace == design.metadata.namespace
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[allow(clippy::needless_pass_by_value)] // Tables read better so.
    fn node(name: &str, labels: Value) -> Node {
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "ns", "labels": labels},
            "spec": {"docker": {"endpoint": "unix:///d.sock"}},
            "status": {"power": "On", "inventory": "2 CPUs", "conditions": conditions("True", "Connected")},
        }))
        .unwrap()
    }

    fn conditions(status: &str, reason: &str) -> Value {
        json!([{"type": "Ready", "status": status, "reason": reason, "message": "m", "lastTransitionTime": "2026-11-28T10:00:00Z"}])
    }

    fn service(name: &str, role: &str) -> ContainerService {
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "ns"},
            "spec": {"compose": {}, "placement": {"nodeSelector": {"matchLabels": {"role": role}}}},
            "status": {"ready": "1/2", "hosts": 1, "conditions": conditions("False", "Starting")},
        }))
        .unwrap()
    }

    fn names(branches: &[Branch]) -> Vec<String> {
        let all = branches.iter().flat_map(|branch| {
            let below = names(&branch.children).into_iter().map(|name| format!("{}>{name}", branch.object));
            [branch.object.clone()].into_iter().chain(below).collect::<Vec<_>>()
        });
        all.collect()
    }

    fn objects() -> Objects {
        Objects {
            designs: Vec::new(),
            nodes: vec![node("b", json!({"role": "web"})), node("a", json!({"role": "web"})), node("c", json!({}))],
            services: vec![service("web", "web"), service("lonely", "nobody")],
        }
    }

    #[test]
    fn services_hang_on_the_nodes_that_they_are_placed_on() {
        let roots = tree(&objects());
        assert_eq!(names(&roots), ["node/a", "node/a>csvc/web", "node/b", "node/b>csvc/web", "node/c", "csvc/lonely"]);
        assert_eq!((roots[0].state, &*roots[0].summary, &*roots[0].message), (State::Ready, "On, 2 CPUs", ""));
        let web = &roots[0].children[0];
        assert_eq!((web.state, &*web.summary, &*web.message), (State::Working, "1/2 on 1 host", "m"));
    }

    #[test]
    fn around_an_object_is_the_way_to_it_and_what_hangs_on_it() {
        let of = |object| names(&around(tree(&objects()), object));
        assert_eq!(of("node/a"), ["node/a", "node/a>csvc/web"]);
        assert_eq!(of("csvc/web"), ["node/a", "node/a>csvc/web", "node/b", "node/b>csvc/web"]);
        assert_eq!(of("node/none"), Vec::<String>::new());
    }
}
