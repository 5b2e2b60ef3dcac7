//! Networks, the links that they travel on, and racks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A layer-3 network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// Name of the network.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Addresses of the network, e.g. `172.16.1.0/24`; no bit beyond the prefix may be set.
    #[schemars(length(min = 1, max = 64))]
    pub cidr: String,
    /// VLAN tag. Absent or 0: untagged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4094))]
    pub vlan: Option<u16>,
    /// Largest packet, in bytes. Default: that of the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Domain and servers. A Node's domain is that of its primary network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
    /// Where DHCP requests of this network are relayed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcp_relay: Option<DhcpRelay>,
    /// Networks of one route domain reach each other: each gets a route to every other one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub route_domain: Option<String>,
    /// Static routes of hosts on this network. The first one to `0.0.0.0/0` or `::/0` is the default gateway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// What the addresses are for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<IpRange>,
    /// Free labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Somebody else makes this network; that it exists is not checked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unmanaged: bool,
}

/// Domain and name servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dns {
    /// DNS domain. Default: `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub domain: Option<String>,
    /// Addresses of the name servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
}

/// A DHCP relay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DhcpRelay {
    /// Address of the relay on this network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_ip: Option<String>,
    /// Address of the server that requests go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_target: Option<String>,
}

/// A static route, or a template for those of a route domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// Destination, e.g. `0.0.0.0/0`. Exactly one of subnet and routeDomain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// Route domain whose networks are the destinations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_domain: Option<String>,
    /// Next hop; an address of this network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Metric; the smallest wins. Default: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub metric: Option<u32>,
}

/// A range of addresses, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IpRange {
    /// Static: for addresses that Nodes name. Dhcp: for leases. Reserved: for others.
    #[serde(rename = "type")]
    pub type_: RangeType,
    /// First address.
    #[schemars(length(min = 1, max = 64))]
    pub start: String,
    /// Last address.
    #[schemars(length(min = 1, max = 64))]
    pub end: String,
}

/// What a range is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum RangeType {
    Static,
    Dhcp,
    Reserved,
}

/// A layer-2 link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkLink {
    /// Name of the link.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// How several ports act as one. Default: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bonding: Option<Bonding>,
    /// Largest packet, in bytes. Default: 1500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Speed, e.g. `10000full`. Default: `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub link_speed: Option<String>,
    /// How several networks share the link. Default: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunking: Option<Trunking>,
    /// Networks that may travel on this link. A network travels on one link only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_networks: Vec<String>,
    /// Free labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Somebody else configures this link, on the switches and on the Nodes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unmanaged: bool,
}

/// How several ports act as one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bonding {
    /// Mode of the bond, in the kernel's words. Default: disabled.
    #[serde(default)]
    pub mode: BondMode,
    /// How traffic is spread, for 802.3ad. Default: `layer3+4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub hash: Option<String>,
    /// How often the switch is asked to send LACP packets, for 802.3ad. Default: fast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_rate: Option<PeerRate>,
    /// How often the link is checked, in ms. Default: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mon_rate: Option<u32>,
    /// How long a port that came up is not used, in ms; at least monRate. Default: 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_delay: Option<u32>,
    /// How long a port that went down is still used, in ms; at least monRate. Default: 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_delay: Option<u32>,
}

/// Mode of a bond, in the words of the Linux kernel (Documentation/networking/bonding.rst).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum BondMode {
    #[default]
    #[serde(rename = "disabled")]
    Disabled,
    #[serde(rename = "802.3ad")]
    Lacp,
    #[serde(rename = "balance-rr")]
    BalanceRr,
    #[serde(rename = "active-backup")]
    ActiveBackup,
}

/// How often LACP packets are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum PeerRate {
    Fast,
    Slow,
}

/// How several networks share a link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trunking {
    /// disabled: one network, untagged. 802.1q: several, by VLAN tag.
    #[serde(default)]
    pub mode: TrunkMode,
    /// The network that travels untagged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub default_network: Option<String>,
}

/// How networks are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum TrunkMode {
    #[default]
    #[serde(rename = "disabled")]
    Disabled,
    #[serde(rename = "802.1q")]
    Dot1q,
}

/// A rack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rack {
    /// Name of the rack.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its switches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub switches: Vec<Switch>,
    /// Where it stands, in words of your own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub location: BTreeMap<String, String>,
    /// Networks that do not leave the rack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub local_networks: Vec<String>,
    /// Labels that node filters can ask for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A top-of-rack switch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Switch {
    /// Name of the switch.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Address of its management port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management_ip: Option<String>,
    /// Address of the API that configures it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdn_api_uri: Option<String>,
}
