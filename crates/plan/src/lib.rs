//! From what is wanted and what is observed to what to do next: parse, validate, plan, status.
//!
//! Everything here is pure and synchronous. The operator, `slipway check`, `slipway plan` and the tests share it.

pub mod cadence;
pub mod container_service;
pub mod design;
pub mod duration;
pub mod finding;
pub mod formats;
pub mod gitops;
pub mod node;
pub mod rollout;
pub mod tree;
pub mod why;

pub use finding::{Finding, Place, Severity};
