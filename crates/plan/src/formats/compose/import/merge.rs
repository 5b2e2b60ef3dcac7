//! How a later file changes an earlier one, and a service the one that it extends.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Problems;

/// What a tag does to the value that it stands before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// `!reset`: what was there before goes.
    Reset,
    /// `!override`: what was there before is replaced, not merged.
    Override,
}

/// Tags of a file by field path.
pub(super) type Tags = BTreeMap<String, Tag>;

/// What two values of one key become.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Maps key by key, lists one after the other, everything else replaced.
    Deep,
    /// The later value replaces the earlier one.
    Replace,
    /// Both become maps of `KEY: value`; a key without a value takes the place of one with a value.
    Assignments,
    /// Both become lists.
    Lists,
    /// Both become maps of names; the list form stands for names without options.
    Names,
    /// Maps if both are for the same driver; otherwise the later one replaces the earlier.
    Logging,
    /// Address pools, one for each subnet.
    Pools,
}

/// Merges `other` into `base`. `path` is where both are in the file that `tags` are of.
pub(super) fn merge(base: &mut Value, other: Value, path: &str, tags: &Tags, problems: &mut Problems) {
    match tags.get(path) {
        Some(Tag::Reset) => {
            *base = Value::Null;
            return;
        }
        Some(Tag::Override) => {
            *base = other;
            return;
        }
        None => {}
    }
    match rule(path) {
        Rule::Replace => *base = other,
        // A key without a value says nothing.
        _ if other.is_null() => {}
        _ if base.is_null() => *base = other,
        Rule::Deep => deep(base, other, path, tags, problems),
        Rule::Assignments => {
            let other = assignments(other);
            let unvalued: Vec<String> = other
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(key, value)| value.is_null() && tags.get(&format!("{path}.{key}")) != Some(&Tag::Reset))
                .map(|(key, _)| key.clone())
                .collect();
            maps(base, other, assignments, path, tags, problems);
            let kept = base.as_object_mut().into_iter();
            kept.for_each(|map| map.extend(unvalued.iter().map(|key| (key.clone(), Value::Null))));
        }
        Rule::Names => maps(base, names(other, path), |value| names(value, path), path, tags, problems),
        Rule::Lists => {
            let mut list = items(base.take());
            list.extend(
                items(other)
                    .into_iter()
                    .filter(|item| !path.ends_with(".extra_hosts") || !list.contains(item))
                    .collect::<Vec<_>>(),
            );
            *base = Value::Array(list);
        }
        Rule::Logging => {
            let driver = |value: &Value| value.get("driver").cloned();
            match (driver(base), driver(&other)) {
                (Some(old), Some(new)) if old != new => *base = other,
                _ => deep(base, other, path, tags, problems),
            }
        }
        Rule::Pools => pools(base, other),
    }
}

fn rule(path: &str) -> Rule {
    let mut parts = path.splitn(3, '.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("services"), Some(_), Some(key)) => match key {
            "command" | "entrypoint" | "healthcheck.test" => Rule::Replace,
            "environment" | "labels" | "sysctls" | "annotations" | "deploy.labels" => Rule::Assignments,
            "dns" | "dns_opt" | "dns_search" | "env_file" | "label_file" | "tmpfs" | "extra_hosts" => Rule::Lists,
            "depends_on" | "networks" => Rule::Names,
            "logging" => Rule::Logging,
            _ if key.starts_with("ulimits.") => Rule::Replace,
            _ => Rule::Deep,
        },
        (Some("networks" | "volumes"), Some(_), Some("labels")) => Rule::Assignments,
        (Some("networks"), Some(_), Some("ipam.config")) => Rule::Pools,
        _ => Rule::Deep,
    }
}

fn deep(base: &mut Value, other: Value, path: &str, tags: &Tags, problems: &mut Problems) {
    match (base, other) {
        (Value::Object(base), Value::Object(other)) => merge_maps(base, other, path, tags, problems),
        (Value::Array(base), Value::Array(other)) => base.extend(other),
        (Value::Object(_) | Value::Array(_), other) => {
            problems.invalid(
                path,
                format!(
                    "cannot be replaced by {}",
                    if other.is_array() { "a list" } else { "a value of another kind" }
                ),
            );
        }
        (base, other) => *base = other,
    }
}

fn merge_maps(
    base: &mut Map<String, Value>,
    other: Map<String, Value>,
    path: &str,
    tags: &Tags,
    problems: &mut Problems,
) {
    for (key, value) in other {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if tags.get(&path) == Some(&Tag::Reset) {
            base.remove(&key);
            continue;
        }
        match base.get_mut(&key) {
            Some(old) => merge(old, value, &path, tags, problems),
            None => {
                base.insert(key, fresh(value, &path, tags, problems));
            }
        }
    }
}

