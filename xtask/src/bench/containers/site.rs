//! What is measured on: an API server, three Docker hosts, a fourth whose calls are counted, and the operator.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bollard::Docker;
use bollard::models::EventMessage;
use bollard::query_parameters::{EventsOptions, ListContainersOptions};
use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use slipway_api::conditions::is_ready;
use slipway_api::{ContainerService, Node};
use slipway_e2e::lab::{Cluster, DockerHost, HostOptions, Image, Operator, eventually};

use super::super::writes;

/// Namespace of everything.
pub const NAMESPACE: &str = "bench";
/// How long anything may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_mins(10);

/// All of it. Dropping it removes it.
pub struct Site {
    pub client: Client,
    pub operator: Operator,
    /// The three that time is measured on.
    pub hosts: Vec<DockerHost>,
    /// The one whose engine logs every call, which costs time.
    pub counted: DockerHost,
    pub image: Image,
    _cluster: Cluster,
}

impl Site {
    /// Starts it, and waits until every Node is ready.
    pub async fn start() -> Result<Self> {
        eprintln!("bench: starting an API server and four Docker hosts");
        let cluster = Cluster::start().await?;
        cluster.install_crds().await?;
        let client = cluster.client().await?;
        let namespace = Namespace {
            metadata: ObjectMeta { name: Some(NAMESPACE.into()), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;

        let image = Image::new("bench/sleep:1");
        let mut hosts = Vec::new();
        for _ in 0..3 {
            hosts.push(DockerHost::start().await?);
        }
        let debug = HostOptions { args: vec!["--debug".into()], ..HostOptions::default() };
        let counted = DockerHost::with(debug).await?;
        for host in hosts.iter().chain([&counted]) {
            host.load(&image).await?;
        }
        let operator = Operator::start(&cluster.kubeconfig(), NAMESPACE).await?;
        let site = Self { client, operator, hosts, counted, image, _cluster: cluster };
        for (index, host) in site.hosts.iter().enumerate() {
            Box::pin(site.add_node(host, &format!("host{}", index + 1), "timed")).await?;
        }
        Box::pin(site.add_node(&site.counted, "counted", "counted")).await?;
        Ok(site)
    }

    async fn add_node(&self, host: &DockerHost, name: &str, role: &str) -> Result<()> {
        let secret = format!("{name}-tls");
        let secrets = Api::<Secret>::namespaced(self.client.clone(), NAMESPACE);
        secrets.create(&PostParams::default(), &host.tls_secret(&secret)?).await?;
        let mut node = host.tls_node(name, &secret);
        node.metadata.labels = Some(BTreeMap::from([("role".into(), role.into()), ("host".into(), name.into())]));
        let nodes = Api::<Node>::namespaced(self.client.clone(), NAMESPACE);
        nodes.create(&PostParams::default(), &node).await?;
        let ready = await_condition(nodes, name, |node: Option<&Node>| {
            node.and_then(|node| node.status.as_ref()).is_some_and(|status| is_ready(&status.conditions))
        });
        Box::pin(within(ready, &format!("Node {name} to be ready"))).await?;
        Ok(())
    }

    /// The ContainerServices of the namespace.
    pub fn services(&self) -> Api<ContainerService> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// An object that runs `compose` on the Nodes with a label.
    pub fn service(name: &str, label: (&str, &str), compose: &Value) -> Result<ContainerService> {
        Ok(serde_json::from_value(json!({
            "apiVersion": "slipway.dev/v1alpha1",
            "kind": "ContainerService",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"placement": {"nodeSelector": {"matchLabels": {label.0: label.1}}}, "compose": compose},
        }))?)
    }

    /// A project of that many services, all alike.
    pub fn project(&self, services: usize) -> Value {
        let service = json!({"image": self.image.reference(), "restart": "unless-stopped"});
        let services: serde_json::Map<_, _> = (1..=services).map(|n| (format!("s{n}"), service.clone())).collect();
        json!({"services": services})
    }

    /// Creates an object and waits until it is ready.
    pub async fn create(&self, service: &ContainerService) -> Result<ContainerService> {
        self.services().create(&PostParams::default(), service).await?;
        self.ready(&service.name_any()).await
    }

    /// Waits until an object is ready at its newest generation.
    pub async fn ready(&self, name: &str) -> Result<ContainerService> {
        let ready = await_condition(self.services(), name, |service: Option<&ContainerService>| {
            service.is_some_and(|service| {
                service.status.as_ref().is_some_and(|status| {
                    status.observed_generation == service.metadata.generation && is_ready(&status.conditions)
                })
            })
        });
        within(ready, &format!("ContainerService {name} to be ready")).await?.context("it is gone")
    }

    /// Deletes an object and waits until it is gone.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let services = self.services();
        let Some(uid) = services.get(name).await?.uid() else { return Ok(()) };
        services.delete(name, &DeleteParams::default()).await?;
        within(await_condition(services, name, conditions::is_deleted(&uid)), &format!("{name} to be gone")).await?;
        Ok(())
    }

