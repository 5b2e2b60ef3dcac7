//! What old formats say in a way of their own: v1's whole shape, links, `volumes_from`, `net`, logging, a Swarm's keys.

use serde_json::{Map, Value, json};

use super::Problems;
use super::merge::{mount_target, names};

/// Top-level keys of files that are not of format v1.
const TOP_LEVEL: &[&str] =
    &["version", "services", "networks", "volumes", "secrets", "configs", "name", "include", "models"];

/// Gives a file of format v1, which is a map of services, the shape of later ones.
pub(super) fn modernize(file: Value) -> Value {
    let Value::Object(map) = file else { return file };
    let is_v1 = !map.is_empty()
        && !map.keys().any(|key| TOP_LEVEL.contains(&key.as_str()))
        && map.iter().any(|(_, value)| {
            value.get("image").is_some() || value.get("build").is_some() || value.get("extends").is_some()
        });
    if !is_v1 {
        return Value::Object(map);
    }
    let (extensions, mut services): (Map<String, Value>, Map<String, Value>) =
        map.into_iter().partition(|(key, _)| key.starts_with("x-"));
    let names: Vec<String> = services.keys().cloned().collect();
    let mut volumes = Map::new();
    for service in services.values_mut().filter_map(Value::as_object_mut) {
        version_1(service, &names, &mut volumes);
    }
    let mut file = extensions;
    file.insert("services".into(), Value::Object(services));
    if !volumes.is_empty() {
        file.insert("volumes".into(), Value::Object(volumes));
    }
    Value::Object(file)
}

fn version_1(service: &mut Map<String, Value>, services: &[String], volumes: &mut Map<String, Value>) {
    if let Some(net) = service.remove("net") {
        let net = net.as_str().unwrap_or_default();
        let mode = match net.strip_prefix("container:") {
            Some(name) if services.iter().any(|service| service == name) => format!("service:{name}"),
            _ => net.to_owned(),
        };
        service.insert("network_mode".into(), mode.into());
    }
    let mut logging = Map::new();
    for (old, new) in [("log_driver", "driver"), ("log_opt", "options")] {
        logging.extend(service.remove(old).map(|value| (new.to_owned(), value)));
    }
    if !logging.is_empty() {
        service.insert("logging".into(), Value::Object(logging));
    }
    let driver = service.remove("volume_driver");
    for mount in service.get("volumes").and_then(Value::as_array).into_iter().flatten() {
        let Some((source, _)) = mount.as_str().and_then(|text| text.split_once(':')) else { continue };
        if source.starts_with(['/', '.', '~', '$']) {
            continue;
        }
        // There was no project in the name of a volume.
        let mut volume = json!({"name": source});
        if let (Some(driver), Some(map)) = (&driver, volume.as_object_mut()) {
            map.insert("driver".into(), driver.clone());
        }
        volumes.insert(source.to_owned(), volume);
    }
}

/// Rewrites what has another form in a ContainerService, in the merged project.
pub(super) fn rewrite(project: &mut Value, problems: &mut Problems) {
    let Some(mut services) = project.get_mut("services").and_then(Value::as_object_mut).map(std::mem::take) else {
        return;
    };
    volumes_from(&mut services, project, problems);
    links(&mut services, problems);
    for (name, service) in &mut services {
        if let Some(service) = service.as_object_mut() {
            drop_with_a_word(service, &format!("services.{name}"), problems);
        }
    }
    if let Some(map) = project.as_object_mut() {
        map.remove("version");
        map.insert("services".into(), Value::Object(services));
    }
}

