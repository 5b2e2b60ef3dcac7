//! The loop of one kind: its watch and other triggers in, passes out.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::{Action, Error as Queue};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Config, applier};
use slipway_api::conditions::{HasConditions, READY, find};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::cache::{Cache, Guarded};
use super::kind::{Key, Kind, Next};
use super::pass::{Pass, Written};
use super::related::{Change, Related};
use super::watch::Watch;
use super::{broken, pattern, requeue};
use crate::context::Context;

/// What the passes of one kind share.
struct Controller<K: Kind> {
    kind: Arc<K>,
    context: Arc<Context>,
    written: Written<K::Object>,
}

/// Runs a kind until [`Context::stop`]; then takes no new work and returns when the passes under way have ended. Dropping
/// it abandons them at their next `await`.
pub async fn run<K: Kind>(kind: Arc<K>, watch: Watch<K::Object>, related: &Related, context: Arc<Context>) {
    let cache = watch.cache();
    let written = Written::default();
    let triggers = stream::select_all([
        watch.changes(&context, written.clone()),
        referenced(kind.clone(), cache.clone(), related.changes()),
        kind.triggers(&cache),
    ])
    .take_until(context.stop.clone().cancelled_owned())
    .map(|key| Ok::<_, Infallible>(ObjectRef::<Guarded<K::Object>>::new(&key.name).within(&key.namespace)));
    let config = Config::default().concurrency(context.concurrency);
    let controller = Arc::new(Controller { kind, context, written });
    applier(
        spawned,
        |_, never: &Infallible, _| match *never {},
        controller.clone(),
        cache.store().clone(),
        triggers,
        config,
    )
    .for_each(|pass| {
        if let Err(Queue::ObjectNotFound(object)) = pass {
            controller.gone(&Key::new(object.namespace.unwrap_or_default(), object.name));
        }
        std::future::ready(())
    })
    .await;
}

/// One pass in a task of its own, so that passes run side by side; it ends with the controller.
fn spawned<K: Kind>(
    object: Arc<Guarded<K::Object>>,
    controller: Arc<Controller<K>>,
) -> BoxFuture<Result<Action, Infallible>> {
    let span = tracing::info_span!("pass", kind = K::NAME, object = %Key::of(&*object));
    let task = AbortOnDropHandle::new(tokio::spawn(
        {
            let (object, controller) = (object.clone(), controller.clone());
            async move { controller.pass(&object).await }
        }
        .instrument(span.clone()),
    ));
    Box::pin(
        async move {
            match task.await {
                Ok(action) => Ok(action),
                Err(stopped) if stopped.is_cancelled() => Ok(Action::await_change()),
                // A mistake of ours is held to the one object that it happened with.
                Err(_) => Ok(controller.recover(&object).await),
            }
        }
        .instrument(span),
    )
}

type BoxFuture<T> = futures::future::BoxFuture<'static, T>;

impl<K: Kind> Controller<K> {
    async fn pass(&self, object: &Guarded<K::Object>) -> Action {
        let begun = Instant::now();
        let (next, action) = match object {
            Guarded::Readable(object) => {
                let pass = self.open(object.clone());
                let next = pattern::reconcile(&*self.kind, &pass).await;
                (next, Self::action(&pass, next))
            }
            Guarded::Broken(object) => self.broken(object).await,
        };
        self.context.metrics.reconciled(K::NAME, outcome(next), begun.elapsed());
        tracing::debug!(outcome = outcome(next), took = ?begun.elapsed(), "pass ended");
        action
    }

    fn open(&self, object: Arc<K::Object>) -> Pass<K::Object> {
        Pass::new(K::NAME, object, self.context.clone(), self.written.clone())
    }

    async fn broken(&self, object: &Arc<InvalidObject>) -> (Next, Action) {
        let next = broken::reconcile::<K>(&self.context, object).await;
        (next, requeue::action(next, None, jiff::Timestamp::now()))
    }

    async fn recover(&self, object: &Guarded<K::Object>) -> Action {
        tracing::error!("a pass panicked; the panic's text is above");
        self.context.metrics.reconciled(K::NAME, "panicked", std::time::Duration::ZERO);
        match object {
            Guarded::Readable(object) => {
                let pass = self.open(object.clone());
                let next = pattern::panicked(&pass).await;
                Self::action(&pass, next)
            }
            Guarded::Broken(_) => requeue::action(Next::Person, None, jiff::Timestamp::now()),
        }
    }

    fn action(pass: &Pass<K::Object>, next: Next) -> Action {
        let status = pass.status();
        let failing_since = find(status.conditions(), READY).map(|ready| ready.last_transition_time.0);
        requeue::action(next, failing_since, jiff::Timestamp::now())
    }

    fn gone(&self, key: &Key) {
        self.written.forget(key);
        self.kind.gone(key);
    }
}

/// How a pass ended, in the metrics' words.
fn outcome(next: Next) -> &'static str {
    match next {
        Next::Settled => "settled",
        Next::Again => "again",
        Next::At(_) => "waiting",
        Next::Retry => "failed",
        Next::Person => "stalled",
    }
}

/// The objects that name a Secret or ConfigMap that changed.
fn referenced<K: Kind>(
    kind: Arc<K>,
    cache: Cache<K::Object>,
    changes: broadcast::Receiver<Change>,
) -> BoxStream<'static, Key> {
    stream::unfold(changes, move |mut changes| {
        let (kind, cache) = (kind.clone(), cache.clone());
        async move {
            let keys: Vec<Key> = match changes.recv().await {
                Ok(change) => cache
                    .list(&change.namespace)
                    .iter()
                    .filter(|object| kind.references(object).contains(&change.reference))
                    .map(|object| Key::of(&**object))
                    .collect(),
                // Too many at once to know which: any object may be meant.
                Err(RecvError::Lagged(_)) => cache.all().iter().map(|object| Key::of(&**object)).collect(),
                Err(RecvError::Closed) => return None,
            };
            Some((stream::iter(keys), changes))
        }
    })
    .flatten()
    .boxed()
}
