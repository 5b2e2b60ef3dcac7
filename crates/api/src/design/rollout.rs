//! Node filters, and the order and budgets of a rollout.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Several filters, joined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeFilterSet {
    /// Union (default): what any filter takes. Intersection: what every filter takes.
    #[serde(default)]
    pub operator: FilterOperator,
    /// The filters. None: no Node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub filters: Vec<NodeFilter>,
}

/// One filter. A criterion that is absent or empty plays no part; a filter without any takes no Node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeFilter {
    /// Union (default): Nodes that meet any criterion. Intersection: Nodes that meet every one.
    #[serde(default)]
    pub operator: FilterOperator,
    /// Names of Nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Tags; a Node has any of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Labels or owner data: any of them for a union, all for an intersection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Racks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub racks: Vec<String>,
    /// Labels of racks: any of them for a union, all for an intersection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rack_labels: BTreeMap<String, String>,
}

/// How sets are joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum FilterOperator {
    #[default]
    Union,
    Intersection,
}

/// In which order, and how many at a time, Nodes may be disrupted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollout {
    /// Begin nothing new. What is in progress goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Lets failed Nodes be tried again, and a group that paused on a failure go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RolloutRetry>,
    /// How many Nodes of the site may be unavailable at one time: a number, or a percentage rounded up. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
    /// The groups. A Node belongs to the first one that takes it; Nodes of none only count for the budget of the site.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub groups: Vec<RolloutGroup>,
}

/// A request to try again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutRetry {
    /// Any text that differs from the last request; the time is customary.
    #[schemars(length(min = 1, max = 64))]
    pub requested_at: String,
}

/// Nodes that are rolled out together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutGroup {
    /// Name of the group.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Which Nodes. Absent: all that no group before this one has taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<NodeFilterSet>,
    /// Groups that must be done before this one begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub after: Vec<String>,
    /// How many Nodes of the group must be ready for it to be done: a number, or a percentage rounded up. Default: all that have not failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ready: Option<IntOrString>,
    /// How many Nodes of the group may be unavailable at one time: a number, or a percentage rounded up. Default: only the budget of the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
    /// How many Nodes of the group may fail before it has failed: a number, or a percentage rounded down. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_failed: Option<IntOrString>,
    /// Begin no further Node of this group once one has failed, until a retry is requested.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pause_on_failure: bool,
    /// When this group fails, begin nothing more in the whole site.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub critical: bool,
}
