//! Keeps one connection: subscribe, describe, follow the events, ping; back off while the host is away.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::Timestamp;
use slipway_drivers::docker::{Address, Engine, Event, reasons};
use slipway_drivers::{Class, DriverError};
use slipway_plan::cadence;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::measured::Measured;
use super::{HostChange, HostEvent, Shared};
use crate::reconcile::Key;
use crate::reconcile::requeue::{jitter, until};

/// Time between pings. With the deadline, a frozen host is noticed after 10.5 s at the latest.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Deadline of the calls made here.
const DEADLINE: Duration = Duration::from_secs(5);
/// Containers come and go in bursts: the description is renewed this long after the last of a burst, and this long after its
/// first at the latest. For each an engine runs `runc --version` and the like.
const DESCRIBE_AFTER: Duration = Duration::from_secs(10);
const DESCRIBE_BY: Duration = Duration::from_mins(1);
/// A connection that holds for less than this is not opened again at once.
const FLAP: Duration = Duration::from_secs(1);

pub(super) struct Supervisor {
    key: Key,
    address: Address,
    shared: Arc<Shared>,
    /// Time of the last event, by the engine's clock: the next subscription starts there.
    resume: Option<Timestamp>,
}

/// Why a connection ended.
enum End {
    /// The stream broke; the host may well be there.
    Stream(DriverError),
    /// The host does not answer.
    Host(DriverError),
}

impl Supervisor {
    pub(super) fn new(key: Key, address: Address, shared: Arc<Shared>) -> Self {
        Self { key, address, shared, resume: None }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        let engine: Arc<dyn Engine> = loop {
            match self.shared.connect.docker(&self.address).await {
                Ok(engine) => break Arc::new(Measured::new(engine, self.shared.metrics.clone())),
                Err(error) => self.back_off(&error).await,
            }
        };
        loop {
            let events = match self.open(&engine).await {
                Ok(events) => events,
                Err(error) => {
                    self.back_off(&error).await;
                    continue;
                }
            };
            let opened = Instant::now();
            match self.keep(&engine, events).await {
                End::Stream(error) => {
                    tracing::debug!(host = %self.key, "the event stream broke: {error}");
                    if opened.elapsed() < FLAP {
                        sleep(jitter(FLAP)).await;
                    }
                }
                End::Host(error) => self.back_off(&error).await,
            }
        }
    }

    /// Subscribes, then describes: whatever happens after the description is in the stream, and whatever happened before is
    /// seen by the look that every controller takes at a host that is ready anew.
    async fn open(
        &self,
        engine: &Arc<dyn Engine>,
    ) -> Result<BoxStream<'static, Result<Event, DriverError>>, DriverError> {
        let mut events = self.in_time(engine.events(self.resume)).await?;
        self.in_time(async { events.next().await.unwrap_or_else(|| Err(self.broken())) }).await?;
        let docker = self.in_time(engine.describe()).await?;
        tracing::info!(host = %self.key, version = docker.version, "connected");
        self.shared.ready(&self.key, engine.clone(), docker);
        Ok(events)
    }

    /// Follows the events and pings, until either ends.
    async fn keep(&mut self, engine: &Arc<dyn Engine>, events: BoxStream<'static, Result<Event, DriverError>>) -> End {
        let stir = Notify::new();
        let mut resume = self.resume;
        let end = tokio::select! {
            error = self.follow(events, &stir, &mut resume) => End::Stream(error),
            error = self.ping(engine) => End::Host(error),
            () = self.redescribe(engine, &stir) => End::Stream(self.broken()),
        };
        self.resume = resume;
        end
    }

    async fn follow(
        &self,
        mut events: BoxStream<'static, Result<Event, DriverError>>,
        stir: &Notify,
        resume: &mut Option<Timestamp>,
    ) -> DriverError {
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => return error,
            };
            *resume = Some(event.at);
            if event.kind == "container" && matches!(&*event.action, "start" | "die" | "pause" | "unpause") {
                stir.notify_one();
            }
            let room = makes_room(&event);
            if let Some(owner) = event.owner {
                self.shared.send(HostEvent { host: self.key.clone(), change: HostChange::Owner(owner) });
            }
            if room {
                self.shared.send(HostEvent { host: self.key.clone(), change: HostChange::Room });
            }
        }
        self.broken()
    }

    async fn ping(&self, engine: &Arc<dyn Engine>) -> DriverError {
        loop {
            sleep(jitter(PING_EVERY)).await;
            if let Err(error) = self.in_time(engine.ping()).await {
                return error;
            }
        }
    }

    async fn redescribe(&self, engine: &Arc<dyn Engine>, stir: &Notify) {
        loop {
            stir.notified().await;
            let by = Instant::now() + jitter(DESCRIBE_BY);
            let calm = jitter(DESCRIBE_AFTER);
            while timeout(calm.min(by.saturating_duration_since(Instant::now())), stir.notified()).await.is_ok() {}
            // Should it fail, the ping says so.
            if let Ok(docker) = self.in_time(engine.describe()).await {
                self.shared.described(&self.key, docker);
            }
        }
    }

    async fn back_off(&self, error: &DriverError) {
        let since = self.shared.away(&self.key, error);
        let pause = pause(error.class(), until(Timestamp::now(), since));
        tracing::debug!(host = %self.key, ?pause, "away: {error}");
        sleep(jitter(pause)).await;
    }

    async fn in_time<T>(&self, call: impl Future<Output = Result<T, DriverError>>) -> Result<T, DriverError> {
        timeout(DEADLINE, call).await.unwrap_or_else(|_| {
            let message = format!("no answer from {:?} within {} s", self.address, DEADLINE.as_secs());
            Err(fault(reasons::TIMED_OUT, message))
        })
    }

    fn broken(&self) -> DriverError {
        fault(reasons::CONNECTION_LOST, format!("{:?} ended the event stream", self.address))
    }
}

/// Whether an event may end what a service waits for a person to mend: an external network or volume that is missing, a name or
/// a port that is taken.
fn makes_room(event: &Event) -> bool {
    match &*event.kind {
        "network" | "volume" => matches!(&*event.action, "create" | "destroy"),
        "container" => matches!(&*event.action, "die" | "destroy" | "rename"),
        _ => false,
    }
}

fn fault(reason: reasons::Reason, message: String) -> DriverError {
    DriverError::new(reason.class, reason.word, message)
}

/// The time until the next try.
fn pause(class: Class, age: Duration) -> Duration {
    cadence::docker_away(age, matches!(class, Class::Denied | Class::Invalid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_is_noticed_in_time() {
        let of = |age| pause(Class::Unreachable, Duration::from_secs(age)).as_secs();
        assert_eq!([of(0), of(60), of(80), of(10_000)], [1, 7, 10, 45]);
        let worst = |age| pause(Class::Unreachable, age).mul_f64(1.1) + DEADLINE;
        assert!(worst(Duration::from_mins(1)) <= Duration::from_secs(15), "after a short outage");
        assert!(worst(Duration::from_hours(24)) <= Duration::from_mins(1), "after a long one");
        assert!(PING_EVERY.mul_f64(1.1) + DEADLINE <= Duration::from_secs(15), "a frozen host");
    }
}
