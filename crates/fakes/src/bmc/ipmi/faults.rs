//! What goes wrong with a BMC: at which call, and how.

use std::time::Duration;

use crate::bmc::Power;

/// What a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// The ping of RMCP.
    Ping,
    /// Open Session Request.
    OpenSession,
    /// RAKP message 1.
    Rakp1,
    /// RAKP message 3.
    Rakp3,
    /// A command: network function and number.
    Command(u8, u8),
    /// A datagram that makes no sense, or belongs to no session.
    Unknown,
}

/// How it goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The request is lost on the way.
    LoseRequest,
    /// It is done; the reply is lost on the way.
    LoseReply,
    /// It is done; the reply comes this much later.
    Slow(Duration),
    /// It is not done, and answered with this completion code or status.
    Refuse(u8),
    /// It is done, and answered with this completion code or status.
    DoneBut(u8),
    /// The answer's data are these.
    Data(Vec<u8>),
    /// The reply comes twice.
    Duplicate,
    /// The reply comes after the reply to the next request.
    Reorder,
    /// The reply before comes again, in front of this one.
    Replay,
    /// So many bytes of nonsense come in front of the reply.
    Garbage(usize),
    /// The code at the end of the reply is wrong: of RAKP 2, of RAKP 4, or of integrity.
    WrongCode,
    /// These algorithms are in the answer to Open Session, whatever was asked for.
    Offer([u8; 3]),
    /// The BMC counts its session's sequence numbers from the beginning, both ways.
    SequenceReset,
    /// The BMC leaves out so many of its sequence numbers.
    SequenceGap(u32),
    /// The BMC has forgotten all sessions, this request's too.
    ForgetSessions,
    /// The BMC restarts before it does what it was asked.
    RestartBefore,
    /// The BMC does what it was asked and restarts before it answers.
    RestartAfter,
    /// It says that the machine is on, or off, whatever it is.
    ClaimPower(Power),
    /// The request is lost, and so is everything from then on, until the faults are cleared.
    SilentBefore,
    /// It is done; the reply is lost, and so is everything from then on, until the faults are cleared.
    SilentAfter,
}

/// A rule: one fault at some calls.
#[derive(Clone, Debug)]
pub struct Fault {
    call: Option<Call>,
    nth: Option<u64>,
    every: u64,
    effect: Effect,
    seen: u64,
}

impl Fault {
    /// A fault at every datagram.
    pub fn always(effect: Effect) -> Self {
        Self { call: None, nth: None, every: 1, effect, seen: 0 }
    }

    /// A fault at these calls.
    pub fn at(call: Call, effect: Effect) -> Self {
        Self { call: Some(call), ..Self::always(effect) }
    }

    /// Only at the nth of these calls from now on, counted from 1.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = Some(nth);
        self
    }

    /// Only at every kth of these calls.
    #[must_use]
    pub fn every(mut self, every: u64) -> Self {
        self.every = every.max(1);
        self
    }
}

/// The rules of one BMC.
#[derive(Debug, Default)]
pub(super) struct Faults {
    rules: Vec<Fault>,
    /// Nothing is heard any more.
    pub(super) silent: bool,
}

impl Faults {
    pub(super) fn inject(&mut self, fault: Fault) {
        self.rules.push(fault);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Counts a call, and says what goes wrong with it.
    pub(super) fn strike(&mut self, call: Call) -> Vec<Effect> {
        let mut effects = Vec::new();
        for rule in self.rules.iter_mut().filter(|rule| rule.call.is_none_or(|wanted| wanted == call)) {
            rule.seen += 1;
            if rule.nth.is_none_or(|nth| nth == rule.seen) && rule.seen.is_multiple_of(rule.every) {
                effects.push(rule.effect.clone());
            }
        }
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_count_their_own_calls() {
        let mut faults = Faults::default();
        faults.inject(Fault::at(Call::Rakp1, Effect::LoseReply).nth(2));
        faults.inject(Fault::always(Effect::Duplicate).every(3));
        assert_eq!(faults.strike(Call::Rakp1), []);
        assert_eq!(faults.strike(Call::Rakp3), []);
        assert_eq!(faults.strike(Call::Rakp1), [Effect::LoseReply, Effect::Duplicate]);
        assert_eq!(faults.strike(Call::Rakp1), []);
    }
}
