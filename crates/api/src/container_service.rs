//! ContainerService: a Compose project on the Nodes that its selector picks.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::refs::{KeyRef, LocalRef};

/// A Compose project that runs on Docker hosts.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "slipway.dev",
    version = "v1alpha1",
    kind = "ContainerService",
    plural = "containerservices",
    shortname = "csvc",
    category = "slipway",
    namespaced,
    status = "ContainerServiceStatus",
    derive = "PartialEq",
    doc = "A Compose project that runs on the Nodes that its selector picks.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.ready"),
    printcolumn(name = "Updated", type_ = "string", json_path = ".status.updated"),
    printcolumn(name = "Hosts", type_ = "integer", json_path = ".status.hosts"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message")
)]
#[kube(
    validation = kube::core::Rule::new("has(self.spec.compose) != has(self.spec.composeFrom)")
        .message("exactly one of compose and composeFrom is required")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerServiceSpec {
    /// Which Nodes, and how many of them. Default: every Node of the namespace.
    #[serde(default, skip_serializing_if = "is_default")]
    pub placement: Placement,

    /// The project in the Compose specification's format, as in a compose.yaml. `slipway check` names what is not supported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "compose_schema")]
    pub compose: Option<serde_json::Value>,

    /// Where the Compose file is, when it is not written here. YAML anchors work in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose_from: Option<ComposeFrom>,

    /// Values for `${VAR}` in the Compose file. Not a place for secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,

    /// Compose profiles that are switched on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub profiles: Vec<String>,

    /// Where the content of each file that the Compose file names comes from (`env_file:`, `secrets.x.file`, `configs.x.file`),
    /// by the path as it is written there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, FileSource>,

    /// How images are pulled, followed and pruned.
    #[serde(default, skip_serializing_if = "is_default")]
    pub images: Images,

    /// Secrets of type `kubernetes.io/dockerconfigjson` with the registries' logins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Vec<LocalRef>,

    /// How a change is rolled out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub update: Update,

    /// What to do when somebody else stopped, removed or changed a container of this service: Heal it at once (default), Report it, or Ignore it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub drift: Drift,

    /// Asks for a restart of all services, in the order and budget of an update; also lets a failed revision be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,

    /// Stop all action; keep watching.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,

    /// What deletion of this object does on the hosts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deletion: Deletion,
}

/// The schema of `compose`: any object. Its rules are those of the Compose specification, checked by Slipway itself.
fn compose_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "nullable": true,
        "x-kubernetes-preserve-unknown-fields": true,
        "description": "The project in the Compose specification's format, as in a compose.yaml. `slipway check` names what is not supported.",
    })
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Where a Compose file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ComposeFrom {
    /// Key of a ConfigMap that holds the Compose file as text.
    pub config_map_key_ref: KeyRef,
}

/// Which Nodes a service runs on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(has(self.mode) && self.mode == 'Replicas') == has(self.replicas)",
    "message": "replicas is required with mode Replicas, and allowed only there"
}]))]
pub struct Placement {
    /// Labels of the Nodes of this namespace. Empty or absent: every Node of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,

    /// Each (default): on every Node that matches. Replicas: on `replicas` of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: PlacementMode,

    /// Number of Nodes that run the project, for mode Replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10000))]
    pub replicas: Option<u32>,

    /// How long a Node may be gone before its replica is placed elsewhere, as a duration. Default 5m. For mode Replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = crate::DURATION))]
    pub evict_after: Option<String>,

    /// Place a replica elsewhere even if it has named volumes; their data stays behind on the old Node.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub evict_with_volumes: bool,
}

/// How Nodes are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PlacementMode {
    #[default]
    #[allow(missing_docs)]
    Each,
    #[allow(missing_docs)]
    Replicas,
}

/// Where the content of a file comes from. Exactly one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum FileSource {
    /// A key of a ConfigMap.
    ConfigMapKeyRef(KeyRef),
    /// A key of a Secret.
    SecretKeyRef(KeyRef),
}

/// How images are pulled, followed and pruned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Images {
    /// IfNotPresent (default), Always (the tag is resolved anew for each revision) or Never.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pull_policy: PullPolicy,

    /// Look at the tags again from time to time, and roll when one has moved. Absent: a digest is resolved once per revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<Follow>,

    /// Whether images that Slipway pulled and nothing uses any more are removed: Never (default), or when they are Unused.
    #[serde(default, skip_serializing_if = "is_default")]
    pub prune: Prune,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum PullPolicy {
    #[default]
    IfNotPresent,
    Always,
    Never,
}

