//! Node: a host, its BMC and its Docker engine.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::container_service::Drift;
use crate::design::{NodeDesign, NodeDesignStatus};
use crate::refs::{KeyRef, LocalRef};

/// A host that services run on.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    doc = "A host: powered and started through its BMC, and services run on it through its Docker engine.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Power", type_ = "string", json_path = ".status.power"),
    printcolumn(name = "Health", type_ = "string", json_path = ".status.health", priority = 1),
    printcolumn(name = "Inventory", type_ = "string", json_path = ".status.inventory", priority = 1),
    printcolumn(name = "BMC", type_ = "string", json_path = ".spec.bmc.address", priority = 1),
    printcolumn(name = "Docker", type_ = "string", json_path = ".status.docker.version"),
    printcolumn(name = "CPUs", type_ = "integer", json_path = ".status.docker.cpus"),
    printcolumn(name = "Memory", type_ = "string", json_path = ".status.docker.memory"),
    printcolumn(name = "Running", type_ = "integer", json_path = ".status.docker.containersRunning"),
    printcolumn(name = "Design", type_ = "string", json_path = ".spec.designRef.name", priority = 1),
    printcolumn(name = "Profile", type_ = "string", json_path = ".spec.hostProfile", priority = 1),
    printcolumn(name = "Cordon", type_ = "boolean", json_path = ".spec.cordon", priority = 1),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".spec.docker.endpoint", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.docker) || has(self.bmc) || has(self.designRef)",
        "message": "a host is reached through docker or bmc, or belongs to a Design: one of docker, bmc and designRef is required"
    },
    {
        "rule": "has(self.bmc) || has(self.designRef) || !(has(self.power) || has(self.powerOff) || has(self.boot) || has(self.reboot) || has(self.virtualMedia))",
        "message": "power, powerOff, boot, reboot and virtualMedia need bmc, or a Design whose host profile says how the machine is managed"
    },
    {
        "rule": "has(self.designRef) || !(has(self.hostProfile) || has(self.hardwareProfile) || has(self.primaryNetwork) || has(self.rack) || has(self.addressing) || has(self.bootMac) || has(self.outOfBand) || has(self.interfaces) || has(self.storage) || has(self.platform) || has(self.metadata))",
        "message": "hostProfile, hardwareProfile, primaryNetwork, rack, addressing, bootMac, outOfBand, interfaces, storage, platform and metadata need designRef"
    }
]))]
pub struct NodeSpec {
    /// The host's Docker engine. With it the host can run ContainerServices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<DockerEndpoint>,

    /// The host's BMC. With it the host can be powered, and started from what `boot` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bmc: Option<BmcEndpoint>,

    /// Whether the host is on. Absent: observed, never changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<Power>,

    /// How the host is powered off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_off: Option<PowerOff>,

    /// From what the host starts. Absent: observed, never changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<NodeBoot>,

    /// Restart the host, once for each new value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reboot: Option<Reboot>,

    /// Media that the BMC shows to the host as a drive. Taken out when the field goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_media: Option<VirtualMedia>,

    /// What to do about changes that somebody else made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<NodeDrift>,

    /// Which plans wait until `approvedPlan` is their hash. `Destructive`: those that interrupt what runs, unless a field of
    /// this spec asks for just that and no ContainerService runs here. Default Destructive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,

    /// Hash of the plan that may be carried out, as `status.plan.hash` shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub approved_plan: Option<String>,

    /// Take no new placements. What already runs here stays and is still healed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cordon: bool,

    /// Stop all action on this host: nothing is created, changed or removed here, by any object. The host is still watched.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,

    /// What deletion of this Node does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<NodeDeletion>,

    /// Its place in a Design, and what it overrides of its host profile.
    #[serde(flatten)]
    pub design: NodeDesign,
}

/// Where a BMC is, and who we are to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.address == 'manual' || self.address.startsWith('redfish+https://') || self.address.startsWith('redfish+http://') || self.address.startsWith('ipmi://')",
        "fieldPath": ".address",
        "message": "must be redfish+https://host[/redfish/v1/Systems/1], redfish+http://…, ipmi://host[:port] or manual"
    },
    {
        "rule": "(self.address != 'manual') == has(self.credentials)",
        "message": "credentials are required, but for a manual BMC, which has none"
    },
    {
        "rule": "!has(self.tls) || self.address.startsWith('redfish+https://')",
        "message": "tls is allowed with redfish+https:// only"
    },
    {
        "rule": "!has(self.minimumSuite) || self.address.startsWith('ipmi://')",
        "message": "minimumSuite is allowed with ipmi:// only"
    },
    {
        "rule": "!has(self.rotate) || has(self.credentials)",
        "message": "rotate changes the password of credentials; it is allowed with them only"
    }
]))]
pub struct BmcEndpoint {
    /// `redfish+https://host[:port][/redfish/v1/Systems/1]`, `redfish+http://…` (no TLS; labs only), `ipmi://host[:623]`, or
    /// `manual`: a person does what Ready's message asks for. Without a path the BMC must have one system.
    #[schemars(length(min = 1, max = 512))]
    pub address: String,

