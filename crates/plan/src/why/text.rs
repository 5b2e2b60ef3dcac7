//! Times in words.

use std::time::Duration;

use jiff::Timestamp;

use crate::duration;

/// The time since then, to the precision that a person needs: `42s`, `5m`, `3h20m`, `12d`.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = u64::try_from(now.duration_since(since).as_secs()).unwrap_or(0);
    let rounded = match seconds {
        0..120 => seconds,
        120..7200 => seconds - seconds % 60,
        7200..172_800 => seconds - seconds % 600,
        _ => seconds - seconds % 86_400,
    };
    duration::format(Duration::from_secs(rounded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_precise_than_needed() {
        let of = |seconds| age(Timestamp::from_second(0).unwrap(), Timestamp::from_second(seconds).unwrap());
        assert_eq!([5, 119, 150, 7000, 9000, 200_000].map(of), ["5s", "1m59s", "2m", "1h56m", "2h30m", "2d"]);
        assert_eq!(age(Timestamp::from_second(9).unwrap(), Timestamp::from_second(0).unwrap()), "0s");
    }
}
