//! What a BMC answers when it will not: RMCP+ status codes and completion codes, in words.

use std::fmt;

/// RMCP+ and RAKP message status code (IPMI 2.0 §13.24, Table 13-15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RakpStatus(pub u8);

impl RakpStatus {
    /// No errors.
    pub const OK: Self = Self(0x00);
    /// The BMC has no free session slot.
    pub const INSUFFICIENT_RESOURCES: Self = Self(0x01);
    /// The session id is not, or no longer, known.
    pub const INVALID_SESSION_ID: Self = Self(0x02);
    /// The authentication algorithm is not one that the BMC has.
    pub const INVALID_AUTHENTICATION_ALGORITHM: Self = Self(0x04);
    /// The integrity algorithm is not one that the BMC has.
    pub const INVALID_INTEGRITY_ALGORITHM: Self = Self(0x05);
    /// No authentication algorithm of the proposal matches.
    pub const NO_MATCHING_AUTHENTICATION: Self = Self(0x06);
    /// No integrity algorithm of the proposal matches.
    pub const NO_MATCHING_INTEGRITY: Self = Self(0x07);
    /// The session is not in use any more.
    pub const INACTIVE_SESSION_ID: Self = Self(0x08);
    /// The privilege level asked for is not one that exists.
    pub const INVALID_ROLE: Self = Self(0x09);
    /// The user, or the channel, may not have the privilege level asked for.
    pub const UNAUTHORIZED_ROLE: Self = Self(0x0a);
    /// The name's length is not one that exists.
    pub const INVALID_NAME_LENGTH: Self = Self(0x0c);
    /// No such user.
    pub const UNAUTHORIZED_NAME: Self = Self(0x0d);
    /// The GUID is not the BMC's.
    pub const UNAUTHORIZED_GUID: Self = Self(0x0e);
    /// The integrity check value of RAKP 3 is wrong.
    pub const INVALID_INTEGRITY_CHECK_VALUE: Self = Self(0x0f);
    /// The confidentiality algorithm is not one that the BMC has.
    pub const INVALID_CONFIDENTIALITY_ALGORITHM: Self = Self(0x10);
    /// The BMC has no cipher suite with the algorithms that were proposed.
    pub const NO_CIPHER_SUITE_MATCH: Self = Self(0x11);
    /// A parameter is not allowed.
    pub const ILLEGAL_PARAMETER: Self = Self(0x12);

    /// True where the code says that the BMC does not have the algorithms that were proposed: the only answer on which
    /// another cipher suite may be tried.
    pub fn refuses_algorithms(self) -> bool {
        matches!(self.0, 0x03..=0x07 | 0x10 | 0x11)
    }

    /// True where the code says that user name, password or privilege were refused. A BMC that has no slot left at the
    /// privilege level (0Bh) says nothing about them.
    pub fn refuses_credentials(self) -> bool {
        matches!(self.0, 0x09 | 0x0a | 0x0c | 0x0d | 0x0f)
    }
}

impl fmt::Display for RakpStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.0 {
            0x00 => "no error",
            0x01 => "insufficient resources to create a session (all session slots of the BMC are in use)",
            0x02 => "invalid session id",
            0x03 => "invalid payload type",
            0x04 => "invalid authentication algorithm",
            0x05 => "invalid integrity algorithm",
            0x06 => "no matching authentication payload",
            0x07 => "no matching integrity payload",
            0x08 => "inactive session id",
            0x09 => "invalid role",
            0x0a => "unauthorized role or privilege level requested",
            0x0b => "insufficient resources to create a session at the requested role",
            0x0c => "invalid name length",
            0x0d => "unauthorized name (no such user, or not enabled)",
            0x0e => "unauthorized GUID",
            0x0f => "invalid integrity check value (wrong password or K_g)",
            0x10 => "invalid confidentiality algorithm",
            0x11 => "no cipher suite match with proposed security algorithms",
            0x12 => "illegal or unrecognized parameter",
            _ => "status reserved by the specification",
        };
        write!(f, "{words} (RMCP+ status {:#04x})", self.0)
    }
}

