//! Containers: what is known of each, and how they are changed and removed. How they are made is in `create`, how they are
//! seen in `show`, and what they do by themselves in `lifecycle`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::archive::File;
use super::engine::{Engine, no_container};
use super::http::{Answer, Refusal, Reply, Request};
use super::image::Stream;
use super::lifecycle::State;

/// A container.
#[derive(Clone)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) name: String,
    /// The order of creation.
    pub(super) sequence: u64,
    pub(super) created: Timestamp,
    /// As the create request named it.
    pub(super) image: String,
    pub(super) image_id: String,
    pub(super) config: Value,
    pub(super) host_config: Value,
    /// By name of the network.
    pub(super) endpoints: BTreeMap<String, Endpoint>,
    pub(super) mounts: Vec<Mount>,
    /// What was copied in, by path without the leading slash; what lies in volumes is in these.
    pub(super) files: BTreeMap<String, File>,
    pub(super) log: Vec<(Timestamp, Stream, String)>,
    pub(super) state: State,
    /// Ports that are published now.
    pub(super) published: Vec<Published>,
}

/// A container's place on a network.
#[derive(Clone)]
pub(super) struct Endpoint {
    /// As asked for.
    pub(super) settings: Value,
    /// It is on the network now.
    pub(super) up: bool,
    /// Before 25, the engine adds the container's short ID to the aliases when it tries to join, and it stays.
    pub(super) has_own_alias: bool,
    pub(super) network_id: String,
    pub(super) id: String,
    pub(super) ipv4: Option<Ipv4Addr>,
}

impl Endpoint {
    pub(super) fn new(settings: &Value) -> Self {
        let settings = settings.clone();
        Self { settings, up: false, has_own_alias: false, network_id: String::new(), id: String::new(), ipv4: None }
    }

    pub(super) fn join(&mut self, network_id: &str, id: String) {
        self.up = true;
        self.network_id = network_id.into();
        self.id = id;
    }

    pub(super) fn leave(&mut self) {
        self.up = false;
        self.id.clear();
        self.ipv4 = None;
    }
}

/// Something mounted into a container.
#[derive(Clone)]
pub(super) struct Mount {
    /// `volume`, `bind` or `tmpfs`.
    pub(super) kind: &'static str,
    /// Of the volume.
    pub(super) name: String,
    pub(super) source: String,
    pub(super) target: String,
    pub(super) mode: String,
    pub(super) writable: bool,
    /// A volume that goes with the container.
    pub(super) anonymous: bool,
}

/// A published port.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) ip: String,
    pub(super) host: u16,
    /// `80/tcp`.
    pub(super) inner: String,
}

impl Container {
    /// Its processes are there.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state.status.as_str(), "running" | "paused")
    }

    pub(super) fn labels(&self) -> &Value {
        &self.config["Labels"]
    }

    pub(super) fn command(&self) -> Vec<String> {
        let words = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        [words(&self.config["Entrypoint"]), words(&self.config["Cmd"])].concat()
    }
}

impl Engine {
    /// By ID, name, or the beginning of an ID.
    pub(super) fn find_container(&self, name: &str) -> Result<String, Refusal> {
        if self.containers.contains_key(name) {
            return Ok(name.to_owned());
        }
        let plain = name.strip_prefix('/').unwrap_or(name);
        if let Some(container) = self.containers.values().find(|container| container.name == plain) {
            return Ok(container.id.clone());
        }
        let by_beginning = |container: &&Container| !name.is_empty() && container.id.starts_with(name);
        match self.containers.values().find(by_beginning) {
            Some(container) => Ok(container.id.clone()),
            None => Err(no_container(name)),
        }
    }

    pub(super) fn container_mut(&mut self, id: &str) -> Result<&mut Container, Refusal> {
        self.containers.get_mut(id).ok_or_else(|| no_container(id))
    }

    pub(super) fn check_name_is_free(&self, name: &str, but_for: &str) -> Result<(), Refusal> {
        let holder = self.containers.values().find(|container| container.name == name && container.id != but_for);
        match holder {
            None => Ok(()),
            Some(holder) => Err(Refusal::new(
                409,
                format!(
                    "Conflict. The container name \"/{name}\" is already in use by container \"{}\". You have to remove (or rename) that container to be able to reuse that name.",
                    holder.id
                ),
            )),
        }
    }

    pub(super) fn container_rename(&mut self, name: &str, request: &Request) -> Reply {
        let id = self.find_container(name)?;
        let to = request.text("name").trim_start_matches('/').to_owned();
        let old = self.containers[&id].name.clone();
        if to.is_empty() {
            return Err(Refusal::new(400, "Neither old nor new names may be empty"));
        }
        if to == old {
            return Err(Refusal::new(400, "Renaming a container with the same name as its current name"));
        }
        let because = |refusal: Refusal| Refusal {
            message: format!("Error when allocating new name: {}", refusal.message),
            ..refusal
        };
        check_name(&to).map_err(|refusal| {
            because(Refusal { message: refusal.message.replace(&format!("({to})"), &format!("(/{to})")), ..refusal })
        })?;
        self.check_name_is_free(&to, &id).map_err(because)?;
        self.container_mut(&id)?.name = to;
        let now = self.now();
        self.emit_container(now, "rename", &id, &json!({ "oldName": format!("/{old}") }));
        Ok(Answer::Empty(204))
    }

