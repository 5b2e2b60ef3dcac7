//! One Node: addresses, names, out-of-band management, kernel parameters.

use std::collections::HashSet;
use std::net::IpAddr;

use slipway_api::design::{HardwareProfile, NodeDesign, OutOfBandType, RangeType};

use super::networks::not_for_hosts;
use crate::design::inherit::Host;
use crate::design::locate::{OBJECT_NAME, Raw, names, number};
use crate::design::model::{AddressKind, KernelParamModel, NodeModel, Origin, Text};
use crate::design::rules::Check;
use crate::design::site::{NetworkFacts, Site};
use crate::design::source::NodeSource;

/// Characters of a name with its domain (RFC 1035 2.3.4).
const FQDN: usize = 255;
const LABEL: usize = 63;

/// Whether the Design says what the machine is to be. A host that exists already may belong to a site for its addresses
/// and its place in the rollout alone.
pub(in crate::design) fn is_provisioned(node: &NodeDesign) -> bool {
    node.host_profile.is_some()
        || node.hardware_profile.is_some()
        || !node.interfaces.is_empty()
        || node.storage.is_some()
        || node.platform.is_some()
}

/// The address that the machine boots from. A machine that is found by its BMC can do without.
pub(in crate::design) fn boot_mac(source: &NodeSource, is_needed: bool, raws: &mut Vec<Raw>) {
    if let Some(written) = source.design.boot_mac.as_deref().filter(|mac| canonical_mac(mac).is_none()) {
        let message = format!("`{written:.32}` is no MAC address");
        raws.push(Raw::new(Check::MacInvalid, Origin::Node, names(["bootMac"]), message).harmless_if(!is_needed));
    }
}

/// Whether the machine is found by the address of its BMC, as drydock finds those with IPMI and Redfish.
pub(in crate::design) fn is_found_by_bmc(model: &NodeModel) -> bool {
    let type_ = model.out_of_band.type_.as_ref().map(|type_| type_.value);
    matches!(type_, Some(OutOfBandType::Ipmi | OutOfBandType::Redfish))
}

/// Fields with a name that nothing defines, so that what they would add to the model is not there.
pub(in crate::design) fn names_nothing(site: &Site, model: &NodeModel) -> Vec<&'static str> {
    let is_unknown = |network: &Text| !site.networks.knows(site, network);
    let mut found = Vec::new();
    let mut carried = model.network.interfaces.iter().flat_map(|interface| &interface.networks);
    if carried.any(|network| is_unknown(&network.name.value)) {
        found.push("interfaces");
    }
    if model.primary_network.as_ref().is_some_and(|network| is_unknown(&network.value)) {
        found.push("primaryNetwork");
    }
    if model.rack.as_ref().is_some_and(|rack| !site.racks.all.is_empty() && !site.racks.knows(site, &rack.value)) {
        found.push("rack");
    }
    found
}

/// Six pairs of hexadecimal digits, in lower case with colons; read with colons, hyphens, dots or nothing between them.
pub(in crate::design) fn canonical_mac(text: &str) -> Option<Text> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect();
    let is_mac = digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let pair = |pair: &[u8]| String::from_utf8_lossy(pair).to_ascii_lowercase();
    is_mac.then(|| digits.as_bytes().chunks(2).map(pair).collect::<Vec<_>>().join(":").into())
}

