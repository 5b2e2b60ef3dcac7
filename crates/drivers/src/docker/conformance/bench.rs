//! What a check works with.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard_stubs::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, Ipam, IpamConfig, NetworkCreateRequest, NetworkingConfig,
    VolumeCreateRequest,
};
use slipway_api::labels;
use slipway_plan::container_service::definition::{
    Container, ContainerKey, Definition, File, Lifecycle, Network, Volume,
};
use slipway_plan::container_service::observed::{self, Host, Owner};
use slipway_plan::container_service::plan::Step;

use super::{Outcome, Suite, ensure, said};
use crate::DriverError;
use crate::docker::Query;

/// What one check works with: an owner, and a definition that grows.
pub struct Bench<'a> {
    pub(super) suite: &'a Suite,
    /// Whose things are made.
    pub owner: Owner,
    /// What is wanted.
    pub definition: Definition,
}

impl Bench<'_> {
    fn marks(&self) -> [(String, String); 3] {
        [
            (labels::INSTALLATION.into(), self.owner.installation.clone()),
            (labels::NAMESPACE.into(), self.owner.namespace.clone()),
            (labels::NAME.into(), self.owner.name.clone()),
        ]
    }

    /// A network to be made.
    pub fn network(&mut self, name: &str) -> &mut Self {
        let mut marks: HashMap<_, _> = self.marks().into();
        marks.insert(labels::REVISION.into(), "n1".into());
        let body = NetworkCreateRequest { name: name.into(), labels: Some(marks), ..NetworkCreateRequest::default() };
        let network = Network { external: false, body, hash: "n1".into() };
        self.definition.networks.insert(name.into(), network);
        self
    }

    /// Gives a network of the definition one subnet.
    pub fn subnet(&mut self, name: &str, subnet: &str) {
        let config = IpamConfig { subnet: Some(subnet.into()), ..IpamConfig::default() };
        if let Some(network) = self.definition.networks.get_mut(name) {
            network.body.ipam = Some(Ipam { config: Some(vec![config]), ..Ipam::default() });
        }
    }

    /// A named volume to be made.
    pub fn volume(&mut self, name: &str) -> &mut Self {
        let body = VolumeCreateRequest {
            name: Some(name.into()),
            labels: Some(self.marks().into()),
            ..VolumeCreateRequest::default()
        };
        self.definition.volumes.insert(name.into(), Volume { external: false, body });
        self
    }

    /// A container that sleeps, and dies of its stop signal at once.
    pub fn container(&mut self, service: &str, networks: &[&str]) -> &mut Self {
        let networks: Vec<_> = networks.iter().map(|name| ((*name).to_owned(), EndpointSettings::default())).collect();
        let mut marks: HashMap<_, _> = self.marks().into();
        marks.insert(labels::SERVICE.into(), service.into());
        marks.insert("com.docker.compose.container-number".into(), "1".into());
        let mode = networks.first().map_or("none", |(name, _)| name);
        let body = ContainerCreateBody {
            image: Some(self.suite.image.clone()),
            cmd: Some(vec!["sleep".into(), "1000".into()]),
            labels: Some(marks),
            stop_signal: Some("SIGKILL".into()),
            host_config: Some(HostConfig { network_mode: Some(mode.into()), ..HostConfig::default() }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(networks.iter().take(1).cloned().collect()),
            }),
            ..ContainerCreateBody::default()
        };
        let container = Container {
            name: format!("{}-{service}-1", self.definition.project),
            image: self.suite.image.clone(),
            platform: None,
            body,
            mac_address: None,
            networks,
            files: Vec::new(),
            definition_hash: String::new(),
            depends_on: BTreeMap::new(),
            lifecycle: Lifecycle::Running,
            has_healthcheck: false,
            exclusive: None,
            has_volumes: false,
            stop_grace: Duration::from_secs(10),
            host_ports: Vec::new(),
        };
        self.definition.containers.insert(key(service), container);
        self
    }

    /// Changes a container's request.
    pub fn edit(&mut self, service: &str, edit: impl FnOnce(&mut ContainerCreateBody)) {
        if let Some(container) = self.definition.containers.get_mut(&key(service)) {
            edit(&mut container.body);
        }
    }

    /// Files for a container, of user 1000, mode 0440; each holds its own path.
    pub fn files(&mut self, service: &str, targets: &[&str], in_volume: bool) {
        if let Some(container) = self.definition.containers.get_mut(&key(service)) {
            let file = |target: &&str| File {
                target: (*target).into(),
                uid: 1000,
                gid: 1000,
                mode: 0o440,
                content: target.as_bytes().into(),
                in_volume,
            };
            container.files = targets.iter().map(file).collect();
        }
    }

    /// The step that makes a container.
    pub fn create(&self, service: &str) -> Step {
        Step::CreateContainer {
            key: key(service),
            name: format!("{}-{service}-1", self.definition.project),
            revision: "r1".into(),
            restart: Some("t1".into()),
            image_digest: None,
        }
    }

    /// The step that starts a container.
    pub fn start(&self, service: &str) -> Step {
        Step::StartContainer { name: format!("{}-{service}-1", self.definition.project) }
    }

    /// Takes a step.
    pub async fn take(&self, step: &Step) -> Result<(), DriverError> {
        self.suite.engine.execute(&self.owner, step, &self.definition).await
    }

    /// Takes a step that must succeed.
    pub async fn execute(&self, step: &Step) -> Outcome {
        self.take(step).await.map_err(said)
    }

    /// Makes all that the definition has; nothing is started.
    pub async fn make(&self) -> Outcome {
        for name in self.definition.networks.keys() {
            self.execute(&Step::CreateNetwork { name: name.clone() }).await?;
        }
        for name in self.definition.volumes.keys() {
            self.execute(&Step::CreateVolume { name: name.clone() }).await?;
        }
        for key in self.definition.containers.keys() {
            self.execute(&self.create(&key.service)).await?;
        }
        Ok(())
    }

    /// What the host shows of the owner.
    pub async fn observe(&self) -> Result<Host, String> {
        let query = Query {
            owner: self.owner.clone(),
            images: [self.suite.image.clone()].into(),
            networks: self.definition.networks.keys().cloned().collect(),
            volumes: self.definition.volumes.keys().cloned().collect(),
            unused_images: true,
            owned_only: false,
        };
        self.suite.engine.observe(&query).await.map_err(said)
    }

    /// The owner's only container.
    pub async fn only(&self) -> Result<observed::Container, String> {
        let mut containers = self.observe().await?.containers;
        ensure!(containers.len() == 1, "not one container but {containers:?}");
        containers.pop().ok_or_else(String::new)
    }

    /// Removes all that the owner has.
    pub async fn sweep(&self) -> Outcome {
        let host = self.observe().await?;
        for container in host.containers {
            self.execute(&stop(&container.id, &container.name)).await?;
            self.execute(&Step::RemoveContainer { id: container.id, name: container.name }).await?;
        }
        for (name, network) in host.networks {
            if network.owner.as_ref() == Some(&self.owner) {
                self.execute(&Step::RemoveNetwork { name, id: network.id }).await?;
            }
        }
        for (name, volume) in host.volumes {
            if volume.owner.as_ref() == Some(&self.owner) {
                self.execute(&Step::RemoveVolume { name }).await?;
            }
        }
        Ok(())
    }
}

/// The only container of a service.
pub fn key(service: &str) -> ContainerKey {
    ContainerKey { service: service.into(), number: 1 }
}

/// The step that stops a container.
pub fn stop(id: &str, name: &str) -> Step {
    Step::StopContainer { id: id.into(), name: name.into(), grace_seconds: 5 }
}

pub(super) fn rename(id: &str, from: &str, to: &str) -> Step {
    Step::RenameContainer { id: id.into(), from: from.into(), to: to.into() }
}
