//! RMCP datagrams: the RMCP header and the session header with its payload (IPMI 2.0 §13.1.3, §13.6, Table 13-8).

use super::{DecodeError, Reader};

/// Longest datagram that is decoded: far more than any message of the specification needs.
pub const MAX_DATAGRAM: usize = 2048;

/// Authentication type "none" of the IPMI 1.5 format (Table 13-8).
pub const AUTH_NONE: u8 = 0x00;
/// Authentication type/format of RMCP+.
pub(crate) const FORMAT_RMCP_PLUS: u8 = 0x06;
/// RMCP version 1.0, reserved, sequence number 255 (no RMCP acknowledge), class IPMI (§13.1.3).
pub(crate) const RMCP_HEADER: [u8; 4] = [0x06, 0x00, 0xff, 0x07];
/// Bytes of the RMCP header; an authentication code is over what follows it.
pub(crate) const RMCP_LENGTH: usize = RMCP_HEADER.len();
/// "Next header" at the end of a packet with an authentication code: always 07h (Table 13-8).
pub(crate) const NEXT_HEADER: u8 = 0x07;

const ENCRYPTED: u8 = 0x80;
const AUTHENTICATED: u8 = 0x40;

/// Payload type of an RMCP+ packet (§13.27.3, Table 13-16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PayloadType {
    /// An IPMI message.
    Ipmi,
    /// Serial over LAN.
    SerialOverLan,
    /// RMCP+ Open Session Request.
    OpenSessionRequest,
    /// RMCP+ Open Session Response.
    OpenSessionResponse,
    /// RAKP Message 1.
    Rakp1,
    /// RAKP Message 2.
    Rakp2,
    /// RAKP Message 3.
    Rakp3,
    /// RAKP Message 4.
    Rakp4,
}

impl PayloadType {
    /// Its number in the specification.
    pub fn number(self) -> u8 {
        match self {
            Self::Ipmi => 0x00,
            Self::SerialOverLan => 0x01,
            Self::OpenSessionRequest => 0x10,
            Self::OpenSessionResponse => 0x11,
            Self::Rakp1 => 0x12,
            Self::Rakp2 => 0x13,
            Self::Rakp3 => 0x14,
            Self::Rakp4 => 0x15,
        }
    }

    /// The type of this number; the OEM ones are not spoken here.
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0x00 => Some(Self::Ipmi),
            0x01 => Some(Self::SerialOverLan),
            0x10 => Some(Self::OpenSessionRequest),
            0x11 => Some(Self::OpenSessionResponse),
            0x12 => Some(Self::Rakp1),
            0x13 => Some(Self::Rakp2),
            0x14 => Some(Self::Rakp3),
            0x15 => Some(Self::Rakp4),
            _ => None,
        }
    }
}

/// One UDP datagram on port 623, by its session header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datagram<'a> {
    /// IPMI 1.5 format: what is asked before a session, by clients that do not know yet what the BMC speaks.
    V15(V15<'a>),
    /// RMCP+, in clear: the session set-up, and IPMI messages outside a session.
    Plain(Payload<'a>),
    /// RMCP+, encrypted or authenticated or both: [`crate::crypto::SessionKeys::open`] reads it.
    Protected(Protected<'a>),
}

/// A packet in the IPMI 1.5 format (Table 13-8, left column).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V15<'a> {
    /// [`AUTH_NONE`], or another type of §22.17.1; then 16 bytes of authentication code follow.
    pub auth_type: u8,
    /// Session sequence number; 0 outside a session.
    pub sequence: u32,
    /// Session id; 0 outside a session.
    pub session: u32,
    /// The authentication code, if `auth_type` is not [`AUTH_NONE`].
    pub auth_code: Option<[u8; 16]>,
    /// An IPMI message, at most 255 bytes.
    pub message: &'a [u8],
}

/// A payload of an RMCP+ packet and to whom it belongs (Table 13-8, right column).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// What it is.
    pub kind: PayloadType,
    /// Session id of the receiver; 0 outside a session.
    pub session: u32,
    /// Session sequence number; 0 outside a session.
    pub sequence: u32,
    /// Its bytes, in clear.
    pub data: &'a [u8],
}

