//! What the engine shows of a project made by Compose and by Slipway, compared key by key.
//!
//! What may differ, with its reason:
//!
//! - IDs, times, paths, process state, the names of anonymous volumes, addresses that the engine chose: they differ between any two
//!   containers.
//! - An `IPAMConfig` that is empty: Compose sends one for `networks: {x: {}}` and none for `networks: {x: }`.
//! - The order of lists that the engine or Compose fills from maps.
//! - `slipway.dev/…` labels; `com.docker.compose.config-hash` (ours is keyed, so that it tells nothing about secrets),
//!   `…project.working_dir` and `…project.config_files` (there is no folder and no file on the host). Both sides must have those of Compose.
//! - A file of `secrets:` and `configs:` with `file:` is bound from the project's folder by Compose, and copied in by Slipway.
//! - `container:` in the modes of namespaces is followed by an ID from Compose, by the name of the same container from Slipway.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Name of the folder that Compose finds the project in.
pub const FOLDER: &str = "compose_parity";

/// Everything of a project, by name.
#[derive(Default)]
pub struct Shown {
    pub containers: BTreeMap<String, Value>,
    pub networks: BTreeMap<String, Value>,
    pub volumes: BTreeMap<String, Value>,
    /// By container and path.
    pub files: BTreeMap<String, Value>,
}

/// One line for every key that differs: where, Compose's value, ours.
pub fn differences(theirs: &Shown, ours: &Shown) -> Vec<String> {
    let (theirs, ours) = (leaves(theirs), leaves(ours));
    let keys: BTreeSet<_> = theirs.keys().chain(ours.keys()).collect();
    let shown = |value: Option<&Value>| value.map_or("absent".to_owned(), Value::to_string);
    keys.into_iter()
        .filter(|key| theirs.get(*key) != ours.get(*key))
        .map(|key| format!("{key}: {}, {}", shown(theirs.get(key)), shown(ours.get(key))))
        .collect()
}

/// Every scalar and every empty list or map, by its path.
fn leaves(shown: &Shown) -> BTreeMap<String, Value> {
    let names: BTreeMap<String, String> = shown
        .containers
        .iter()
        .filter_map(|(name, container)| Some((container["Id"].as_str()?.to_owned(), name.clone())))
        .collect();
    let mut leaves = BTreeMap::new();
    for (name, inspected) in &shown.containers {
        flatten(&format!("container {name}"), container(inspected.clone(), &names), &mut leaves);
    }
    for (name, inspected) in &shown.networks {
        flatten(&format!("network {name}"), network(inspected.clone()), &mut leaves);
    }
    for (name, inspected) in &shown.volumes {
        flatten(&format!("volume {name}"), volume(inspected.clone()), &mut leaves);
    }
    for (name, content) in &shown.files {
        flatten(&format!("file {name}"), content.clone(), &mut leaves);
    }
    leaves
}

fn flatten(path: &str, value: Value, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.into_iter().for_each(|(key, value)| flatten(&format!("{path}.{key}"), value, leaves));
        }
        Value::Array(items) if !items.is_empty() => {
            items.into_iter().enumerate().for_each(|(index, item)| flatten(&format!("{path}[{index}]"), item, leaves));
        }
        leaf => drop(leaves.insert(path.to_owned(), leaf)),
    }
}

/// A container without what may differ.
fn container(mut shown: Value, names: &BTreeMap<String, String>) -> Value {
    without(
        &mut shown,
        &["Id", "Created", "State", "ResolvConfPath", "HostnamePath", "HostsPath", "LogPath", "GraphDriver", "ExecIDs"],
    );
    // A host name, and an alias, that the engine made of the ID of the container or of the one whose network it shares.
    replace(&mut shown, &mut |text| text.len() == 12 && names.keys().any(|id| id.starts_with(text)), "ID");
    if let Some(config) = shown.get_mut("Config") {
        labels(&mut config["Labels"]);
        sort(&mut config["Env"]);
    }
    let masked_ports: BTreeSet<String> = chosen_ports(&shown["HostConfig"]["PortBindings"]);
    if let Some(host) = shown.get_mut("HostConfig") {
        for list in ["Binds", "Ulimits", "ExtraHosts"] {
            sort(&mut host[list]);
        }
        without_project_files(&mut host["Mounts"], "Source");
        without_project_files(&mut host["Binds"], "");
        sort_by(&mut host["Mounts"], "Target");
        for mode in ["NetworkMode", "PidMode", "IpcMode"] {
            let name = host[mode].as_str().and_then(|mode| names.get(mode.strip_prefix("container:")?));
            if let Some(name) = name {
                host[mode] = Value::String(format!("container:{name}"));
            }
        }
    }
    without_project_files(&mut shown["Mounts"], "Source");
    sort_by(&mut shown["Mounts"], "Destination");
    let settings = &mut shown["NetworkSettings"];
    without(
        settings,
        &[
            "SandboxID",
            "SandboxKey",
            "EndpointID",
            "Gateway",
            "GlobalIPv6Address",
            "GlobalIPv6PrefixLen",
            "IPAddress",
            "IPPrefixLen",
            "IPv6Gateway",
            "MacAddress",
        ],
    );
    for (port, bindings) in settings["Ports"].as_object_mut().into_iter().flatten() {
        for binding in bindings.as_array_mut().into_iter().flatten() {
            if masked_ports.contains(port) {
                binding["HostPort"] = Value::from("chosen");
            }
        }
        sort(bindings);
    }
    for (_, endpoint) in settings["Networks"].as_object_mut().into_iter().flatten() {
        self::endpoint(endpoint);
    }
    anonymous_volumes(&mut shown);
    shown
}

