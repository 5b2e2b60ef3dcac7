//! RMCP+ Open Session Request and Response (IPMI 2.0 §13.17, §13.18): which algorithms, and the two session ids.

use super::{Algorithms, DecodeError, Privilege, RakpStatus, Reader};

/// RMCP+ Open Session Request (§13.17, Table 13-9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenSessionRequest {
    /// Matches the response to the request.
    pub tag: u8,
    /// Highest privilege level of the session; `None`: the highest that the algorithms allow.
    pub max_privilege: Option<Privilege>,
    /// The id that the BMC puts into packets to the console.
    pub console_session: u32,
    /// What the console proposes.
    pub algorithms: Algorithms,
}

/// RMCP+ Open Session Response (§13.18, Table 13-10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenSessionResponse {
    /// The request's tag.
    pub tag: u8,
    /// The request's console session id.
    pub console_session: u32,
    /// What the BMC chose, or why it refuses.
    pub result: Result<OpenSessionAccepted, RakpStatus>,
}

/// What the BMC chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenSessionAccepted {
    /// Highest privilege level that the algorithms allow; `None`: not said.
    pub max_privilege: Option<Privilege>,
    /// The id that the console puts into packets to the BMC.
    pub bmc_session: u32,
    /// What will be used.
    pub algorithms: Algorithms,
}

impl OpenSessionRequest {
    /// Appends the payload to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend([self.tag, privilege_byte(self.max_privilege), 0, 0]);
        out.extend(self.console_session.to_le_bytes());
        encode_algorithms(self.algorithms, out);
    }

    /// Reads the payload.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("Open Session Request", bytes);
        let tag = reader.u8()?;
        let max_privilege = decode_privilege(&mut reader)?;
        reader.skip(2)?;
        Ok(Self { tag, max_privilege, console_session: reader.u32()?, algorithms: decode_algorithms(&mut reader)? })
    }
}

impl OpenSessionResponse {
    /// Appends the payload to `out`. A refusal ends after the console's session id.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (status, privilege) = match self.result {
            Ok(accepted) => (RakpStatus::OK, accepted.max_privilege),
            Err(status) => (status, None),
        };
        out.extend([self.tag, status.0, privilege_byte(privilege), 0]);
        out.extend(self.console_session.to_le_bytes());
        if let Ok(accepted) = self.result {
            out.extend(accepted.bmc_session.to_le_bytes());
            encode_algorithms(accepted.algorithms, out);
        }
    }

    /// Reads the payload.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("Open Session Response", bytes);
        let tag = reader.u8()?;
        let status = RakpStatus(reader.u8()?);
        if status != RakpStatus::OK {
            let console_session = refused_session(&mut reader)?;
            return Ok(Self { tag, console_session, result: Err(status) });
        }
        let max_privilege = decode_privilege(&mut reader)?;
        reader.skip(1)?;
        let console_session = reader.u32()?;
        let accepted = OpenSessionAccepted {
            max_privilege,
            bmc_session: reader.u32()?,
            algorithms: decode_algorithms(&mut reader)?,
        };
        Ok(Self { tag, console_session, result: Ok(accepted) })
    }
}

/// The session id of a refusal. Some BMCs end it after the status (`ipmi_sim` 2.0.33): then it is 0, none.
pub(super) fn refused_session(reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
    if reader.remaining() == 0 {
        return Ok(0);
    }
    reader.skip(2)?;
    reader.u32()
}

fn privilege_byte(privilege: Option<Privilege>) -> u8 {
    privilege.map_or(0, Privilege::number)
}

fn decode_privilege(reader: &mut Reader<'_>) -> Result<Option<Privilege>, DecodeError> {
    match reader.u8()? & 0x0f {
        0 => Ok(None),
        number => Privilege::from_number(number).map(Some).ok_or_else(|| reader.invalid("no such privilege level")),
    }
}

/// Three payloads, one per kind of algorithm: type, reserved (2), length 8, algorithm, reserved (3).
fn encode_algorithms(algorithms: Algorithms, out: &mut Vec<u8>) {
    let numbers = [algorithms.authentication, algorithms.integrity, algorithms.confidentiality];
    for (kind, number) in (0..).zip(numbers) {
        out.extend([kind, 0, 0, 8, number, 0, 0, 0]);
    }
}

fn decode_algorithms(reader: &mut Reader<'_>) -> Result<Algorithms, DecodeError> {
    let mut numbers = [0; 3];
    for (kind, number) in (0..).zip(&mut numbers) {
        let payload: [u8; 8] = reader.array()?;
        if payload[0] != kind || payload[3] != 8 {
            return Err(reader.invalid("not one payload for each of authentication, integrity and confidentiality"));
        }
        *number = payload[4] & 0x3f;
    }
    let [authentication, integrity, confidentiality] = numbers;
    Ok(Algorithms { authentication, integrity, confidentiality })
}
