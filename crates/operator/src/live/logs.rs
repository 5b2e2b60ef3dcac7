//! The logs of a ContainerService: of each of its containers on each of its hosts, as one answer, one JSON value a line.
//!
//! Little is kept: a client that reads slowly holds the engines back, and one that is gone ends all of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use slipway_api::ContainerService;
use slipway_drivers::DriverError;
use slipway_drivers::docker::{Engine, LogOptions, Query};
use slipway_plan::container_service::observed::{Container, Owner, State};
use slipway_plan::duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;

use super::{Failure, Term};
use crate::hosts::{HostChange, HostEvent, HostState};
use crate::reconcile::Key;

/// Lines that wait to be sent.
const AHEAD: usize = 64;
/// Containers of one host that one call reads at a time.
const MOST_CONTAINERS: usize = 200;
/// Time between the end of a log that is followed and the look whether its container runs again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What is wanted of the logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wanted {
    /// Go on until the client goes.
    #[serde(default)]
    pub follow: bool,
    /// Of this service alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// On this Node alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// This many last lines of each container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u32>,
    /// Not older than this: a duration, or a time (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// A line of the answer: of a container, or why there is none of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The Node.
    pub node: String,
    /// The service within the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Name of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// `stdout` or `stderr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// When it was written, by the host's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What was written, without its line end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Why this host or container cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The answer.
pub(super) fn body(term: &Arc<Term>, key: &Key, service: &ContainerService, wanted: Wanted) -> Result<Body, Failure> {
    let since = wanted
        .since
        .as_deref()
        .map(|text| time(text, Timestamp::now()))
        .transpose()
        .map_err(|message| Failure::new(StatusCode::BAD_REQUEST, "InvalidValue", format!("since: {message}")))?;
    let nodes: Vec<String> = term
        .nodes
        .list(&key.namespace)
        .iter()
        .filter(|node| slipway_plan::why::selects(service, node))
        .filter_map(|node| node.metadata.name.clone())
        .filter(|name| wanted.node.as_ref().is_none_or(|node| node == name))
        .collect();
    if nodes.is_empty() {
        let of = wanted.node.as_ref().map(|node| format!(" named {node}")).unwrap_or_default();
        let message = format!("ContainerService {key} is placed on no Node{of}");
        return Err(Failure::new(StatusCode::NOT_FOUND, "NoMatchingNode", message));
    }
    let owner =
        Owner { installation: term.installation.id.clone(), namespace: key.namespace.clone(), name: key.name.clone() };
    let (lines, receive) = mpsc::channel(AHEAD);
    let reading = Reading { term: term.clone(), owner, wanted, since, lines };
    tokio::spawn(reading.run(nodes));
    Ok(Body::from_stream(ReceiverStream::new(receive)))
}

/// A time, or so long ago.
fn time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = duration::parse(text).map_err(|error| format!("{error}, or a time such as 2026-11-28T10:00:00Z"))?;
    let ago = SignedDuration::try_from(ago).unwrap_or(SignedDuration::MAX);
    Ok(now.checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// How far a container's log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// It is being read.
    Open,
    /// To its end for now; the time of the last line.
    Ended(Option<Timestamp>),
    /// It cannot be.
    Failed,
}

/// A call that is being answered.
#[derive(Clone)]
struct Reading {
    term: Arc<Term>,
    owner: Owner,
    wanted: Wanted,
    since: Option<Timestamp>,
    lines: mpsc::Sender<Result<Bytes, std::convert::Infallible>>,
}

impl Reading {
    /// Reads until all is said, the client is gone or the term ends.
    async fn run(self, nodes: Vec<String>) {
        let (gone, end) = (self.lines.clone(), self.term.end.clone());
        let mut hosts = JoinSet::new();
        for node in nodes {
            hosts.spawn(self.clone().host(node));
        }
        drop(self);
        let all = async { while hosts.join_next().await.is_some() {} };
        tokio::select! {
            () = all => {}
            () = gone.closed() => {}
            () = end.cancelled() => {}
        }
    }

    async fn host(self, node: String) {
        let key = Key::new(&self.owner.namespace, &node);
        // Subscribed first: what happens after the look is in the events.
        let mut events = self.term.hosts.events();
        let (mut read, mut streams) = (BTreeMap::new(), JoinSet::new());
        loop {
            match self.containers(&key).await {
                Ok((engine, containers)) => {
                    for container in containers {
                        let from = match turn(&mut read, &container) {
                            Turn::Not => continue,
                            Turn::FromTheBeginning => None,
                            Turn::After(last) => last.checked_add(SignedDuration::from_nanos(1)).ok(),
                        };
                        streams.spawn(self.clone().container(node.clone(), engine.clone(), container, from));
                    }
                }
                Err(error) => self.say(&Line { node: node.clone(), error: Some(error), ..Line::default() }).await,
            }
            let mut look_again: Option<Instant> = None;
            // Until a container has been read to its end, or something happens to one.
            loop {
                if !self.wanted.follow && streams.is_empty() {
                    return;
                }
                tokio::select! {
                    Some(ended) = streams.join_next() => {
                        if let Ok((id, state)) = ended {
                            read.insert(id, state);
                        }
                        // It may have been started again before its log had come to its end.
                        look_again = self.wanted.follow.then(|| Instant::now() + LOOK_AGAIN);
                    }
                    event = events.recv(), if self.wanted.follow => match event {
                        Ok(event) if self.concerns(&event, &key) => break,
                        Ok(_) => {}
                        Err(RecvError::Lagged(_)) => break,
                        Err(RecvError::Closed) => return,
                    },
                    () = sleep_until(look_again.unwrap_or_else(Instant::now)), if look_again.is_some() => break,
                }
            }
        }
    }

