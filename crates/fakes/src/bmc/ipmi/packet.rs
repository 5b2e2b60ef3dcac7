//! Datagrams as the BMC reads and writes them (sections 13.1 to 13.8).
//!
//! Written for the fake alone, from the specification, so that it and the client's codec are not wrong in the same way.

use super::crypto::Keys;

/// The ping's answer, but its tag (section 13.2.4): IPMI is supported.
const PONG: [u8; 18] = [0, 16, 0, 0, 0x11, 0xbe, 0, 0, 0, 0, 0x81, 0, 0, 0, 0, 0, 0, 0];
/// RMCP version 1.0, no acknowledgement, class IPMI.
const RMCP: [u8; 4] = [6, 0, 0xff, 7];
/// The session header's kind of RMCP+.
const PLUS: u8 = 6;
const ENCRYPTED: u8 = 0x80;
const AUTHENTICATED: u8 = 0x40;

/// Payload types of RMCP+ (section 13.27.3).
pub(super) mod payload {
    pub(in super::super) const MESSAGE: u8 = 0;
    pub(in super::super) const OPEN_SESSION_REQUEST: u8 = 0x10;
    pub(in super::super) const OPEN_SESSION_RESPONSE: u8 = 0x11;
    pub(in super::super) const RAKP1: u8 = 0x12;
    pub(in super::super) const RAKP2: u8 = 0x13;
    pub(in super::super) const RAKP3: u8 = 0x14;
    pub(in super::super) const RAKP4: u8 = 0x15;
}

/// A datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    /// The ping of RMCP, with its tag.
    Ping(u8),
    /// A message of IPMI 1.5 outside of any session.
    Old(&'a [u8]),
    /// A payload of RMCP+.
    Plus(Plus<'a>),
}

/// A payload of RMCP+ with its session header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plus<'a> {
    pub(super) kind: u8,
    pub(super) encrypted: bool,
    pub(super) session: u32,
    pub(super) sequence: u32,
    pub(super) payload: &'a [u8],
    /// What the integrity code covers, and the code; `None` if it is not authenticated.
    pub(super) seal: Option<(&'a [u8], &'a [u8])>,
}

impl<'a> Packet<'a> {
    /// Reads a datagram; `None` if it is none of these.
    pub(super) fn parse(datagram: &'a [u8], code_length: impl Fn(u32) -> Option<usize>) -> Option<Self> {
        match datagram {
            [6, _, _, 6, 0, 0, 0x11, 0xbe, 0x80, tag, ..] => Some(Self::Ping(*tag)),
            [6, _, _, 7, 0, _, _, _, _, 0, 0, 0, 0, length, message @ ..] => {
                Some(Self::Old(message.get(..usize::from(*length))?))
            }
            [6, _, _, 7, session @ ..] => Plus::parse(session, code_length).map(Self::Plus),
            _ => None,
        }
    }
}

impl<'a> Plus<'a> {
    fn parse(packet: &'a [u8], code_length: impl Fn(u32) -> Option<usize>) -> Option<Self> {
        let [PLUS, flags, s0, s1, s2, s3, q0, q1, q2, q3, l0, l1, rest @ ..] = packet else { return None };
        let session = u32::from_le_bytes([*s0, *s1, *s2, *s3]);
        let length = usize::from(u16::from_le_bytes([*l0, *l1]));
        let payload = rest.get(..length)?;
        let seal = if flags & AUTHENTICATED == 0 {
            None
        } else {
            let (covered, code) = packet.split_at_checked(packet.len().checked_sub(code_length(session)?)?)?;
            // Padding that makes the whole a multiple of four, its length, and the mark of RMCP.
            let [trailer @ .., padding, 7] = covered.get(12 + length..)? else { return None };
            if trailer.len() != usize::from(*padding) || covered.len() % 4 != 0 {
                return None;
            }
            Some((covered, code))
        };
        Some(Self {
            kind: flags & 0x3f,
            encrypted: flags & ENCRYPTED != 0,
            session,
            sequence: u32::from_le_bytes([*q0, *q1, *q2, *q3]),
            payload,
            seal,
        })
    }
}

/// The answer to a ping.
pub(super) fn pong(tag: u8) -> Vec<u8> {
    [&[6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x40, tag][..], &PONG].concat()
}

