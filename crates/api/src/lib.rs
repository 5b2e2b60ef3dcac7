//! The resources of `slipway.dev/v1alpha1` as users write them, and the words they share.
//!
//! Types only: no I/O and no async runtime in this crate's tree (CI checks it). The field docs are
//! what `kubectl explain` shows.

// Field docs are plain text for users; two print columns with one type are no mistake.
#![allow(clippy::doc_markdown, clippy::duplicated_attributes)]

pub mod conditions;
pub mod container_service;
pub mod crds;
pub mod design;
pub mod labels;
pub mod node;
pub mod node_inventory;
pub mod refs;

pub use container_service::{ContainerService, ContainerServiceSpec, ContainerServiceStatus};
pub use crds::crds;
pub use design::{Design, DesignSpec, DesignStatus};
pub use node::{Node, NodeSpec, NodeStatus};
pub use node_inventory::{NodeInventory, NodeInventorySpec};

/// API group of every kind.
pub const GROUP: &str = "slipway.dev";

/// The one served and stored version.
pub const VERSION: &str = "v1alpha1";

/// What a duration in a spec looks like; `slipway_plan::duration` reads it.
pub const DURATION: &str = r"^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d|w))+$";
