//! Steps: the smallest changes of a host.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::slot::plain_name;
use crate::container_service::definition::{ContainerKey, Definition};

/// One idempotent change of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "step")]
#[allow(missing_docs)] // Each field is what its name says; the variants say what is done.
pub enum Step {
    /// Pull an image, by digest if one is known, and give it the tag that was written.
    PullImage { image: String, digest: Option<String>, platform: Option<String> },
    /// Remove an image that nothing uses.
    RemoveImage { image: String },
    /// Create a network of the definition.
    CreateNetwork { name: String },
    /// Make a network of the definition beside the one of its name, for a moment and under another name: whether it can be made.
    /// What may only be in its way as long as the old one is there counts as no failure.
    TryNetwork { name: String },
    /// Put a network of ours on record as it is, with the places of these containers in it, so that it can be made again.
    KeepNetwork { name: String, id: String, containers: Vec<String> },
    /// Make a network again as it is on record.
    RestoreNetwork { name: String },
    /// Bind a stopped container, that was bound to a network which is gone, to the one of that name, with its place as recorded.
    RebindContainer { id: String, name: String, network: String },
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
            Self::TryNetwork { name } => write!(f, "try network {name} as it is wanted now"),
            Self::KeepNetwork { name, .. } => write!(f, "record network {name} as it is"),
            Self::RestoreNetwork { name } => write!(f, "make network {name} again as it was"),
            Self::RebindContainer { name, network, .. } => {
                write!(f, "bind container {name} to network {network} again")
            }
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

/// Whether a step must not be taken since another step of the same host plan, of an earlier stage, has failed. The others go
/// on: one broken service holds up only those that depend on it.
pub fn blocks(definition: &Definition, failed: &Step, later: &Step) -> bool {
    let on = |step| Subject::of(definition, step);
    match (on(failed), on(later)) {
        (Subject::Image | Subject::Volume, Subject::Image | Subject::Network(_) | Subject::Volume)
        | (Subject::Network(_) | Subject::Container { .. }, Subject::Image)
        | (Subject::Image, Subject::Container { .. })
        | (Subject::Network(_), Subject::Volume) => false,
        (Subject::Network(one), Subject::Network(other)) => one == other,
        (Subject::Network(name), Subject::Container { key, .. }) => {
            let uses = |key| definition.containers.get(key).is_some_and(|c| c.networks.iter().any(|(n, _)| n == name));
            key.as_ref().is_none_or(uses)
        }
        (Subject::Volume, Subject::Container { key, .. }) => {
            key.as_ref().and_then(|key| definition.containers.get(key)).is_none_or(|c| c.has_volumes)
        }
        // What is left of a container may still hold on to it.
        (Subject::Container { .. }, Subject::Network(_) | Subject::Volume) => true,
        (Subject::Container { key, names }, Subject::Container { key: other, names: others }) => {
            names.iter().any(|name| others.contains(name))
                || match (key, other) {
                    (Some(key), Some(other)) => {
                        key == other || depends(definition, &other, &key.service, &mut BTreeSet::new())
                    }
                    _ => false,
                }
        }
    }
}

/// What a step is about.
enum Subject<'a> {
    Image,
    Network(&'a str),
    Volume,
    Container { key: Option<ContainerKey>, names: Vec<&'a str> },
}

impl<'a> Subject<'a> {
    fn of(definition: &Definition, step: &'a Step) -> Self {
        let by_name = |names: Vec<&'a str>| {
            let is = |name: &str| names.iter().any(|n| plain_name(n) == name);
            let found = definition.containers.iter().find(|(_, c)| is(&c.name)).map(|(key, _)| key.clone());
            Self::Container { key: found, names }
        };
        let by_key = |key: &ContainerKey, names| Self::Container { key: Some(key.clone()), names };
        match step {
            Step::PullImage { .. } | Step::RemoveImage { .. } => Self::Image,
            Step::CreateNetwork { name }
            | Step::TryNetwork { name }
            | Step::KeepNetwork { name, .. }
            | Step::RestoreNetwork { name }
            | Step::RemoveNetwork { name, .. } => Self::Network(name),
            Step::CreateVolume { .. } | Step::RemoveVolume { .. } => Self::Volume,
            Step::CreateContainer { key, name, .. } => by_key(key, vec![name]),
            Step::ConnectNetwork { key, .. } | Step::UpdateContainer { key, .. } => by_key(key, Vec::new()),
            Step::RenameContainer { from, to, .. } => by_name(vec![from, to]),
            Step::StartContainer { name }
            | Step::StopContainer { name, .. }
            | Step::UnpauseContainer { name, .. }
            | Step::RebindContainer { name, .. }
            | Step::RemoveContainer { name, .. } => by_name(vec![name]),
        }
    }
}

/// Whether a container depends on a service, directly or through others.
fn depends<'a>(definition: &'a Definition, key: &ContainerKey, service: &str, seen: &mut BTreeSet<&'a str>) -> bool {
    let Some(container) = definition.containers.get(key) else { return false };
    container.depends_on.keys().any(|needed| {
        needed == service
            || (seen.insert(needed)
                && definition
                    .containers
                    .keys()
                    .filter(|k| k.service == *needed)
                    .any(|k| depends(definition, k, service, seen)))
    })
}
