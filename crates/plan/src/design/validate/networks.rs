//! Networks: addresses, ranges, routes, MTU.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;
use slipway_api::design::{Network, RangeType};

use super::Spot;
use crate::design::model::LinkModel;
use crate::design::rules::Check;
use crate::design::site::{NetworkFacts, Site, parse_net};
use crate::finding::Finding;

/// drydock `MtuRational`.
const MTU: std::ops::RangeInclusive<u32> = 1280..=65536;

pub(super) fn check(site: &Site, findings: &mut Vec<Finding>) {
    let is_whole = site.sources.iter().all(|source| source.broken.findings().is_empty()) && !site.lacks_parts();
    if site.networks.all.is_empty() && is_whole {
        for check in [Check::NoNetworks, Check::NoCidrs] {
            findings.push(check.at(site.object(), site.base(), "the site has no networks"));
        }
    }
    let domains: HashSet<&str> =
        site.networks.all.iter().filter_map(|(_, at)| site.network(*at).route_domain.as_deref()).collect();
    // It may be the domain of one that could not be read.
    let knows_domains = !site.lacks_parts() && !site.is_unread("networks");
    let natives = natives(site);
    for (name, at) in &site.networks.all {
        let Some(spot) = site.networks.spot(site, name) else { continue };
        let network = site.network(*at);
        let Some(facts) = site.facts(name) else { continue };
        cidr(network, &spot, findings);
        mtu(network.mtu, &spot, findings);
        mtu_of_link(site, network, (facts, natives.get(&**name).copied()), &spot, findings);
        destinations(network, knows_domains.then_some(&domains), &spot, findings);
        gateways(network, facts, &spot, findings);
        ranges(network, facts, &spot, findings);
        relay(network, &spot, findings);
    }
}

fn cidr(network: &Network, spot: &Spot<'_>, findings: &mut Vec<Finding>) {
    match parse_net(&network.cidr) {
        None => {
            let message = format!("network {}: `{:.64}` is no network", network.name, network.cidr);
            findings.push(spot.find(Check::CidrInvalid, "cidr", message));
        }
        Some(net) if net.addr() != net.network() => {
            let message = format!("network {}: {} has bits set beyond its prefix", network.name, network.cidr);
            let finding = spot.find(Check::CidrHostBits, "cidr", message);
            findings.push(finding.hint(format!("write {}", net.trunc())));
        }
        Some(_) => {}
    }
}

/// The MTU of a network or link by itself.
pub(super) fn mtu(mtu: Option<u32>, spot: &Spot<'_>, findings: &mut Vec<Finding>) {
    if let Some(mtu) = mtu.filter(|mtu| !MTU.contains(mtu)) {
        let message = format!("an MTU of {mtu} is not between {} and {}", MTU.start(), MTU.end());
        findings.push(spot.find(Check::MtuOutOfRange, "mtu", message));
    }
}

/// Links by their default network; of several the one with the least MTU.
fn natives(site: &Site) -> HashMap<&str, &LinkModel> {
    let mut natives: HashMap<&str, &LinkModel> = HashMap::new();
    for link in site.links.all.iter().filter_map(|(name, _)| site.link_model(name)) {
        if let Some(network) = link.default_network.as_deref() {
            let least = natives.entry(network).or_insert(link);
            if link.mtu.value < least.mtu.value {
                *least = link;
            }
        }
    }
    natives
}

fn mtu_of_link(
    site: &Site,
    network: &Network,
    (facts, native): (&NetworkFacts, Option<&LinkModel>),
    spot: &Spot<'_>,
    findings: &mut Vec<Finding>,
) {
    let tagged = || facts.model.link.as_deref().and_then(|link| site.link_model(link));
    let (Some(mtu), Some(link)) = (network.mtu, native.or_else(tagged)) else { return };
    if site.links.is_unread(site, &link.name, "mtu") {
        return;
    }
    if mtu > link.mtu.value {
        let check = if native.is_some() { Check::MtuAboveLink } else { Check::TaggedMtuAboveLink };
        let (name, of_link) = (&network.name, link.mtu.value);
        let message = format!("network {name} has an MTU of {mtu}, and its link {} one of {of_link}", link.name);
        findings.push(spot.find(check, "mtu", message));
    }
}

/// Where routes lead.
fn destinations(network: &Network, domains: Option<&HashSet<&str>>, spot: &Spot<'_>, findings: &mut Vec<Finding>) {
    let name = &network.name;
    for (index, route) in network.routes.iter().enumerate() {
        let is_unread = |field: &str| spot.is_unread(&format!("routes[{index}].{field}"));
        let (check, field, message) = match (&route.subnet, &route.route_domain) {
            (Some(subnet), _) if parse_net(subnet).is_none() => {
                let message = format!("a route of network {name}: `{subnet:.64}` is no network");
                (Check::RouteWithoutDestination, ".subnet", message)
            }
            (None, None) if is_unread("subnet") || is_unread("routeDomain") => continue,
            (None, None) => (Check::RouteWithoutDestination, "", format!("a route of network {name} leads nowhere")),
            (None, Some(domain)) if domains.is_some_and(|domains| !domains.contains(domain.as_str())) => {
                (Check::RouteDomainEmpty, ".routeDomain", format!("no network is in route domain `{domain:.100}`"))
            }
            _ => continue,
        };
        findings.push(spot.find(check, &format!("routes[{index}]{field}"), message));
    }
}

