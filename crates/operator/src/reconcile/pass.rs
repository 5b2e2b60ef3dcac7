//! One pass over one object: what its steps may use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference, Secret};
use kube::core::object::HasStatus;
use kube::{Api, Resource, ResourceExt};

use super::events::Severity;
use super::kind::{Key, Object};
use crate::context::Context;
use crate::error::Error;

/// One pass over one object.
pub struct Pass<O: Object> {
    /// The object's namespace and name.
    pub key: Key,
    /// The object's kind in metrics, managers and finalizers.
    pub kind: &'static str,
    /// What all controllers share.
    pub context: Arc<Context>,
    object: Mutex<Arc<O>>,
    written: Written<O>,
}

impl<O: Object> Pass<O> {
    pub(super) fn new(kind: &'static str, object: Arc<O>, context: Arc<Context>, written: Written<O>) -> Self {
        let key = Key::of(&*object);
        let object = Mutex::new(written.newest(&key, object));
        Self { key, kind, context, object, written }
    }

    /// The object, as it was last read or written.
    pub fn object(&self) -> Arc<O> {
        self.object.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The object's status; the empty one if it has none yet.
    pub fn status(&self) -> <O as HasStatus>::Status {
        self.object().status().cloned().unwrap_or_default()
    }

    /// Generation of the spec that this pass is about.
    pub fn generation(&self) -> i64 {
        self.object().meta().generation.unwrap_or_default()
    }

    /// The time, to the second as the API keeps it.
    pub fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }

    /// Whether the process is about to end: begin nothing that takes long.
    pub fn stopping(&self) -> bool {
        self.context.stop.is_cancelled()
    }

    /// A Secret of the object's namespace.
    pub async fn secret(&self, name: &str) -> Result<Option<Secret>, Error> {
        let secrets = Api::<Secret>::namespaced(self.context.client.clone(), &self.key.namespace);
        self.context.call(&format!("read Secret {name}"), secrets.get_opt(name)).await
    }

    /// A ConfigMap of the object's namespace.
    pub async fn config_map(&self, name: &str) -> Result<Option<ConfigMap>, Error> {
        let config_maps = Api::<ConfigMap>::namespaced(self.context.client.clone(), &self.key.namespace);
        self.context.call(&format!("read ConfigMap {name}"), config_maps.get_opt(name)).await
    }

    /// Publishes an Event about the object. Once per change: that is the caller's care.
    pub fn event(&self, severity: Severity, reason: impl Into<String>, text: impl Into<String>) {
        self.context.events.publish(self.kind, self.reference(), severity, reason, text);
    }

    /// Writes the status, if it differs from what is there.
    pub async fn write(&self, status: &<O as HasStatus>::Status) -> Result<(), Error> {
        let object = self.object();
        // An empty status says no more than none.
        if self.status() == *status {
            self.context.metrics.status_write(self.kind, "skipped");
            return Ok(());
        }
        let written = super::status::apply(&self.context, self.kind, &*object, status).await?;
        self.wrote(written);
        Ok(())
    }

    pub(super) fn reference(&self) -> ObjectReference {
        self.object().object_ref(&())
    }

    /// Takes the API server's answer to a write for the newest state.
    pub(super) fn wrote(&self, mut object: O) {
        object.managed_fields_mut().clear();
        let mut newest = self.object.lock().unwrap_or_else(PoisonError::into_inner);
        // Of two writes side by side the answers may come in either order.
        if version(&object) >= version(&**newest) {
            *newest = Arc::new(object);
            self.written.remember(self.key.clone(), newest.clone());
        }
    }
}

/// Our last writes that the watch has not shown yet. Without it, a pass that starts before the watch has caught up
/// would not know what the one before it put on record.
pub struct Written<O>(Arc<Mutex<HashMap<Key, Arc<O>>>>);

impl<O> Clone for Written<O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<O> Default for Written<O> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<O: Object> Written<O> {
    fn remember(&self, key: Key, object: Arc<O>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, object);
    }

    /// The newer of the watch's object and our last write's answer.
    fn newest(&self, key: &Key, watched: Arc<O>) -> Arc<O> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match written.get(key) {
            Some(ours) if ours.uid() == watched.uid() && version(&**ours) > version(&*watched) => ours.clone(),
            Some(_) => {
                written.remove(key);
                watched
            }
            None => watched,
        }
    }

    /// The watch shows this one now: a copy of what is no newer would only take memory.
    pub(super) fn shown(&self, key: &Key, watched: &impl Resource) {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if written.get(key).is_some_and(|ours| version(&**ours) <= version(watched)) {
            written.remove(key);
        }
    }

    pub(super) fn forget(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Resource versions of one resource can be compared as numbers: KEP-5504 makes a rule of what has always held with etcd.
/// One that is no number counts as the oldest, so that the watch wins.
fn version(object: &impl Resource) -> u128 {
    object.meta().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use slipway_api::Node;

    use super::*;

    fn node(uid: &str, version: &str) -> Arc<Node> {
        let mut node: Node = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "n", "namespace": "ns"}, "spec": {"docker": {"endpoint": "unix:///d.sock"}},
        }))
        .unwrap();
        node.metadata.uid = Some(uid.into());
        node.metadata.resource_version = Some(version.into());
        Arc::new(node)
    }

    #[test]
    fn our_own_write_counts_until_the_watch_shows_it() {
        let written = Written::default();
        let key = Key::new("ns", "n");
        written.remember(key.clone(), node("u", "100"));
        assert_eq!(written.newest(&key, node("u", "99")).resource_version().as_deref(), Some("100"));
        assert_eq!(written.newest(&key, node("u", "100")).resource_version().as_deref(), Some("100"));
        assert!(written.0.lock().unwrap().is_empty(), "what the watch has shown is forgotten");
        written.remember(key.clone(), node("u", "200"));
        written.shown(&key, &*node("u", "150"));
        assert_eq!(written.newest(&key, node("u", "150")).resource_version().as_deref(), Some("200"));
        written.shown(&key, &*node("u", "200"));
        assert!(written.0.lock().unwrap().is_empty(), "also without a pass");
        written.remember(key.clone(), node("u", "200"));
        assert_eq!(
            written.newest(&key, node("other", "150")).uid().as_deref(),
            Some("other"),
            "a recreated object wins"
        );
    }
}
