//! The effective model: what each Node of a site is to be, with nothing left to inherit, default or look up.
//!
//! Serialised it is the documented JSON of `slipway compile`: field names are those of the Design, keyed parts are lists
//! with a `name` in their effective order, and what is not set is left out. Parts that Nodes have in common are shared.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Serialize, Serializer};
use slipway_api::design::{
    BondMode, BootAction, Dns, IpRange, OutOfBandType, PeerRate, Rack, Repository, TagDefinition, TrunkMode,
};

/// A text that many values share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Arc<str>);

impl Default for Text {
    fn default() -> Self {
        Self::from("")
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

/// Serialises what is shared as if it were not.
fn shared<T: Serialize + ?Sized, S: Serializer>(value: &Arc<T>, serializer: S) -> Result<S::Ok, S::Error> {
    T::serialize(value, serializer)
}

/// Who says so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Nobody: it is the default.
    Default,
    /// The Node itself.
    Node,
    /// A host profile, by name.
    HostProfile(Text),
    /// A hardware profile, by name.
    HardwareProfile(Text),
    /// A network, by name.
    Network(Text),
    /// A network link, by name.
    NetworkLink(Text),
    /// The Design as a whole.
    Design,
}

/// A value, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Sourced<T> {
    pub value: T,
    pub origin: Origin,
}

impl<T> Sourced<T> {
    /// A value of an origin.
    pub fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }
}

impl<T: Serialize> Serialize for Sourced<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

/// Keys with values.
pub type Pairs = BTreeMap<Text, Sourced<Text>>;

/// What a Node is to be.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeModel {
    /// Name of the Node.
    pub name: Text,
    /// DNS domain: that of the primary network, else of the site, else `local`.
    pub domain: Sourced<Text>,
    /// Name with domain.
    pub fqdn: String,
    /// Host profile that it follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_profile: Option<Sourced<Text>>,
    /// Hardware profile of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware_profile: Option<Sourced<Text>>,
    /// Rack that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rack: Option<Sourced<Text>>,
    /// MAC address of the port that it boots from, in lower case with colons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_mac: Option<Sourced<Text>>,
    /// How it is managed while it is off.
    #[serde(serialize_with = "shared")]
    pub out_of_band: Arc<OutOfBandModel>,
    /// Address of its BMC: the one on the out-of-band network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_of_band_address: Option<IpAddr>,
    /// Network whose default gateway and domain it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_network: Option<Sourced<Text>>,
    /// Interfaces, routes and the default gateway.
    #[serde(flatten, serialize_with = "shared")]
    pub network: Arc<NetworkConfig>,
    /// Its addresses, in the order in which they are written.
    pub addressing: Vec<AddressModel>,
    /// Disks and volume groups.
    #[serde(serialize_with = "shared")]
    pub storage: Arc<StorageModel>,
    /// Operating system and kernel.
    #[serde(serialize_with = "shared")]
    pub platform: Arc<PlatformModel>,
    /// Tags, owner data and labels.
    pub metadata: MetadataModel,
    /// Boot actions that it is in the scope of, in their order in the Design.
    pub boot_actions: Vec<Text>,
}

/// How a machine is managed while it is off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // Each field is that of the Design.
pub struct OutOfBandModel {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<Sourced<OutOfBandType>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Sourced<Text>>,
    /// Name of the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Sourced<Text>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub libvirt_uri: Option<Sourced<Text>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: Pairs,
}

/// Interfaces and routes; shared by Nodes of one profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkConfig {
    /// Interfaces, in their order.
    pub interfaces: Vec<InterfaceModel>,
    /// Static routes of the networks on the interfaces, computed ones included; the default route is not among them.
    pub routes: Vec<NodeRoute>,
    /// Default gateway: that of the primary network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Sourced<IpAddr>>,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct InterfaceModel {
    pub name: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<Sourced<Text>>,
    /// Somebody else configures it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unmanaged: bool,
    /// Of the link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Sourced<u32>>,
    /// Of the link; absent when the ports are not bonded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bonding: Option<BondingModel>,
    pub slaves: Vec<PortModel>,
    pub networks: Vec<NetworkOnInterface>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sriov: Option<SriovModel>,
    #[serde(skip)]
    pub origin: Origin,
}

/// A port of an interface, and how to find it on the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PortModel {
    /// The name that is written: of a device of the hardware profile, or of the kernel.
    pub name: Sourced<Text>,
    /// Bus and address, for a device of the hardware profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Sourced<DeviceModel>>,
}

/// Where a device is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct DeviceModel {
    pub bus_type: Text,
    pub address: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_type: Option<Text>,
}

/// A network on an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkOnInterface {
    /// Name of the network.
    pub name: Sourced<Text>,
    /// VLAN tag; absent when it travels untagged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<Sourced<u16>>,
    /// The network's own MTU, else that of the link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Sourced<u32>>,
}

