//! How many statuses a bare client can write in a second, as a reference for the operator.
//!
//! `status_writes KUBECONFIG NAMESPACE SECONDS WRITERS < status.json`: that many writers at once, each with a Node of its own
//! in the namespace, apply the status by server-side apply over and over, with another text of the same length in it each time. It
//! prints writes a second. No operator may watch the namespace.

use std::io::Read as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::future::try_join_all;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use slipway_api::Node;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().context("usage: status_writes KUBECONFIG NAMESPACE SECONDS WRITERS < status.json");
    let (kubeconfig, namespace) = (next()?, next()?);
    let (seconds, writers): (u64, usize) = (next()?.parse()?, next()?.parse()?);
    let mut status = String::new();
    std::io::stdin().read_to_string(&mut status)?;
    let status: Value = serde_json::from_str(&status)?;

    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    let nodes = Api::<Node>::namespaced(Client::try_from(config)?, &namespace);
    let mut objects = Vec::new();
    for number in 0..writers {
        let node = json!({"metadata": {"name": format!("bare{number}")}, "spec": {"bmc": {"address": "manual"}}});
        let node: Node = serde_json::from_value(node)?;
        objects.push(nodes.create(&PostParams::default(), &node).await?);
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let written = try_join_all(objects.iter().map(|node| write(&nodes, node, &status, end))).await?;
    let all: u32 = written.into_iter().sum();
    println!("{}", f64::from(all) / Duration::from_secs(seconds).as_secs_f64());
    Ok(())
}

/// Writes one Node's status until the end. How often.
async fn write(nodes: &Api<Node>, node: &Node, status: &Value, end: Instant) -> Result<u32> {
    let (name, manager) = (node.name_any(), PatchParams::apply("bare").force());
    let mut body = json!({"apiVersion": "slipway.dev/v1alpha1", "kind": "Node", "metadata": {"name": name}});
    body["status"] = status.clone();
    let mut count = 0;
    while Instant::now() < end {
        body["status"]["inventory"] = json!(format!("write {count:08}"));
        nodes.patch_status(&name, &manager, &Patch::Apply(&body)).await?;
        count += 1;
    }
    Ok(count)
}
