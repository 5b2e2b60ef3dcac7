//! The engine's events, from a time on.

use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, future, stream};
use jiff::Timestamp;

use super::client::{Client, date};
use super::engine::Known;
use super::lines::lines;
use super::{Event, reasons, trial, wire};
use crate::DriverError;

/// What can change a plan. Left out are the `exec_*` events, of which every health check makes three.
const ACTIONS: [&str; 15] = [
    "create",
    "start",
    "restart",
    "die",
    "stop",
    "kill",
    "oom",
    "destroy",
    "rename",
    "update",
    "pause",
    "unpause",
    "health_status",
    "connect",
    "disconnect",
];

pub(super) async fn events(
    client: &Client,
    known: Arc<Known>,
    since: Option<Timestamp>,
) -> Result<BoxStream<'static, Result<Event, DriverError>>, DriverError> {
    const WHAT: &str = "follow the engine's events";
    let filters = serde_json::json!({ "type": ["container", "network", "volume"], "event": ACTIONS }).to_string();
    let mut call = client.get("/events").query("filters", &filters);
    if let Some(since) = since {
        call = call.query("since", &format!("{}.{:09}", since.as_second(), since.subsec_nanosecond()));
    }
    let answer = call.stream().await.map_err(|error| error.of(WHAT))?;
    // The engine's clock counts, to the second before: an event may come twice, but none is missed.
    let now = date(answer.headers());
    let stands = Event {
        at: since.or(now).unwrap_or_else(Timestamp::now),
        owner: None,
        kind: String::new(),
        action: String::new(),
    };
    let ended = reasons::CONNECTION_LOST.error(format!("cannot {WHAT}: the engine ended the stream"));
    let following = lines::<wire::Event>(answer.into_body())
        .try_filter_map(move |event| future::ready(Ok(translate(&known, event))))
        .map_err(|error| error.of(WHAT))
        .chain(stream::once(future::ready(Err(ended))));
    Ok(stream::once(future::ready(Ok(stands))).chain(following).boxed())
}

fn translate(known: &Known, event: wire::Event) -> Option<Event> {
    let attributes = &event.actor.attributes;
    if trial::is_trial(&event.kind, attributes) {
        return None;
    }
    // A container's events carry its labels; those of a network name the container that comes or goes.
    let owner = wire::owner(attributes)
        .or_else(|| known.owner(&event.actor.id))
        .or_else(|| attributes.get("container").and_then(|id| known.owner(id)));
    if let (Some(owner), "container") = (&owner, event.kind.as_str()) {
        known.learn(&event.actor.id, owner);
    }
    Some(Event {
        at: Timestamp::from_nanosecond(event.nanoseconds.into()).ok()?,
        owner,
        kind: event.kind,
        action: event.action,
    })
}
