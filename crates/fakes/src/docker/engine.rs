//! What a fake engine holds, its clock and its events.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::containers::Container;
use super::http::{Filters, Refusal};
use super::image::{Behaviour, Image, hex_id};
use super::lifecycle::Transition;
use super::networks::Network;
use super::registry::Registry;
use super::volumes::Volume;

/// A real engine keeps so many events for those who come back.
const EVENTS_KEPT: usize = 256;

/// Which engine is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Docker 20.10, API 1.41.
    V20,
    /// Docker 26.1, API 1.45.
    V26,
}

impl Version {
    pub(super) fn number(self) -> &'static str {
        match self {
            Self::V20 => "20.10.24",
            Self::V26 => "26.1.5",
        }
    }

    /// Newest minor version of the API.
    pub(super) fn api(self) -> u32 {
        match self {
            Self::V20 => 41,
            Self::V26 => 45,
        }
    }

    /// Oldest minor version of the API.
    pub(super) fn oldest_api(self) -> u32 {
        match self {
            Self::V20 => 12,
            Self::V26 => 24,
        }
    }

    pub(super) fn is_new(self) -> bool {
        self == Self::V26
    }
}

/// An image on the engine.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) image: Image,
    pub(super) tags: BTreeSet<String>,
    /// `repository@sha256:…`.
    pub(super) digests: BTreeSet<String>,
}

/// The engine's whole state. Everything in it is done at once, under one lock.
#[derive(Clone)]
pub(super) struct Engine {
    pub(super) version: Version,
    pub(super) id: String,
    pub(super) containers: BTreeMap<String, Container>,
    pub(super) networks: BTreeMap<String, Network>,
    pub(super) volumes: BTreeMap<String, Volume>,
    pub(super) images: BTreeMap<String, Stored>,
    pub(super) registry: Registry,
    /// What containers of an image do from now on, in place of what the image says.
    pub(super) behaviours: HashMap<String, Behaviour>,
    pub(super) missing_host_paths: BTreeSet<String>,
    pub(super) timers: BTreeMap<(Timestamp, u64), (String, u64, Transition)>,
    events: VecDeque<Value>,
    subscribers: Vec<UnboundedSender<Value>>,
    /// How far the engine's clock is ahead of the machine's.
    ahead: SignedDuration,
    last_event: Timestamp,
    counter: u64,
}

impl Engine {
    pub(super) fn new(version: Version, name: &str, registry: Registry) -> Self {
        let mut engine = Self {
            version,
            id: hex_id(&format!("engine {name}")).to_uppercase()[..12].to_owned(),
            containers: BTreeMap::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            images: BTreeMap::new(),
            registry,
            behaviours: HashMap::new(),
            missing_host_paths: BTreeSet::new(),
            timers: BTreeMap::new(),
            events: VecDeque::new(),
            subscribers: Vec::new(),
            ahead: SignedDuration::ZERO,
            last_event: Timestamp::UNIX_EPOCH,
            counter: 0,
        };
        engine.make_default_networks();
        engine
    }

    /// Another engine in the same state. Nobody follows its events yet.
    pub(super) fn fork(&self) -> Self {
        Self { subscribers: Vec::new(), ..self.clone() }
    }

