//! Changes of Secrets and ConfigMaps, by their metadata alone: their content is read when a pass needs it.

use std::fmt::Debug;

use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Resource;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use tokio::sync::broadcast;

use super::kind::{Key, Reference};
use super::watch::Trouble;
use crate::context::{Context, watched};

/// A change of a Secret or ConfigMap, and the namespace that it is in.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub namespace: String,
    pub reference: Reference,
}

/// The changes of every Secret and ConfigMap. One watch of each serves all kinds.
#[derive(Clone)]
pub struct Related(broadcast::Sender<Change>);

impl Default for Related {
    fn default() -> Self {
        Self(broadcast::channel(4096).0)
    }
}

impl Related {
    pub(super) fn changes(&self) -> broadcast::Receiver<Change> {
        self.0.subscribe()
    }

    /// Watches until it is dropped.
    pub async fn run(&self, context: &Context) {
        tokio::join!(
            self.watch::<Secret>(context, Reference::Secret),
            self.watch::<ConfigMap>(context, Reference::ConfigMap),
        );
    }

    async fn watch<T>(&self, context: &Context, reference: fn(String) -> Reference)
    where
        T: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Send + 'static,
    {
        let api = watched::<PartialObjectMeta<T>>(&context.client, context.namespace.as_deref());
        let mut trouble = Trouble::new(context, &T::kind(&()));
        let mut changes = watcher(api, watcher::Config::default()).default_backoff().boxed();
        while let Some(event) = changes.next().await {
            trouble.heard(&event);
            if let Ok(
                watcher::Event::Apply(object) | watcher::Event::InitApply(object) | watcher::Event::Delete(object),
            ) = event
            {
                let Key { namespace, name } = Key::of(&object);
                // Nobody listening is fine.
                let _ = self.0.send(Change { namespace, reference: reference(name) });
            }
        }
    }
}
