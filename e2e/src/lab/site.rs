//! What a test of a whole operator begins with: a namespace, hosts, an operator; and how it looks at them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bollard::models::{ContainerInspectResponse, ContainerSummary};
use bollard::query_parameters::{
    EventsOptions, InspectContainerOptions, ListContainersOptionsBuilder, ListVolumesOptionsBuilder,
};
use futures::TryStreamExt;
use futures::future::try_join_all;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use slipway_api::{ContainerService, Node};

use super::docker_host::DockerHost;
use super::eventually::eventually;
use super::images::Image;
use super::namespace::TestNamespace;
use super::operator::Operator;

/// For what must happen soon, on a machine that is busy.
pub const SOON: Duration = Duration::from_mins(3);

/// The image of the lab that sleeps until it is told to end, then ends at once.
pub const SLEEPER: &str = "lab/sleeper:1";

/// A namespace with hosts that are Nodes, and an operator.
pub struct Site {
    /// The test's own.
    pub ns: Arc<TestNamespace>,
    /// Those of the Nodes, in the order of their names.
    pub hosts: Vec<DockerHost>,
    /// The first that was started.
    pub operator: Arc<Operator>,
}

impl Site {
    /// Hosts `h0`, `h1`, … on engine 20.10, reached by their sockets, with the sleeper's image.
    pub async fn with_hosts(ns: Arc<TestNamespace>, count: usize) -> Result<Self> {
        let hosts = try_join_all((0..count).map(async |number| {
            let host = DockerHost::start().await?;
            host.load(&Image::new(SLEEPER)).await?;
            ns.create(&host.unix_node(&format!("h{number}"))).await?;
            anyhow::Ok(host)
        }));
        let (hosts, operator) = tokio::try_join!(hosts, ns.operator())?;
        Ok(Self { ns, hosts, operator })
    }

    /// The ContainerServices of the namespace.
    pub fn services(&self) -> Api<ContainerService> {
        self.ns.api()
    }

    /// The one host.
    pub fn host(&self) -> &DockerHost {
        &self.hosts[0]
    }

    /// Applies a ContainerService, as kubectl would.
    pub async fn apply(&self, name: &str, spec: &Value) -> Result<ContainerService> {
        let object = json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "ContainerService", "metadata": {"name": name}, "spec": spec,
        });
        Ok(self.services().patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&object)).await?)
    }

    /// Waits until a ContainerService is ready as it is now.
    pub async fn ready(&self, name: &str) -> Result<ContainerService> {
        self.ns.wait_condition(name, "Ready", "True", SOON).await
    }

    /// Waits until `Ready` is not True for this reason, and returns the message.
    pub async fn not_ready(&self, name: &str, reason: &str) -> Result<String> {
        let object = self
            .ns
            .wait_for(name, &format!("not ready because of {reason}"), SOON, |object: &ContainerService| {
                ready_condition(object).is_some_and(|it| it.status != "True" && it.reason == reason)
            })
            .await?;
        Ok(ready_condition(&object).context("no condition")?.message.clone())
    }

    /// Deletes a ContainerService and waits until it is gone.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.services().delete(name, &DeleteParams::default()).await?;
        self.ns.wait_gone::<ContainerService>(name, SOON).await
    }

    /// The containers that Slipway marked for an object, by name.
    pub async fn containers(&self, host: &DockerHost, name: &str) -> Result<BTreeMap<String, ContainerSummary>> {
        let labels = vec![format!("slipway.dev/name={name}"), format!("slipway.dev/namespace={}", self.ns.name)];
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&std::collections::HashMap::from([("label", labels)]))
            .build();
        let all = host.docker()?.list_containers(Some(options)).await?;
        Ok(all.into_iter().map(|it| (name_of(&it), it)).collect())
    }

    /// Waits until an object's containers on a host are as the check wants them.
    pub async fn wait_containers(
        &self,
        host: &DockerHost,
        name: &str,
        what: &str,
        check: impl Fn(&BTreeMap<String, ContainerSummary>) -> bool,
    ) -> Result<BTreeMap<String, ContainerSummary>> {
        eventually(what, SOON, || async {
            let found = self.containers(host, name).await?;
            let seen: Vec<_> = found.values().map(|it| (name_of(it), it.state, it.status.clone())).collect();
            ensure!(check(&found), "found {seen:?}");
            Ok(found)
        })
        .await
    }

    /// Waits until a Node's `Ready` is not True for this reason, and returns the message.
    pub async fn node_not_ready(&self, name: &str, reason: &str) -> Result<String> {
        let condition = |node: &Node| {
            let conditions = node.status.iter().flat_map(|status| status.conditions.clone());
            conditions.into_iter().find(|it| it.type_ == "Ready" && it.status != "True" && it.reason == reason)
        };
        let what = format!("not ready because of {reason}");
        let node = self.ns.wait_for(name, &what, SOON, |node: &Node| condition(node).is_some()).await?;
        Ok(condition(&node).context("no condition")?.message)
    }

    /// The volumes that Slipway marked for an object.
    pub async fn volumes(&self, host: &DockerHost, name: &str) -> Result<Vec<String>> {
        let options = ListVolumesOptionsBuilder::default()
            .filters(&std::collections::HashMap::from([("label", vec![format!("slipway.dev/name={name}")])]))
            .build();
        let found = host.docker()?.list_volumes(Some(options)).await?;
        Ok(found.volumes.unwrap_or_default().into_iter().map(|it| it.name).collect())
    }
}

