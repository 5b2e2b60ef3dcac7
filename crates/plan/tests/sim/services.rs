//! Services as they are to be.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard_stubs::models::{ContainerCreateBody, EndpointSettings, HostConfig};
use slipway_api::container_service::{Drift, OnFailure, Prune, PullPolicy, UpdateOrder, VolumeDeletion};
use slipway_plan::container_service::definition::{
    Container, ContainerKey, Definition, Dependency, Lifecycle, Network, Volume,
};
use slipway_plan::container_service::observed::Owner;
use slipway_plan::container_service::validate::{Deletion, Images, Placement, Update, Valid};
use slipway_plan::formats::compose::model::Condition;

pub const PROJECT: &str = "shop";
pub const NETWORK: &str = "shop_default";

pub fn owner() -> Owner {
    Owner { installation: "uid-1".into(), namespace: "prod".into(), name: "shop".into() }
}

pub fn stranger() -> Owner {
    Owner { installation: "uid-2".into(), ..owner() }
}

pub fn key(service: &str) -> ContainerKey {
    ContainerKey { service: service.into(), number: 1 }
}

/// A service to be; `version` stands for all that its definition hash is made of.
pub fn service(name: &str, version: &str) -> Container {
    Container {
        name: format!("{PROJECT}-{name}-1"),
        image: format!("registry.lab/{name}:1"),
        platform: None,
        body: ContainerCreateBody { host_config: Some(HostConfig::default()), ..ContainerCreateBody::default() },
        mac_address: None,
        networks: vec![(NETWORK.into(), EndpointSettings::default())],
        files: Vec::new(),
        definition_hash: format!("{name}:{version}"),
        depends_on: BTreeMap::new(),
        lifecycle: Lifecycle::Running,
        has_healthcheck: false,
        exclusive: None,
        has_volumes: false,
        stop_grace: Duration::from_secs(10),
        host_ports: Vec::new(),
    }
}

pub trait Shape {
    fn after(self, service: &str, condition: Condition) -> Self;
    fn after_optional(self, service: &str, condition: Condition) -> Self;
    fn renewed_with(self, service: &str) -> Self;
    fn port(self, port: u16) -> Self;
    fn checked(self) -> Self;
    fn once(self) -> Self;
    fn with_volume(self) -> Self;
}

impl Shape for Container {
    fn after(mut self, service: &str, condition: Condition) -> Self {
        self.depends_on.insert(service.into(), Dependency { condition, restart: false, required: true });
        self
    }
    fn after_optional(mut self, service: &str, condition: Condition) -> Self {
        self.depends_on.insert(service.into(), Dependency { condition, restart: false, required: false });
        self
    }
    fn renewed_with(mut self, service: &str) -> Self {
        let condition = Condition::Started;
        self.depends_on.insert(service.into(), Dependency { condition, restart: true, required: true });
        self
    }
    fn port(mut self, port: u16) -> Self {
        self.host_ports.push((String::new(), port, "tcp".into()));
        self.exclusive = Some(format!("host port {port}"));
        self
    }
    fn checked(mut self) -> Self {
        self.has_healthcheck = true;
        self
    }
    fn once(mut self) -> Self {
        self.lifecycle = Lifecycle::Once;
        self
    }
    fn with_volume(mut self) -> Self {
        self.has_volumes = true;
        self
    }
}

pub fn definition(services: impl IntoIterator<Item = Container>) -> Definition {
    let mut definition = Definition { project: PROJECT.into(), ..Definition::default() };
    let network = Network { external: false, body: serde_json::from_str(r#"{"Name":"n"}"#).unwrap(), hash: "1".into() };
    definition.networks.insert(NETWORK.into(), network);
    for container in services {
        let name = container.name.trim_start_matches(PROJECT).trim_start_matches('-');
        let (service, number) = name.rsplit_once('-').unwrap();
        let key = ContainerKey { service: service.into(), number: number.parse().unwrap() };
        if container.has_volumes {
            let volume = Volume { external: false, body: serde_json::from_str("{}").unwrap() };
            definition.volumes.insert(format!("{PROJECT}_{service}"), volume);
        }
        definition.containers.insert(key, container);
    }
    definition
}

pub fn valid(services: impl IntoIterator<Item = Container>) -> Valid {
    Valid {
        owner: owner(),
        definition: definition(services),
        placement: Placement::Each,
        update: Update {
            order: UpdateOrder::StopFirst,
            max_unavailable: 1,
            on_failure: OnFailure::Rollback,
            timeout: Duration::from_mins(1),
            min_ready: Duration::from_secs(2),
        },
        images: Images { pull_policy: PullPolicy::IfNotPresent, follow: None, prune: Prune::Never },
        drift: Drift::Heal,
        restart: None,
        deletion: Deletion { volumes: VolumeDeletion::Keep, timeout: Duration::from_mins(5) },
        warnings: Vec::new(),
    }
}
