use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use slipway_drivers::docker::{Event, LogLine, LogOptions, Pull, Query, RegistryLogin};
use slipway_plan::container_service::definition::Definition;
use slipway_plan::container_service::observed;
use slipway_plan::container_service::plan::Step;
use tokio::time::{Instant, timeout};

use super::*;

/// An engine that can be killed, frozen and stirred.
#[derive(Default)]
struct Toy {
    id: String,
    /// Refuses every call.
    dead: AtomicBool,
    /// Answers no call.
    frozen: AtomicBool,
    running: AtomicUsize,
    streams: Mutex<Vec<tokio::sync::mpsc::UnboundedSender<Result<Event, DriverError>>>>,
    subscriptions: Mutex<Vec<Option<Timestamp>>>,
    calls: AtomicUsize,
}

fn refused() -> DriverError {
    DriverError::new(Class::Unreachable, "ConnectionRefused", "connection refused")
}

fn event(second: i64, action: &str, owner: Option<Owner>) -> Event {
    Event { at: Timestamp::from_second(second).unwrap(), owner, kind: "container".into(), action: action.into() }
}

impl Toy {
    async fn call(&self) -> Result<(), DriverError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.frozen.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.dead.load(Ordering::SeqCst) { Err(refused()) } else { Ok(()) }
    }

    fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.break_streams();
    }

    fn revive(&self) {
        self.dead.store(false, Ordering::SeqCst);
    }

    fn break_streams(&self) {
        self.streams.lock().unwrap().clear();
    }

    fn say(&self, event: &Event) {
        for stream in &*self.streams.lock().unwrap() {
            let _ = stream.send(Ok(event.clone()));
        }
    }
}

#[async_trait]
impl Engine for Toy {
    async fn ping(&self) -> Result<(), DriverError> {
        self.call().await
    }

    async fn describe(&self) -> Result<DockerStatus, DriverError> {
        self.call().await?;
        let containers_running = i64::try_from(self.running.load(Ordering::SeqCst)).unwrap();
        Ok(DockerStatus { engine_id: self.id.clone(), containers_running, ..DockerStatus::default() })
    }

    async fn observe(&self, _: &Query) -> Result<observed::Host, DriverError> {
        Ok(observed::Host::default())
    }

    async fn execute(&self, _: &Owner, _: &Step, _: &Definition) -> Result<(), DriverError> {
        Ok(())
    }

    async fn pull(&self, _: &Pull, _: &(dyn Fn(String) + Send + Sync)) -> Result<(), DriverError> {
        Ok(())
    }

    async fn resolve(&self, _: &str, _: Option<&RegistryLogin>) -> Result<String, DriverError> {
        Ok(String::new())
    }

    async fn events(
        &self,
        since: Option<Timestamp>,
    ) -> Result<BoxStream<'static, Result<Event, DriverError>>, DriverError> {
        self.call().await?;
        self.subscriptions.lock().unwrap().push(since);
        let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
        let _ = send.send(Ok(Event { kind: String::new(), ..event(1, "", None) }));
        self.streams.lock().unwrap().push(send);
        Ok(futures::stream::poll_fn(move |cx| receive.poll_recv(cx)).boxed())
    }

    async fn logs(
        &self,
        _: &str,
        _: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine, DriverError>>, DriverError> {
        Ok(futures::stream::empty().boxed())
    }

    async fn owners(&self, _: &str) -> Result<BTreeSet<Owner>, DriverError> {
        Ok(BTreeSet::new())
    }
}

/// Engines by the path of their socket.
#[derive(Default)]
struct Toys(BTreeMap<String, Arc<Toy>>);

#[async_trait]
impl Connect for Toys {
    async fn docker(&self, address: &Address) -> Result<Arc<dyn Engine>, DriverError> {
        match address {
            Address::Unix(path) => Ok(self.0[path.to_str().unwrap()].clone()),
            _ => panic!("only sockets here"),
        }
    }
}

/// Hosts whose engines are named by path, with the ID given.
fn hosts(engines: &[(&str, &str)]) -> (Hosts, Vec<Arc<Toy>>) {
    let toys: Vec<_> = engines.iter().map(|(_, id)| Arc::new(Toy { id: (*id).into(), ..Toy::default() })).collect();
    let by_path = engines.iter().zip(&toys).map(|((path, _), toy)| ((*path).to_owned(), toy.clone())).collect();
    (Hosts::new(Arc::new(Toys(by_path)), Arc::default()), toys)
}

fn key(name: &str) -> Key {
    Key::new("ns", name)
}

fn at(path: &str) -> Address {
    Address::Unix(path.into())
}

/// Waits until a host's state is so, and returns how long that took.
async fn until(hosts: &Hosts, name: &str, is: impl Fn(&HostState) -> bool) -> Duration {
    let begun = Instant::now();
    let mut handle = hosts.get(&key(name)).unwrap();
    let reached = async {
        while !is(&handle.state()) {
            handle.changed().await;
        }
    };
    timeout(Duration::from_hours(1), reached).await.expect("the state is never reached");
    begun.elapsed()
}

fn ready(state: &HostState) -> bool {
    matches!(state, HostState::Ready { .. })
}

fn away(state: &HostState) -> bool {
    matches!(state, HostState::Away { .. })
}

