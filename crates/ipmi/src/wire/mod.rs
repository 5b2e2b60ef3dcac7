//! The codec: bytes to messages and messages to bytes, in both directions, with no I/O and no keys.
//!
//! A datagram ([`Datagram`]) carries one payload: an IPMI message ([`RequestMessage`], [`ResponseMessage`]) or a step of
//! the session set-up ([`OpenSessionRequest`] … [`Rakp4`]). Payloads inside a session are protected with
//! [`crate::crypto::SessionKeys`].
//!
//! Every decoder takes any bytes: it returns a message or a [`DecodeError`], never panics, and allocates nothing.

mod algorithms;
mod datagram;
mod message;
mod open_session;
mod rakp;
mod reader;
mod status;

pub use algorithms::{Algorithms, CipherSuite};
pub use datagram::{AUTH_NONE, Datagram, MAX_DATAGRAM, Payload, PayloadType, Protected, V15};
pub(crate) use datagram::{NEXT_HEADER, RMCP_LENGTH, encode_protected_headers};
pub use message::{BMC_ADDRESS, CONSOLE_ADDRESS, NetFn, RequestMessage, ResponseMessage};
pub use open_session::{OpenSessionAccepted, OpenSessionRequest, OpenSessionResponse};
pub use rakp::{MAX_USERNAME, Privilege, Rakp1, Rakp2, Rakp2Accepted, Rakp3, Rakp4, Role};
pub(crate) use reader::Reader;
pub use status::{CompletionCode, RakpStatus};

use thiserror::Error;

/// Why bytes are not the message that they should be.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end before the message does.
    #[error("{0}: too short")]
    Truncated(&'static str),
    /// A field has a value that the specification does not allow, or that this crate does not speak.
    #[error("{what}: {why}")]
    Invalid {
        /// The message.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
}
