//! RAKP messages 1 to 4 (IPMI 2.0 §13.20–§13.23): both sides prove that they know the user's key.

use std::fmt;

use super::open_session::refused_session;
use super::{DecodeError, RakpStatus, Reader};

/// Longest user name, in bytes.
pub const MAX_USERNAME: usize = 16;

/// Privilege level (§6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Privilege {
    /// May only start a callback.
    Callback,
    /// May read.
    User,
    /// May also operate the machine: power, boot, identify.
    Operator,
    /// May do everything, also configure the BMC.
    Administrator,
    /// Defined by the vendor.
    Oem,
}

impl Privilege {
    /// Its number in the specification.
    pub fn number(self) -> u8 {
        match self {
            Self::Callback => 1,
            Self::User => 2,
            Self::Operator => 3,
            Self::Administrator => 4,
            Self::Oem => 5,
        }
    }

    /// The level of this number.
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Callback),
            2 => Some(Self::User),
            3 => Some(Self::Operator),
            4 => Some(Self::Administrator),
            5 => Some(Self::Oem),
            _ => None,
        }
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Callback => "callback",
            Self::User => "user",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
            Self::Oem => "OEM",
        })
    }
}

/// The requested maximum privilege level and how the BMC shall look the user up: one byte of RAKP 1, and as such part
/// of what both sides authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Role {
    /// Requested maximum privilege level; `None`: the highest that the user and the channel allow.
    pub privilege: Option<Privilege>,
    /// Look the user up by name alone, not by name and privilege level.
    pub name_only: bool,
}

impl Role {
    /// As it is on the wire and in the HMACs.
    pub fn byte(self) -> u8 {
        self.privilege.map_or(0, Privilege::number) | u8::from(self.name_only) << 4
    }

    fn from_byte(byte: u8) -> Option<Self> {
        let privilege = match byte & 0x0f {
            0 => None,
            number => Some(Privilege::from_number(number)?),
        };
        Some(Self { privilege, name_only: byte & 0x10 != 0 })
    }
}

/// RAKP Message 1, console to BMC (§13.20, Table 13-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rakp1<'a> {
    /// Matches RAKP 2 to it.
    pub tag: u8,
    /// The BMC's session id.
    pub bmc_session: u32,
    /// The console's random number.
    pub console_random: [u8; 16],
    /// Privilege level and kind of look-up.
    pub role: Role,
    /// The user's name, at most [`MAX_USERNAME`] bytes; empty: the anonymous user.
    pub username: &'a [u8],
}

/// RAKP Message 2, BMC to console (§13.21, Table 13-12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rakp2<'a> {
    /// The tag of RAKP 1.
    pub tag: u8,
    /// The console's session id.
    pub console_session: u32,
    /// The BMC's half of the exchange, or why it refuses.
    pub result: Result<Rakp2Accepted<'a>, RakpStatus>,
}

/// The BMC's half of the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rakp2Accepted<'a> {
    /// The BMC's random number.
    pub bmc_random: [u8; 16],
    /// The BMC's GUID, as sent: little-endian, least significant byte first (§20.8).
    pub bmc_guid: [u8; 16],
    /// Its proof: HMAC by the user's key. Empty with authentication algorithm none.
    pub key_exchange_code: &'a [u8],
}

/// RAKP Message 3, console to BMC (§13.22, Table 13-13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rakp3<'a> {
    /// Matches RAKP 4 to it.
    pub tag: u8,
    /// The BMC's session id.
    pub bmc_session: u32,
    /// The console's proof, or why it gives up (the BMC then ends the exchange and does not answer).
    pub result: Result<&'a [u8], RakpStatus>,
}

/// RAKP Message 4, BMC to console (§13.23, Table 13-14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rakp4<'a> {
    /// The tag of RAKP 3.
    pub tag: u8,
    /// The console's session id.
    pub console_session: u32,
    /// The integrity check value by the session integrity key, or why the BMC refuses.
    pub result: Result<&'a [u8], RakpStatus>,
}

impl<'a> Rakp1<'a> {
    /// Appends the payload to `out`. A name that is too long is cut; a session never has one.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let username = &self.username[..self.username.len().min(MAX_USERNAME)];
        out.extend([self.tag, 0, 0, 0]);
        out.extend(self.bmc_session.to_le_bytes());
        out.extend(self.console_random);
        out.extend([self.role.byte(), 0, 0]);
        out.extend(u8::try_from(username.len()));
        out.extend_from_slice(username);
    }

    /// Reads the payload.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("RAKP 1", bytes);
        let tag = reader.u8()?;
        reader.skip(3)?;
        let bmc_session = reader.u32()?;
        let console_random = reader.array()?;
        let role = Role::from_byte(reader.u8()?).ok_or_else(|| reader.invalid("no such privilege level"))?;
        reader.skip(2)?;
        let length = usize::from(reader.u8()?);
        if length > MAX_USERNAME {
            return Err(reader.invalid("the user name is longer than 16 bytes"));
        }
        Ok(Self { tag, bmc_session, console_random, role, username: reader.bytes(length)? })
    }
}

impl<'a> Rakp2<'a> {
    /// Appends the payload to `out`. A refusal ends after the console's session id.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_start(self.tag, self.result.err(), self.console_session, out);
        if let Ok(accepted) = self.result {
            out.extend(accepted.bmc_random);
            out.extend(accepted.bmc_guid);
            out.extend_from_slice(accepted.key_exchange_code);
        }
    }

    /// Reads the payload.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("RAKP 2", bytes);
        let (tag, status, console_session) = decode_start(&mut reader)?;
        let result = match status {
            RakpStatus::OK => Ok(Rakp2Accepted {
                bmc_random: reader.array()?,
                bmc_guid: reader.array()?,
                key_exchange_code: reader.rest(),
            }),
            status => Err(status),
        };
        Ok(Self { tag, console_session, result })
    }
}

impl<'a> Rakp3<'a> {
    /// Appends the payload to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_start(self.tag, self.result.err(), self.bmc_session, out);
        out.extend_from_slice(self.result.unwrap_or_default());
    }

    /// Reads the payload.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("RAKP 3", bytes);
        let (tag, status, bmc_session) = decode_start(&mut reader)?;
        Ok(Self { tag, bmc_session, result: code_or_status(status, reader.rest()) })
    }
}

impl<'a> Rakp4<'a> {
    /// Appends the payload to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_start(self.tag, self.result.err(), self.console_session, out);
        out.extend_from_slice(self.result.unwrap_or_default());
    }

    /// Reads the payload.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("RAKP 4", bytes);
        let (tag, status, console_session) = decode_start(&mut reader)?;
        Ok(Self { tag, console_session, result: code_or_status(status, reader.rest()) })
    }
}

/// RAKP 2, 3 and 4 start alike: tag, status, reserved (2), session id.
fn encode_start(tag: u8, status: Option<RakpStatus>, session: u32, out: &mut Vec<u8>) {
    out.extend([tag, status.unwrap_or(RakpStatus::OK).0, 0, 0]);
    out.extend(session.to_le_bytes());
}

fn decode_start(reader: &mut Reader<'_>) -> Result<(u8, RakpStatus, u32), DecodeError> {
    let [tag, status] = reader.array()?;
    if status != RakpStatus::OK.0 {
        return Ok((tag, RakpStatus(status), refused_session(reader)?));
    }
    reader.skip(2)?;
    Ok((tag, RakpStatus::OK, reader.u32()?))
}

fn code_or_status(status: RakpStatus, code: &[u8]) -> Result<&[u8], RakpStatus> {
    if status == RakpStatus::OK { Ok(code) } else { Err(status) }
}
