//! Volumes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::archive::File;
use super::engine::{Engine, labels_of};
use super::http::{Answer, Refusal, Reply, Request};

/// A volume and the files in it.
#[derive(Clone)]
pub(super) struct Volume {
    pub(super) labels: Value,
    pub(super) driver: String,
    pub(super) options: Value,
    pub(super) created: Timestamp,
    /// By path from the volume's root, without a leading slash.
    pub(super) files: BTreeMap<String, File>,
}

impl Engine {
    pub(super) fn volume_list(&self, request: &Request) -> Reply {
        let filters = request.filters()?;
        filters.only(&["name", "label", "dangling", "driver"], self.version.is_new())?;
        let volumes: Vec<_> = self
            .volumes
            .iter()
            .filter(|(name, volume)| {
                filters.any("name", |wanted| name.contains(wanted))
                    && filters.any("driver", |wanted| volume.driver == wanted)
                    && filters.any("dangling", |wanted| {
                        self.volume_users(name).is_empty() == (wanted == "true" || wanted == "1")
                    })
                    && filters.labels(&volume.labels)
            })
            .map(|(name, volume)| show(name, volume))
            .collect();
        Ok(Answer::Json(200, json!({ "Volumes": volumes, "Warnings": null })))
    }

    pub(super) fn volume_create(&mut self, request: &Request) -> Reply {
        let body = request.json()?;
        let name = body["Name"].as_str().unwrap_or_default().to_owned();
        let driver = body["Driver"].as_str().filter(|driver| !driver.is_empty()).unwrap_or("local");
        let name = if name.is_empty() { self.new_id("volume") } else { name };
        self.make_volume(&name, driver, labels_or_null(&body["Labels"]), body["DriverOpts"].clone())?;
        self.volume_inspect(&name).map(|answer| match answer {
            Answer::Json(_, value) => Answer::Json(201, value),
            other => other,
        })
    }

    /// Makes a volume unless there is one of that name, as the engine does for a create request and for a mount.
    pub(super) fn make_volume(
        &mut self,
        name: &str,
        driver: &str,
        labels: Value,
        options: Value,
    ) -> Result<(), Refusal> {
        let valid = name.len() > 1
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.-".contains(letter));
        if !valid {
            let rule = "only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path";
            let message =
                format!("create {name}: \"{name}\" includes invalid characters for a local volume name, {rule}");
            return Err(Refusal::new(400, message));
        }
        if driver != "local" {
            let message =
                format!("create {name}: error looking up volume plugin {driver}: plugin \"{driver}\" not found");
            return Err(Refusal::new(404, message));
        }
        if !self.volumes.contains_key(name) {
            let created = self.now();
            let volume = Volume { labels, driver: driver.into(), options, created, files: BTreeMap::new() };
            self.volumes.insert(name.to_owned(), volume);
            self.emit(created, "volume", "create", name, &json!({ "driver": driver }));
        }
        Ok(())
    }

    pub(super) fn volume_inspect(&self, name: &str) -> Reply {
        let volume = self.volumes.get(name).ok_or_else(|| no_volume(name))?;
        Ok(Answer::Json(200, show(name, volume)))
    }

    pub(super) fn volume_remove(&mut self, name: &str) -> Reply {
        if !self.volumes.contains_key(name) {
            return Err(no_volume(name));
        }
        let users = self.volume_users(name);
        if !users.is_empty() {
            return Err(Refusal::new(409, format!("remove {name}: volume is in use - [{}]", users.join(", "))));
        }
        self.drop_volume(name);
        Ok(Answer::Empty(204))
    }

    /// Removes a volume that nothing uses.
    pub(super) fn drop_volume(&mut self, name: &str) {
        if let Some(volume) = self.volumes.remove(name) {
            let now = self.now();
            self.emit(now, "volume", "destroy", name, &json!({ "driver": volume.driver }));
        }
    }

    /// The containers that mount a volume, running or not.
    pub(super) fn volume_users(&self, name: &str) -> Vec<String> {
        let mounts = |container: &&super::containers::Container| {
            container.mounts.iter().any(|mount| mount.kind == "volume" && mount.name == name)
        };
        self.containers.values().filter(mounts).map(|container| container.id.clone()).collect()
    }
}

fn labels_or_null(labels: &Value) -> Value {
    if labels.is_null() { Value::Null } else { labels_of(labels) }
}

fn no_volume(name: &str) -> Refusal {
    Refusal::new(404, format!("get {name}: no such volume"))
}

fn show(name: &str, volume: &Volume) -> Value {
    json!({
        "Name": name,
        "Driver": volume.driver,
        "Labels": volume.labels,
        "Options": volume.options,
        "Mountpoint": format!("/var/lib/docker/volumes/{name}/_data"),
        "Scope": "local",
        "CreatedAt": format!("{}", volume.created.strftime("%Y-%m-%dT%H:%M:%SZ")),
    })
}
