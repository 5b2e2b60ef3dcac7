//! The engine's answers, as far as they are looked at. A field that is missing, null or of another form counts as empty: an
//! odd container of somebody else must not hide all the others.

use std::collections::BTreeMap;

use bollard_stubs::models::HostConfig;
use ipnet::IpNet;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use slipway_api::labels;
use slipway_plan::container_service::observed::Owner;

/// Labels of a container, network or volume.
pub(super) type Labels = BTreeMap<String, String>;

/// Whose it is by its labels.
pub(super) fn owner(labels: &Labels) -> Option<Owner> {
    let label = |name| labels.get(name).cloned();
    Some(Owner {
        installation: label(labels::INSTALLATION)?,
        namespace: label(labels::NAMESPACE)?,
        name: label(labels::NAME)?,
    })
}

fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).unwrap_or_default())
}

/// The elements that are as expected.
fn elements<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let list: Vec<Value> = lenient(from)?;
    Ok(list.into_iter().filter_map(|element| serde_json::from_value(element).ok()).collect())
}

/// The keys that are as expected.
fn host_config<'de, D: Deserializer<'de>>(from: D) -> Result<HostConfig, D::Error> {
    let value = Value::deserialize(from)?;
    if let Ok(whole) = serde_json::from_value(value.clone()) {
        return Ok(whole);
    }
    let Value::Object(mut map) = value else { return Ok(HostConfig::default()) };
    map.retain(|key, value| {
        let alone = serde_json::Map::from_iter([(key.clone(), value.clone())]);
        serde_json::from_value::<HostConfig>(Value::Object(alone)).is_ok()
    });
    Ok(serde_json::from_value(Value::Object(map)).unwrap_or_default())
}

/// Go's zero time means "never".
fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text: String = lenient(from)?;
    Ok(text.parse().ok().filter(|time: &Timestamp| time.as_second() > 0))
}