    /// The engine's time.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::now() + self.ahead
    }

    /// Puts the clock forward.
    pub(super) fn advance(&mut self, by: Duration) {
        self.ahead += SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        self.settle();
    }

    /// When the next thing happens by itself.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.keys().next().map(|(at, _)| *at)
    }

    /// A number that was not given out before.
    pub(super) fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// An ID that was not given out before.
    pub(super) fn new_id(&mut self, kind: &str) -> String {
        let seed = format!("{kind} {} of {}", self.count(), self.id);
        hex_id(&seed)
    }

    /// Records an event and tells it to those who follow.
    pub(super) fn emit(&mut self, at: Timestamp, kind: &str, action: &str, id: &str, attributes: &Value) {
        // Never two at one time: who comes back with the time of the last one must be able to tell what is new.
        let at = at.max(self.last_event + SignedDuration::from_nanos(1));
        self.last_event = at;
        let mut event = json!({
            "Type": kind,
            "Action": action,
            "Actor": { "ID": id, "Attributes": attributes },
            "scope": "local",
            "time": at.as_second(),
            "timeNano": i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX),
        });
        if kind == "container" || kind == "image" {
            event["status"] = action.into();
            event["id"] = id.into();
            event["from"] = event["Actor"]["Attributes"]["image"].clone();
        }
        if self.events.len() == EVENTS_KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event.clone());
        self.subscribers.retain(|subscriber| subscriber.send(event.clone()).is_ok());
    }

    /// The kept events of a time span (in nanoseconds) that pass the filters.
    pub(super) fn history(&self, since: Option<i128>, until: Option<i128>, filters: &Filters) -> Vec<Value> {
        if since.is_none() && until.is_none() {
            return Vec::new();
        }
        let time = |event: &Value| event["timeNano"].as_i64().map_or(0, i128::from);
        let within = |event: &&Value| {
            since.is_none_or(|since| time(event) >= since) && until.is_none_or(|until| time(event) <= until)
        };
        self.events.iter().filter(within).filter(|event| passes(event, filters)).cloned().collect()
    }

    /// Follows the events from now on.
    pub(super) fn subscribe(&mut self) -> UnboundedReceiver<Value> {
        let (sender, receiver) = unbounded_channel();
        self.subscribers.push(sender);
        receiver
    }

    /// The engine's process has ended: the events that it kept are lost, and nobody follows any more.
    pub(super) fn forget_events(&mut self) {
        self.events.clear();
        self.subscribers.clear();
    }

    /// `/version`.
    pub(super) fn describe_version(&self) -> Value {
        json!({
            "Platform": { "Name": "" },
            "Components": [{ "Name": "Engine", "Version": self.version.number(), "Details": {} }],
            "Version": self.version.number(),
            "ApiVersion": format!("1.{}", self.version.api()),
            "MinAPIVersion": format!("1.{}", self.version.oldest_api()),
            "Os": "linux",
            "Arch": "amd64",
            "KernelVersion": "6.1.0",
            "GitCommit": "fake",
            "GoVersion": "go1.19",
        })
    }

    /// `/info`.
    pub(super) fn describe_host(&self) -> Value {
        let count = |status: &[&str]| {
            self.containers.values().filter(|container| status.contains(&container.state.status.as_str())).count()
        };
        json!({
            "ID": self.id,
            "Containers": self.containers.len(),
            "ContainersRunning": count(&["running", "restarting"]),
            "ContainersPaused": count(&["paused"]),
            "ContainersStopped": count(&["created", "exited", "dead"]),
            "Images": self.images.len(),
            "Driver": "overlay2",
            "OperatingSystem": "Debian GNU/Linux 12 (bookworm)",
            "OSType": "linux",
            "Architecture": "x86_64",
            "NCPU": 2,
            "MemTotal": 4_294_967_296_i64,
            "Name": format!("fake-{}", self.id.to_lowercase()),
            "Labels": [],
            "ServerVersion": self.version.number(),
            "LiveRestoreEnabled": false,
            "CgroupDriver": "cgroupfs",
            "CgroupVersion": "1",
            "Swarm": { "LocalNodeState": "inactive" },
            "Warnings": null,
        })
    }
}

/// Whether an event passes the filters.
pub(super) fn passes(event: &Value, filters: &Filters) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, action, id) = (text(&event["Type"]), text(&event["Action"]), text(&event["Actor"]["ID"]));
    let attributes = &event["Actor"]["Attributes"];
    let is = |of: &'static str| {
        let (kind, id) = (&kind, &id);
        move |wanted: &str| kind == of && (id.starts_with(wanted) || attributes["name"] == wanted)
    };
    // With one of these among the wanted ones, the engine compares beginnings: `health_status` is `health_status: healthy` too.
    let by_beginning = filters
        .values("event")
        .iter()
        .any(|wanted| matches!(wanted.as_str(), "health_status" | "exec_create" | "exec_start"));
    filters.any("type", |wanted| wanted == kind)
        && filters.any("event", |wanted| if by_beginning { action.starts_with(wanted) } else { action == wanted })
        && filters.any("container", is("container"))
        && filters.any("network", is("network"))
        && filters.any("volume", is("volume"))
        && filters.any("image", |wanted| attributes["image"] == wanted || (kind == "image" && id == wanted))
        && filters.labels(attributes)
}

/// The labels of a request as a map; null becomes empty.
pub(super) fn labels_of(value: &Value) -> Value {
    if value.is_object() { value.clone() } else { json!({}) }
}

/// `0001-01-01T00:00:00Z` stands for never.
pub(super) fn time_text(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "0001-01-01T00:00:00Z".into(), |at| at.to_string())
}

/// There is no such container.
pub(super) fn no_container(name: &str) -> Refusal {
    Refusal::new(404, format!("No such container: {name}"))
}