/// Each `service:alias` becomes an alias of the other service in its networks, and a dependency.
fn links(services: &mut Map<String, Value>, problems: &mut Problems) {
    let mut aliases: Vec<(String, String)> = Vec::new();
    for (name, service) in services.iter_mut() {
        let path = format!("services.{name}.links");
        let Some(service) = service.as_object_mut() else { continue };
        let Some(links) = service.remove("links") else { continue };
        for link in links.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let (target, alias) = link.split_once(':').unwrap_or((link, link));
            depend_on(service, target, true);
            if alias != target {
                aliases.push((target.to_owned(), alias.to_owned()));
            }
            problems.note(
                &path,
                format!(
                    "the link to {target} became a dependency{}",
                    if alias == target { "" } else { " and an alias" }
                ),
            );
        }
    }
    for (target, alias) in aliases {
        let taken_by = services.contains_key(&alias).then(|| alias.clone());
        let Some(service) = services.get_mut(&target).and_then(Value::as_object_mut) else { continue };
        let path = format!("services.{target}.networks");
        if let Some(other) = taken_by.filter(|other| *other != target) {
            problems.invalid(
                &path,
                format!("a link gives it the alias `{alias}`, which is the name of the service {other}"),
            );
            continue;
        }
        if service.contains_key("network_mode") {
            problems.invalid(
                &path,
                format!("a link gives it the alias `{alias}`, but it has network_mode and so no aliases"),
            );
            continue;
        }
        let networks = names(service.remove("networks").unwrap_or_else(|| json!(["default"])), "networks");
        let mut networks = networks.as_object().cloned().unwrap_or_default();
        for options in networks.values_mut() {
            if options.is_null() {
                *options = json!({});
            }
            let Some(list) = options.as_object_mut().map(|map| map.entry("aliases").or_insert_with(|| json!([])))
            else {
                continue;
            };
            if let Some(list) = list.as_array_mut()
                && !list.contains(&json!(alias))
            {
                list.push(alias.clone().into());
            }
        }
        service.insert("networks".into(), Value::Object(networks));
    }
}

/// `restart`: it is made anew with the other, as Compose has it for a link.
fn depend_on(service: &mut Map<String, Value>, target: &str, restart: bool) {
    let dependencies = names(service.remove("depends_on").unwrap_or_else(|| json!({})), "depends_on");
    let mut dependencies = dependencies.as_object().cloned().unwrap_or_default();
    dependencies.entry(target).or_insert_with(|| {
        if restart {
            json!({"condition": "service_started", "restart": true})
        } else {
            json!({"condition": "service_started"})
        }
    });
    service.insert("depends_on".into(), Value::Object(dependencies));
}

/// `volumes_from` becomes the same volumes; anonymous ones get a name, since otherwise each service would have its own.
fn volumes_from(services: &mut Map<String, Value>, project: &mut Value, problems: &mut Problems) {
    let mut waiting: Vec<String> = services
        .iter()
        .filter(|(_, service)| service.get("volumes_from").is_some())
        .map(|(name, _)| name.clone())
        .collect();
    // Each round resolves at least one, unless they wait for each other.
    while !waiting.is_empty() {
        let before = waiting.len();
        let (ready, later): (Vec<String>, Vec<String>) = waiting.iter().cloned().partition(|name| {
            sources(services, name).iter().all(|(source, _)| source == name || !waiting.contains(source))
        });
        for name in &ready {
            share_volumes(services, name, project, problems);
        }
        waiting = later;
        if waiting.len() == before {
            for name in &waiting {
                problems.invalid(
                    &format!("services.{name}.volumes_from"),
                    "services take volumes from each other in a circle".into(),
                );
            }
            return;
        }
    }
}

/// Services that volumes are taken from, and whether read-only.
fn sources(services: &Map<String, Value>, name: &str) -> Vec<(String, bool)> {
    let list = services.get(name).and_then(|service| service.get("volumes_from")).and_then(Value::as_array);
    let entries = list.into_iter().flatten().filter_map(Value::as_str);
    entries
        .map(|entry| {
            let (source, mode) = match entry.strip_prefix("container:") {
                Some(_) => (entry, ""),
                None => entry.split_once(':').unwrap_or((entry, "")),
            };
            (source.to_owned(), mode == "ro")
        })
        .collect()
}

