//! Plans against the cluster's hosts as they are now. Reads only.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};
use kube::core::{Selector, SelectorExt};
use kube::{Client, ResourceExt};
use slipway_api::{ContainerService, Node};
use slipway_drivers::docker::{Connect, Factory};
use slipway_plan::Severity;
use slipway_plan::container_service::foresee::foresee;
use slipway_plan::container_service::observed::Owner;
use slipway_plan::container_service::plan::{Fault, NodeView, Nodes};
use slipway_plan::container_service::validate;

use super::{Args, Planned, services};
use crate::Error;
use crate::cli::check::objects::Object;
use crate::container_service::act::Target;
use crate::container_service::converge::{Hosts, observe};
use crate::container_service::read::Reader;
use crate::installation::Installation;
use crate::node;

/// How long a host may take to say what it is.
const DESCRIBE_DEADLINE: Duration = Duration::from_secs(20);

pub(super) fn plan(args: &Args, objects: &[Object<'_>]) -> Result<Vec<Planned>> {
    let services = services(objects)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let cluster = args.reach.cluster().await?;
        let client = cluster.client;
        let installation = Installation::find(&client, &cluster.system_namespace).await?;
        let mut planned = Vec::new();
        for service in &services {
            let namespace = service.namespace().unwrap_or_else(|| cluster.namespace.clone());
            planned.push(plan_one(&client, &installation, service, namespace).await?);
        }
        Ok(planned)
    })
}

async fn plan_one(
    client: &Client,
    installation: &Installation,
    service: &ContainerService,
    namespace: String,
) -> Result<Planned> {
    let name = service.name_any();
    let found = Api::<ContainerService>::namespaced(client.clone(), &namespace).get_opt(&name).await;
    let there = found.with_context(|| format!("cannot read ContainerService {namespace}/{name}"))?;
    let generation = there
        .as_ref()
        .map_or(1, |there| there.metadata.generation.unwrap_or(0) + i64::from(there.spec != service.spec));
    let status = there.and_then(|there| there.status).unwrap_or_default();

    let inputs = Reader::new(client, &namespace).read(&service.spec).await?;
    let owner = Owner { installation: installation.id.clone(), namespace: namespace.clone(), name: name.clone() };
    let valid = inputs
        .loaded
        .and_then(|loaded| {
            validate::validate(owner, &service.spec, &loaded.project, &inputs.contents, &installation.key)
        })
        .map_err(|findings| {
            let told: Vec<_> = findings.iter().map(ToString::to_string).collect();
            anyhow!("{namespace}/{name}: {}", told.join("; "))
        })?;
    if let Some(finding) = inputs.findings.iter().find(|finding| finding.severity == Severity::Error) {
        bail!("{namespace}/{name}: {finding}");
    }

    let selector = service.spec.placement.node_selector.clone();
    let selector = selector.map(Selector::try_from).transpose().context("spec.placement.nodeSelector")?;
    let (nodes, targets) = hosts(client, &namespace, selector.as_ref()).await?;
    let observed = observe(Hosts { nodes, targets, logins: inputs.logins }, &valid, generation, &status).await;
    let foresight = foresee(&valid, generation, &observed.hosts.nodes, &observed.images, &status, observed.at);
    Ok(Planned { namespace, name, foresight })
}

/// The Nodes of a namespace, with a connection to each that can be reached.
async fn hosts(
    client: &Client,
    namespace: &str,
    selector: Option<&Selector>,
) -> Result<(Nodes, BTreeMap<String, Target>)> {
    let nodes = Api::<Node>::namespaced(client.clone(), namespace).list(&ListParams::default()).await;
    let nodes = nodes.with_context(|| format!("cannot list the Nodes of namespace {namespace}"))?;
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let engines = nodes.items.iter().filter(|node| node.spec.docker.is_some());
    let looks = engines.map(|node| async {
        let mut view = NodeView {
            matches: selector.is_none_or(|selector| selector.matches(node.labels())),
            cordon: node.spec.cordon,
            suspend: node.spec.suspend,
            deleting: node.metadata.deletion_timestamp.is_some(),
            ..NodeView::default()
        };
        let target = connect(node, &secrets).await.map_err(|error| {
            let status = node.status.as_ref();
            view.unreachable_since = status.and_then(|s| s.unreachable_since.as_ref()?.parse().ok());
            view.fault = Some(Fault { reason: error.reason().into(), message: error.to_string(), needs_person: false });
        });
        view.engine_id = target.as_ref().ok().map(|target| target.lock.clone());
        (node.name_any(), view, target.ok())
    });
    let looks = join_all(looks).await;
    let targets = looks.iter().filter_map(|(name, _, target)| Some((name.clone(), target.clone()?))).collect();
    Ok((Nodes(looks.into_iter().map(|(name, view, _)| (name, view)).collect()), targets))
}

async fn connect(node: &Node, secrets: &Api<Secret>) -> Result<Target, Error> {
    let spec = slipway_plan::node::validate(&node.spec).map_err(Error::Invalid)?;
    let secret = match node::secret_name(node) {
        Some(name) => secrets.get_opt(name).await.map_err(|error| Error::api(format!("read Secret {name}"), error))?,
        None => None,
    };
    let endpoint = spec.docker.ok_or_else(|| {
        Error::new(slipway_drivers::Class::Invalid, "DockerRequired", "the Node names no Docker engine")
    })?;
    let engine = Factory.docker(&node::address(&endpoint, secret)?).await?;
    let described = tokio::time::timeout(DESCRIBE_DEADLINE, engine.describe()).await;
    let described = described.map_err(|_| {
        let message = format!("no answer within {} s", DESCRIBE_DEADLINE.as_secs());
        Error::new(slipway_drivers::Class::Unreachable, "TimedOut", message)
    })??;
    Ok(Target { engine, lock: described.engine_id })
}
