//! The BMC's address: Get LAN Configuration Parameters (§23.2, Table 23-4).

use std::fmt;
use std::net::Ipv4Addr;

use super::{Command, channel::THIS_CHANNEL};
use crate::client::Client;
use crate::error::{Error, Step};
use crate::wire::{CompletionCode, DecodeError, NetFn, Reader};

/// Get LAN Configuration Parameters (§23.2), one parameter of the channel that we use.
#[derive(Clone, Copy, Debug)]
pub struct GetLanParameter {
    /// The parameter's number.
    pub parameter: u8,
}

impl Command for GetLanParameter {
    /// The parameter's data.
    type Output = Vec<u8>;
    const NAME: &'static str = "Get LAN Configuration Parameters";
    const NETFN: NetFn = NetFn::TRANSPORT;
    const COMMAND: u8 = 0x02;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend([THIS_CHANNEL, self.parameter, 0, 0]);
    }

    fn decode(&self, data: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let mut reader = Reader::new(Self::NAME, data);
        reader.skip(1)?;
        Ok(reader.rest().to_vec())
    }

    fn explain(code: CompletionCode) -> Option<&'static str> {
        (code.0 == 0x80).then_some("the BMC does not have this LAN parameter")
    }
}

/// Where the address comes from (parameter 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressSource {
    /// Not said.
    Unspecified,
    /// Configured by hand.
    Static,
    /// DHCP.
    Dhcp,
    /// Set by the BIOS.
    Bios,
    /// Something else.
    Other,
}

/// A MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if at == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// The BMC's addresses; what it does not tell is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LanConfiguration {
    /// Its IPv4 address.
    pub address: Option<Ipv4Addr>,
    /// Where that comes from.
    pub source: Option<AddressSource>,
    /// The subnet's mask.
    pub netmask: Option<Ipv4Addr>,
    /// The default gateway.
    pub gateway: Option<Ipv4Addr>,
    /// The MAC address.
    pub mac: Option<Mac>,
    /// The VLAN, if there is one.
    pub vlan: Option<u16>,
}

impl Client {
    /// The BMC's addresses on the channel that we use.
    pub async fn lan(&self) -> Result<LanConfiguration, Error> {
        let ip = |bytes: Option<[u8; 4]>| bytes.map(Ipv4Addr::from);
        Ok(LanConfiguration {
            address: ip(self.lan_parameter(3).await?),
            source: self.lan_parameter(4).await?.map(|[source]: [u8; 1]| match source & 0x0f {
                0 => AddressSource::Unspecified,
                1 => AddressSource::Static,
                2 => AddressSource::Dhcp,
                3 => AddressSource::Bios,
                _ => AddressSource::Other,
            }),
            netmask: ip(self.lan_parameter(6).await?),
            gateway: ip(self.lan_parameter(12).await?),
            mac: self.lan_parameter(5).await?.map(Mac),
            vlan: self
                .lan_parameter(20)
                .await?
                .map(u16::from_le_bytes)
                .filter(|vlan| vlan & 0x8000 != 0)
                .map(|vlan| vlan & 0x0fff),
        })
    }

    async fn lan_parameter<const N: usize>(&self, parameter: u8) -> Result<Option<[u8; N]>, Error> {
        let step = Step::Command(GetLanParameter::NAME);
        match self.run(&GetLanParameter { parameter }).await {
            Ok(data) => match Reader::new(GetLanParameter::NAME, &data).array() {
                Ok(bytes) => Ok(Some(bytes)),
                Err(source) => Err(Error::Malformed { step, source }),
            },
            Err(Error::Completion { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
