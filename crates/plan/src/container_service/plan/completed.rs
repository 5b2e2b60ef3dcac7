//! Runs to the end that ended well: recorded, so that one whose container somebody removed is not run again.

use std::collections::BTreeMap;

use slipway_api::container_service::CompletedRun;

use super::host::Scene;
use super::slot::Slot;
use crate::container_service::definition::{ContainerKey, Lifecycle};

/// Whether a revision's run on a Node is on record, and no restart was requested since. A revision is one container's alone, as
/// the container's name is part of it.
pub(super) fn is_recorded(
    old: &[CompletedRun],
    key: &ContainerKey,
    revision: &str,
    restart: Option<&str>,
    node: &str,
) -> bool {
    old.iter().any(|run| {
        run.service == key.service
            && run.revision == revision
            && (restart.is_none() || run.restart.as_deref() == restart)
            && run.hosts.iter().any(|host| host == node)
    })
}

/// The runs that hosts show, and those on record of hosts that cannot be seen now, or of which it is not known what is wanted.
pub(super) fn records(old: &[CompletedRun], scenes: &[Scene<'_>], unobserved: &[&str]) -> Vec<CompletedRun> {
    let Some(first) = scenes.first() else { return old.to_vec() };
    let restart = first.cx.valid.restart.as_deref();
    let mut runs = BTreeMap::<&ContainerKey, CompletedRun>::new();
    let once = |slot: &&Slot<'_>| slot.want.lifecycle == Lifecycle::Once;
    for (key, revision) in first.slots.values().filter(once).filter_map(|slot| Some((slot.key, slot.revision?))) {
        let shown = scenes.iter().filter(|scene| scene.slots.get(key).is_some_and(|slot| scene.has_completed(slot)));
        let recorded = unobserved.iter().filter(|node| is_recorded(old, key, revision, restart, node));
        let mut hosts: Vec<_> =
            shown.map(|scene| scene.node.to_owned()).chain(recorded.map(|it| (*it).to_owned())).collect();
        hosts.sort();
        if !hosts.is_empty() {
            let (service, revision) = (key.service.clone(), revision.to_owned());
            runs.insert(key, CompletedRun { service, revision, restart: restart.map(str::to_owned), hosts });
        }
    }
    let unknown = |run: &&CompletedRun| {
        first.slots.values().any(|slot| slot.key.service == run.service && slot.revision.is_none())
    };
    old.iter().filter(unknown).cloned().chain(runs.into_values()).collect()
}
