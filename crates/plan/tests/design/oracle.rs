//! Random sites of drydock's, imported and compiled, are what drydock would make of them: against a second, small
//! implementation of its algorithms (`objects/__init__.py`, `objects/node.py`), which works on the documents themselves.

#![allow(clippy::unwrap_used, clippy::panic)] // These are tests, helpers too.

use serde_json::{Map, Value, json};
use slipway_plan::formats::drydock::{Options, Source, import};

use crate::support::{Random, Site};

const CASES: u64 = 150;

/// A child's value over its parent's.
fn scalar(child: &Value, parent: &Value) -> Value {
    match child {
        Value::Null => parent.clone(),
        Value::String(text) if text == "!" => Value::Null,
        value => value.clone(),
    }
}

/// The child's items, then the parent's that it neither has nor takes away.
fn list(child: &Value, parent: &Value) -> Value {
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let own = items(child);
    let is_gone = |item: &Value| own.contains(&json!(format!("!{}", item.as_str().unwrap())));
    let mut merged: Vec<Value> = own.iter().filter(|item| !item.as_str().unwrap().starts_with('!')).cloned().collect();
    merged.extend(items(parent).into_iter().filter(|item| !is_gone(item) && !own.contains(item)));
    Value::Array(merged)
}

/// The parent's entries that the child does not take away, and the child's over them; as pairs, as order matters to some.
fn pairs(child: &Value, parent: &Value, lay: fn(&Value, &Value) -> Value) -> Value {
    let own: Vec<(String, Value)> = entries(child);
    let of = |key: &str| own.iter().find(|(own, _)| own == key).map(|(_, value)| value);
    let mut merged: Vec<Value> = Vec::new();
    for pair in parent.as_array().into_iter().flatten() {
        let key = pair[0].as_str().unwrap();
        if of(&format!("!{key}")).is_none() {
            merged.push(json!([key, of(key).map_or(pair[1].clone(), |value| lay(value, &pair[1]))]));
        }
    }
    for (key, value) in own.iter().filter(|(key, _)| !key.starts_with('!')) {
        if !merged.iter().any(|pair| pair[0] == key.as_str()) {
            merged.push(json!([key, lay(value, &Value::Null)]));
        }
    }
    Value::Array(merged)
}

/// A map, or a list of pairs, as pairs.
fn entries(value: &Value) -> Vec<(String, Value)> {
    let pair = |pair: &Value| (pair[0].as_str().unwrap().to_owned(), pair[1].clone());
    value.as_array().into_iter().flatten().map(pair).collect()
}

fn last(child: &Value, _: &Value) -> Value {
    child.clone()
}

fn interface(child: &Value, parent: &Value) -> Value {
    json!({
        "link": scalar(&child["device_link"], &parent["link"]),
        "slaves": list(&child["slaves"], &parent["slaves"]),
        "networks": list(&child["networks"], &parent["networks"]),
    })
}

/// What a host comes to over its parents. Documents hold maps as pairs, to keep their order.
fn effective(document: &Value, profiles: &Map<String, Value>) -> Value {
    let parent = document["host_profile"].as_str().map_or(Value::Null, |name| effective(&profiles[name], profiles));
    json!({
        "hardwareProfile": scalar(&document["hardware_profile"], &parent["hardwareProfile"]),
        "primaryNetwork": scalar(&document["primary_network"], &parent["primaryNetwork"]),
        "rack": scalar(&document["rack"], &parent["rack"]),
        "image": scalar(&document["image"], &parent["image"]),
        "kernelParams": pairs(&document["kernel_params"], &parent["kernelParams"], last),
        "tags": list(&document["tags"], &parent["tags"]),
        "ownerData": pairs(&document["owner_data"], &parent["ownerData"], last),
        "interfaces": pairs(&document["interfaces"], &parent["interfaces"], interface),
    })
}

