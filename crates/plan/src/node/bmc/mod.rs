//! A host's BMC, in the words of the domain: what it shows, what can be asked of it, and what to ask next. No protocol's
//! words, no I/O.

mod approval;
mod by_hand;
pub mod evidence;
mod goals;
pub mod login;
pub mod observed;
mod operation;
pub mod plan;
pub mod rotation;
pub mod step;
pub mod summary;
pub mod validate;

pub use by_hand::by_hand;
pub use observed::{
    BmcObserved, Boot, BootDevice, BootMode, BootOverride, Evidence, Health, HealthLevel, Identity, Look, Media,
    Persistence, PowerState, Security, SelEntry, Sensor,
};
pub use plan::{Failure, Note, Plan, Seen, Sent, Told, Trouble, View, plan};
pub use rotation::{Pair, Which};
pub use step::{BmcStep, Command};
pub use validate::{Endpoint, Trust, Wanted};

#[cfg(test)]
mod tests;
