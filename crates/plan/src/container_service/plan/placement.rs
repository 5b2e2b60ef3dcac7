//! Placement: on which Nodes the project runs. Deterministic and sticky.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::look::{later, signed};
use super::{NodeView, Nodes, Wait};
use crate::container_service::observed::{Host, Owner};
use crate::container_service::validate::{Placement, Valid};
use crate::duration;

/// Where the project runs.
#[derive(Debug, Default)]
pub(super) struct Places<'a> {
    /// Nodes that it runs on.
    pub chosen: BTreeSet<&'a str>,
    /// Nodes that lead to an engine that another Node stands for.
    pub shadowed: BTreeSet<&'a str>,
    pub waits: Vec<Wait>,
    /// When a Node has been gone for long enough.
    pub look_again: Option<Timestamp>,
}

pub(super) fn place<'a>(valid: &Valid, nodes: &'a Nodes, before: &[String], now: Timestamp) -> Places<'a> {
    let mut places = Places::default();
    for (name, by) in shadows(nodes, before) {
        if nodes.0[name].matches {
            let message =
                format!("Nodes {by} and {name} lead to the same engine; only {by} is used. Delete one of the two");
            places.waits.push(Wait { needs_person: true, ..Wait::on(name, "SameEngine", message) });
        }
        places.shadowed.insert(name);
    }
    let candidates: BTreeMap<&str, &NodeView> = nodes
        .0
        .iter()
        .map(|(name, node)| (name.as_str(), node))
        .filter(|(name, node)| node.matches && !places.shadowed.contains(name))
        .collect();
    match valid.placement {
        Placement::Each => {
            let takes = |node: &NodeView| !(node.cordon || node.deleting) || has_something(node);
            places.chosen = candidates.iter().filter(|(_, node)| takes(node)).map(|(name, _)| *name).collect();
            if places.chosen.is_empty() {
                places.waits.push(no_match(!candidates.is_empty()));
            }
        }
        Placement::Replicas { count, .. } => choose(valid, count, &candidates, before, now, &mut places),
    }
    places
}

fn choose<'a>(
    valid: &Valid,
    count: usize,
    candidates: &BTreeMap<&'a str, &NodeView>,
    before: &[String],
    now: Timestamp,
    places: &mut Places<'a>,
) {
    // Those that have it already, the best to keep first. A Node that came back after its replica was placed elsewhere is
    // not among `placed`, so it comes last and what it still has is removed.
    let is_placed = |name: &str| before.iter().any(|p| p == name);
    let mut holders: Vec<_> = candidates
        .iter()
        .filter(|(name, node)| is_placed(name) || node.host.as_ref().is_some_and(|h| !h.containers.is_empty()))
        .map(|(name, node)| (*name, *node))
        .collect();
    holders.sort_by_key(|(name, node)| {
        (!is_placed(name), node.host.is_none(), node.cordon || node.deleting, !has_something(node), *name)
    });
    let (gone, mut kept): (Vec<_>, Vec<_>) =
        holders.into_iter().take(count).partition(|(name, node)| is_gone(valid, name, node, now, places));
    let mut free: Vec<_> = candidates
        .iter()
        .filter(|(name, node)| takes_new(node) && !kept.iter().chain(&gone).any(|(n, _)| n == *name))
        .map(|(name, node)| (load(node), affinity(&valid.owner, name), *name, *node))
        .collect();
    free.sort_by(|a, b| (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)));
    kept.extend(free.into_iter().map(|(_, _, name, node)| (name, node)).take(count.saturating_sub(kept.len())));
    // Nothing is won by giving up a Node that is gone while no other takes its replica.
    let short = count.saturating_sub(kept.len());
    kept.extend(gone.into_iter().take(short));
    places.chosen = kept.into_iter().map(|(name, _)| name).collect();
    if places.chosen.len() < count {
        places.waits.push(match places.chosen.len() {
            0 => no_match(!candidates.is_empty()),
            n => Wait::of_object(
                "TooFewNodes",
                format!(
                    "{n} of {count} replicas have a Node; add Nodes that match placement.nodeSelector, or uncordon some"
                ),
            ),
        });
    }
}

/// Whether a Node has been away for so long that its replica is placed elsewhere.
fn is_gone(valid: &Valid, name: &str, node: &NodeView, now: Timestamp, places: &mut Places<'_>) -> bool {
    let Placement::Replicas { evict_after, evict_with_volumes, .. } = valid.placement else { return false };
    let (None, Some(since)) = (&node.host, node.unreachable_since) else { return false };
    let due = later(since, signed(evict_after));
    if due > now {
        places.look_again = Some(places.look_again.map_or(due, |at| at.min(due)));
        return false;
    }
    if evict_with_volumes || !valid.definition.containers.values().any(|c| c.has_volumes) {
        return true;
    }
    let message = format!(
        "Node {name} has been away for more than {}, but its replica has named volumes and stays there; \
         placement.evictWithVolumes: true would place it elsewhere, without the data",
        duration::format(evict_after)
    );
    places.waits.push(Wait { needs_person: true, ..Wait::on(name, "VolumesStay", message) });
    false
}

fn no_match(some_match: bool) -> Wait {
    let why = if some_match {
        "every Node that matches placement.nodeSelector is cordoned, being deleted or away"
    } else {
        "no Node of this namespace matches placement.nodeSelector"
    };
    Wait::of_object("NoMatchingNode", why)
}

fn takes_new(node: &NodeView) -> bool {
    !node.cordon && !node.deleting && !node.suspend && node.host.is_some()
}

fn has_something(node: &NodeView) -> bool {
    node.host.as_ref().is_some_and(|h| !h.containers.is_empty())
}

/// How many other services a host has: the fewer, the better.
fn load(node: &NodeView) -> usize {
    let others = |host: &Host| host.others.iter().filter_map(|o| o.owner.clone()).collect::<BTreeSet<_>>().len();
    node.host.as_ref().map_or(0, others)
}

/// Breaks ties differently for each service, so that several that are placed at one time spread all the same.
fn affinity(owner: &Owner, node: &str) -> [u8; 32] {
    Sha256::new().chain_update(format!("{}/{}/{node}", owner.namespace, owner.name)).finalize().into()
}

/// Nodes that lead to an engine that another Node stands for, with that Node. One engine gets one plan, or two would undo
/// each other's work.
fn shadows<'a>(nodes: &'a Nodes, before: &[String]) -> BTreeMap<&'a str, &'a str> {
    let mut engines: BTreeMap<&str, Vec<(&str, &NodeView)>> = BTreeMap::new();
    for (name, node) in &nodes.0 {
        if let Some(id) = node.engine_id.as_deref().filter(|id| !id.is_empty()) {
            engines.entry(id).or_default().push((name, node));
        }
    }
    let mut shadows = BTreeMap::new();
    for mut group in engines.into_values() {
        group
            .sort_by_key(|(name, node)| (!node.matches, !before.iter().any(|p| p == name), node.host.is_none(), *name));
        if let [(first, _), rest @ ..] = group.as_slice() {
            shadows.extend(rest.iter().map(|(name, _)| (*name, *first)));
        }
    }
    shadows
}