    fn concerns(&self, event: &HostEvent, key: &Key) -> bool {
        event.host == *key
            && match &event.change {
                HostChange::Owner(owner) => *owner == self.owner,
                HostChange::State => true,
                HostChange::Description | HostChange::Room => false,
            }
    }

    /// The containers that are wanted of a host.
    async fn containers(&self, key: &Key) -> Result<(Arc<dyn Engine>, Vec<Container>), String> {
        let handle = self.term.hosts.get(key);
        let engine = match handle.as_ref().map(|handle| (handle.engine(), handle.state())) {
            Some((Some(engine), _)) => engine,
            Some((None, HostState::Away { message, .. })) => return Err(format!("the host cannot be read: {message}")),
            _ => return Err("the host cannot be read: it is not connected".into()),
        };
        let query = Query::owned(self.owner.clone());
        let host = engine.observe(&query).await.map_err(|error| format!("the host cannot be read: {error}"))?;
        let mut containers: Vec<_> = host
            .containers
            .into_iter()
            .filter(|container| self.wanted.service.as_ref().is_none_or(|service| *service == container.key.service))
            .filter(|container| container.state != State::Created)
            .collect();
        containers.sort_by(|one, other| one.name.cmp(&other.name));
        Ok((engine, containers))
    }

    /// Reads one container, whose ID is returned with how it ended.
    async fn container(
        self,
        node: String,
        engine: Arc<dyn Engine>,
        container: Container,
        from: Option<Timestamp>,
    ) -> (String, Progress) {
        let line = Line {
            node,
            service: Some(container.key.service.clone()),
            container: Some(container.name.clone()),
            ..Line::default()
        };
        let options = LogOptions {
            follow: self.wanted.follow,
            tail: self.wanted.tail.filter(|_| from.is_none()),
            since: from.or(self.since),
        };
        let mut last = from;
        match engine.logs(&container.id, &options).await {
            Ok(mut log) => {
                while let Some(next) = log.next().await {
                    match next {
                        Ok(written) => {
                            last = written.at.or(last);
                            let stream = if written.stderr { "stderr" } else { "stdout" };
                            let (at, text) = (written.at, Some(written.text));
                            self.say(&Line { stream: Some(stream.into()), at, text, ..line.clone() }).await;
                        }
                        // A host that was cut off may come back: then it is read on.
                        Err(error) => {
                            self.trouble(&line, &error).await;
                            break;
                        }
                    }
                }
            }
            Err(error) => {
                self.trouble(&line, &error).await;
                return (container.id, Progress::Failed);
            }
        }
        (container.id, Progress::Ended(last))
    }

    async fn trouble(&self, line: &Line, error: &DriverError) {
        self.say(&Line { error: Some(error.to_string()), ..line.clone() }).await;
    }

    async fn say(&self, line: &Line) {
        // Plain data always serialises.
        let mut text = serde_json::to_vec(line).unwrap_or_default();
        text.push(b'\n');
        // A client that is gone ends all of it by itself.
        let _ = self.lines.send(Ok(text.into())).await;
    }
}

/// Whether a container is to be read now, and after which line.
enum Turn {
    Not,
    FromTheBeginning,
    After(Timestamp),
}

fn turn(read: &mut BTreeMap<String, Progress>, container: &Container) -> Turn {
    let open = read.values().filter(|progress| **progress == Progress::Open).count();
    let turn = match read.get(&container.id) {
        None if open >= MOST_CONTAINERS => return Turn::Not,
        None => Turn::FromTheBeginning,
        // One that has been read to its end is read on when it runs again.
        Some(Progress::Ended(last)) if container.state == State::Running => {
            last.map_or(Turn::FromTheBeginning, Turn::After)
        }
        Some(Progress::Ended(_) | Progress::Open | Progress::Failed) => return Turn::Not,
    };
    read.insert(container.id.clone(), Progress::Open);
    turn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_so_long_ago() {
        let now: Timestamp = "2026-11-28T10:00:00Z".parse().unwrap();
        assert_eq!(time("10m", now).unwrap().to_string(), "2026-11-28T09:50:00Z");
        assert_eq!(time("2026-11-28T09:00:00+01:00", now).unwrap().to_string(), "2026-11-28T08:00:00Z");
        assert_eq!(time("9999999w", now).unwrap(), Timestamp::UNIX_EPOCH);
        assert!(time("yesterday", now).is_err());
    }
}
