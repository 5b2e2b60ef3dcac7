//! A Kubernetes namespace per test, and what is printed when the test fails.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow};
use futures::FutureExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use slipway_api::{ContainerService, Design, Node};

use super::cluster::Cluster;
use super::eventually::eventually;
use super::operator::Operator;
use super::process::tail;

/// Lines of the operator's log that a failing test prints.
const LOG_LINES: usize = 150;

/// A namespace of a test's own.
pub struct TestNamespace {
    /// Its name.
    pub name: String,
    /// The cluster that it is in.
    pub cluster: Arc<Cluster>,
    /// A client with the administrator's rights.
    pub client: Client,
    operators: Mutex<Vec<Arc<Operator>>>,
}

impl TestNamespace {
    /// The objects of a kind in this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Creates an object in this namespace.
    pub async fn create<K>(&self, object: &K) -> Result<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Serialize
            + DeserializeOwned
            + std::fmt::Debug,
    {
        Ok(self.api::<K>().create(&PostParams::default(), object).await?)
    }

    /// Creates a Secret in this namespace.
    pub async fn create_secret(&self, secret: &Secret) -> Result<()> {
        self.create(secret).await.map(drop)
    }

    /// Starts an operator for this namespace, straight at the API server. Its log is printed if the test fails.
    pub async fn operator(&self) -> Result<Arc<Operator>> {
        let operator = Arc::new(Operator::start(&self.cluster.kubeconfig(), &self.name).await?);
        self.watch_log(&operator);
        Ok(operator)
    }

    /// Has an operator's log printed if the test fails.
    pub fn watch_log(&self, operator: &Arc<Operator>) {
        self.operators.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(operator));
    }

    /// Waits until an object is as the check wants it, and returns it.
    pub async fn wait_for<K>(&self, name: &str, what: &str, within: Duration, check: impl Fn(&K) -> bool) -> Result<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Serialize
            + std::fmt::Debug,
    {
        let api = self.api::<K>();
        let what = format!("{} {name}: {what}", K::kind(&()));
        eventually(&what, within, || async {
            let object = api.get(name).await?;
            if check(&object) {
                return Ok(object);
            }
            let status = serde_json::to_value(&object)?["status"].take();
            Err(anyhow!("its status is {status}"))
        })
        .await
    }

    /// Waits until a condition of an object of this operator has that status for the object's present generation.
    pub async fn wait_condition<K>(&self, name: &str, condition: &str, status: &str, within: Duration) -> Result<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Serialize
            + std::fmt::Debug,
    {
        self.wait_for(name, &format!("{condition}={status}"), within, |object: &K| {
            let generation = object.meta().generation;
            let value = serde_json::to_value(object).unwrap_or_default();
            value["status"]["observedGeneration"].as_i64() == generation
                && value["status"]["conditions"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|it| it["type"] == condition && it["status"] == status))
        })
        .await
    }

    /// Waits until an object is gone.
    pub async fn wait_gone<K>(&self, name: &str, within: Duration) -> Result<()>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Serialize
            + std::fmt::Debug,
    {
        let api = self.api::<K>();
        eventually(&format!("{} {name} to be gone", K::kind(&())), within, || async {
            match api.get_opt(name).await? {
                None => Ok(()),
                Some(object) => Err(anyhow!("still there: {}", serde_json::to_string(&object)?)),
            }
        })
        .await
    }

    /// Prints what one wants to see when a test has failed.
    async fn print(&self) {
        eprintln!("\n---- namespace {} ----", self.name);
        self.print_objects::<Design>().await;
        self.print_objects::<Node>().await;
        self.print_objects::<ContainerService>().await;
        self.print_events().await;
        for operator in self.operators.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let state = if operator.is_running() { "running" } else { "dead" };
            eprintln!("operator ({state}), end of its log:\n{}", tail(operator.log(), LOG_LINES));
        }
        eprintln!("---- end of namespace {} ----\n", self.name);
    }

    async fn print_objects<K>(&self)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Serialize
            + std::fmt::Debug,
    {
        match self.api::<K>().list(&ListParams::default()).await {
            Ok(objects) => {
                for object in objects {
                    let value = serde_json::to_value(&object).unwrap_or_default();
                    let name = value["metadata"]["name"].as_str().unwrap_or_default();
                    eprintln!("{} {name}: {:#}", K::kind(&()), value["status"]);
                }
            }
            Err(error) => eprintln!("cannot list {}: {error}", K::plural(&())),
        }
    }

    async fn print_events(&self) {
        // Asked for in the older form, which shows the Events of both APIs.
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Event>(&());
        let events = Api::<DynamicObject>::namespaced_with(self.client.clone(), &self.name, &resource);
        match events.list(&ListParams::default()).await {
            Ok(events) => {
                for DynamicObject { data, .. } in events {
                    let text =
                        |pointer: &str| data.pointer(pointer).and_then(|it| it.as_str()).unwrap_or_default().to_owned();
                    let (kind, name) = (text("/involvedObject/kind"), text("/involvedObject/name"));
                    eprintln!("event {} {kind}/{name} {}: {}", text("/type"), text("/reason"), text("/message"));
                }
            }
            Err(error) => eprintln!("cannot list events: {error}"),
        }
    }
}

/// Runs a test in a namespace of its own on the shared cluster. If the test fails or panics, the objects' status, the Events and the
/// operators' logs are printed first.
pub async fn with_namespace<T, F>(test: T) -> Result<()>
where
    T: FnOnce(Arc<TestNamespace>) -> F,
    F: Future<Output = Result<()>>,
{
    with_namespace_on(Cluster::shared().await?, test).await
}

/// The same on a cluster of the test's own, which it may disturb.
pub async fn with_namespace_on<T, F>(cluster: Arc<Cluster>, test: T) -> Result<()>
where
    T: FnOnce(Arc<TestNamespace>) -> F,
    F: Future<Output = Result<()>>,
{
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let client = cluster.client().await?;
    let name = format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
    let namespaces = Api::<Namespace>::all(client.clone());
    namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await?;
    let namespace = Arc::new(TestNamespace { name: name.clone(), cluster, client, operators: Mutex::default() });
    let outcome = AssertUnwindSafe(test(Arc::clone(&namespace))).catch_unwind().await;
    if !matches!(outcome, Ok(Ok(()))) {
        namespace.print().await;
    }
    // The cluster may be killed by the test; then there is nothing to tidy up, and it goes with the cluster in any case.
    let _ = namespaces.delete(&name, &DeleteParams::default()).await;
    match outcome {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