    /// Waits until each Node's status says how many containers its engine runs. It is renewed some time after a burst of
    /// starts and ends, which is a write for what has happened before.
    pub async fn told(&self) -> Result<()> {
        let nodes = Api::<Node>::namespaced(self.client.clone(), NAMESPACE);
        let named = (1..).map(|number| format!("host{number}")).zip(&self.hosts);
        for (name, host) in named.chain([("counted".to_owned(), &self.counted)]) {
            eventually(&format!("Node {name} to tell what runs on it"), Duration::from_mins(1), async || {
                let runs = host.docker()?.info().await?.containers_running;
                let told = nodes.get(&name).await?.status.and_then(|status| status.docker);
                let told = told.map(|docker| docker.containers_running);
                ensure!(told == runs, "it says {told:?}, and it is {runs:?}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Passes over ContainerServices that the operator has ended.
    pub async fn passes(&self) -> Result<usize> {
        let metrics = self.operator.get("/metrics").await?;
        let passes = metrics
            .lines()
            .filter(|line| line.starts_with("slipway_reconcile_total{") && line.contains("kind=\"containerservice\""));
        Ok(passes.map(writes::count).sum())
    }

    /// Writes of objects that Slipway has to do with.
    pub async fn api_writes(&self) -> Result<usize> {
        writes::of(&self.client, &["nodes", "containerservices", "events", "secrets", "configmaps"]).await
    }
}

/// Waits for an outcome, but not for ever.
pub async fn within<T, E>(waiting: impl Future<Output = Result<T, E>>, what: &str) -> Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let outcome = tokio::time::timeout(PATIENCE, waiting).await;
    outcome.with_context(|| format!("waited {PATIENCE:?} for {what}"))?.with_context(|| format!("waiting for {what}"))
}

/// The engine's events of containers, from now on; none is missed, although the stream is opened when it is first read.
pub fn container_events(
    docker: &Docker,
    actions: &[&str],
) -> impl Stream<Item = Result<EventMessage, bollard::errors::Error>> + Unpin + use<> {
    let actions = actions.iter().map(|&action| action.to_owned()).collect();
    let filters = [("type".to_owned(), vec!["container".to_owned()]), ("event".to_owned(), actions)];
    let since = Some(jiff::Timestamp::now().as_duration().as_secs_f64().to_string());
    docker.events(Some(EventsOptions { filters: Some(filters.into()), since, ..EventsOptions::default() })).boxed()
}

/// The next of them.
pub async fn next_event(
    events: &mut (impl Stream<Item = Result<EventMessage, bollard::errors::Error>> + Unpin),
    what: &str,
) -> Result<EventMessage> {
    within(events.try_next(), what).await?.with_context(|| format!("the event stream ended before {what}"))
}

/// IDs of the containers of a Compose project, by service.
pub async fn containers(docker: &Docker, project: &str) -> Result<BTreeMap<String, String>> {
    let label = format!("com.docker.compose.project={project}");
    let filters = [("label".to_owned(), vec![label])];
    let options =
        ListContainersOptions { all: true, filters: Some(filters.into()), ..ListContainersOptions::default() };
    let found = docker.list_containers(Some(options)).await?;
    let of = |container: bollard::models::ContainerSummary| {
        Some((container.labels?.remove("com.docker.compose.service")?, container.id?))
    };
    let containers: BTreeMap<_, _> = found.into_iter().filter_map(of).collect();
    ensure!(!containers.is_empty(), "project {project} has no containers");
    Ok(containers)
}
