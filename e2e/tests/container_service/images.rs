//! Images: logins, digests that all hosts share, registries that fail, disks that are full.

use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use slipway_e2e::lab::site::{Site, id_of, inspect, runs};
use slipway_e2e::lab::{DockerHost, HostOptions, Image, Part, Registry, can_run};

use crate::on_site;

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_needs_its_login_says_what_is_wrong_and_goes_on_when_it_is_mended() -> Result<()> {
    if !can_run(&[Part::Registry]) {
        return Ok(());
    }
    on_site(async |ns| {
        let registry = Registry::start().await?;
        let site = Site::with_hosts(ns, 2).await?;
        for host in &site.hosts {
            host.trust(&registry.address())?;
        }
        let digest = registry.push(site.host(), &Image::new("lab/one:1"), "web:1").await?;
        let spec = |image: &str| {
            json!({
                "compose": {"services": {"web": {"image": registry.reference(image)}}},
                "imagePullSecrets": [{"name": "login"}],
            })
        };
        site.ns.create_secret(&registry.pull_secret("login", false)).await?;
        site.apply("app", &spec("web:1")).await?;
        let message = site.not_ready("app", "ImageDenied").await?;
        ensure!(message.contains("web:1"), "{message}");

        let right = registry.pull_secret("login", true);
        let secrets = site.ns.api::<k8s_openapi::api::core::v1::Secret>();
        let patch = Patch::Merge(json!({"data": right.data}));
        secrets.patch("login", &PatchParams::default(), &patch).await?;
        let object = site.ready("app").await?;
        let images = object.status.context("no status")?.images;
        ensure!(images.len() == 1 && images[0].digest == digest, "{images:?}, pushed {digest}");
        for host in &site.hosts {
            let container = inspect(host, "app-web-1").await?;
            let image = host.docker()?.inspect_image(&container.image.context("no image")?).await?;
            ensure!(image.repo_digests.unwrap_or_default().iter().any(|it| it.ends_with(&digest)), "another image");
        }

        site.apply("none", &spec("nothing:1")).await?;
        let message = site.not_ready("none", "ImageNotFound").await?;
        ensure!(message.contains("nothing:1"), "{message}");
        site.delete("none").await?;

        registry.stop();
        site.apply("away", &spec("other:1")).await?;
        site.not_ready("away", "RegistryUnreachable").await?;
        ensure!(site.containers(site.host(), "app").await?.values().all(runs), "the outage has touched what runs");
        registry.resume().await?;
        registry.push(site.host(), &Image::new("lab/other:1"), "other:1").await?;
        site.ready("away").await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_is_named_and_waited_for() -> Result<()> {
    if !can_run(&[Part::Registry]) {
        return Ok(());
    }
    on_site(async |ns| {
        let registry = Registry::start().await?;
        let pusher = DockerHost::start().await?;
        let big: Vec<u8> = (0..24_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
        registry.push(&pusher, &Image::new("lab/big:1").file("big", big, 0o644), "big:1").await?;
        let host = DockerHost::with(HostOptions { disk: Some(96), ..HostOptions::default() }).await?;
        host.trust(&registry.address())?;
        ns.create(&host.unix_node("h0")).await?;
        ns.create_secret(&registry.pull_secret("login", true)).await?;
        let operator = ns.operator().await?;
        let site = Site { ns, hosts: vec![host], operator };
        site.host().fill_disk(4096)?;
        let spec = json!({
            "compose": {"services": {"web": {"image": registry.reference("big:1")}}},
            "imagePullSecrets": [{"name": "login"}],
        });
        site.apply("app", &spec).await?;
        site.not_ready("app", "DiskFull").await?;
        site.host().free_disk()?;
        site.ready("app").await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_that_is_gone_is_named_by_a_new_host_and_touches_nothing_that_runs() -> Result<()> {
    if !can_run(&[Part::Registry]) {
        return Ok(());
    }
    on_site(async |ns| {
        let registry = Registry::start().await?;
        let site = Site::with_hosts(ns, 1).await?;
        let late = DockerHost::start().await?;
        late.trust(&registry.address())?;
        let image = Image::new("lab/one:1").file("version", "1", 0o644);
        let digest = registry.push(site.host(), &image, "web:1").await?;
        site.ns.create_secret(&registry.pull_secret("login", true)).await?;
        let spec = json!({
            "compose": {"services": {"web": {"image": registry.reference("web:1")}}},
            "imagePullSecrets": [{"name": "login"}],
        });
        site.apply("app", &spec).await?;
        site.ready("app").await?;
        let first = id_of(&site.containers(site.host(), "app").await?, "app-web-1")?;

        registry.delete("web", &digest)?;
        site.ns.create(&late.unix_node("h1")).await?;
        let message = site.not_ready("app", "ImageNotFound").await?;
        ensure!(message.contains("h1") && message.contains("web"), "{message}");
        let now = site.containers(site.host(), "app").await?;
        ensure!(id_of(&now, "app-web-1")? == first && now.values().all(runs), "what runs was touched: {now:?}");

        ensure!(registry.push(&late, &image, "web:1").await? == digest, "the same image has another digest");
        site.ready("app").await?;
        ensure!(site.containers(&late, "app").await?.values().all(runs));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_whose_ca_the_host_does_not_know_is_named_and_used_once_it_does() -> Result<()> {
    if !can_run(&[Part::Registry]) {
        return Ok(());
    }
    on_site(async |ns| {
        let registry = Registry::start().await?;
        let site = Site::with_hosts(ns, 1).await?;
        let pusher = DockerHost::start().await?;
        registry.push(&pusher, &Image::new("lab/one:1"), "web:1").await?;
        site.ns.create_secret(&registry.pull_secret("login", true)).await?;
        let spec = json!({
            "compose": {"services": {"web": {"image": registry.reference("web:1")}}},
            "imagePullSecrets": [{"name": "login"}],
        });
        site.apply("app", &spec).await?;
        let message = site.not_ready("app", "RegistryTlsInvalid").await?;
        ensure!(message.contains(&registry.address()), "{message}");
        // Nobody tells Slipway of a file on the host: it tries again by itself.
        site.host().trust(&registry.address())?;
        site.ready("app").await?;
        Ok(())
    })
    .await
}