/// How moved tags are noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Follow {
    /// How often the tags are looked up in the registry, as a duration (`1h`). At least 1m.
    #[schemars(length(max = 32), regex(pattern = crate::DURATION))]
    pub every: String,
}

/// Whether unused images are removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Prune {
    #[default]
    Never,
    Unused,
}

/// How a change is rolled out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Update {
    /// StopFirst (default): the old container stops, then the new one starts. StartFirst: the new one is up before the old one stops;
    /// a fixed host port, address or container name forces StopFirst.
    #[serde(default, skip_serializing_if = "is_default")]
    pub order: UpdateOrder,

    /// How many hosts may be in the middle of a change at one time. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub max_unavailable: Option<u32>,

    /// Rollback (default): a container that does not come up is replaced by the one before it. Stop: it is left as it is, and the rollout stops.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_failure: OnFailure,

    /// How long a new container may take to be running, and healthy if it has a check, as a duration. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = crate::DURATION))]
    pub timeout: Option<String>,

    /// How long a new container without a health check must have been running before the old one is removed, as a duration. Default 2s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = crate::DURATION))]
    pub min_ready: Option<String>,
}

/// Which comes first in a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum UpdateOrder {
    #[default]
    StopFirst,
    StartFirst,
}

/// What happens to a change that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum OnFailure {
    #[default]
    Rollback,
    Stop,
}

/// What to do about changes that somebody else made on a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Drift {
    #[default]
    Heal,
    Report,
    Ignore,
}

/// A request to restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Restart {
    /// Any text that differs from the last request; the time is customary.
    #[schemars(length(min = 1, max = 64))]
    pub requested_at: String,
}

/// What deletion does on the hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deletion {
    /// Keep (default) or Delete the project's named volumes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub volumes: VolumeDeletion,

    /// How long deletion waits for a host that is away, as a duration. Default 5m. What was left there is swept when it comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = crate::DURATION))]
    pub timeout: Option<String>,
}

/// What becomes of named volumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum VolumeDeletion {
    #[default]
    Keep,
    Delete,
}

/// What was last found true of the service: counts, then only what is not healthy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerServiceStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Containers that are as wanted, of those wanted: `5/6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,

    /// Containers of the newest revision, of those wanted: `6/6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<String>,

    /// Number of hosts that the service is placed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<u32>,

    /// The Nodes that were chosen, for mode Replicas and where drift is not healed. Recorded before anything is made on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placed: Vec<String>,

    /// The digest that each image reference was resolved to, so that all hosts run the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["image"]))]
    pub images: Vec<ResolvedImage>,

    /// Changes that failed. One is tried again only when the spec, its image or its secrets change, or a restart is requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedRevision>,

    /// Services that run to their end and have done so. They are not run again, even if somebody removes the container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub completed: Vec<CompletedRun>,

    /// The containers that are not as wanted; at most 20 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unhealthy: Vec<Unhealthy>,

    /// Ready, Reconciling, Stalled (kstatus).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// What an image reference stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedImage {
    /// The reference as the Compose file has it.
    pub image: String,
    /// `sha256:…` of the manifest in its registry; of the image itself if it was never in one.
    pub digest: String,
    /// When it was looked up (RFC 3339). Only with `images.follow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<String>,
}

/// A change that failed and was rolled back or stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedRevision {
    /// The service within the project.
    pub service: String,
    /// The revision (keyed hash) that failed.
    pub revision: String,
    /// `spec.restart.requestedAt` at that time; a newer request lets it be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<String>,
    /// The Node on which it failed.
    pub host: String,
    /// One word.
    pub reason: String,
    /// Exit code, last log lines, the failed check's output.
    pub message: String,
}

/// A run to the end that ended well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompletedRun {
    /// The service within the project.
    pub service: String,
    /// The revision (keyed hash) that ran.
    pub revision: String,
    /// `spec.restart.requestedAt` at that time; a newer request runs it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<String>,
    /// The Nodes on which it ran to its end.
    pub hosts: Vec<String>,
}

/// A container that is not as wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unhealthy {
    /// The Node.
    pub host: String,
    /// The service within the project.
    pub service: String,
    /// Number of the container within the service, from 1; absent if it is the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// What it is doing: `Missing`, `Created`, `Running`, `Exited`, `Unhealthy`, …
    pub state: String,
    /// One word.
    pub reason: String,
    /// In plain words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}