fn share_volumes(services: &mut Map<String, Value>, name: &str, project: &mut Value, problems: &mut Problems) {
    let path = format!("services.{name}.volumes_from");
    for (source, read_only) in sources(services, name) {
        if source.starts_with("container:") || !services.contains_key(&source) || source == name {
            problems.invalid(&path, format!("`{source}` is not another service of the project"));
            continue;
        }
        let mut mounts = services[&source].get("volumes").and_then(Value::as_array).cloned().unwrap_or_default();
        for mount in &mut mounts {
            name_anonymous(mount, &source, project);
        }
        if let Some(owner) = services.get_mut(&source).and_then(Value::as_object_mut)
            && !mounts.is_empty()
        {
            owner.insert("volumes".into(), Value::Array(mounts.clone()));
        }
        let Some(service) = services.get_mut(name).and_then(Value::as_object_mut) else { continue };
        let own = service.entry("volumes").or_insert_with(|| json!([]));
        let taken: Vec<Option<String>> = own.as_array().into_iter().flatten().map(mount_target).collect();
        let shared = mounts.into_iter().filter(|mount| !taken.contains(&mount_target(mount)));
        if let Some(own) = own.as_array_mut() {
            own.extend(shared.map(|mount| if read_only { make_read_only(mount) } else { mount }));
        }
        depend_on(service, &source, false);
        problems.note(&path, format!("the volumes of {source} are named here as well"));
    }
    if let Some(service) = services.get_mut(name).and_then(Value::as_object_mut) {
        service.remove("volumes_from");
    }
}

fn name_anonymous(mount: &mut Value, service: &str, project: &mut Value) {
    let Some(target) = mount_target(mount) else { return };
    let name: String = format!("{service}{target}")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '-' })
        .collect();
    match mount {
        Value::String(text) if !text.contains(':') => *text = format!("{name}:{target}"),
        Value::Object(map)
            if map.get("type").and_then(Value::as_str) == Some("volume") && !map.contains_key("source") =>
        {
            map.insert("source".into(), name.clone().into());
        }
        _ => return,
    }
    if let Some(volumes) = project.as_object_mut().map(|map| map.entry("volumes").or_insert_with(|| json!({})))
        && let Some(volumes) = volumes.as_object_mut()
    {
        volumes.entry(name).or_insert(Value::Null);
    }
}

fn make_read_only(mount: Value) -> Value {
    match mount {
        Value::String(text) => {
            let mut parts: Vec<&str> = text.splitn(3, ':').collect();
            let modes: Vec<&str> = parts
                .get(2)
                .map(|modes| modes.split(',').filter(|mode| *mode != "rw" && *mode != "ro").collect())
                .unwrap_or_default();
            let modes = [vec!["ro"], modes].concat().join(",");
            parts.truncate(2);
            format!("{}:{modes}", parts.join(":")).into()
        }
        Value::Object(mut map) => {
            map.insert("read_only".into(), true.into());
            Value::Object(map)
        }
        other => other,
    }
}

/// Keys that a ContainerService has no place for and that can go, each with a warning.
fn drop_with_a_word(service: &mut Map<String, Value>, path: &str, problems: &mut Problems) {
    let mut drop = |map: &mut Map<String, Value>, path: &str, keys: &[(&str, &str)]| {
        for (key, instead) in keys {
            if map.remove(*key).is_some() {
                problems.note(&format!("{path}.{key}"), format!("is left out: {instead}"));
            }
        }
    };
    drop(
        service,
        path,
        &[
            ("pull_policy", "see spec.images.pullPolicy"),
            ("develop", "it is for development"),
            ("attach", "it is about the output of `docker compose up`"),
        ],
    );
    if service.contains_key("image") {
        drop(
            service,
            path,
            &[("build", "build the image before, and push it under the name in image:"), ("dockerfile", "see build")],
        );
    }
    let path = format!("{path}.deploy");
    let Some(deploy) = service.get_mut("deploy").and_then(Value::as_object_mut) else { return };
    drop(
        deploy,
        &path,
        &[
            ("placement", "choose hosts by spec.placement.nodeSelector"),
            ("update_config", "see spec.update"),
            ("rollback_config", "see spec.update.onFailure"),
            ("labels", "they are of a Swarm service; a container's are under labels:"),
            ("endpoint_mode", "it is for Swarm"),
        ],
    );
    if deploy.get("mode").and_then(Value::as_str) == Some("global") {
        drop(deploy, &path, &[("mode", "spec.placement.mode Each, the default, is one on each host")]);
    }
    if let Some(policy) = deploy.get_mut("restart_policy").and_then(Value::as_object_mut) {
        drop(
            policy,
            &format!("{path}.restart_policy"),
            &[("delay", "the engine chooses the time"), ("window", "health is decided by healthcheck:")],
        );
    }
}
