//! System boot options (section 28.12 and 28.13): the boot flags, and the handshake around them.

use jiff::{SignedDuration, Timestamp};

use crate::bmc::{BootDevice, BootMode, BootOverride, Machine};

/// For so long boot flags hold, unless the machine is told to restart meanwhile (parameter 3).
const FLAGS_HOLD: SignedDuration = SignedDuration::from_secs(60);
const VALID: u8 = 0x80;
const PERSISTENT: u8 = 0x40;
const UEFI: u8 = 0x20;
/// Parameter 3: the flags hold without limit of time.
const NO_TIMEOUT: u8 = 0x08;

/// Numbers of the parameters.
pub(super) mod parameter {
    pub(in super::super) const SET_IN_PROGRESS: u8 = 0;
    pub(in super::super) const SERVICE_SELECTOR: u8 = 1;
    pub(in super::super) const SERVICE_SCAN: u8 = 2;
    pub(in super::super) const VALID_BIT_CLEARING: u8 = 3;
    pub(in super::super) const ACKNOWLEDGE: u8 = 4;
    pub(in super::super) const FLAGS: u8 = 5;
    pub(in super::super) const INITIATOR: u8 = 6;
}

/// The boot options as the BMC keeps them. Whether the flags hold, the machine knows.
#[derive(Clone, Debug, Default)]
pub(super) struct BootOptions {
    pub(super) in_progress: u8,
    pub(super) service: [u8; 2],
    pub(super) clearing: u8,
    pub(super) acknowledged: u8,
    pub(super) initiator: [u8; 9],
    flags: [u8; 5],
    expires: Option<Timestamp>,
}

impl BootOptions {
    /// The flags, with what the machine says of them.
    pub(super) fn flags(&self, machine: &Machine) -> [u8; 5] {
        let mut flags = self.flags;
        match machine.boot_override() {
            None => flags[0] &= !VALID,
            Some(boot) if decode(flags) == Some(boot) => flags[0] |= VALID,
            // Somebody set it by another protocol.
            Some(boot) => flags = encode(boot),
        }
        flags
    }

    /// Sets the flags. Whether they make sense.
    pub(super) fn set_flags(&mut self, flags: [u8; 5], machine: &Machine) -> bool {
        let boot = decode([flags[0] | VALID, flags[1], flags[2], flags[3], flags[4]]);
        if boot.is_none() && flags[1] & 0x3c != 0 {
            return false;
        }
        self.flags = flags;
        let boot = boot.filter(|_| flags[0] & VALID != 0);
        machine.set_boot_override(boot);
        let limited = boot.is_some() && self.clearing & NO_TIMEOUT == 0;
        self.expires = limited.then(|| machine.now() + FLAGS_HOLD);
        true
    }

    /// The machine is told to restart: from now on the flags wait for that.
    pub(super) fn restarting(&mut self) {
        self.expires = None;
    }

    /// Takes the flags away if their time is up.
    pub(super) fn expire(&mut self, machine: &Machine) {
        if self.expires.is_some_and(|expires| expires <= machine.now()) {
            self.expires = None;
            machine.set_boot_override(None);
        }
    }
}

fn decode(flags: [u8; 5]) -> Option<BootOverride> {
    let device = match flags[1] >> 2 & 0xf {
        1 => BootDevice::Pxe,
        2 | 11 => BootDevice::Disk,
        3 => BootDevice::SafeDisk,
        4 => BootDevice::Diagnostic,
        5 | 8 => BootDevice::Cd,
        6 => BootDevice::Setup,
        7 | 9 | 15 => BootDevice::Removable,
        _ => return None,
    };
    let mode = if flags[0] & UEFI == 0 { BootMode::Legacy } else { BootMode::Uefi };
    (flags[0] & VALID != 0).then_some(BootOverride { device, mode, persistent: flags[0] & PERSISTENT != 0 })
}

fn encode(boot: BootOverride) -> [u8; 5] {
    let device = match boot.device {
        BootDevice::Pxe => 1,
        BootDevice::Disk => 2,
        BootDevice::SafeDisk => 3,
        BootDevice::Diagnostic => 4,
        BootDevice::Cd => 5,
        BootDevice::Setup => 6,
        BootDevice::Removable => 15,
        // IPMI has no word for it.
        BootDevice::UefiHttp => 0,
    };
    let persistent = if boot.persistent { PERSISTENT } else { 0 };
    let mode = if boot.mode == BootMode::Uefi { UEFI } else { 0 };
    [VALID | persistent | mode, device << 2, 0, 0, 0]
}
