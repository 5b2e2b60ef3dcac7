//! One step at a time. Each looks at what is there first, so that it can be taken again and never touches what is another's.

use std::collections::HashMap;
use std::time::Duration;

use bollard_stubs::models::{ContainerUpdateBody, EndpointSettings, HostConfig, RestartPolicy, RestartPolicyNameEnum};
use serde::Serialize;
use serde_json::{Value, json};
use slipway_api::labels;
use slipway_plan::container_service::definition::{Container, ContainerKey, Definition, Network, Requirement, beyond};
use slipway_plan::container_service::observed::Owner;
use slipway_plan::container_service::plan::Step;

use super::client::{Client, segment};
use super::engine::Known;
use super::errors::CallError;
use super::observe::{inspect, present};
use super::reasons::{self, Reason};
use super::{Pull, files, images, trial, wire};
use crate::DriverError;

/// Ends the name of a container whose making is not complete. It gets its own name last, so that a container that has its
/// name is whole, whenever the operator was killed.
pub(super) const UNFINISHED: &str = ".unfinished";

/// For a call that changes something.
pub(super) const DEADLINE: Duration = Duration::from_mins(1);
/// Creating copies an image's content into new volumes, and a hundred containers start one after the other on a small host.
const LONG_DEADLINE: Duration = Duration::from_mins(3);
/// What the engine takes at most after a container's grace is over.
const AFTER_GRACE: Duration = Duration::from_secs(30);
/// From this API version on, a container is created with all its networks; before, with one.
const API_ALL_NETWORKS: u32 = 44;
/// From this API version on, a place in a network can have a MAC address.
pub(super) const API_ENDPOINT_MAC: u32 = 44;
/// Label of Compose: ID of the image that the container was made from.
const COMPOSE_IMAGE: &str = "com.docker.compose.image";

/// A step being taken for an owner.
pub(super) struct Execution<'a> {
    pub(super) client: &'a Client,
    pub(super) known: &'a Known,
    pub(super) owner: &'a Owner,
    pub(super) definition: &'a Definition,
}

