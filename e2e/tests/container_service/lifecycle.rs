//! From nothing to running, unchanged, changed, and away again.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use slipway_api::ContainerService;
use slipway_e2e::lab::site::{SLEEPER, SOON, Site, exec, id_of, inspect, runs};

use crate::on_site;

fn two_services(store_greeting: &str) -> serde_json::Value {
    json!({"compose": {
        "services": {
            "web": {"image": SLEEPER, "depends_on": {"store": {"condition": "service_healthy"}}, "environment": {"A": "1"}},
            "store": {
                "image": SLEEPER, "environment": {"GREETING": store_greeting}, "volumes": ["data:/data"],
                "healthcheck": {"test": ["CMD", "test", "-d", "/data"], "interval": "1s"},
            },
        },
        "volumes": {"data": {}},
    }})
}

#[tokio::test(flavor = "multi_thread")]
async fn from_apply_to_running_containers_and_away_again() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        site.apply("shop", &two_services("hello")).await?;
        let object = site.ready("shop").await?;
        let status = object.status.clone().context("no status")?;
        ensure!(status.ready.as_deref() == Some("2/2"), "{status:?}");
        ensure!(serde_json::to_vec(&status)?.len() <= 1024, "a healthy status is small: {status:?}");

        let first = site.containers(site.host(), "shop").await?;
        ensure!(first.values().all(runs) && first.len() == 2, "{first:?}");
        let web = inspect(site.host(), "shop-web-1").await?;
        let labels = web.config.and_then(|it| it.labels).unwrap_or_default();
        for (label, value) in [("com.docker.compose.project", "shop"), ("com.docker.compose.service", "web")] {
            ensure!(labels.get(label).map(String::as_str) == Some(value), "{label} of {labels:?}");
        }

        exec(site.host(), "shop-store-1", &["sh", "-c", "echo kept > /data/file"])?;
        site.apply("shop", &two_services("good day")).await?;
        site.ready("shop").await?;
        let second = site.containers(site.host(), "shop").await?;
        ensure!(second.len() == 2, "{second:?}");
        ensure!(id_of(&first, "shop-web-1")? == id_of(&second, "shop-web-1")?, "an unchanged service was recreated");
        ensure!(id_of(&first, "shop-store-1")? != id_of(&second, "shop-store-1")?, "a changed one was not");
        ensure!(exec(site.host(), "shop-store-1", &["cat", "/data/file"])?.trim() == "kept", "the data is gone");

        site.delete("shop").await?;
        ensure!(site.containers(site.host(), "shop").await?.is_empty(), "containers are left");
        let networks = site.host().docker()?.list_networks(None).await?;
        ensure!(!networks.iter().any(|it| it.name.as_deref() == Some("shop_default")), "the network is left");
        ensure!(site.volumes(site.host(), "shop").await? == ["shop_data"], "the volume must be kept");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_killed_runs_again_and_nothing_else_is_touched() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        site.apply("shop", &two_services("hello")).await?;
        let before = site.ready("shop").await?;
        let first = site.containers(site.host(), "shop").await?;
        site.host()
            .docker()?
            .kill_container("shop-web-1", None::<bollard::query_parameters::KillContainerOptions>)
            .await?;
        site.wait_containers(site.host(), "shop", "web to run again", |all| all.values().all(runs)).await?;
        let second = site.containers(site.host(), "shop").await?;
        ensure!(
            id_of(&first, "shop-web-1")? == id_of(&second, "shop-web-1")?,
            "a killed container is started, not made anew"
        );

        let after = site.ready("shop").await?;
        ensure!(before.metadata.generation == after.metadata.generation);
        let removed = bollard::query_parameters::RemoveContainerOptionsBuilder::default().force(true).build();
        site.host().docker()?.remove_container("shop-web-1", Some(removed)).await?;
        site.wait_containers(site.host(), "shop", "web to be made again", |all| {
            all.len() == 2 && all.values().all(runs)
        })
        .await?;
        site.ns.wait_condition::<ContainerService>("shop", "Ready", "True", SOON).await?;
        Ok(())
    })
    .await
}
