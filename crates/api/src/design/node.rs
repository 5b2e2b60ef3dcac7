//! The part of a Node's spec that its Design gives a meaning to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Interface, Metadata, OutOfBand, Platform, Storage};
use crate::refs::LocalRef;

/// A Node's place in a Design, and what it overrides of its host profile.
///
/// Flattened into `Node.spec`, which refuses the fields that neither of them knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeDesign {
    /// The site that this Node belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design_ref: Option<LocalRef>,
    /// Host profile of the Design that this Node follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host_profile: Option<String>,
    /// Hardware profile of the machine, instead of the host profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub hardware_profile: Option<String>,
    /// Network whose default gateway and domain the host has, instead of the host profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub primary_network: Option<String>,
    /// Rack that the machine is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub rack: Option<String>,
    /// Addresses of the Node, one for each network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addressing: Vec<Address>,
    /// MAC address of the port that the machine boots from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub boot_mac: Option<String>,
    /// How the machine is managed while it is off: what differs from the host profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_band: Option<OutOfBand>,
    /// Interfaces that differ from the host profile's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub interfaces: Vec<Interface>,
    /// Disks and volume groups that differ from the host profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// What differs from the host profile's operating system and kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Tags, owner data and labels beside those of the host profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// An address on a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Address {
    /// Network of the Design.
    #[schemars(length(min = 1, max = 253))]
    pub network: String,
    /// An address of the network, or `dhcp`.
    #[schemars(length(min = 1, max = 64))]
    pub address: String,
}