/// The next hops of routes.
fn gateways(network: &Network, facts: &NetworkFacts, spot: &Spot<'_>, findings: &mut Vec<Finding>) {
    let name = &network.name;
    for (index, route) in network.routes.iter().enumerate() {
        let field = format!("routes[{index}].gateway");
        let Some(gateway) = route.gateway.as_deref().filter(|gateway| !gateway.is_empty()) else {
            if !spot.is_unread(&field) {
                let message = format!("a route of network {name} has no gateway");
                findings.push(spot.find(Check::RouteWithoutGateway, &format!("routes[{index}]"), message));
            }
            continue;
        };
        let Ok(gateway) = gateway.parse::<IpAddr>() else {
            findings.push(spot.find(Check::AddressUnreadable, &field, format!("`{gateway:.64}` is no address")));
            continue;
        };
        let Some(cidr) = facts.model.cidr else { continue };
        let leases = |range: &&crate::design::site::Range| range.type_ == RangeType::Dhcp && range.holds(gateway);
        let (check, message) = if !cidr.contains(&gateway) {
            (Check::GatewayOutside, format!("gateway {gateway} is not in network {name} ({cidr})"))
        } else if let Some(why) = not_for_hosts(gateway, cidr) {
            (Check::GatewayNotForHosts, format!("gateway {gateway} is {why} of network {name} ({cidr})"))
        } else if let Some(range) = facts.ranges.iter().find(leases) {
            let (start, end) = (range.start, range.end);
            (Check::GatewayNotForHosts, format!("gateway {gateway} lies in a range for leases, {start} to {end}"))
        } else {
            continue;
        };
        findings.push(spot.find(check, &field, message));
    }
}

/// Why an address of a network cannot be a host's (RFC 1122 3.2.1.3; RFC 3021 frees /31, and IPv6 has no broadcast).
pub(super) fn not_for_hosts(address: IpAddr, cidr: IpNet) -> Option<&'static str> {
    let IpNet::V4(net) = cidr else { return None };
    if net.prefix_len() >= 31 {
        None
    } else if address == IpAddr::V4(net.network()) {
        Some("the address of the whole")
    } else if address == IpAddr::V4(net.broadcast()) {
        Some("the broadcast address")
    } else {
        None
    }
}

fn ranges(network: &Network, facts: &NetworkFacts, spot: &Spot<'_>, findings: &mut Vec<Finding>) {
    let name = &network.name;
    let mut readable: Vec<(IpAddr, IpAddr, usize)> = Vec::new();
    for (index, range) in network.ranges.iter().enumerate() {
        let invalid = match (range.start.parse::<IpAddr>(), range.end.parse::<IpAddr>()) {
            (Ok(start), Ok(end)) if start > end || start.is_ipv4() != end.is_ipv4() => {
                Some(format!("a range of network {name} begins at {start} and ends before, at {end}"))
            }
            (Ok(start), Ok(end)) => {
                readable.push((start, end, index));
                let outside = facts.model.cidr.filter(|cidr| !cidr.contains(&start) || !cidr.contains(&end));
                outside.map(|cidr| format!("the range {start} to {end} is not in network {name} ({cidr})"))
            }
            _ => {
                let (start, end) = (&range.start, &range.end);
                Some(format!("a range of network {name}: {start:.64} to {end:.64} are not two addresses"))
            }
        };
        if let Some(message) = invalid {
            findings.push(spot.find(Check::RangeInvalid, &format!("ranges[{index}]"), message));
        }
    }
    readable.sort_unstable();
    let mut widest: Option<(IpAddr, IpAddr, usize)> = None;
    for (start, end, index) in readable {
        if let Some((other_start, other_end, other)) = widest
            && start.is_ipv4() == other_end.is_ipv4()
            && start <= other_end
        {
            let later = index.max(other);
            let message =
                format!("network {name}: the ranges {other_start} to {other_end} and {start} to {end} overlap");
            findings.push(spot.find(Check::RangeOverlap, &format!("ranges[{later}]"), message));
        }
        if widest.is_none_or(|(_, other_end, _)| end > other_end) {
            widest = Some((start, end, index));
        }
    }
}

/// Addresses of DHCP relays.
fn relay(network: &Network, spot: &Spot<'_>, findings: &mut Vec<Finding>) {
    let Some(relay) = &network.dhcp_relay else { return };
    for (field, address) in [("selfIp", &relay.self_ip), ("upstreamTarget", &relay.upstream_target)] {
        if let Some(address) = address.as_ref().filter(|address| address.parse::<IpAddr>().is_err()) {
            let message = format!("`{address:.100}` is no address");
            findings.push(spot.find(Check::RelayTarget, &format!("dhcpRelay.{field}"), message));
        }
    }
}

/// Networks that share addresses: found in one walk over all of them by their first address.
pub(super) fn overlaps(site: &Site, findings: &mut Vec<Finding>) {
    let mut networks: Vec<(IpAddr, IpAddr, usize)> = Vec::new();
    for (number, (name, _)) in site.networks.all.iter().enumerate() {
        if let Some(cidr) = site.facts(name).and_then(|facts| facts.model.cidr) {
            networks.push((cidr.network(), cidr.broadcast(), number));
        }
    }
    networks.sort_by_key(|(first, last, number)| (*first, Reverse(*last), *number));
    let mut widest: Option<(IpAddr, usize)> = None;
    for (first, last, number) in networks {
        if let Some((end, other)) = widest
            && first.is_ipv4() == end.is_ipv4()
            && first <= end
        {
            let name = |number: usize| &site.networks.all[number].0;
            let (later, earlier) = (name(number.max(other)), name(number.min(other)));
            if let Some(spot) = site.networks.spot(site, later) {
                let message = format!("networks {earlier} and {later} overlap");
                findings.push(spot.find(Check::NetworksOverlap, "cidr", message));
            }
        }
        if widest.is_none_or(|(end, _)| last > end) {
            widest = Some((last, number));
        }
    }
}
