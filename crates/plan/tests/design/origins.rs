//! What says that it holds a value does hold it.

#![allow(clippy::unwrap_used, clippy::panic)] // These are tests, helpers too.

use serde_json::Value;

use crate::support::{LAB, Site};

/// The objects of the lab, and the text of its ConfigMap, by name.
fn objects() -> Vec<(String, Value)> {
    let documents = slipway_plan::formats::yaml::documents(LAB).unwrap();
    let mut found = Vec::new();
    for document in documents {
        let value = document.value;
        let name = format!("{}/{}", value["kind"].as_str().unwrap(), value["metadata"]["name"].as_str().unwrap());
        if let Some(text) = value["data"]["design.yaml"].as_str() {
            found.push((name, slipway_plan::formats::yaml::documents(text).unwrap().remove(0).value));
        } else {
            found.push((name, value));
        }
    }
    found
}

/// A path within the text of a ConfigMap's key, or within an object.
fn within(field: &str) -> &str {
    field.strip_prefix("data.design.yaml.").unwrap_or(field)
}

/// The value at `spec.hostProfiles[0].storage`.
fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    let mut value = value;
    for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
        value = match step.strip_suffix(']') {
            Some(index) => value.get(index.parse::<usize>().ok()?)?,
            None => value.get(step)?,
        };
    }
    Some(value)
}

/// Whether a written part says a value: it is it, is called so, or holds it.
fn says(written: &Value, value: &Value) -> bool {
    let alike = |written: &str, value: &str| {
        let plain = |text: &str| text.to_ascii_lowercase().replace('-', ":");
        written == value || plain(written) == plain(value)
    };
    match (written, value) {
        (Value::Object(map), value) => {
            let is_default = |key: &str, value: &Value| key == "metric" && *value == 100;
            let parts = value.as_object().into_iter().flatten().filter(|(key, value)| !is_default(key, value));
            map.values().any(|written| says(written, value))
                || value.is_object() && parts.map(|(_, value)| value).all(|value| says(written, value))
                // A flag is a kernel parameter without a value.
                || value.is_null() && map.contains_key("name")
        }
        (Value::Array(items), value) => items.iter().any(|written| says(written, value)),
        (Value::String(written), Value::String(value)) => alike(written, value),
        // What tells one of several parts from the others, as the subnet does of routes.
        (written, Value::Object(parts)) => parts.values().any(|value| says(written, value)),
        (Value::Number(written), Value::String(value)) => alike(&written.to_string(), value),
        (written, value) => written == value,
    }
}

#[test]
fn an_origin_holds_its_value() {
    let site = Site::lab(&[]);
    let objects = objects();
    let mut checked = 0;
    for node in ["control1", "compute1", "compute2"] {
        for explained in site.compiler().explain(node, "").unwrap() {
            if explained.object.is_empty() {
                let is_nobodys = explained.by == "the default" || explained.by.starts_with("computed from ");
                assert!(is_nobodys, "{explained:?}");
                continue;
            }
            let (_, object) =
                objects.iter().find(|(name, _)| *name == explained.object).unwrap_or_else(|| panic!("{explained:?}"));
            let written =
                at(object, within(&explained.field)).unwrap_or_else(|| panic!("there is no such field: {explained:?}"));
            // A reference is written, and what it leads to was explained too.
            let is_reference = written.to_string().contains("hardwareprofile:");
            // The route of a domain is computed from the networks of it.
            let is_computed = explained.value.get("routeDomain").is_some();
            assert!(is_reference || is_computed || says(written, &explained.value), "{explained:?} is {written}");
            checked += 1;
        }
    }
    assert!(checked > 150, "{checked}");
}