/// An RMCP+ packet that is encrypted or authenticated or both. Nothing in it may be believed before it is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protected<'a> {
    /// What it claims to be.
    pub kind: PayloadType,
    /// The payload is encrypted.
    pub encrypted: bool,
    /// The packet has an authentication code.
    pub authenticated: bool,
    /// Session id of the receiver: choose the keys by it.
    pub session: u32,
    /// Session sequence number.
    pub sequence: u32,
    /// The payload as it is on the wire: with encryption, the initialization vector and the cipher text.
    pub payload: &'a [u8],
    /// Everything after the payload: integrity pad, pad length, next header, authentication code.
    pub trailer: &'a [u8],
    /// What the authentication code is over, with the trailer up to the code: session header and payload.
    pub covered: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a datagram. RMCP acknowledges and ASF messages (presence ping) are not spoken here.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("RMCP datagram", bytes);
        if bytes.len() > MAX_DATAGRAM {
            return Err(reader.invalid("longer than 2048 bytes"));
        }
        let [version, _, _, class] = reader.array()?;
        if version != RMCP_HEADER[0] {
            return Err(reader.invalid("not RMCP version 1.0"));
        }
        if class != RMCP_HEADER[3] {
            return Err(reader.invalid("not of class IPMI"));
        }
        let session_packet = reader.rest();
        match session_packet.first() {
            Some(&FORMAT_RMCP_PLUS) => decode_rmcp_plus(session_packet),
            _ => V15::decode(session_packet).map(Datagram::V15),
        }
    }
}

fn decode_rmcp_plus(packet: &[u8]) -> Result<Datagram<'_>, DecodeError> {
    let mut reader = Reader::new("RMCP+ packet", packet);
    let [_, flags] = reader.array()?;
    let kind = PayloadType::from_number(flags & 0x3f).ok_or_else(|| reader.invalid("payload type not supported"))?;
    let session = reader.u32()?;
    let sequence = reader.u32()?;
    let length = usize::from(reader.u16()?);
    let payload = reader.bytes(length)?;
    let covered = &packet[..packet.len() - reader.remaining()];
    let (encrypted, authenticated) = (flags & ENCRYPTED != 0, flags & AUTHENTICATED != 0);
    if encrypted || authenticated {
        let trailer = reader.rest();
        return Ok(Datagram::Protected(Protected {
            kind,
            encrypted,
            authenticated,
            session,
            sequence,
            payload,
            trailer,
            covered,
        }));
    }
    Ok(Datagram::Plain(Payload { kind, session, sequence, data: payload }))
}

impl<'a> V15<'a> {
    /// A message outside a session.
    pub fn outside_session(message: &'a [u8]) -> Self {
        Self { auth_type: AUTH_NONE, sequence: 0, session: 0, auth_code: None, message }
    }

    /// Appends the datagram to `out`. More than 255 bytes of message do not fit the format and are cut.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let message = &self.message[..self.message.len().min(255)];
        out.extend(RMCP_HEADER);
        out.push(self.auth_type);
        out.extend(self.sequence.to_le_bytes());
        out.extend(self.session.to_le_bytes());
        out.extend(self.auth_code.unwrap_or_default().into_iter().take(if self.auth_type == AUTH_NONE {
            0
        } else {
            16
        }));
        out.extend(u8::try_from(message.len()));
        out.extend_from_slice(message);
    }

    fn decode(packet: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("IPMI 1.5 packet", packet);
        let auth_type = reader.u8()?;
        let sequence = reader.u32()?;
        let session = reader.u32()?;
        let auth_code = if auth_type == AUTH_NONE { None } else { Some(reader.array()?) };
        let length = usize::from(reader.u8()?);
        // Some BMCs pad the packet by a byte ("legacy pad", Table 13-8): what follows the message is ignored.
        Ok(Self { auth_type, sequence, session, auth_code, message: reader.bytes(length)? })
    }
}

impl Payload<'_> {
    /// A payload of the session set-up or an IPMI message outside a session.
    pub fn outside_session(kind: PayloadType, data: &[u8]) -> Payload<'_> {
        Payload { kind, session: 0, sequence: 0, data }
    }

    /// Appends the datagram to `out`, in clear.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_headers(self.kind.number(), self.session, self.sequence, self.data.len(), out);
        out.extend_from_slice(self.data);
    }
}

/// RMCP header and RMCP+ session header of an encrypted and authenticated packet.
pub(crate) fn encode_protected_headers(
    kind: PayloadType,
    session: u32,
    sequence: u32,
    length: usize,
    out: &mut Vec<u8>,
) {
    encode_headers(kind.number() | ENCRYPTED | AUTHENTICATED, session, sequence, length, out);
}

fn encode_headers(flags: u8, session: u32, sequence: u32, length: usize, out: &mut Vec<u8>) {
    out.extend(RMCP_HEADER);
    out.extend([FORMAT_RMCP_PLUS, flags]);
    out.extend(session.to_le_bytes());
    out.extend(sequence.to_le_bytes());
    // Nothing that this crate makes is longer than `MAX_DATAGRAM`.
    out.extend(u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
}
