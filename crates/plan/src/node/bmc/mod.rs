//! A host's BMC, in the words of the domain: what it shows and what can be asked of it. No protocol's words.

pub mod observed;
pub mod step;

pub use observed::{
    BmcObserved, Boot, BootDevice, BootMode, BootOverride, Evidence, Health, HealthLevel, Identity, Look, Media,
    Persistence, PowerState, Security, SelEntry, Sensor,
};
pub use step::{BmcStep, Command};
