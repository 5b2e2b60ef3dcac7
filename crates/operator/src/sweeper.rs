//! Sweeps every host that comes up, comes back or is resumed: what objects that are gone had to leave behind is removed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use slipway_api::Node;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::container_service::act::Target;
use crate::container_service::sweep::sweep;
use crate::context::Context;
use crate::hosts::{HostChange, HostEvent, Hosts};
use crate::reconcile::{Cache, Key};

/// A sweep that fails is tried again; after the last try it waits for the host's next return.
const TRIES: u32 = 5;

/// Runs until it is dropped. `events` must have been subscribed to before the first host could come up.
pub async fn run(hosts: Hosts, mut events: Receiver<HostEvent>, nodes: Cache<Node>, context: Arc<Context>) {
    let mut sweeps = JoinSet::new();
    let mut news = nodes.changes();
    let mut suspended = BTreeSet::new();
    loop {
        let keys = tokio::select! {
            event = events.recv() => match event {
                Ok(HostEvent { host, change: HostChange::State }) => vec![host],
                Ok(_) => continue,
                Err(RecvError::Lagged(_)) => keys(&nodes),
                Err(RecvError::Closed) => break,
            },
            change = news.recv() => {
                let changed = match change {
                    Ok(key) => vec![key],
                    Err(RecvError::Lagged(_)) => keys(&nodes),
                    Err(RecvError::Closed) => break,
                };
                changed.into_iter().filter(|key| is_resumed(key, &nodes, &mut suspended)).collect()
            }
        };
        for key in keys {
            sweeps.spawn(tried(key, hosts.clone(), nodes.clone(), context.clone()));
        }
        while sweeps.try_join_next().is_some() {}
    }
}

fn keys(nodes: &Cache<Node>) -> Vec<Key> {
    nodes.all().iter().map(|node| Key::of(&**node)).collect()
}

/// Whether a Node was suspended when it was last looked at, and is no more.
fn is_resumed(key: &Key, nodes: &Cache<Node>, suspended: &mut BTreeSet<Key>) -> bool {
    match nodes.get(key) {
        Some(node) if node.spec.suspend => {
            suspended.insert(key.clone());
            false
        }
        Some(_) => suspended.remove(key),
        None => {
            suspended.remove(key);
            false
        }
    }
}

async fn tried(key: Key, hosts: Hosts, nodes: Cache<Node>, context: Arc<Context>) {
    for attempt in 1..=TRIES {
        // Away again, suspended or somebody else's as well: nothing is touched.
        let suspended = nodes.get(&key).is_none_or(|node| node.spec.suspend);
        let Some((handle, engine)) = hosts.get(&key).and_then(|handle| Some((handle.clone(), handle.engine()?))) else {
            return;
        };
        if suspended {
            return;
        }
        let target = Target { engine, lock: handle.lock_key() };
        match sweep(&context, &key.namespace, &key.name, &target).await {
            Ok(swept) if swept.is_empty() => return,
            Ok(swept) => {
                tracing::info!(host = %key, "removed what was left here of {}, which no longer exist", swept.join(", "));
                return;
            }
            Err(error) => {
                tracing::debug!(host = %key, "could not look for leftovers: {error}");
                sleep(Duration::from_secs(5) * attempt).await;
            }
        }
    }
}
