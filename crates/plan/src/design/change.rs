//! What differs between two models, field by field, and what of it cannot be done without loss.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::{Map, Value};

/// One thing that changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The value, by names: `storage.disks.sda.partitions.root.size`.
    pub path: String,
    /// What it was; none if it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What it will be; none if it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
    /// What it does to a host that runs, by which rule.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub impact: Option<&'static Impact>,
}

/// A rule about what a change does to a host that runs.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Impact {
    /// How bad it is.
    pub effect: Effect,
    /// Name of the rule.
    pub rule: &'static str,
    /// Why, in words.
    pub why: &'static str,
}

/// How bad a change is to a host that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Effect {
    /// What is on its disks is lost.
    Destructive,
    /// What runs on it is interrupted.
    Disruptive,
}

const STORAGE: Impact = Impact {
    effect: Effect::Destructive,
    rule: "storage",
    why: "disks are laid out when the host is deployed, and what is on them is lost",
};
const DEPLOYMENT: Impact = Impact {
    effect: Effect::Destructive,
    rule: "deployment",
    why: "the system is installed anew, and what is on the disks is lost",
};
/// The Node is described no more.
pub const REMOVAL: Impact = Impact {
    effect: Effect::Destructive,
    rule: "removal",
    why: "nothing describes the host any more: what Slipway made on it goes",
};
const MACHINE: Impact =
    Impact { effect: Effect::Disruptive, rule: "machine", why: "another machine takes the place of this one" };
const NETWORK: Impact = Impact {
    effect: Effect::Disruptive,
    rule: "network",
    why: "the network is set up when the host is deployed; it loses connections",
};
const RESTART: Impact =
    Impact { effect: Effect::Disruptive, rule: "restart", why: "the kernel reads it when the host starts" };
const POWER: Impact = Impact { effect: Effect::Disruptive, rule: "power", why: "the host is powered off or restarted" };
const ENGINE: Impact =
    Impact { effect: Effect::Disruptive, rule: "engine", why: "services are placed on another Docker engine" };

/// Which rule holds for which part; the first that fits.
const RULES: &[(&str, &Impact)] = &[
    ("storage", &STORAGE),
    ("platform.image", &DEPLOYMENT),
    ("platform.kernel", &DEPLOYMENT),
    ("platform.kernelParams", &RESTART),
    ("bootMac", &MACHINE),
    ("interfaces", &NETWORK),
    ("routes", &NETWORK),
    ("gateway", &NETWORK),
    ("addressing", &NETWORK),
    ("domain", &NETWORK),
    ("spec.reboot", &POWER),
    ("spec.docker.endpoint", &ENGINE),
];

/// What items of lists are known by: parts by their name, routes by where they lead, addresses by their network.
const NAMES: [&str; 3] = ["name", "subnet", "network"];

/// What follows from other fields, which tell of the change themselves.
const DERIVED: [&str; 2] = ["fqdn", "platform.kernelCommandLine"];

/// What the model of a Node does not hold of the Node: every field of its spec that is not one of a Design's Nodes, and its
/// labels.
pub fn beside_the_model(node: &Value) -> Map<String, Value> {
    let mut beside = Map::new();
    if let Some(Value::Object(spec)) = node.get("spec") {
        let rest = spec.iter().filter(|(field, _)| !OF_THE_MODEL.contains(&field.as_str()));
        beside.insert("spec".to_owned(), Value::Object(rest.map(|(k, v)| (k.clone(), v.clone())).collect()));
    }
    if let Some(labels) = node.get("metadata").and_then(|metadata| metadata.get("labels")) {
        beside.insert("labels".to_owned(), labels.clone());
    }
    beside
}

/// Fields of a Node's spec that its model is compiled from.
const OF_THE_MODEL: [&str; 11] = [
    "hostProfile",
    "hardwareProfile",
    "primaryNetwork",
    "rack",
    "addressing",
    "bootMac",
    "outOfBand",
    "interfaces",
    "storage",
    "platform",
    "metadata",
];

/// What changes from one model of a Node to another, as JSON, by path.
pub fn of_node(old: &Value, new: &Value) -> Vec<Change> {
    let mut changes = of_site(old, new);
    changes.retain(|change| !DERIVED.contains(&change.path.as_str()));
    for change in &mut changes {
        change.impact = impact(change);
    }
    changes
}

/// What changes in what the Nodes of a site have in common.
pub fn of_site(old: &Value, new: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", Some(old), Some(new), &mut changes);
    changes
}

/// Whether one of the changes destroys something.
pub fn is_destructive(changes: &[Change]) -> bool {
    changes.iter().any(|change| change.impact.is_some_and(|impact| impact.effect == Effect::Destructive))
}

fn impact(change: &Change) -> Option<&'static Impact> {
    let path = change.path.as_str();
    let is_in =
        |part: &str| path.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ' ']));
    // Labels of disks and partitions are notes.
    if is_in("storage") && path.split('.').any(|name| name == "labels") {
        return None;
    }
    if is_in("spec.power") {
        return (change.to.as_ref().and_then(Value::as_str) == Some("Off")).then_some(&POWER);
    }
    // Where a whole part comes or goes, what is in it counts.
    let holds = |part: &str| {
        let rest = part.strip_prefix(path).and_then(|rest| rest.strip_prefix('.'));
        let has = |value: &Option<Value>, rest: &str| value.as_ref().is_some_and(|value| value.get(rest).is_some());
        rest.is_some_and(|rest| has(&change.from, rest) || has(&change.to, rest))
    };
    RULES.iter().find(|(part, _)| is_in(part) || holds(part)).map(|(_, impact)| *impact)
}

fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Change>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let mut fields: Vec<&String> = old.keys().chain(new.keys()).collect();
            fields.sort_unstable();
            fields.dedup();
            for field in fields {
                compare(&within(path, field), old.get(field), new.get(field), changes);
            }
        }
        (Some(Value::Array(old_items)), Some(Value::Array(new_items))) => match (keyed(old_items), keyed(new_items)) {
            (Some(old_items), Some(new_items)) => compare_parts(path, &old_items, &new_items, changes),
            _ => changes.push(Change { path: path.to_owned(), from: old.cloned(), to: new.cloned(), impact: None }),
        },
        (from, to) => {
            changes.push(Change { path: path.to_owned(), from: from.cloned(), to: to.cloned(), impact: None });
        }
    }
}

/// Items with their names; none if one has no name, or two have the same.
fn keyed(items: &[Value]) -> Option<Vec<(&str, &Value)>> {
    let mut seen = HashSet::new();
    let mut named = Vec::with_capacity(items.len());
    for item in items {
        let name = NAMES.iter().find_map(|key| item.get(key)?.as_str())?;
        if !seen.insert(name) {
            return None;
        }
        named.push((name, item));
    }
    Some(named)
}

fn compare_parts(path: &str, old: &[(&str, &Value)], new: &[(&str, &Value)], changes: &mut Vec<Change>) {
    let (by_old, by_new): (HashMap<&str, &Value>, HashMap<&str, &Value>) =
        (old.iter().copied().collect(), new.iter().copied().collect());
    for (name, item) in old {
        compare(&within(path, name), Some(item), by_new.get(name).copied(), changes);
    }
    for (name, item) in new.iter().filter(|(name, _)| !by_old.contains_key(name)) {
        compare(&within(path, name), None, Some(item), changes);
    }
    // What stays, in which order: that of partitions and interfaces matters.
    let old_order: Vec<&str> = old.iter().map(|(name, _)| *name).filter(|name| by_new.contains_key(name)).collect();
    let new_order: Vec<&str> = new.iter().map(|(name, _)| *name).filter(|name| by_old.contains_key(name)).collect();
    if old_order != new_order {
        let path = if path.is_empty() { "order".to_owned() } else { format!("{path} (order)") };
        changes.push(Change { path, from: Some(old_order.into()), to: Some(new_order.into()), impact: None });
    }
}

fn within(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize as _;
    use serde_json::json;
    use slipway_api::design::NodeDesign;

    use super::*;

    fn told(old: &Value, new: &Value) -> Vec<(String, Option<&'static str>)> {
        let changes = of_node(old, new).into_iter();
        changes.map(|change| (change.path, change.impact.map(|impact| impact.rule))).collect()
    }

    #[test]
    fn parts_are_compared_by_name_and_by_order() {
        let part = |name: &str, size: &str| json!({"name": name, "size": size});
        let of = |parts: &[Value]| json!({"storage": {"disks": [{"name": "sda", "partitions": parts}]}});
        let old = of(&[part("boot", "1g"), part("root", "20g")]);
        let one = |path: &str| vec![(format!("storage.disks.sda.partitions{path}"), Some("storage"))];
        assert_eq!(told(&old, &old), []);
        assert_eq!(told(&old, &of(&[part("boot", "1g"), part("root", "30g")])), one(".root.size"));
        assert_eq!(told(&old, &of(&[part("root", "20g"), part("boot", "1g")])), one(" (order)"));
        assert_eq!(told(&old, &of(&[part("root", "20g")])), one(".boot"));
        assert_eq!(told(&old, &of(&[part("x", "1g"), part("boot", "1g"), part("root", "20g")])), one(".x"));
    }

    #[test]
    fn what_a_change_does() {
        for (old, new, rule) in [
            (json!({"platform": {"kernel": "a"}}), json!({"platform": {"kernel": "b"}}), Some("deployment")),
            (json!({"platform": {"kernelParams": []}}), json!({}), Some("restart")),
            (json!({"storage": {"labels": {"a": "b"}}}), json!({"storage": {"labels": {"a": "c"}}}), None),
            (json!({"spec": {"power": "On"}}), json!({"spec": {"power": "Off"}}), Some("power")),
            (json!({"spec": {"power": "Off"}}), json!({"spec": {"power": "On"}}), None),
            (json!({"storages": 1}), json!({"storages": 2}), None),
            (json!({"rack": "a"}), json!({"rack": "b"}), None),
        ] {
            let found = told(&old, &new);
            assert_eq!(found.iter().map(|(_, rule)| *rule).collect::<Vec<_>>(), [rule], "{old} {new}");
        }
        assert_eq!(told(&json!({"fqdn": "a"}), &json!({"fqdn": "b"})), [], "what follows from others is not told");
    }

    #[test]
    fn a_node_is_its_model_and_what_is_beside_it() {
        let node = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"rack": "r1", "cordon": true, "designRef": {"name": "lab"}}});
        assert_eq!(
            Value::Object(beside_the_model(&node)),
            json!({"labels": {"a": "b"}, "spec": {"cordon": true, "designRef": {"name": "lab"}}})
        );
        // Each is a field that Nodes of Designs have: no value of it can be a number that is negative.
        for field in OF_THE_MODEL {
            assert!(NodeDesign::deserialize(json!({field: -7})).is_err(), "{field}");
        }
    }
}
