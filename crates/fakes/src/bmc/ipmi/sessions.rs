//! Sessions: how they are set up (sections 13.17 to 13.24), sealed, counted and ended.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::accounts::Privilege;
use super::bmc::Bmc;
use super::crypto::{Keys, Suite, random};
use super::log::{End, Handshake, SessionSeen};

/// Handshakes that may be under way at a time; the oldest gives way.
const HANDSHAKES: usize = 16;

/// Statuses of RMCP+ and RAKP (table 13-15).
pub(super) mod status {
    pub(in super::super) const OK: u8 = 0;
    pub(in super::super) const NO_RESOURCES: u8 = 0x01;
    pub(in super::super) const INVALID_SESSION: u8 = 0x02;
    pub(in super::super) const INVALID_AUTHENTICATION: u8 = 0x04;
    pub(in super::super) const INVALID_INTEGRITY: u8 = 0x05;
    pub(in super::super) const INVALID_ROLE: u8 = 0x09;
    pub(in super::super) const UNAUTHORIZED_ROLE: u8 = 0x0a;
    pub(in super::super) const INVALID_NAME_LENGTH: u8 = 0x0c;
    pub(in super::super) const UNAUTHORIZED_NAME: u8 = 0x0d;
    pub(in super::super) const WRONG_CODE: u8 = 0x0f;
    pub(in super::super) const INVALID_CONFIDENTIALITY: u8 = 0x10;
    pub(in super::super) const NO_SUITE: u8 = 0x11;
    pub(in super::super) const ILLEGAL: u8 = 0x12;
}

/// All sessions of a BMC.
#[derive(Default)]
pub(super) struct Sessions {
    handshakes: Vec<Opening>,
    active: Vec<Session>,
    last_handle: u8,
}

/// A session that is being set up.
struct Opening {
    /// What it was asked by, to know it again.
    request: Vec<u8>,
    response: Vec<u8>,
    console_id: u32,
    bmc_id: u32,
    suite: Suite,
    limit: Privilege,
    challenge: Option<Challenge>,
}

/// RAKP message 1, and what was answered.
struct Challenge {
    request: Vec<u8>,
    response: Vec<u8>,
    user: u8,
    handshake: Handshake,
}

/// A session in use.
pub(super) struct Session {
    /// What the BMC calls it by.
    pub(super) id: u32,
    /// What the client calls it by.
    pub(super) console_id: u32,
    pub(super) handle: u8,
    pub(super) keys: Keys,
    pub(super) user: u8,
    /// The most it may be raised to.
    pub(super) limit: Privilege,
    pub(super) privilege: Privilege,
    pub(super) peer: SocketAddr,
    last_used: Timestamp,
    window: Window,
    /// The number of the last packet sent.
    sent: u32,
    /// RAKP message 3, and what was answered, until the first command.
    confirmation: Option<(Vec<u8>, Vec<u8>)>,
}

impl Session {
    /// The number of the next packet to send.
    pub(super) fn next_sequence(&mut self) -> u32 {
        self.sent = self.sent.checked_add(1).unwrap_or(1);
        self.sent
    }

    /// Whether a packet of this number is to be taken; if so it is used up.
    pub(super) fn accept(&mut self, sequence: u32, now: Timestamp) -> bool {
        let accepted = self.window.accept(sequence);
        if accepted {
            self.last_used = now;
            self.confirmation = None;
        }
        accepted
    }

    /// Counts from the beginning again, both ways.
    /// The next packet's number is higher than it would be.
    pub(super) fn leave_out(&mut self, numbers: u32) {
        self.sent = self.sent.wrapping_add(numbers);
    }

    pub(super) fn reset_sequences(&mut self) {
        self.sent = 0;
        self.window = Window::default();
    }
}

/// Which numbers of packets have come (section 6.12.13): 16 ahead of the highest may, and 15 behind it that have not.
#[derive(Clone, Copy, Default)]
struct Window {
    highest: u32,
    /// Bit n: highest - n has come.
    seen: u16,
}