/// The same of our model.
fn compiled(node: &Value) -> Value {
    let names = |list: &Value| -> Vec<Value> {
        list.as_array().into_iter().flatten().map(|item| item["name"].clone()).collect()
    };
    let interfaces = node["interfaces"].as_array().into_iter().flatten().map(|interface| {
        let of = json!({
            "link": interface["link"], "slaves": names(&interface["slaves"]), "networks": names(&interface["networks"])
        });
        json!([interface["name"], of])
    });
    let params = node["platform"]["kernelParams"].as_array().into_iter().flatten();
    json!({
        "hardwareProfile": node["hardwareProfile"],
        "primaryNetwork": node["primaryNetwork"],
        "rack": node["rack"],
        "image": node["platform"]["image"],
        "kernelParams": params.map(|param| json!([param["name"], param["value"]])).collect::<Vec<_>>(),
        "tags": node["metadata"].get("tags").cloned().unwrap_or(json!([])),
        "ownerData": node["metadata"]["ownerData"],
        "interfaces": interfaces.collect::<Vec<_>>(),
    })
}

fn host(random: &mut Random, parent: Option<&str>) -> Value {
    let mut host = Map::new();
    let mut put = |key: &str, value: Value| host.insert(key.to_owned(), value);
    let is_child = parent.is_some();
    put("host_profile", json!(parent));
    for (key, values) in [
        ("hardware_profile", ["big", "small", "big"]),
        ("primary_network", ["mgmt", "pxe", "!"]),
        ("rack", ["r1", "r2", "!"]),
        ("image", ["jammy", "noble", "!"]),
    ] {
        if !is_child && key == "hardware_profile" || random.one_in(3) {
            put(key, json!(values[random.below(if is_child { 3 } else { 2 })]));
        }
    }
    let names = |random: &mut Random, words: &[&str]| -> Vec<Value> {
        let mut found = Vec::new();
        for word in words {
            match random.below(if is_child { 5 } else { 3 }) {
                0 => found.push(json!(word)),
                4 => found.push(json!(format!("!{word}"))),
                _ => {}
            }
        }
        found
    };
    put("tags", json!(names(random, &["a", "b", "c", "d"])));
    let of = |random: &mut Random, keys: &[&str]| -> Vec<Value> {
        names(random, keys).into_iter().map(|key| json!([key, format!("v{}", random.below(5))])).collect()
    };
    put("kernel_params", json!(of(random, &["quiet", "console", "panic", "isolcpus"])));
    put("owner_data", json!(of(random, &["k1", "k2", "k3"])));
    let mut interfaces = Vec::new();
    for name in names(random, &["bond0", "pxe", "eth9"]) {
        let slaves = names(random, &["nic1", "nic2", "eno1"]);
        let mut interface = Map::from_iter([("slaves".to_owned(), json!(slaves))]);
        if random.one_in(2) {
            interface.insert("device_link".to_owned(), json!("gp"));
        }
        interface.insert("networks".to_owned(), json!(names(random, &["mgmt", "data", "pxe"])));
        interfaces.push(json!([name, interface]));
    }
    put("interfaces", json!(interfaces));
    Value::Object(host)
}

/// The document of a host. JSON is YAML, and keeps the order that it is written in.
fn document(kind: &str, name: &str, host: &Value, more: &str) -> String {
    let map = |pairs: &Value| {
        let entries: Vec<String> =
            entries(pairs).into_iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
        format!("{{{}}}", entries.join(", "))
    };
    let mut fields = Vec::new();
    for key in ["host_profile", "hardware_profile", "primary_network"] {
        if !host[key].is_null() {
            fields.push(format!("{key}: {}", host[key]));
        }
    }
    let rack = if host["rack"].is_null() { String::new() } else { format!("rack: {}, ", host["rack"]) };
    let image = if host["image"].is_null() { String::new() } else { format!("image: {}, ", host["image"]) };
    fields.push(format!("platform: {{{image}kernel_params: {}}}", map(&host["kernel_params"])));
    fields.push(format!("metadata: {{{rack}tags: {}, owner_data: {}}}", host["tags"], map(&host["owner_data"])));
    fields.push(format!("interfaces: {}", map(&host["interfaces"])));
    format!("---\nschema: drydock/{kind}/v1\nmetadata: {{name: {name}}}\ndata: {{{}{more}}}\n", fields.join(", "))
}