    /// Who we are to the BMC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<BmcCredentials>,

    /// Which certificate is trusted. Absent: one that the system's roots vouch for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<BmcTls>,

    /// Lowest IPMI cipher suite that may be used: 3 or 17. By default 3 is used if the BMC has no 17.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [3, 17]))]
    pub minimum_suite: Option<u8>,

    /// Change the password of the account that `credentials` names, once for each new value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<Rotate>,
}

/// A request to change the password of a BMC's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rotate {
    /// Any text that differs from the last request; the time is customary.
    #[schemars(length(min = 1, max = 64))]
    pub requested_at: String,

    /// Secret with the new `password`. With `username` (the same account), and `kg` if there is one, it can take the place of
    /// `credentials.secretRef` afterwards. Slipway writes neither Secret.
    pub secret_ref: LocalRef,
}

/// Who we are to a BMC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BmcCredentials {
    /// Secret with the keys `username` and `password`, and `kg` if the BMC has an IPMI key of that name.
    pub secret_ref: LocalRef,

    /// Try refused credentials again, once for each new value. By itself Slipway tries the same Secret twice at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Request>,
}

/// A request to do something once more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// Any text that differs from the last request; the time is customary.
    #[schemars(length(min = 1, max = 64))]
    pub requested_at: String,
}

/// Which certificate of a BMC is trusted: exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.caRef), has(self.pinSha256), has(self.trustOnFirstUse) && self.trustOnFirstUse, has(self.insecureSkipVerify) && self.insecureSkipVerify].filter(x, x).size() == 1",
    "message": "exactly one of caRef, pinSha256, trustOnFirstUse and insecureSkipVerify is required"
}]))]
pub struct BmcTls {
    /// One that this CA vouches for, and that is valid for the name in `address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_ref: Option<CaRef>,

    /// The one with this SHA-256 of its DER form: 64 hexadecimal digits, colons allowed. Neither name nor dates count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 95), regex(pattern = "^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$"))]
    pub pin_sha256: Option<String>,

    /// The first one that is seen at this host and port; it is kept in `status.bmc.pin`. Another one later stops everything, and is said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trust_on_first_use: bool,

    /// Any. Whoever is in between reads the password: labs only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_verify: bool,
}

/// PEM certificates of a CA: exactly one of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum CaRef {
    /// A key of a ConfigMap.
    ConfigMapKeyRef(KeyRef),
    /// A key of a Secret.
    SecretKeyRef(KeyRef),
}

/// The power that a host shall have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Power {
    On,
    Off,
}

/// How a host is powered off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PowerOff {
    /// `Graceful` asks the operating system; `Force` takes the power away.
    #[serde(default)]
    pub mode: Manner,

    /// How long a graceful one may take, as a duration. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = crate::DURATION))]
    pub timeout: Option<String>,

    /// Whether the power is taken away after that; under `approval: Destructive` that waits for an approval. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then_force: Option<bool>,
}

/// How something that interrupts a host is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Manner {
    #[default]
    Graceful,
    Force,
}

/// From what a host starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeBoot {
    /// From what.
    pub device: BootDevice,

    /// Mode of the firmware. Absent: as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<BootMode>,

    /// Always, or by default for the next start alone: then it is armed once for each change of this field, and never again
    /// by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub persistent: bool,
}

/// From what a host starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum BootDevice {
    Pxe,
    Hdd,
    Cd,
    UefiHttp,
    BiosSetup,
}

/// Mode of a host's firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum BootMode {
    Uefi,
    Legacy,
}

/// A request to restart a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reboot {
    /// Any text that differs from the last request; the time is customary.
    #[schemars(length(min = 1, max = 64))]
    pub requested_at: String,

    /// `Graceful` shuts down, as `powerOff` says, and powers on again; `Force` resets.
    #[serde(default)]
    pub mode: Manner,
}

/// Media that a BMC shows to its host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VirtualMedia {
    /// URL of the image, which the BMC reads by itself: `http://`, `https://` or what else it understands. No password in it.
    #[schemars(length(min = 1, max = 1024))]
    pub image: String,
}

/// What to do about changes that somebody else made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeDrift {
    /// The power is another one than `power` says. Default Heal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<Drift>,

    /// A persistent `boot` is another one. Default Heal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<Drift>,
}