impl Window {
    fn accept(&mut self, sequence: u32) -> bool {
        let ahead = sequence.wrapping_sub(self.highest);
        let behind = self.highest.wrapping_sub(sequence);
        if sequence == 0 {
            false
        } else if (1..=16).contains(&ahead) {
            self.highest = sequence;
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            true
        } else if behind < 16 && self.seen & 1 << behind == 0 {
            self.seen |= 1 << behind;
            true
        } else {
            false
        }
    }
}

impl Sessions {
    /// The session of an ID, if it is in use.
    pub(super) fn get(&self, id: u32) -> Option<&Session> {
        self.active.iter().find(|session| session.id == id)
    }

    /// The session of an ID, to change it.
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Session> {
        self.active.iter_mut().find(|session| session.id == id)
    }

    /// Those in use.
    pub(super) fn active(&self) -> &[Session] {
        &self.active
    }

    /// Ends one. Whether there was one.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        let before = self.active.len();
        self.active.retain(|session| session.id != id);
        self.active.len() < before
    }

    /// Ends all. Those that were in use.
    pub(super) fn clear(&mut self) -> Vec<u32> {
        self.handshakes.clear();
        self.active.drain(..).map(|session| session.id).collect()
    }

    /// Ends those that nobody has used for so long.
    pub(super) fn expire(&mut self, idle: Duration, now: Timestamp) -> Vec<u32> {
        let idle = SignedDuration::try_from(idle).unwrap_or(SignedDuration::MAX);
        let is_idle = |session: &mut Session| now.duration_since(session.last_used) >= idle;
        self.active.extract_if(.., is_idle).map(|session| session.id).collect()
    }

    fn next_handle(&mut self) -> u8 {
        // Zero is none, and only six bits of it are ever shown.
        self.last_handle = self.last_handle % 63 + 1;
        self.last_handle
    }
}

impl Bmc {
    /// Open Session Request. The answer, with its status.
    pub(super) fn open_session(&mut self, request: &[u8], offer: Option<[u8; 3]>) -> Option<Vec<u8>> {
        if let Some(known) = self.sessions.handshakes.iter().find(|opening| opening.request == request) {
            return Some(known.response.clone());
        }
        let (tag, wanted, console_id) = match request {
            [tag, wanted, _, _, id @ ..] => (*tag, *wanted, u32::from_le_bytes(*id.first_chunk()?)),
            _ => return None,
        };
        match self.suite_for(wanted, &request[8..]) {
            Err(status) => Some([&[tag, status, wanted, 0][..], &console_id.to_le_bytes()].concat()),
            Ok((suite, limit)) => {
                let bmc_id = u32::from_le_bytes(random()).max(1);
                let mut response = vec![tag, status::OK, limit as u8, 0];
                response.extend(console_id.to_le_bytes());
                response.extend(bmc_id.to_le_bytes());
                for (kind, algorithm) in (0..).zip(offer.unwrap_or(suite.algorithms())) {
                    response.extend([kind, 0, 0, 8, algorithm, 0, 0, 0]);
                }
                if self.sessions.handshakes.len() == HANDSHAKES {
                    self.sessions.handshakes.remove(0);
                }
                self.sessions.handshakes.push(Opening {
                    request: request.to_vec(),
                    response: response.clone(),
                    console_id,
                    bmc_id,
                    suite,
                    limit,
                    challenge: None,
                });
                Some(response)
            }
        }
    }