/// The container's ports for which the engine picks one of the host's.
fn chosen_ports(bindings: &Value) -> BTreeSet<String> {
    let chosen = |binding: &Value| binding["HostPort"].as_str().is_none_or(|port| port.parse::<u16>().is_err());
    let bindings = bindings.as_object().into_iter().flatten();
    bindings
        .filter(|(_, bindings)| bindings.as_array().is_some_and(|bindings| bindings.iter().any(chosen)))
        .map(|(port, _)| port.clone())
        .collect()
}

/// A container's place in a network. Addresses stay where they were asked for.
fn endpoint(shown: &mut Value) {
    let asked = |key: &str| shown["IPAMConfig"][key].as_str().is_some_and(|address| !address.is_empty());
    let (v4, v6) = (asked("IPv4Address"), asked("IPv6Address"));
    without(shown, &["NetworkID", "EndpointID", "Gateway", "IPv6Gateway", "IPPrefixLen", "GlobalIPv6PrefixLen"]);
    if shown["IPAMConfig"].as_object().is_some_and(Map::is_empty) {
        shown["IPAMConfig"] = Value::Null;
    }
    if !v4 {
        without(shown, &["IPAddress"]);
    }
    if !v6 {
        without(shown, &["GlobalIPv6Address"]);
    }
    // Those of the fixtures begin with 02:00, those of the engine's choice with 02:42.
    if shown["MacAddress"].as_str().is_some_and(|address| address.starts_with("02:42:")) {
        shown["MacAddress"] = Value::from("chosen");
    }
    sort(&mut shown["Aliases"]);
    sort(&mut shown["DNSNames"]);
}

fn network(mut shown: Value) -> Value {
    without(&mut shown, &["Id", "Created", "Containers"]);
    labels(&mut shown["Labels"]);
    // The engine chooses from 172.17.0.0/12 and 192.168.0.0/16, the fixtures do not.
    let chosen =
        |pool: &Value| pool["Subnet"].as_str().is_some_and(|it| it.starts_with("172.") || it.starts_with("192.168."));
    for pool in shown["IPAM"]["Config"].as_array_mut().into_iter().flatten() {
        if chosen(pool) {
            *pool = Value::from("chosen");
        }
    }
    shown
}

fn volume(mut shown: Value) -> Value {
    without(&mut shown, &["CreatedAt", "Mountpoint"]);
    labels(&mut shown["Labels"]);
    shown
}

fn labels(labels: &mut Value) {
    let Some(labels) = labels.as_object_mut() else { return };
    labels.retain(|label, _| !label.starts_with("slipway.dev/"));
    for label in [
        "com.docker.compose.config-hash",
        "com.docker.compose.project.working_dir",
        "com.docker.compose.project.config_files",
    ] {
        if let Some(value) = labels.get_mut(label) {
            *value = Value::from("present");
        }
    }
    if let Some(Value::String(dependencies)) = labels.get_mut("com.docker.compose.depends_on") {
        let mut sorted: Vec<_> = dependencies.split(',').map(str::to_owned).collect();
        sorted.sort_unstable();
        *dependencies = sorted.join(",");
    }
}

/// Takes out what Compose binds from the folder of the fixtures.
fn without_project_files(mounts: &mut Value, source: &str) {
    let folder = format!("/{FOLDER}/");
    let Some(items) = mounts.as_array_mut() else { return };
    items.retain(|mount| {
        let source = if source.is_empty() { mount } else { &mount[source] };
        !source.as_str().is_some_and(|source| source.contains(&folder))
    });
    // An engine that was told of none shows none; one that was told of some shows a list.
    if items.is_empty() {
        *mounts = Value::Null;
    }
}

/// Names of anonymous volumes are 64 hexadecimal digits, also within paths.
fn anonymous_volumes(shown: &mut Value) {
    let is_id = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    for mount in shown["Mounts"].as_array_mut().into_iter().flatten() {
        let Some(name) = mount["Name"].as_str().filter(|name| is_id(name)).map(str::to_owned) else { continue };
        for key in ["Name", "Source"] {
            if let Some(text) = mount[key].as_str() {
                mount[key] = Value::String(text.replace(&name, "anonymous"));
            }
        }
    }
}

fn without(shown: &mut Value, keys: &[&str]) {
    if let Some(map) = shown.as_object_mut() {
        map.retain(|key, _| !keys.contains(&key.as_str()));
    }
}

/// Replaces every text that is `what`, in values and nowhere else.
fn replace(shown: &mut Value, what: &mut impl FnMut(&str) -> bool, with: &str) {
    match shown {
        Value::String(text) if what(text) => with.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, what, with)),
        Value::Object(map) => Map::values_mut(map).for_each(|value| replace(value, what, with)),
        _ => {}
    }
}

fn sort(list: &mut Value) {
    if let Some(items) = list.as_array_mut() {
        items.sort_by_key(Value::to_string);
    }
}

fn sort_by(list: &mut Value, key: &str) {
    if let Some(items) = list.as_array_mut() {
        items.sort_by_key(|item| item[key].to_string());
    }
}

#[test]
fn a_difference_names_the_key_and_both_values() {
    let with = |memory: u64, label: &str| Shown {
        containers: [(
            "web".to_owned(),
            serde_json::json!({
                "Id": "0123456789abcdef",
                "HostConfig": {"Memory": memory, "Binds": null},
                "Config": {"Labels": {"slipway.dev/name": label}},
            }),
        )]
        .into(),
        ..Shown::default()
    };
    assert!(differences(&with(1, "a"), &with(1, "b")).is_empty());
    assert_eq!(differences(&with(1, "a"), &with(2, "a")), ["container web.HostConfig.Memory: 1, 2"]);
    let missing = differences(&with(1, "a"), &Shown::default());
    assert!(missing.contains(&"container web.HostConfig.Memory: 1, absent".to_owned()), "{missing:?}");
}
