//! A Docker engine behind its API.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use slipway_api::node::DockerStatus;
use slipway_plan::container_service::definition::Definition;
use slipway_plan::container_service::observed::{Host, Owner};
use slipway_plan::container_service::plan::Step;

use super::client::Client;
use super::text::printable;
use super::{
    Engine, Event, LogLine, LogOptions, Pull, Query, RegistryLogin, events, execute, images, logs, observe, wire,
};
use crate::DriverError;

const PING_DEADLINE: Duration = Duration::from_secs(5);

/// A Docker engine from 20.10 on.
pub(super) struct DockerEngine {
    client: Client,
    known: Arc<Known>,
}

impl DockerEngine {
    pub(super) fn new(client: Client) -> Self {
        Self { client, known: Arc::default() }
    }
}

#[async_trait]
impl Engine for DockerEngine {
    async fn ping(&self) -> Result<(), DriverError> {
        let ping = self.client.get("/_ping").unversioned().deadline(PING_DEADLINE).send().await;
        ping.map(drop).map_err(|error| error.of("ping the engine"))
    }

    async fn describe(&self) -> Result<DockerStatus, DriverError> {
        let describe = async {
            let version = self.client.version().await?;
            let info: wire::Info = self.client.get("/info").read().await?;
            Ok(status(&version, &info))
        };
        describe.await.map_err(|error: super::errors::CallError| error.of("ask the engine what it is"))
    }

    async fn observe(&self, query: &Query) -> Result<Host, DriverError> {
        observe::observe(&self.client, &self.known, query).await.map_err(|error| error.of("look at the host"))
    }

    async fn execute(&self, owner: &Owner, step: &Step, definition: &Definition) -> Result<(), DriverError> {
        execute::Execution { client: &self.client, known: &self.known, owner, definition }.step(step).await
    }

    async fn pull(&self, pull: &Pull, progress: &(dyn Fn(String) + Send + Sync)) -> Result<(), DriverError> {
        images::pull(&self.client, pull, progress).await
    }

    async fn resolve(&self, image: &str, login: Option<&RegistryLogin>) -> Result<String, DriverError> {
        images::resolve(&self.client, image, login).await
    }

    async fn events(
        &self,
        since: Option<Timestamp>,
    ) -> Result<BoxStream<'static, Result<Event, DriverError>>, DriverError> {
        events::events(&self.client, self.known.clone(), since).await
    }

    async fn logs(
        &self,
        container: &str,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine, DriverError>>, DriverError> {
        logs::logs(&self.client, container, options).await
    }

    async fn owners(&self, installation: &str) -> Result<BTreeSet<Owner>, DriverError> {
        observe::owners(&self.client, installation).await.map_err(|error| error.of("list what this cluster has there"))
    }
}

fn status(version: &wire::Version, info: &wire::Info) -> DockerStatus {
    let id = if info.id.is_empty() { &info.name } else { &info.id };
    DockerStatus {
        engine_id: printable(id, 128),
        version: printable(&version.version, 64),
        api_version: printable(&version.api_version, 16),
        os: printable(&format!("{} {}", info.operating_system, info.architecture), 128),
        cpus: info.cpus,
        memory: format!("{}Mi", info.mem_total >> 20),
        containers_running: info.containers_running,
    }
}

/// Whose the containers, networks and volumes are that were seen or made here, by the engine's ID. The engine's events about
/// networks and volumes carry no labels, and a removed thing cannot be asked any more.
#[derive(Default)]
pub(super) struct Known {
    owners: Mutex<HashMap<String, Owner>>,
    /// Containers that were made and not started yet, by name.
    fresh: Mutex<HashMap<String, (Owner, String)>>,
}

impl Known {
    /// More than this is forgotten; the next look fills it again.
    const MAX: usize = 20_000;

    pub(super) fn learn(&self, id: &str, owner: &Owner) {
        let mut known = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= Self::MAX {
            known.clear();
        }
        if known.get(id) != Some(owner) {
            known.insert(id.to_owned(), owner.clone());
        }
    }

    pub(super) fn owner(&self, id: &str) -> Option<Owner> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// A container was made under its name.
    pub(super) fn made(&self, name: &str, owner: &Owner, id: &str) {
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        if fresh.len() >= Self::MAX {
            fresh.clear();
        }
        fresh.insert(name.to_owned(), (owner.clone(), id.to_owned()));
    }

    /// The ID of the container that was made for an owner under this name, once.
    pub(super) fn take_fresh(&self, name: &str, owner: &Owner) -> Option<String> {
        let (of, id) = self.fresh.lock().unwrap_or_else(PoisonError::into_inner).remove(name)?;
        (of == *owner).then_some(id)
    }
}
