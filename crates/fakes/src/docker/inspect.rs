//! What a test sees of the engine, and what must always hold.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;
use slipway_api::labels;

use super::FakeDocker;
use super::archive::File;
use super::engine::Engine;

/// Compose's number of a container within its service.
const NUMBER: &str = "com.docker.compose.container-number";

/// A container as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Seen {
    pub id: String,
    pub name: String,
    pub image: String,
    pub image_id: String,
    /// `running`, `exited`, …
    pub status: String,
    pub exit_code: i64,
    /// `starting`, `healthy`, `unhealthy`; `None` without a check.
    pub health: Option<&'static str>,
    pub labels: BTreeMap<String, String>,
    /// Names of its networks.
    pub networks: Vec<String>,
    /// Names of its named volumes.
    pub volumes: Vec<String>,
}

/// Everything on an engine that is not of one installation; two of it are equal if nothing of it was made, changed, renamed or
/// removed. Whether something runs is left out: that changes when the engine restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign(BTreeMap<String, String>);

impl FakeDocker {
    /// Every container, by name.
    pub fn containers(&self) -> Vec<Seen> {
        let mut seen: Vec<_> = self.host.see(|engine| {
            engine
                .containers
                .values()
                .map(|container| Seen {
                    id: container.id.clone(),
                    name: container.name.clone(),
                    image: container.image.clone(),
                    image_id: container.image_id.clone(),
                    status: container.state.status.clone(),
                    exit_code: container.state.exit_code,
                    health: container.state.health.as_ref().map(|health| health.status),
                    labels: text_labels(container.labels()),
                    networks: container.endpoints.keys().cloned().collect(),
                    volumes: container
                        .mounts
                        .iter()
                        .filter(|mount| mount.kind == "volume" && !mount.anonymous)
                        .map(|mount| mount.name.clone())
                        .collect(),
                })
                .collect()
        });
        seen.sort_by(|one, other| one.name.cmp(&other.name));
        seen
    }

    /// A container by name.
    pub fn container(&self, name: &str) -> Option<Seen> {
        self.containers().into_iter().find(|container| container.name == name)
    }

    /// Waits until the containers are as wanted. A test that waits in vain hangs: give it a timeout.
    pub async fn until(&self, mut holds: impl FnMut(&[Seen]) -> bool) {
        self.host.until(|_| true).await;
        loop {
            if holds(&self.containers()) {
                return;
            }
            let mut first = true;
            // The first look is at what was just seen.
            self.host.until(|_| !std::mem::take(&mut first)).await;
        }
    }

    /// Names of all networks but the engine's own three.
    pub fn networks(&self) -> Vec<String> {
        let own = ["bridge", "host", "none"];
        let mut names: Vec<_> =
            self.host.see(|engine| engine.networks.values().map(|network| network.name.clone()).collect());
        names.retain(|name| !own.contains(&name.as_str()));
        names.sort();
        names
    }

    /// Names of all volumes.
    pub fn volumes(&self) -> Vec<String> {
        self.host.see(|engine| engine.volumes.keys().cloned().collect())
    }

    /// Tags of all images.
    pub fn images(&self) -> Vec<String> {
        self.host.see(|engine| engine.images.values().flat_map(|stored| stored.tags.clone()).collect())
    }

    /// A file in a container, wherever it lies.
    pub fn file(&self, container: &str, path: &str) -> Option<File> {
        let files = self.host.see(|engine| Some(engine.files_of(&engine.find_container(container).ok()?)))?;
        files.get(path.trim_start_matches('/')).cloned()
    }

    /// Containers, networks and helper volumes with the labels of an installation. Named volumes are kept on purpose.
    pub fn left_of(&self, installation: &str) -> BTreeSet<String> {
        self.host.see(|engine| {
            things(engine)
                .into_iter()
                .filter(|(what, labels, _)| {
                    let helper = labels.get(labels::ROLE).is_some();
                    is_of(labels, installation) && (helper || !what.starts_with("volume "))
                })
                .map(|(what, _, _)| what)
                .collect()
        })
    }

    /// Fails if anything but named volumes is left of an installation.
    ///
    /// # Panics
    ///
    /// If something is left.
    pub fn assert_nothing_leaked(&self, installation: &str) {
        let left = self.left_of(installation);
        assert!(left.is_empty(), "left behind: {left:?}");
    }

    /// Fails if two containers of an installation stand for the same service and number, or two networks have one name, or a
    /// helper volume belongs to no container.
    ///
    /// # Panics
    ///
    /// If there is such a thing.
    pub fn assert_no_duplicate(&self, installation: &str) {
        let mut keys = BTreeMap::new();
        for container in self
            .containers()
            .iter()
            .filter(|container| container.labels.get(labels::INSTALLATION).is_some_and(|of| of == installation))
        {
            let label = |name: &str| container.labels.get(name).cloned().unwrap_or_default();
            let key = [labels::NAMESPACE, labels::NAME, labels::SERVICE, NUMBER].map(label);
            let other = keys.insert(key.clone(), container.name.clone());
            assert!(other.is_none(), "{} and {} both stand for {key:?}", container.name, other.unwrap_or_default());
        }
        let networks = self.networks();
        let once: BTreeSet<_> = networks.iter().collect();
        assert_eq!(once.len(), networks.len(), "two networks of one name among {networks:?}");
        let orphans: Vec<_> = self.host.see(|engine| {
            let helpers = engine
                .volumes
                .iter()
                .filter(|(_, volume)| is_of(&volume.labels, installation) && volume.labels.get(labels::ROLE).is_some());
            helpers.map(|(name, _)| name.clone()).filter(|name| engine.volume_users(name).is_empty()).collect()
        });
        assert!(orphans.is_empty(), "helper volumes of no container: {orphans:?}");
    }

    /// The named volumes of an installation, and when each was made.
    pub fn named_volumes(&self, installation: &str) -> BTreeMap<String, Timestamp> {
        self.host.see(|engine| {
            let named = engine
                .volumes
                .iter()
                .filter(|(_, volume)| is_of(&volume.labels, installation) && volume.labels.get(labels::ROLE).is_none());
            named.map(|(name, volume)| (name.clone(), volume.created)).collect()
        })
    }

    /// Everything that is not of an installation.
    pub fn foreign_to(&self, installation: &str) -> Foreign {
        let things = self.host.see(things);
        let foreign = things.into_iter().filter(|(_, labels, _)| !is_of(labels, installation));
        Foreign(foreign.map(|(what, _, state)| (what, state)).collect())
    }
}

/// Everything on the engine but images: what it is, its labels, and all that can be changed about it.
fn things(engine: &Engine) -> Vec<(String, Value, String)> {
    let containers = engine.containers.values().map(|container| {
        let networks: Vec<_> = container.endpoints.keys().collect();
        let state = format!("{} {} {networks:?}", container.id, container.host_config);
        (format!("container {}", container.name), container.labels().clone(), state)
    });
    let networks = engine
        .networks
        .iter()
        .map(|(id, network)| (format!("network {}", network.name), network.labels.clone(), id.clone()));
    let volumes = engine.volumes.iter().map(|(name, volume)| {
        (format!("volume {name}"), volume.labels.clone(), format!("{:?} {:?}", volume.created, volume.files))
    });
    containers.chain(networks).chain(volumes).collect()
}

fn is_of(labels: &Value, installation: &str) -> bool {
    labels.get(labels::INSTALLATION).and_then(Value::as_str) == Some(installation)
}

fn text_labels(labels: &Value) -> BTreeMap<String, String> {
    let pairs = labels.as_object().into_iter().flatten();
    pairs.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}
