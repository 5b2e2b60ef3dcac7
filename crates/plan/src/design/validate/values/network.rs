//! Networks, links and racks.

use std::net::IpAddr;

use slipway_api::DesignSpec;
use slipway_api::design::{Network, NetworkLink, Rack, Route};

use super::Written;
use super::formats::{is_address, is_domain, is_link_speed, is_url};
use crate::design::rules::Check;
use crate::design::site::parse_net;
use crate::design::source::join;

/// The largest VLAN tag (IEEE 802.1Q; 4095 is reserved).
const VLAN: u16 = 4094;
/// `xmit_hash_policy` of the kernel (Documentation/networking/bonding.rst).
const HASHES: [&str; 6] = ["layer2", "layer2+3", "layer3+4", "encap2+3", "encap3+4", "vlan+srcmac"];

pub(super) fn check(spec: &DesignSpec, base: &str, written: &mut Written<'_>) {
    let [networks, links, racks] = ["networks", "networkLinks", "racks"].map(|list| join(base, list));
    written.nameless(&networks, spec.networks.iter().map(|part| part.name.as_str()));
    written.nameless(&links, spec.network_links.iter().map(|part| part.name.as_str()));
    written.nameless(&racks, spec.racks.iter().map(|part| part.name.as_str()));
    for (index, one) in spec.networks.iter().enumerate() {
        network(one, &format!("{networks}[{index}]"), written);
    }
    for (index, one) in spec.network_links.iter().enumerate() {
        link(one, &format!("{links}[{index}]"), written);
    }
    for (index, one) in spec.racks.iter().enumerate() {
        rack(one, &format!("{racks}[{index}]"), written);
    }
}

fn network(network: &Network, path: &str, written: &mut Written<'_>) {
    if let Some(vlan) = network.vlan.filter(|vlan| *vlan > VLAN) {
        written.tell(Check::VlanInvalid, join(path, "vlan"), format!("a VLAN tag of {vlan} is above {VLAN}"));
    }
    if let Some(dns) = &network.dns {
        if let Some(domain) = dns.domain.as_ref().filter(|domain| !is_domain(domain)) {
            written.wrong(Check::DomainInvalid, join(path, "dns.domain"), domain, "is no domain");
        }
        written.each(Check::NameServer, &join(path, "dns.servers"), &dns.servers, is_address, "is no address");
    }
    for (index, one) in network.routes.iter().enumerate() {
        route(one, &network.name, &join(path, &format!("routes[{index}].subnet")), written);
    }
}

/// Where a route of a network leads.
fn route(route: &Route, network: &str, path: &str, written: &mut Written<'_>) {
    let Some(text) = &route.subnet else { return };
    let Some(subnet) = parse_net(text) else { return };
    if subnet.addr() != subnet.network() {
        let message = format!("a route of network {network}: {text} has bits set beyond its prefix");
        let finding = Check::RouteHostBits.at(written.object, path, message);
        written.findings.push(finding.hint(format!("write {}", subnet.trunc())));
    } else if let Some(gateway) = route.gateway.as_deref().and_then(|text| text.parse::<IpAddr>().ok())
        && gateway.is_ipv4() != subnet.addr().is_ipv4()
    {
        written.tell(
            Check::RouteFamily,
            path,
            format!("a route of network {network}: {gateway} is no next hop to {subnet}"),
        );
    }
}

fn link(link: &NetworkLink, path: &str, written: &mut Written<'_>) {
    if let Some(speed) = link.link_speed.as_ref().filter(|speed| !is_link_speed(speed)) {
        written.wrong(Check::LinkSpeed, join(path, "linkSpeed"), speed, "is no speed");
    }
    let hash = link.bonding.as_ref().and_then(|bonding| bonding.hash.as_deref());
    if let Some(hash) = hash.filter(|hash| !HASHES.contains(hash)) {
        let what = format!("is none of {}", HASHES.join(", "));
        written.wrong(Check::BondHash, join(path, "bonding.hash"), hash, what);
    }
}

fn rack(rack: &Rack, path: &str, written: &mut Written<'_>) {
    let switches = join(path, "switches");
    written.parts(&switches, rack.switches.iter().map(|switch| switch.name.as_str()));
    for (index, switch) in rack.switches.iter().enumerate() {
        let path = format!("{switches}[{index}]");
        if let Some(address) = switch.management_ip.as_ref().filter(|address| !is_address(address)) {
            written.wrong(Check::SwitchAddress, join(&path, "managementIp"), address, "is no address");
        }
        if let Some(uri) = switch.sdn_api_uri.as_ref().filter(|uri| !is_url(uri)) {
            written.wrong(Check::SwitchUri, join(&path, "sdnApiUri"), uri, "is no URL");
        }
    }
}
