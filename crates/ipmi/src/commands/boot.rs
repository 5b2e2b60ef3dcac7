//! From where the machine boots next: Set and Get System Boot Options (§28.12, §28.13) with their valid-bit handshake.

use std::time::Duration;

use super::Command;
use crate::client::Client;
use crate::error::{Error, Step};
use crate::wire::{CompletionCode, DecodeError, NetFn, Reader};

const SET_IN_PROGRESS: u8 = 0;
const VALID_BIT_CLEARING: u8 = 3;
const INFO_ACKNOWLEDGE: u8 = 4;
const BOOT_FLAGS: u8 = 5;

/// From where to boot (§28.13, Table 28-14, parameter 5, data 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BootDevice {
    /// As the firmware is set up: no override.
    Default,
    /// The network.
    Pxe,
    /// The default disk.
    Disk,
    /// The default disk, in safe mode.
    DiskSafeMode,
    /// The default diagnostic partition.
    Diagnostics,
    /// The default CD or DVD.
    Cd,
    /// Into the firmware's set-up.
    Setup,
    /// A remote removable medium.
    RemoteFloppy,
    /// A remote CD or DVD.
    RemoteCd,
    /// The primary remote medium.
    RemoteMedium,
    /// A remote disk.
    RemoteDisk,
    /// A removable medium.
    Floppy,
    /// A number that the specification does not know.
    Other(u8),
}

impl BootDevice {
    fn number(self) -> u8 {
        match self {
            Self::Default => 0x0,
            Self::Pxe => 0x1,
            Self::Disk => 0x2,
            Self::DiskSafeMode => 0x3,
            Self::Diagnostics => 0x4,
            Self::Cd => 0x5,
            Self::Setup => 0x6,
            Self::RemoteFloppy => 0x7,
            Self::RemoteCd => 0x8,
            Self::RemoteMedium => 0x9,
            Self::RemoteDisk => 0xb,
            Self::Floppy => 0xf,
            Self::Other(number) => number & 0x0f,
        }
    }

    fn from_number(number: u8) -> Self {
        match number {
            0x0 => Self::Default,
            0x1 => Self::Pxe,
            0x2 => Self::Disk,
            0x3 => Self::DiskSafeMode,
            0x4 => Self::Diagnostics,
            0x5 => Self::Cd,
            0x6 => Self::Setup,
            0x7 => Self::RemoteFloppy,
            0x8 => Self::RemoteCd,
            0x9 => Self::RemoteMedium,
            0xb => Self::RemoteDisk,
            0xf => Self::Floppy,
            other => Self::Other(other),
        }
    }
}

/// The boot flags (§28.13, Table 28-14, parameter 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BootFlags {
    /// The flags are in force; the firmware clears this when it has used those for one boot.
    pub valid: bool,
    /// For all boots, not only for the next.
    pub persistent: bool,
    /// Boot by UEFI, not as a PC BIOS does.
    pub uefi: bool,
    /// From where.
    pub device: BootDevice,
}

impl BootFlags {
    /// Flags as they are on the wire: five bytes.
    pub fn to_bytes(self) -> [u8; 5] {
        let bits = |flag: bool, bit: u8| u8::from(flag) << bit;
        [bits(self.valid, 7) | bits(self.persistent, 6) | bits(self.uefi, 5), self.device.number() << 2, 0, 0, 0]
    }

    /// Flags from the wire.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let [flags, device] = Reader::new("boot flags", bytes).array()?;
        Ok(Self {
            valid: flags & 0x80 != 0,
            persistent: flags & 0x40 != 0,
            uefi: flags & 0x20 != 0,
            device: BootDevice::from_number(device >> 2 & 0x0f),
        })
    }
}

/// Get System Boot Options (§28.13), one parameter.
#[derive(Clone, Copy, Debug)]
pub struct GetBootOption {
    /// The parameter's number.
    pub parameter: u8,
}

impl Command for GetBootOption {
    /// The parameter's data.
    type Output = Vec<u8>;
    const NAME: &'static str = "Get System Boot Options";
    const NETFN: NetFn = NetFn::CHASSIS;
    const COMMAND: u8 = 0x09;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend([self.parameter & 0x7f, 0, 0]);
    }

    fn decode(&self, data: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let mut reader = Reader::new(Self::NAME, data);
        let [_version, parameter] = reader.array()?;
        if parameter & 0x7f != self.parameter & 0x7f {
            return Err(reader.invalid("the answer is about another parameter"));
        }
        Ok(reader.rest().to_vec())
    }

    fn explain(code: CompletionCode) -> Option<&'static str> {
        (code.0 == 0x80).then_some("the BMC does not have this boot parameter")
    }
}