/// The addresses of a Node; none where one cannot be read.
pub(in crate::design) fn addressing(
    site: &Site,
    source: &NodeSource,
    raws: &mut Vec<Raw>,
) -> Vec<(Text, Option<AddressKind>)> {
    let mut seen = HashSet::new();
    let mut found = Vec::with_capacity(source.design.addressing.len());
    for (index, address) in source.design.addressing.iter().enumerate() {
        let mut report = |check: Check, field: &str, message: String| {
            let path = vec!["addressing".to_owned(), number(index), field.to_owned()];
            raws.push(Raw::new(check, Origin::Node, path, message));
        };
        let network = address.network.as_str();
        if !seen.insert(network) {
            report(Check::TwoAddresses, "network", format!("there is an address on {network:.100} already"));
        }
        let kind = match address.address.as_str() {
            "dhcp" => Some(AddressKind::Dhcp),
            text => text.parse().ok().map(AddressKind::Static),
        };
        let facts = site.facts(network);
        if facts.is_none() && !site.networks.knows(site, network) {
            let is_dhcp = kind == Some(AddressKind::Dhcp);
            let check = if is_dhcp { Check::DhcpNetworkUndefined } else { Check::AddressNetworkUndefined };
            let near = site.networks.near(network);
            report(check, "network", format!("network `{network:.100}` is not defined{near}"));
        }
        if kind.is_none() {
            let message = format!("`{:.64}` is no address", address.address);
            report(Check::AddressUnreadable, "address", message);
        }
        found.push((network.into(), kind));
    }
    found
}

/// Whether static addresses are where they should be on their networks. Those that no interface has, as that of a BMC, are
/// configured by somebody else.
pub(in crate::design) fn places(
    site: &Site,
    addressing: &[(Text, Option<AddressKind>)],
    model: Option<&NodeModel>,
    raws: &mut Vec<Raw>,
) {
    let carried = |network: &Text| {
        let mut networks =
            model.into_iter().flat_map(|model| &model.network.interfaces).flat_map(|interface| &interface.networks);
        model.is_none() || networks.any(|carried| carried.name.value == *network)
    };
    for (index, (network, address)) in addressing.iter().enumerate() {
        let (Some(AddressKind::Static(ip)), Some(facts)) = (address, site.facts(network)) else { continue };
        if let Some((check, message)) = misplaced(site, *ip, facts) {
            let path = vec!["addressing".to_owned(), number(index), "address".to_owned()];
            let is_of_others = matches!(check, Check::AddressInDhcpRange | Check::AddressNotForHosts)
                && (facts.is_unmanaged || !carried(network));
            raws.push(Raw::new(check, Origin::Node, path, message).harmless_if(is_of_others));
        }
    }
}

/// What is wrong with an address on a network.
fn misplaced(site: &Site, ip: IpAddr, facts: &NetworkFacts) -> Option<(Check, String)> {
    let ranges_are_unread = || site.networks.is_unread(site, &facts.model.name, "ranges");
    let (network, cidr) = (&facts.model.name, facts.model.cidr?);
    if !cidr.contains(&ip) {
        return Some((Check::AddressOutside, format!("{ip} is not in network {network} ({cidr})")));
    }
    if let Some(why) = not_for_hosts(ip, cidr) {
        return Some((Check::AddressNotForHosts, format!("{ip} is {why} of network {network} ({cidr})")));
    }
    if let Some(range) = facts.ranges.iter().find(|range| range.type_ == RangeType::Dhcp && range.holds(ip)) {
        let message = format!("{ip} lies in a range for leases, {} to {}", range.start, range.end);
        return Some((Check::AddressInDhcpRange, message));
    }
    if facts.model.gateway == Some(ip) {
        return Some((Check::AddressIsGateway, format!("{ip} is the gateway of network {network}")));
    }
    if ranges_are_unread() {
        return None;
    }
    let mut statics = facts.ranges.iter().filter(|range| range.type_ == RangeType::Static).peekable();
    let is_outside = statics.peek().is_some() && !statics.any(|range| range.holds(ip));
    is_outside.then(|| (Check::AddressNotInRange, format!("{ip} is in no static range of network {network}")))
}

