//! Reasons for a pass over a Design: its Nodes, other Designs of its namespace, and those who ask something of its Nodes.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use kube::{Resource, ResourceExt};
use slipway_api::conditions::{READY, STALLED, find};
use slipway_api::{Design, Node};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{BroadcastStream, UnboundedReceiverStream};

use super::Designs;
use crate::reconcile::{Cache, Key, calm};

/// A site's objects change in bursts: a Design is looked at no more often than this because of them.
const BURST: Duration = Duration::from_millis(250);

/// Wakes Designs by name.
pub(super) struct Wake {
    send: mpsc::UnboundedSender<Key>,
    receive: Mutex<Option<mpsc::UnboundedReceiver<Key>>>,
}

impl Default for Wake {
    fn default() -> Self {
        let (send, receive) = mpsc::unbounded_channel();
        Self { send, receive: Mutex::new(Some(receive)) }
    }
}

impl Wake {
    /// Wakes the other Designs of a namespace.
    pub(super) fn others(&self, key: &Key, designs: &Cache<Design>) {
        for other in of_namespace(designs, Some(&key.namespace)).into_iter().filter(|other| other != key) {
            // Nobody listens any more: the controller has ended.
            let _ = self.send.send(other);
        }
    }

    fn woken(&self) -> BoxStream<'static, Key> {
        let receive = self.receive.lock().unwrap_or_else(PoisonError::into_inner).take();
        receive.map_or_else(|| stream::pending().boxed(), |receive| UnboundedReceiverStream::new(receive).boxed())
    }
}

/// All of them, calmed.
pub(super) fn all(of: &Designs) -> BoxStream<'static, Key> {
    let asked = of.designs.clone();
    let asked = BroadcastStream::new(of.sites.asked())
        .flat_map(move |namespace| stream::iter(of_namespace(&asked, namespace.ok().as_deref())));
    let sources: [BoxStream<'static, Key>; 4] =
        [nodes(&of.nodes, &of.designs), designs(&of.designs), asked.boxed(), of.wake.woken()];
    calm(stream::select_all(sources).boxed(), BURST)
}

fn of_namespace(designs: &Cache<Design>, namespace: Option<&str>) -> Vec<Key> {
    let found = namespace.map_or_else(|| designs.all(), |namespace| designs.list(namespace));
    found.iter().map(|design| Key::of(&**design)).collect()
}

/// The Designs of Nodes that changed in what a Design reads of them.
fn nodes(cache: &Cache<Node>, designs: &Cache<Design>) -> BoxStream<'static, Key> {
    let (nodes, designs) = (cache.clone(), designs.clone());
    let mut known: HashMap<Key, (Option<String>, u64)> = HashMap::new();
    BroadcastStream::new(cache.changes())
        .flat_map(move |key| {
            let Ok(key) = key else { return stream::iter(of_namespace(&designs, None)) };
            let now = nodes.get(&key).map(|node| (design(&node), facts(&node)));
            let before = match now.clone() {
                Some(facts) => known.insert(key.clone(), facts),
                None => known.remove(&key),
            };
            if before == now {
                return stream::iter(Vec::new());
            }
            let names = [before, now].into_iter().flatten().filter_map(|(design, _)| design);
            stream::iter(names.map(|name| Key::new(&key.namespace, name)).collect::<Vec<_>>())
        })
        .boxed()
}

fn design(node: &Node) -> Option<String> {
    node.spec.design.design_ref.as_ref().map(|reference| reference.name.clone())
}

/// What a Design reads of a Node: what it is compiled from, and how it stands.
fn facts(node: &Node) -> u64 {
    let mut hasher = DefaultHasher::new();
    let meta = node.meta();
    (&meta.uid, meta.generation, node.labels(), meta.deletion_timestamp.is_some()).hash(&mut hasher);
    if let Some(status) = &node.status {
        let is = |type_| find(&status.conditions, type_).map(|condition| condition.status.clone());
        (status.observed_generation, is(READY), is(STALLED)).hash(&mut hasher);
        (&status.power, status.docker.is_some(), status.unreachable_since.is_some()).hash(&mut hasher);
    }
    hasher.finish()
}

/// The other Designs of a namespace where one changed: it may be a part of them.
fn designs(cache: &Cache<Design>) -> BoxStream<'static, Key> {
    let designs = cache.clone();
    let mut known: HashMap<Key, (Option<String>, Option<i64>)> = HashMap::new();
    BroadcastStream::new(cache.changes())
        .flat_map(move |key| {
            let Ok(key) = key else { return stream::iter(of_namespace(&designs, None)) };
            let now = designs.get(&key).map(|design| (design.uid(), design.metadata.generation));
            let before = match now.clone() {
                Some(facts) => known.insert(key.clone(), facts),
                None => known.remove(&key),
            };
            let mut others = of_namespace(&designs, Some(&key.namespace));
            others.retain(|other| before != now && *other != key);
            stream::iter(others)
        })
        .boxed()
}
