//! What the connection to a host shows.

use jiff::Timestamp;
use slipway_api::node::DockerStatus;

/// What is observed of one Node.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// There is a connection, or a try at one, with the address and the credentials that the Node names now.
    pub current: bool,
    /// The host behind it.
    pub host: Host,
}

/// A host.
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