#[tokio::test(start_paused = true)]
async fn a_killed_engine_is_noticed_at_once_and_its_return_soon() {
    let (hosts, toys) = hosts(&[("/a", "A")]);
    hosts.connect(&key("a"), &at("/a"));
    until(&hosts, "a", ready).await;
    toys[0].kill();
    assert!(until(&hosts, "a", away).await <= Duration::from_secs(2));
    assert!(hosts.get(&key("a")).unwrap().engine().is_none());
    toys[0].revive();
    assert!(until(&hosts, "a", ready).await <= Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn a_frozen_engine_is_noticed_within_15_seconds() {
    let (hosts, toys) = hosts(&[("/a", "A")]);
    hosts.connect(&key("a"), &at("/a"));
    until(&hosts, "a", ready).await;
    toys[0].frozen.store(true, Ordering::SeqCst);
    assert!(until(&hosts, "a", away).await <= Duration::from_secs(15));
    let HostState::Away { reason, class, .. } = hosts.get(&key("a")).unwrap().state() else { panic!() };
    assert_eq!((reason, class), ("TimedOut", Class::Unreachable));
}

#[tokio::test(start_paused = true)]
async fn a_broken_stream_alone_is_no_outage_and_resumes_where_it_ended() {
    let (hosts, toys) = hosts(&[("/a", "A")]);
    let mut events = hosts.events();
    hosts.connect(&key("a"), &at("/a"));
    until(&hosts, "a", ready).await;
    let owner = Owner { installation: "i".into(), namespace: "ns".into(), name: "web".into() };
    toys[0].say(&event(77, "die", Some(owner.clone())));
    let state = HostEvent { host: key("a"), change: HostChange::State };
    assert_eq!(events.recv().await.unwrap(), state);
    assert_eq!(events.recv().await.unwrap(), HostEvent { host: key("a"), change: HostChange::Owner(owner) });
    assert_eq!(
        events.recv().await.unwrap(),
        HostEvent { host: key("a"), change: HostChange::Room },
        "its port is free"
    );
    toys[0].break_streams();
    assert_eq!(events.recv().await.unwrap(), state, "whoever is on the host looks at it anew");
    assert!(ready(&hosts.get(&key("a")).unwrap().state()));
    assert_eq!(*toys[0].subscriptions.lock().unwrap(), [None, Timestamp::from_second(77).ok()]);
}

#[tokio::test(start_paused = true)]
async fn a_long_outage_is_no_probe_storm() {
    let (hosts, toys) = hosts(&[("/a", "A")]);
    toys[0].kill();
    hosts.connect(&key("a"), &at("/a"));
    tokio::time::sleep(Duration::from_mins(10)).await;
    let calls = toys[0].calls.load(Ordering::SeqCst);
    // The age of the outage is by the clock on the wall, which stands still here: the least pause is all there is.
    assert!((100..=700).contains(&calls), "{calls} calls");
}

#[tokio::test(start_paused = true)]
async fn two_nodes_with_one_engine_are_both_told_and_neither_is_used() {
    let (hosts, _toys) = hosts(&[("/a", "E"), ("/b", "E"), ("/c", "C")]);
    for name in ["a", "b", "c"] {
        hosts.connect(&key(name), &at(&format!("/{name}")));
        until(&hosts, name, ready).await;
    }
    let twin = |other: &'static str| move |state: &HostState| matches!(state, HostState::Ready { twins, .. } if *twins == [key(other)]);
    until(&hosts, "a", twin("b")).await;
    until(&hosts, "b", twin("a")).await;
    assert!(hosts.get(&key("a")).unwrap().engine().is_none());
    assert!(hosts.get(&key("b")).unwrap().engine().is_none());
    assert!(hosts.get(&key("c")).unwrap().engine().is_some());
    hosts.forget(&key("b"));
    assert!(hosts.get(&key("a")).unwrap().engine().is_some(), "alone again, it is used again");
}

#[tokio::test(start_paused = true)]
async fn the_number_of_containers_follows_events_but_not_each_of_them() {
    let (hosts, toys) = hosts(&[("/a", "A")]);
    hosts.connect(&key("a"), &at("/a"));
    until(&hosts, "a", ready).await;
    let mut events = hosts.events();
    let calls = toys[0].calls.load(Ordering::SeqCst);
    for _ in 0..50 {
        toys[0].running.fetch_add(1, Ordering::SeqCst);
        toys[0].say(&event(5, "start", None));
    }
    let changed = events.recv().await.unwrap();
    assert_eq!(changed.change, HostChange::Description);
    let HostState::Ready { docker, .. } = hosts.get(&key("a")).unwrap().state() else { panic!() };
    assert_eq!(docker.containers_running, 50);
    assert!(toys[0].calls.load(Ordering::SeqCst) - calls <= 5, "one description and a ping or two");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_be_used_any_more_is_let_go() {
    let (hosts, _toys) = hosts(&[("/a", "A")]);
    hosts.connect(&key("a"), &at("/a"));
    until(&hosts, "a", ready).await;
    hosts.block(&key("a"), &DriverError::new(Class::Invalid, "SecretMissing", "no Secret"));
    assert!(hosts.get(&key("a")).unwrap().engine().is_none());
    assert!(!hosts.is_at(&key("a"), &at("/a")));
    hosts.connect(&key("a"), &at("/a"));
    until(&hosts, "a", ready).await;
}
