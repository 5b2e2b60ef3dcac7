//! What to do about a Node: connect to it, and one thing at a time by its BMC.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use slipway_api::NodeStatus;

use super::bmc::{self, Endpoint};
use super::{Observed, Valid};

/// What to do next.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Connect to the Docker engine, with the address and credentials that the Node names now.
    pub connect: bool,
    /// What to ask of the BMC.
    pub bmc: Option<bmc::Plan>,
}

/// Which Node it is.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its name, as a person calls it.
    pub name: &'a str,
    /// Its UID, so that one Node's approval is no other's.
    pub uid: &'a str,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.connect, &self.bmc) {
            (true, Some(bmc)) => write!(f, "connect\n{bmc}"),
            (true, None) => f.write_str("connect"),
            (false, Some(bmc)) => bmc.fmt(f),
            (false, None) => f.write_str("nothing to do"),
        }
    }
}

/// What to do next.
pub fn plan(valid: &Valid, observed: &Observed, old: &NodeStatus, of: Subject<'_>, now: Timestamp) -> Plan {
    let connect = observed.docker.as_ref().is_some_and(|docker| !docker.current);
    let bmc = valid.bmc.as_ref().and_then(|wanted| match (&wanted.endpoint, &observed.docker, &observed.bmc) {
        (Endpoint::Manual, Some(docker), _) => Some(bmc::by_hand(wanted, old, &docker.host, of.name, now)),
        (_, _, Some(session)) => Some(bmc::plan(wanted, old, &session.view, of.uid, now)),
        _ => None,
    });
    Plan { connect, bmc }
}