impl Execution<'_> {
    pub(super) async fn step(&self, step: &Step) -> Result<(), DriverError> {
        let taken = match step {
            Step::PullImage { image, digest, platform } => {
                let pull =
                    Pull { image: image.clone(), digest: digest.clone(), platform: platform.clone(), login: None };
                return images::pull(self.client, &pull, &|_| ()).await;
            }
            Step::RemoveImage { image } => images::remove(self.client, image).await,
            Step::CreateNetwork { name } => self.create_network(name).await,
            Step::TryNetwork { name } => self.try_network(name).await,
            Step::KeepNetwork { name, id, containers } => self.keep_network(name, id, containers).await,
            Step::RestoreNetwork { name } => self.restore_network(name).await,
            Step::RebindContainer { id, name, network } => self.rebind_container(id, name, network).await,
            Step::RemoveNetwork { name, id } => self.remove_network(name, id).await,
            Step::CreateVolume { name } => self.create_volume(name).await,
            Step::RemoveVolume { name } => self.remove_volume(name).await,
            Step::CreateContainer { key, name, revision, restart, image_digest } => {
                let marks = self.marks(revision, restart.as_deref());
                self.create_container(key, name, &marks, image_digest.as_deref()).await
            }
            Step::StartContainer { name } => return self.start_container(name).await,
            Step::StopContainer { id, name, grace_seconds } => self.stop_container(id, name, *grace_seconds).await,
            Step::UnpauseContainer { id, name } => self.unpause_container(id, name).await,
            Step::RenameContainer { id, from, to } => self.rename_container(id, from, to).await,
            Step::ConnectNetwork { id, key, network } => self.connect_again(id, key, network).await,
            Step::UpdateContainer { id, key } => self.update_container(id, key).await,
            Step::RemoveContainer { id, name } => self.remove_container(id, name).await,
        };
        taken.map_err(|error| error.of(&step.to_string()))
    }

    pub(super) fn is_ours(&self, labels: &wire::Labels) -> bool {
        wire::owner(labels).as_ref() == Some(self.owner)
    }

    /// A container of the owner; `None` if there is none of that ID or name.
    pub(super) async fn ours(&self, id: &str, name: &str) -> Result<Option<wire::Container>, CallError> {
        match inspect(self.client, id).await? {
            Some(seen) if !self.is_ours(&seen.config.labels) => Err(not_ours("container", name)),
            seen => Ok(seen),
        }
    }

    fn container(&self, key: &ContainerKey) -> Result<&Container, CallError> {
        self.definition.containers.get(key).ok_or_else(|| undefined("container", &key.to_string()))
    }

    async fn create_network(&self, name: &str) -> Result<(), CallError> {
        let network = self.own_network(name)?;
        let mut body = to_value(&network.body);
        // Before API 1.44 the engine makes a second network of the same name unless it is told not to.
        body["CheckDuplicate"] = Value::Bool(true);
        let answer = self.client.post("/networks/create").json(&body).deadline(DEADLINE).send().await;
        let created = match answer {
            Err(error) if error.status() == Some(409) => {
                return match self.network(name).await? {
                    Some(seen) if self.is_ours(&seen.labels) && has_revision(&seen.labels, &network.hash) => Ok(()),
                    Some(_) => Err(taken(reasons::NETWORK_NAME_TAKEN, "network", name)),
                    None => Err(error),
                };
            }
            answer => answer?,
        };
        self.known.learn(&created_id(&created), self.owner);
        Ok(())
    }

    async fn try_network(&self, name: &str) -> Result<(), CallError> {
        trial::try_network(self.client, &self.own_network(name)?.body).await
    }

    /// A network of the definition that is to be made.
    fn own_network(&self, name: &str) -> Result<&Network, CallError> {
        let network = self.definition.networks.get(name).filter(|network| !network.external);
        network.ok_or_else(|| undefined("network", name))
    }

    pub(super) async fn network(&self, id: &str) -> Result<Option<wire::Network>, CallError> {
        present(self.client.get(format!("/networks/{}", segment(id))).read().await)
    }

    async fn remove_network(&self, name: &str, id: &str) -> Result<(), CallError> {
        match self.network(id).await? {
            None => Ok(()),
            Some(seen) if !self.is_ours(&seen.labels) => Err(not_ours("network", name)),
            Some(_) => {
                done_if_gone(self.client.delete(format!("/networks/{}", segment(id))).deadline(DEADLINE).send().await)
            }
        }
    }

    async fn create_volume(&self, name: &str) -> Result<(), CallError> {
        let volume = self.definition.volumes.get(name).filter(|volume| !volume.external);
        let volume = volume.ok_or_else(|| undefined("volume", name))?;
        // The engine answers with what is there already, whoever made it.
        if let Some(seen) = self.volume(name).await? {
            let ours = self.is_ours(&seen.labels);
            return if ours { Ok(()) } else { Err(taken(reasons::VOLUME_NAME_TAKEN, "volume", name)) };
        }
        self.client.post("/volumes/create").json(&volume.body).deadline(DEADLINE).send().await?;
        self.known.learn(name, self.owner);
        Ok(())
    }

    pub(super) async fn volume(&self, name: &str) -> Result<Option<wire::Volume>, CallError> {
        present(self.client.get(format!("/volumes/{}", segment(name))).read().await)
    }

    pub(super) async fn remove_volume(&self, name: &str) -> Result<(), CallError> {
        match self.volume(name).await? {
            None => Ok(()),
            Some(seen) if !self.is_ours(&seen.labels) => Err(not_ours("volume", name)),
            Some(_) => {
                done_if_gone(self.client.delete(format!("/volumes/{}", segment(name))).deadline(DEADLINE).send().await)
            }
        }
    }

    async fn create_container(
        &self,
        key: &ContainerKey,
        name: &str,
        marks: &HashMap<String, String>,
        digest: Option<&str>,
    ) -> Result<(), CallError> {
        let wanted = self.container(key)?;
        let api = self.client.api().await?;
        if let Some(unknown) = beyond(wanted, api).first() {
            return Err(too_old(key, *unknown, api));
        }
        let (reference, image) = images::locate(self.client, &wanted.image, digest).await?;
        let all_networks = api >= API_ALL_NETWORKS;
        let files = files::place(wanted, marks)?;
        let later = if all_networks { &[] } else { wanted.networks.get(1..).unwrap_or_default() };

        let mut body = wanted.body.clone();
        body.image = Some(reference);
        let labels = body.labels.get_or_insert_default();
        labels.extend(marks.clone());
        labels.insert(COMPOSE_IMAGE.into(), image.id);
        if all_networks && wanted.networks.len() > 1 {
            let endpoints = body.networking_config.get_or_insert_default().endpoints_config.get_or_insert_default();
            endpoints.extend(wanted.networks.iter().cloned());
        }
        if !files.mounts.is_empty() {
            body.host_config.get_or_insert_default().mounts.get_or_insert_default().extend(files.mounts);
        }
        let mut body = to_value(&body);
        if let (false, Some(address)) = (all_networks, &wanted.mac_address) {
            body["MacAddress"] = Value::String(address.clone());
        }

        if later.is_empty() && files.uploads.is_empty() {
            return match self.create(name, &body, wanted.platform.as_deref()).await {
                Err(error) if is_name_taken(&error) => self.is_made(name, marks).await,
                created => {
                    self.known.made(name, self.owner, &created?);
                    Ok(())
                }
            };
        }
        let unfinished = format!("{name}{UNFINISHED}");
        let id = match self.create(&unfinished, &body, wanted.platform.as_deref()).await {
            Err(error) if is_name_taken(&error) => {
                self.remove_container(&unfinished, &unfinished).await?;
                self.create(&unfinished, &body, wanted.platform.as_deref()).await?
            }
            created => created?,
        };
        let finished = self.finish(&id, name, later, files.uploads).await;
        if let Err(error) = finished {
            // What is left if this fails too is shown as dead, and removed as such.
            let _ = self.delete_container(&id, true).await;
            return if is_name_taken(&error) { self.is_made(name, marks).await } else { Err(error) };
        }
        self.known.made(name, self.owner, &id);
        Ok(())
    }

    /// The labels that tell whose it is and what it was made for.
    pub(super) fn marks(&self, revision: &str, restart: Option<&str>) -> HashMap<String, String> {
        [
            (labels::INSTALLATION, self.owner.installation.as_str()),
            (labels::NAMESPACE, &self.owner.namespace),
            (labels::NAME, &self.owner.name),
            (labels::REVISION, revision),
        ]
        .into_iter()
        .chain(restart.map(|restart| (labels::RESTART, restart)))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
    }

    async fn create(&self, name: &str, body: &Value, platform: Option<&str>) -> Result<String, CallError> {
        let call = self.client.post("/containers/create").query("name", name).json(body).deadline(LONG_DEADLINE);
        let call = match platform {
            Some(platform) => call.query("platform", platform),
            None => call,
        };
        let id = created_id(&call.send().await?);
        self.known.learn(&id, self.owner);
        Ok(id)
    }

    async fn finish(
        &self,
        id: &str,
        name: &str,
        networks: &[(String, EndpointSettings)],
        uploads: Vec<files::Upload>,
    ) -> Result<(), CallError> {
        for (network, endpoint) in networks {
            self.connect(id, network, endpoint).await?;
        }
        for upload in uploads {
            let call = self.client.put(format!("/containers/{id}/archive")).query("path", &upload.directory);
            call.query("noOverwriteDirNonDir", "true").tar(upload.archive).deadline(DEADLINE).send().await?;
        }
        self.rename(id, name).await
    }

    /// The name is taken: fine if by the container that was to be made.
    async fn is_made(&self, name: &str, marks: &HashMap<String, String>) -> Result<(), CallError> {
        match inspect(self.client, name).await? {
            Some(seen)
                if marks.iter().all(|(key, value)| seen.config.labels.get(key) == Some(value))
                    && !matches!(seen.state.status.as_str(), "dead" | "removing") =>
            {
                Ok(())
            }
            _ => Err(taken(reasons::CONTAINER_NAME_TAKEN, "container", name)),
        }
    }

    async fn start_container(&self, name: &str) -> Result<(), DriverError> {
        let what = format!("start container {name}");
        // What was made a moment ago need not be looked up, unless it has gone meanwhile.
        if let Some(id) = self.known.take_fresh(name, self.owner) {
            match self.start(&id).await {
                Err(error) if error.status() == Some(404) && error.says("No such container") => {}
                started => return started.map_err(|error| error.of_start(&what)),
            }
        }
        let seen = self.ours(name, name).await.map_err(|error| error.of(&what))?;
        let seen = seen.ok_or_else(|| gone("container", name).of(&what))?;
        if seen.state.status == "running" {
            return Ok(());
        }
        self.start(&seen.id).await.map_err(|error| error.of_start(&what))
    }

    async fn start(&self, id: &str) -> Result<(), CallError> {
        let call = self.client.post(format!("/containers/{}/start", segment(id))).deadline(LONG_DEADLINE);
        call.send().await.map(drop)
    }

    async fn stop_container(&self, id: &str, name: &str, grace_seconds: i64) -> Result<(), CallError> {
        let Some(seen) = self.ours(id, name).await? else { return Ok(()) };
        if !matches!(seen.state.status.as_str(), "running" | "restarting" | "paused") {
            return Ok(());
        }
        let grace = Duration::from_secs(grace_seconds.try_into().unwrap_or_default());
        let call = self.client.post(format!("/containers/{}/stop", segment(id)));
        let call = call.query("t", &grace.as_secs().to_string()).deadline(grace.saturating_add(AFTER_GRACE));
        done_if_gone(call.send().await)
    }

    async fn unpause_container(&self, id: &str, name: &str) -> Result<(), CallError> {
        match self.ours(id, name).await? {
            None => Err(gone("container", name)),
            Some(seen) if seen.state.status != "paused" => Ok(()),
            Some(_) => {
                self.client.post(format!("/containers/{}/unpause", segment(id))).deadline(DEADLINE).send().await?;
                Ok(())
            }
        }
    }

    async fn rename_container(&self, id: &str, from: &str, to: &str) -> Result<(), CallError> {
        match self.ours(id, from).await? {
            None => Err(gone("container", from)),
            Some(seen) if seen.name() == to => Ok(()),
            Some(_) => self.rename(id, to).await,
        }
    }

    async fn rename(&self, id: &str, to: &str) -> Result<(), CallError> {
        let call = self.client.post(format!("/containers/{}/rename", segment(id))).query("name", to);
        call.deadline(DEADLINE).send().await.map(drop)
    }

    async fn connect_again(&self, id: &str, key: &ContainerKey, network: &str) -> Result<(), CallError> {
        let wanted = self.container(key)?.networks.iter().find(|(name, _)| name == network);
        let (_, endpoint) = wanted.ok_or_else(|| undefined("network", network))?;
        match self.ours(id, &key.to_string()).await? {
            None => Err(gone("container", &key.to_string())),
            Some(_) => self.connect(id, network, endpoint).await,
        }
    }

    pub(super) async fn connect(&self, id: &str, network: &str, place: &impl Serialize) -> Result<(), CallError> {
        let call = self.client.post(format!("/networks/{}/connect", segment(network)));
        let call = call.json(&json!({ "Container": id, "EndpointConfig": place })).deadline(DEADLINE);
        match call.send().await {
            // daemon/container_operations.go: "endpoint with name x already exists in network y", "… is already attached to network y".
            Err(error) if error.says("already exists in network") || error.says("is already attached to network") => {
                Ok(())
            }
            answer => answer.map(drop),
        }
    }

    async fn update_container(&self, id: &str, key: &ContainerKey) -> Result<(), CallError> {
        let wanted = self.container(key)?.body.host_config.clone().unwrap_or_default();
        if self.ours(id, &key.to_string()).await?.is_none() {
            return Err(gone("container", &key.to_string()));
        }
        let call = self.client.post(format!("/containers/{}/update", segment(id)));
        call.json(&changeable(&wanted)).deadline(DEADLINE).send().await.map(drop)
    }

    async fn remove_container(&self, id: &str, name: &str) -> Result<(), CallError> {
        match self.ours(id, name).await? {
            None => Ok(()),
            // A removal that broke off leaves a dead container, which only goes by force.
            Some(seen) => self.delete_container(&seen.id, seen.state.status == "dead").await,
        }
    }

    async fn delete_container(&self, id: &str, force: bool) -> Result<(), CallError> {
        let call = self.client.delete(format!("/containers/{}", segment(id))).query("v", "true").deadline(DEADLINE);
        let call = if force { call.query("force", "true") } else { call };
        match call.send().await {
            // daemon/delete.go.
            Err(error) if error.says("removal of container") && error.says("is already in progress") => Ok(()),
            answer => done_if_gone(answer),
        }
    }
}

