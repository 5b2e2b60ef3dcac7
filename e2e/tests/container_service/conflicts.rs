//! What others have on a host is named, and never touched.

use anyhow::{Result, ensure};
use bollard::models::{ContainerCreateBody, HostConfig, NetworkCreateRequest, PortBinding, VolumeCreateRequest};
use bollard::query_parameters::{CreateContainerOptionsBuilder, StartContainerOptions};
use serde_json::json;
use slipway_e2e::lab::site::{SLEEPER, Site, inspect, runs};
use slipway_e2e::lab::{DockerHost, HostOptions, Image};
use std::collections::HashMap;

use crate::on_site;

async fn foreign(host: &DockerHost, name: &str, labels: &[(&str, &str)], port: Option<u16>) -> Result<String> {
    let bindings = port.map(|port| {
        let binding = PortBinding { host_ip: None, host_port: Some(port.to_string()) };
        HashMap::from([("80/tcp".to_owned(), Some(vec![binding]))])
    });
    let body = ContainerCreateBody {
        image: Some(SLEEPER.into()),
        labels: Some(labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()),
        exposed_ports: port.map(|_| vec!["80/tcp".to_owned()]),
        host_config: Some(HostConfig { port_bindings: bindings, ..HostConfig::default() }),
        ..ContainerCreateBody::default()
    };
    let docker = host.docker()?;
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    let id = docker.create_container(Some(options), body).await?.id;
    docker.start_container(name, None::<StartContainerOptions>).await?;
    Ok(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_a_port_and_a_project_that_are_taken_are_named() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        let theirs = foreign(site.host(), "squatter", &[("com.docker.compose.project", "theirs")], Some(18080)).await?;

        site.apply("port", &json!({"compose": {"services": {"web": {"image": SLEEPER, "ports": ["18080:80"]}}}}))
            .await?;
        let message = site.not_ready("port", "HostPortTaken").await?;
        ensure!(message.contains("18080") && message.contains("squatter"), "{message}");

        site.apply(
            "named",
            &json!({"compose": {"services": {"web": {"image": SLEEPER, "container_name": "squatter"}}}}),
        )
        .await?;
        let message = site.not_ready("named", "ContainerNameTaken").await?;
        ensure!(message.contains("squatter"), "{message}");

        site.apply("project", &json!({"compose": {"name": "theirs", "services": {"web": {"image": SLEEPER}}}})).await?;
        let message = site.not_ready("project", "ProjectTaken").await?;
        ensure!(message.contains("theirs"), "{message}");

        for name in ["port", "named", "project"] {
            ensure!(site.containers(site.host(), name).await?.is_empty(), "{name} has made something");
            site.delete(name).await?;
        }
        let squatter = inspect(site.host(), "squatter").await?;
        ensure!(squatter.id.as_deref() == Some(&*theirs) && squatter.state.and_then(|it| it.running) == Some(true));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_installations_containers_are_never_touched() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        let labels = [
            ("slipway.dev/installation", "another-cluster"),
            ("slipway.dev/namespace", &*site.ns.name),
            ("slipway.dev/name", "app"),
            ("slipway.dev/service", "web"),
            ("slipway.dev/revision", "0"),
            ("com.docker.compose.project", "elsewhere"),
        ];
        let theirs = foreign(site.host(), "elsewhere-web-1", &labels, None).await?;
        site.apply("app", &json!({"compose": {"services": {"web": {"image": SLEEPER}}}})).await?;
        site.ready("app").await?;
        site.delete("app").await?;
        let found = inspect(site.host(), "elsewhere-web-1").await?;
        ensure!(found.id.as_deref() == Some(&*theirs) && found.state.and_then(|it| it.running) == Some(true));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_race_for_a_port_one_runs_and_one_says_so() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        let spec = json!({"compose": {"services": {"web": {"image": SLEEPER, "ports": ["18081:80"]}}}});
        let (one, two) = tokio::join!(site.apply("one", &spec), site.apply("two", &spec));
        one?;
        two?;
        let (winner, loser) = tokio::select! {
            won = site.ready("one") => (won.map(|_| "one")?, "two"),
            won = site.ready("two") => (won.map(|_| "two")?, "one"),
        };
        let message = site.not_ready(loser, "HostPortTaken").await?;
        ensure!(message.contains("18081"), "{message}");
        ensure!(site.containers(site.host(), winner).await?.values().all(runs));
        site.delete(winner).await?;
        site.ready(loser).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_external_is_named_while_it_is_missing_and_used_as_soon_as_it_is_there() -> Result<()> {
    on_site(async |ns| {
        let site = Site::with_hosts(ns, 1).await?;
        let spec = json!({"compose": {
            "services": {"web": {"image": SLEEPER, "networks": ["front"], "volumes": ["data:/data"]}},
            "networks": {"front": {"external": true, "name": "shared-front"}},
            "volumes": {"data": {"external": true, "name": "shared-data"}},
        }});
        site.apply("app", &spec).await?;
        let message = site.not_ready("app", "ExternalNetworkMissing").await?;
        ensure!(message.contains("shared-front"), "{message}");
        let docker = site.host().docker()?;
        let network = NetworkCreateRequest { name: "shared-front".into(), ..NetworkCreateRequest::default() };
        docker.create_network(network).await?;
        let message = site.not_ready("app", "ExternalVolumeMissing").await?;
        ensure!(message.contains("shared-data"), "{message}");
        ensure!(site.containers(site.host(), "app").await?.is_empty(), "made without its volume");
        let volume = VolumeCreateRequest { name: Some("shared-data".into()), ..VolumeCreateRequest::default() };
        docker.create_volume(volume).await?;
        site.ready("app").await?;
        site.delete("app").await?;
        docker.inspect_network("shared-front", None).await?;
        docker.inspect_volume("shared-data").await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_finds_no_addresses_is_named_and_made_when_there_are_some() -> Result<()> {
    on_site(async |ns| {
        // One pool for the engine's own bridge, and one for the first network.
        let pools = "--default-address-pool=base=172.31.248.0/23,size=24".to_owned();
        let host = DockerHost::with(HostOptions { args: vec![pools], ..HostOptions::default() }).await?;
        host.load(&Image::new(SLEEPER)).await?;
        ns.create(&host.unix_node("h0")).await?;
        let operator = ns.operator().await?;
        let site = Site { ns, hosts: vec![host], operator };
        let web = json!({"compose": {"services": {"web": {"image": SLEEPER}}}});
        site.apply("one", &web).await?;
        site.ready("one").await?;
        site.apply("two", &web).await?;
        let message = site.not_ready("two", "AddressPoolExhausted").await?;
        ensure!(message.contains("two_default"), "{message}");
        ensure!(site.containers(site.host(), "one").await?.values().all(runs), "the other one has suffered");
        site.delete("one").await?;
        site.ready("two").await?;
        Ok(())
    })
    .await
}