/// Set System Boot Options (§28.12), one parameter.
#[derive(Clone, Copy, Debug)]
pub struct SetBootOption<'a> {
    /// The parameter's number.
    pub parameter: u8,
    /// Its data.
    pub data: &'a [u8],
}

impl Command for SetBootOption<'_> {
    type Output = ();
    const NAME: &'static str = "Set System Boot Options";
    const NETFN: NetFn = NetFn::CHASSIS;
    const COMMAND: u8 = 0x08;

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.parameter & 0x7f);
        out.extend_from_slice(self.data);
    }

    fn decode(&self, _data: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }

    fn explain(code: CompletionCode) -> Option<&'static str> {
        match code.0 {
            0x80 => Some("the BMC does not have this boot parameter"),
            0x81 => Some("another party is setting boot options"),
            0x82 => Some("the boot parameter is read-only"),
            _ => None,
        }
    }
}

/// Pauses while another party sets options; it takes a moment.
const TAKEN_PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

impl Client {
    /// The boot flags.
    pub async fn boot_flags(&self) -> Result<BootFlags, Error> {
        let data = self.run(&GetBootOption { parameter: BOOT_FLAGS }).await?;
        BootFlags::from_bytes(&data)
            .map_err(|source| Error::Malformed { step: Step::Command(GetBootOption::NAME), source })
    }

    /// Sets the boot flags as §28.12 wants it: under "set in progress", with the acknowledge of earlier boot information
    /// cleared, so that the firmware takes the flags for new. What a BMC does not have of this handshake is left out;
    /// many do not have it.
    pub async fn set_boot_flags(&self, flags: BootFlags) -> Result<(), Error> {
        let locked = self.begin_to_set().await?;
        let result = self.write_flags(flags).await;
        if locked {
            // 2: commit; where the BMC has no roll-back it is the same as 0.
            let committed = match &result {
                Ok(()) => self.optional(SET_IN_PROGRESS, &[0x02]).await,
                Err(_) => Ok(false),
            };
            let unlocked = self.optional(SET_IN_PROGRESS, &[0x00]).await;
            result?;
            committed.and(unlocked)?;
            return Ok(());
        }
        result
    }

    /// Says that options are being set; false: the BMC has no such flag. Another party that says so is waited for. One that died
    /// over it never ends it, and the flag protects nothing (§28.13, parameter 0), so then it is taken over.
    async fn begin_to_set(&self) -> Result<bool, Error> {
        for pause in TAKEN_PAUSES {
            match self.optional(SET_IN_PROGRESS, &[0x01]).await {
                Err(Error::Completion { code, .. }) if code.0 == 0x81 => tokio::time::sleep(pause).await,
                answer => return answer,
            }
        }
        self.optional(SET_IN_PROGRESS, &[0x00]).await?;
        self.optional(SET_IN_PROGRESS, &[0x01]).await
    }

    async fn write_flags(&self, flags: BootFlags) -> Result<(), Error> {
        // Do not drop the flags after 60 s or when the machine is reset or powered by button, watchdog or event filter:
        // slow machines take longer, and power is about to be switched.
        self.optional(VALID_BIT_CLEARING, &[0x1f]).await?;
        // Write mask, then the bits: BIOS, OS loader, service partition and so on have not handled it yet.
        self.optional(INFO_ACKNOWLEDGE, &[0x1f, 0x1f]).await?;
        self.run(&SetBootOption { parameter: BOOT_FLAGS, data: &flags.to_bytes() }).await
    }

    /// Sets a parameter that a BMC need not have; false: it does not.
    async fn optional(&self, parameter: u8, data: &[u8]) -> Result<bool, Error> {
        match self.run(&SetBootOption { parameter, data }).await {
            Ok(()) => Ok(true),
            // Not supported, read-only, invalid field, out of range: all of them mean "not here". 81h means "not now".
            Err(Error::Completion { code, .. }) if code.0 != 0x81 => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_read_back() {
        for number in 0..16 {
            for bits in 0..8u8 {
                let flags = BootFlags {
                    valid: bits & 1 != 0,
                    persistent: bits & 2 != 0,
                    uefi: bits & 4 != 0,
                    device: BootDevice::from_number(number),
                };
                assert_eq!(BootFlags::from_bytes(&flags.to_bytes()), Ok(flags));
            }
        }
        // `ipmitool chassis bootdev pxe options=efiboot,persistent`.
        let known = BootFlags { valid: true, persistent: true, uefi: true, device: BootDevice::Pxe };
        assert_eq!(known.to_bytes(), [0xe0, 0x04, 0, 0, 0]);
    }
}
