//! The Compose format.

pub mod model;
