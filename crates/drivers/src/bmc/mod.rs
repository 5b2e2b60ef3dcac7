//! BMCs: a host's power, boot, inventory and health, whatever protocol its BMC speaks.

mod factory;
mod mandated;
pub mod reasons;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use slipway_api::node_inventory::NodeInventorySpec;
use slipway_plan::node::bmc::{BmcObserved, Command, Health, Identity, Look, SelEntry};
use thiserror::Error;

pub use factory::Factory;

use crate::{Class, DriverError};

/// Until one answer is there. BMCs that take 10 s for each are common.
pub const ANSWER: Duration = Duration::from_secs(20);

/// For a call as a whole, which may take a login and a dozen answers of a slow BMC.
pub const WHOLE_CALL: Duration = Duration::from_mins(5);

/// A session with a BMC. Callers send one call at a time. Every answer has a deadline ([`ANSWER`]), and so has every call
/// ([`WHOLE_CALL`]). A call logs in again by itself when the BMC forgot the session, and repeats reads only, never a command.
/// What a BMC says is a stranger's: texts are bounded (128 characters) and printable, lists bounded.
#[async_trait]
pub trait Bmc: Send + Sync {
    /// What is true now. [`Look::Brief`] takes at most two commands besides the session's set-up.
    async fn observe(&self, look: Look) -> Result<BmcObserved, DriverError>;

    /// Sends a command, once. It is done when the BMC has taken it, not when the host has followed: that is observed.
    async fn execute(&self, command: &Command) -> Result<(), CommandError>;

    /// Who the BMC and its host are, in a few commands.
    async fn identity(&self) -> Result<Identity, DriverError>;

    /// What the host is made of. Lists are sorted, so that equal hardware is equal.
    async fn inventory(&self) -> Result<NodeInventorySpec, DriverError>;

    /// How the host is.
    async fn health(&self) -> Result<Health, DriverError>;

    /// The newest entries of the event log, newest first, at most this many.
    async fn sel(&self, most: usize) -> Result<Vec<SelEntry>, DriverError>;

    /// Changes the password of the account that is logged in. That it is in force is known by a login with it alone.
    async fn set_password(&self, new: &Password) -> Result<(), CommandError>;

    /// Ends the session. Idempotent; a later call opens a new one.
    async fn close(&self);
}

/// Makes sessions of addresses: the only place that knows which protocol speaks to whom.
#[async_trait]
pub trait ConnectBmc: Send + Sync {
    /// Whether a BMC of the address's protocol answers there, asked without credentials: what this says is no try of them.
    /// Returns how long its answer took.
    async fn reach(&self, address: &BmcAddress) -> Result<Duration, DriverError>;

    /// Logs in, once: a refusal is never tried again, as BMCs lock accounts. `pace` is how long an answer took lately, zero if
    /// that is not known.
    async fn bmc(&self, address: &BmcAddress, login: &Login, pace: Duration) -> Result<Arc<dyn Bmc>, DriverError>;
}

/// Where a BMC is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BmcAddress {
    /// Redfish over HTTP(S).
    Redfish {
        /// `https://host:port` or `http://host:port`, without a path.
        url: String,
        /// Path of the system, e.g. `/redfish/v1/Systems/1`; `None` takes the only one there is.
        system: Option<String>,
        /// Whom to trust; nothing of it counts with `http://`.
        trust: Trust,
    },
    /// IPMI 2.0 over LAN (RMCP+).
    Ipmi {
        /// Name or address, an IPv6 one without brackets.
        host: String,
        /// UDP port.
        port: u16,
        /// The lowest cipher suite that may be used: 3 or 17.
        minimum_suite: u8,
    },
}

impl fmt::Display for BmcAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redfish { url, system, .. } => write!(f, "{url}{}", system.as_deref().unwrap_or_default()),
            Self::Ipmi { host, port, .. } if host.contains(':') => write!(f, "ipmi://[{host}]:{port}"),
            Self::Ipmi { host, port, .. } => write!(f, "ipmi://{host}:{port}"),
        }
    }
}

/// Which certificate of a BMC is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// One that the system's own roots vouch for, and that is valid for the name.
    System,
    /// One that these CAs (PEM) vouch for, and that is valid for the name.
    Ca(Vec<u8>),
    /// The one with this SHA-256 of its DER form: 64 lower-case hexadecimal digits. Neither name nor dates count.
    Pin(String),
    /// The first that this session sees, and no other after it. What it was is in [`slipway_plan::node::bmc::Security`], so that
    /// the caller can pin it for the next session: trust on first use is this once, then [`Trust::Pin`].
    First,
    /// Any.
    Any,
}

/// Who we are to a BMC.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Name of the account.
    pub username: String,
    /// Its password.
    pub password: Password,
    /// The BMC's key `K_g` (IPMI), if it has one.
    pub kg: Option<Password>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// A password or key. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Vec<u8>);

impl Password {
    /// Of these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Its bytes, for those who send it.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Whether a command that failed may have reached the BMC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It did not, or the BMC refused it: nothing happened.
    No,
    /// Nobody knows: the answer was lost.
    Maybe,
}

/// A command that failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{error}")]
pub struct CommandError {
    /// Why.
    pub error: DriverError,
    /// Whether it may have been carried out all the same.
    pub delivered: Delivered,
}

impl CommandError {
    /// A command that the BMC did not get, or did not take.
    pub fn refused(error: DriverError) -> Self {
        Self { error, delivered: Delivered::No }
    }

    /// A command of which nobody knows.
    pub fn lost(error: DriverError) -> Self {
        Self { error, delivered: Delivered::Maybe }
    }

    /// What should happen next.
    pub fn class(&self) -> Class {
        self.error.class()
    }
}
