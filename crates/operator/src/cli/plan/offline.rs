//! Plans against nothing: hosts that are empty, registries that have every image, dependencies that come up.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};
use slipway_api::{ContainerService, ContainerServiceStatus, Node};
use slipway_plan::Finding;
use slipway_plan::container_service::definition::{Contents, HashKey, NeedKind, needs};
use slipway_plan::container_service::foresee::foresee;
use slipway_plan::container_service::observed::{Host, Owner};
use slipway_plan::container_service::plan::{ImageView, NodeView, Nodes, images_to_resolve};
use slipway_plan::container_service::validate::{self, Placement, Valid};
use slipway_plan::formats::compose::{self, Source};

use super::{Args, Planned, services, sources};
use crate::cli::check::objects::{Object, Sources};

/// The host that stands for all, if the files have no Node.
const ANY_NODE: &str = "each Node";
/// What an image stands for is known only to its registry.
const UNKNOWN_DIGEST: &str = "sha256:unknown";

pub(super) fn plan(args: &Args, objects: &[Object<'_>]) -> Result<Vec<Planned>> {
    let sources = sources(objects);
    let nodes: Vec<Node> = objects
        .iter()
        .filter(|object| object.is_ours() && object.text("kind") == "Node")
        .filter_map(|object| serde_json::from_value(object.value.clone()).ok())
        .collect();
    services(objects)?.iter().map(|service| plan_one(args, service, &nodes, &sources)).collect()
}

fn plan_one(args: &Args, service: &ContainerService, nodes: &[Node], sources: &Sources) -> Result<Planned> {
    let namespace = service.namespace().or_else(|| args.reach.namespace().map(str::to_owned)).unwrap_or_default();
    let name = service.name_any();
    let mut valid = valid(service, &namespace, sources).map_err(|findings| {
        let told: Vec<_> = findings.iter().map(ToString::to_string).collect();
        anyhow!("{name}: {}", told.join("; "))
    })?;
    let mut hosts = hosts(service, &namespace, nodes);
    if hosts.0.is_empty() {
        if let Placement::Replicas { count, .. } = valid.placement {
            eprintln!("note: {name}: no Node is given; of those that match, {count} would run it");
        } else {
            eprintln!("note: {name}: no Node is given; every one that matches would run it");
        }
        valid.placement = Placement::Each;
        let node = NodeView { matches: true, host: Some(Host::default()), ..NodeView::default() };
        hosts.0.insert(ANY_NODE.into(), node);
    }
    let (old, now) = (ContainerServiceStatus::default(), Timestamp::now());
    let asked = images_to_resolve(&valid, 1, &hosts, &old, now);
    let images = ImageView(asked.into_iter().map(|image| (image, Ok(UNKNOWN_DIGEST.into()))).collect());
    Ok(Planned { foresight: foresee(&valid, 1, &hosts, &images, &old, now), namespace, name })
}

/// The Nodes of the files as empty hosts.
fn hosts(service: &ContainerService, namespace: &str, nodes: &[Node]) -> Nodes {
    let selector = service.spec.placement.node_selector.clone().and_then(|selector| Selector::try_from(selector).ok());
    let in_reach = |node: &&Node| node.namespace().is_none_or(|theirs| theirs == namespace || namespace.is_empty());
    let view = |node: &Node| NodeView {
        matches: selector.as_ref().is_none_or(|selector| selector.matches(node.labels())),
        cordon: node.spec.cordon,
        suspend: node.spec.suspend,
        host: Some(Host::default()),
        ..NodeView::default()
    };
    let engines = nodes.iter().filter(|node| node.spec.docker.is_some());
    Nodes(engines.filter(in_reach).map(|node| (node.name_any(), view(node))).collect())
}

/// Content that is not given is taken as empty: the plan does not show any.
fn valid(service: &ContainerService, namespace: &str, sources: &Sources) -> Result<Valid, Vec<Finding>> {
    let (spec, base) = (&service.spec, validate::compose_path(&service.spec));
    let text;
    let source = match (&spec.compose, &spec.compose_from) {
        (Some(value), _) => Source::Value(value),
        (None, from) => {
            let reference = from.as_ref().map(|from| &from.config_map_key_ref);
            let data = reference.and_then(|r| sources.get(NeedKind::ConfigMap, namespace, &r.name)?.get(&r.key));
            text = data.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).ok_or_else(|| {
                let message = "the ConfigMap with the Compose file is not given";
                vec![Finding::error("ConfigMapMissing", base, message).hint("add it with another -f, or use --live")]
            })?;
            Source::Text(&text)
        }
    };
    let project = compose::load(source, &spec.environment, &spec.profiles, base)?.project;
    let mut invented: BTreeMap<(NeedKind, String), BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    let mut contents = Contents::default();
    for need in needs(&project, &spec.files, base)? {
        if let Some(data) = sources.get(need.kind, namespace, &need.name) {
            contents.insert(need.kind, need.name, data.clone());
        } else {
            let data = invented.entry((need.kind, need.name)).or_default();
            data.insert(need.key.unwrap_or_else(|| "content".into()), Vec::new());
        }
    }
    for ((kind, name), data) in invented {
        eprintln!("note: {kind} {name} is not given; its content is taken as empty");
        contents.insert(kind, name, data);
    }
    let owner = Owner { installation: "offline".into(), namespace: namespace.into(), name: service.name_any() };
    // The hashes are compared with nothing, so their key does not matter.
    validate::validate(owner, spec, &project, &contents, &HashKey::new([0; 32]))
}
