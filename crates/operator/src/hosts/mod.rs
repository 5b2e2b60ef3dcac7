//! The hosts: for each Node a supervised connection to its Docker engine.
//!
//! A host that goes away is noticed within 15 s whatever happened to it: its event stream breaks, or a ping gets no answer.
//! Its return is noticed within 15 s after a short outage and within a minute after a long one. What controllers do about
//! either is their own affair: they listen to [`Hosts::events`].

mod measured;
mod supervisor;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use slipway_api::node::DockerStatus;
use slipway_drivers::docker::{Address, Connect, Engine};
use slipway_drivers::{Class, DriverError};
use slipway_plan::container_service::observed::Owner;
use tokio::sync::{broadcast, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::metrics::Metrics;
use crate::reconcile::Key;

/// What is known of a host now.
#[derive(Clone)]
pub enum HostState {
    /// Nothing is known yet; at most for some seconds.
    Connecting,
    /// It answers.
    Ready {
        /// Its engine.
        engine: Arc<dyn Engine>,
        /// What the engine says of itself.
        docker: DockerStatus,
        /// Other Nodes, of any namespace, that lead to the same engine. It is not used while there are any.
        twins: Vec<Key>,
    },
    /// It cannot be used.
    Away {
        /// Whether waiting may help.
        class: Class,
        /// One CamelCase word.
        reason: &'static str,
        /// The true cause, in plain words.
        message: String,
        /// Since when, as far as this process knows.
        since: Timestamp,
    },
}

/// Something that happened on or to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEvent {
    /// The Node.
    pub host: Key,
    /// What happened.
    pub change: HostChange,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostChange {
    /// Its [`HostState`] is another one, or was found anew after a broken connection: anything there may have changed.
    State,
    /// The engine described itself otherwise than before: other version, other number of containers.
    Description,
    /// Something of this owner's was started, died, changed or was removed.
    Owner(Owner),
    /// Something that may have been in somebody's way, or been missed, came or went: a network, a volume, a container's name.
    Room,
}

/// Every host. Cheap to clone.
#[derive(Clone)]
pub struct Hosts {
    shared: Arc<Shared>,
}

struct Shared {
    connect: Arc<dyn Connect>,
    metrics: Arc<Metrics>,
    events: broadcast::Sender<HostEvent>,
    hosts: Mutex<BTreeMap<Key, Host>>,
}

struct Host {
    /// Where it is; `None` if the Node does not say so in a way that can be used.
    address: Option<Address>,
    state: watch::Sender<HostState>,
    /// Ends with the host.
    _supervisor: Option<AbortOnDropHandle<()>>,
}

/// One host, as a controller uses it.
#[derive(Clone)]
pub struct HostHandle {
    /// The Node.
    pub key: Key,
    state: watch::Receiver<HostState>,
}

impl Hosts {
    /// No hosts yet. `connect` makes engines of addresses.
    pub fn new(connect: Arc<dyn Connect>, metrics: Arc<Metrics>) -> Self {
        let events = broadcast::channel(4096).0;
        Self { shared: Arc::new(Shared { connect, metrics, events, hosts: Mutex::default() }) }
    }

    /// Keeps a connection to a host from now on. With the address that it has already nothing happens.
    pub fn connect(&self, key: &Key, address: &Address) {
        let mut hosts = self.shared.hosts();
        if hosts.get(key).is_some_and(|host| host.address.as_ref() == Some(address)) {
            return;
        }
        // The old connection ends first: its supervisor must not speak for the new one.
        let old = hosts.remove(key).map(|host| host.state);
        let state = old.unwrap_or_else(|| watch::Sender::new(HostState::Connecting));
        state.send_replace(HostState::Connecting);
        let supervisor = supervisor::Supervisor::new(key.clone(), address.clone(), self.shared.clone());
        let supervisor = AbortOnDropHandle::new(tokio::spawn(supervisor.run()));
        hosts.insert(key.clone(), Host { address: Some(address.clone()), state, _supervisor: Some(supervisor) });
        retwin(&hosts);
    }

    /// Says that a host cannot be used as its Node is now, and ends the connection to it.
    pub fn block(&self, key: &Key, trouble: &DriverError) {
        let mut hosts = self.shared.hosts();
        let state = hosts.remove(key).map_or_else(|| watch::Sender::new(HostState::Connecting), |host| host.state);
        let changed = state.send_if_modified(|state| away(state, trouble));
        hosts.insert(key.clone(), Host { address: None, state, _supervisor: None });
        let others = retwin(&hosts);
        drop(hosts);
        self.shared.tell(others.into_iter().chain(changed.then(|| key.clone())));
    }

    /// Forgets a host: its Node is gone.
    pub fn forget(&self, key: &Key) {
        let mut hosts = self.shared.hosts();
        if hosts.remove(key).is_some() {
            let others = retwin(&hosts);
            drop(hosts);
            self.shared.tell(others.into_iter().chain([key.clone()]));
        }
    }

    /// A host, if its Node has been seen.
    pub fn get(&self, key: &Key) -> Option<HostHandle> {
        let hosts = self.shared.hosts();
        hosts.get(key).map(|host| HostHandle { key: key.clone(), state: host.state.subscribe() })
    }

    /// Whether a host is kept connected at this address.
    pub fn is_at(&self, key: &Key, address: &Address) -> bool {
        self.shared.hosts().get(key).is_some_and(|host| host.address.as_ref() == Some(address))
    }

    /// The hosts of a namespace.
    pub fn list(&self, namespace: &str) -> Vec<HostHandle> {
        let hosts = self.shared.hosts();
        let of_namespace = hosts.iter().filter(|(key, _)| key.namespace == namespace);
        of_namespace.map(|(key, host)| HostHandle { key: key.clone(), state: host.state.subscribe() }).collect()
    }

    /// What happens from now on. A slow reader is told that it `Lagged`: then anything may have happened.
    pub fn events(&self) -> broadcast::Receiver<HostEvent> {
        self.shared.events.subscribe()
    }
}

impl HostHandle {
    /// What is known of it now.
    pub fn state(&self) -> HostState {
        self.state.borrow().clone()
    }

    /// Its engine, if it answers and is no other Node's as well.
    pub fn engine(&self) -> Option<Arc<dyn Engine>> {
        match &*self.state.borrow() {
            HostState::Ready { engine, twins, .. } if twins.is_empty() => Some(engine.clone()),
            _ => None,
        }
    }

    /// Waits until the state is another one than when it was last looked at.
    pub async fn changed(&mut self) {
        // An error means that the host is forgotten, and that is told by an event.
        let _ = self.state.changed().await;
    }

    /// The key of its lock: the engine's own ID, so that two ways to one engine are one writer.
    pub fn lock_key(&self) -> String {
        match &*self.state.borrow() {
            HostState::Ready { docker, .. } => docker.engine_id.clone(),
            _ => self.key.to_string(),
        }
    }
}

impl Shared {
    fn hosts(&self) -> MutexGuard<'_, BTreeMap<Key, Host>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, changed: impl IntoIterator<Item = Key>) {
        for host in changed {
            self.send(HostEvent { host, change: HostChange::State });
        }
    }

    fn send(&self, event: HostEvent) {
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }

    /// A host answers, maybe again: controllers look at everything on it.
    fn ready(&self, key: &Key, engine: Arc<dyn Engine>, docker: DockerStatus) {
        let hosts = self.hosts();
        let Some(host) = hosts.get(key) else { return };
        // With its twins from the first: nobody may use it in between.
        let twins = twins(&hosts, key, &docker.engine_id);
        host.state.send_replace(HostState::Ready { engine, docker, twins });
        let others = retwin(&hosts);
        drop(hosts);
        self.tell(others.into_iter().chain([key.clone()]));
    }

    /// The engine described itself again.
    fn described(&self, key: &Key, new: DockerStatus) {
        let hosts = self.hosts();
        let Some(host) = hosts.get(key) else { return };
        let changed = host.state.send_if_modified(|state| match state {
            HostState::Ready { docker, .. } if *docker != new => {
                *docker = new;
                true
            }
            _ => false,
        });
        drop(hosts);
        if changed {
            self.send(HostEvent { host: key.clone(), change: HostChange::Description });
        }
    }

    /// A host does not answer, or refuses us. Returns since when.
    fn away(&self, key: &Key, trouble: &DriverError) -> Timestamp {
        let hosts = self.hosts();
        let Some(host) = hosts.get(key) else { return Timestamp::now() };
        let changed = host.state.send_if_modified(|state| away(state, trouble));
        let since = match &*host.state.borrow() {
            HostState::Away { since, .. } => *since,
            _ => Timestamp::now(),
        };
        let others = retwin(&hosts);
        drop(hosts);
        self.tell(others.into_iter().chain(changed.then(|| key.clone())));
        since
    }
}

