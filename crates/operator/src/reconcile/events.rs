//! Events: what happened, once per change. Publishing never delays a pass and never fails one.
//!
//! kube's `Recorder` is not used: it folds Events of one reason into a series and so loses a changed message.

use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::context::API_DEADLINE;
use crate::error::Error;
use crate::metrics::Metrics;

/// The API server's limit of an Event's note is 1024 bytes.
const NOTE_LIMIT: usize = 1000;
/// Events that wait to be published; more are dropped and counted.
const QUEUE: usize = 2048;
/// Events that are published at one time: when a thousand objects become ready at once, one after the other would be slow.
const AT_ONCE: usize = 8;

/// Whether an Event is worth a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Severity {
    Normal,
    Warning,
}

/// One Event to publish.
#[derive(Clone, Debug)]
struct Note {
    kind: &'static str,
    about: ObjectReference,
    severity: Severity,
    reason: String,
    text: String,
}

/// The queue of Events. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<Note>,
    metrics: Arc<Metrics>,
}

/// Publishes what is queued; ends when every [`Events`] is dropped.
pub struct Publisher {
    queue: mpsc::Receiver<Note>,
    desk: Desk,
}

/// Where Events are published.
struct Desk {
    client: Client,
    instance: String,
    metrics: Arc<Metrics>,
    /// Why the last one failed, so that a missing permission is logged once.
    trouble: Mutex<Option<String>>,
}

impl Events {
    /// A queue, and the task that empties it. `instance` names this process.
    pub fn new(client: Client, instance: String, metrics: Arc<Metrics>) -> (Self, Publisher) {
        let (send, queue) = mpsc::channel(QUEUE);
        let desk = Desk { client, instance, metrics: metrics.clone(), trouble: Mutex::default() };
        (Self { queue: send, metrics }, Publisher { queue, desk })
    }

    /// Queues an Event about an object. `reason` is one CamelCase word.
    pub fn publish(
        &self,
        kind: &'static str,
        about: ObjectReference,
        severity: Severity,
        reason: impl Into<String>,
        text: impl Into<String>,
    ) {
        let note = Note { kind, about, severity, reason: reason.into(), text: text.into() };
        if self.queue.try_send(note).is_err() {
            self.metrics.event(kind, "dropped");
        }
    }
}

impl Publisher {
    /// Publishes until every [`Events`] is dropped.
    pub async fn run(self) {
        let Self { queue, desk } = self;
        ReceiverStream::new(queue).for_each_concurrent(AT_ONCE, |note| desk.publish(note)).await;
    }
}

impl Desk {
    async fn publish(&self, note: Note) {
        let kind = note.kind;
        let namespace = note.about.namespace.clone().unwrap_or_default();
        let event = event(note, &self.instance, Timestamp::now());
        let api = Api::<Event>::namespaced(self.client.clone(), &namespace);
        let trouble = match tokio::time::timeout(API_DEADLINE, api.create(&PostParams::default(), &event)).await {
            Ok(Ok(_)) => None,
            Ok(Err(kube::Error::Api(status))) if of_a_dying_namespace(&status) => {
                tracing::debug!(namespace, "no Event: the namespace is being deleted");
                return;
            }
            Ok(Err(error)) => Some(Error::api("create an Event", error).to_string()),
            Err(_) => Some("no answer".to_owned()),
        };
        self.metrics.event(kind, if trouble.is_none() { "published" } else { "failed" });
        let mut last = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &trouble
            && *last != trouble
        {
            tracing::warn!("Events are not published: {why}");
        }
        *last = trouble;
    }
}

/// A namespace that is being deleted, or is gone, takes no Events; that is as it should be.
fn of_a_dying_namespace(status: &kube::core::Status) -> bool {
    status.code == 404 || (status.code == 403 && status.message.contains("because it is being terminated"))
}

fn event(note: Note, instance: &str, now: Timestamp) -> Event {
    let name = note.about.name.as_deref().unwrap_or_default();
    Event {
        metadata: ObjectMeta {
            // As client-go names them.
            name: Some(format!("{name}.{:x}", now.as_nanosecond())),
            namespace: note.about.namespace.clone(),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
        type_: Some(match note.severity {
            Severity::Normal => "Normal".into(),
            Severity::Warning => "Warning".into(),
        }),
        action: Some(note.reason.clone()),
        reason: Some(note.reason),
        note: Some(shortened(note.text)),
        regarding: Some(note.about),
        reporting_controller: Some("slipway.dev/operator".into()),
        reporting_instance: Some(instance.into()),
        ..Event::default()
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > NOTE_LIMIT {
        text.truncate(text.floor_char_boundary(NOTE_LIMIT));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_note_is_cut_between_characters() {
        let text = shortened("ü".repeat(900));
        assert!(text.len() <= 1024 && text.ends_with('…'), "{} bytes", text.len());
        assert_eq!(shortened("short".into()), "short");
    }
}
