//! A Design of 1000 Nodes is applied to a running operator: the time until the Design's findings and the status of every
//! Node are written, over the time that the API server itself takes for as many writes.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use slipway_api::conditions::{READY, find};
use slipway_api::{Design, Node};
use slipway_e2e::lab::{Cluster, Operator};

use crate::bench::figure::Figure;

const NAMESPACE: &str = "bench";
const NODES: usize = 1000;
/// Writes at one time: as many as the operator has passes of a kind, by default.
const AT_ONCE: usize = 32;
/// The operator writes at 0.8 of the API server's rate at least.
const GOAL: f64 = 1.0 / 0.8;
const PATIENCE: Duration = Duration::from_mins(5);

/// Measures it.
pub async fn applied() -> Result<Figure> {
    eprintln!("bench: starting an API server with {NODES} Nodes");
    let cluster = Cluster::start().await?;
    cluster.install_crds().await?;
    let client = cluster.client().await?;
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}}))?;
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    let _operator = Operator::start(&cluster.kubeconfig(), NAMESPACE).await?;
    let nodes: Api<Node> = Api::namespaced(client.clone(), NAMESPACE);
    in_parallel(&nodes, async |nodes, number| {
        nodes.create(&PostParams::default(), &node(number)?).await.map(drop).map_err(Into::into)
    })
    .await?;
    until(&client, "DesignMissing").await?;

    // The reference before and after, as a machine warms up.
    let before = reference(&nodes, "before").await?;
    let designs: Api<Design> = Api::namespaced(client.clone(), NAMESPACE);
    let begun = Instant::now();
    designs.create(&PostParams::default(), &design()?).await?;
    until(&client, "Compiled").await?;
    loop {
        let status = designs.get("site").await?.status.unwrap_or_default();
        if status.nodes.is_some_and(|nodes| usize::try_from(nodes.total).is_ok_and(|total| total == NODES))
            && find(&status.conditions, READY).is_some()
        {
            break;
        }
        ensure!(begun.elapsed() < PATIENCE, "the Design has no status");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = begun.elapsed();
    let after = reference(&nodes, "after").await?;
    let alone = (before + after) / 2;
    let value = took.as_secs_f64() / alone.as_secs_f64();
    let per_second = (f64::from(u32::try_from(NODES)?) / alone.as_secs_f64()).round();
    let figure = Figure::new(
        format!("Design of {NODES} Nodes applied: all status written, over as many status writes alone"),
        value,
        "",
        GOAL,
    );
    Ok(figure.beside("status writes of the API server, in a second", per_second, ""))
}

/// The time for a write of each Node's status, of the size of those that the operator makes.
async fn reference(nodes: &Api<Node>, round: &str) -> Result<Duration> {
    let begun = Instant::now();
    in_parallel(nodes, async |nodes, number| {
        let name = name(number);
        let status = json!({"inventory": round, "health": "x".repeat(300)});
        let body =
            json!({"apiVersion": "slipway.dev/v1alpha1", "kind": "Node", "metadata": {"name": name}, "status": status});
        let manager = PatchParams::apply("bench").force();
        nodes.patch_status(&name, &manager, &Patch::Apply(&body)).await.map(drop).map_err(Into::into)
    })
    .await?;
    Ok(begun.elapsed())
}

async fn in_parallel(nodes: &Api<Node>, work: impl AsyncFn(&Api<Node>, usize) -> Result<()>) -> Result<()> {
    let work = &work;
    stream::iter(0..NODES)
        .map(|number| async move { work(nodes, number).await })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Waits until the Ready condition of every Node has this reason.
async fn until(client: &Client, reason: &str) -> Result<()> {
    let nodes: Api<Node> = Api::namespaced(client.clone(), NAMESPACE);
    let has = |node: &Node| {
        let conditions = node.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        find(conditions, READY).is_some_and(|ready| ready.reason == reason)
    };
    let watch = async {
        let mut seen = HashSet::new();
        let mut changes = std::pin::pin!(watcher(nodes, watcher::Config::default()).applied_objects());
        while let Some(node) = changes.try_next().await? {
            if has(&node) {
                seen.insert(node.name_any());
            }
            if seen.len() == NODES {
                return Ok(());
            }
        }
        anyhow::bail!("the watch ended")
    };
    tokio::time::timeout(PATIENCE, watch).await.with_context(|| format!("not all Nodes are {reason}"))?
}

fn name(number: usize) -> String {
    format!("n{number:04}")
}

fn node(number: usize) -> Result<Node> {
    let (high, low) = (number / 200, number % 200 + 10);
    let addresses: Vec<Value> = ["mgmt", "storage", "oob"]
        .iter()
        .enumerate()
        .map(|(network, name)| json!({"network": name, "address": format!("10.{}.{high}.{low}", network + 1)}))
        .collect();
    let spec = json!({
        "designRef": {"name": "site"}, "hostProfile": if number.is_multiple_of(3) { "control" } else { "compute" }, "rack": format!("r{}", number % 40),
        "addressing": addresses, "bootMac": format!("52:54:00:00:{:02x}:{:02x}", number / 256, number % 256),
        "metadata": {"tags": [format!("zone{}", number % 4)]},
    });
    let node =
        json!({"apiVersion": "slipway.dev/v1alpha1", "kind": "Node", "metadata": {"name": name(number)}, "spec": spec});
    Ok(serde_json::from_value(node)?)
}

fn design() -> Result<Design> {
    let network = |name: &str, number: usize, vlan: u16| json!({"name": name, "cidr": format!("10.{number}.0.0/16"), "vlan": vlan});
    let profile = json!({
        "name": "base", "hardwareProfile": "server", "primaryNetwork": "mgmt",
        "interfaces": [{"name": "bond0", "link": "data", "slaves": ["eno1", "eno2"], "networks": ["mgmt", "storage"]}],
        "storage": {"disks": [{"name": "sda", "partitions": [
            {"name": "boot", "size": "2g", "filesystem": {"mountpoint": "/boot"}},
            {"name": "root", "size": ">30g", "filesystem": {"mountpoint": "/"}}]}]},
        "platform": {"image": "jammy", "kernel": "ga-22.04", "kernelParams": [{"name": "console", "value": "ttyS1,115200n8"}]},
    });
    let design = json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "Design", "metadata": {"name": "site"},
        "spec": {
            "networks": [network("mgmt", 1, 100), network("storage", 2, 200), network("oob", 3, 0)],
            "networkLinks": [
                {"name": "data", "bonding": {"mode": "802.3ad"}, "trunking": {"mode": "802.1q"}, "allowedNetworks": ["mgmt", "storage"]},
                {"name": "oob", "trunking": {"mode": "disabled", "defaultNetwork": "oob"}, "allowedNetworks": ["oob"]}],
            "racks": (0..40).map(|number| json!({"name": format!("r{number}")})).collect::<Vec<_>>(),
            "hardwareProfiles": [{"name": "server"}],
            "hostProfiles": [profile, {"name": "control", "extends": "base", "metadata": {"tags": ["control"]}},
                {"name": "compute", "extends": "base", "metadata": {"tags": ["compute"]}}],
        },
    });
    Ok(serde_json::from_value(design)?)
}
