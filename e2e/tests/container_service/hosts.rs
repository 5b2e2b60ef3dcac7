//! Hosts that fail, come, go and come back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use slipway_api::{ContainerService, Node};
use slipway_e2e::lab::site::{SLEEPER, SOON, Site, id_of, ready_condition, runs};
use slipway_e2e::lab::{DockerHost, Image, eventually};

use crate::on_site;

/// Within this a host that goes away is noticed: 15 s, which the operator's own tests hold it to, and more, as this machine is busy.
const NOTICED: Duration = Duration::from_mins(1);

fn web() -> serde_json::Value {
    json!({"compose": {"services": {"web": {"image": SLEEPER}}}, "deletion": {"timeout": "5s"}})
}

/// A site whose one host is reached by TLS, so that it can be unplugged.
async fn tls_site(ns: std::sync::Arc<slipway_e2e::lab::TestNamespace>) -> Result<Site> {
    let host = DockerHost::start().await?;
    host.load(&Image::new(SLEEPER)).await?;
    ns.create_secret(&host.tls_secret("h0-tls")?).await?;
    ns.create(&host.tls_node("h0", "h0-tls")).await?;
    let operator = ns.operator().await?;
    Ok(Site { ns, hosts: vec![host], operator })
}

/// A host that goes away is noticed, and when it is back all is as it was.
async fn is_noticed(
    fault: &str,
    strike: impl Fn(&DockerHost) -> Result<()>,
    end: impl AsyncFn(&DockerHost) -> Result<()>,
) -> Result<()> {
    on_site(async |ns| {
        let site = tls_site(ns).await?;
        site.apply("app", &web()).await?;
        site.ready("app").await?;
        let first = id_of(&site.containers(site.host(), "app").await?, "app-web-1")?;
        let host = site.host();
        strike(host)?;
        let away = |it: &Node| it.status.as_ref().is_some_and(|status| status.unreachable_since.is_some());
        site.ns.wait_for("h0", &format!("away, as it is {fault}"), NOTICED, away).await?;
        site.ns
            .wait_for("app", "not ready", SOON, |it: &ContainerService| {
                ready_condition(it).is_some_and(|ready| ready.status != "True" && ready.message.contains("h0"))
            })
            .await?;
        end(host).await?;
        site.ns.wait_condition::<Node>("h0", "Ready", "True", SOON).await?;
        site.ready("app").await?;
        let now = site.containers(host, "app").await?;
        ensure!(now.len() == 1 && now.values().all(runs), "{fault}: {now:?}");
        ensure!(id_of(&now, "app-web-1")? == first, "{fault}: made anew for nothing");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_killed_is_noticed_and_taken_up_again() -> Result<()> {
    let strike = |host: &DockerHost| {
        host.kill_engine();
        Ok(())
    };
    is_noticed("killed", strike, async |host: &DockerHost| host.start_engine().await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_frozen_is_noticed_and_taken_up_again() -> Result<()> {
    is_noticed("frozen", DockerHost::freeze, async |host: &DockerHost| host.thaw()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_unplugged_is_noticed_and_taken_up_again() -> Result<()> {
    is_noticed("unplugged", DockerHost::unplug, async |host: &DockerHost| host.plug()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_ends_without_the_host_and_what_was_left_is_swept_when_it_is_back() -> Result<()> {
    on_site(async |ns| {
        let site = tls_site(ns).await?;
        site.apply("app", &web()).await?;
        site.ready("app").await?;
        site.host().unplug()?;
        let away = |it: &Node| it.status.as_ref().is_some_and(|status| status.unreachable_since.is_some());
        site.ns.wait_for("h0", "away", NOTICED, away).await?;
        site.delete("app").await?;
        let events = site.ns.api::<k8s_openapi::api::events::v1::Event>();
        eventually("an Event that says what was left", SOON, || async {
            let all = events.list(&kube::api::ListParams::default()).await?;
            all.iter()
                .find(|it| {
                    it.reason.as_deref() == Some("DeletionAbandoned")
                        && it.note.as_ref().is_some_and(|note| note.contains("h0"))
                })
                .map(drop)
                .context("no Event")
        })
        .await?;
        site.host().plug()?;
        site.wait_containers(site.host(), "app", "nothing to be left", std::collections::BTreeMap::is_empty).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_node_gets_it_a_cordoned_one_does_not_and_one_that_leaves_loses_it() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 2).await?;
        let nodes = site.ns.api::<Node>();
        let label = |role: &str| Patch::Merge(json!({"metadata": {"labels": {"role": role}}}));
        let spec = json!({
            "placement": {"nodeSelector": {"matchLabels": {"role": "web"}}},
            "compose": {"services": {"web": {"image": SLEEPER}}},
        });
        site.apply("app", &spec).await?;
        site.not_ready("app", "NoMatchingNode").await?;
        nodes.patch("h0", &PatchParams::default(), &label("web")).await?;
        let object = site.ready("app").await?;
        ensure!(object.status.and_then(|it| it.hosts) == Some(1));
        nodes.patch("h1", &PatchParams::default(), &Patch::Merge(json!({"spec": {"cordon": true}}))).await?;
        nodes.patch("h1", &PatchParams::default(), &label("web")).await?;
        nodes.patch("h0", &PatchParams::default(), &Patch::Merge(json!({"spec": {"cordon": true}}))).await?;
        site.ns
            .wait_for("h1", "cordoned", SOON, |it: &Node| {
                it.status.as_ref().is_some_and(|status| status.observed_generation == it.metadata.generation)
            })
            .await?;
        site.ready("app").await?;
        ensure!(site.containers(&site.hosts[1], "app").await?.is_empty(), "placed on a cordoned Node");
        ensure!(site.containers(&site.hosts[0], "app").await?.len() == 1, "cordon has removed what was there");
        nodes.patch("h1", &PatchParams::default(), &Patch::Merge(json!({"spec": {"cordon": false}}))).await?;
        site.wait_containers(&site.hosts[1], "app", "h1 to run it", |all| all.len() == 1 && all.values().all(runs))
            .await?;
        nodes.patch("h0", &PatchParams::default(), &label("none")).await?;
        site.wait_containers(&site.hosts[0], "app", "h0 to lose it", std::collections::BTreeMap::is_empty).await?;
        site.ready("app").await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_of_a_node_that_is_gone_is_placed_elsewhere_and_the_old_one_removed() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 2).await?;
        let spec = json!({
            "placement": {"mode": "Replicas", "replicas": 1, "evictAfter": "1s"},
            "compose": {"services": {"web": {"image": SLEEPER}}},
        });
        site.apply("app", &spec).await?;
        let placed = site.ready("app").await?.status.context("no status")?.placed;
        ensure!(placed.len() == 1, "{placed:?}");
        let (old, new) =
            if placed[0] == "h0" { (&site.hosts[0], &site.hosts[1]) } else { (&site.hosts[1], &site.hosts[0]) };
        old.kill_engine();
        site.wait_containers(new, "app", "the other to run it", |all| all.len() == 1 && all.values().all(runs)).await?;
        old.start_engine().await?;
        site.wait_containers(old, "app", "the old one to be removed", std::collections::BTreeMap::is_empty).await?;
        site.ready("app").await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_deleted_and_made_again_finds_its_services() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        site.apply("app", &web()).await?;
        site.ready("app").await?;
        let first = id_of(&site.containers(site.host(), "app").await?, "app-web-1")?;
        let nodes = site.ns.api::<Node>();
        nodes
            .patch("h0", &PatchParams::default(), &Patch::Merge(json!({"spec": {"deletion": {"timeout": "10s"}}})))
            .await?;
        nodes.delete("h0", &DeleteParams::default()).await?;
        site.ns
            .wait_for("h0", "waiting for its user", SOON, |it: &Node| {
                let conditions = it.status.iter().flat_map(|status| &status.conditions);
                conditions.into_iter().any(|condition| condition.reason == "InUse" && condition.message.contains("app"))
            })
            .await?;
        site.ns.wait_gone::<Node>("h0", SOON).await?;
        site.not_ready("app", "NoMatchingNode").await?;
        site.ns.create(&site.host().unix_node("h0")).await?;
        site.ready("app").await?;
        let now = site.containers(site.host(), "app").await?;
        ensure!(now.len() == 1 && now.values().all(runs), "{now:?}");
        ensure!(id_of(&now, "app-web-1")? == first, "made anew for nothing");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_lead_to_one_engine_both_say_so() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        site.ns.create(&site.host().unix_node("twin")).await?;
        for (node, other) in [("h0", "twin"), ("twin", "h0")] {
            site.ns
                .wait_for(node, "the same engine as another", SOON, |it: &Node| {
                    it.status.iter().flat_map(|status| &status.conditions).any(|condition| {
                        condition.type_ == "Ready"
                            && condition.status != "True"
                            && condition.reason == "SameEngine"
                            && condition.message.contains(other)
                    })
                })
                .await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn suspend_stops_all_action_of_an_object_and_of_a_node() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        site.apply("app", &web()).await?;
        site.ready("app").await?;
        let nodes = site.ns.api::<Node>();
        nodes.patch("h0", &PatchParams::default(), &Patch::Merge(json!({"spec": {"suspend": true}}))).await?;
        let observed =
            |it: &Node| it.status.as_ref().is_some_and(|status| status.observed_generation == it.metadata.generation);
        site.ns.wait_for("h0", "suspended", SOON, observed).await?;
        let mut changed = web();
        changed["compose"]["services"]["web"]["environment"] = json!({"A": "1"});
        let first = id_of(&site.containers(site.host(), "app").await?, "app-web-1")?;
        site.apply("app", &changed).await?;
        site.not_ready("app", "NodeSuspended").await?;
        ensure!(
            id_of(&site.containers(site.host(), "app").await?, "app-web-1")? == first,
            "a suspended Node was changed"
        );
        nodes.patch("h0", &PatchParams::default(), &Patch::Merge(json!({"spec": {"suspend": false}}))).await?;
        site.ready("app").await?;
        ensure!(id_of(&site.containers(site.host(), "app").await?, "app-web-1")? != first);

        // Deleted while its Node is suspended, it goes at its deadline; what it had goes when the Node is resumed.
        nodes.patch("h0", &PatchParams::default(), &Patch::Merge(json!({"spec": {"suspend": true}}))).await?;
        site.ns.wait_for("h0", "suspended", SOON, observed).await?;
        site.delete("app").await?;
        ensure!(site.containers(site.host(), "app").await?.len() == 1, "a suspended Node was changed");
        nodes.patch("h0", &PatchParams::default(), &Patch::Merge(json!({"spec": {"suspend": false}}))).await?;
        site.wait_containers(site.host(), "app", "nothing to be left", std::collections::BTreeMap::is_empty).await?;
        Ok(())
    })
    .await
}
