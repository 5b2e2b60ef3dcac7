//! Rollout: how many hosts may be in the middle of a change at one time.

use std::collections::BTreeSet;

/// How a host stands, for the budget.
#[derive(Clone, Debug)]
pub(super) struct Standing<'a> {
    pub node: &'a str,
    /// A change has begun and has not ended.
    pub changing: bool,
    /// Everything there serves.
    pub ready: bool,
    /// A change could begin now.
    pub wants: bool,
}

/// Hosts that may begin or go on. One that is not ready anyway loses nothing by a change, so it comes first and has only the
/// other changes counted against it; one that serves is touched only while fewer than `budget` do not.
pub(super) fn admitted<'a>(hosts: &[Standing<'a>], unobserved: usize, budget: usize) -> BTreeSet<&'a str> {
    let mut admitted: BTreeSet<_> = hosts.iter().filter(|h| h.changing).map(|h| h.node).collect();
    let waiting = |ready: bool| hosts.iter().filter(move |h| h.wants && !h.changing && h.ready == ready);
    for host in waiting(false) {
        if admitted.len() < budget {
            admitted.insert(host.node);
        }
    }
    let down: BTreeSet<_> = hosts.iter().filter(|h| !h.ready || h.changing).map(|h| h.node).collect();
    for host in waiting(true) {
        if admitted.union(&down).count() + unobserved < budget {
            admitted.insert(host.node);
        }
    }
    admitted
}
