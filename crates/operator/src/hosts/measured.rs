//! Counts and times every call to an engine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use slipway_api::node::DockerStatus;
use slipway_drivers::DriverError;
use slipway_drivers::docker::{Engine, Event, LogLine, LogOptions, Pull, Query, RegistryLogin};
use slipway_plan::container_service::definition::Definition;
use slipway_plan::container_service::observed::{Host, Owner};
use slipway_plan::container_service::plan::Step;

use crate::metrics::Metrics;

pub(super) struct Measured {
    engine: Arc<dyn Engine>,
    metrics: Arc<Metrics>,
}

impl Measured {
    pub(super) fn new(engine: Arc<dyn Engine>, metrics: Arc<Metrics>) -> Self {
        Self { engine, metrics }
    }

    async fn call<T>(
        &self,
        op: &'static str,
        call: impl Future<Output = Result<T, DriverError>> + Send,
    ) -> Result<T, DriverError> {
        let begun = Instant::now();
        let answer = call.await;
        let outcome = answer.as_ref().map_or_else(DriverError::reason, |_| "ok");
        self.metrics.driver_call("docker", op, outcome, begun.elapsed());
        answer
    }
}

#[async_trait]
impl Engine for Measured {
    async fn ping(&self) -> Result<(), DriverError> {
        self.call("ping", self.engine.ping()).await
    }

    async fn describe(&self) -> Result<DockerStatus, DriverError> {
        self.call("describe", self.engine.describe()).await
    }

    async fn observe(&self, query: &Query) -> Result<Host, DriverError> {
        self.call("observe", self.engine.observe(query)).await
    }

    async fn execute(&self, owner: &Owner, step: &Step, definition: &Definition) -> Result<(), DriverError> {
        self.call("execute", self.engine.execute(owner, step, definition)).await
    }

    async fn pull(&self, pull: &Pull, progress: &(dyn Fn(String) + Send + Sync)) -> Result<(), DriverError> {
        self.call("pull", self.engine.pull(pull, progress)).await
    }

    async fn resolve(&self, image: &str, login: Option<&RegistryLogin>) -> Result<String, DriverError> {
        self.call("resolve", self.engine.resolve(image, login)).await
    }

    async fn events(
        &self,
        since: Option<Timestamp>,
    ) -> Result<BoxStream<'static, Result<Event, DriverError>>, DriverError> {
        self.call("events", self.engine.events(since)).await
    }

    async fn logs(
        &self,
        container: &str,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine, DriverError>>, DriverError> {
        self.call("logs", self.engine.logs(container, options)).await
    }

    async fn owners(&self, installation: &str) -> Result<BTreeSet<Owner>, DriverError> {
        self.call("owners", self.engine.owners(installation)).await
    }
}
