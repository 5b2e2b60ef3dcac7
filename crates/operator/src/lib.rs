//! The operator: controllers, leader lease, Events, metrics and the command line.

pub mod container_service;
pub mod context;
pub mod error;
pub mod hosts;
pub mod installation;
pub mod metrics;
pub mod node;
pub mod reconcile;
pub mod waits;

pub use error::Error;
