//! Boot actions: what happens on a Node at its first boot.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::NodeFilterSet;

/// What happens on a Node at its first boot: files, systemd units and packages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BootAction {
    /// Name of the action.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Whether the Node reports how it went. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signaling: Option<bool>,
    /// Which Nodes. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_filter: Option<NodeFilterSet>,
    /// What is put on the Node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assets: Vec<Asset>,
}

/// A file, a systemd unit or a list of packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Asset {
    /// What it is.
    #[serde(rename = "type")]
    pub type_: AssetType,
    /// Where it is put; an absolute path. For files and units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub path: Option<String>,
    /// Its content, before the pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Where its content is fetched from, instead of data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub location: Option<String>,
    /// Packages to install.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub packages: Vec<Package>,
    /// What is done to location before it is fetched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub location_pipeline: Vec<LocationStep>,
    /// What is done to the content, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub data_pipeline: Vec<PipelineStep>,
    /// File mode, three or four octal digits. Default: `0600`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub permissions: Option<String>,
}

/// What an asset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum AssetType {
    Unit,
    File,
    PackageList,
}

/// A package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Package {
    /// Name of the package.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Version, e.g. `3.2.1-1`. Absent: the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub version: Option<String>,
}

/// A step of the pipeline of a location. Only a template makes another address of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum LocationStep {
    Template,
}

/// A step of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum PipelineStep {
    Template,
    Base64Encode,
    Base64Decode,
    Utf8Encode,
    Utf8Decode,
}
