//! Docker engines, from 20.10 (API 1.41) on: over a socket, TCP, TLS or SSH.
//!
//! Whose a container, network or volume is, its labels say and nothing else. What carries other labels is seen, named and left
//! alone. Every error has a [reason](reasons) with its class.

mod client;
#[cfg(feature = "conformance")]
pub mod conformance;
mod connect;
mod engine;
mod errors;
mod events;
mod execute;
mod files;
mod images;
mod kept;
mod lines;
mod logs;
mod observe;
pub mod reasons;
mod ssh;
pub(crate) mod text;
pub(crate) mod tls;
mod trial;
mod wire;

pub use connect::Factory;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use slipway_api::node::DockerStatus;
use slipway_plan::container_service::definition::Definition;
use slipway_plan::container_service::observed::{Host, Owner};
use slipway_plan::container_service::plan::Step;

use crate::DriverError;

/// A Docker engine. Every call has a deadline inside.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Is it there? Cheap.
    async fn ping(&self) -> Result<(), DriverError>;

    /// What the engine says of itself.
    async fn describe(&self) -> Result<DockerStatus, DriverError>;

    /// What it shows of one project. A container whose making was broken off (a killed operator) is shown as
    /// [`State::Dead`](slipway_plan::container_service::observed::State::Dead): it can only be removed.
    async fn observe(&self, query: &Query) -> Result<Host, DriverError>;

    /// Takes one step for an owner. Idempotent: done already is success. What carries other labels than the owner's is
    /// never touched: that is a `Conflict`.
    async fn execute(&self, owner: &Owner, step: &Step, definition: &Definition) -> Result<(), DriverError>;

    /// Pulls an image (by digest if given, then tags it as written). One that was not on the host before gets a mark, by which
    /// it is observed among the unused images and may be removed. `progress` gets text for a person. Ends early only if nothing
    /// comes any more: a large image on a slow line takes its time.
    async fn pull(&self, pull: &Pull, progress: &(dyn Fn(String) + Send + Sync)) -> Result<(), DriverError>;

    /// The digest that the registry has for a reference now, asked through the engine.
    async fn resolve(&self, image: &str, login: Option<&RegistryLogin>) -> Result<String, DriverError>;

    /// Events from a time on (that time included), without end; an error ends the stream. The first item comes at once and
    /// says that the stream stands. An engine keeps only its last 256 events, and none over its own restart: observe after
    /// every subscription.
    async fn events(
        &self,
        since: Option<Timestamp>,
    ) -> Result<BoxStream<'static, Result<Event, DriverError>>, DriverError>;

    /// What a container writes, from its beginning or as the options say. With `follow` it ends when the container does.
    async fn logs(
        &self,
        container: &str,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine, DriverError>>, DriverError>;

    /// Every ContainerService of this installation that has anything here.
    async fn owners(&self, installation: &str) -> Result<BTreeSet<Owner>, DriverError>;
}

/// What to observe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Whose things.
    pub owner: Owner,
    /// Wanted images, as written.
    pub images: BTreeSet<String>,
    /// Wanted networks, by name on the engine.
    pub networks: BTreeSet<String>,
    /// Wanted volumes, by name on the engine.
    pub volumes: BTreeSet<String>,
    /// Also the images that were pulled for Slipway and that nothing uses. Listing images is dear on some engines.
    pub unused_images: bool,
    /// Nothing is to be made there: what others have does not matter, and is not asked for.
    pub owned_only: bool,
}

impl Query {
    /// What an owner has there, and nothing else.
    pub fn owned(owner: Owner) -> Self {
        Self {
            owner,
            images: BTreeSet::new(),
            networks: BTreeSet::new(),
            volumes: BTreeSet::new(),
            unused_images: false,
            owned_only: true,
        }
    }
}

/// What to pull.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Pull {
    pub image: String,
    pub digest: Option<String>,
    pub platform: Option<String>,
    pub login: Option<RegistryLogin>,
}

/// A login to a registry. `Debug` hides the password.
#[derive(Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct RegistryLogin {
    pub server: String,
    pub username: String,
    pub password: String,
    /// An identity token in place of user and password.
    pub identity_token: Option<String>,
}

impl std::fmt::Debug for RegistryLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RegistryLogin({} at {})", self.username, self.server)
    }
}

/// Something that happened on the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, by the engine's clock; the next subscription starts here.
    pub at: Timestamp,
    /// Whose, from the labels; `None` for things that are not Slipway's and for the first item.
    pub owner: Option<Owner>,
    /// `container`, `network`, `volume`, `image`; empty for the first item.
    pub kind: String,
    /// `die`, `start`, `health_status: healthy`, …; empty for the first item.
    pub action: String,
}

/// Which part of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Go on while the container runs.
    pub follow: bool,
    /// This many last lines; all of them if absent.
    pub tail: Option<u32>,
    /// Nothing older, by the engine's clock.
    pub since: Option<Timestamp>,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Whether it was written to stderr; a container with a terminal has stdout alone.
    pub stderr: bool,
    /// When, by the engine's clock; absent of the further parts of a very long line.
    pub at: Option<Timestamp>,
    /// Without its end. Whatever the container wrote, control characters too.
    pub text: String,
}

/// Where an engine is and how to log in. `Debug` hides keys.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket of this machine.
    Unix(std::path::PathBuf),
    /// TCP without TLS.
    PlainTcp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// TCP with TLS and client certificates; PEM.
    Tls {
        /// Host name or address; the certificate must be valid for it.
        host: String,
        /// Port.
        port: u16,
        /// CA that the server's certificate is verified against.
        ca: Vec<u8>,
        /// Client certificate chain.
        cert: Vec<u8>,
        /// Client key.
        key: Vec<u8>,
    },
    /// SSH; the remote `docker system dial-stdio` carries the API.
    Ssh {
        /// Login name.
        user: String,
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
        /// Private key.
        key: Vec<u8>,
        /// Known hosts; a host that is not in it is refused.
        known_hosts: Vec<u8>,
    },
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::PlainTcp { host, port } | Self::Tls { host, port, .. } => write!(f, "tcp://{host}:{port}"),
            Self::Ssh { user, host, port, .. } => write!(f, "ssh://{user}@{host}:{port}"),
        }
    }
}

/// Makes engines of addresses: the one place that knows the implementations.
#[async_trait]
pub trait Connect: Send + Sync {
    /// An engine at an address. Makes no call; the first call connects.
    async fn docker(&self, address: &Address) -> Result<Arc<dyn Engine>, DriverError>;
}
