//! Steps: the smallest changes of a host.

use std::fmt;

use serde::Serialize;

use crate::container_service::definition::ContainerKey;

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
    /// Its image is the one with `image_digest`; without a digest, the one that the host has under the reference as written.
    CreateContainer {
        key: ContainerKey,
        name: String,
        /// For the label `slipway.dev/revision`.
        revision: String,
        /// For the label `slipway.dev/restart`.
        restart: Option<String>,
        image_digest: Option<String>,
    },
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
