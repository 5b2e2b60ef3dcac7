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
