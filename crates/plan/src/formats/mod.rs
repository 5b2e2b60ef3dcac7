//! The formats that users bring: read with paths and positions, nothing dropped.

pub mod compose;
pub mod drydock;
pub mod yaml;
