//! Sites at the command line, as people run it: `slipway check`, `compile`, `explain`, `diff` and `graph`.

#![allow(clippy::unwrap_used)] // also in the helpers of tests

mod check;
mod commands;
mod hostile;
mod mistakes;
mod support;
mod tutorial;
