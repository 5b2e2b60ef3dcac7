//! The watched objects of one kind, as the API server last showed them.

use std::borrow::Cow;
use std::sync::Arc;

use kube::api::ObjectMeta;
use kube::core::{DeserializeGuard, error_boundary::InvalidObject};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use serde::{Deserialize, Deserializer};
use tokio::sync::{broadcast, watch};

use super::kind::{Key, Object};

/// An object, or why it could not be read: one broken object never stops the watch of the others.
#[derive(Clone, Debug)]
pub enum Guarded<O> {
    /// It could be read.
    Readable(Arc<O>),
    /// It could not; only its metadata is known.
    Broken(Arc<InvalidObject>),
}

impl<'de, O: Object> Deserialize<'de> for Guarded<O> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match DeserializeGuard::<O>::deserialize(deserializer)?.0 {
            Ok(object) => Self::Readable(Arc::new(object)),
            Err(broken) => Self::Broken(Arc::new(broken)),
        })
    }
}

impl<O: Object> Resource for Guarded<O> {
    type DynamicType = ();
    type Scope = O::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        O::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        O::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        O::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        O::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Readable(object) => object.meta(),
            Self::Broken(broken) => &broken.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Readable(object) => Arc::make_mut(object).meta_mut(),
            Self::Broken(broken) => &mut Arc::make_mut(broken).metadata,
        }
    }
}

impl<O: Object> Guarded<O> {
    /// Drops what nobody here reads, to keep the cache small.
    pub(super) fn prune(&mut self) {
        self.managed_fields_mut().clear();
        self.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

/// The watched objects of one kind. Cheap to clone; anyone may read, one watch writes.
pub struct Cache<O: Object> {
    store: Store<Guarded<O>>,
    changes: broadcast::Sender<Key>,
    /// Whether the first list is complete. `Store::wait_until_ready` wakes only the last of several who wait
    /// (kube-runtime 5.0 `utils/delayed_init.rs`: one oneshot receiver, polled by all).
    listed: watch::Sender<bool>,
}

impl<O: Object> Clone for Cache<O> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), changes: self.changes.clone(), listed: self.listed.clone() }
    }
}

impl<O: Object> Cache<O> {
    pub(super) fn new(store: Store<Guarded<O>>) -> Self {
        Self { store, changes: broadcast::channel(1024).0, listed: watch::Sender::new(false) }
    }

    pub(super) fn store(&self) -> &Store<Guarded<O>> {
        &self.store
    }

    pub(super) fn changed(&self, key: Key) {
        // Nobody listening is fine.
        let _ = self.changes.send(key);
    }

    /// One object, if it is there and can be read.
    pub fn get(&self, key: &Key) -> Option<Arc<O>> {
        readable(&*self.store.get(&ObjectRef::new(&key.name).within(&key.namespace))?)
    }

    /// The readable objects of a namespace.
    pub fn list(&self, namespace: &str) -> Vec<Arc<O>> {
        self.store
            .state_filter(|object| object.meta().namespace.as_deref() == Some(namespace))
            .iter()
            .filter_map(|object| readable(object))
            .collect()
    }

    /// Every readable object.
    pub fn all(&self) -> Vec<Arc<O>> {
        self.store.state().iter().filter_map(|object| readable(object)).collect()
    }

    /// Changes from now on: created, changed or deleted objects. A slow reader is told that it `Lagged`.
    pub fn changes(&self) -> broadcast::Receiver<Key> {
        self.changes.subscribe()
    }

    pub(super) fn listed(&self) {
        self.listed.send_replace(true);
    }

    /// Waits for the first complete list.
    pub async fn ready(&self) {
        // An error would mean that the sender is gone, and this is one.
        let _ = self.listed.subscribe().wait_for(|listed| *listed).await;
    }
}

fn readable<O>(object: &Guarded<O>) -> Option<Arc<O>> {
    match object {
        Guarded::Readable(object) => Some(object.clone()),
        Guarded::Broken(_) => None,
    }
}