/// A message of IPMI 1.5 outside of any session.
pub(super) fn old(message: &[u8]) -> Vec<u8> {
    let length = u8::try_from(message.len()).unwrap_or(u8::MAX);
    [&RMCP[..], &[0; 9], &[length], message].concat()
}

/// A payload of RMCP+ outside of any session.
pub(super) fn plain(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&RMCP[..], &header(kind, 0, 0, payload.len()), payload].concat()
}

/// A message of a session, encrypted and authenticated.
pub(super) fn sealed(keys: &Keys, session: u32, sequence: u32, message: &[u8]) -> Vec<u8> {
    let payload = keys.encrypt(message).unwrap_or_default();
    let header = header(payload::MESSAGE | ENCRYPTED | AUTHENTICATED, session, sequence, payload.len());
    let mut packet = [&header[..], &payload].concat();
    let padding = (4 - (packet.len() + 2) % 4) % 4;
    packet.extend(std::iter::repeat_n(0xff, padding));
    packet.extend([u8::try_from(padding).unwrap_or_default(), 7]);
    let code = keys.code(&packet);
    [&RMCP[..], &packet, &code].concat()
}

fn header(flags: u8, session: u32, sequence: u32, length: usize) -> Vec<u8> {
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    [&[PLUS, flags][..], &session.to_le_bytes(), &sequence.to_le_bytes(), &length.to_le_bytes()].concat()
}

/// A request to the BMC (section 13.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) function: u8,
    pub(super) command: u8,
    pub(super) data: Vec<u8>,
    /// What the client tells its requests apart by.
    pub(super) number: u8,
    responder: u8,
    responder_unit: u8,
    requester: u8,
    requester_unit: u8,
}

impl Request {
    /// Reads a message; `None` if it is cut, its checksums are wrong, or it is not a request.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let [responder, function, _, requester, number, command, data @ .., _] = message else { return None };
        if checksum(&message[..3]) != 0 || checksum(&message[3..]) != 0 || function & 0b100 != 0 {
            return None;
        }
        Some(Self {
            function: function >> 2,
            command: *command,
            data: data.to_vec(),
            number: number >> 2,
            responder: *responder,
            responder_unit: function & 3,
            requester: *requester,
            requester_unit: number & 3,
        })
    }

    /// The message that answers it.
    pub(super) fn answer(&self, code: u8, data: &[u8]) -> Vec<u8> {
        let function = (self.function | 1) << 2 | self.requester_unit;
        let mut message = vec![self.requester, function];
        message.push(checksum(&message));
        message.extend([self.responder, self.number << 2 | self.responder_unit, self.command, code]);
        message.extend(data);
        message.push(checksum(&message[3..]));
        message
    }
}

/// What makes the sum of the bytes zero.
pub(super) fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bmc::ipmi::crypto::Suite;

    #[test]
    fn what_is_sealed_is_read_again() {
        for suite in [Suite::Three, Suite::Seventeen] {
            let keys = Keys::derive(suite, &[9; 20]);
            for length in 0..40_u8 {
                let message: Vec<u8> = (0..length).collect();
                let datagram = sealed(&keys, 0x0102_0304, 5, &message);
                let Some(Packet::Plus(plus)) = Packet::parse(&datagram, |_| Some(suite.code_length())) else {
                    panic!("{datagram:x?}")
                };
                assert_eq!((plus.kind, plus.session, plus.sequence, plus.encrypted), (0, 0x0102_0304, 5, true));
                let (covered, code) = plus.seal.unwrap();
                assert_eq!(keys.code(covered), code);
                assert_eq!(keys.decrypt(plus.payload), Some(message));
            }
        }
    }

    #[test]
    fn a_request_is_answered_to_who_asked() {
        // Get Device ID, as in the specification's appendix of messages.
        let request = Request::parse(&[0x20, 0x18, 0xc8, 0x81, 0x04, 0x01, 0x7a]).unwrap();
        assert_eq!((request.function, request.command, request.number), (6, 1, 1));
        let answer = request.answer(0xc1, &[]);
        assert_eq!(answer, [0x81, 0x1c, 0x63, 0x20, 0x04, 0x01, 0xc1, 0x1a]);
        assert_eq!(Request::parse(&[0x20, 0x18, 0xc8, 0x81, 0x04, 0x01, 0x7b]), None);
    }
}
