//! The rules at work. Each looks at one part and reports all that it finds.

pub(super) mod boot_actions;
mod circles;
pub(super) mod links;
mod networks;
pub(super) mod node;
pub(super) mod rollout;
pub(super) mod storage;
pub(super) mod values;

use std::collections::BTreeSet;

use slipway_api::DesignSpec;

use super::rules::Check;
use super::site::Site;
use super::source::{DesignSource, join};
use crate::finding::Finding;

/// A place in a Design: the object, and the field path of a part in it.
pub(super) struct Spot<'s> {
    source: &'s DesignSource,
    path: String,
}

impl<'s> Spot<'s> {
    pub(super) fn new(source: &'s DesignSource, path: String) -> Self {
        Self { source, path }
    }

    /// A place below this one.
    fn below(&self, field: &str) -> Self {
        Self { source: self.source, path: join(&self.path, field) }
    }

    /// A finding about a field of the part.
    pub(super) fn find(&self, check: Check, field: &str, message: impl Into<String>) -> Finding {
        let path = if field.is_empty() { self.path.clone() } else { join(&self.path, field) };
        check.at(&self.source.object, path, message)
    }

    /// The fields of the part that could not be read, or not all of what is in them.
    pub(super) fn unread(&self) -> BTreeSet<&'s str> {
        self.source.broken.fields_of(&self.path)
    }

    /// Whether the field could not be read, or not all of what is in it. What was left out is not missing.
    pub(super) fn is_unread(&self, field: &str) -> bool {
        self.source.broken.is_under(&join(&self.path, field))
    }
}

/// What is wrong with a site whatever its Nodes are.
pub(super) fn site(site: &Site, findings: &mut Vec<Finding>) {
    values::site(site, findings);
    networks::check(site, findings);
    networks::overlaps(site, findings);
    links::check(site, findings);
    racks(site, findings);
    settings(site, findings);
    boot_actions::check(site, findings);
    rollout::check_groups(site, findings);
}

fn racks(site: &Site, findings: &mut Vec<Finding>) {
    for (name, at) in &site.racks.all {
        let Some(spot) = site.racks.spot(site, name) else { continue };
        for (index, network) in site.rack(*at).local_networks.iter().enumerate() {
            if !site.networks.knows(site, network) {
                let message = format!("network `{network:.100}` is not defined{}", site.networks.near(network));
                findings.push(spot.find(Check::UndefinedHarmless, &format!("localNetworks[{index}]"), message));
            }
        }
    }
}

/// Settings that only one part of a site may make.
fn settings(site: &Site, findings: &mut Vec<Finding>) {
    type IsSet = fn(&DesignSpec) -> bool;
    let settings: [(&str, IsSet); 3] = [
        ("maas", |spec| spec.maas.is_some()),
        ("dns", |spec| spec.dns.is_some()),
        ("rollout", |spec| spec.rollout.is_some()),
    ];
    for (field, is_set) in settings {
        let mut sources = site.sources.iter().filter(|source| is_set(&source.spec));
        let first = sources.next();
        for source in sources {
            let other = first.map_or("", |source| &source.object);
            let message = format!("`{field}` is set by {other} too");
            findings.push(Check::SettingTwice.at(&source.object, join(&source.base, field), message));
        }
    }
}
