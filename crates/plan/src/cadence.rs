//! How long Slipway waits before it tries again. The operator waits by these and `kubectl slipway why` tells by them when the
//! next try is, so that no status has to be written at each try.

use std::time::Duration;

/// What only a person can mend is looked at this often all the same.
pub const PERSON: Duration = Duration::from_mins(10);

/// Credentials that a BMC refused are tried for the second and last time after this pause.
pub const CREDENTIALS: Duration = Duration::from_secs(15);

/// The same of credentials that the BMC took before: one that restarts may refuse for minutes what it takes afterwards, and some
/// do so now and then (dsx-ai-factory/infra-controller pull request 69).
pub const CREDENTIALS_TAKEN_BEFORE: Duration = Duration::from_mins(5);

/// Part of a pause by which it may be longer or shorter, so that many objects do not act at once.
pub const JITTER: f64 = 0.1;

/// Pause of a controller after a failure: a quarter of the trouble's age, so that it grows with the trouble, needs no counter
/// and survives restarts.
pub fn retry(age: Duration) -> Duration {
    (age / 4).clamp(Duration::from_secs(5), Duration::from_mins(5))
}

/// Pause while a BMC does not answer; shorter if a command is under way there.
pub fn bmc_away(age: Duration, awaited: bool) -> Duration {
    let longest = if awaited { Duration::from_secs(15) } else { Duration::from_mins(5) };
    (age / 4).clamp(Duration::from_secs(5), longest)
}

/// Pause while a Docker engine does not answer. With jitter and the deadline of a call it stays under a minute. Credentials
/// that were refused are not tried often: some hosts lock out who does.
pub fn docker_away(age: Duration, refused: bool) -> Duration {
    let (least, most) = if refused { (5, 300) } else { (1, 45) };
    (age / 8).clamp(Duration::from_secs(least), Duration::from_secs(most))
}

/// The longest that a pause may take with its jitter.
pub fn at_most(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + JITTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_the_age_of_the_trouble() {
        let at = |age| Duration::from_secs(age);
        assert_eq!([0, 40, 400, 100_000].map(|age| retry(at(age)).as_secs()), [5, 10, 100, 300]);
        assert_eq!([0, 40, 400].map(|age| bmc_away(at(age), true).as_secs()), [5, 10, 15]);
        assert_eq!([0, 60, 80, 10_000].map(|age| docker_away(at(age), false).as_secs()), [1, 7, 10, 45]);
        assert_eq!(at_most(at(100)).as_secs(), 110);
    }
}
