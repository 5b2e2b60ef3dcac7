//! Network and `NetworkLink`.

use slipway_api::design::{
    BondMode, Bonding, DhcpRelay, Dns, IpRange, Network, NetworkLink, PeerRate, RangeType, Route, TrunkMode, Trunking,
};

use super::documents::Kind;
use super::read::{Field, Fields, Scope};

/// A label whose presence, whatever its value, keeps drydock from configuring a network or link.
const NOT_CONFIGURED: &str = "noconfig";

/// Reads a Network. None without a cidr, which it cannot do without.
pub(super) fn network<'a>(scope: &Scope<'a>, fields: Fields<'a>, name: String) -> Option<Network> {
    let cidr = fields.text(scope, "cidr");
    if cidr.is_none() && fields.get("cidr").is_none_or(|field| field.node.as_text() == Some("")) {
        scope.missing(&fields, "cidr");
    }
    let labels = fields.get("labels").map(|field| scope.loose_pairs(field)).unwrap_or_default();
    let network = Network {
        name,
        cidr: cidr.unwrap_or_default(),
        vlan: fields.get("vlan").and_then(|field| vlan(scope, &field)),
        mtu: fields.number(scope, "mtu"),
        dns: fields.map(scope, "dns").map(|fields| dns(scope, fields)),
        dhcp_relay: fields.map(scope, "dhcp_relay").map(|fields| relay(scope, fields)),
        route_domain: fields.text(scope, "routedomain"),
        routes: fields.list(scope, "routes").into_iter().filter_map(|field| route(scope, &field)).collect(),
        ranges: fields.list(scope, "ranges").into_iter().filter_map(|field| range(scope, &field)).collect(),
        unmanaged: labels.contains_key(NOT_CONFIGURED),
        labels,
    };
    fields.close(scope);
    (!network.cidr.is_empty()).then_some(network)
}

fn vlan(scope: &Scope<'_>, field: &Field<'_>) -> Option<u16> {
    let text = scope.text(field)?;
    let tag = text.trim().parse::<u16>().ok().filter(|tag| *tag <= 4094);
    if tag.is_none() {
        scope.error(field, format!("`{text:.40}` is not a VLAN tag: a number from 0 to 4094"));
    }
    tag
}

/// Servers are one text with commas in drydock.
fn dns<'a>(scope: &Scope<'a>, fields: Fields<'a>) -> Dns {
    let servers = fields.text(scope, "servers").unwrap_or_default();
    let servers = servers.split(',').map(str::trim).filter(|server| !server.is_empty()).map(str::to_owned).collect();
    let dns = Dns { domain: fields.text(scope, "domain"), servers };
    fields.close(scope);
    dns
}

fn relay<'a>(scope: &Scope<'a>, fields: Fields<'a>) -> DhcpRelay {
    let relay =
        DhcpRelay { self_ip: fields.text(scope, "self_ip"), upstream_target: fields.text(scope, "upstream_target") };
    fields.close(scope);
    relay
}

/// A route to a route domain has no effect without a metric.
fn route<'a>(scope: &Scope<'a>, field: &Field<'a>) -> Option<Route> {
    let fields = scope.fields(field.clone())?;
    let mut route = Route {
        subnet: fields.text(scope, "subnet"),
        route_domain: fields.text(scope, "routedomain"),
        gateway: fields.text(scope, "gateway"),
        metric: fields.number(scope, "metric"),
    };
    let domain = fields.get("routedomain").filter(|_| route.metric.is_none() && route.route_domain.is_some());
    fields.close(scope);
    if let Some(domain) = domain.filter(|_| route.gateway.is_some()) {
        let why = "without a metric drydock computes no routes to the route domain";
        if route.subnet.is_none() {
            scope.no_place(field, why);
            return None;
        }
        scope.no_place(&domain, why);
        route.route_domain = None;
    }
    Some(route)
}

/// Types are free text in drydock, and it does nothing with those that it does not know.
fn range<'a>(scope: &Scope<'a>, field: &Field<'a>) -> Option<IpRange> {
    let fields = scope.fields(field.clone())?;
    let [type_, start, end] = ["type", "start", "end"].map(|key| fields.text(scope, key));
    fields.close(scope);
    let type_ = match type_.as_deref() {
        Some("static") => Some(RangeType::Static),
        Some("dhcp") => Some(RangeType::Dhcp),
        Some("reserved") => Some(RangeType::Reserved),
        _ => None,
    };
    let range = type_.zip(start).zip(end).map(|((type_, start), end)| IpRange { type_, start, end });
    if range.is_none() {
        scope.no_place(field, "a range has a start, an end, and one of the types static, dhcp and reserved");
    }
    range
}

/// Reads a `NetworkLink`.
pub(super) fn link<'a>(scope: &Scope<'a>, fields: Fields<'a>, name: String) -> NetworkLink {
    let labels = fields.get("labels").map(|field| scope.loose_pairs(field)).unwrap_or_default();
    let link = NetworkLink {
        name,
        bonding: fields.map(scope, "bonding").map(|fields| bonding(scope, fields)),
        mtu: fields.number(scope, "mtu"),
        link_speed: fields.text(scope, "linkspeed"),
        trunking: fields.map(scope, "trunking").map(|fields| trunking(scope, fields)),
        allowed_networks: fields.references(scope, "allowed_networks", Kind::Network),
        unmanaged: labels.contains_key(NOT_CONFIGURED),
        labels,
    };
    if fields.get("allowed_networks").is_none() {
        scope.missing(&fields, "allowed_networks");
    }
    fields.close(scope);
    link
}

/// Drydock reads only those options that go with the mode.
fn bonding<'a>(scope: &Scope<'a>, fields: Fields<'a>) -> Bonding {
    let modes = [
        ("disabled", BondMode::Disabled),
        ("802.3ad", BondMode::Lacp),
        ("balance-rr", BondMode::BalanceRr),
        ("active-backup", BondMode::ActiveBackup),
    ];
    let mode = fields.get("mode").and_then(|field| scope.model_word(&field, &modes)).unwrap_or_default();
    let read = |key, is_read: bool| {
        let field = fields.get(key)?;
        if !is_read {
            scope.no_place(&field, "the mode of the bond has no use for it, and drydock ignores it");
        }
        is_read.then_some(field)
    };
    let is_bond = mode != BondMode::Disabled;
    let is_lacp = mode == BondMode::Lacp;
    let number = |key| read(key, is_bond).and_then(|field| scope.number(&field));
    let rates = [("fast", PeerRate::Fast), ("slow", PeerRate::Slow)];
    let bonding = Bonding {
        mode,
        hash: read("hash", is_lacp).and_then(|field| scope.text(&field)),
        peer_rate: read("peer_rate", is_lacp).and_then(|field| scope.model_word(&field, &rates)),
        mon_rate: number("mon_rate"),
        up_delay: number("up_delay"),
        down_delay: number("down_delay"),
    };
    fields.close(scope);
    bonding
}

fn trunking<'a>(scope: &Scope<'a>, fields: Fields<'a>) -> Trunking {
    let modes = [("disabled", TrunkMode::Disabled), ("802.1q", TrunkMode::Dot1q)];
    let trunking = Trunking {
        mode: fields.get("mode").and_then(|field| scope.model_word(&field, &modes)).unwrap_or_default(),
        default_network: fields.reference(scope, "default_network", Kind::Network),
    };
    fields.close(scope);
    trunking
}
