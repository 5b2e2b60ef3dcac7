//! The marks on everything that Slipway makes on a host. Ownership is decided by these and by nothing else.

/// UID of the cluster's `kube-system` namespace: whose things these are. Another installation's are never touched.
pub const INSTALLATION: &str = "slipway.dev/installation";
/// Namespace of the object that wants the thing.
pub const NAMESPACE: &str = "slipway.dev/namespace";
/// Name of the object that wants the thing.
pub const NAME: &str = "slipway.dev/name";
/// Service within the project.
pub const SERVICE: &str = "slipway.dev/service";
/// Keyed hash of the effective definition, image digest, secret and config content.
pub const REVISION: &str = "slipway.dev/revision";
/// Value of `spec.restart.requestedAt` that the container was made for, if any.
pub const RESTART: &str = "slipway.dev/restart";
/// `once` on a container that runs to its end; absent on one that is kept running.
pub const LIFECYCLE: &str = "slipway.dev/lifecycle";
/// What a helper volume is for (`files`: secrets and configs of a container that cannot be copied into; `network`: a network on
/// record).
pub const ROLE: &str = "slipway.dev/role";
/// ID of the network that a helper volume has on record.
pub const NETWORK_ID: &str = "slipway.dev/network-id";
/// The record: how to make the network again, and the places of containers in it, as JSON.
pub const NETWORK: &str = "slipway.dev/network";
/// UID of the Design that a kept model is of.
pub const DESIGN: &str = "slipway.dev/design";
