//! The cluster that a verb speaks to: kubectl's own flags, and reads with a deadline.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, ListParams};
use kube::{Client, Config, Resource};
use serde::de::DeserializeOwned;
use slipway_api::{GROUP, VERSION};

use super::target::{KindName, Target};
use crate::cli::run::config;
use crate::error::told;

/// Deadline of one call.
const DEADLINE: Duration = Duration::from_secs(20);

/// Which cluster, as whom, and which namespace.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub(in crate::cli) struct Reach {
    /// Namespace of the object; by default that of the kubeconfig's context.
    #[arg(short, long)]
    namespace: Option<String>,

    /// Path of a kubeconfig file.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig.
    #[arg(long)]
    context: Option<String>,

    /// User to act as.
    #[arg(long = "as", value_name = "USER")]
    impersonate: Option<String>,

    /// Group to act as; may be repeated.
    #[arg(long = "as-group", value_name = "GROUP", requires = "impersonate")]
    groups: Vec<String>,

    /// Namespace that the operator runs in.
    #[arg(long, env = "POD_NAMESPACE", default_value = "slipway-system")]
    system_namespace: String,
}

/// A cluster.
pub(in crate::cli) struct Cluster {
    pub client: Client,
    /// The namespace that the verb is about.
    pub namespace: String,
    /// The operator's.
    pub system_namespace: String,
    /// Where the API server is, to name it to a person.
    url: String,
}

/// A kind whose objects are in namespaces.
pub(super) trait Namespaced:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned
{
}

impl<K> Namespaced for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned
{
}

impl Reach {
    /// Whether a flag says which cluster, or as whom.
    pub fn is_given(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some() || self.impersonate.is_some()
    }

    /// The namespace that was named.
    pub(in crate::cli) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// What leads to the cluster, and as whom.
    pub(super) async fn config(&self) -> Result<Config> {
        let mut config = config(self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        // A person waits: what the API server cannot do now is told at once.
        config.default_retry = false;
        if let Some(user) = &self.impersonate {
            config.auth_info.impersonate = Some(user.clone());
            config.auth_info.impersonate_groups = Some(self.groups.clone()).filter(|groups| !groups.is_empty());
        }
        Ok(config)
    }

    /// The cluster. It is not asked yet.
    pub(in crate::cli) async fn cluster(&self) -> Result<Cluster> {
        let config = self.config().await?;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let url = config.cluster_url.to_string();
        let client = Client::try_from(config).context("cannot use this kubeconfig")?;
        Ok(Cluster { client, namespace, system_namespace: self.system_namespace.clone(), url })
    }
}

impl Cluster {
    /// The objects of a kind in the verb's namespace.
    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// One call, with a deadline and an error that says what was tried.
    pub(super) async fn call<T>(&self, what: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T> {
        match tokio::time::timeout(DEADLINE, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error @ kube::Error::Api(_))) => {
                let words = told(&error);
                Err(anyhow::Error::new(error).context(format!("cannot {what}: {words}")))
            }
            Ok(Err(error)) => Err(anyhow!("cannot {what} at {}: {}", self.url, told(&error))),
            Err(_) => Err(anyhow!("cannot {what}: no answer from {} within {} s", self.url, DEADLINE.as_secs())),
        }
    }

    /// An object that must be there.
    pub(super) async fn get<K: Namespaced>(&self, target: &Target) -> Result<K> {
        let found = self.call(&format!("read {target}"), self.api::<K>().get_opt(&target.name)).await?;
        found.ok_or_else(|| {
            anyhow!("there is no {} {} in namespace {}", target.kind.kind(), target.name, self.namespace)
        })
    }

    /// All objects of a kind in the verb's namespace; none if they may not be listed, or the kind is not served.
    pub(super) async fn list_if_allowed<K: Namespaced>(&self) -> Vec<K> {
        let listed = self.call("list", self.api::<K>().list(&ListParams::default())).await;
        listed.map(|list| list.items).unwrap_or_default()
    }

    /// Whether the API server knows a kind.
    pub(super) async fn serves(&self, kind: KindName) -> Result<bool> {
        let version = format!("{GROUP}/{VERSION}");
        match self.call("look at the API server's resources", self.client.list_api_group_resources(&version)).await {
            Ok(list) => Ok(list.resources.iter().any(|resource| resource.name == kind.plural())),
            Err(error) if code(&error) == Some(404) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The status code of an API server's answer.
pub(super) fn code(error: &anyhow::Error) -> Option<u16> {
    match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}
