//! IPMI messages as they travel on the LAN (IPMI 2.0 §13.8, Figure 13-4): requests and responses with two checksums.

use super::{CompletionCode, DecodeError, Reader};

/// The BMC's slave address (§5.4).
pub const BMC_ADDRESS: u8 = 0x20;
/// The software id of a remote console (§5.5, Table 5-4).
pub const CONSOLE_ADDRESS: u8 = 0x81;

/// Network function of a request (§5.1, Table 5-1); even. The response has the next odd one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NetFn(u8);

impl NetFn {
    /// Chassis control and status.
    pub const CHASSIS: Self = Self(0x00);
    /// Bridging between buses.
    pub const BRIDGE: Self = Self(0x02);
    /// Sensors and events.
    pub const SENSOR: Self = Self(0x04);
    /// The management controller itself: identity, sessions, users.
    pub const APP: Self = Self(0x06);
    /// Firmware transfer.
    pub const FIRMWARE: Self = Self(0x08);
    /// SDR repository, SEL, FRU inventory.
    pub const STORAGE: Self = Self(0x0a);
    /// LAN and serial configuration.
    pub const TRANSPORT: Self = Self(0x0c);
    /// Defined by a body, such as DCMI or PICMG.
    pub const GROUP: Self = Self(0x2c);

    /// The network function of this number: six bits, and even, as a request's is.
    pub fn new(number: u8) -> Option<Self> {
        (number < 0x40 && number.is_multiple_of(2)).then_some(Self(number))
    }

    /// Its number in a request.
    pub fn number(self) -> u8 {
        self.0
    }
}

/// A request, console to BMC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestMessage<'a> {
    /// Responder's address, [`BMC_ADDRESS`] for the BMC itself.
    pub responder: u8,
    /// Responder's LUN, two bits.
    pub responder_lun: u8,
    /// Requester's address, [`CONSOLE_ADDRESS`] for us.
    pub requester: u8,
    /// Requester's LUN, two bits.
    pub requester_lun: u8,
    /// Sequence number, six bits: a response carries that of its request.
    pub sequence: u8,
    /// Network function.
    pub netfn: NetFn,
    /// Command number within the network function.
    pub command: u8,
    /// What the command takes.
    pub data: &'a [u8],
}

/// A response, BMC to console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseMessage<'a> {
    /// Requester's address: the destination.
    pub requester: u8,
    /// Requester's LUN, two bits.
    pub requester_lun: u8,
    /// Responder's address: the source.
    pub responder: u8,
    /// Responder's LUN, two bits.
    pub responder_lun: u8,
    /// The request's sequence number.
    pub sequence: u8,
    /// The request's network function (on the wire it is one more).
    pub netfn: NetFn,
    /// The request's command.
    pub command: u8,
    /// How it went.
    pub completion: CompletionCode,
    /// What the command returns.
    pub data: &'a [u8],
}

impl<'a> RequestMessage<'a> {
    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let header = Header {
            to: self.responder,
            function: self.netfn.0 << 2 | self.responder_lun & 3,
            from: self.requester,
            sequence: self.sequence << 2 | self.requester_lun & 3,
            command: self.command,
        };
        header.encode(out, None, self.data);
    }

    /// Reads a message; both checksums are verified.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, data) = Header::decode("IPMI request", bytes)?;
        let netfn = NetFn::new(header.function >> 2)
            .ok_or(DecodeError::Invalid { what: "IPMI request", why: "the network function is a response's" })?;
        Ok(Self {
            responder: header.to,
            responder_lun: header.function & 3,
            requester: header.from,
            requester_lun: header.sequence & 3,
            sequence: header.sequence >> 2,
            netfn,
            command: header.command,
            data,
        })
    }

    /// The response to this request.
    pub fn respond<'b>(&self, completion: CompletionCode, data: &'b [u8]) -> ResponseMessage<'b> {
        ResponseMessage {
            requester: self.requester,
            requester_lun: self.requester_lun,
            responder: self.responder,
            responder_lun: self.responder_lun,
            sequence: self.sequence,
            netfn: self.netfn,
            command: self.command,
            completion,
            data,
        }
    }
}

impl<'a> ResponseMessage<'a> {
    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let header = Header {
            to: self.requester,
            function: (self.netfn.0 | 1) << 2 | self.requester_lun & 3,
            from: self.responder,
            sequence: self.sequence << 2 | self.responder_lun & 3,
            command: self.command,
        };
        header.encode(out, Some(self.completion), self.data);
    }

    /// Reads a message; both checksums are verified.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let what = "IPMI response";
        let (header, body) = Header::decode(what, bytes)?;
        let function = header.function >> 2;
        if function & 1 == 0 {
            return Err(DecodeError::Invalid { what, why: "the network function is a request's" });
        }
        let mut body = Reader::new(what, body);
        Ok(Self {
            requester: header.to,
            requester_lun: header.function & 3,
            responder: header.from,
            responder_lun: header.sequence & 3,
            sequence: header.sequence >> 2,
            netfn: NetFn(function & !1),
            command: header.command,
            completion: CompletionCode(body.u8()?),
            data: body.rest(),
        })
    }
}

/// The bytes that requests and responses share, as they are on the wire.
struct Header {
    to: u8,
    function: u8,
    from: u8,
    sequence: u8,
    command: u8,
}

impl Header {
    fn encode(&self, out: &mut Vec<u8>, completion: Option<CompletionCode>, data: &[u8]) {
        out.extend([self.to, self.function, checksum(&[self.to, self.function])]);
        let start = out.len();
        out.extend([self.from, self.sequence, self.command]);
        out.extend(completion.map(|code| code.0));
        out.extend_from_slice(data);
        out.push(checksum(&out[start..]));
    }

    fn decode<'a>(what: &'static str, bytes: &'a [u8]) -> Result<(Self, &'a [u8]), DecodeError> {
        let mut reader = Reader::new(what, bytes);
        let [to, function, check] = reader.array()?;
        if checksum(&[to, function]) != check {
            return Err(reader.invalid("wrong checksum of the header"));
        }
        let (check, body) = reader.rest().split_last().ok_or(DecodeError::Truncated(what))?;
        if checksum(body) != *check {
            return Err(DecodeError::Invalid { what, why: "wrong checksum of the body" });
        }
        let mut reader = Reader::new(what, body);
        let [from, sequence, command] = reader.array()?;
        Ok((Self { to, function, from, sequence, command }, reader.rest()))
    }
}

/// Two's complement of the sum: all bytes and their checksum add up to zero.
pub(crate) fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}
