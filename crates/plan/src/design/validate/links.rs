//! Links, and the interfaces on them: bonding, trunking, allowed networks.

use std::collections::{HashMap, HashSet};

use slipway_api::design::{BondMode, Bonding, NetworkLink, TrunkMode};

use super::{Spot, networks};
use crate::design::inherit::HostInterface;
use crate::design::locate::{Raw, names};
use crate::design::model::{Sourced, Text};
use crate::design::rules::Check;
use crate::design::site::Site;
use crate::finding::Finding;
use crate::formats::compose::nearest;

pub(super) fn check(site: &Site, findings: &mut Vec<Finding>) {
    let mut carried: HashMap<&str, &str> = HashMap::new();
    for (name, at) in &site.links.all {
        let Some(spot) = site.links.spot(site, name) else { continue };
        let link = site.link(*at);
        if let Some(bonding) = link.bonding.as_ref().filter(|_| !spot.is_unread("bonding.mode")) {
            useless_options(link, bonding, &spot, findings);
            delays(link, bonding, &spot, findings);
        }
        networks::mtu(link.mtu, &spot, findings);
        allowed(site, link, &spot, findings);
        if !spot.is_unread("trunking") {
            trunk(site, link, &spot, findings);
            vlans(site, link, &spot, findings);
        }
        for (index, network) in link.allowed_networks.iter().enumerate() {
            let other = *carried.entry(network).or_insert(name);
            if other != &**name {
                let message = format!("network {network:.100} is allowed on link {name} and on link {other}");
                findings.push(spot.find(Check::NetworkOnTwoLinks, &format!("allowedNetworks[{index}]"), message));
            }
        }
    }
}

fn useless_options(link: &NetworkLink, bonding: &Bonding, spot: &Spot<'_>, findings: &mut Vec<Finding>) {
    let lacp_only = [("hash", bonding.hash.is_some()), ("peerRate", bonding.peer_rate.is_some())];
    let of_any_bond = [
        ("monRate", bonding.mon_rate.is_some()),
        ("upDelay", bonding.up_delay.is_some()),
        ("downDelay", bonding.down_delay.is_some()),
    ];
    let (check, mode, options): (_, _, Vec<(&str, bool)>) = match bonding.mode {
        BondMode::Disabled => {
            (Check::BondOptionIgnored, "disabled", lacp_only.into_iter().chain(of_any_bond).collect())
        }
        BondMode::BalanceRr => (Check::BondOptionIgnored, "balance-rr", lacp_only.into()),
        BondMode::ActiveBackup => (Check::BondOption, "active-backup", lacp_only.into()),
        BondMode::Lacp => return,
    };
    for (field, _) in options.into_iter().filter(|(_, is_set)| *is_set) {
        let message = format!("link {}: {field} has no effect in mode {mode}", link.name);
        findings.push(spot.find(check, &format!("bonding.{field}"), message));
    }
}

fn delays(link: &NetworkLink, bonding: &Bonding, spot: &Spot<'_>, findings: &mut Vec<Finding>) {
    if bonding.mode != BondMode::Lacp {
        return;
    }
    if spot.is_unread("bonding.monRate") {
        return;
    }
    let interval = bonding.mon_rate.unwrap_or(100);
    for (field, delay) in [("upDelay", bonding.up_delay), ("downDelay", bonding.down_delay)] {
        if spot.is_unread(&format!("bonding.{field}")) {
            continue;
        }
        let delay = delay.unwrap_or(200);
        if delay < interval {
            let name = &link.name;
            let message = format!("link {name}: {field} of {delay} ms is shorter than monRate of {interval} ms");
            findings.push(spot.find(Check::BondDelay, &format!("bonding.{field}"), message));
        }
    }
}

fn trunk(site: &Site, link: &NetworkLink, spot: &Spot<'_>, findings: &mut Vec<Finding>) {
    let trunking = link.trunking.clone().unwrap_or_default();
    let name = &link.name;
    if let Some(network) = &trunking.default_network
        && !site.networks.knows(site, network)
    {
        let message = format!("network `{network:.100}` is not defined{}", site.networks.near(network));
        // A trunk works without one.
        let is_trunk = trunking.mode == TrunkMode::Dot1q;
        let check = if is_trunk { Check::UndefinedHarmless } else { Check::Undefined };
        findings.push(spot.find(check, "trunking.defaultNetwork", message));
    }
    if trunking.mode == TrunkMode::Dot1q {
        return;
    }
    if link.allowed_networks.len() > 1 {
        let message = format!("link {name} allows {} networks and has no trunking", link.allowed_networks.len());
        findings.push(spot.find(Check::TrunkingNeeded, "allowedNetworks", message));
    }
    let Some(network) = &trunking.default_network else {
        let message = format!("link {name} has neither trunking nor a default network");
        findings.push(spot.find(Check::DefaultNetworkMissing, "trunking", message));
        return;
    };
    if let Some(vlan) = site.facts(network).and_then(|facts| facts.model.vlan) {
        let message = format!("link {name} has no trunking, and its default network {network} has VLAN tag {vlan}");
        findings.push(spot.find(Check::DefaultNetworkTagged, "trunking.defaultNetwork", message));
    }
}

