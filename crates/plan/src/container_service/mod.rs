//! ContainerService: from a Compose project and what hosts show to the next steps on each host.

pub mod definition;
pub mod foresee;
pub mod observed;
pub mod plan;
pub mod status;
pub mod validate;