/// The hardware profile of a host.
pub(in crate::design) fn hardware<'s>(
    site: &'s Site,
    source: &NodeSource,
    host: &Host,
    raws: &mut Vec<Raw>,
) -> Option<&'s HardwareProfile> {
    let path = names(["hardwareProfile"]);
    let Some(name) = &host.hardware_profile else {
        if is_provisioned(&source.design) {
            let profile = source.design.host_profile.as_deref();
            let owner = profile.map_or(Origin::Node, |profile| Origin::HostProfile(profile.into()));
            raws.push(Raw::new(Check::HardwareProfileMissing, owner, path, "there is no hardware profile"));
        }
        return None;
    };
    let hardware = site.hardware_named(&name.value);
    if hardware.is_none() && !site.hardware.knows(site, &name.value) {
        let near = site.hardware.near(&name.value);
        let message = format!("hardware profile `{:.100}` is not defined{near}", name.value);
        raws.push(Raw::new(Check::Undefined, name.origin.clone(), path, message));
    }
    hardware
}

/// The kernel takes the number of huge pages with their size.
pub(in crate::design) fn hugepages(params: &[KernelParamModel], raws: &mut Vec<Raw>) {
    let of = |name: &str| params.iter().find(|param| &*param.name == name);
    let (lonely, missing) = match (of("hugepages"), of("hugepagesz")) {
        (Some(count), None) => (count, "hugepagesz"),
        (None, Some(size)) => (size, "hugepages"),
        _ => return,
    };
    let path = names(["platform", "kernelParams", &lonely.name]);
    let message = format!("kernel parameter {} is set, and {missing} is not", lonely.name);
    raws.push(Raw::new(Check::HugepagesIncomplete, lonely.origin.clone(), path, message));
}

/// What can only be seen of the whole.
pub(in crate::design) fn model(site: &Site, source: &NodeSource, model: &NodeModel, raws: &mut Vec<Raw>) {
    references(site, model, raws);
    fqdn(model, raws);
    out_of_band(site, source, model, raws);
    if is_provisioned(&source.design) {
        gateway(site, model, raws);
        unused_addresses(site, model, raws);
    }
}

fn references(site: &Site, model: &NodeModel, raws: &mut Vec<Raw>) {
    if let Some(rack) = model.rack.as_ref().filter(|rack| !site.racks.knows(site, &rack.value)) {
        let message = format!("rack `{:.100}` is not defined{}", rack.value, site.racks.near(&rack.value));
        raws.push(Raw::new(Check::UndefinedHarmless, rack.origin.clone(), names(["rack"]), message));
    }
    if let Some(network) = model.primary_network.as_ref().filter(|network| !site.networks.knows(site, &network.value)) {
        let near = site.networks.near(&network.value);
        let message =
            format!("network `{:.100}` is not defined{near}; the domain is {}", network.value, model.domain.value);
        raws.push(Raw::new(Check::UndefinedHarmless, network.origin.clone(), names(["primaryNetwork"]), message));
    }
}