/// Completion code of a response (IPMI 2.0 §5.2, Table 5-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CompletionCode(pub u8);

impl CompletionCode {
    /// Done.
    pub const OK: Self = Self(0x00);
    /// The BMC has no time now.
    pub const NODE_BUSY: Self = Self(0xc0);
    /// No such command.
    pub const INVALID_COMMAND: Self = Self(0xc1);
    /// The command cannot be given to this LUN.
    pub const INVALID_FOR_LUN: Self = Self(0xc2);
    /// The BMC gave up while it processed the command.
    pub const TIMEOUT: Self = Self(0xc3);
    /// No space left.
    pub const OUT_OF_SPACE: Self = Self(0xc4);
    /// The reservation was cancelled, or never was.
    pub const RESERVATION_CANCELLED: Self = Self(0xc5);
    /// The request has more data than the command takes.
    pub const REQUEST_TRUNCATED: Self = Self(0xc6);
    /// The request's length is not the command's.
    pub const INVALID_LENGTH: Self = Self(0xc7);
    /// A length field is too large.
    pub const LENGTH_LIMIT_EXCEEDED: Self = Self(0xc8);
    /// A parameter is out of range.
    pub const OUT_OF_RANGE: Self = Self(0xc9);
    /// So many bytes cannot be returned at once.
    pub const CANNOT_RETURN_BYTES: Self = Self(0xca);
    /// The sensor, record or data asked for does not exist.
    pub const NOT_PRESENT: Self = Self(0xcb);
    /// A field of the request is invalid.
    pub const INVALID_FIELD: Self = Self(0xcc);
    /// The privilege level of the session is too low, or the firmware firewall forbids it.
    pub const INSUFFICIENT_PRIVILEGE: Self = Self(0xd4);
    /// Not possible in the present state.
    pub const NOT_IN_PRESENT_STATE: Self = Self(0xd5);
    /// The sub-function is disabled or unavailable.
    pub const SUBFUNCTION_DISABLED: Self = Self(0xd6);
    /// No more is said.
    pub const UNSPECIFIED: Self = Self(0xff);

    /// True for [`CompletionCode::OK`].
    pub fn is_ok(self) -> bool {
        self == Self::OK
    }

    /// True where the same request may succeed a moment later, and was not executed.
    pub fn is_transient(self) -> bool {
        matches!(self.0, 0xc0 | 0xce | 0xd0 | 0xd1 | 0xd2)
    }
}

impl fmt::Display for CompletionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.0 {
            0x00 => "completed normally",
            0x01..=0x7e => "device specific (OEM) code",
            0x80..=0xbe => "command specific code",
            0xc0 => "node busy",
            0xc1 => "invalid command",
            0xc2 => "command invalid for the LUN",
            0xc3 => "timeout while processing the command",
            0xc4 => "out of space",
            0xc5 => "reservation cancelled or invalid reservation id",
            0xc6 => "request data truncated",
            0xc7 => "request data length invalid",
            0xc8 => "request data field length limit exceeded",
            0xc9 => "parameter out of range",
            0xca => "cannot return the number of requested data bytes",
            0xcb => "requested sensor, data or record not present",
            0xcc => "invalid data field in the request",
            0xcd => "command illegal for the sensor or record type",
            0xce => "no response could be provided",
            0xcf => "cannot execute a duplicated request",
            0xd0 => "SDR repository in update mode",
            0xd1 => "device in firmware update mode",
            0xd2 => "BMC initialization in progress",
            0xd3 => "destination unavailable",
            0xd4 => "insufficient privilege level, or blocked by the firmware firewall",
            0xd5 => "not supported in the present state",
            0xd6 => "sub-function disabled or unavailable",
            0xff => "unspecified error",
            _ => "code reserved by the specification",
        };
        write!(f, "{words} (completion code {:#04x})", self.0)
    }
}
