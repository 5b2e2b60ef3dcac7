//! What a host shows of one project, as far as planning needs it.

use std::collections::BTreeMap;

use bollard_stubs::models::HostConfig;
use jiff::{SignedDuration, Timestamp};

use super::definition::ContainerKey;

/// Whose things to look for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// UID of the cluster's `kube-system` namespace.
    pub installation: String,
    /// Namespace of the ContainerService.
    pub namespace: String,
    /// Name of the ContainerService.
    pub name: String,
}

/// One host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    /// Containers with this owner's labels, running or not.
    pub containers: Vec<Container>,
    /// Everybody else's containers: who holds which name, project and port.
    pub others: Vec<Other>,
    /// By name: the owner's networks, and any network that has a wanted name.
    pub networks: BTreeMap<String, Network>,
    /// By name: the owner's networks that are on record to be made again.
    pub kept_networks: BTreeMap<String, KeptNetwork>,
    /// By name: the owner's volumes, and any volume that has a wanted name.
    pub volumes: BTreeMap<String, Volume>,
    /// By reference as written: the wanted images that are present.
    pub images: BTreeMap<String, Image>,
    /// Images that were pulled for Slipway (they carry its mark) and that no container uses, whoever it belongs to:
    /// the engine's ID, by the reference that `RemoveImage` takes.
    pub unused_images: BTreeMap<String, String>,
    /// How far the engine's clock is ahead of ours; its times are read with it.
    pub clock_ahead: SignedDuration,
    /// When the engine was started, if it can be told (the default bridge is made anew at every start, unless it found live
    /// containers). A container that ended before was ended by that, and not by a fault of its own.
    pub engine_started_at: Option<Timestamp>,
}

/// A container of the owner.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    /// Engine's ID.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// From the labels.
    pub key: ContainerKey,
    /// `slipway.dev/revision`.
    pub revision: String,
    /// `slipway.dev/restart`.
    pub restart: Option<String>,
    /// ID of the image that it was made from.
    pub image_id: String,
    /// What it does.
    pub state: State,
    /// Exit code of the last run.
    pub exit_code: i64,
    /// The kernel killed it for memory.
    pub oom_killed: bool,
    /// The engine's own error (a start that failed).
    pub error: String,
    /// Start of the last run.
    pub started_at: Option<Timestamp>,
    /// End of the last run.
    pub finished_at: Option<Timestamp>,
    /// Creation.
    pub created_at: Option<Timestamp>,
    /// Health, if it has a check (its own or the image's).
    pub health: Option<Health>,
    /// Restarts by the engine's restart policy.
    pub restart_count: i64,
    /// Last log lines, for one that exited with an error or is restarting.
    pub log_tail: String,
    /// Names of the networks that it is connected to.
    pub networks: Vec<String>,
    /// Its own `StopTimeout`, in seconds: the grace for stopping it, also when its definition is gone.
    pub stop_timeout: Option<i64>,
    /// Services that it depends on, from Compose's label `com.docker.compose.depends_on`: what is stopped after it.
    pub depends_on: Vec<String>,
    /// `slipway.dev/lifecycle: once`: it was made to run to its end.
    pub runs_once: bool,
    /// Names of the volumes that it mounts, helper volumes too.
    pub volumes: Vec<String>,
    /// By name: IDs of the networks that it is bound to. One that was made anew under its name has another ID, and the
    /// container cannot be started any more. Empty IDs (never started) may be left out.
    pub network_ids: BTreeMap<String, String>,
    /// For drift: `docker update` and the like.
    pub host_config: HostConfig,
}

/// State of a container, as the engine calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum State {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
}

/// Health of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Starting, healthy or unhealthy.
    pub status: HealthStatus,
    /// Output of the last check.
    pub output: String,
}

/// Health, as the engine calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum HealthStatus {
    Starting,
    Healthy,
    Unhealthy,
}

/// Somebody else's container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Other {
    /// Engine's ID.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// `com.docker.compose.project`, if it has one.
    pub project: Option<String>,
    /// Slipway's owner labels, if it has them (maybe another installation's).
    pub owner: Option<Owner>,
    /// Published ports as `(address, port, protocol)`; the address is empty for all. Only running containers hold theirs.
    pub host_ports: Vec<(String, u16, String)>,
}

/// A network on the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Engine's ID.
    pub id: String,
    /// Owner labels, if it has them.
    pub owner: Option<Owner>,
    /// `slipway.dev/revision`.
    pub hash: Option<String>,
    /// `com.docker.compose.project`, if it has one.
    pub project: Option<String>,
}

/// A network that is on record, in a volume's label, to be made again if what took its place fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptNetwork {
    /// The volume that has the record.
    pub volume: String,
    /// ID that the network had.
    pub id: String,
    /// `slipway.dev/revision` that it had.
    pub hash: Option<String>,
}

/// A volume on the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Owner labels, if it has them.
    pub owner: Option<Owner>,
    /// `slipway.dev/role`.
    pub role: Option<String>,
    /// `slipway.dev/revision`.
    pub revision: Option<String>,
    /// `com.docker.compose.project`, if it has one.
    pub project: Option<String>,
}

/// An image on the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Engine's ID (`sha256:…` of the configuration).
    pub id: String,
    /// `sha256:…` manifest digests in the repository of the reference.
    pub digests: Vec<String>,
    /// The image itself has a health check.
    pub has_healthcheck: bool,
}