/// When containers started and ended on a host from a moment on, as its engine has logged it.
#[derive(Debug, Default)]
pub struct Lives {
    /// Starts, in ns since 1970.
    pub starts: Vec<i64>,
    /// Ends, likewise.
    pub ends: Vec<i64>,
}

impl Lives {
    /// Reads them.
    pub async fn since(host: &DockerHost, from: Timestamp) -> Result<Self> {
        let time = |at: Timestamp| format!("{}.{:09}", at.as_second(), at.subsec_nanosecond());
        let filters = [("type", vec!["container"]), ("event", vec!["die", "start"])];
        let filters = filters.map(|(key, values)| (key.to_owned(), values.into_iter().map(str::to_owned).collect()));
        let options = EventsOptions {
            since: Some(time(from)),
            until: Some(time(Timestamp::now())),
            filters: Some(filters.into()),
        };
        let mut lives = Self::default();
        let mut events = std::pin::pin!(host.docker()?.events(Some(options)));
        while let Some(event) = events.try_next().await? {
            let list = if event.action.as_deref() == Some("start") { &mut lives.starts } else { &mut lives.ends };
            list.extend(event.time_nano);
        }
        Ok(lives)
    }

    /// An error unless the first start came before the first end.
    pub fn overlap(&self) -> Result<()> {
        let (start, end) = (self.starts.first().context("no start")?, self.ends.first().context("no end")?);
        ensure!(start < end, "the old one ended before the new one started: {self:?}");
        Ok(())
    }
}

/// The name without its slash.
pub fn name_of(container: &ContainerSummary) -> String {
    let names = container.names.as_deref().unwrap_or_default();
    names.first().map(|it| it.trim_start_matches('/').to_owned()).unwrap_or_default()
}

/// The ID of a container in a list by name.
pub fn id_of(containers: &BTreeMap<String, ContainerSummary>, name: &str) -> Result<String> {
    containers.get(name).and_then(|it| it.id.clone()).with_context(|| format!("there is no {name}"))
}

/// Whether a container of a list runs.
pub fn runs(container: &ContainerSummary) -> bool {
    container.state.is_some_and(|state| state.to_string() == "running")
}

/// What the engine says of a container.
pub async fn inspect(host: &DockerHost, name: &str) -> Result<ContainerInspectResponse> {
    Ok(host.docker()?.inspect_container(name, None::<InspectContainerOptions>).await?)
}

/// Runs a command in a container and returns what it prints.
pub fn exec(host: &DockerHost, container: &str, command: &[&str]) -> Result<String> {
    let socket = format!("unix://{}", host.socket().display());
    let args = [&["-H", &socket, "exec", container], command].concat();
    host.exec("docker", &args)
}

/// The condition `Ready`.
pub fn ready_condition(object: &ContainerService) -> Option<&Condition> {
    object.status.as_ref()?.conditions.iter().find(|it| it.type_ == "Ready")
}
