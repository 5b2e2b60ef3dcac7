//! A ContainerService on three Nodes of a Design with a rollout: what the engines themselves have logged must keep to its order and
//! its budget, through a change with an operator that is killed in the middle, and through the healing of drift.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bollard::models::ContainerUpdateBody;
use bollard::query_parameters::KillContainerOptions;
use futures::future::try_join_all;
use jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use slipway_api::{ContainerService, Design};
use slipway_e2e::lab::namespace::TestNamespace;
use slipway_e2e::lab::site::{Lives, SLEEPER, SOON, Site, id_of, inspect, ready_condition, runs};
use slipway_e2e::lab::{DockerHost, Image, Operator};

use crate::on_site;

/// The one container of the service on each host.
const CONTAINER: &str = "app-web-1";

/// Three hosts: the first is of the group that comes first. One Node of the site may be unavailable at a time.
async fn site(ns: Arc<TestNamespace>) -> Result<Site> {
    let design = json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "Design", "metadata": {"name": "lab"},
        "spec": {
            "hardwareProfiles": [{"name": "hw"}],
            "hostProfiles": [{
                "name": "base", "hardwareProfile": "hw",
                "storage": {"disks": [{"name": "sda", "partitions": [
                    {"name": "root", "size": "30g", "filesystem": {"mountpoint": "/"}},
                ]}]},
            }],
            "rollout": {"maxUnavailable": 1, "groups": [
                {"name": "control", "selector": {"filters": [{"names": ["h0"]}]}},
                {"name": "compute", "after": ["control"]},
            ]},
        },
    });
    ns.create::<Design>(&serde_json::from_value(design)?).await?;
    let hosts = try_join_all((0..3).map(async |number| {
        let host = DockerHost::start().await?;
        host.load(&Image::new(SLEEPER)).await?;
        let mut node = host.unix_node(&format!("h{number}"));
        node.spec.design = serde_json::from_value(json!({"designRef": {"name": "lab"}, "hostProfile": "base"}))?;
        ns.create(&node).await?;
        anyhow::Ok(host)
    }))
    .await?;
    // Without a lease: the next start need not wait until that of the killed one has run out.
    let args = ["--namespace", &ns.name, "--system-namespace", &ns.name, "--leader-elect=false"];
    let operator = Arc::new(Operator::spawn(Some(&ns.cluster.kubeconfig()), &args)?);
    ns.watch_log(&operator);
    operator.wait_ready().await?;
    Ok(Site { ns, hosts, operator })
}

/// The service's own budget allows all of its hosts at a time: the Design's is what holds.
fn spec(version: &str) -> Value {
    json!({
        "compose": {"services": {"web": {
            "image": SLEEPER, "environment": {"V": version},
            "healthcheck": {"test": ["CMD", "true"], "interval": "500ms"},
        }}},
        "update": {"maxUnavailable": 3},
    })
}

async fn pause(site: &Site, paused: bool) -> Result<()> {
    let designs: Api<Design> = site.ns.api();
    let patch = Patch::Merge(json!({"spec": {"rollout": {"paused": paused}}}));
    designs.patch("lab", &PatchParams::default(), &patch).await.map(drop)?;
    Ok(())
}

/// When nothing of the service ran on each host, from a moment on, as its engine has logged it: from the end of the container that ran
/// to the last start after it.
async fn gaps(site: &Site, from: Timestamp) -> Result<BTreeMap<usize, (i64, i64)>> {
    let mut gaps = BTreeMap::new();
    for (number, host) in site.hosts.iter().enumerate() {
        let Lives { starts, ends } = Lives::since(host, from).await?;
        let begun = *ends.first().with_context(|| format!("h{number} has logged no end, and starts {starts:?}"))?;
        let ended = *starts.last().filter(|start| **start > begun).with_context(|| format!("h{number}: no start"))?;
        gaps.insert(number, (begun, ended));
    }
    Ok(gaps)
}

/// No two at a time, and the first host before the others.
fn in_order(gaps: &BTreeMap<usize, (i64, i64)>) -> Result<()> {
    for (host, (begun, _)) in gaps {
        let others = gaps.iter().filter(|(other, (from, to))| *other != host && from <= begun && begun < to);
        ensure!(others.count() == 0, "two hosts are without the service at a time: {gaps:?}");
    }
    ensure!(gaps[&0].1 <= gaps[&1].0.min(gaps[&2].0), "the second group begins before the first has ended: {gaps:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_and_the_healing_of_drift_keep_to_the_order_and_the_budget_of_the_design() -> Result<()> {
    on_site(async |ns| {
        let site = Box::pin(site(ns)).await?;
        site.apply("app", &spec("1")).await?;
        site.ready("app").await?;

        let old = id_of(&site.containers(&site.hosts[0], "app").await?, CONTAINER)?;
        let before = Timestamp::now();
        site.apply("app", &spec("2")).await?;
        // Two hosts are still to come after the first one.
        site.wait_containers(&site.hosts[0], "app", "the first host to have begun", |all| {
            id_of(all, CONTAINER).ok().as_ref() != Some(&old) || all.len() > 1 || !all.values().all(runs)
        })
        .await?;
        site.operator.restart().await?;
        site.ready("app").await?;
        in_order(&gaps(&site, before).await?)?;

        // Somebody changes all of them: what runs is made anew in its turn, and what does not run at once.
        pause(&site, true).await?;
        let before = Timestamp::now();
        let mut first = Vec::new();
        for host in &site.hosts {
            first.push(id_of(&site.containers(host, "app").await?, CONTAINER)?);
            let limit = ContainerUpdateBody { cpu_shares: Some(512), ..ContainerUpdateBody::default() };
            host.docker()?.update_container(CONTAINER, limit).await?;
        }
        site.ns
            .wait_for("app", "all three to wait", SOON, |object: &ContainerService| {
                ready_condition(object).is_some_and(|ready| {
                    ready.reason == "RolloutWaiting"
                        && ready.message.contains("limit")
                        && ready.message.contains("paused")
                        && ready.message.contains("2 more")
                })
            })
            .await?;
        let dead = &site.hosts[2];
        dead.docker()?.kill_container(CONTAINER, None::<KillContainerOptions>).await?;
        site.wait_containers(dead, "app", "the one that was killed to be made anew", |all| {
            all.len() == 1 && all.values().all(runs) && id_of(all, CONTAINER).is_ok_and(|id| id != first[2])
        })
        .await?;
        for (host, id) in site.hosts.iter().zip(&first).take(2) {
            ensure!(id_of(&site.containers(host, "app").await?, CONTAINER)? == *id, "what runs was touched");
        }
        pause(&site, false).await?;
        site.ready("app").await?;
        for host in &site.hosts {
            let shares = inspect(host, CONTAINER).await?.host_config.and_then(|config| config.cpu_shares);
            ensure!(shares.unwrap_or(0) == 0, "the limit is there still: {shares:?}");
        }
        let gaps = gaps(&site, before).await?;
        ensure!(gaps[&2].1 < gaps[&0].0, "the one that was killed has waited: {gaps:?}");
        ensure!(gaps[&0].1 <= gaps[&1].0, "the order or the budget does not hold: {gaps:?}");
        Ok(())
    })
    .await
}
