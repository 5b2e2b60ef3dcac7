//! Every field that a Design may have, and every word that a field of it may hold, occurs in one of the sites that are compiled
//! here, and no rule finds fault with it. So do those that a Design gives a Node.

use std::collections::BTreeSet;

use kube::CustomResourceExt;
use serde_json::{Value, json};
use slipway_api::{Design, Node};
use slipway_plan::design::change::beside_the_model;
use slipway_plan::formats::yaml;

use crate::support::{LAB, PLANT, Site};

#[test]
fn every_field_of_a_design_is_compiled_somewhere() {
    let (design, node) = (spec::<Design>(), node());
    let mut possible = BTreeSet::new();
    fields(&design, "Design", &mut possible);
    fields(&node, "Node", &mut possible);
    assert!(possible.len() > 300, "{}", possible.len());
    let mut written = BTreeSet::new();
    for site in [LAB, PLANT].map(Site::of) {
        assert!(site.findings.is_empty(), "{}", site.told());
    }
    for document in [LAB, PLANT].iter().flat_map(|site| yaml::documents(site).unwrap()) {
        let value = &document.value;
        match value["kind"].as_str().unwrap() {
            "Design" => occurring(&design, &value["spec"], "Design", &mut written),
            "Node" => occurring(&node, &value["spec"], "Node", &mut written),
            // A part of a Design.
            "ConfigMap" => {
                for text in value["data"].as_object().unwrap().values() {
                    let part = yaml::documents(text.as_str().unwrap()).unwrap().remove(0);
                    occurring(&design, &part.value, "Design", &mut written);
                }
            }
            kind => panic!("{kind} in a site"),
        }
    }
    let missing: Vec<_> = possible.difference(&written).collect();
    assert!(missing.is_empty(), "in no site of tests/design/sites: {missing:#?}");
}

/// The schema of a kind's spec, as the API server has it.
fn spec<K: CustomResourceExt>() -> Value {
    let crd = serde_json::to_value(K::crd()).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// What of a Node its Design gives a meaning to.
fn node() -> Value {
    let mut node = spec::<Node>();
    let beside = beside_the_model(&json!({"spec": node["properties"]}));
    let of_design = node["properties"].as_object_mut().unwrap();
    of_design.retain(|field, _| beside["spec"].get(field).is_none());
    assert!(of_design.contains_key("addressing") && !of_design.contains_key("docker"), "{:?}", of_design.keys());
    node
}

/// The fields of a schema as paths, and `path=word` for each word that a field may hold.
fn fields(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    for word in schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        found.insert(format!("{path}={word}"));
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        fields(schema, &path, found);
        found.insert(path);
    }
    if let Some(items) = schema.get("items") {
        fields(items, &format!("{path}[]"), found);
    }
}

/// Those of them that a value has.
fn occurring(schema: &Value, value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                // The keys of a free map are no fields.
                let Some(schema) = schema["properties"].get(name) else { continue };
                let path = format!("{path}.{name}");
                occurring(schema, value, &path, found);
                found.insert(path);
            }
        }
        Value::Array(items) => {
            for item in items {
                occurring(&schema["items"], item, &format!("{path}[]"), found);
            }
        }
        Value::String(word) if schema.get("enum").is_some() => {
            found.insert(format!("{path}={word}"));
        }
        _ => {}
    }
}
