//! The reconcile pattern, written once and used by every kind.
//!
//! A kind implements [`Kind`]: the steps of one pass. [`run`] wires it to its watch, to the Secrets and ConfigMaps that its
//! objects name, and to its own triggers. [`pattern`] is the order of the steps; status, finalizer, Events and the time of the
//! next look are written there and nowhere else.

mod broken;
mod cache;
mod calm;
mod controller;
mod events;
mod finalizer;
mod kind;
mod locks;
mod pass;
mod pattern;
mod related;
pub mod requeue;
mod status;
mod watch;

pub use cache::{Cache, Guarded};
pub use calm::calm;
pub use controller::run;
pub use events::{Events, Publisher, Severity};
pub use kind::{Acted, Cleanup, Held, Key, Kind, Next, Object, Reference, Report};
pub use locks::Locks;
pub use pass::Pass;
pub use related::Related;
pub use watch::Watch;

/// One pass over an object, for the tests of a kind.
#[cfg(test)]
pub(crate) async fn pass<K: Kind>(
    kind: &K,
    object: std::sync::Arc<K::Object>,
    context: std::sync::Arc<crate::context::Context>,
) -> Next {
    let pass = Pass::new(K::NAME, object, context, pass::Written::default());
    pattern::reconcile(kind, &pass).await
}
