//! Whose things on the hosts are ours, and the key that hides the content of Secrets in their labels.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use slipway_drivers::Class;
use slipway_plan::container_service::definition::HashKey;

use crate::error::Error;

/// Name of the Secret with the installation key.
pub const SECRET: &str = "slipway-installation";
/// Its one entry.
const ENTRY: &str = "key";

/// One installation of Slipway: a cluster.
#[derive(Clone, Debug)]
pub struct Installation {
    /// UID of the `kube-system` namespace, which lives as long as the cluster.
    pub id: String,
    /// Key of the hashes that mark revisions: without it a label would tell whether a guessed secret is right.
    pub key: HashKey,
}

impl Installation {
    /// Reads the installation and changes nothing. Before the operator's first run there is no key, and any will do: nothing
    /// on a host has been marked with one.
    pub async fn find(client: &Client, system_namespace: &str) -> Result<Self, Error> {
        let key = read(&Api::namespaced(client.clone(), system_namespace)).await?.unwrap_or_default();
        Ok(Self { id: id(client).await?, key: HashKey::new(key) })
    }

    /// Reads the installation; makes its key the first time.
    pub async fn load(client: &Client, system_namespace: &str) -> Result<Self, Error> {
        let id = id(client).await?;
        let secrets = Api::namespaced(client.clone(), system_namespace);
        let key = match read(&secrets).await? {
            Some(key) => key,
            None => create(&secrets, system_namespace).await?,
        };
        Ok(Self { id, key: HashKey::new(key) })
    }
}

async fn id(client: &Client) -> Result<String, Error> {
    let kube_system = Api::<Namespace>::all(client.clone())
        .get("kube-system")
        .await
        .map_err(|error| Error::api("read namespace kube-system", error))?;
    Ok(kube_system.metadata.uid.unwrap_or_default())
}

async fn read(secrets: &Api<Secret>) -> Result<Option<[u8; 32]>, Error> {
    let what = format!("read Secret {SECRET}");
    let Some(secret) = secrets.get_opt(SECRET).await.map_err(|error| Error::api(what, error))? else {
        return Ok(None);
    };
    let bytes = secret.data.unwrap_or_default().remove(ENTRY).unwrap_or_default().0;
    let key = bytes.try_into().map_err(|_| {
        let message = format!("Secret {SECRET} has no 32 bytes under `{ENTRY}`; delete it to have it made anew (every container is recreated then)");
        Error::new(Class::Invalid, "InstallationKeyBroken", message)
    })?;
    Ok(Some(key))
}

/// Makes the key. Of two that try at once one wins, and both use its key.
async fn create(secrets: &Api<Secret>, namespace: &str) -> Result<[u8; 32], Error> {
    let mut key = [0; 32];
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut key)
        .map_err(|_| Error::new(Class::Transient, "NoRandomness", "this machine gives no random bytes"))?;
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(SECRET.into()),
            labels: Some(BTreeMap::from([("app.kubernetes.io/managed-by".into(), "slipway".into())])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(ENTRY.into(), ByteString(key.to_vec()))])),
        ..Secret::default()
    };
    match secrets.create(&PostParams::default(), &secret).await {
        Ok(_) => Ok(key),
        Err(kube::Error::Api(status)) if status.is_already_exists() => read(secrets).await?.ok_or_else(|| {
            Error::new(Class::Conflict, "InstallationKeyGone", format!("Secret {SECRET} was there and is gone"))
        }),
        Err(kube::Error::Api(status)) if status.is_not_found() => Err(Error::new(
            Class::Conflict,
            "NamespaceMissing",
            format!(
                "namespace {namespace} is missing: kubectl create namespace {namespace}, or name another by --system-namespace"
            ),
        )),
        Err(error) => Err(Error::api(format!("create Secret {namespace}/{SECRET}"), error)),
    }
}
