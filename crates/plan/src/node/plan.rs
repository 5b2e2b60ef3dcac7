//! What to do about a Node: connect to it.

use std::fmt;

use serde::Serialize;

use super::Observed;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Plan {
    /// Connect, with the address and credentials that the Node names now.
    Connect,
    /// Nothing.
    Keep,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Keep => "nothing to do",
        })
    }
}

/// What to do next.
pub fn plan(observed: &Observed) -> Plan {
    if observed.current { Plan::Keep } else { Plan::Connect }
}
