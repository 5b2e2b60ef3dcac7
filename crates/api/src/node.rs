//! Node: a host. In this version its Docker half.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::refs::LocalRef;

/// A host that services run on.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "slipway.dev",
    version = "v1alpha1",
    kind = "Node",
    plural = "nodes",
    shortname = "snode",
    category = "slipway",
    namespaced,
    status = "NodeStatus",
    derive = "PartialEq",
    doc = "A host that services run on, reached through its Docker engine.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Docker", type_ = "string", json_path = ".status.docker.version"),
    printcolumn(name = "CPUs", type_ = "integer", json_path = ".status.docker.cpus"),
    printcolumn(name = "Memory", type_ = "string", json_path = ".status.docker.memory"),
    printcolumn(name = "Running", type_ = "integer", json_path = ".status.docker.containersRunning"),
    printcolumn(name = "Cordon", type_ = "boolean", json_path = ".spec.cordon", priority = 1),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".spec.docker.endpoint", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSpec {
    /// The host's Docker engine. With it the host can run ContainerServices.
    pub docker: DockerEndpoint,

    /// Take no new placements. What already runs here stays and is still healed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cordon: bool,

    /// Stop all action on this host: nothing is created, changed or removed here, by any object. The host is still watched.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,

    /// What deletion of this Node does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<NodeDeletion>,
}

/// What deletion of a Node does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeDeletion {
    /// How long deletion waits for the services that still use the Node, as a duration. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = crate::DURATION))]
    pub timeout: Option<String>,
}

/// Where a Docker engine listens and how to prove who we are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.endpoint.startsWith('unix:///') || self.endpoint.startsWith('tcp://') || self.endpoint.startsWith('ssh://')",
        "fieldPath": ".endpoint",
        "message": "must be unix:///path, tcp://host:port or ssh://user@host[:port]"
    },
    {
        "rule": "self.endpoint.startsWith('tcp://') ? has(self.tls) != (has(self.insecure) && self.insecure) : !has(self.tls) && !(has(self.insecure) && self.insecure)",
        "message": "a tcp:// endpoint needs either tls or insecure: true; both are allowed only there"
    },
    {
        "rule": "self.endpoint.startsWith('ssh://') == has(self.ssh)",
        "message": "ssh is required with an ssh:// endpoint, and allowed only there"
    }
]))]
pub struct DockerEndpoint {
    /// `unix:///var/run/docker.sock`, `tcp://host:2376` (TLS; needs `tls`) or `ssh://user@host[:port]` (needs `ssh`).
    #[schemars(length(min = 1, max = 512))]
    pub endpoint: String,

    /// Client certificates for a `tcp://` endpoint. The server's certificate is always verified against `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<DockerTls>,

    /// Key and known hosts for an `ssh://` endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<DockerSsh>,

    /// Allow `tcp://` without TLS: whoever reaches that port is root on the host. Only for labs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
}

/// TLS material of a `tcp://` endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DockerTls {
    /// Secret with the keys `ca.crt`, `tls.crt` and `tls.key`, as PEM.
    pub secret_ref: LocalRef,
}

/// Login of an `ssh://` endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DockerSsh {
    /// Secret with the keys `ssh-privatekey` and `known_hosts`. A host key that is not in `known_hosts` is refused.
    pub secret_ref: LocalRef,
}

/// What was last found true of the host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The Docker engine, as it described itself. Kept while the host is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<DockerStatus>,

    /// Since when the host cannot be reached (RFC 3339); absent while it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable_since: Option<String>,

    /// Ready, Reconciling, Stalled (kstatus).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// A Docker engine, as it describes itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DockerStatus {
    /// The engine's own ID. Two Nodes with one ID lead to the same engine.
    pub engine_id: String,
    /// Version of the engine, e.g. `26.1.5`.
    pub version: String,
    /// Newest API version that the engine speaks, e.g. `1.45`.
    pub api_version: String,
    /// Operating system and architecture, e.g. `Debian GNU/Linux 12 (bookworm) x86_64`.
    pub os: String,
    /// Number of CPUs.
    pub cpus: i64,
    /// Memory, as a Kubernetes quantity, e.g. `24032Mi`.
    pub memory: String,
    /// Containers running at the last change of this status, whoever made them.
    pub containers_running: i64,
}
