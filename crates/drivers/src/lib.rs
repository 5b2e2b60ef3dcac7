//! Observe and change real hosts. One small trait per kind of host, in domain words; one factory knows the implementations.

pub mod docker;
pub mod error;

pub use error::{Class, DriverError};
