//! The plan: what to do next on each host, and what is waited for. A value: comparable, printable, serialisable.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use slipway_api::container_service::FailedRevision;

use super::definition::ContainerKey;

/// What to do next.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// By Node name.
    pub hosts: BTreeMap<String, HostPlan>,
    /// What cannot be done now, and why.
    pub waits: Vec<Wait>,
    /// Failures found in this pass. They are written to status before any step is taken.
    pub failed: Vec<FailedRevision>,
    /// Nodes chosen for mode Replicas. Written to status before any step is taken.
    pub placed: Vec<String>,
}

/// Steps on one host. Stages run one after the other; the steps of a stage run side by side.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostPlan {
    /// Image pulls; they run outside the host's lock, before the stages.
    pub pulls: Vec<Step>,
    /// Everything else, under the host's lock.
    pub stages: Vec<Vec<Step>>,
}

/// One idempotent change of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "step")]
#[allow(missing_docs)] // Each field is what its name says; the variants say what is done.
pub enum Step {
    /// Pull an image, by digest if one is known, and give it the tag that was written.
    PullImage { image: String, digest: Option<String>, platform: Option<String> },
    /// Remove an image that nothing uses.
    RemoveImage { image: String },
    /// Create a network of the definition.
    CreateNetwork { name: String },
    /// Remove a network of ours.
    RemoveNetwork { name: String, id: String },
    /// Create a named volume of the definition.
    CreateVolume { name: String },
    /// Remove a volume of ours.
    RemoveVolume { name: String },
    /// Create a container of the definition under `name`, put its files in and connect its networks; not started.
    CreateContainer { key: ContainerKey, name: String, revision: String, image_digest: Option<String> },
    /// Start a container. It is found by name, since a step before may have made it.
    StartContainer { name: String },
    /// Stop a container, with its grace.
    StopContainer { id: String, name: String, grace_seconds: i64 },
    /// Unpause a container.
    UnpauseContainer { id: String, name: String },
    /// Give a container another name.
    RenameContainer { id: String, from: String, to: String },
    /// Connect a container again to a network that somebody took it off.
    ConnectNetwork { id: String, key: ContainerKey, network: String },
    /// Put back what `docker update` changed.
    UpdateContainer { id: String, key: ContainerKey },
    /// Remove a stopped container with its anonymous volumes.
    RemoveContainer { id: String, name: String },
}

/// Something that has to happen first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wait {
    /// The Node; empty if it is about the whole object.
    pub host: String,
    /// The service; empty if it is about the whole host.
    pub service: String,
    /// One CamelCase word.
    pub reason: &'static str,
    /// In plain words, with what to do.
    pub message: String,
    /// Look again at this time, even if no event says so.
    pub until: Option<Timestamp>,
    /// Nothing but a person can end it.
    pub needs_person: bool,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (host, plan) in &self.hosts {
            for step in plan.pulls.iter().chain(plan.stages.iter().flatten()) {
                writeln!(f, "{host}: {step}")?;
            }
        }
        for wait in &self.waits {
            writeln!(f, "{}: wait: {} ({})", wait.host, wait.message, wait.reason)?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PullImage { image, .. } => write!(f, "pull image {image}"),
            Self::RemoveImage { image } => write!(f, "remove image {image}"),
            Self::CreateNetwork { name } => write!(f, "create network {name}"),
            Self::RemoveNetwork { name, .. } => write!(f, "remove network {name}"),
            Self::CreateVolume { name } => write!(f, "create volume {name}"),
            Self::RemoveVolume { name } => write!(f, "remove volume {name}"),
            Self::CreateContainer { name, .. } => write!(f, "create container {name}"),
            Self::StartContainer { name } => write!(f, "start container {name}"),
            Self::StopContainer { name, .. } => write!(f, "stop container {name}"),
            Self::UnpauseContainer { name, .. } => write!(f, "unpause container {name}"),
            Self::RenameContainer { from, to, .. } => write!(f, "rename container {from} to {to}"),
            Self::ConnectNetwork { key, network, .. } => write!(f, "connect container {key} to network {network}"),
            Self::UpdateContainer { key, .. } => write!(f, "update the limits of container {key}"),
            Self::RemoveContainer { name, .. } => write!(f, "remove container {name}"),
        }
    }
}
