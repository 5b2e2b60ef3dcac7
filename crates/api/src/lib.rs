//! The resources of `slipway.dev/v1alpha1` as users write them, and the words they share.
//!
//! Types only: no I/O and no async runtime in this crate's tree (CI checks it). The field docs are
//! what `kubectl explain` shows.

pub mod conditions;
pub mod container_service;
pub mod labels;
pub mod node;
pub mod refs;

pub use container_service::{ContainerService, ContainerServiceSpec, ContainerServiceStatus};
pub use node::{Node, NodeSpec, NodeStatus};

/// API group of every kind.
pub const GROUP: &str = "slipway.dev";

/// The one served and stored version.
pub const VERSION: &str = "v1alpha1";
