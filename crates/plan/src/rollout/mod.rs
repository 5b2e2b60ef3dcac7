//! Rollout: in which order, and how many at a time, Nodes may be disrupted.

mod budget;
mod schedule;

pub use budget::{Round, budget};
pub use schedule::{Model, NodeState, Observed, Schedule, schedule};
