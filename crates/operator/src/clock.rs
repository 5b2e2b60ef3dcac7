//! The time. In tests it passes as the runtime's own clock does, which may be paused and advanced.

use jiff::Timestamp;

/// The time, to the millisecond: looks and commands follow each other within a second.
pub fn now() -> Timestamp {
    let now = precise();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

#[cfg(not(test))]
fn precise() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
fn precise() -> Timestamp {
    use std::sync::OnceLock;

    use tokio::time::Instant;

    static START: OnceLock<(Instant, Timestamp)> = OnceLock::new();
    let (began, at) = START.get_or_init(|| (Instant::now(), Timestamp::now()));
    at.checked_add(Instant::now().saturating_duration_since(*began)).unwrap_or(*at)
}
