//! Failed revisions: found once, recorded before anything is done about them, not tried again until they are asked for.

use std::collections::BTreeMap;

use slipway_api::container_service::FailedRevision;

use super::slot::Slot;
use crate::container_service::definition::{ContainerKey, Lifecycle};

/// The revision that each container is wanted in; `None` while its image is not known.
pub(super) type Revisions = BTreeMap<ContainerKey, Option<String>>;

/// Those of the status that still count: what failed is still wanted, and no restart was requested since.
pub(super) fn still_wanted(old: &[FailedRevision], wanted: &Revisions, restart: Option<&str>) -> Vec<FailedRevision> {
    let counts = |failed: &&FailedRevision| {
        let revisions = wanted.iter().filter(|(key, _)| key.service == failed.service).map(|(_, revision)| revision);
        same_request(failed, restart)
            && revisions.into_iter().any(|r| r.as_ref().is_none_or(|revision| *revision == failed.revision))
    };
    old.iter().filter(counts).cloned().collect()
}

fn same_request(failed: &FailedRevision, restart: Option<&str>) -> bool {
    restart.is_none() || failed.restart.as_deref() == restart
}

/// What failed about a slot's wanted revision, on this host or on another. A run to the end that failed elsewhere says
/// nothing about a host on which it would be the first.
pub(super) fn find<'f>(
    failed: &'f [FailedRevision],
    slot: &Slot<'_>,
    node: &str,
    wanted: &Revisions,
) -> Option<&'f FailedRevision> {
    slot.revision?;
    let of_service = |revision: &str| {
        wanted.iter().any(|(key, r)| key.service == slot.key.service && r.as_deref() == Some(revision))
    };
    let counts_here =
        |f: &FailedRevision| f.host == node || slot.want.lifecycle == Lifecycle::Running || slot.previous.is_some();
    failed.iter().find(|f| f.service == slot.key.service && of_service(&f.revision) && counts_here(f))
}
