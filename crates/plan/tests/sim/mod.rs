//! Hosts in memory: they take steps as an engine does, and time passes when it is told to.

#![allow(dead_code, unused_imports)] // Each test binary uses its own part of it.

mod engine;
mod services;
mod world;

pub use engine::{Behaviour, Engine, Made};
pub use services::{NETWORK, PROJECT, Shape, definition, key, owner, service, stranger, valid};
pub use world::{Mishap, World};