/// Virtual functions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct SriovModel {
    pub vf_count: Sourced<u32>,
    pub trusted: Sourced<bool>,
}

/// A static route of a Node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeRoute {
    /// Network that has the route.
    pub network: Text,
    /// Destination, next hop and metric.
    #[serde(flatten)]
    pub route: RouteModel,
}

/// A static route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct RouteModel {
    pub subnet: IpNet,
    pub gateway: IpAddr,
    pub metric: u32,
    /// The route domain that it was computed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_domain: Option<Text>,
    #[serde(skip)]
    pub origin: Origin,
}

/// An address of a Node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressModel {
    /// Name of the network.
    pub network: Text,
    /// The address, or `dhcp`.
    pub address: AddressKind,
}

/// How a Node comes by an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AddressKind {
    Dhcp,
    Static(IpAddr),
}

impl Serialize for AddressKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Dhcp => serializer.serialize_str("dhcp"),
            Self::Static(address) => address.serialize(serializer),
        }
    }
}

/// Disks and volume groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct StorageModel {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<DiskModel>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_groups: Vec<VolumeGroupModel>,
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct DiskModel {
    pub name: Text,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Pairs,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_group: Option<Sourced<Text>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<PartitionModel>,
    #[serde(skip)]
    pub origin: Origin,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct PartitionModel {
    pub name: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Sourced<Text>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Sourced<Text>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Pairs,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootable: Option<Sourced<bool>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_group: Option<Sourced<Text>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<FilesystemModel>,
    #[serde(skip)]
    pub origin: Origin,
}

/// A file system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct FilesystemModel {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mountpoint: Option<Sourced<Text>>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<Sourced<Text>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_options: Option<Sourced<Text>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Sourced<Text>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Sourced<Text>>,
}

/// A volume group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct VolumeGroupModel {
    pub name: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Sourced<Text>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logical_volumes: Vec<LogicalVolumeModel>,
    #[serde(skip)]
    pub origin: Origin,
}

/// A logical volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct LogicalVolumeModel {
    pub name: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Sourced<Text>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Sourced<Text>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<FilesystemModel>,
    #[serde(skip)]
    pub origin: Origin,
}

/// Operating system and kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct PlatformModel {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Sourced<Text>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Sourced<Text>>,
    /// With references to the hardware profile looked up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kernel_params: Vec<KernelParamModel>,
    /// The parameters as the kernel is given them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kernel_command_line: String,
}

/// A kernel parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KernelParamModel {
    /// Its name.
    pub name: Text,
    /// Its value; absent for a flag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Text>,
    /// Who set the parameter.
    #[serde(skip)]
    pub origin: Origin,
    /// The hardware profile that the value was taken from.
    #[serde(skip)]
    pub through: Option<Text>,
}

/// Tags, owner data and labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct MetadataModel {
    #[serde(serialize_with = "shared", skip_serializing_if = "<[_]>::is_empty")]
    pub tags: Arc<[Sourced<Text>]>,
    #[serde(serialize_with = "shared", skip_serializing_if = "is_empty_pairs")]
    pub owner_data: Arc<Pairs>,
    #[serde(serialize_with = "shared", skip_serializing_if = "is_empty_pairs")]
    pub labels: Arc<Pairs>,
}

fn is_empty_pairs(pairs: &Arc<Pairs>) -> bool {
    pairs.is_empty()
}

/// What a site's Nodes have in common.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct SiteModel {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorized_keys: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<Repository>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub remove_unlisted_repositories: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tag_definitions: Vec<TagDefinition>,
    pub networks: Vec<NetworkModel>,
    pub network_links: Vec<LinkModel>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub racks: Vec<Rack>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub boot_actions: Vec<BootAction>,
}

/// A network with its defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct NetworkModel {
    pub name: Text,
    /// Absent if it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidr: Option<IpNet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// Its own, else that of its link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Sourced<u32>>,
    /// The link that it travels on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<Text>,
    pub dns: Dns,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dhcp_relay_target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_domain: Option<Text>,
    /// Without the default route; with those of its route domains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteModel>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<IpRange>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unmanaged: bool,
}

/// A link with its defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct LinkModel {
    pub name: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bonding: Option<BondingModel>,
    pub mtu: Sourced<u32>,
    pub link_speed: Text,
    pub trunking: TrunkMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_network: Option<Text>,
    pub allowed_networks: Vec<Text>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unmanaged: bool,
}

/// A bond with its defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct BondingModel {
    pub mode: BondMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_rate: Option<PeerRate>,
    pub mon_rate: u32,
    pub up_delay: u32,
    pub down_delay: u32,
}
