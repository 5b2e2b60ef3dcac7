//! The manifests, and their YAML.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::bring::{Brought, Kind};
use super::{Options, Problems};
use crate::formats::compose::read::shorten;
use crate::formats::compose::{codes, interpolate};
use crate::formats::yaml;

/// Name of the ContainerService: the caller's, or the project's own.
pub(super) fn name(options: &Options, project: &Value, problems: &mut Problems) -> Option<String> {
    let own = project.get("name").and_then(Value::as_str);
    let Some(name) = options.name.as_deref().or(own).or(options.fallback_name.as_deref()) else {
        problems.error(codes::INVALID_NAME, "name", "the project has no name: give one with --name".into());
        return None;
    };
    let name = name.to_ascii_lowercase().replace('_', "-");
    let good = (1..=63).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !good {
        let message = format!("`{}` is not a name for an object of Kubernetes: give one with --name", shorten(&name));
        problems.error(codes::INVALID_NAME, "name", message);
        return None;
    }
    Some(name)
}

/// The variables that the project and its env files use, as far as they are set.
pub(super) fn used_variables(
    project: &Value,
    brought: &Brought,
    environment: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let used = RefCell::new(BTreeSet::new());
    let note = |text: &str| {
        let lookup = |name: &str| {
            used.borrow_mut().insert(name.to_owned());
            environment.get(name).map(String::as_str)
        };
        // What cannot be interpolated is reported by `load`.
        let _ = interpolate(text, lookup);
    };
    let mut next = vec![project];
    while let Some(value) = next.pop() {
        match value {
            Value::String(text) if text.contains('$') => note(text),
            Value::Array(items) => next.extend(items),
            Value::Object(map) => {
                next.extend(map.iter().filter(|(key, _)| !key.starts_with("x-")).map(|(_, value)| value));
            }
            _ => {}
        }
    }
    for text in brought.secret.values() {
        text.lines().filter(|line| line.contains('$')).for_each(note);
    }
    let mut used = used.into_inner();
    for service in project.get("services").and_then(Value::as_object).into_iter().flat_map(Map::values) {
        match service.get("environment") {
            Some(Value::Object(map)) => {
                used.extend(map.iter().filter(|(_, value)| value.is_null()).map(|(name, _)| name.clone()));
            }
            Some(Value::Array(items)) => used.extend(items.iter().filter_map(Value::as_str).map(str::to_owned)),
            _ => {}
        }
    }
    for config in project.get("configs").and_then(Value::as_object).into_iter().flat_map(Map::values) {
        used.extend(config.get("environment").and_then(Value::as_str).map(str::to_owned));
    }
    environment
        .iter()
        .filter(|(name, _)| used.contains(*name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Secret, ConfigMap and ContainerService, as far as they are needed.
pub(super) fn manifests(
    name: &str,
    options: &Options,
    mut project: Value,
    environment: &BTreeMap<String, String>,
    brought: Brought,
) -> Vec<Value> {
    let metadata = |name: &str| match &options.namespace {
        Some(namespace) => json!({"name": name, "namespace": namespace}),
        None => json!({"name": name}),
    };
    let files_name = format!("{name}-files");
    let mut manifests = Vec::new();
    if !brought.secret.is_empty() {
        manifests.push(json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata(&files_name), "stringData": brought.secret}));
    }
    if !brought.config.is_empty() {
        manifests.push(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(&files_name), "data": brought.config}),
        );
    }
    if let Some(map) = project.as_object_mut() {
        map.retain(|key, _| !key.starts_with("x-"));
    }
    let mut spec = json!({"compose": project});
    if !environment.is_empty() {
        spec["environment"] = json!(environment);
    }
    if !options.profiles.is_empty() {
        spec["profiles"] = json!(options.profiles);
    }
    if !brought.files.is_empty() {
        let files = brought.files.into_iter().map(|(path, (kind, key))| {
            let reference = if kind == Kind::Secret { "secretKeyRef" } else { "configMapKeyRef" };
            (path, json!({reference: {"name": files_name, "key": key}}))
        });
        spec["files"] = Value::Object(files.collect());
    }
    manifests.push(json!({
        "apiVersion": format!("{}/{}", slipway_api::GROUP, slipway_api::VERSION),
        "kind": "ContainerService",
        "metadata": metadata(name),
        "spec": spec,
    }));
    manifests
}

/// The manifests as YAML that kubectl reads back as the same values.
pub(super) fn to_yaml(manifests: &[Value]) -> Result<String, String> {
    let mut texts = Vec::new();
    for manifest in manifests {
        texts.push(serde_saphyr::to_string(manifest).map_err(|error| error.to_string())?);
    }
    let text = texts.join("---\n");
    // What is written must mean the same to a reader of YAML 1.1; if it does not, JSON does.
    let read = yaml::documents(&text)
        .map(|documents| documents.into_iter().map(|document| document.value).collect::<Vec<_>>());
    if read.as_deref() == Ok(manifests) {
        return Ok(text);
    }
    let texts: Result<Vec<String>, _> = manifests.iter().map(serde_json::to_string_pretty).collect();
    texts.map(|texts| texts.join("\n---\n") + "\n").map_err(|error| error.to_string())
}
