//! The inbound sequence numbers of a session (§6.12.13): each packet once, a little out of order.

/// How far behind the newest a packet may be (§6.12.13: 16 for RMCP+).
const BEHIND: u32 = 16;
/// How far ahead of the newest: what is further is behind it. §6.12.13 lets a receiver drop what is more than 15 ahead; there are
/// BMCs that leave out more, and an authentic packet with a number that is higher than any before cannot be an old one.
const AHEAD: u32 = 1 << 31;

/// Which sequence numbers have been seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    /// The newest, once there is one.
    newest: Option<u32>,
    /// Bit n: `newest - n` was seen.
    seen: u32,
}

impl Window {
    /// True for a number that is new and near enough; it is seen then. Ask it of authentic packets only. The first may be
    /// any, since a session's keys are fresh and BMCs differ in where they start.
    pub(super) fn accept(&mut self, sequence: u32) -> bool {
        let Some(newest) = self.newest else {
            *self = Self { newest: Some(sequence), seen: 1 };
            return true;
        };
        let ahead = sequence.wrapping_sub(newest);
        if (1..=AHEAD).contains(&ahead) {
            *self = Self { newest: Some(sequence), seen: self.seen.checked_shl(ahead).unwrap_or_default() | 1 };
            return true;
        }
        let behind = newest.wrapping_sub(sequence);
        let new = behind <= BEHIND && self.seen & 1 << behind == 0;
        if new {
            self.seen |= 1 << behind;
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_once_and_near_enough() {
        let mut window = Window::default();
        for (sequence, accepted) in [
            (1, true),
            (1, false),
            (3, true),
            (2, true),
            (2, false),
            (18, true),
            (33, true),
            (17, true),
            (16, false),
            (0, false),
            (70_000, true),
            (33, false),
            (69_990, true),
            (70_000, false),
        ] {
            assert_eq!(window.accept(sequence), accepted, "{sequence}");
        }
    }

    #[test]
    fn numbers_wrap() {
        let mut window = Window::default();
        for sequence in [u32::MAX - 1, 1, u32::MAX, 0] {
            assert!(window.accept(sequence), "{sequence}");
            assert!(!window.accept(sequence), "{sequence} again");
        }
    }
}
