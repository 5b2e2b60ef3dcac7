//! What a BMC shows of its host and of itself.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
/// What tells whether a host was started anew. Each is compared with what it was before a command and never read otherwise:
/// another value means that something happened; `None` that the BMC does not tell.
pub use slipway_api::node::RestartEvidence as Evidence;

/// How much is looked at: a quiet BMC is asked as little as possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Power and boot override, in at most two commands.
    Brief,
    /// Also what tells whether the host was started anew: [`Evidence`].
    Evidence,
}

/// What one look at a BMC shows.
#[derive(Clone, Debug, PartialEq)]
pub struct BmcObserved {
    /// The host's power.
    pub power: PowerState,
    /// From what the host starts next.
    pub boot: Boot,
    /// What tells whether the host was started anew; empty after a [`Look::Brief`], and where a BMC has none.
    pub evidence: Evidence,
    /// How the host is, as far as the same commands tell; what is worst is told by the health as a whole.
    pub health: HealthLevel,
    /// Virtual media that is inserted; `None` where the BMC has no virtual media, or none that can be used.
    pub media: Option<Media>,
    /// How this connection is protected.
    pub security: Security,
}

/// The power of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // Each is what its name says.
pub enum PowerState {
    On,
    Off,
    PoweringOn,
    PoweringOff,
    /// The BMC does not say, or says something that nobody knows.
    Unknown,
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
            Self::PoweringOn => "powering on",
            Self::PoweringOff => "powering off",
            Self::Unknown => "unknown",
        })
    }
}

/// From what a host starts next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Boot {
    /// The BMC does not say.
    Unknown,
    /// As its firmware is set up.
    Normal,
    /// An override is in force.
    Override(BootOverride),
}

/// An override of the firmware's boot order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BootOverride {
    /// From what to start.
    pub device: BootDevice,
    /// In which mode; `None` leaves, or does not tell, it.
    pub mode: Option<BootMode>,
    /// For how long. Read back it means little: some firmware never says `Once`.
    pub persistence: Persistence,
}

/// From what a host starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum BootDevice {
    Pxe,
    Hdd,
    Cd,
    UefiHttp,
    BiosSetup,
    /// Something else; observed only, never set.
    Other,
}

/// The mode in which firmware starts a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum BootMode {
    Uefi,
    Legacy,
}

/// For how long an override is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Persistence {
    /// For the next start alone.
    Once,
    /// Until it is changed.
    Persistent,
}

/// Virtual media.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Media {
    /// URL of the image that is inserted, if any.
    pub image: Option<String>,
}

/// Who a BMC and its host are. Texts of a stranger: bounded and printable, as the driver makes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// Who made it.
    pub vendor: Option<String>,
    /// Model of the host.
    pub model: Option<String>,
    /// Serial number of the host.
    pub serial: Option<String>,
    /// Version of the BMC's firmware.
    pub firmware: Option<String>,
    /// UUID (GUID) of the host, lower case with hyphens.
    pub uuid: Option<String>,
}

/// How a connection is protected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Security {
    /// RMCP+ with this cipher suite: 17 or 3.
    CipherSuite(u8),
    /// TLS.
    Tls {
        /// SHA-256 of the server's certificate (its DER form), 64 lower-case hexadecimal digits.
        certificate_sha256: String,
        /// When the certificate ends.
        not_after: Option<Timestamp>,
    },
    /// Not at all.
    Plain,
}

/// How a host is, summed up.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// The whole host.
    pub level: HealthLevel,
    /// The sensor or part that is worst, unless all is well.
    pub worst: Option<Sensor>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum HealthLevel {
    Unknown,
    Ok,
    Warning,
    Critical,
}

/// A sensor, or a part that has a health of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensor {
    /// Its name.
    pub name: String,
    /// How it is.
    pub level: HealthLevel,
    /// What it reads, with its unit, e.g. `96 °C`; or what is wrong with it.
    pub reading: Option<String>,
}

/// An entry of the BMC's event log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SelEntry {
    /// Its number, as the BMC has it.
    pub id: String,
    /// When, by the BMC's clock.
    pub at: Option<Timestamp>,
    /// How bad.
    pub level: HealthLevel,
    /// What it is about, if it is about one sensor.
    pub sensor: Option<String>,
    /// What happened.
    pub message: String,
}