    /// What is asked for by a privilege and three payloads of algorithms, or the status of the refusal.
    fn suite_for(&self, privilege: u8, mut algorithms: &[u8]) -> Result<(Suite, Privilege), u8> {
        let mut wanted = [None; 3];
        for (kind, wanted) in (0..).zip(&mut wanted) {
            let (payload, rest) = algorithms.split_at_checked(8).ok_or(status::ILLEGAL)?;
            algorithms = rest;
            *wanted = match payload {
                [it, _, _, 0, ..] if *it == kind => None,
                [it, _, _, 8, algorithm, ..] if *it == kind => Some(algorithm & 0x3f),
                _ => return Err(status::ILLEGAL),
            };
        }
        let fits = |suite: &Suite, kind: usize| wanted[kind].is_none_or(|it| it == suite.algorithms()[kind]);
        let invalid = [status::INVALID_AUTHENTICATION, status::INVALID_INTEGRITY, status::INVALID_CONFIDENTIALITY];
        for (kind, invalid) in invalid.into_iter().enumerate() {
            if !self.settings.suites.iter().any(|suite| fits(suite, kind)) {
                return Err(invalid);
            }
        }
        let suite = self.settings.suites.iter().filter(|suite| (0..3).all(|kind| fits(suite, kind))).max();
        let limit = match privilege & 0xf {
            0 => Privilege::Administrator,
            code => Privilege::from_code(code).ok_or(status::INVALID_ROLE)?,
        };
        if self.sessions.active.len() >= self.settings.sessions {
            return Err(status::NO_RESOURCES);
        }
        Ok((*suite.ok_or(status::NO_SUITE)?, limit))
    }

    /// RAKP message 1. The answer, with its status.
    pub(super) fn rakp1(&mut self, request: &[u8]) -> Option<Vec<u8>> {
        let (tag, id, rest) = match request {
            [tag, _, _, _, id @ ..] => (*tag, u32::from_le_bytes(*id.first_chunk()?), id.get(4..)?),
            _ => return None,
        };
        let refuse = |status, console_id: u32| Some([&[tag, status, 0, 0][..], &console_id.to_le_bytes()].concat());
        let Some(index) = self.sessions.handshakes.iter().position(|opening| opening.bmc_id == id) else {
            return refuse(status::INVALID_SESSION, 0);
        };
        let opening = &self.sessions.handshakes[index];
        if let Some(challenge) = opening.challenge.as_ref().filter(|challenge| challenge.request == request) {
            return Some(challenge.response.clone());
        }
        let console_id = opening.console_id;
        match self.challenge(index, request, rest) {
            Ok(challenge) => {
                let response = challenge.response.clone();
                self.sessions.handshakes[index].challenge = Some(challenge);
                Some(response)
            }
            Err(status) => {
                self.sessions.handshakes.remove(index);
                refuse(status, console_id)
            }
        }
    }

    fn challenge(&self, index: usize, request: &[u8], rest: &[u8]) -> Result<Challenge, u8> {
        let Opening { console_id, bmc_id, suite, limit, .. } = self.sessions.handshakes[index];
        let (console_random, rest) = rest.split_first_chunk::<16>().ok_or(status::ILLEGAL)?;
        let [role, _, _, length, name @ ..] = rest else { return Err(status::ILLEGAL) };
        if *length > 16 {
            return Err(status::INVALID_NAME_LENGTH);
        }
        let name = name.get(..usize::from(*length)).ok_or(status::INVALID_NAME_LENGTH)?;
        let privilege = match role & 0xf {
            0 => limit,
            code => Privilege::from_code(code).ok_or(status::INVALID_ROLE)?,
        };
        let by_name_only = role & 0x10 != 0;
        let wanted = (!by_name_only).then_some(privilege);
        let user = self.accounts.find(name, wanted, self.machine.now()).ok_or(status::UNAUTHORIZED_NAME)?;
        let account = self.accounts.get(user).ok_or(status::UNAUTHORIZED_NAME)?;
        if privilege > limit || account.privilege < Some(privilege) {
            return Err(status::UNAUTHORIZED_ROLE);
        }
        let mut handshake = Handshake {
            suite,
            console_id,
            bmc_id,
            console_random: *console_random,
            bmc_random: random(),
            guid: self.guid(),
            role: *role,
            name: name.to_vec(),
            codes: [const { Vec::new() }; 3],
        };
        let code = suite.hmac(
            &account.password,
            &[
                &console_id.to_le_bytes(),
                &bmc_id.to_le_bytes(),
                &handshake.console_random,
                &handshake.bmc_random,
                &handshake.guid,
                &[*role, *length],
                name,
            ],
        );
        let mut response = vec![request[0], status::OK, 0, 0];
        response.extend(console_id.to_le_bytes());
        response.extend(handshake.bmc_random);
        response.extend(handshake.guid);
        response.extend(&code);
        handshake.codes[0] = code;
        Ok(Challenge { request: request.to_vec(), response, user, handshake })
    }

