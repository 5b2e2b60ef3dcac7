//! The Redfish driver against the fake BMC: every flavour, every bug.

#![allow(clippy::unwrap_used, clippy::panic)]

mod delivery;
mod flavours;
mod odd;
mod sessions;
mod support;
mod tls;
