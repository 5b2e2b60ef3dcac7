//! Who says something of a host: the Node, its host profile, and all that this one extends.

use std::collections::HashSet;

use serde_json::Value;

use crate::design::model::Origin;
use crate::design::site::Site;
use crate::design::source::NodeSource;

/// Profiles that are looked at; a chain of them may be as long as a Design.
const LAYERS: usize = 100;

/// The layers, the nearest first, each as it is written.
pub(super) struct Layers(Vec<(Origin, Value)>);

/// What a layer says.
pub(super) enum Said<'v> {
    Value(&'v Value),
    /// That there is to be none; with the names that lead to the removal.
    Removed(Vec<String>),
}

impl Layers {
    pub(super) fn of(site: &Site, source: &NodeSource) -> Self {
        let mut layers = vec![(Origin::Node, serde_json::to_value(&*source.design).unwrap_or_default())];
        let mut seen = HashSet::new();
        let mut next = source.design.host_profile.as_deref();
        while let Some(at) = next.filter(|name| seen.insert(*name)).and_then(|name| site.profiles.get(name)) {
            let profile = site.profile(at);
            let written = serde_json::to_value(profile).unwrap_or_default();
            layers.push((Origin::HostProfile(profile.name.as_str().into()), written));
            next = profile.extends.as_deref().filter(|_| layers.len() < LAYERS);
        }
        Self(layers)
    }

    /// What each says of the part or value at a path of names, the nearest first.
    pub(super) fn say(&self, names: &[String]) -> impl Iterator<Item = (&Origin, Said<'_>)> {
        self.0.iter().filter_map(|(origin, written)| Some((origin, said(written, names)?)))
    }
}

fn said<'v>(written: &'v Value, names: &[String]) -> Option<Said<'v>> {
    let mut value = written;
    for (depth, name) in names.iter().enumerate() {
        let removal = format!("!{name}");
        let removed = || {
            let mut names = names[..depth].to_vec();
            names.push(removal.clone());
            Said::Removed(names)
        };
        value = match value {
            Value::Object(fields) => match fields.get(name) {
                Some(field) => field,
                None => return fields.contains_key(&removal).then(removed),
            },
            Value::Array(items) => match items.iter().find(|item| name_of(item) == Some(name)) {
                Some(item) => item,
                None => return items.iter().any(|item| name_of(item) == Some(&removal)).then(removed),
            },
            Value::String(text) if text == "!" => return Some(Said::Removed(names[..depth].to_vec())),
            _ => return None,
        };
    }
    let is_parameter = names.len() == 3 && names[1] == "kernelParams";
    Some(match value {
        Value::String(text) if text == "!" => Said::Removed(names.to_vec()),
        Value::Object(fields) if is_parameter => Said::Value(fields.get("value").unwrap_or(&Value::Null)),
        // A part is known by its name.
        Value::Object(fields) => Said::Value(fields.get("name").unwrap_or(value)),
        value => Said::Value(value),
    })
}

fn name_of(item: &Value) -> Option<&str> {
    item.get("name").or(item.get("network")).unwrap_or(item).as_str()
}
