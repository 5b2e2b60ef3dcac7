//! One leader: a Lease, taken and renewed with the resource version that was read.
//!
//! As client-go does it, an expiry is measured by how long this process has seen the lease unchanged, never by comparing
//! clocks of two machines. A leader that cannot renew stops acting before any other may begin: its work is dropped, and its
//! [`Mandate`] has ended, so that one that was frozen changes nothing when it wakes.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use slipway_drivers::Mandate;
use tokio::time::{Instant, sleep, timeout};

use crate::error::Error;
use crate::waits::Waits;

/// Name of the Lease.
pub const NAME: &str = "slipway";
/// A lease that has been unchanged for this long is free.
const DURATION: Duration = Duration::from_secs(15);
/// Time between renewals.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// A leader that has not renewed for this long stops acting; the rest of [`DURATION`] is for its work to end.
const GIVE_UP: Duration = Duration::from_secs(10);
/// Time between looks at another's lease, and between tries after a failure.
const RETRY_EVERY: Duration = Duration::from_secs(2);
/// Deadline of one call.
const DEADLINE: Duration = Duration::from_secs(3);

/// What a process may do about the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is free.
    Acquire,
    /// It is ours.
    Renew,
    /// It is another's.
    Wait,
}

/// What to do about the lease. `unchanged_for` is how long this process has seen it as it is.
pub fn decide(lease: &LeaseSpec, me: &str, unchanged_for: Duration) -> Decision {
    match lease.holder_identity.as_deref() {
        None | Some("") => Decision::Acquire,
        Some(holder) if holder == me => Decision::Renew,
        Some(_) if unchanged_for >= duration(lease) => Decision::Acquire,
        Some(_) => Decision::Wait,
    }
}

/// The holder's own word for how long its lease lasts.
fn duration(lease: &LeaseSpec) -> Duration {
    let seconds = lease.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(DURATION, Duration::from_secs)
}

/// A candidate for the lease, and its holder once it has it.
pub struct Candidate {
    api: Api<Lease>,
    namespace: String,
    me: String,
    /// The lease as it was last seen or written.
    seen: Option<Lease>,
    /// When it was first seen so.
    since: Instant,
    /// When the last successful renewal was begun.
    renewed: Instant,
    /// Reaches as far as the lease may be relied upon.
    mandate: Mandate,
}

impl Candidate {
    /// A candidate under a name that no other process has.
    pub fn new(client: Client, namespace: &str, me: String, mandate: Mandate) -> Self {
        let now = Instant::now();
        let api = Api::namespaced(client, namespace);
        Self { api, namespace: namespace.into(), me, seen: None, since: now, renewed: now, mandate }
    }

    /// Waits until the lease is ours.
    pub async fn acquire(&mut self, waits: &Waits) {
        loop {
            match self.attempt().await {
                Ok(true) => break,
                Ok(false) => {
                    waits.clear("leader lease");
                    waits.role(&format!("standing by; {} leads", self.holder()));
                }
                Err(error) => waits.set("leader lease", &self.explain(&error)),
            }
            sleep(RETRY_EVERY).await;
        }
        waits.clear("leader lease");
        waits.role("leading");
    }

    /// Renews the lease, and returns when it must no longer be relied upon.
    pub async fn hold(&mut self, waits: &Waits) {
        let mut pause = RENEW_EVERY;
        loop {
            let give_up = self.renewed + GIVE_UP;
            if timeout(give_up.saturating_duration_since(Instant::now()), sleep(pause)).await.is_err() {
                break;
            }
            let left = give_up.saturating_duration_since(Instant::now());
            pause = match timeout(left, self.attempt()).await {
                Ok(Ok(true)) => {
                    waits.clear("leader lease");
                    RENEW_EVERY
                }
                Ok(Err(error)) => {
                    waits.set("leader lease", &self.explain(&error));
                    RETRY_EVERY / 2
                }
                // Another took it, which can only be if this process was stopped for long; or no answer in time.
                Ok(Ok(false)) | Err(_) => break,
            };
        }
        self.mandate.until(Instant::now());
        tracing::error!(holder = self.holder(), "the leader lease could not be renewed: all action stops");
        waits.role("lost the leader lease");
    }