fn allowed(site: &Site, link: &NetworkLink, spot: &Spot<'_>, findings: &mut Vec<Finding>) {
    for (index, network) in link.allowed_networks.iter().enumerate() {
        if !site.networks.knows(site, network) {
            let check = if link.unmanaged { Check::UndefinedHarmless } else { Check::Undefined };
            let message = format!("network `{network:.100}` is not defined{}", site.networks.near(network));
            findings.push(spot.find(check, &format!("allowedNetworks[{index}]"), message));
        }
    }
}

/// The untagged network of a trunk is its default network; others tell each other apart by their tags.
fn vlans(site: &Site, link: &NetworkLink, spot: &Spot<'_>, findings: &mut Vec<Finding>) {
    let native = link.trunking.as_ref().and_then(|trunking| trunking.default_network.as_deref());
    let mut used: HashMap<Option<u16>, &str> = HashMap::new();
    for (index, network) in link.allowed_networks.iter().enumerate() {
        let Some(facts) = site.facts(network) else { continue };
        if site.networks.is_unread(site, network, "vlan") {
            continue;
        }
        let vlan = facts.model.vlan.filter(|_| native != Some(network));
        let other = *used.entry(vlan).or_insert(network);
        if other != network {
            let tag = vlan.map_or_else(|| "no VLAN tag".to_owned(), |vlan| format!("VLAN tag {vlan}"));
            let message = format!("link {}: networks {other} and {network} both have {tag}", link.name);
            findings.push(spot.find(Check::VlanTwice, &format!("allowedNetworks[{index}]"), message));
        }
    }
}

/// An interface of a host on its link.
pub(in crate::design) fn interface(site: &Site, interface: &HostInterface, raws: &mut Vec<Raw>) {
    let name = &interface.name;
    let Some(link_name) = &interface.link else {
        raws.push(if let Some(network) = interface.networks.first() {
            let path = names(["interfaces", name, "networks", &network.value]);
            let message = format!("interface {name} has networks, and is on no link");
            Raw::new(Check::LinkMissing, network.origin.clone(), path, message)
        } else {
            let message = format!("interface {name} is on no link, so nothing configures it");
            Raw::new(Check::LinkMissingHarmless, interface.origin.clone(), names(["interfaces", name]), message)
        });
        return;
    };
    let Some(at) = site.links.get(&link_name.value) else {
        if !site.links.knows(site, &link_name.value) {
            let path = names(["interfaces", name, "link"]);
            let near = site.links.near(&link_name.value);
            let message = format!("interface {name} is on link `{:.100}`, which is not defined{near}", link_name.value);
            raws.push(Raw::new(Check::LinkUndefined, link_name.origin.clone(), path, message));
        }
        return;
    };
    let link = site.link(at);
    let is_unread = |field: &str| site.links.is_unread(site, &link.name, field);
    let allowed: HashSet<&str> = link.allowed_networks.iter().map(String::as_str).collect();
    // One that the link allows by a wrong name has been told there.
    let is_misspelt = |network: &str| {
        let unknown = link.allowed_networks.iter().map(String::as_str).filter(|name| !site.networks.knows(site, name));
        nearest(network, unknown).is_some()
    };
    let not_allowed = |network: &&Sourced<Text>| {
        !allowed.contains(&*network.value) && !is_unread("allowedNetworks") && !is_misspelt(&network.value)
    };
    for network in interface.networks.iter().filter(not_allowed) {
        let path = names(["interfaces", name, "networks", &network.value]);
        let message = if site.networks.knows(site, &network.value) {
            format!("interface {name}: link {} does not allow network {:.100}", link.name, network.value)
        } else {
            let near = site.networks.near(&network.value);
            format!("interface {name}: network `{:.100}` is not defined{near}", network.value)
        };
        raws.push(Raw::new(Check::NetworkNotAllowed, network.origin.clone(), path, message));
    }
    let is_bonded = link.bonding.as_ref().is_some_and(|bonding| bonding.mode != BondMode::Disabled);
    let ports = interface.slaves.len();
    if ports == 0 || ports > 1 && !is_bonded && !is_unread("bonding") {
        let message = if ports == 0 {
            format!("interface {name} has no port")
        } else {
            format!("interface {name} has {ports} ports, and its link {} no bonding", link.name)
        };
        let path = names(["interfaces", name, "slaves"]);
        raws.push(Raw::new(Check::PortCount, interface.origin.clone(), path, message).harmless_if(link.unmanaged));
    }
}
