//! How often a datagram is sent, and how long an answer is waited for.

use std::time::{Duration, Instant};

/// How often a datagram is sent, and how long an answer is waited for. Between two tries the wait doubles, with jitter;
/// after the last one it is as long as the deadline allows, so that a slow BMC is not asked again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The first wait.
    pub first: Duration,
    /// How often a datagram is sent at most; commands with an effect are sent once whatever this says.
    pub tries: u32,
    /// The end of all waiting for one answer.
    pub deadline: Duration,
}

impl Default for Patience {
    /// Sent at 0, 1, 3 and 7 s, given up at 20 s: a BMC may lose datagrams, or take 10 s for each answer.
    fn default() -> Self {
        Self { first: Duration::from_secs(1), tries: 4, deadline: Duration::from_secs(20) }
    }
}

impl Patience {
    /// For a session that was idle: the BMC may have dropped it, and then a new one is the quicker way to an answer.
    pub(crate) fn for_reuse(self) -> Self {
        Self { tries: self.tries.min(3), deadline: self.deadline.min(self.first * 5), ..self }
    }

    /// For a BMC whose answers took so long lately. It is not asked again before it can have answered: what takes it ten seconds
    /// would take it ten more for each copy. What was asked too often before it was known may have to be answered first.
    pub(crate) fn at_pace(self, pace: Duration) -> Self {
        Self { first: self.first.max(pace * 3 / 2), deadline: self.deadline.max((pace * 5).min(LONGEST)), ..self }
    }

    /// For Close Session: the BMC drops the session by itself after 60 s (§6.12.15).
    pub(crate) fn for_close(self) -> Self {
        Self { tries: self.tries.min(2), deadline: self.deadline.min(self.first * 2), ..self }
    }
}

/// The longest wait for one answer, however slow the BMC is known to be.
const LONGEST: Duration = Duration::from_mins(1);

/// The tries of one exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tries {
    patience: Patience,
    begun: Instant,
    made: u32,
    wake_at: Instant,
}

/// What to do when a time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing yet.
    Wait,
    /// Send it again.
    Again,
    /// Give up.
    Over,
}

impl Tries {
    /// The first try is made now. `jitter` is a random byte.
    pub(super) fn begin(patience: Patience, now: Instant, jitter: u8) -> Self {
        let mut tries = Self { patience, begun: now, made: 0, wake_at: now };
        tries.made(now, jitter);
        tries
    }

    /// Counts a try that is made now.
    pub(super) fn made(&mut self, now: Instant, jitter: u8) {
        let end = self.begun + self.patience.deadline;
        self.wake_at = if self.made + 1 >= self.patience.tries {
            end
        } else {
            // 75 % to 125 % of the doubled wait.
            let wait = self.patience.first.saturating_mul(1 << self.made.min(16)) / 512 * (384 + u32::from(jitter));
            end.min(now + wait.min(self.patience.deadline))
        };
        self.made += 1;
    }

    pub(super) fn due(&self, now: Instant) -> Due {
        if now < self.wake_at {
            Due::Wait
        } else if self.made >= self.patience.tries || now >= self.begun + self.patience.deadline {
            Due::Over
        } else {
            Due::Again
        }
    }

    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// How long answers take, now that one came: of what was sent again nobody knows to which of the tries it is the answer, so
    /// that then it is no shorter than it was thought.
    pub(super) fn pace(&self, now: Instant, before: Duration) -> Duration {
        self.waited(now).max(if self.made > 1 { before } else { before / 2 })
    }

    pub(super) fn wake_at(&self) -> Instant {
        self.wake_at
    }

    pub(super) fn count(&self) -> u32 {
        self.made
    }

    pub(super) fn waited(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end_at_the_deadline() {
        let start = Instant::now();
        for jitter in [0, 128, 255] {
            let mut tries = Tries::begin(Patience::default(), start, jitter);
            let mut sent = vec![start];
            loop {
                let now = tries.wake_at();
                assert_eq!(tries.due(*sent.last().unwrap()), Due::Wait);
                match tries.due(now) {
                    Due::Again => {
                        sent.push(now);
                        tries.made(now, jitter);
                    }
                    Due::Over => {
                        assert_eq!(now, start + Duration::from_secs(20));
                        break;
                    }
                    Due::Wait => panic!("woken for nothing"),
                }
            }
            assert_eq!(sent.len(), 4);
            let last = sent[3] - start;
            assert!(last >= Duration::from_millis(5250) && last <= Duration::from_millis(8750), "{last:?}");
        }
    }

    #[test]
    fn a_slow_bmc_is_asked_less_often_and_waited_for_longer() {
        let slow = Patience::default().for_reuse().at_pace(Duration::from_secs(10));
        assert_eq!((slow.first, slow.deadline), (Duration::from_secs(15), Duration::from_secs(50)));
        let known = Patience::default().at_pace(Duration::from_millis(20));
        assert_eq!(known, Patience::default());
        let of_ages = Patience::default().at_pace(Duration::from_mins(5));
        assert_eq!(of_ages.deadline, LONGEST);
    }

    #[test]
    fn the_pace_goes_down_by_halves_and_not_at_all_on_an_answer_to_one_of_several_tries() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut tries = Tries::begin(Patience::default(), start, 0);
        assert_eq!(tries.pace(start + second, Duration::ZERO), second);
        assert_eq!(tries.pace(start + second, 8 * second), 4 * second);
        tries.made(start + second, 0);
        assert_eq!(tries.pace(start + second * 2, 8 * second), 8 * second);
    }

    #[test]
    fn one_try_waits_to_the_end() {
        let start = Instant::now();
        let tries = Tries::begin(Patience { tries: 1, ..Patience::default() }, start, 0);
        assert_eq!(tries.wake_at(), start + Duration::from_secs(20));
        assert_eq!(tries.due(start + Duration::from_secs(20)), Due::Over);
    }
}
