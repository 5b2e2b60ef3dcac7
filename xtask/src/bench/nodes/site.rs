//! What is measured on: an API server, a thousand fake BMCs of hosts that are on, and the operator.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use slipway_api::Node;
use slipway_e2e::lab::{Cluster, Operator};

use super::super::bmcs::{Bmcs, LOGIN};
use super::super::writes;

/// Namespace of the Nodes.
pub const NAMESPACE: &str = "bench";
/// Namespace of what a bare client writes; no operator watches it.
pub const BARE: &str = "bare";
/// Nodes, each with a BMC and a Secret of its own.
pub const COUNT: usize = 1000;
/// Requests of this program side by side.
const AT_ONCE: usize = 32;
/// How long anything may take before the measurement is given up.
pub const PATIENCE: Duration = Duration::from_mins(15);

/// All of it. Dropping it removes it.
pub struct Site {
    pub client: Client,
    pub operator: Operator,
    pub bmcs: Bmcs,
    cluster: Cluster,
}

impl Site {
    /// Starts it. There are Secrets, but no Nodes yet.
    pub async fn start(bmcs: &Path) -> Result<Self> {
        eprintln!("bench: starting an API server and {COUNT} fake BMCs");
        let bmcs = Bmcs::start(bmcs, COUNT).await?;
        let cluster = Cluster::start().await?;
        cluster.install_crds().await?;
        let client = cluster.client().await?;
        for name in [NAMESPACE, BARE] {
            let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
            Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
        }
        let operator = Operator::start(&cluster.kubeconfig(), NAMESPACE).await?;
        let site = Self { client, operator, bmcs, cluster };
        let secrets: Vec<Secret> = (0..COUNT).map(secret).collect::<Result<_>>()?;
        site.create(&secrets).await?;
        Ok(site)
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.cluster.kubeconfig()
    }

    pub fn nodes(&self) -> Api<Node> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// A Node of each BMC, with a host that is to be on, as it is.
    pub fn wanted(&self) -> Result<Vec<Node>> {
        let node = |(number, port): (usize, &u16)| -> Result<Node> {
            let bmc = json!({"address": format!("ipmi://127.0.0.1:{port}"), "credentials": {"secretRef": {"name": name(number)}}});
            Ok(serde_json::from_value(json!({
                "metadata": {"name": name(number), "labels": {"rack": format!("r{}", number % 20)}},
                "spec": {"bmc": bmc, "power": "On"},
            }))?)
        };
        self.bmcs.ports.iter().enumerate().map(node).collect()
    }

    /// Creates objects, some at a time.
    pub async fn create<K>(&self, objects: &[K]) -> Result<()>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + serde::de::DeserializeOwned,
    {
        let api = Api::<K>::namespaced(self.client.clone(), NAMESPACE);
        let (api, how) = (&api, &PostParams::default());
        let creations = objects.iter().map(|object| async move { api.create(how, object).await.map(drop) });
        Ok(stream::iter(creations).buffer_unordered(AT_ONCE).try_collect().await?)
    }

    /// Deletes the Nodes, some at a time.
    pub async fn delete_all(&self) -> Result<()> {
        let nodes = &self.nodes();
        let deletions = (0..COUNT).map(|number| async move {
            nodes.delete(&name(number), &kube::api::DeleteParams::default()).await.map(drop)
        });
        Ok(stream::iter(deletions).buffer_unordered(AT_ONCE).try_collect().await?)
    }

    /// Writes of objects that Slipway has to do with, by whomever.
    pub async fn writes(&self) -> Result<usize> {
        writes::of(&self.client, &["nodes", "nodeinventories", "events", "secrets", "configmaps"]).await
    }

    /// A counter of the operator: the sum over the lines that begin with this.
    pub async fn counted(&self, begins: &str) -> Result<usize> {
        let metrics = self.operator.get("/metrics").await?;
        Ok(metrics.lines().filter(|line| line.starts_with(begins)).map(writes::count).sum())
    }

    /// Waits until something is so, and looks each second.
    pub async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
        let waiting = async {
            while !is_so().await? {
                ensure!(self.operator.is_running(), "the operator has ended:\n{}", self.operator.log_text());
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, waiting).await.with_context(|| format!("waited {PATIENCE:?} for {what}"))?
    }
}

fn name(number: usize) -> String {
    format!("n{number:04}")
}

fn secret(number: usize) -> Result<Secret> {
    let login: Value = json!({"username": LOGIN.0, "password": LOGIN.1});
    Ok(serde_json::from_value(json!({"metadata": {"name": name(number)}, "stringData": login}))?)
}
