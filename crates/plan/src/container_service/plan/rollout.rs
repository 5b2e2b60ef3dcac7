//! Rollout: how many hosts may be in the middle of a change at one time, and which of them the rollout of their Design lets.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::rollout::Ask;

/// How a host stands, for the budget.
#[allow(clippy::struct_excessive_bools)] // Four independent facts of a host, not a state in disguise.
#[derive(Clone, Debug)]
pub(super) struct Standing<'a> {
    pub node: &'a str,
    /// A change has begun and has not ended.
    pub changing: bool,
    /// Everything there serves.
    pub ready: bool,
    /// A change could begin now.
    pub wants: bool,
    /// Nothing of the service is there yet, and something could be made.
    pub installs: bool,
    /// What failed there, and needs a person.
    pub failed: Option<String>,
    /// Why the rollout of the Node's Design does not let it be disrupted now.
    pub held: Option<&'a str>,
}

impl Standing<'_> {
    /// What the rollout of the Node's Design is to know.
    fn ask(&self, now: Timestamp) -> Option<Ask> {
        if let Some(message) = &self.failed {
            return Some(Ask::Failed { since: now, message: message.clone() });
        }
        match (self.changing, self.wants, self.installs) {
            (true, ..) => Some(Ask::Busy),
            (false, true, _) => Some(Ask::Begin { available: self.ready }),
            (false, false, true) => Some(Ask::Begin { available: false }),
            (false, false, false) => (!self.ready).then_some(Ask::Settling),
        }
    }
}

/// What the rollouts of the Nodes' Designs are to know, by Node.
pub(super) fn asks(hosts: &[Standing<'_>], now: Timestamp) -> BTreeMap<String, Ask> {
    hosts.iter().filter_map(|host| Some((host.node.to_owned(), host.ask(now)?))).collect()
}

/// Whose turn it is, and who is in the way of the others.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    admitted: BTreeSet<String>,
    budget: usize,
    busy: Vec<String>,
    held: BTreeMap<String, String>,
}

impl Turn {
    /// The one CamelCase word for it.
    pub fn reason(&self, node: &str) -> &'static str {
        if self.held.contains_key(node) { "RolloutWaiting" } else { "UpdateQueued" }
    }

    /// Why nothing of the service may be made on a host yet.
    pub fn hold(&self, node: &str) -> Option<&str> {
        self.held.get(node).map(String::as_str)
    }

    /// The host may begin a change, or go on with one.
    pub fn has(&self, node: &str) -> bool {
        self.admitted.contains(node)
    }

    /// Why a host may not.
    pub fn why(&self, node: &str) -> String {
        if let Some(hold) = self.held.get(node) {
            return format!("waits for the rollout of its Design: {hold}");
        }
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
    let waiting =
        |ready: bool| hosts.iter().filter(move |h| h.wants && !h.changing && h.ready == ready && h.held.is_none());
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
    let held = hosts.iter().filter(|h| !h.changing);
    let held = held.filter_map(|h| Some((h.node.to_owned(), h.held?.to_owned()))).collect();
    Turn { admitted: admitted.into_iter().map(str::to_owned).collect(), budget, busy: busy.into_iter().collect(), held }
}
