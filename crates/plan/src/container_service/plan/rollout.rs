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

/// Whose turn it is, and who is in the way of the others.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    admitted: BTreeSet<String>,
    budget: usize,
    busy: Vec<String>,
}

impl Turn {
    /// The host may begin a change, or go on with one.
    pub fn has(&self, node: &str) -> bool {
        self.admitted.contains(node)
    }

    /// Why a host may not.
    pub fn why(&self) -> String {
        let hosts = if self.budget == 1 { "1 host".into() } else { format!("{} hosts", self.budget) };
        let shown: Vec<_> = self.busy.iter().take(3).map(String::as_str).collect();
        let more = if self.busy.len() > shown.len() { ", …" } else { "" };
        format!(
            "waits for its turn: at most {hosts} may be changing or not ready at a time, which now are {}{more}",
            shown.join(", ")
        )
    }
}

/// Hosts that may begin or go on. One that is not ready anyway loses nothing by a change, so it comes first and has only the
/// other changes counted against it; one that serves is touched only while fewer than `budget` do not.
pub(super) fn admit(hosts: &[Standing<'_>], unobserved: &[&str], budget: usize) -> Turn {
    let mut admitted: BTreeSet<_> = hosts.iter().filter(|h| h.changing).map(|h| h.node).collect();
    let waiting = |ready: bool| hosts.iter().filter(move |h| h.wants && !h.changing && h.ready == ready);
    for host in waiting(false) {
        if admitted.len() < budget {
            admitted.insert(host.node);
        }
    }
    let down: BTreeSet<_> = hosts.iter().filter(|h| !h.ready || h.changing).map(|h| h.node).collect();
    for host in waiting(true) {
        if admitted.union(&down).count() + unobserved.len() < budget {
            admitted.insert(host.node);
        }
    }
    let busy: BTreeSet<_> = admitted.union(&down).chain(unobserved).map(|node| (*node).to_owned()).collect();
    Turn { admitted: admitted.into_iter().map(str::to_owned).collect(), budget, busy: busy.into_iter().collect() }
}
