//! What can be asked of a BMC.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{BmcObserved, BootOverride, PowerState};

/// One command, and what it was planned on: it is refused if that is no longer so.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct BmcStep {
    /// What to do.
    pub command: Command,
    /// The power state that it was planned on; `None` where the command does no harm in any.
    pub on: Option<PowerState>,
}

impl BmcStep {
    /// Whether the host is still as it was when this was planned.
    pub fn holds(&self, observed: &BmcObserved) -> bool {
        self.on.is_none_or(|on| on == observed.power)
    }
}

/// What a BMC can be asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Command {
    /// Power on.
    PowerOn,
    /// Ask the operating system to shut down.
    ShutDown,
    /// Take the power away.
    ForceOff,
    /// Ask the operating system to restart.
    GracefulRestart,
    /// Restart at once; the power stays on.
    Reset,
    /// Power off and on again.
    PowerCycle,
    /// Start from something else than the firmware would, once or always.
    SetBoot(BootOverride),
    /// Start as the firmware is set up.
    ClearBoot,
    /// Insert virtual media from a URL.
    InsertMedia {
        /// URL of the image.
        image: String,
    },
    /// Take virtual media out.
    EjectMedia,
    /// Change the password of the account that is logged in. The password itself is no part of a plan.
    SetPassword {
        /// Name of the Secret that holds it.
        secret: String,
    },
}

impl Command {
    /// Whether a second one does harm: never sent again on a guess.
    pub fn once(&self) -> bool {
        matches!(self, Self::GracefulRestart | Self::Reset | Self::PowerCycle)
    }

    /// Whether what runs on the host is interrupted.
    pub fn interrupts(&self) -> bool {
        self.once() || matches!(self, Self::ShutDown | Self::ForceOff)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerOn => f.write_str("power on"),
            Self::ShutDown => f.write_str("shut down"),
            Self::ForceOff => f.write_str("force off"),
            Self::GracefulRestart => f.write_str("restart"),
            Self::Reset => f.write_str("reset"),
            Self::PowerCycle => f.write_str("power cycle"),
            Self::SetBoot(boot) => write!(f, "boot from {:?} ({:?})", boot.device, boot.persistence),
            Self::ClearBoot => f.write_str("boot as the firmware is set up"),
            Self::InsertMedia { image } => write!(f, "insert {image}"),
            Self::EjectMedia => f.write_str("eject the virtual media"),
            Self::SetPassword { secret } => write!(f, "set the password of Secret {secret}"),
        }
    }
}

impl fmt::Display for BmcStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.on {
            Some(power) => write!(f, "{} (now {power})", self.command),
            None => self.command.fmt(f),
        }
    }
}
