//! What a ContainerService refers to: its Compose file, the Secrets and ConfigMaps behind it, the registries' logins.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{join_all, try_join_all};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::Api;
use slipway_api::ContainerServiceSpec;
use slipway_drivers::docker::RegistryLogin;
use slipway_plan::Finding;
use slipway_plan::container_service::definition::{Contents, NeedKind, codes, needs};
use slipway_plan::formats::compose::{self, Loaded, Source};

use super::logins;
use crate::Error;

/// Where findings about the Compose file start when it is written in the object.
const COMPOSE: &str = "spec.compose";
/// Where they start when it is in a ConfigMap.
const COMPOSE_FROM: &str = "spec.composeFrom";

/// What was read.
pub struct Inputs {
    /// The project, or why it cannot be used.
    pub loaded: Result<Loaded, Vec<Finding>>,
    /// Content of the Secrets and ConfigMaps that the project uses.
    pub contents: Contents,
    /// Logins of the registries.
    pub logins: Vec<RegistryLogin>,
    /// What is wrong with references outside the Compose file.
    pub findings: Vec<Finding>,
    /// Field path that findings about the Compose file start with.
    pub base: &'static str,
    /// Everything that was asked for, found or not: a change of it is a reason for a pass.
    pub references: BTreeSet<(NeedKind, String)>,
}

/// Reads the objects of one namespace; each is read once.
pub struct Reader {
    secrets: Api<Secret>,
    config_maps: Api<ConfigMap>,
}

impl Reader {
    /// A reader of a namespace.
    pub fn new(client: &kube::Client, namespace: &str) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            config_maps: Api::namespaced(client.clone(), namespace),
        }
    }

    /// Reads everything that a spec refers to.
    pub async fn read(&self, spec: &ContainerServiceSpec) -> Result<Inputs, Error> {
        let mut inputs = self.compose(spec).await?;
        self.pull_secrets(spec, &mut inputs).await?;
        let needs = match &inputs.loaded {
            Ok(loaded) => needs(&loaded.project, &spec.files, inputs.base),
            Err(_) => Ok(Vec::new()),
        };
        match needs {
            Ok(needs) => {
                let objects: BTreeSet<_> = needs.into_iter().map(|need| (need.kind, need.name)).collect();
                let data = try_join_all(objects.iter().map(|(kind, name)| self.data(*kind, name))).await?;
                for ((kind, name), data) in objects.iter().zip(data) {
                    if let Some(data) = data {
                        inputs.contents.insert(*kind, name, data);
                    }
                }
                inputs.references.extend(objects);
            }
            Err(findings) => inputs.findings.extend(findings),
        }
        Ok(inputs)
    }

    async fn compose(&self, spec: &ContainerServiceSpec) -> Result<Inputs, Error> {
        let mut inputs = Inputs {
            loaded: Ok(Loaded::default()),
            contents: Contents::default(),
            logins: Vec::new(),
            findings: Vec::new(),
            base: COMPOSE,
            references: BTreeSet::new(),
        };
        let load = |source: Source<'_>, base| compose::load(source, &spec.environment, &spec.profiles, base);
        if let Some(from) = &spec.compose_from {
            let reference = &from.config_map_key_ref;
            inputs.base = COMPOSE_FROM;
            inputs.references.insert((NeedKind::ConfigMap, reference.name.clone()));
            let data = self.data(NeedKind::ConfigMap, &reference.name).await?;
            inputs.loaded = match data.map(|mut data| data.remove(&reference.key)) {
                Some(Some(text)) => match String::from_utf8(text) {
                    Ok(text) => load(Source::Text(&text), COMPOSE_FROM),
                    Err(_) => {
                        Err(vec![Finding::error("InvalidValue", COMPOSE_FROM, "the Compose file is not UTF-8 text")])
                    }
                },
                Some(None) => Err(vec![missing_key(&reference.name, &reference.key)]),
                None => Err(vec![missing(NeedKind::ConfigMap, &reference.name, "spec.composeFrom.configMapKeyRef")]),
            };
        } else if let Some(value) = &spec.compose {
            inputs.loaded = load(Source::Value(value), COMPOSE);
        }
        Ok(inputs)
    }

    async fn pull_secrets(&self, spec: &ContainerServiceSpec, inputs: &mut Inputs) -> Result<(), Error> {
        let read = spec.image_pull_secrets.iter().map(|secret| self.data(NeedKind::Secret, &secret.name));
        for (index, (secret, data)) in spec.image_pull_secrets.iter().zip(join_all(read).await).enumerate() {
            let path = format!("spec.imagePullSecrets[{index}]");
            inputs.references.insert((NeedKind::Secret, secret.name.clone()));
            let parsed = match data? {
                None => Err(missing(NeedKind::Secret, &secret.name, &path)),
                Some(data) => match data.get(logins::DOCKER_CONFIG_KEY) {
                    None => Err(Finding::error(
                        codes::KEY_MISSING,
                        path,
                        format!("the Secret `{}` has no key `{}`", secret.name, logins::DOCKER_CONFIG_KEY),
                    )
                    .hint("make it with `kubectl create secret docker-registry`")),
                    Some(config) => logins::parse(config).map_err(|wrong| {
                        Finding::error("InvalidValue", path, format!("the Secret `{}`: {wrong}", secret.name))
                    }),
                },
            };
            match parsed {
                Ok(logins) => inputs.logins.extend(logins),
                Err(finding) => inputs.findings.push(finding),
            }
        }
        Ok(())
    }

    /// All keys of a Secret or ConfigMap; `None` if it does not exist.
    async fn data(&self, kind: NeedKind, name: &str) -> Result<Option<BTreeMap<String, Vec<u8>>>, Error> {
        let failed = |error| Error::api(format!("read {kind} {name}"), error);
        Ok(match kind {
            NeedKind::Secret => {
                self.secrets.get_opt(name).await.map_err(failed)?.map(|secret| {
                    secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect()
                })
            }
            NeedKind::ConfigMap => self.config_maps.get_opt(name).await.map_err(failed)?.map(|map| {
                let text = map.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.into_bytes()));
                let binary = map.binary_data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0));
                text.chain(binary).collect()
            }),
        })
    }
}

fn missing(kind: NeedKind, name: &str, path: &str) -> Finding {
    let code = match kind {
        NeedKind::Secret => codes::SECRET_MISSING,
        NeedKind::ConfigMap => codes::CONFIG_MAP_MISSING,
    };
    Finding::error(code, path, format!("the {kind} `{name}` does not exist in this namespace"))
        .hint("create it; it is picked up as soon as it is there")
}

fn missing_key(name: &str, key: &str) -> Finding {
    let path = "spec.composeFrom.configMapKeyRef.key";
    Finding::error(codes::KEY_MISSING, path, format!("the ConfigMap `{name}` has no key `{key}`"))
        .hint("add the key; it is picked up as soon as it is there")
}
