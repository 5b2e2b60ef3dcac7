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
    /// From the wire, where the least significant byte comes first (§20.8).
    pub fn from_wire(mut bytes: [u8; 16]) -> Self {
        bytes.reverse();
        Self(bytes)
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
