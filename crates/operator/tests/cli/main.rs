//! The command line without a cluster, as people run it.

#![allow(clippy::unwrap_used)] // also in the helpers of tests

mod check;
mod commands;
mod compose;
mod drydock;
mod hostile;
mod migration;
mod mistakes;
mod plan;
mod services;
mod support;
mod tutorial;