/// Which plans wait for an approval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Approval {
    Never,
    #[default]
    Destructive,
    Always,
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

    /// Power of the host, as its BMC last said: `On`, `Off`, `PoweringOn`, `PoweringOff` or `Unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<String>,

    /// The override of the boot order that is in force, e.g. `Pxe (Once, Uefi)`; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,

    /// The host on one line, e.g. `2 CPUs, 512 GiB, 4 disks, 2 NICs`; NodeInventory of the same name has all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<String>,

    /// `Ok`, or how bad it is with the worst sensor, e.g. `Critical: Fan 3 reads 0 RPM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,

    /// The BMC, as it was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bmc: Option<BmcStatus>,

    /// What is being done, or waits for an approval; absent while there is nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanStatus>,

    /// The command that is under way at the BMC. On record before it is sent, so that it is never sent twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,

    /// What of the spec has been done, so that it is not done again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Done>,

    /// What the Node's Design makes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design: Option<NodeDesignStatus>,

    /// Since when the host cannot be reached (RFC 3339); absent while it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable_since: Option<String>,

    /// Ready, Reconciling, Stalled (kstatus).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// A BMC, as it was last seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BmcStatus {
    /// Where it is, if the Node's Design tells it and not `spec.bmc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Version of its firmware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// How the connection is protected: `cipher suite 17`, `TLS`, `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<String>,
    /// SHA-256 of the certificate that was trusted on first use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// The host and port that showed it: `address` with another one is another BMC, with a first use of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_host: Option<String>,
    /// The credentials that were tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginStatus>,
    /// The change of the password that `spec.bmc.rotate` asked for; absent once `credentials` name the password in force and `rotate` is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationStatus>,
    /// Since when the BMC cannot be used (RFC 3339); absent while it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable_since: Option<String>,
}

/// A change of a BMC's password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotationStatus {
    /// The `rotate.requestedAt` that this is about.
    pub requested_at: String,
    /// Name of the Secret with the new password.
    pub secret: String,
    /// The BMC has taken a login with the new password: Slipway logs in with it from then on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_force: bool,
    /// Why it was given up: the old password is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// UID and version of the Secret of `credentials` when the password in it was replaced.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub replaced: String,
    /// How often the change was sent; counted before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sent: u8,
    /// Tries of the new password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginStatus>,
}

/// Credentials that were tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoginStatus {
    /// UID and version of the Secret, and the request to try again.
    pub version: String,
    /// How often they were tried without being taken; counted before each try. 0: they were taken.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tries: u8,
    /// So many of these tries the BMC is known to have refused; of the others nobody knows, as Slipway was stopped meanwhile.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refusals: u8,
    /// The BMC refused them while `rotate` names others, which are tried instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

/// What is being done, or waits for an approval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStatus {
    /// What `spec.approvedPlan` must be for this very plan.
    pub hash: String,
    /// Whether it interrupts what runs on the host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub destructive: bool,
    /// Whether it waits for `spec.approvedPlan`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waiting: bool,
    /// What is done, in this order.
    pub steps: Vec<String>,
    /// Since when this is the plan (RFC 3339).
    pub since: String,
}

/// A command that is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(clippy::struct_excessive_bools)] // Each may be true beside the others.
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// The command, e.g. `PowerOn`.
    pub command: String,
    /// What it is for: `Power`, `Reboot`, `Boot`, `VirtualMedia` or `Rotation`.
    pub purpose: String,
    /// What of the spec it is to meet: the boot device, the request, the image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub goal: String,
    /// When it was put on record (RFC 3339).
    pub since: String,
    /// Power of the host before.
    pub power: String,
    /// What tells whether the host was started anew, as it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<RestartEvidence>,
    /// The BMC has taken the command; what it does is awaited.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub taken: bool,
    /// The BMC refused it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// The BMC took it, and nothing came of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignored: bool,
    /// Nobody knows whether it was carried out, and nothing tells: it is not sent again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_doubt: bool,
}

/// What tells whether a host was started anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestartEvidence {
    /// When the BMC saw the last restart, or a count of restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_restart: Option<String>,
    /// Why the host was last started, in the BMC's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_cause: Option<String>,
    /// The newest entry of the event log that tells of power or of a start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_event: Option<String>,
    /// Why the power last changed, in the BMC's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_event: Option<String>,
    /// For how many minutes the host has been on in its life, as the BMC counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes_on: Option<u64>,
    /// The steps of that count, in minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes_step: Option<u64>,
}

/// What of the spec has been done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// The `power` that was reached; another one now is drift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<String>,
    /// The `boot` that was armed, or reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// The last `reboot.requestedAt` that was met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reboot: Option<String>,
    /// The image that was inserted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_media: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes references
fn is_zero(number: &u8) -> bool {
    *number == 0
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