    /// RAKP message 3. The answer, with its status; none if the client gave up.
    pub(super) fn rakp3(&mut self, request: &[u8], peer: SocketAddr) -> Option<Vec<u8>> {
        let (tag, given_up, id, code) = match request {
            [tag, status, _, _, id @ ..] => (*tag, *status, u32::from_le_bytes(*id.first_chunk()?), id.get(4..)?),
            _ => return None,
        };
        if let Some((known, answer)) = self.sessions.get(id).and_then(|session| session.confirmation.as_ref()) {
            return (known == request).then(|| answer.clone());
        }
        let refuse = |status, console_id: u32| Some([&[tag, status, 0, 0][..], &console_id.to_le_bytes()].concat());
        let handshakes = &mut self.sessions.handshakes;
        let Some(index) = handshakes.iter().position(|it| it.bmc_id == id && it.challenge.is_some()) else {
            return refuse(status::INVALID_SESSION, 0);
        };
        let opening = handshakes.remove(index);
        let Challenge { user, mut handshake, .. } = opening.challenge?;
        let now = self.machine.now();
        let Handshake { suite, console_id, bmc_id, role, .. } = handshake;
        let account = self.accounts.get(user)?;
        let named = [&[role, u8::try_from(handshake.name.len()).ok()?][..], &handshake.name].concat();
        let expected = suite.hmac(&account.password, &[&handshake.bmc_random, &console_id.to_le_bytes(), &named]);
        if given_up != status::OK || code != expected {
            self.accounts.failed(user, now);
            return if given_up == status::OK { refuse(status::WRONG_CODE, console_id) } else { None };
        }
        let key = self.settings.kg.unwrap_or(account.password);
        let name = String::from_utf8_lossy(&account.name).into_owned();
        let sik = suite.hmac(&key, &[&handshake.console_random, &handshake.bmc_random, &named]);
        let confirmed = suite.code(&sik, &[&handshake.console_random, &bmc_id.to_le_bytes(), &handshake.guid]);
        let answer = [&[tag, status::OK, 0, 0][..], &console_id.to_le_bytes(), &confirmed].concat();
        handshake.codes[1] = expected;
        handshake.codes[2] = confirmed;
        self.accounts.succeeded(user);
        let limit = match role & 0xf {
            0 => opening.limit,
            code => Privilege::from_code(code)?,
        };
        let handle = self.sessions.next_handle();
        self.sessions.active.push(Session {
            id: bmc_id,
            console_id,
            handle,
            keys: Keys::derive(suite, &sik),
            user,
            limit,
            privilege: Privilege::User.min(limit),
            peer,
            last_used: now,
            window: Window::default(),
            sent: 0,
            confirmation: Some((request.to_vec(), answer.clone())),
        });
        self.log.handshakes.push(handshake);
        self.log.sessions.push(SessionSeen { id: bmc_id, suite, user: name, limit, opened: now, ended: None });
        Some(answer)
    }

    /// Ends a session. Whether there was one.
    pub(super) fn end_session(&mut self, id: u32, how: End) -> bool {
        let ended = self.sessions.remove(id);
        if ended {
            self.log.ended(id, self.machine.now(), how);
        }
        ended
    }

    /// Ends all sessions.
    pub(super) fn forget_sessions(&mut self) {
        let now = self.machine.now();
        for id in self.sessions.clear() {
            self.log.ended(id, now, End::Forgotten);
        }
    }

    /// Ends the sessions that nobody uses any more.
    pub(super) fn expire_sessions(&mut self) {
        let now = self.machine.now();
        for id in self.sessions.expire(self.settings.idle, now) {
            self.log.ended(id, now, End::Idle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_takes_each_number_once_and_none_from_afar() {
        let mut window = Window::default();
        for (sequence, taken) in [
            (1, true),
            (1, false),
            (3, true),
            (2, true),
            (2, false),
            (0, false),
            (19, true),
            (36, false),
            (4, true),
            (3, false),
        ] {
            assert_eq!(window.accept(sequence), taken, "{sequence}");
        }
    }
}
