//! The watch of one kind: fills its cache, says what changed, and says when it cannot.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt};
use kube::runtime::reflector::store::Writer;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Resource, ResourceExt};

use super::cache::{Cache, Guarded};
use super::kind::{Key, Object};
use super::pass::Written;
use crate::context::{Context, watched};
use crate::error;
use crate::waits::Waits;

/// A watch that goes on failing fails again within this time, by its back-off. One that is resumed does not say so until
/// something changes, so that its last failure must not be shown for longer.
const TROUBLE_LASTS: Duration = Duration::from_secs(90);

/// The watch of one kind, not yet running.
pub struct Watch<O: Object> {
    cache: Cache<O>,
    writer: Writer<Guarded<O>>,
}

impl<O: Object> Default for Watch<O> {
    fn default() -> Self {
        let writer = Writer::new(());
        Self { cache: Cache::new(writer.as_reader()), writer }
    }
}

impl<O: Object> Watch<O> {
    /// The cache that it fills; others may read it.
    pub fn cache(&self) -> Cache<O> {
        self.cache.clone()
    }

    /// Watches while it is polled; yields what was created, changed or deleted, but for a change of the status alone: that
    /// is our own write, which tells us nothing new.
    pub(super) fn changes(self, context: &Context, written: Written<O>) -> BoxStream<'static, Key> {
        let api = watched::<Guarded<O>>(&context.client, context.namespace.as_deref());
        let mut trouble = Trouble::new(context, &O::kind(&()));
        let cache = self.cache;
        let mut known = Wishes::default();
        watcher(api, watcher::Config::default())
            .default_backoff()
            .modify(Guarded::prune)
            .reflect(self.writer)
            .filter_map(move |event| {
                trouble.heard(&event);
                if matches!(event, Ok(watcher::Event::InitDone)) {
                    cache.listed();
                }
                let (key, is_news) = match event {
                    // A list follows on events that may be lost, so that each object in it is news.
                    Ok(watcher::Event::InitApply(object)) => {
                        known.learn(&object);
                        (Key::of(&object), true)
                    }
                    Ok(watcher::Event::Apply(object)) => {
                        let key = Key::of(&object);
                        written.shown(&key, &object);
                        (key, known.learn(&object))
                    }
                    Ok(watcher::Event::Delete(object)) => {
                        known.forget(&object);
                        (Key::of(&object), true)
                    }
                    Ok(watcher::Event::Init | watcher::Event::InitDone) | Err(_) => return std::future::ready(None),
                };
                cache.changed(key.clone());
                std::future::ready(is_news.then_some(key))
            })
            .boxed()
    }
}

/// What was last seen to be wanted of each object, as a hash: everything in it but its status.
#[derive(Default)]
struct Wishes(HashMap<Key, Wish>);

/// What is wanted of one object.
struct Wish {
    hash: u64,
    /// It has a finalizer of ours. That it gets one is our own doing; that it loses one is somebody's.
    held: bool,
}

impl Wishes {
    /// Whether it is other than before.
    fn learn(&mut self, object: &impl Resource) -> bool {
        let (hash, held) = (wish(object), object.finalizers().iter().any(|finalizer| is_ours(finalizer)));
        let before = self.0.insert(Key::of(object), Wish { hash, held });
        before.is_none_or(|before| before.hash != hash || (before.held && !held))
    }

    fn forget(&mut self, object: &impl Resource) {
        self.0.remove(&Key::of(object));
    }
}

fn wish(object: &impl Resource) -> u64 {
    let meta = object.meta();
    let mut hasher = DefaultHasher::new();
    let others: Vec<_> = object.finalizers().iter().filter(|finalizer| !is_ours(finalizer)).collect();
    // The generation counts the changes of the spec.
    (&meta.uid, meta.generation, object.labels(), object.annotations(), others).hash(&mut hasher);
    meta.deletion_timestamp.as_ref().map(|time| time.0).hash(&mut hasher);
    hasher.finish()
}

fn is_ours(finalizer: &str) -> bool {
    finalizer.split_once('/').is_some_and(|(group, _)| group == slipway_api::GROUP)
}

/// Tells that a watch fails: once per change, in the log and in /readyz.
pub(super) struct Trouble {
    waits: Arc<Waits>,
    topic: String,
}

impl Trouble {
    pub(super) fn new(context: &Context, kind: &str) -> Self {
        Self { waits: context.waits.clone(), topic: format!("watch of {kind}") }
    }

    pub(super) fn heard<T>(&mut self, event: &watcher::Result<watcher::Event<T>>) {
        match event {
            // The first of a list: the list itself may still fail.
            Ok(watcher::Event::Init) => {}
            Ok(_) => self.waits.clear(&self.topic),
            Err(error) => self.waits.set_for(&self.topic, &told(error), TROUBLE_LASTS),
        }
    }
}

/// The API server's own words.
fn told(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => match error {
            kube::Error::Api(status) if status.code == 404 => {
                "it is not served: slipway crds | kubectl apply --server-side -f -".into()
            }
            other => error::told(other),
        },
        watcher::Error::WatchError(status) => status.message.clone(),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}
