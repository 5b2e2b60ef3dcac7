//! What a host shows of one project: four lists side by side, then a closer look at the project's own containers.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, future, stream};
use slipway_api::labels;
use slipway_plan::container_service::definition::ContainerKey;
use slipway_plan::container_service::observed::{
    Container, Health, HealthStatus, Host, Image, Network, Other, Owner, State, Volume,
};

use super::client::{Call, Client, segment};
use super::engine::Known;
use super::errors::CallError;
use super::execute::UNFINISHED;
use super::images::{self, Reference};
use super::text::{printable, tail};
use super::{Query, kept, wire};

/// Calls at a time.
const PARALLEL: usize = 8;
const LOG_LINES: &str = "20";
const MAX_LOG: usize = 2 << 10;
const MAX_OUTPUT: usize = 1 << 10;
const MAX_ERROR: usize = 500;

/// Labels of Compose, as far as they are looked at.
const COMPOSE_PROJECT: &str = "com.docker.compose.project";
const COMPOSE_NUMBER: &str = "com.docker.compose.container-number";
const COMPOSE_DEPENDS_ON: &str = "com.docker.compose.depends_on";

pub(super) async fn observe(client: &Client, known: &Known, query: &Query) -> Result<Host, CallError> {
    let list = |path: &str| if query.owned_only { of_owner(client.get(path), &query.owner) } else { client.get(path) };
    let (summaries, mut networks, volumes, images, pulled) = tokio::try_join!(
        list("/containers/json").query("all", "1").read::<wire::List<wire::ContainerSummary>>(),
        list("/networks").read::<wire::List<wire::Network>>(),
        list("/volumes").read::<wire::Volumes>(),
        images(client, &query.images),
        async { if query.unused_images { images::pulled(client).await } else { Ok(BTreeMap::new()) } },
    )?;
    let used: BTreeSet<_> = summaries.0.iter().map(|summary| summary.image_id.as_str()).collect();
    let unused_images = pulled.into_iter().filter(|(_, id)| !used.contains(id.as_str())).collect();
    // libnetwork makes it at every start of the engine, unless it found containers that were kept alive.
    let engine_started_at =
        networks.0.iter().find(|network| network.name == "bridge").and_then(|bridge| bridge.created);
    let (ours, others): (Vec<_>, Vec<_>) =
        summaries.0.into_iter().partition(|summary| wire::owner(&summary.labels).as_ref() == Some(&query.owner));
    let mut containers: Vec<Container> = stream::iter(ours)
        .map(|summary| container(client, summary.id))
        .buffer_unordered(PARALLEL)
        .try_filter_map(future::ok)
        .try_collect()
        .await?;
    containers.sort_by(|a, b| (&a.key, &a.name).cmp(&(&b.key, &b.name)));
    // 20.10 lets two networks have one name: of those the owner's counts, which is the last.
    networks.0.sort_by_key(|network| wire::owner(&network.labels).as_ref() == Some(&query.owner));
    let host = Host {
        containers,
        others: others.into_iter().map(other).collect(),
        networks: networks
            .0
            .into_iter()
            .filter(|network| {
                query.networks.contains(&network.name) || wire::owner(&network.labels).as_ref() == Some(&query.owner)
            })
            .map(network)
            .collect(),
        kept_networks: volumes
            .volumes
            .iter()
            .filter(|volume| wire::owner(&volume.labels).as_ref() == Some(&query.owner))
            .filter_map(kept::kept)
            .collect(),
        volumes: volumes
            .volumes
            .into_iter()
            .filter(|volume| {
                query.volumes.contains(&volume.name) || wire::owner(&volume.labels).as_ref() == Some(&query.owner)
            })
            .map(volume)
            .collect(),
        images,
        unused_images,
        clock_ahead: client.clock_ahead(),
        engine_started_at,
    };
    learn(known, &query.owner, &host);
    Ok(host)
}

/// A list of nothing but an owner's things.
fn of_owner<'a>(call: Call<'a>, owner: &Owner) -> Call<'a> {
    let marks = [
        (labels::INSTALLATION, &owner.installation),
        (labels::NAMESPACE, &owner.namespace),
        (labels::NAME, &owner.name),
    ];
    let marks: Vec<_> = marks.iter().map(|(name, value)| format!("{name}={value}")).collect();
    call.query("filters", &serde_json::json!({ "label": marks }).to_string())
}

fn learn(known: &Known, owner: &Owner, host: &Host) {
    for container in &host.containers {
        known.learn(&container.id, owner);
    }
    for network in host.networks.values().filter(|network| network.owner.as_ref() == Some(owner)) {
        known.learn(&network.id, owner);
    }
    for (name, _) in host.volumes.iter().filter(|(_, volume)| volume.owner.as_ref() == Some(owner)) {
        known.learn(name, owner);
    }
}

