//! The BMC's addresses: Get LAN Configuration Parameters (§23.2, Table 23-4; those of IPv6 are of errata E7).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Command, channel::THIS_CHANNEL};
use crate::client::Client;
use crate::error::{Error, Step};
use crate::wire::{CompletionCode, DecodeError, NetFn, Reader};

const IPV6_STATUS: u8 = 55;
const IPV6_STATIC_ADDRESS: u8 = 56;
const IPV6_DYNAMIC_ADDRESS: u8 = 59;
/// Addresses of either kind that are asked for: more than any BMC has.
const MAX_IPV6: u8 = 16;

/// Get LAN Configuration Parameters (§23.2), one parameter of the channel that we use.
#[derive(Clone, Copy, Debug)]
pub struct GetLanParameter {
    /// The parameter's number.
    pub parameter: u8,
    /// Which of a list of them; 0 where there is one.
    pub set: u8,
}

impl Command for GetLanParameter {
    /// The parameter's data.
    type Output = Vec<u8>;
    const NAME: &'static str = "Get LAN Configuration Parameters";
    const NETFN: NetFn = NetFn::TRANSPORT;
    const COMMAND: u8 = 0x02;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend([THIS_CHANNEL, self.parameter, self.set, 0]);
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

/// An IPv6 address of the BMC (parameters 56 and 59).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ipv6 {
    /// The address.
    pub address: Ipv6Addr,
    /// How many bits of it are the network's.
    pub prefix: u8,
    /// Configured by hand; else by DHCPv6 or SLAAC.
    pub is_static: bool,
}

impl fmt::Display for Ipv6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The BMC's addresses; what it does not tell is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Its IPv6 addresses; none where it has no IPv6, or does not tell.
    pub ipv6: Vec<Ipv6>,
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
            ipv6: self.ipv6_addresses().await?,
        })
    }

    /// First how many addresses there may be, then each.
    async fn ipv6_addresses(&self) -> Result<Vec<Ipv6>, Error> {
        let Some([statics, dynamics]) = self.lan_parameter(IPV6_STATUS).await? else { return Ok(Vec::new()) };
        let mut addresses = Vec::new();
        for (parameter, count) in [(IPV6_STATIC_ADDRESS, statics), (IPV6_DYNAMIC_ADDRESS, dynamics)] {
            for set in 0..count.min(MAX_IPV6) {
                let Some(bytes) = self.lan_parameter_of(parameter, set).await? else { break };
                addresses.extend(ipv6(parameter == IPV6_STATIC_ADDRESS, bytes));
            }
        }
        Ok(addresses)
    }

    async fn lan_parameter<const N: usize>(&self, parameter: u8) -> Result<Option<[u8; N]>, Error> {
        self.lan_parameter_of(parameter, 0).await
    }

    async fn lan_parameter_of<const N: usize>(&self, parameter: u8, set: u8) -> Result<Option<[u8; N]>, Error> {
        let step = Step::Command(GetLanParameter::NAME);
        match self.run(&GetLanParameter { parameter, set }).await {
            Ok(data) => match Reader::new(GetLanParameter::NAME, &data).array() {
                Ok(bytes) => Ok(Some(bytes)),
                Err(source) => Err(Error::Malformed { step, source }),
            },
            Err(Error::Completion { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Which one, its source (bit 7: a static one is enabled), the address, the length of its prefix. An unused entry is none.
fn ipv6(is_static: bool, bytes: [u8; 19]) -> Option<Ipv6> {
    let [_, source, address @ .., prefix] = bytes;
    let address = Ipv6Addr::from(address);
    let in_use = !address.is_unspecified() && (!is_static || source & 0x80 != 0);
    in_use.then_some(Ipv6 { address, prefix, is_static })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_is_one_that_is_in_use() {
        let entry = |source: u8, address: &str| {
            let mut bytes = [0; 19];
            bytes[1] = source;
            bytes[2..18].copy_from_slice(&address.parse::<Ipv6Addr>().unwrap().octets());
            bytes[18] = 64;
            bytes
        };
        let shown = |is_static, bytes| ipv6(is_static, bytes).map(|address| address.to_string());
        assert_eq!(shown(true, entry(0x80, "fd00::7")).as_deref(), Some("fd00::7/64"));
        assert_eq!(shown(true, entry(0x00, "fd00::7")), None, "disabled");
        assert_eq!(shown(false, entry(0x01, "fe80::1")).as_deref(), Some("fe80::1/64"));
        assert_eq!(shown(false, entry(0x01, "::")), None, "unused");
    }
}
