//! IPMI 2.0 over the LAN (RMCP+), in three layers that can be used apart:
//!
//! - [`wire`]: the codec, bytes to messages and back, with no I/O; [`crypto`]: the keyed part of it.
//!
//! Only cipher suites 17 and 3 are spoken. Section numbers (§) are of the "IPMI Intelligent Platform Management
//! Interface Specification, Second Generation, v2.0", revision 1.1 with the errata up to E7.

pub mod credentials;
pub mod crypto;
pub mod wire;

pub use credentials::{Credentials, CredentialsError, Kg, Password, Username};
pub use wire::{CipherSuite, CompletionCode, Privilege, RakpStatus};
