//! Sweeps a host that has come back: what ContainerServices that are gone had to leave behind there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::Api;
use slipway_api::ContainerService;
use slipway_api::container_service::VolumeDeletion;
use slipway_plan::container_service::observed::Owner;
use slipway_plan::container_service::plan::{NodeView, Nodes};

use super::act::Target;
use super::converge::{Hosts, remove};
use crate::Error;
use crate::context::Context;
use crate::reconcile::Locks;

/// Looks and steps in one go for one owner; what is left waits for the host's next return.
const PASSES: usize = 16;

/// Removes what objects of a namespace that do not exist any more have on a host. Named volumes stay: whether they were
/// to be deleted is not known any more. Returns the names of those objects.
pub async fn sweep(context: &Context, namespace: &str, node: &str, target: &Target) -> Result<Vec<String>, Error> {
    let services = Api::<ContainerService>::namespaced(context.client.clone(), namespace);
    let mut swept = Vec::new();
    for owner in target.engine.owners(&context.installation.id).await? {
        // Only the API server's own word counts: a cache may not have caught up.
        if owner.namespace != namespace
            || context.call("look for the owner of containers", services.get_metadata_opt(&owner.name)).await?.is_some()
        {
            continue;
        }
        if sweep_owner(&owner, node, target, &context.locks).await {
            swept.push(owner.name);
        }
    }
    Ok(swept)
}

async fn sweep_owner(owner: &Owner, node: &str, target: &Target, locks: &Locks) -> bool {
    let mut moved = false;
    for _ in 0..PASSES {
        let mut hosts = Hosts {
            nodes: Nodes(BTreeMap::from([(node.to_owned(), NodeView::default())])),
            targets: BTreeMap::from([(node.to_owned(), target.clone())]),
            logins: Vec::new(),
        };
        let now = Timestamp::now();
        let (deletion, outcome) = remove(&mut hosts, owner, VolumeDeletion::Keep, now, locks).await;
        moved |= !outcome.taken.is_empty();
        if outcome.taken.is_empty() || deletion.is_done() {
            break;
        }
    }
    moved
}