/// Makes a state an outage, which keeps its beginning; says whether that is news.
fn away(state: &mut HostState, trouble: &DriverError) -> bool {
    let began = match state {
        HostState::Away { since, reason, message, .. } => {
            // A host that cannot be reached is told once, whichever call it was that failed.
            let same_words = trouble.class() == Class::Unreachable || *message == trouble.to_string();
            if *reason == trouble.reason() && same_words {
                return false;
            }
            *since
        }
        _ => Timestamp::now(),
    };
    *state = HostState::Away {
        class: trouble.class(),
        reason: trouble.reason(),
        message: trouble.to_string(),
        since: began,
    };
    true
}

/// The other hosts that lead to an engine.
fn twins(hosts: &BTreeMap<Key, Host>, key: &Key, engine_id: &str) -> Vec<Key> {
    let is_twin =
        |host: &Host| matches!(&*host.state.borrow(), HostState::Ready { docker, .. } if docker.engine_id == engine_id);
    hosts.iter().filter(|(other, host)| *other != key && is_twin(host)).map(|(other, _)| other.clone()).collect()
}

/// Finds the twins of every host anew; returns those for which that is news.
fn retwin(hosts: &BTreeMap<Key, Host>) -> Vec<Key> {
    let mut news = Vec::new();
    for (key, host) in hosts {
        let engine_id = match &*host.state.borrow() {
            HostState::Ready { docker, .. } => docker.engine_id.clone(),
            _ => continue,
        };
        let others = twins(hosts, key, &engine_id);
        let changed = host.state.send_if_modified(|state| match state {
            HostState::Ready { twins, .. } if *twins != others => {
                *twins = others;
                true
            }
            _ => false,
        });
        if changed {
            news.push(key.clone());
        }
    }
    news
}

#[cfg(test)]
mod tests;
