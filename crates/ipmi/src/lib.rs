//! IPMI 2.0 over the LAN (RMCP+), in three layers that can be used apart:
//!
//! - [`wire`]: the codec, bytes to messages and back, with no I/O; [`crypto`]: the keyed part of it;
//! - [`session`]: the state machine of a session, with no I/O and no clock;
//! - [`Client`]: one BMC over UDP, on tokio, with the [`commands`].
//!
//! Only cipher suites 17 and 3 are spoken, and 3 only where the BMC itself has no 17. Section numbers (§) are of the
//! "IPMI Intelligent Platform Management Interface Specification, Second Generation, v2.0", revision 1.1 with the errata
//! up to E7.

pub mod client;
pub mod commands;
pub mod credentials;
pub mod crypto;
pub mod error;
pub mod session;
pub mod wire;

pub use client::Client;
pub use credentials::{Credentials, CredentialsError, Kg, Password, Username};
pub use error::{Error, Step};
pub use session::{Config, Patience};
pub use wire::{CipherSuite, CompletionCode, Privilege, RakpStatus};

/// The example in the README is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
