//! What a BMC saw, and when.

use jiff::Timestamp;

use super::accounts::Privilege;
use super::crypto::Suite;
use super::faults::Call;

/// A datagram that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When.
    pub at: Timestamp,
    /// What was asked.
    pub call: Call,
    /// In which session; 0 is none.
    pub session: u32,
    /// The client's number of the request: the same one says that it is sent again.
    pub number: u8,
    /// What was asked with; empty for passwords.
    pub data: Vec<u8>,
    /// What became of it.
    pub fate: Fate,
}

impl Seen {
    /// Whether it was done, whatever was answered.
    pub fn is_done(&self) -> bool {
        matches!(self.fate, Fate::Done { code: 0, .. })
    }

    /// The network function and the number of the command, if it is one.
    pub fn command(&self) -> Option<(u8, u8)> {
        if let Call::Command(function, command) = self.call { Some((function, command)) } else { None }
    }
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The BMC never got it: a fault, or it was restarting.
    Lost,
    /// The BMC took no notice: a duplicate, a code that is wrong, no such session.
    Ignored,
    /// A fault answered in place of the BMC.
    Faked(u8),
    /// The BMC dealt with it.
    Done {
        /// The completion code or the status: 0 if what was asked for was done.
        code: u8,
        /// When the answer was sent; `None` if it was lost.
        answered: Option<Timestamp>,
    },
}

/// A session that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSeen {
    /// What the BMC called it by.
    pub id: u32,
    /// How it was sealed.
    pub suite: Suite,
    /// Whose it was.
    pub user: String,
    /// The most that it could be raised to.
    pub limit: Privilege,
    /// Since when.
    pub opened: Timestamp,
    /// Until when, and why; `None` if it is still open.
    pub ended: Option<(Timestamp, End)>,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client closed it.
    Closed,
    /// Nobody used it.
    Idle,
    /// The BMC lost it: it restarted, or a fault made it.
    Forgotten,
}

/// A handshake that succeeded, for another implementation to recompute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// What it was made with.
    pub suite: Suite,
    /// The client's ID of the session.
    pub console_id: u32,
    /// The BMC's ID of the session.
    pub bmc_id: u32,
    /// The client's random number.
    pub console_random: [u8; 16],
    /// The BMC's random number.
    pub bmc_random: [u8; 16],
    /// The BMC's GUID.
    pub guid: [u8; 16],
    /// The byte of the privilege that was asked for.
    pub role: u8,
    /// The user's name.
    pub name: Vec<u8>,
    /// The codes of RAKP messages 2, 3 and 4.
    pub codes: [Vec<u8>; 3],
}

/// A datagram as it was on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// It came from the client; else it went there.
    pub from_client: bool,
    /// All its bytes.
    pub bytes: Vec<u8>,
}

/// Everything a BMC saw.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) seen: Vec<Seen>,
    pub(super) sessions: Vec<SessionSeen>,
    pub(super) handshakes: Vec<Handshake>,
    /// The datagrams, if they are recorded.
    pub(super) datagrams: Option<Vec<Datagram>>,
}

impl Log {
    /// A session has ended.
    pub(super) fn ended(&mut self, id: u32, at: Timestamp, how: End) {
        if let Some(session) = self.sessions.iter_mut().rev().find(|session| session.id == id) {
            session.ended = Some((at, how));
        }
    }

    /// Keeps a datagram, if they are recorded.
    pub(super) fn datagram(&mut self, from_client: bool, bytes: &[u8]) {
        if let Some(datagrams) = &mut self.datagrams {
            datagrams.push(Datagram { from_client, bytes: bytes.to_vec() });
        }
    }
}
