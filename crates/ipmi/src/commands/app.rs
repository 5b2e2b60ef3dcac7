//! Who the BMC is: Get Device ID (§20.1), Get Device GUID (§20.8), Get System GUID (§22.14).

use std::fmt;

use super::Command;
use crate::wire::{DecodeError, NetFn, Reader};

/// Get Device ID (§20.1).
#[derive(Clone, Copy, Debug)]
pub struct GetDeviceId;

/// The answer to [`GetDeviceId`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceId {
    /// Device id, chosen by the manufacturer.
    pub device: u8,
    /// Device revision.
    pub revision: u8,
    /// False while firmware or SDRs are being updated or the BMC initializes itself.
    pub available: bool,
    /// Firmware version, major.
    pub firmware_major: u8,
    /// Firmware version, minor (BCD on the wire).
    pub firmware_minor: u8,
    /// IPMI version, major and minor.
    pub ipmi_version: (u8, u8),
    /// Bits of "additional device support": 7 chassis, 3 FRU inventory, 2 SEL, 1 SDR repository, 0 sensors.
    pub support: u8,
    /// IANA enterprise number of the manufacturer, 20 bits.
    pub manufacturer: u32,
    /// Product id, chosen by the manufacturer.
    pub product: u16,
    /// Auxiliary firmware revision, if given.
    pub auxiliary: Option<[u8; 4]>,
}

impl Command for GetDeviceId {
    type Output = DeviceId;
    const NAME: &'static str = "Get Device ID";
    const NETFN: NetFn = NetFn::APP;
    const COMMAND: u8 = 0x01;

    fn decode(&self, data: &[u8]) -> Result<DeviceId, DecodeError> {
        let mut reader = Reader::new(Self::NAME, data);
        let [device, revision, major, minor, version, support] = reader.array()?;
        let [low, middle, high] = reader.array()?;
        Ok(DeviceId {
            device,
            revision: revision & 0x0f,
            available: major & 0x80 == 0,
            firmware_major: major & 0x7f,
            firmware_minor: (minor >> 4) * 10 + (minor & 0x0f),
            ipmi_version: (version & 0x0f, version >> 4),
            support,
            manufacturer: u32::from_le_bytes([low, middle, high & 0x0f, 0]),
            product: reader.u16()?,
            auxiliary: reader.array().ok(),
        })
    }
}

impl DeviceId {
    /// The firmware's version as BMCs show it: `2.09`.
    pub fn firmware(&self) -> String {
        format!("{}.{:02}", self.firmware_major, self.firmware_minor)
    }

    /// The manufacturer's name, for those that make many BMCs (IANA's list of private enterprise numbers).
    pub fn manufacturer_name(&self) -> Option<&'static str> {
        Some(match self.manufacturer {
            2 | 4769 => "IBM",
            11 | 47196 => "Hewlett Packard Enterprise",
            42 => "Sun Microsystems",
            116 => "Hitachi",
            119 => "NEC",
            343 => "Intel",
            674 => "Dell",
            2011 => "Huawei",
            2623 => "ASUS",
            5771 => "Cisco",
            6653 => "Tyan",
            7244 => "Quanta",
            10297 => "Advantech",
            10368 => "Fujitsu",
            10876 | 47488 => "Supermicro",
            15370 => "Gigabyte",
            19046 => "Lenovo",
            20974 => "American Megatrends",
            49769 => "Yadro",
            52538 => "Ampere",
            _ => return None,
        })
    }
}

/// A GUID in the order in which people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// From the wire. The specification sends the least significant byte first (§20.8), but many BMCs send the order of
    /// SMBIOS (the first three fields little-endian) or that of RFC 4122. Which one it is shows in the version and the
    /// variant, that are bits of a GUID: if they make sense in one of the others it is that, as for `ipmitool mc guid`, which
    /// looks at the version alone. If they make sense in none, it is the specification's.
    pub fn from_wire(bytes: [u8; 16]) -> Self {
        let (mut of_smbios, mut of_ipmi) = (bytes, bytes);
        for field in [0..4, 4..6, 6..8] {
            of_smbios[field].reverse();
        }
        of_ipmi.reverse();
        let orders = [Self(of_smbios), Self(bytes), Self(of_ipmi)];
        orders.into_iter().find(Self::is_of_rfc_4122).unwrap_or(Self(of_ipmi))
    }

    /// A version of 1 to 5, and the variant of RFC 4122 (its sections 4.1.1 and 4.1.3).
    fn is_of_rfc_4122(&self) -> bool {
        (1..=5).contains(&(self.0[6] >> 4)) && self.0[8] >> 6 == 0b10
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Get Device GUID (§20.8): of the BMC.
#[derive(Clone, Copy, Debug)]
pub struct GetDeviceGuid;

impl Command for GetDeviceGuid {
    type Output = Guid;
    const NAME: &'static str = "Get Device GUID";
    const NETFN: NetFn = NetFn::APP;
    const COMMAND: u8 = 0x08;

    fn decode(&self, data: &[u8]) -> Result<Guid, DecodeError> {
        Reader::new(Self::NAME, data).array().map(Guid::from_wire)
    }
}

/// Get System GUID (§22.14): of the machine.
#[derive(Clone, Copy, Debug)]
pub struct GetSystemGuid;

impl Command for GetSystemGuid {
    type Output = Guid;
    const NAME: &'static str = "Get System GUID";
    const NETFN: NetFn = NetFn::APP;
    const COMMAND: u8 = 0x37;

    fn decode(&self, data: &[u8]) -> Result<Guid, DecodeError> {
        Reader::new(Self::NAME, data).array().map(Guid::from_wire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_read_in_the_order_in_which_it_makes_sense() {
        let written = "3d1f0a51-7c22-4b61-9e10-525400000001";
        let of_rfc = *b"\x3d\x1f\x0a\x51\x7c\x22\x4b\x61\x9e\x10\x52\x54\x00\x00\x00\x01";
        let of_smbios = *b"\x51\x0a\x1f\x3d\x22\x7c\x61\x4b\x9e\x10\x52\x54\x00\x00\x00\x01";
        let mut of_ipmi = of_rfc;
        of_ipmi.reverse();
        for wire in [of_rfc, of_smbios, of_ipmi] {
            assert_eq!(Guid::from_wire(wire).to_string(), written, "{wire:02x?}");
        }
        let senseless = std::array::from_fn(|at| u8::try_from(at).unwrap());
        assert_eq!(Guid::from_wire(senseless).to_string(), "0f0e0d0c-0b0a-0908-0706-050403020100");
    }
}
