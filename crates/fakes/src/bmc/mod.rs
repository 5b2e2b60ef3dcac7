//! Fake machines, and the fake BMCs through which they are reached.
//!
//! A [`Machine`] holds what is true whatever protocol asks: power, the boot override, how often it booted and why. The fakes of the
//! protocols share one by its [`Arc`](std::sync::Arc), so that what one of them does the other sees, as with real hardware.

pub mod ipmi;
mod machine;
pub mod redfish;

pub use machine::{
    Boot, BootDevice, BootMode, BootOverride, Cause, Event, Happening, Identity, Impossible, Machine, Power,
    PowerAction, Soft, Timing,
};
