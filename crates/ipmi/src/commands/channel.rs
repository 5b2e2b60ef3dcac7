//! What the LAN channel offers: authentication (§22.13) and cipher suites (§22.15). Both can be asked without a session.

use super::Command;
use crate::client::Client;
use crate::error::Error;
use crate::wire::{DecodeError, NetFn, Privilege, Reader};

/// "The channel on which this request came."
pub(crate) const THIS_CHANNEL: u8 = 0x0e;
pub(crate) const GET_CHANNEL_CIPHER_SUITES: u8 = 0x54;
/// Bytes in a full part of the list of cipher suites.
pub(crate) const CIPHER_SUITES_PART: usize = 16;
/// The list index has six bits.
const MAX_PARTS: u8 = 64;

/// Get Channel Authentication Capabilities (§22.13).
#[derive(Clone, Copy, Debug)]
pub struct GetChannelAuthenticationCapabilities {
    /// At which privilege level.
    pub privilege: Privilege,
}

/// The answer to [`GetChannelAuthenticationCapabilities`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags")]
pub struct AuthenticationCapabilities {
    /// The channel's number.
    pub channel: u8,
    /// IPMI 2.0 (RMCP+) sessions are possible.
    pub rmcp_plus: bool,
    /// IPMI 1.5 sessions are possible.
    pub ipmi_15: bool,
    /// The BMC has a `K_g` that is not zero.
    pub two_key: bool,
    /// Users with a name are enabled.
    pub named_users: bool,
    /// Users without a name, but with a password, are enabled.
    pub null_users: bool,
    /// A user without name and password is enabled: anybody may log in.
    pub anonymous: bool,
}

impl Command for GetChannelAuthenticationCapabilities {
    type Output = AuthenticationCapabilities;
    const NAME: &'static str = "Get Channel Authentication Capabilities";
    const NETFN: NetFn = NetFn::APP;
    const COMMAND: u8 = 0x38;

    fn encode(&self, out: &mut Vec<u8>) {
        // Bit 7: with what IPMI 2.0 adds.
        out.extend([0x80 | THIS_CHANNEL, self.privilege.number()]);
    }

    fn decode(&self, data: &[u8]) -> Result<AuthenticationCapabilities, DecodeError> {
        let [channel, types, status, extended] = Reader::new(Self::NAME, data).array()?;
        let is_extended = types & 0x80 != 0;
        Ok(AuthenticationCapabilities {
            channel: channel & 0x0f,
            rmcp_plus: is_extended && extended & 0x02 != 0,
            ipmi_15: !is_extended || extended & 0x01 != 0,
            two_key: status & 0x20 != 0,
            named_users: status & 0x04 != 0,
            null_users: status & 0x02 != 0,
            anonymous: status & 0x01 != 0,
        })
    }
}

/// Get Channel Cipher Suites (§22.15), one part of the list.
#[derive(Clone, Copy, Debug)]
pub struct GetChannelCipherSuites {
    /// Which part, 0 to 63.
    pub index: u8,
}

impl Command for GetChannelCipherSuites {
    /// Up to 16 bytes of records; fewer: it was the last part.
    type Output = Vec<u8>;
    const NAME: &'static str = "Get Channel Cipher Suites";
    const NETFN: NetFn = NetFn::APP;
    const COMMAND: u8 = GET_CHANNEL_CIPHER_SUITES;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(cipher_suites_request(self.index));
    }

    fn decode(&self, data: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let mut reader = Reader::new(Self::NAME, data);
        reader.skip(1)?;
        Ok(reader.rest().to_vec())
    }
}

/// This channel, payload type IPMI, listed by cipher suite.
pub(crate) fn cipher_suites_request(index: u8) -> [u8; 3] {
    [THIS_CHANNEL, 0x00, 0x80 | index & 0x3f]
}

/// The numbers of the standard suites in cipher suite records (§22.15.1, Table 22-18): C0h, number, algorithms. OEM suites
/// (C1h, number, enterprise number, algorithms) have numbers of their own and are left out.
pub fn suite_ids(records: &[u8]) -> Vec<u8> {
    let mut ids = Vec::new();
    let mut rest = records.iter();
    while let Some(byte) = rest.next() {
        match byte {
            0xc0 => ids.extend(rest.next()),
            // Number and enterprise number may look like starts of records.
            0xc1 => drop(rest.nth(3)),
            _ => {}
        }
    }
    ids
}

impl Client {
    /// The numbers of the BMC's standard cipher suites, asked without a session.
    pub async fn cipher_suites(&self) -> Result<Vec<u8>, Error> {
        let mut records = Vec::new();
        for index in 0..MAX_PARTS {
            let part = self.run_outside(&GetChannelCipherSuites { index }).await?;
            records.extend_from_slice(&part);
            if part.len() < CIPHER_SUITES_PART {
                break;
            }
        }
        Ok(suite_ids(&records))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_read_from_their_records() {
        // Suites 3 and 17, an OEM suite whose enterprise number contains C0h, and a record that is cut off.
        let records = [
            0xc0, 3, 0x01, 0x41, 0x81, 0xc1, 0x80, 0xc0, 0x11, 0x00, 0x03, 0x44, 0x81, 0xc0, 17, 0x03, 0x44, 0x81, 0xc0,
        ];
        assert_eq!(suite_ids(&records), [3, 17]);
        assert_eq!(suite_ids(&[]), [0u8; 0]);
    }
}
