//! Node: from what is written of a host and what its connection shows to the Node's status.

pub mod bmc;
pub mod observed;
pub mod plan;
pub mod status;
pub mod validate;

pub use observed::{Host, Observed};
pub use plan::{Plan, plan};
pub use status::{Judgement, status};
pub use validate::{Endpoint, Valid, validate};
