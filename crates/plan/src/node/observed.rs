//! What the ways to a host show.

use jiff::Timestamp;
use slipway_api::NodeStatus;
use slipway_api::node::{DockerStatus, LoginStatus};

use super::bmc;
use super::design::Word;

/// What is observed of one Node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Its Docker engine, if it has one.
    pub docker: Option<Docker>,
    /// Its BMC, if it has one.
    pub bmc: Option<Bmc>,
    /// What its Design says of it.
    pub design: Word,
}

/// What the connection to a Docker engine shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Docker {
    /// There is a connection, or a try at one, with the address and the credentials that the Node names now.
    pub current: bool,
    /// The host behind it.
    pub host: Host,
}

/// What the session with a BMC shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Bmc {
    /// The session is, or will be, with the address and the credentials that the Node names now.
    pub current: bool,
    /// The BMC and its host.
    pub view: bmc::View,
    /// What it told of itself since this process has a session with it.
    pub facts: Facts,
}

/// What a BMC tells of itself and its host, apart from what it is looked at for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Where it is, if the Node's Design tells it.
    pub address: Option<String>,
    /// All of this has been asked for; what is not there the BMC does not tell.
    pub complete: bool,
    /// It takes its time to tell, and is not waited for.
    pub late: bool,
    /// Who it is.
    pub identity: Option<bmc::Identity>,
    /// The host on one line.
    pub inventory: Option<String>,
    /// How the host is.
    pub health: Option<bmc::Health>,
    /// What must be on record of the credentials; `None` leaves it.
    pub login: Option<LoginStatus>,
    /// The certificate that was trusted on first use.
    pub pin: Option<Pin>,
}

/// A certificate that was trusted on first use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its SHA-256: 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// `https://host:port` that showed it; `None`: nobody noted that.
    pub host: Option<String>,
}

impl Pin {
    /// The one on record.
    pub fn of(status: &NodeStatus) -> Option<Self> {
        let bmc = status.bmc.as_ref()?;
        Some(Self { sha256: bmc.pin.clone()?, host: bmc.pin_host.clone() })
    }

    /// Whether it was shown there.
    pub fn is_of(&self, host: &str) -> bool {
        self.host.as_ref().is_none_or(|shown| shown == host)
    }
}

/// A host, by its Docker engine.
#[derive(Clone, Debug, PartialEq)]
pub enum Host {
    /// Not known yet.
    Connecting,
    /// It answers.
    Ready {
        /// The engine, as it describes itself.
        docker: DockerStatus,
        /// Other Nodes that lead to the same engine, as `namespace/name`.
        twins: Vec<String>,
    },
    /// It cannot be used.
    Away {
        /// Only a person can help: credentials refused, an engine too old.
        needs_person: bool,
        /// One CamelCase word.
        reason: &'static str,
        /// The true cause.
        message: String,
        /// Since when, as far as this process knows.
        since: Timestamp,
    },
}