fn fqdn(model: &NodeModel, raws: &mut Vec<Raw>) {
    if model.fqdn.chars().count() > FQDN {
        let message = format!("{:.60}… has {} characters; at most {FQDN} are allowed", model.fqdn, model.fqdn.len());
        raws.push(Raw::new(Check::FqdnTooLong, Origin::Node, names([OBJECT_NAME]), message));
    }
    let is_label = |label: &&str| {
        (1..=LABEL).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let message = |whole: &str, label: &str| format!("`{label:.80}` in {whole:.260} is no label of a DNS name");
    if let Some(label) = model.name.split('.').find(|label| !is_label(label)) {
        raws.push(Raw::new(Check::FqdnLabel, Origin::Node, names([OBJECT_NAME]), message(&model.name, label)));
    }
    let domain = &model.domain;
    if let Some(label) = domain.value.split('.').find(|label| !is_label(label)) {
        let message = message(&domain.value, label);
        raws.push(Raw::new(Check::FqdnLabel, domain.origin.clone(), names(["dns", "domain"]), message));
    }
}

fn out_of_band(site: &Site, source: &NodeSource, model: &NodeModel, raws: &mut Vec<Raw>) {
    let oob = &model.out_of_band;
    let Some(type_) = &oob.type_ else { return };
    let mut report = |check: Check, origin: &Origin, path: Vec<String>, message: String| {
        raws.push(Raw::new(check, origin.clone(), path, message));
    };
    let here = || names(["outOfBand", "type"]);
    match type_.value {
        OutOfBandType::Ipmi | OutOfBandType::Redfish => {
            let is_ipmi = type_.value == OutOfBandType::Ipmi;
            let incomplete = if is_ipmi { Check::IpmiIncomplete } else { Check::RedfishIncomplete };
            let unknown = oob.network.as_ref().filter(|network| !site.networks.knows(site, &network.value));
            if let Some(network) = unknown {
                let near = site.networks.near(&network.value);
                let message = format!("network `{:.100}` is not defined{near}", network.value);
                let check = if source.bmc_address.is_some() { Check::UndefinedHarmless } else { Check::Undefined };
                report(check, &network.origin, names(["outOfBand", "network"]), message);
            }
            if oob.credentials.is_none() && !source.has_bmc_credentials {
                report(incomplete, &type_.origin, here(), "there are no credentials for the BMC".into());
            }
            if source.bmc_address.is_some() || unknown.is_some() {
                return;
            }
            let Some(network) = &oob.network else {
                report(incomplete, &type_.origin, here(), "there is no network for the BMC".into());
                return;
            };
            if model.out_of_band_address.is_none() {
                let check = if is_ipmi { Check::IpmiAddress } else { Check::RedfishIncomplete };
                let message = format!("there is no static address on the out-of-band network {:.100}", network.value);
                report(check, &Origin::Node, names(["addressing"]), message);
            }
        }
        OutOfBandType::Libvirt => {
            match &oob.libvirt_uri {
                None => report(Check::LibvirtUri, &type_.origin, here(), "there is no libvirtUri".into()),
                Some(uri) if !uri.value.starts_with("qemu+ssh") => {
                    let message = format!("`{:.100}` does not begin with qemu+ssh", uri.value);
                    report(Check::LibvirtUri, &uri.origin, names(["outOfBand", "libvirtUri"]), message);
                }
                Some(_) => {}
            }
            if source.design.boot_mac.is_none() {
                report(Check::LibvirtBootMac, &Origin::Node, names(["bootMac"]), "there is no bootMac".into());
            }
        }
        OutOfBandType::Manual | OutOfBandType::None => {}
    }
}

fn gateway(site: &Site, model: &NodeModel, raws: &mut Vec<Raw>) {
    let Some(primary) = &model.primary_network else { return };
    let Some(facts) = site.facts(&primary.value).filter(|facts| facts.model.gateway.is_some()) else { return };
    let mut carried = model.network.interfaces.iter().flat_map(|interface| &interface.networks);
    let network = &facts.model.name;
    if !carried.any(|carried| carried.name.value == *network) {
        let message = format!("no interface carries the primary network {network}, so its gateway is out of reach");
        raws.push(Raw::new(Check::GatewayUnreachable, primary.origin.clone(), names(["primaryNetwork"]), message));
    } else if !model.addressing.iter().any(|address| address.network == *network) {
        let message = format!("there is no address on the primary network {network}, so its gateway is out of reach");
        raws.push(Raw::new(Check::GatewayUnreachable, Origin::Node, names(["addressing"]), message));
    }
}

fn unused_addresses(site: &Site, model: &NodeModel, raws: &mut Vec<Raw>) {
    let of_bmc = model.out_of_band.network.as_ref().map(|network| &network.value);
    for address in &model.addressing {
        let network = &address.network;
        let is_managed = site.facts(network).is_some_and(|facts| !facts.is_unmanaged);
        let mut carried = model.network.interfaces.iter().flat_map(|interface| &interface.networks);
        if is_managed && of_bmc != Some(network) && !carried.any(|carried| carried.name.value == *network) {
            let message = format!("no interface carries network {network}");
            raws.push(Raw::new(Check::AddressUnused, Origin::Node, names(["addressing", network]), message));
        }
    }
}
