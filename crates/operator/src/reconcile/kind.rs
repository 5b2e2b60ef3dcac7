//! What a kind brings; everything else about reconciling is written once, in [`super::pattern`].

use std::fmt::{Debug, Display};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use kube::core::object::HasStatus;
use serde::Serialize;
use serde::de::DeserializeOwned;
use slipway_api::conditions::{HasConditions, Verdict};

use super::{Cache, Pass};
use crate::error::Error;

/// A namespaced resource that can be read from the API server.
pub trait Watched:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
}

impl<T> Watched for T where
    T: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// One of our resources: its status has conditions.
pub trait Object:
    Watched + Serialize + HasStatus<Status: HasConditions + Serialize + DeserializeOwned + Debug + Send + Sync>
{
}

impl<T> Object for T where
    T: Watched + Serialize + HasStatus<Status: HasConditions + Serialize + DeserializeOwned + Debug + Send + Sync>
{
}

/// A kind: the steps of one pass over one object, in their order.
///
/// Every pass starts from nothing and may be cut off at any `await`: each step must be idempotent.
#[async_trait]
pub trait Kind: Send + Sync + Sized + 'static {
    /// The resource.
    type Object: Object;
    /// What the spec refers to, read from the API server.
    type Inputs: Send + Sync;
    /// Spec and inputs, proved usable once; later steps never look at the raw spec again.
    type Valid: Send + Sync;
    /// What the hosts show.
    type Observed: Send + Sync;
    /// What to do next; a value.
    type Plan: Display + Send + Sync;
    /// What came of doing it; `()` if there is nothing to tell.
    type Outcome: Send + Sync;

    /// The kind in metrics, in the field manager (`<name>.slipway.dev`) and in the finalizer: `node`, `containerservice`.
    const NAME: &'static str;
    /// A pass waits for nothing outside, so that the first one's own status comes at once: none is written before it.
    const OWN_FIRST_STATUS: bool = false;

    /// The Secrets and ConfigMaps that the object names; a change of one of them is a reason for a pass.
    fn references(&self, object: &Self::Object) -> Vec<Reference>;

    /// Other reasons for a pass: hosts that came back, changes of another kind.
    fn triggers(&self, _cache: &Cache<Self::Object>) -> BoxStream<'static, Key> {
        stream::pending().boxed()
    }

    /// Whether all action on this object is stopped. It is planned and reported all the same.
    fn suspended(&self, object: &Self::Object) -> bool;

    /// Whether a deletion may have something to take back, so that the object needs our finalizer.
    fn leaves_traces(&self, _object: &Self::Object) -> bool {
        true
    }

    /// How long deletion may take before what is left is abandoned.
    fn deletion_timeout(&self, object: &Self::Object) -> Duration;

    /// Reads what the spec refers to. API server only.
    async fn read(&self, pass: &Pass<Self::Object>) -> Result<Self::Inputs, Error>;

    /// Proves that spec and inputs can be used. Pure.
    fn validate(&self, object: &Self::Object, inputs: Self::Inputs) -> Result<Self::Valid, Error>;

    /// Looks at the hosts. Every call has a deadline.
    async fn observe(&self, valid: &Self::Valid, pass: &Pass<Self::Object>) -> Result<Self::Observed, Error>;

    /// What to do next. Pure.
    fn plan(&self, valid: &Self::Valid, observed: &Self::Observed, pass: &Pass<Self::Object>) -> Self::Plan;

    /// Does it: each step idempotent. An error stops the whole act; what concerns one host of many belongs in the outcome.
    /// What must be on record before something outside is made is written first, by [`Pass::write`].
    async fn act(
        &self,
        valid: &Self::Valid,
        observed: &Self::Observed,
        plan: &Self::Plan,
        pass: &Pass<Self::Object>,
    ) -> Result<Self::Outcome, Error>;

    /// The status after the pass, and what comes next. Pure.
    fn report(
        &self,
        valid: &Self::Valid,
        observed: &Self::Observed,
        plan: &Self::Plan,
        acted: &Acted<Self::Outcome>,
        pass: &Pass<Self::Object>,
    ) -> Report<<Self::Object as HasStatus>::Status>;

    /// A pass failed before it could report; the loop has the status. For kinds that must stop something then.
    fn failed(&self, _object: &Self::Object, _error: &Error) {}

    /// What the user wrote is refused: does what can be done all the same for what is there already. `None` if that is nothing.
    async fn hold(&self, _pass: &Pass<Self::Object>) -> Option<Held> {
        None
    }

    /// One pass over an object that is being deleted. Must cope with no other pass ever having run.
    async fn cleanup(&self, pass: &Pass<Self::Object>) -> Result<Cleanup, Error>;

    /// What is left behind, for the Event, when deletion's deadline has passed.
    fn abandoned(&self, object: &Self::Object) -> String;

    /// The object is gone from the API server, maybe without its finalizer having run.
    fn gone(&self, _key: &Key) {}
}

/// How the `act` step ended.
#[derive(Debug)]
pub enum Acted<T> {
    /// The plan was carried out, as far as it went.
    Done(T),
    /// No step was taken: the object is suspended.
    Suspended,
    /// A step failed; those after it were not taken.
    Failed(Error),
}

/// The end of a pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Report<S> {
    /// The whole status, conditions included. It is written only if it differs.
    pub status: S,
    /// When to look again.
    pub next: Next,
}

impl<S: HasConditions> Report<S> {
    /// A status with a verdict written into it.
    pub fn new(mut status: S, verdict: &Verdict, next: Next, generation: i64, now: Timestamp) -> Self {
        status.judge(verdict, generation, now);
        Self { status, next }
    }
}

/// When to look again, if nothing else makes a pass before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// All is as wanted: a slow, jittered look.
    Settled,
    /// More to do, now.
    Again,
    /// Something is waited for until this time.
    At(Timestamp),
    /// Something failed that may pass: back-off by the age of the failing condition. Makes a Warning Event when new.
    Retry,
    /// Only a person or a change can help: a very slow look. Makes a Warning Event when new.
    Person,
}

/// What is done for an object whose spec is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// For the end of the message: what is done meanwhile, or why it cannot be.
    pub told: String,
    /// When to look again.
    pub next: Next,
}

/// How a pass over an object that is being deleted ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// Nothing of it is left: the finalizer goes.
    Done,
    /// Something is waited for, at the longest until the deadline of the deletion.
    Wait {
        /// One CamelCase word.
        reason: String,
        /// What is waited for, and what to do.
        message: String,
        /// When to look again.
        next: Next,
    },
}

/// An object of one kind, by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// A key.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of an object.
    pub fn of(object: &impl Resource) -> Self {
        let meta = object.meta();
        Self::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A Secret or ConfigMap in the object's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A Secret, by name.
    Secret(String),
    /// A ConfigMap, by name.
    ConfigMap(String),
}
