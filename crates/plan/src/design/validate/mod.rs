//! The rules at work. Each looks at one part and reports all that it finds.

pub(super) mod boot_actions;
pub(super) mod links;
mod networks;
pub(super) mod node;
pub(super) mod rollout;
pub(super) mod storage;

use slipway_api::DesignSpec;

use super::rules::Check;
use super::site::Site;
use super::source::join;
use crate::finding::Finding;

/// A place in a Design: the object, and the field path of a part in it.
pub(super) struct Spot {
    pub(super) object: String,
    pub(super) path: String,
}

impl Spot {
    /// A finding about a field of the part.
    fn find(&self, check: Check, field: &str, message: impl Into<String>) -> Finding {
        check.at(&self.object, join(&self.path, field), message)
    }
}

/// What is wrong with a site whatever its Nodes are.
pub(super) fn site(site: &Site, findings: &mut Vec<Finding>) {
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
        let Some((object, path)) = site.racks.place(site, name) else { continue };
        let spot = Spot { object, path };
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
