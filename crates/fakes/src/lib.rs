//! Stateful fake hosts with injected faults, for tests alone.
//!
//! A fake speaks the real wire protocol, so that the drivers work against it unchanged; what it answers is compared with a real
//! counterpart by this crate's own tests.

pub mod bmc;
pub mod docker;
pub mod faults;
