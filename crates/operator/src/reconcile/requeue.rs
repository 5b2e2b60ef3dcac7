//! When to look again.

use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::controller::Action;
use slipway_plan::cadence::{self, JITTER};

use super::kind::Next;

/// The slow look at what is as wanted.
const RESYNC: Duration = Duration::from_mins(30);

/// When to look again. `failing_since` is when the failing condition became what it is; the back-off grows with its age.
pub fn after(next: Next, failing_since: Option<Timestamp>, now: Timestamp) -> Duration {
    match next {
        Next::Settled => jitter(RESYNC),
        Next::Again => Duration::ZERO,
        Next::At(time) => until(time, now),
        Next::Retry => jitter(backoff(failing_since, now)),
        Next::Person => jitter(cadence::PERSON),
    }
}

/// The same as the controller's word for it.
pub(super) fn action(next: Next, failing_since: Option<Timestamp>, now: Timestamp) -> Action {
    Action::requeue(after(next, failing_since, now))
}

fn backoff(failing_since: Option<Timestamp>, now: Timestamp) -> Duration {
    let age = failing_since.map_or(Duration::ZERO, |since| until(now, since));
    cadence::retry(age)
}

/// The time from one moment to another; none if it has passed.
pub fn until(time: Timestamp, now: Timestamp) -> Duration {
    time.duration_since(now).try_into().unwrap_or(Duration::ZERO)
}

/// Between 0.9 and 1.1 of a time, so that many objects do not act at once.
pub fn jitter(time: Duration) -> Duration {
    time.mul_f64(1.0 - JITTER + 2.0 * JITTER * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn back_off_grows_with_the_age_of_the_trouble() {
        let of = |age| backoff(Some(at(0)), at(age)).as_secs();
        assert_eq!([of(0), of(40), of(400), of(100_000)], [5, 10, 100, 300]);
        assert_eq!(backoff(None, at(7)).as_secs(), 5);
        assert_eq!(backoff(Some(at(9)), at(7)).as_secs(), 5, "a clock that went back is no reason to panic");
    }

    #[test]
    fn a_wait_ends_at_its_time() {
        assert_eq!(after(Next::At(at(9)), None, at(7)).as_secs(), 2);
        assert_eq!(after(Next::At(at(5)), None, at(7)), Duration::ZERO);
        for _ in 0..100 {
            let slow = after(Next::Settled, None, at(0)).as_secs();
            assert!((27 * 60..=33 * 60).contains(&slow), "{slow}");
        }
    }
}