/// What `docker update` can change, as it is wanted. What is not wanted stays out: an update cannot take a limit off.
fn changeable(wanted: &HostConfig) -> ContainerUpdateBody {
    let no_restart = RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None };
    // The engine's own default at creation; an update without it would leave the one that belongs to the changed memory.
    let memory_swap = wanted.memory_swap.or(wanted.memory.map(|memory| memory.saturating_mul(2)));
    ContainerUpdateBody {
        cpu_shares: wanted.cpu_shares,
        memory: wanted.memory,
        memory_reservation: wanted.memory_reservation,
        memory_swap,
        blkio_weight: wanted.blkio_weight,
        cpu_period: wanted.cpu_period,
        cpu_quota: wanted.cpu_quota,
        cpu_realtime_period: wanted.cpu_realtime_period,
        cpu_realtime_runtime: wanted.cpu_realtime_runtime,
        cpuset_cpus: wanted.cpuset_cpus.clone(),
        cpuset_mems: wanted.cpuset_mems.clone(),
        nano_cpus: wanted.nano_cpus,
        pids_limit: wanted.pids_limit,
        restart_policy: wanted.restart_policy.clone().or(Some(no_restart)),
        ..ContainerUpdateBody::default()
    }
}

pub(super) fn to_value(body: &impl Serialize) -> Value {
    // Plain data with string keys always serialises.
    serde_json::to_value(body).unwrap_or_default()
}

