//! A network on record: what it was and which places containers had in it, so that it can be made again. No engine can rename a
//! network, so the one that takes its name takes its place.
//!
//! The record is a label of a volume of its own, which lies on the host with all else that is the owner's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use slipway_api::labels;
use slipway_plan::container_service::observed::KeptNetwork;

use super::client::segment;
use super::errors::CallError;
use super::execute::{API_ENDPOINT_MAC, DEADLINE, Execution, created_id, gone, not_ours, taken};
use super::{reasons, wire};

/// Ends the name of the volume, which begins as the network's.
const RECORD: &str = ".slipway-old";
/// Role of the volume.
const ROLE: &str = "network";

/// What the label holds.
#[derive(Serialize, Deserialize)]
struct Record {
    /// The request that makes the network.
    network: Value,
    /// By container: its place.
    endpoints: BTreeMap<String, Value>,
}

/// The network that a volume has on record, by its name.
pub(super) fn kept(volume: &wire::Volume) -> Option<(String, KeptNetwork)> {
    let label = |name: &str| volume.labels.get(name).cloned();
    let name = volume.name.strip_suffix(RECORD).filter(|_| label(labels::ROLE).as_deref() == Some(ROLE))?;
    let id = label(labels::NETWORK_ID)?;
    Some((name.to_owned(), KeptNetwork { volume: volume.name.clone(), id, hash: label(labels::REVISION) }))
}

impl Execution<'_> {
    /// Puts a network on record, with the places of containers in it.
    pub(super) async fn keep_network(&self, name: &str, id: &str, containers: &[String]) -> Result<(), CallError> {
        let volume = format!("{name}{RECORD}");
        if let Some(seen) = self.volume(&volume).await? {
            if !self.is_ours(&seen.labels) {
                return Err(taken(reasons::VOLUME_NAME_TAKEN, "volume", &volume));
            }
            if seen.labels.get(labels::NETWORK_ID).is_some_and(|of| of == id) {
                return Ok(());
            }
            self.remove_volume(&volume).await?;
        }
        let seen: Value = self.client.get(format!("/networks/{}", segment(id))).read().await?;
        let own: wire::Labels = serde_json::from_value(seen["Labels"].clone()).unwrap_or_default();
        if !self.is_ours(&own) {
            return Err(not_ours("network", name));
        }
        let mut endpoints = BTreeMap::new();
        for container in containers {
            let seen: Value = self.client.get(format!("/containers/{}/json", segment(container))).read().await?;
            let place = self.place(&seen["NetworkSettings"]["Networks"][name]).await?;
            endpoints.insert(container.clone(), place);
        }
        let record = json!(Record { network: request(&seen), endpoints });
        let mut marks = self.marks(own.get(labels::REVISION).map_or("", String::as_str), None);
        marks.extend(
            [
                (labels::ROLE, ROLE.to_owned()),
                (labels::NETWORK_ID, id.to_owned()),
                (labels::NETWORK, record.to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let body = json!({ "Name": volume, "Labels": marks });
        self.client.post("/volumes/create").json(&body).deadline(DEADLINE).send().await?;
        self.known.learn(&volume, self.owner);
        Ok(())
    }

    /// What is asked for when a container is connected to where it was.
    async fn place(&self, endpoint: &Value) -> Result<Value, CallError> {
        let mac = self.client.api().await? >= API_ENDPOINT_MAC;
        let keys = ["Aliases", "IPAMConfig", "Links", "DriverOpts", "GwPriority"];
        let keys = keys.into_iter().chain(mac.then_some("MacAddress"));
        Ok(chosen(endpoint, keys))
    }

    async fn record(&self, name: &str) -> Result<Record, CallError> {
        let volume = format!("{name}{RECORD}");
        let seen = self.volume(&volume).await?.ok_or_else(|| gone("record of network", name))?;
        if !self.is_ours(&seen.labels) {
            return Err(not_ours("volume", &volume));
        }
        let record = seen.labels.get(labels::NETWORK).and_then(|text| serde_json::from_str(text).ok());
        record.ok_or_else(|| gone("record of network", name))
    }

    /// Makes a network again as it is on record.
    pub(super) async fn restore_network(&self, name: &str) -> Result<(), CallError> {
        let Record { network: mut body, endpoints } = self.record(name).await?;
        let fixed = |place: &Value| place["IPAMConfig"].as_object().is_some_and(|addresses| !addresses.is_empty());
        let mut made = self.client.post("/networks/create").json(&body).deadline(DEADLINE).send().await;
        // Somebody else has taken the addresses meanwhile: unless one was asked for by a container, others do as well.
        if made.as_ref().is_err_and(|error| error.says("overlaps")) && !endpoints.values().any(fixed) {
            body["IPAM"]["Config"] = Value::Null;
            made = self.client.post("/networks/create").json(&body).deadline(DEADLINE).send().await;
        }
        let created = match made {
            Err(error) if error.status() == Some(409) => {
                let hash = body["Labels"][labels::REVISION].as_str().unwrap_or_default();
                let same = |seen: &wire::Network| {
                    self.is_ours(&seen.labels) && seen.labels.get(labels::REVISION).is_some_and(|label| label == hash)
                };
                return match self.network(name).await? {
                    Some(seen) if same(&seen) => Ok(()),
                    Some(_) => Err(taken(reasons::NETWORK_NAME_TAKEN, "network", name)),
                    None => Err(error),
                };
            }
            answer => answer?,
        };
        self.known.learn(&created_id(&created), self.owner);
        Ok(())
    }

    /// Binds a stopped container to the network of that name, with the place that it had before. The engine puts it in the place
    /// of the one that is gone.
    pub(super) async fn rebind_container(&self, id: &str, name: &str, network: &str) -> Result<(), CallError> {
        let place = self.record(network).await?.endpoints.remove(id).unwrap_or_default();
        match self.ours(id, name).await? {
            None => Err(gone("container", name)),
            Some(_) => self.connect(id, network, &place).await,
        }
    }
}

/// The request that makes a network as it is seen.
fn request(seen: &Value) -> Value {
    let keys = ["Name", "Driver", "Internal", "Attachable", "EnableIPv4", "EnableIPv6", "IPAM", "Options", "Labels"];
    let mut body = chosen(seen, keys.into_iter());
    body["CheckDuplicate"] = Value::Bool(true);
    body
}

/// Some keys of an object, as far as they say something.
fn chosen<'k>(object: &Value, keys: impl Iterator<Item = &'k str>) -> Value {
    let said = keys.filter_map(|key| Some((key.to_owned(), object.get(key).filter(|value| !value.is_null())?.clone())));
    Value::Object(said.collect::<Map<_, _>>())
}
