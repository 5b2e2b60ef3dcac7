//! Containers: made, shown, changed and removed. What they do by themselves is in `lifecycle`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::archive::File;
use super::engine::{Engine, no_container, time_text};
use super::http::{Answer, Filters, Refusal, Reply, Request};
use super::image::Stream;
use super::lifecycle::State;
use super::networks::{fixed_address, is_predefined};

/// What a real engine fills in where the request says nothing (taken from an inspect of Docker 20.10).
const HOST_CONFIG: &str = include_str!("host_config.json");
/// From this minor version of the API on, a container can be made on several networks at once.
const API_MANY_NETWORKS: u32 = 44;

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

    fn command(&self) -> Vec<String> {
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

    pub(super) fn container_create(&mut self, request: &Request) -> Reply {
        let mut body = request.json()?;
        let name = match request.text("name") {
            "" => format!("nameless_{}", self.count()),
            name => name.trim_start_matches('/').to_owned(),
        };
        check_name(&name)?;
        let wanted = body["Image"].as_str().unwrap_or_default().to_owned();
        let image_id = self.find_image(&wanted).map_err(|_| {
            Refusal::new(404, format!("No such image: {}", super::reference::Reference::parse(&wanted)))
        })?;
        self.check_platform(&wanted, &image_id, request.text("platform"))?;
        let asked_host = body["HostConfig"].take();
        let asked_networks = body["NetworkingConfig"]["EndpointsConfig"].take();
        if let Some(map) = body.as_object_mut() {
            map.remove("HostConfig");
            map.remove("NetworkingConfig");
        }
        self.check_name_is_free(&name, "")?;
        let id = self.new_id("container");
        let config = self.config(&id, &image_id, &body);
        let host_config = self.host_config(&asked_host);
        let endpoints = self.endpoints(request.api, &host_config, &asked_networks)?;
        let mounts = self.mounts(&config, &host_config)?;
        let sequence = self.count();
        let created = self.now();
        let container = Container {
            id: id.clone(),
            name,
            sequence,
            created,
            image: wanted,
            image_id,
            config,
            host_config,
            endpoints,
            mounts,
            files: BTreeMap::new(),
            log: Vec::new(),
            state: State::default(),
            published: Vec::new(),
        };
        self.containers.insert(id.clone(), container);
        self.emit_container(created, "create", &id, &json!({}));
        Ok(Answer::Json(201, json!({ "Id": id, "Warnings": [] })))
    }

    fn check_platform(&self, wanted: &str, image_id: &str, platform: &str) -> Result<(), Refusal> {
        let mut parts = platform.split('/');
        let (os, architecture) = (parts.next().unwrap_or_default(), parts.next());
        let actual = &self.images[image_id].image.architecture;
        if os.is_empty() || (os == "linux" && architecture.is_none_or(|architecture| architecture == actual)) {
            return Ok(());
        }
        let message = format!(
            "image with reference {wanted} was found but does not match the specified platform: wanted {platform}, actual: linux/{actual}"
        );
        Err(Refusal::new(404, message))
    }

    fn check_name_is_free(&self, name: &str, but_for: &str) -> Result<(), Refusal> {
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

    /// The request's configuration, completed by the image's.
    fn config(&self, id: &str, image_id: &str, asked: &Value) -> Value {
        let image = &self.images[image_id].image.config;
        let mut config = json!({
            "Hostname": &id[..12], "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": false,
            "AttachStderr": false, "Tty": false, "OpenStdin": false, "StdinOnce": false, "Env": null, "Cmd": null,
            "Image": "", "Volumes": null, "WorkingDir": "", "Entrypoint": null, "OnBuild": null, "Labels": {},
        });
        overlay(&mut config, asked);
        let is_set = |value: &Value| {
            !matches!(value, Value::Null) && value != "" && value.as_array().is_none_or(|list| !list.is_empty())
        };
        if !is_set(&config["Entrypoint"]) && !is_set(&config["Cmd"]) {
            config["Cmd"] = image["Cmd"].clone();
        }
        for key in ["Entrypoint", "WorkingDir", "User", "StopSignal", "Healthcheck"] {
            let unset = key == "Healthcheck" && config[key]["Test"].as_array().is_none_or(Vec::is_empty);
            if (unset || !is_set(&config[key])) && is_set(&image[key]) {
                config[key] = image[key].clone();
            }
        }
        for key in ["Labels", "ExposedPorts", "Volumes"] {
            if image[key].is_object() {
                let mut merged = image[key].clone();
                overlay(&mut merged, &config[key]);
                config[key] = merged;
            }
        }
        config["Env"] = merged_environment(&config["Env"], &image["Env"]);
        config
    }

    fn host_config(&self, asked: &Value) -> Value {
        let mut host: Value = serde_json::from_str(HOST_CONFIG).unwrap_or_default();
        if self.version.is_new() {
            host["NetworkMode"] = "bridge".into();
            host["RestartPolicy"]["Name"] = "no".into();
        }
        overlay(&mut host, asked);
        let memory = host["Memory"].as_i64().unwrap_or_default();
        if memory > 0 && host["MemorySwap"].as_i64().unwrap_or_default() == 0 {
            host["MemorySwap"] = (memory * 2).into();
        }
        if host["ShmSize"] == 0 {
            host["ShmSize"] = (64 << 20).into();
        }
        if host["Privileged"] == true {
            host["MaskedPaths"] = Value::Null;
            host["ReadonlyPaths"] = Value::Null;
        }
        host
    }

    fn endpoints(&self, api: u32, host: &Value, asked: &Value) -> Result<BTreeMap<String, Endpoint>, Refusal> {
        let asked = asked.as_object().cloned().unwrap_or_default();
        if asked.len() > 1 && api < API_MANY_NETWORKS {
            let mut names: Vec<_> = asked.keys().cloned().collect();
            names.sort();
            let how = if self.version.is_new() { "created with multiple network" } else { "connected to network" };
            let message = format!("Container cannot be {how} endpoints: {}", names.join(", "));
            return Err(Refusal::new(400, message));
        }
        if self.version.is_new() {
            for (name, settings) in &asked {
                let Ok(id) = self.find_network(name, |_| String::new()) else { continue };
                if fixed_address(settings).is_some() {
                    self.allows_fixed_address(&id).map_err(|refusal| {
                        let message = format!(
                            "invalid config for network {name}: invalid endpoint settings:\n{}",
                            refusal.message
                        );
                        Refusal::new(400, message)
                    })?;
                }
            }
        }
        let mode = match host["NetworkMode"].as_str().unwrap_or_default() {
            "" | "default" => "bridge",
            mode => mode,
        };
        if mode.starts_with("container:") {
            return Ok(BTreeMap::new());
        }
        let mut endpoints: BTreeMap<_, _> =
            asked.iter().map(|(name, settings)| (name.clone(), Endpoint::new(settings))).collect();
        if endpoints.is_empty() {
            endpoints.insert(mode.to_owned(), Endpoint::new(&Value::Null));
        }
        Ok(endpoints)
    }

    fn mounts(&mut self, config: &Value, host: &Value) -> Result<Vec<Mount>, Refusal> {
        let mut mounts: Vec<Mount> = Vec::new();
        for bind in host["Binds"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let parts: Vec<&str> = bind.split(':').collect();
            let [source, target, mode @ ..] = parts.as_slice() else {
                return Err(Refusal::new(400, format!("invalid volume specification: '{bind}'")));
            };
            let mode = mode.first().copied().unwrap_or_default();
            let writable = !mode.split(',').any(|option| option == "ro");
            if source.starts_with('/') {
                mounts.push(Mount { mode: mode.into(), writable, ..Mount::bind(source, target) });
            } else {
                self.make_volume(source, "local", Value::Null, Value::Null)?;
                let mode = if mode.is_empty() { "z" } else { mode };
                mounts.push(Mount { mode: mode.into(), writable, ..Mount::volume(source, target) });
            }
        }
        for mount in host["Mounts"].as_array().into_iter().flatten() {
            let text = |key: &str| mount[key].as_str().unwrap_or_default();
            let writable = mount["ReadOnly"] != true;
            let mode = if writable { "z" } else { "" };
            match text("Type") {
                "bind" => {
                    if self.missing_host_paths.contains(text("Source")) {
                        let message = format!(
                            "invalid mount config for type \"bind\": bind source path does not exist: {}",
                            text("Source")
                        );
                        return Err(Refusal::new(400, message));
                    }
                    mounts.push(Mount { writable, ..Mount::bind(text("Source"), text("Target")) });
                }
                "volume" => {
                    let options = &mount["VolumeOptions"];
                    let driver =
                        options["DriverConfig"]["Name"].as_str().filter(|name| !name.is_empty()).unwrap_or("local");
                    let anonymous = text("Source").is_empty();
                    let name = if anonymous { self.new_id("volume") } else { text("Source").to_owned() };
                    self.make_volume(
                        &name,
                        driver,
                        options["Labels"].clone(),
                        options["DriverConfig"]["Options"].clone(),
                    )?;
                    mounts.push(Mount {
                        mode: mode.into(),
                        writable,
                        anonymous,
                        ..Mount::volume(&name, text("Target"))
                    });
                }
                "tmpfs" => mounts.push(Mount { kind: "tmpfs", ..Mount::bind("", text("Target")) }),
                other => {
                    return Err(Refusal::new(
                        400,
                        format!("invalid mount config for type \"{other}\": mount type unknown"),
                    ));
                }
            }
        }
        let covered: BTreeSet<String> = mounts.iter().map(|mount| mount.target.clone()).collect();
        let labels = if self.version.is_new() { json!({ "com.docker.volume.anonymous": "" }) } else { Value::Null };
        for target in config["Volumes"].as_object().into_iter().flat_map(serde_json::Map::keys) {
            if !covered.contains(target) {
                let name = self.new_id("volume");
                self.make_volume(&name, "local", labels.clone(), Value::Null)?;
                mounts.push(Mount { anonymous: true, ..Mount::volume(&name, target) });
            }
        }
        Ok(mounts)
    }

    pub(super) fn container_list(&self, request: &Request) -> Reply {
        let filters = request.filters()?;
        let known = [
            "ancestor",
            "before",
            "expose",
            "exited",
            "health",
            "id",
            "isolation",
            "is-task",
            "label",
            "name",
            "network",
            "publish",
            "since",
            "status",
            "volume",
        ];
        filters.only(&known, self.version.is_new())?;
        let all = request.flag("all") || !filters.values("status").is_empty();
        let mut found: Vec<_> = self
            .containers
            .values()
            .filter(|container| {
                (all || container.is_up() || container.state.restarting()) && listed(container, &filters)
            })
            .collect();
        found.sort_by_key(|container| std::cmp::Reverse(container.sequence));
        if let Ok(limit) = request.text("limit").parse::<usize>()
            && limit > 0
        {
            found.truncate(limit);
        }
        Ok(Answer::Json(200, found.into_iter().map(|container| self.summary(container)).collect()))
    }

    fn summary(&self, container: &Container) -> Value {
        let named = self.find_image(&container.image).is_ok_and(|id| id == container.image_id);
        let mut ports = Vec::new();
        for published in &container.published {
            let (number, protocol) = published.inner.split_once('/').unwrap_or((&published.inner, "tcp"));
            let inner: u16 = number.parse().unwrap_or_default();
            ports.push(
                json!({ "IP": published.ip, "PrivatePort": inner, "PublicPort": published.host, "Type": protocol }),
            );
        }
        json!({
            "Id": container.id,
            "Names": [format!("/{}", container.name)],
            "Image": if named { &container.image } else { &container.image_id },
            "ImageID": container.image_id,
            "Command": container.command().join(" "),
            "Created": container.created.as_second(),
            "Ports": ports,
            "Labels": container.labels(),
            "State": container.state.status,
            "Status": container.state.text(),
            "HostConfig": { "NetworkMode": container.host_config["NetworkMode"] },
            "NetworkSettings": { "Networks": self.show_endpoints(container) },
            "Mounts": container.mounts.iter().map(Mount::show).collect::<Vec<_>>(),
        })
    }

    pub(super) fn container_inspect(&self, name: &str) -> Reply {
        let container = &self.containers[&self.find_container(name)?];
        let mut command = container.command().into_iter();
        let path = command.next().unwrap_or_default();
        Ok(Answer::Json(
            200,
            json!({
                "Id": container.id,
                "Created": time_text(Some(container.created)),
                "Path": path,
                "Args": command.collect::<Vec<_>>(),
                "State": container.state.show(),
                "Image": container.image_id,
                "ResolvConfPath": "",
                "HostnamePath": "",
                "HostsPath": "",
                "LogPath": "",
                "Name": format!("/{}", container.name),
                "RestartCount": container.state.restart_count,
                "Driver": "overlay2",
                "Platform": "linux",
                "MountLabel": "",
                "ProcessLabel": "",
                "AppArmorProfile": "",
                "ExecIDs": null,
                "HostConfig": container.host_config,
                "Mounts": container.mounts.iter().map(Mount::show).collect::<Vec<_>>(),
                "Config": container.config,
                "NetworkSettings": { "Ports": show_ports(container), "Networks": self.show_endpoints(container) },
            }),
        ))
    }

    fn show_endpoints(&self, container: &Container) -> Value {
        let mut shown = serde_json::Map::new();
        for (name, endpoint) in &container.endpoints {
            let mut settings = json!({
                "IPAMConfig": null, "Links": null, "Aliases": null, "NetworkID": endpoint.network_id,
                "EndpointID": endpoint.id, "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "",
                "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "MacAddress": "", "DriverOpts": null,
            });
            overlay(&mut settings, &endpoint.settings);
            if !self.version.is_new() && endpoint.has_own_alias && !is_predefined(name) {
                let mut aliases = settings["Aliases"].as_array().cloned().unwrap_or_default();
                aliases.push(container.id[..12].into());
                settings["Aliases"] = aliases.into();
            }
            if let Some(ip) = endpoint.ipv4 {
                settings["IPAddress"] = ip.to_string().into();
                settings["IPPrefixLen"] = 16.into();
            }
            shown.insert(name.clone(), settings);
        }
        shown.into()
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
    fn bind(source: &str, target: &str) -> Self {
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

    fn volume(name: &str, target: &str) -> Self {
        let source = format!("/var/lib/docker/volumes/{name}/_data");
        Self { kind: "volume", name: name.into(), ..Self::bind(&source, target) }
    }

    fn show(&self) -> Value {
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

fn check_name(name: &str) -> Result<(), Refusal> {
    let valid = name.len() > 1
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.-".contains(letter));
    if valid {
        return Ok(());
    }
    Err(Refusal::new(400, format!("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")))
}

fn listed(container: &Container, filters: &Filters) -> bool {
    filters.labels(container.labels())
        && filters.any("name", |wanted| container.name.contains(wanted.trim_matches(['^', '$', '/'])))
        && filters.any("id", |wanted| container.id.starts_with(wanted))
        && filters.any("status", |wanted| container.state.status == wanted)
        && filters.any("ancestor", |wanted| container.image == wanted || container.image_id == wanted)
        && filters
            .any("volume", |wanted| container.mounts.iter().any(|mount| mount.name == wanted || mount.target == wanted))
        && filters.any("network", |wanted| {
            container.endpoints.iter().any(|(name, endpoint)| name == wanted || endpoint.network_id == wanted)
        })
        && filters
            .any("health", |wanted| container.state.health.as_ref().map_or("none", |health| health.status) == wanted)
}

fn show_ports(container: &Container) -> Value {
    let mut ports = serde_json::Map::new();
    if container.is_up() {
        for inner in container.config["ExposedPorts"].as_object().into_iter().flat_map(serde_json::Map::keys) {
            ports.insert(inner.clone(), Value::Null);
        }
    }
    for published in &container.published {
        let shown = json!({ "HostIp": published.ip, "HostPort": published.host.to_string() });
        match ports.get_mut(&published.inner) {
            Some(Value::Array(list)) => list.push(shown),
            _ => drop(ports.insert(published.inner.clone(), json!([shown]))),
        }
    }
    ports.into()
}

/// The container's variables first, then those of the image that it does not set.
fn merged_environment(own: &Value, of_image: &Value) -> Value {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let key = |value: &Value| value.as_str().and_then(|text| text.split('=').next()).unwrap_or_default().to_owned();
    let mut merged = list(own);
    let set: BTreeSet<String> = merged.iter().map(key).collect();
    merged.extend(list(of_image).into_iter().filter(|variable| !set.contains(&key(variable))));
    if merged.is_empty() { Value::Null } else { merged.into() }
}

/// Puts the keys of an object over those of another; null says nothing.
pub(super) fn overlay(base: &mut Value, over: &Value) {
    for (key, value) in over.as_object().into_iter().flatten() {
        if !value.is_null() {
            base[key] = value.clone();
        }
    }
}
