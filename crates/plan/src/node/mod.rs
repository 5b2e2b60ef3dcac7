//! Node: from what is written of a host and what its Docker engine and its BMC show to what to do next and to its status.

pub mod bmc;
pub mod design;
pub mod observed;
pub mod plan;
pub mod status;
pub mod validate;

pub use design::{Said, Word};
pub use observed::{Bmc, Docker, Facts, Host, Observed, Pin};
pub use plan::{Plan, Subject, plan};
pub use status::{Judgement, status};
pub use validate::{Endpoint, Valid, validate};