/// A container of the owner; `None` if it has gone meanwhile.
async fn container(client: &Client, id: String) -> Result<Option<Container>, CallError> {
    let Some(seen) = inspect(client, &id).await? else { return Ok(None) };
    let mut container = from_inspect(seen.clone());
    if wants_log(&container) {
        container.log_tail = log_tail(client, &id, seen.config.tty).await;
    }
    Ok(Some(container))
}

/// A container by ID or name; `None` if there is none.
pub(super) async fn inspect(client: &Client, id: &str) -> Result<Option<wire::Container>, CallError> {
    present(client.get(format!("/containers/{}/json", segment(id))).read().await)
}

/// `None` for "there is no such thing".
pub(super) fn present<T>(answer: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

fn from_inspect(seen: wire::Container) -> Container {
    let labels = &seen.config.labels;
    let label = |name: &str| labels.get(name).cloned();
    let state = match state(&seen.state.status) {
        State::Created if seen.name().ends_with(UNFINISHED) => State::Dead,
        state => state,
    };
    Container {
        name: seen.name().to_owned(),
        key: ContainerKey {
            service: label(labels::SERVICE).unwrap_or_default(),
            number: label(COMPOSE_NUMBER).and_then(|number| number.parse().ok()).unwrap_or(1),
        },
        revision: label(labels::REVISION).unwrap_or_default(),
        restart: label(labels::RESTART),
        state,
        exit_code: seen.state.exit_code,
        oom_killed: seen.state.oom_killed,
        error: printable(&seen.state.error, MAX_ERROR),
        started_at: seen.state.started_at,
        finished_at: seen.state.finished_at,
        created_at: seen.created,
        health: health(&seen.state.health),
        restart_count: seen.restart_count,
        log_tail: String::new(),
        networks: seen.network_settings.networks.keys().cloned().collect(),
        stop_timeout: seen.config.stop_timeout,
        depends_on: label(COMPOSE_DEPENDS_ON).map(|services| depends_on(&services)).unwrap_or_default(),
        runs_once: labels.get(labels::LIFECYCLE).is_some_and(|word| word == "once"),
        volumes: seen.mounts.into_iter().filter(|mount| mount.kind == "volume").map(|mount| mount.name).collect(),
        network_ids: seen
            .network_settings
            .networks
            .into_iter()
            .map(|(name, endpoint)| (name, endpoint.network_id))
            .filter(|(_, id)| !id.is_empty())
            .collect(),
        host_config: seen.host_config,
        id: seen.id,
        image_id: seen.image,
    }
}

/// The services in `db:service_healthy:false,cache:service_started:true`.
fn depends_on(label: &str) -> Vec<String> {
    label
        .split(',')
        .filter_map(|part| part.split(':').next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn state(word: &str) -> State {
    match word {
        "running" => State::Running,
        "paused" => State::Paused,
        "restarting" => State::Restarting,
        "removing" => State::Removing,
        "exited" => State::Exited,
        "dead" => State::Dead,
        // What is not known is taken for what can only be started.
        _ => State::Created,
    }
}

fn health(seen: &wire::Health) -> Option<Health> {
    let status = match seen.status.as_str() {
        "starting" => HealthStatus::Starting,
        "healthy" => HealthStatus::Healthy,
        "unhealthy" => HealthStatus::Unhealthy,
        _ => return None,
    };
    // A healthy container's output is of no interest, and would make every look different.
    let output = match status {
        HealthStatus::Healthy => String::new(),
        _ => seen.log.last().map(|probe| tail(probe.output.as_bytes(), MAX_OUTPUT)).unwrap_or_default(),
    };
    Some(Health { status, output })
}

fn wants_log(container: &Container) -> bool {
    match container.state {
        State::Exited => container.exit_code != 0,
        State::Restarting => true,
        _ => false,
    }
}

/// The last lines of a container's log. It is a help for people: without it, an observation is still one.
async fn log_tail(client: &Client, id: &str, tty: bool) -> String {
    let call = client.get(format!("/containers/{}/logs", segment(id)));
    let call = call.query("stdout", "1").query("stderr", "1").query("tail", LOG_LINES);
    match call.read_bytes().await {
        Ok(log) if tty => tail(&log, MAX_LOG),
        Ok(log) => tail(&without_frames(&log), MAX_LOG),
        Err(_) => String::new(),
    }
}

/// Takes the frames' headers out of a log: one byte of stream, three of zero, four of length (big endian), then the text.
fn without_frames(mut log: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(log.len());
    while let Some((header, rest)) = log.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let (frame, rest) = rest.split_at(rest.len().min(length as usize));
        text.extend_from_slice(frame);
        log = rest;
    }
    text
}

fn other(summary: wire::ContainerSummary) -> Other {
    let mut host_ports: Vec<_> = summary
        .ports
        .iter()
        .filter(|port| port.public_port != 0)
        .map(|port| (all_to_empty(&port.ip), port.public_port, port.protocol.clone()))
        .collect();
    host_ports.sort();
    host_ports.dedup();
    Other {
        name: summary.name().to_owned(),
        project: summary.labels.get(COMPOSE_PROJECT).cloned(),
        owner: wire::owner(&summary.labels),
        host_ports,
        id: summary.id,
    }
}

fn all_to_empty(ip: &str) -> String {
    if matches!(ip, "0.0.0.0" | "::") { String::new() } else { ip.to_owned() }
}

fn network(seen: wire::Network) -> (String, Network) {
    let network = Network {
        owner: wire::owner(&seen.labels),
        hash: seen.labels.get(labels::REVISION).cloned(),
        project: seen.labels.get(COMPOSE_PROJECT).cloned(),
        id: seen.id,
    };
    (seen.name, network)
}

fn volume(seen: wire::Volume) -> (String, Volume) {
    let label = |name: &str| seen.labels.get(name).cloned();
    let volume = Volume {
        owner: wire::owner(&seen.labels),
        role: label(labels::ROLE),
        revision: label(labels::REVISION),
        project: label(COMPOSE_PROJECT),
    };
    (seen.name, volume)
}

async fn images(client: &Client, wanted: &BTreeSet<String>) -> Result<BTreeMap<String, Image>, CallError> {
    stream::iter(wanted.clone())
        .map(|reference| async move { Ok(image(client, &reference).await?.map(|image| (reference, image))) })
        .buffer_unordered(PARALLEL)
        .try_filter_map(future::ok)
        .try_collect()
        .await
}

/// An image on the host; `None` if it is not there.
pub(super) async fn image(client: &Client, reference: &str) -> Result<Option<Image>, CallError> {
    let found: Option<wire::Image> = present(client.get(format!("/images/{}/json", segment(reference))).read().await)?;
    Ok(found.map(|seen| Image {
        digests: Reference::parse(reference).digests(&seen.repo_digests),
        has_healthcheck: seen.config.healthcheck.test.first().is_some_and(|kind| kind != "NONE"),
        id: seen.id,
    }))
}

pub(super) async fn owners(client: &Client, installation: &str) -> Result<BTreeSet<Owner>, CallError> {
    let of_installation = format!("{}={installation}", labels::INSTALLATION);
    let filters = serde_json::json!({ "label": [of_installation] }).to_string();
    let helpers = serde_json::json!({ "label": [of_installation, labels::ROLE] }).to_string();
    let (containers, networks, volumes) = tokio::try_join!(
        client
            .get("/containers/json")
            .query("all", "1")
            .query("filters", &filters)
            .read::<wire::List<wire::ContainerSummary>>(),
        client.get("/networks").query("filters", &filters).read::<wire::List<wire::Network>>(),
        // Named volumes are kept on purpose, so they are no reason to sweep.
        client.get("/volumes").query("filters", &helpers).read::<wire::Volumes>(),
    )?;
    let containers = containers.0.into_iter().map(|container| container.labels);
    let networks = networks.0.into_iter().map(|network| network.labels);
    let volumes = volumes.volumes.into_iter().map(|volume| volume.labels);
    Ok(containers.chain(networks).chain(volumes).filter_map(|labels| wire::owner(&labels)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_container_does_not_hide_the_others() {
        let list: wire::List<wire::ContainerSummary> = serde_json::from_str(
            r#"[{"Id": "1", "Names": ["/other/alias", "/a"], "Labels": null, "Ports": [{"PublicPort": 80, "IP": "0.0.0.0", "Type": "tcp"}, 7]},
                "not a container", {"Id": "2", "Names": 5, "Extra": {}}]"#,
        )
        .unwrap();
        let others: Vec<_> = list.0.into_iter().map(other).collect();
        assert_eq!(others.len(), 2);
        assert_eq!(
            (others[0].name.as_str(), others[0].host_ports.as_slice()),
            ("a", &[(String::new(), 80, "tcp".into())][..])
        );
    }

    #[test]
    fn a_host_config_with_an_odd_key_keeps_the_rest() {
        let seen: wire::Container =
            serde_json::from_str(r#"{"Id": "1", "HostConfig": {"Memory": 5, "Isolation": {"new": 1}}}"#).unwrap();
        assert_eq!(seen.host_config.memory, Some(5));
    }

    #[test]
    fn never_is_no_time() {
        let seen: wire::Container = serde_json::from_str(
            r#"{"Created": "2026-01-02T03:04:05.123456789Z", "State": {"StartedAt": "0001-01-01T00:00:00Z", "Status": "created"}}"#,
        )
        .unwrap();
        assert_eq!(seen.created.unwrap().subsec_nanosecond(), 123_456_789);
        assert_eq!(from_inspect(seen).started_at, None);
    }

    #[test]
    fn log_frames_are_taken_apart() {
        let log = [&[1, 0, 0, 0, 0, 0, 0, 4][..], b"out\n", &[2, 0, 0, 0, 0, 0, 0, 9][..], b"cut of"].concat();
        assert_eq!(without_frames(&log), b"out\ncut of");
    }
}
