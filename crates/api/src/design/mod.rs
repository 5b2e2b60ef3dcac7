//! Design: a whole site, and what its Nodes are to be.
//!
//! Parts that are looked up by name are lists with a `name` and not maps: an API server keeps no order of map keys, and
//! the order of interfaces, routes and kernel parameters matters. A leading `!` takes away what a parent profile gives:
//! `!bond0` as the name of an interface, `!private` in a list of networks, `!` alone as a value.

mod boot_action;
mod hardware;
mod host;
mod network;
mod node;
mod rollout;
mod status;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use boot_action::{Asset, AssetType, BootAction, LocationStep, Package, PipelineStep};
pub use hardware::{BootMode, BootstrapProtocol, CpuSet, Device, HardwareProfile, Hugepages};
pub use host::{
    Disk, Filesystem, HostProfile, Interface, KernelParam, LogicalVolume, Metadata, OutOfBand, OutOfBandCredentials,
    OutOfBandType, Partition, Platform, Sriov, Storage, VolumeGroup,
};
pub use network::{
    BondMode, Bonding, DhcpRelay, Dns, IpRange, Network, NetworkLink, PeerRate, Rack, RangeType, Route, Switch,
    TrunkMode, Trunking,
};
pub use node::{Address, NodeDesign};
pub use rollout::{FilterOperator, NodeFilter, NodeFilterSet, Rollout, RolloutGroup, RolloutRetry};
pub use status::{
    CompiledModel, DesignFinding, FailedNode, FindingSeverity, GroupState, GroupStatus, NodeCounts, NodeDesignStatus,
    NodeInProgress, RolloutStatus,
};

use crate::refs::{KeyRef, LocalRef};

/// A site: its networks, racks, profiles and boot actions, and the order of its rollout.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "slipway.dev",
    version = "v1alpha1",
    kind = "Design",
    plural = "designs",
    shortname = "dsn",
    category = "slipway",
    namespaced,
    status = "DesignStatus",
    derive = "PartialEq",
    doc = "A site: its networks, racks, profiles and boot actions, and the order of its rollout. Nodes follow it.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Nodes", type_ = "integer", json_path = ".status.nodes.total"),
    printcolumn(name = "NodesReady", type_ = "integer", json_path = ".status.nodes.ready"),
    printcolumn(name = "NodesFailed", type_ = "integer", json_path = ".status.nodes.failed"),
    printcolumn(name = "Model", type_ = "string", json_path = ".status.model.hash", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DesignSpec {
    /// Further parts of this site, for sites too large for one object. A name may be defined in one of them only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub include: Vec<IncludeSource>,

    /// The MAAS that deploys the Nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maas: Option<Maas>,

    /// Domain and servers of networks that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,

    /// Public SSH keys that every Node accepts, each as one line of an authorized_keys file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorized_keys: Vec<String>,

    /// Package repositories of every Node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub repositories: Vec<Repository>,

    /// Remove every package repository that is not listed here, the distribution's own archives excepted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remove_unlisted_repositories: bool,

    /// Tags that a Node gets from what its hardware shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub tag_definitions: Vec<TagDefinition>,

    /// The layer-3 networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub networks: Vec<Network>,

    /// The layer-2 links that networks travel on: bonding, trunking, allowed networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub network_links: Vec<NetworkLink>,

    /// The racks, with their switches and labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub racks: Vec<Rack>,

    /// Kinds of machine: names for their devices, CPU sets, huge pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub hardware_profiles: Vec<HardwareProfile>,

    /// What hosts have in common: interfaces, storage, platform. One may extend another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub host_profiles: Vec<HostProfile>,

    /// What happens on a Node at its first boot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub boot_actions: Vec<BootAction>,

    /// In which order, and how many at a time, Nodes and what runs on them may be disrupted. Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,

    /// Stop all action on the Nodes of this site; keep validating.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,

    /// What deletion of this Design does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<DesignDeletion>,
}

/// Where a further part of a site is. Exactly one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum IncludeSource {
    /// Another Design of this namespace.
    DesignRef(LocalRef),
    /// A key of a ConfigMap with the fields of a Design's `spec`, as YAML.
    ConfigMapKeyRef(KeyRef),
}

/// Where MAAS is, and how to log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Maas {
    /// Address of the server, e.g. `http://maas.lab:5240/MAAS`.
    #[schemars(length(min = 1, max = 512))]
    pub url: String,
    /// The API key `consumer:token:secret`.
    pub api_key: MaasApiKey,
}

/// Where the API key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MaasApiKey {
    /// Key of a Secret of this namespace.
    pub secret_ref: KeyRef,
}

/// A package repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Repository {
    /// Name of the repository. `main_archive` and `ports_archive` are the distribution's own.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Kind of packages.
    #[serde(rename = "type")]
    pub type_: RepositoryType,
    /// Address of the repository.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,
    /// Architectures. Default: `amd64`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arches: Vec<String>,
    /// Distributions, e.g. `jammy`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub distributions: Vec<String>,
    /// Pockets that are on; of `security`, `updates` and `backports`, those not listed are disabled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subrepos: Vec<String>,
    /// Components that are on, e.g. `main`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    /// Public key that signs the repository, armoured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpg_key: Option<String>,
    /// Further options.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub options: std::collections::BTreeMap<String, String>,
}

/// Kind of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum RepositoryType {
    Apt,
    Rpm,
}

/// A tag that hardware gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TagDefinition {
    /// The tag.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// XPath expression over the XML that `lshw` writes; a machine that it matches has the tag.
    #[schemars(length(min = 1, max = 4096))]
    pub definition: String,
}

/// What deletion of a Design does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DesignDeletion {
    /// How long deletion waits for the Nodes that still use the Design, as a duration. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = crate::DURATION))]
    pub timeout: Option<String>,
}

/// What was last found true of the site.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DesignStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The Nodes of the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodeCounts>,

    /// The model that the Nodes run on: the last one without errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<CompiledModel>,

    /// What is wrong with the site, the worst first; at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<DesignFinding>,

    /// Number of findings that are not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings_not_shown: Option<u32>,

    /// The groups of the rollout, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub groups: Vec<GroupStatus>,

    /// What the rollout has on record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,

    /// Ready, Reconciling, Stalled (kstatus).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
