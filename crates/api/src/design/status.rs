//! What a Design's status shows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The Nodes of a site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeCounts {
    /// Nodes whose designRef names the Design.
    pub total: u32,
    /// Those that are ready.
    pub ready: u32,
    /// Those that need a person.
    pub failed: u32,
}

/// The model that Nodes run on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompiledModel {
    /// Hash of the compiled model.
    pub hash: String,
    /// Generation of the Design that it was compiled from.
    pub generation: i64,
}

/// Something that is wrong with the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DesignFinding {
    /// Whether it stops the site from being compiled.
    pub severity: FindingSeverity,
    /// Code of the rule.
    pub code: String,
    /// Name of the rule.
    pub rule: String,
    /// The object, as `kind/name`.
    pub object: String,
    /// Field path in the object.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum FindingSeverity {
    Error,
    Warning,
}

/// What the rollout has on record, so that budgets hold whoever is killed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// Nodes that may be disrupted now. Each is on record before anything is done to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub in_progress: Vec<NodeInProgress>,
    /// Nodes whose step failed. They are tried again when a retry is requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub failed: Vec<FailedNode>,
}

/// A Node that may be disrupted now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeInProgress {
    /// Name of the Node.
    pub name: String,
    /// Since when (RFC 3339).
    pub since: String,
}

/// A Node whose step failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedNode {
    /// Name of the Node.
    pub name: String,
    /// What failed, and why.
    pub message: String,
    /// The request to retry that was known then; another one lets the Node be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
}

/// What a Node's Design makes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeDesignStatus {
    /// Hash of the Node's effective model, which `slipway compile --node` prints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Generation of the Design whose model the Node keeps; absent while that is the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good: Option<i64>,
    /// Parts of the model that nothing applies yet, on one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_applied: Option<String>,
    /// The worst that is wrong with this Node, and how much more there is; the Design's status has all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
}

/// How far a group of the rollout is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupStatus {
    /// Name of the group.
    pub name: String,
    /// What it is doing.
    pub state: GroupState,
    /// Nodes of the group.
    pub nodes: u32,
    /// Those that are ready.
    pub ready: u32,
    /// Those that failed.
    pub failed: u32,
    /// In plain words: what it waits for, or why it stopped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What a group is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum GroupState {
    Waiting,
    InProgress,
    Paused,
    Done,
    Failed,
}
