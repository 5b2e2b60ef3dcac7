//! Bounds of a definition: a short text may ask for many containers, and for the same large content in each.

use crate::finding::Finding;
use crate::formats::compose::codes::TOO_LARGE;

/// Containers of one project on one host.
pub const MAX_CONTAINERS: usize = 1000;
/// Bytes of all containers' create requests and files together.
pub const MAX_BYTES: usize = 64 << 20;

/// What is left of the bounds.
pub(super) struct Budget {
    containers: usize,
    bytes: usize,
}

impl Budget {
    pub fn new() -> Self {
        Self { containers: MAX_CONTAINERS, bytes: MAX_BYTES }
    }

    /// Takes the containers of one service.
    pub fn containers(&mut self, number: u32, path: &str) -> Result<(), Finding> {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        self.containers = self.containers.checked_sub(number).ok_or_else(|| {
            Finding::error(TOO_LARGE, path, format!("more than {MAX_CONTAINERS} containers of one project on a host"))
        })?;
        Ok(())
    }

    /// Takes as many bytes for each of a service's containers.
    pub fn bytes(&mut self, each: usize, number: u32, path: &str) -> Result<(), Finding> {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        self.bytes = self.bytes.checked_sub(each.saturating_mul(number)).ok_or_else(|| {
            let message = format!("environment, files and the like of all containers take more than {MAX_BYTES} bytes");
            Finding::error(TOO_LARGE, path, message)
        })?;
        Ok(())
    }
}
