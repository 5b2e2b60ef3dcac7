//! The operator: controllers, leader lease, Events, metrics and the command line.

pub mod bmcs;
pub mod cli;
pub mod clock;
pub mod container_service;
pub mod context;
pub mod design;
pub mod error;
pub mod health;
pub mod hosts;
pub mod installation;
pub mod lease;
pub mod live;
pub mod metrics;
pub mod node;
pub mod operator;
pub mod reconcile;
pub mod sweeper;
pub mod waits;

#[cfg(test)]
mod testing;

pub use error::Error;
