//! The machine's power: Get Chassis Status (§28.2), Chassis Control (§28.3), Chassis Identify (§28.5), Get System Restart
//! Cause (§28.11), Get POH Counter (§28.14).

use std::fmt;

use super::Command;
use crate::session::Delivery;
use crate::wire::{DecodeError, NetFn, Reader};

/// Get Chassis Status (§28.2).
#[derive(Clone, Copy, Debug)]
pub struct GetChassisStatus;

/// The answer to [`GetChassisStatus`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags")]
pub struct ChassisStatus {
    /// The machine is on.
    pub power_on: bool,
    /// Power was shut down because of an overload.
    pub power_overload: bool,
    /// Power was shut down by an interlock, such as an open cover.
    pub interlock: bool,
    /// A fault in the main power was found.
    pub power_fault: bool,
    /// A fault in the control of the main power was found.
    pub control_fault: bool,
    /// What happens when mains power comes back.
    pub restore: RestorePolicy,
    /// The last power-down was caused by a loss of mains power.
    pub ac_failed: bool,
    /// The last power-on was by an IPMI command.
    pub on_by_command: bool,
    /// The cover is open.
    pub intrusion: bool,
    /// A drive is faulty.
    pub drive_fault: bool,
    /// A fan is faulty.
    pub fan_fault: bool,
}

/// What a machine does when mains power comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestorePolicy {
    /// It stays off.
    StayOff,
    /// It returns to what it was before.
    Restore,
    /// It powers up.
    PowerUp,
    /// The BMC does not know.
    Unknown,
}

impl Command for GetChassisStatus {
    type Output = ChassisStatus;
    const NAME: &'static str = "Get Chassis Status";
    const NETFN: NetFn = NetFn::CHASSIS;
    const COMMAND: u8 = 0x01;

    fn decode(&self, data: &[u8]) -> Result<ChassisStatus, DecodeError> {
        let [power, last, misc] = Reader::new(Self::NAME, data).array()?;
        Ok(ChassisStatus {
            power_on: power & 0x01 != 0,
            power_overload: power & 0x02 != 0,
            interlock: power & 0x04 != 0,
            power_fault: power & 0x08 != 0,
            control_fault: power & 0x10 != 0,
            restore: match power >> 5 & 0x03 {
                0 => RestorePolicy::StayOff,
                1 => RestorePolicy::Restore,
                2 => RestorePolicy::PowerUp,
                _ => RestorePolicy::Unknown,
            },
            ac_failed: last & 0x01 != 0,
            on_by_command: last & 0x10 != 0,
            intrusion: misc & 0x01 != 0,
            drive_fault: misc & 0x04 != 0,
            fan_fault: misc & 0x08 != 0,
        })
    }
}

/// Chassis Control (§28.3). It is sent once: see [`Error::is_maybe_delivered`](crate::Error::is_maybe_delivered).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChassisControl {
    /// Off at once, as by holding the button.
    PowerDown,
    /// On.
    PowerUp,
    /// Off and on again.
    PowerCycle,
    /// Hard reset.
    HardReset,
    /// Diagnostic interrupt (NMI).
    DiagnosticInterrupt,
    /// Ask the operating system to shut down (ACPI).
    SoftShutdown,
}

impl Command for ChassisControl {
    type Output = ();
    const NAME: &'static str = "Chassis Control";
    const NETFN: NetFn = NetFn::CHASSIS;
    const COMMAND: u8 = 0x02;
    const DELIVERY: Delivery = Delivery::Once;

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::PowerDown => 0,
            Self::PowerUp => 1,
            Self::PowerCycle => 2,
            Self::HardReset => 3,
            Self::DiagnosticInterrupt => 4,
            Self::SoftShutdown => 5,
        });
    }

    fn decode(&self, _data: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Chassis Identify (§28.5): the machine shows where it is, mostly by a blinking light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChassisIdentify {
    /// For so many seconds; 0 ends it.
    For(u8),
    /// Until told otherwise; BMCs of IPMI 1.5 refuse it.
    On,
}

impl Command for ChassisIdentify {
    type Output = ();
    const NAME: &'static str = "Chassis Identify";
    const NETFN: NetFn = NetFn::CHASSIS;
    const COMMAND: u8 = 0x04;

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::For(seconds) => out.push(*seconds),
            Self::On => out.extend([0, 1]),
        }
    }

    fn decode(&self, _data: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Get System Restart Cause (§28.11).
#[derive(Clone, Copy, Debug)]
pub struct GetSystemRestartCause;

/// Why the machine started last (§28.11, Table 28-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartCause(pub u8);

impl fmt::Display for RestartCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0x1 => "Chassis Control command",
            0x2 => "reset by button",
            0x3 => "power-up by button",
            0x4 => "watchdog",
            0x5 => "OEM",
            0x6 => "mains power came back, and the policy is always to power up",
            0x7 => "mains power came back, and the policy is to restore the state before",
            0x8 => "reset by an event filter",
            0x9 => "power cycle by an event filter",
            0xa => "soft reset",
            0xb => "power-up by the real-time clock",
            _ => "unknown",
        })
    }
}

impl Command for GetSystemRestartCause {
    type Output = RestartCause;
    const NAME: &'static str = "Get System Restart Cause";
    const NETFN: NetFn = NetFn::CHASSIS;
    const COMMAND: u8 = 0x07;

    fn decode(&self, data: &[u8]) -> Result<RestartCause, DecodeError> {
        Reader::new(Self::NAME, data).u8().map(|cause| RestartCause(cause & 0x0f))
    }
}

/// Get POH Counter (§28.14): how long the machine has been on in its life.
#[derive(Clone, Copy, Debug)]
pub struct GetPohCounter;

/// The answer to [`GetPohCounter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PohCounter {
    /// Minutes that one count stands for.
    pub minutes_per_count: u8,
    /// Counts so far.
    pub counts: u32,
}

impl PohCounter {
    /// Minutes so far.
    pub fn minutes(self) -> u64 {
        u64::from(self.counts) * u64::from(self.minutes_per_count)
    }
}

impl Command for GetPohCounter {
    type Output = PohCounter;
    const NAME: &'static str = "Get POH Counter";
    const NETFN: NetFn = NetFn::CHASSIS;
    const COMMAND: u8 = 0x0f;

    fn decode(&self, data: &[u8]) -> Result<PohCounter, DecodeError> {
        let mut reader = Reader::new(Self::NAME, data);
        Ok(PohCounter { minutes_per_count: reader.u8()?, counts: reader.u32()? })
    }
}
