//! Containers are made: what was asked for, completed by the image and by what an engine fills in.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::containers::{Container, Endpoint, Mount, check_name, overlay};
use super::engine::Engine;
use super::http::{Answer, Refusal, Reply, Request};
use super::lifecycle::State;
use super::networks::fixed_address;

/// What a real engine fills in where the request says nothing (taken from an inspect of Docker 20.10).
const HOST_CONFIG: &str = include_str!("host_config.json");
/// From this minor version of the API on, a container can be made on several networks at once.
const API_MANY_NETWORKS: u32 = 44;

impl Engine {
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