macro_rules! answer {
    ($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(default, rename_all = "PascalCase")]
        pub(super) struct $name { $($(#[$attribute])* pub(super) $field: $type,)* }
    };
}

/// A list of which the elements that make sense are taken.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct List<T: DeserializeOwned>(#[serde(deserialize_with = "elements")] pub(super) Vec<T>);

answer! {
    /// The body of an error.
    Message {
        #[serde(rename = "message", deserialize_with = "lenient")]
        message: String,
    }
}

answer! {
    /// `GET /version`.
    Version {
        #[serde(deserialize_with = "lenient")]
        version: String,
        #[serde(deserialize_with = "lenient")]
        api_version: String,
    }
}

answer! {
    /// `GET /info`.
    Info {
        #[serde(rename = "ID", deserialize_with = "lenient")]
        id: String,
        #[serde(deserialize_with = "lenient")]
        name: String,
        #[serde(deserialize_with = "lenient")]
        operating_system: String,
        #[serde(deserialize_with = "lenient")]
        architecture: String,
        #[serde(rename = "NCPU", deserialize_with = "lenient")]
        cpus: i64,
        #[serde(deserialize_with = "lenient")]
        mem_total: i64,
        #[serde(deserialize_with = "lenient")]
        containers_running: i64,
    }
}

answer! {
    /// One of `GET /containers/json`.
    ContainerSummary {
        #[serde(deserialize_with = "lenient")]
        id: String,
        #[serde(deserialize_with = "lenient")]
        names: Vec<String>,
        #[serde(deserialize_with = "lenient")]
        labels: Labels,
        #[serde(rename = "ImageID", deserialize_with = "lenient")]
        image_id: String,
        #[serde(deserialize_with = "elements")]
        ports: Vec<Binding>,
    }
}

impl ContainerSummary {
    /// The container's own name: legacy links add names of the form `/other/alias`.
    pub(super) fn name(&self) -> &str {
        let own = self.names.iter().filter_map(|name| name.strip_prefix('/')).find(|name| !name.contains('/'));
        own.unwrap_or_default()
    }
}

answer! {
    /// A port of a container in a list.
    Binding {
        #[serde(rename = "IP", deserialize_with = "lenient")]
        ip: String,
        #[serde(deserialize_with = "lenient")]
        public_port: u16,
        #[serde(rename = "Type", deserialize_with = "lenient")]
        protocol: String,
    }
}

answer! {
    /// `GET /containers/{id}/json`.
    Container {
        #[serde(deserialize_with = "lenient")]
        id: String,
        #[serde(deserialize_with = "lenient")]
        name: String,
        #[serde(deserialize_with = "lenient")]
        image: String,
        #[serde(deserialize_with = "time")]
        created: Option<Timestamp>,
        #[serde(deserialize_with = "lenient")]
        restart_count: i64,
        #[serde(deserialize_with = "lenient")]
        state: ContainerState,
        #[serde(deserialize_with = "lenient")]
        config: ContainerConfig,
        #[serde(deserialize_with = "host_config")]
        host_config: HostConfig,
        #[serde(deserialize_with = "lenient")]
        network_settings: NetworkSettings,
        #[serde(deserialize_with = "elements")]
        mounts: Vec<MountPoint>,
    }
}

impl Container {
    /// Name without the leading slash.
    pub(super) fn name(&self) -> &str {
        self.name.trim_start_matches('/')
    }
}

answer! {
    /// Part of [`Container`].
    ContainerConfig {
        #[serde(deserialize_with = "lenient")]
        labels: Labels,
        #[serde(deserialize_with = "lenient")]
        tty: bool,
        #[serde(deserialize_with = "lenient")]
        stop_timeout: Option<i64>,
    }
}

answer! {
    /// Part of [`Container`].
    NetworkSettings {
        #[serde(deserialize_with = "lenient")]
        networks: BTreeMap<String, Endpoint>,
    }
}

answer! {
    /// Part of [`NetworkSettings`].
    Endpoint {
        #[serde(rename = "NetworkID", deserialize_with = "lenient")]
        network_id: String,
    }
}

answer! {
    /// Part of [`Container`].
    MountPoint {
        #[serde(rename = "Type", deserialize_with = "lenient")]
        kind: String,
        #[serde(deserialize_with = "lenient")]
        name: String,
    }
}

answer! {
    /// Part of [`Container`].
    ContainerState {
        #[serde(deserialize_with = "lenient")]
        status: String,
        #[serde(deserialize_with = "lenient")]
        exit_code: i64,
        #[serde(rename = "OOMKilled", deserialize_with = "lenient")]
        oom_killed: bool,
        #[serde(deserialize_with = "lenient")]
        error: String,
        #[serde(deserialize_with = "time")]
        started_at: Option<Timestamp>,
        #[serde(deserialize_with = "time")]
        finished_at: Option<Timestamp>,
        #[serde(deserialize_with = "lenient")]
        health: Health,
    }
}

answer! {
    /// Part of [`ContainerState`].
    Health {
        #[serde(deserialize_with = "lenient")]
        status: String,
        #[serde(deserialize_with = "elements")]
        log: Vec<Probe>,
    }
}

answer! {
    /// One run of a health check.
    Probe {
        #[serde(deserialize_with = "lenient")]
        output: String,
    }
}

answer! {
    /// One of `GET /networks`, and `GET /networks/{id}`.
    Network {
        #[serde(deserialize_with = "lenient")]
        id: String,
        #[serde(deserialize_with = "lenient")]
        name: String,
        #[serde(deserialize_with = "time")]
        created: Option<Timestamp>,
        #[serde(deserialize_with = "lenient")]
        labels: Labels,
        #[serde(rename = "IPAM", deserialize_with = "lenient")]
        ipam: Ipam,
    }
}

impl Network {
    /// Its subnets.
    pub(super) fn subnets(&self) -> Vec<IpNet> {
        self.ipam.config.iter().filter_map(|pool| pool.subnet.parse().ok()).collect()
    }
}

answer! {
    /// Part of [`Network`].
    Ipam {
        #[serde(deserialize_with = "elements")]
        config: Vec<Pool>,
    }
}

answer! {
    /// Part of [`Ipam`].
    Pool {
        #[serde(deserialize_with = "lenient")]
        subnet: String,
    }
}

answer! {
    /// `GET /volumes`.
    Volumes {
        #[serde(deserialize_with = "elements")]
        volumes: Vec<Volume>,
    }
}

answer! {
    /// One of [`Volumes`], and `GET /volumes/{name}`.
    Volume {
        #[serde(deserialize_with = "lenient")]
        name: String,
        #[serde(deserialize_with = "lenient")]
        labels: Labels,
    }
}

answer! {
    /// `GET /images/{name}/json`, and, without `config`, one of `GET /images/json`.
    Image {
        #[serde(deserialize_with = "lenient")]
        id: String,
        #[serde(deserialize_with = "lenient")]
        repo_tags: Vec<String>,
        #[serde(deserialize_with = "lenient")]
        repo_digests: Vec<String>,
        #[serde(deserialize_with = "lenient")]
        config: ImageConfig,
    }
}

answer! {
    /// Part of [`Image`].
    ImageConfig {
        #[serde(deserialize_with = "lenient")]
        healthcheck: Healthcheck,
    }
}

answer! {
    /// Part of [`ImageConfig`].
    Healthcheck {
        #[serde(deserialize_with = "lenient")]
        test: Vec<String>,
    }
}

answer! {
    /// `GET /distribution/{name}/json`.
    Distribution {
        #[serde(deserialize_with = "lenient")]
        descriptor: Descriptor,
    }
}

answer! {
    /// Part of [`Distribution`].
    Descriptor {
        #[serde(rename = "digest", deserialize_with = "lenient")]
        digest: String,
    }
}

answer! {
    /// `POST /containers/create`.
    Created {
        #[serde(deserialize_with = "lenient")]
        id: String,
    }
}

answer! {
    /// One line of `GET /events`.
    Event {
        #[serde(rename = "Type", deserialize_with = "lenient")]
        kind: String,
        #[serde(deserialize_with = "lenient")]
        action: String,
        #[serde(deserialize_with = "lenient")]
        actor: Actor,
        #[serde(rename = "timeNano", deserialize_with = "lenient")]
        nanoseconds: i64,
    }
}

answer! {
    /// Part of [`Event`].
    Actor {
        #[serde(rename = "ID", deserialize_with = "lenient")]
        id: String,
        #[serde(deserialize_with = "lenient")]
        attributes: Labels,
    }
}

/// One line of `POST /images/create`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PullLine {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) status: String,
    #[serde(rename = "progressDetail", deserialize_with = "lenient")]
    pub(super) detail: PullDetail,
    #[serde(deserialize_with = "lenient")]
    pub(super) error: String,
}

/// Part of [`PullLine`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PullDetail {
    #[serde(deserialize_with = "lenient")]
    pub(super) current: u64,
    #[serde(deserialize_with = "lenient")]
    pub(super) total: u64,
}