    pub(super) fn container_update(&mut self, name: &str, request: &Request) -> Reply {
        let body = request.json()?;
        let id = self.find_container(name)?;
        let host = &mut self.container_mut(&id)?.host_config;
        for (key, value) in body.as_object().into_iter().flatten() {
            let says_nothing = value.is_null() || value == 0 || value == "" || value["Name"] == "";
            if !says_nothing && host.get(key).is_some() {
                host[key] = value.clone();
            }
        }
        let now = self.now();
        self.emit_container(now, "update", &id, &json!({}));
        Ok(Answer::Json(200, json!({ "Warnings": null })))
    }

    pub(super) fn container_remove(&mut self, name: &str, request: &Request) -> Reply {
        let id = self.find_container(name)?;
        let container = &self.containers[&id];
        if container.is_up() || container.state.restarting() {
            if !request.flag("force") {
                let message = match (self.version.is_new(), container.state.status.as_str()) {
                    (true, "paused") => {
                        format!(
                            "cannot remove container \"/{}\": container is paused and must be unpaused first",
                            container.name
                        )
                    }
                    (true, status) => format!(
                        "cannot remove container \"/{}\": container is {status}: stop the container before removing or force remove",
                        container.name
                    ),
                    (false, "paused") => format!(
                        "You cannot remove a paused container {id}. Unpause and then stop the container before attempting removal or force remove"
                    ),
                    (false, status) => format!(
                        "You cannot remove a {status} container {id}. Stop the container before attempting removal or force remove"
                    ),
                };
                return Err(Refusal::new(409, message));
            }
            self.kill(&id, 9);
        }
        self.drop_container(&id, request.flag("v"));
        Ok(Answer::Empty(204))
    }

    /// Removes a container that does not run.
    pub(super) fn drop_container(&mut self, id: &str, with_volumes: bool) {
        let now = self.now();
        self.emit_container(now, "destroy", id, &json!({}));
        let Some(container) = self.containers.remove(id) else { return };
        for mount in container.mounts.iter().filter(|mount| with_volumes && mount.anonymous) {
            self.drop_volume(&mount.name);
        }
    }

    pub(super) fn container_logs(&self, name: &str, request: &Request) -> Reply {
        let container = &self.containers[&self.find_container(name)?];
        let wanted = |stream: &Stream| request.flag(if *stream == Stream::Stdout { "stdout" } else { "stderr" });
        if !request.flag("stdout") && !request.flag("stderr") {
            return Err(Refusal::new(400, "Bad parameters: you must choose at least one stream"));
        }
        let tail = request.text("tail").parse().unwrap_or(usize::MAX);
        let lines: Vec<_> = container.log.iter().filter(|(_, stream, _)| wanted(stream)).collect();
        let mut bytes = Vec::new();
        for (at, stream, line) in &lines[lines.len().saturating_sub(tail)..] {
            let line = if request.flag("timestamps") { format!("{at} {line}") } else { line.clone() };
            if container.config["Tty"] != true {
                let length = u32::try_from(line.len()).unwrap_or(u32::MAX);
                bytes.extend_from_slice(&[*stream as u8, 0, 0, 0]);
                bytes.extend_from_slice(&length.to_be_bytes());
            }
            bytes.extend_from_slice(line.as_bytes());
        }
        Ok(Answer::Bytes { kind: "application/octet-stream", headers: Vec::new(), bytes })
    }

    /// An event about a container; its labels go with it.
    pub(super) fn emit_container(&mut self, at: Timestamp, action: &str, id: &str, more: &Value) {
        let Some(container) = self.containers.get(id) else { return };
        let mut attributes = container.labels().clone();
        overlay(&mut attributes, &json!({ "image": container.image, "name": container.name }));
        overlay(&mut attributes, more);
        self.emit(at, "container", action, id, &attributes);
    }
}

impl Mount {
    pub(super) fn bind(source: &str, target: &str) -> Self {
        Self {
            kind: "bind",
            name: String::new(),
            source: source.into(),
            target: clean(target),
            mode: String::new(),
            writable: true,
            anonymous: false,
        }
    }

    pub(super) fn volume(name: &str, target: &str) -> Self {
        let source = format!("/var/lib/docker/volumes/{name}/_data");
        Self { kind: "volume", name: name.into(), ..Self::bind(&source, target) }
    }

    pub(super) fn show(&self) -> Value {
        let mut shown = json!({
            "Type": self.kind, "Source": self.source, "Destination": self.target, "Mode": self.mode, "RW": self.writable,
            "Propagation": if self.kind == "bind" { "rprivate" } else { "" },
        });
        if self.kind == "volume" {
            shown["Name"] = self.name.clone().into();
            shown["Driver"] = "local".into();
        }
        shown
    }
}

fn clean(path: &str) -> String {
    if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path.to_owned() }
}

pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    let valid = name.len() > 1
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.-".contains(letter));
    if valid {
        return Ok(());
    }
    Err(Refusal::new(400, format!("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")))
}

/// Puts the keys of an object over those of another; null says nothing.
pub(super) fn overlay(base: &mut Value, over: &Value) {
    for (key, value) in over.as_object().into_iter().flatten() {
        if !value.is_null() {
            base[key] = value.clone();
        }
    }
}