pub(super) fn created_id(answer: &[u8]) -> String {
    serde_json::from_slice::<wire::Created>(answer).unwrap_or_default().id
}

fn has_revision(labels: &wire::Labels, revision: &str) -> bool {
    labels.get(labels::REVISION).is_some_and(|label| label == revision)
}

fn is_name_taken(error: &CallError) -> bool {
    error.status() == Some(409) && error.says("is already in use")
}

pub(super) fn done_if_gone<T>(answer: Result<T, CallError>) -> Result<(), CallError> {
    present(answer).map(drop)
}

pub(super) fn not_ours(what: &str, name: &str) -> CallError {
    CallError::Failed(
        reasons::NOT_OURS.error(format!("{what} {name} carries the labels of another owner; it is left alone")),
    )
}

pub(super) fn taken(reason: Reason, what: &str, name: &str) -> CallError {
    CallError::Failed(reason.error(format!("there is another {what} of the name {name}; it is left alone")))
}

pub(super) fn gone(what: &str, name: &str) -> CallError {
    CallError::Failed(reasons::GONE.error(format!("there is no {what} {name} any more")))
}

/// The engine would make the container without the key, and not say so.
fn too_old(key: &ContainerKey, unknown: Requirement, api: u32) -> CallError {
    let Requirement { key: name, api: needed, engine } = unknown;
    CallError::Failed(reasons::ENGINE_TOO_OLD.error(format!(
        "container {key} has {name}, which takes API 1.{needed} ({engine}); this engine speaks 1.{api}"
    )))
}

fn undefined(what: &str, name: &str) -> CallError {
    CallError::Failed(reasons::GONE.error(format!("the definition has no {what} {name} any more")))
}
