//! What every controller of one term of leadership shares.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kube::{Api, Client};
use slipway_drivers::Class;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::installation::Installation;
use crate::metrics::Metrics;
use crate::reconcile::{Events, Locks, Object};
use crate::waits::Waits;

/// Deadline of one call to the API server; watches aside.
pub const API_DEADLINE: Duration = Duration::from_secs(10);

/// What every controller of one term of leadership shares.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// The one namespace that is watched; all of them if absent.
    pub namespace: Option<String>,
    /// Whose things on the hosts are ours.
    pub installation: Installation,
    /// Publishes Events.
    pub events: Events,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What is waited for, as /readyz says it.
    pub waits: Arc<Waits>,
    /// Locks by host.
    pub locks: Locks,
    /// Passes that run at one time, for each kind.
    pub concurrency: u16,
    /// Asks for a graceful end: take no new work, finish or leave what runs.
    pub stop: CancellationToken,
}

impl Context {
    /// The objects of a kind that are watched.
    pub fn watched<O: Object>(&self) -> Api<O> {
        watched(&self.client, self.namespace.as_deref())
    }

    /// Calls the API server with a deadline; `what` says to a person what is tried.
    pub async fn call<T>(&self, what: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
        let error = match tokio::time::timeout(API_DEADLINE, call).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(source)) => Error::api(what, source),
            Err(_) => Error::Timeout { what: what.to_owned(), after: API_DEADLINE },
        };
        // A conflict or a missing object is an answer like any other.
        if error.class() != Class::Conflict {
            self.metrics.api_error(error.reason());
        }
        Err(error)
    }
}

/// The objects of a kind in one namespace, or in all.
pub fn watched<O: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>>(
    client: &Client,
    namespace: Option<&str>,
) -> Api<O> {
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}