/// A value that nothing was there before of: what is reset inside it is not there either.
fn fresh(value: Value, path: &str, tags: &Tags, problems: &mut Problems) -> Value {
    let Value::Object(map) = value else { return value };
    let mut kept = Map::new();
    merge_maps(&mut kept, map, path, tags, problems);
    Value::Object(kept)
}

fn maps(
    base: &mut Value,
    other: Value,
    form: impl Fn(Value) -> Value,
    path: &str,
    tags: &Tags,
    problems: &mut Problems,
) {
    *base = form(base.take());
    deep(base, other, path, tags, problems);
}

/// `- KEY=value` as `KEY: value`.
pub(super) fn assignments(value: Value) -> Value {
    let Value::Array(items) = value else { return value };
    let pairs = items.into_iter().map(|item| {
        let text = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
        match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), Value::from(value)),
            None => (text, Value::Null),
        }
    });
    Value::Object(pairs.collect())
}

/// `- name` as `name:`; a dependency's list form means "started".
pub(super) fn names(value: Value, path: &str) -> Value {
    let Value::Array(items) = value else { return value };
    let options = || match path.rsplit('.').next() {
        Some("depends_on") => serde_json::json!({"condition": "service_started"}),
        _ => Value::Null,
    };
    let name = |item: Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
    Value::Object(items.into_iter().map(|item| (name(item), options())).collect())
}

/// One value as a list of one; a map as `KEY=value`.
fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        Value::Object(map) => map
            .into_iter()
            .flat_map(|(key, value)| items(value).into_iter().map(move |value| assignment(&key, &value)))
            .collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

fn assignment(key: &str, value: &Value) -> Value {
    match value {
        Value::String(text) => format!("{key}={text}").into(),
        other => format!("{key}={other}").into(),
    }
}

/// The later pools, each with what the earlier one of its subnet says; earlier ones of other subnets go.
fn pools(base: &mut Value, other: Value) {
    let earlier = items(base.take());
    let merged = items(other).into_iter().map(|pool| {
        match (earlier.iter().find(|old| old.get("subnet") == pool.get("subnet")), pool) {
            (Some(Value::Object(old)), Value::Object(pool)) => {
                Value::Object(old.clone().into_iter().chain(pool).collect())
            }
            (_, pool) => pool,
        }
    });
    *base = Value::Array(merged.collect());
}

/// In lists whose entries have an identity, the last one of each stays, in the place of the first.
pub(super) fn unify(project: &mut Value) {
    let services = project.get_mut("services").and_then(Value::as_object_mut);
    for service in services.into_iter().flat_map(|map| map.values_mut()).filter_map(Value::as_object_mut) {
        for (key, identity) in [
            ("volumes", mount_target as fn(&Value) -> Option<String>),
            ("devices", device_target),
            ("tmpfs", first_part),
            ("secrets", file_target),
            ("configs", file_target),
            ("env_file", |entry| entry.get("path").unwrap_or(entry).as_str().map(str::to_owned)),
            ("ports", |entry| Some(entry.to_string())),
            ("expose", |entry| Some(entry.to_string())),
        ] {
            if let Some(Value::Array(entries)) = service.get_mut(key) {
                keep_last(entries, identity);
            }
        }
    }
}

fn keep_last(entries: &mut Vec<Value>, identity: fn(&Value) -> Option<String>) {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut kept: Vec<Value> = Vec::new();
    for entry in entries.drain(..) {
        match identity(&entry) {
            Some(identity) if places.contains_key(&identity) => kept[places[&identity]] = entry,
            identity => {
                places.extend(identity.map(|identity| (identity, kept.len())));
                kept.push(entry);
            }
        }
    }
    *entries = kept;
}

/// Path in the container of an entry of `volumes:`.
pub(super) fn mount_target(entry: &Value) -> Option<String> {
    let target = match entry {
        Value::String(text) => {
            let mut parts = text.split(':');
            let first = parts.next()?;
            parts.next().unwrap_or(first)
        }
        other => other.get("target")?.as_str()?,
    };
    Some(target.trim_end_matches('/').to_owned())
}

fn device_target(entry: &Value) -> Option<String> {
    match entry {
        Value::String(text) => {
            let mut parts = text.split(':');
            let first = parts.next()?;
            Some(parts.next().unwrap_or(first).to_owned())
        }
        other => other.get("target").or_else(|| other.get("source"))?.as_str().map(str::to_owned),
    }
}

fn first_part(entry: &Value) -> Option<String> {
    entry.as_str()?.split(':').next().map(str::to_owned)
}

fn file_target(entry: &Value) -> Option<String> {
    entry.get("target").or_else(|| entry.get("source")).unwrap_or(entry).as_str().map(str::to_owned)
}