#[test]
fn imported_sites_are_what_drydock_makes_of_them() {
    for case in 0..CASES {
        let mut random = Random(case.wrapping_mul(0x9e37_79b9));
        let mut text = String::new();
        let mut profiles: Map<String, Value> = Map::new();
        for number in 0..=random.below(4) {
            let known: Vec<String> = profiles.keys().cloned().collect();
            let parent = (!known.is_empty() && !random.one_in(4)).then(|| known[random.below(known.len())].clone());
            let host = host(&mut random, parent.as_deref());
            text += &document("HostProfile", &format!("p{number}"), &host, "");
            profiles.insert(format!("p{number}"), host);
        }
        let names: Vec<String> = profiles.keys().cloned().collect();
        let mut nodes = Vec::new();
        for number in 0..3 {
            let parent = &names[random.below(names.len())];
            let host = host(&mut random, Some(parent));
            text += &document(
                "BaremetalNode",
                &format!("n{number}"),
                &host,
                ", addressing: [{network: pxe, address: dhcp}]",
            );
            nodes.push((format!("n{number}"), host));
        }
        let imported = import(
            &[Source { name: "site.yaml", text: &text }],
            &Options { name: Some("lab".into()), namespace: None },
        );
        assert!(!imported.has_errors(), "case {case}: {:?}\n{text}", imported.findings);
        let objects: Vec<&str> = imported.manifests.iter().map(|manifest| manifest.yaml.as_str()).collect();
        let site = Site::of(objects.join("---\n"));
        for (name, host) in nodes {
            let node = serde_json::to_value(&**site.compiler().node(&name).expect("compiled")).unwrap();
            let (mut wanted, found) = (effective(&host, &profiles), compiled(&node));
            // Keys of owner data have no order.
            let sorted: Map<String, Value> = entries(&wanted["ownerData"]).into_iter().collect();
            wanted["ownerData"] = if sorted.is_empty() { Value::Null } else { Value::Object(sorted) };
            assert_eq!(found, wanted, "case {case}, {name}:\n{text}");
        }
    }
}

/// A field that nothing knows, put anywhere, is told with its path: nothing is dropped in silence.
#[test]
fn no_field_is_dropped_in_silence() {
    const FULL: &str = include_str!("../corpus/drydock_import/full.yaml");
    let import = |text: &str| import(&[Source { name: "site.yaml", text }], &Options::default());
    // The last document is none of drydock's.
    let (ours, _) = FULL.split_once("---\nschema: promenade/").unwrap();
    let before = import(ours).findings.len();
    let mut places = 0;
    // Behind every brace.
    for (at, _) in ours.match_indices('{').filter(|(at, _)| !is_text(ours, *at)) {
        let text = format!("{}zzz: {{q: 1}}, {}", &ours[..=at], &ours[at + 1..]);
        let imported = import(&text);
        let is_kept = imported.manifests.iter().any(|manifest| manifest.yaml.contains("zzz"));
        let is_told = imported.findings.iter().any(|f| f.path.contains("zzz") || f.message.contains("zzz"));
        assert!(is_told || is_kept, "at {at}: {}", &ours[at.saturating_sub(60)..at + 5]);
        assert!(imported.findings.len() >= before, "at {at}");
        places += 1;
    }
    assert!(places > 60, "{places}");
}

/// Whether a brace is in a template or a comment.
fn is_text(text: &str, at: usize) -> bool {
    let line = text[..at].rfind('\n').map_or(0, |start| start + 1);
    text[at..].starts_with("{{")
        || text[..at].ends_with('{')
        || text[line..].starts_with('#')
        || text[at..].starts_with("{}")
}