    /// Gives the lease back, so that the next leader need not wait.
    pub async fn release(&mut self) {
        self.mandate.until(Instant::now());
        let Some(mut lease) = self.seen.take() else { return };
        let Some(spec) = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(&self.me)) else {
            return;
        };
        // Empty, not absent: absent fields of a replaced object are the same to the API server, but not to every reader.
        spec.holder_identity = Some(String::new());
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        match timeout(DEADLINE, self.api.replace(NAME, &PostParams::default(), &lease)).await {
            Ok(Ok(_)) => tracing::info!("gave the leader lease back"),
            _ => {
                tracing::warn!(
                    "could not give the leader lease back; it ends by itself after {} s",
                    DURATION.as_secs()
                );
            }
        }
    }

    fn holder(&self) -> &str {
        let spec = self.seen.as_ref().and_then(|lease| lease.spec.as_ref());
        spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or("nobody")
    }

    /// One try to take or to renew the lease; whether it is ours then.
    async fn attempt(&mut self) -> Result<bool, Error> {
        let begun = Instant::now();
        let decision = match &self.seen {
            // Ours: write without looking first. If somebody else wrote, the resource version tells.
            Some(lease) if self.is_mine(lease) => Decision::Renew,
            _ => self.look().await?,
        };
        let written = match decision {
            Decision::Wait => return Ok(false),
            Decision::Renew | Decision::Acquire => self.write().await,
        };
        match written {
            Ok(lease) => {
                self.see(Some(lease));
                self.renewed = begun;
                self.mandate.until(begun + GIVE_UP);
                Ok(true)
            }
            // Somebody wrote between our look and our write. What they wrote decides.
            Err(error) if code(&error) == Some(409) => Ok(self.look().await? == Decision::Renew),
            Err(error) => Err(error),
        }
    }

    fn is_mine(&self, lease: &Lease) -> bool {
        lease.spec.as_ref().is_some_and(|spec| spec.holder_identity.as_deref() == Some(&self.me))
    }

    async fn look(&mut self) -> Result<Decision, Error> {
        let lease = in_time("read the leader lease", self.api.get_opt(NAME)).await?;
        self.see(lease);
        let spec = self.seen.as_ref().and_then(|lease| lease.spec.as_ref());
        Ok(spec.map_or(Decision::Acquire, |spec| decide(spec, &self.me, self.since.elapsed())))
    }

    fn see(&mut self, lease: Option<Lease>) {
        let version = |lease: &Option<Lease>| lease.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
        if version(&lease) != version(&self.seen) {
            self.since = Instant::now();
        }
        self.seen = lease;
    }

    async fn write(&self) -> Result<Lease, Error> {
        let now = MicroTime(Timestamp::now());
        let params = PostParams::default();
        let Some(mut lease) = self.seen.clone() else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(NAME.into()), ..ObjectMeta::default() },
                spec: Some(LeaseSpec { acquire_time: Some(now.clone()), lease_transitions: Some(0), ..self.held(now) }),
            };
            return in_time("create the leader lease", self.api.create(&params, &lease)).await;
        };
        let old = lease.spec.take().unwrap_or_default();
        let mine = old.holder_identity.as_deref() == Some(&self.me);
        lease.spec = Some(LeaseSpec {
            acquire_time: if mine { old.acquire_time } else { Some(now.clone()) },
            lease_transitions: Some(old.lease_transitions.unwrap_or(0) + i32::from(!mine)),
            ..self.held(now)
        });
        // The resource version is in the metadata: a lease that changed since it was seen is not replaced.
        in_time("write the leader lease", self.api.replace(NAME, &params, &lease)).await
    }

    fn held(&self, now: MicroTime) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }
    }

    fn explain(&self, error: &Error) -> String {
        match code(error) {
            Some(404) => format!(
                "namespace {0} is missing: kubectl create namespace {0}, or name another by --system-namespace",
                self.namespace
            ),
            _ => error.to_string(),
        }
    }
}

/// The API server's answer, as a status code.
fn code(error: &Error) -> Option<u16> {
    match error {
        Error::Api { source, .. } => match &**source {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        },
        _ => None,
    }
}

async fn in_time<T>(what: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    match timeout(DEADLINE, call).await {
        Ok(answer) => answer.map_err(|error| Error::api(what, error)),
        Err(_) => Err(Error::Timeout { what: what.into(), after: DEADLINE }),
    }
}

/// A name for this process that no other has: its Pod or machine, and something random, for two processes on one machine.
pub fn identity() -> String {
    let machine = std::env::var("POD_NAME").ok().or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
    format!("{}-{:08x}", machine.as_deref().map_or("slipway", str::trim), fastrand::u32(..))
}

#[cfg(test)]
mod tests;
