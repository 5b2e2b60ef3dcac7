//! Observe and change real hosts. One small trait per kind of host, in domain words; one factory knows the implementations.

pub mod bmc;
pub mod docker;
pub mod error;
pub mod ipmi;
pub mod mandate;
mod reason;
pub mod redfish;

pub use error::{Class, DriverError};
pub use mandate::Mandate;
pub use reason::Reason;
