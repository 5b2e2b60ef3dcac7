//! Rollout: in which order, and how many at a time, Nodes may be disrupted.

mod budget;
mod hold;
mod record;
mod schedule;

pub use budget::{Round, budget};
pub use hold::hold;
pub use record::{Ask, Sight, observe, record};
pub use schedule::{Model, NodeState, Observed, Schedule, schedule};
