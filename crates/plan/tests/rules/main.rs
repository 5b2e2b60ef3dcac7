//! A test or more for each rule of ContainerService, on hosts in memory.

#![allow(clippy::unwrap_used, clippy::panic)] // These are tests, helpers too.

#[path = "../sim/mod.rs"]
mod sim;

mod change;
mod conflict;
mod deletion;
mod drift;
mod foreseen;
mod held;
mod hold;
mod image;
mod install;
mod placing;
mod telling;

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
