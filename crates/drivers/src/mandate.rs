//! The right to change hosts and BMCs, which a leader has as long as its lease.
//!
//! A process that was frozen, or starved, wakes in the middle of a step, long after its lease has passed to another. So this
//! is asked right before each call that changes something, and not only between steps.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::DriverError;
use crate::error::Class;

/// The right to change something, until a time on this machine's monotonic clock. Its clones are one.
#[derive(Clone, Debug, Default)]
pub struct Mandate(Arc<Mutex<Option<Instant>>>);

impl Mandate {
    /// Changes may be made until this time. One that was never limited has no end.
    pub fn until(&self, end: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }

    /// An error if nothing may be changed any more.
    pub fn check(&self) -> Result<(), DriverError> {
        let end = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match end {
            Some(end) if Instant::now() >= end => Err(DriverError::new(
                Class::Transient,
                "LeaseExpired",
                "the leader lease was not renewed in time: another instance may act by now, so this one changes nothing",
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_ends_at_its_time_for_all_who_share_it() {
        let mandate = Mandate::default();
        let shared = mandate.clone();
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(shared.check(), Ok(()), "without a lease there is no end");
        mandate.until(Instant::now() + Duration::from_secs(10));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(shared.check(), Ok(()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(shared.check().unwrap_err().reason(), "LeaseExpired");
        mandate.until(Instant::now() + Duration::from_secs(10));
        assert_eq!(shared.check(), Ok(()), "renewed");
    }
}
