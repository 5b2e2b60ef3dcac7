//! The effective definition: a Compose project lowered to the Docker engine's own vocabulary.
//!
//! What is made from it, inspected, equals what Docker Compose 2.40 makes from the same file, our labels aside.

mod budget;
pub mod codes;
mod contents;
pub(crate) mod env_file;
mod files;
mod hash;
mod host_config;
mod labels;
mod lower;
mod mounts;
mod names;
mod networking;
mod requires;
mod security;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use bollard_stubs::models::{ContainerCreateBody, EndpointSettings, NetworkCreateRequest, VolumeCreateRequest};

pub use self::budget::{MAX_BYTES, MAX_CONTAINERS};
pub use self::contents::{Contents, Need, NeedKind, needs};
pub use self::hash::{HashKey, revision};
pub use self::labels::COMPOSE_VERSION;
pub use self::lower::{Context, lower};
pub use self::requires::{Requirement, beyond};
pub(crate) use self::security::seccomp_profile;
use crate::formats::compose::model::Condition;

/// All that one project wants on one host. It is the same for every host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definition {
    /// Compose project name.
    pub project: String,
    /// By service, then number: every container.
    pub containers: BTreeMap<ContainerKey, Container>,
    /// By name on the engine.
    pub networks: BTreeMap<String, Network>,
    /// By name on the engine.
    pub volumes: BTreeMap<String, Volume>,
}

/// Which container of a project.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct ContainerKey {
    /// Service in the Compose file.
    pub service: String,
    /// From 1.
    pub number: u32,
}

impl fmt::Display for ContainerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.service, self.number)
    }
}

/// One container as it is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    /// Name on the engine.
    pub name: String,
    /// Image reference as written.
    pub image: String,
    /// `os/arch[/variant]`, if one was asked for.
    pub platform: Option<String>,
    /// The create request with Compose's labels and ours, and with the first network only. What is known only at creation
    /// is left to the driver: the labels `com.docker.compose.image` (the image's ID) and `slipway.dev/revision`.
    /// `env` may hold values that came from Secrets: never print it.
    pub body: ContainerCreateBody,
    /// `Config.MacAddress`, which the request has only up to API 1.43; later engines take the endpoints' ones.
    pub mac_address: Option<String>,
    /// Every network by its name on the engine, in the order in which they are connected; the first is also in `body`.
    pub networks: Vec<(String, EndpointSettings)>,
    /// Files from secrets and configs, put in before the start.
    pub files: Vec<File>,
    /// Keyed hash (HMAC-SHA-256, hex, 16 bytes) of everything above but the image digest.
    pub definition_hash: String,
    /// Services that must come first.
    pub depends_on: BTreeMap<String, Dependency>,
    /// Kept running, or run to its end once per revision.
    pub lifecycle: Lifecycle,
    /// A health check is defined here (the image's own is not counted).
    pub has_healthcheck: bool,
    /// Has a host port, a fixed address or a `container_name`: two of it cannot run side by side. Says which.
    pub exclusive: Option<String>,
    /// Mounts a named volume.
    pub has_volumes: bool,
    /// Time between the stop signal and the kill.
    pub stop_grace: Duration,
    /// Host ports that it takes, as `(address, port, protocol)`; the address is empty for all.
    pub host_ports: Vec<(String, u16, String)>,
}

/// What must be true of another service first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Dependency {
    pub condition: Condition,
    pub restart: bool,
    pub required: bool,
}

/// What a container is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Kept running; an exit is drift.
    Running,
    /// Runs to its end once per revision; exit 0 is ready.
    Once,
}

/// A file that is put into a container. Its content is secret: `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct File {
    pub target: String,
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
    pub content: Vec<u8>,
    /// The container is `read_only`, or the target lies under one of its mounts, so it goes into a volume of its own.
    pub in_volume: bool,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File({} {:o} {}:{}, {} bytes)", self.target, self.mode, self.uid, self.gid, self.content.len())
    }
}

/// A network as it is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Must exist already; Slipway neither makes nor removes it.
    pub external: bool,
    /// The create request, with Compose's labels and ours.
    pub body: NetworkCreateRequest,
    /// Keyed hash of the request, in the `slipway.dev/revision` label.
    pub hash: String,
}

/// A named volume as it is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// Must exist already; Slipway neither makes nor removes it.
    pub external: bool,
    /// The create request, with Compose's labels and ours.
    pub body: VolumeCreateRequest,
}

/// A list as the engine's models have it: absent if there is nothing in it.
fn list<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}

/// A map as the engine's models have it: absent if there is nothing in it.
fn map(entries: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    (!entries.is_empty()).then(|| entries.clone().into_iter().collect())
}
