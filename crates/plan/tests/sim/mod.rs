//! Hosts in memory: they take steps as an engine does, and time passes when it is told to.

#![allow(dead_code)] // Each test binary uses its own part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bollard_stubs::models::{ContainerCreateBody, EndpointSettings, HostConfig};
use jiff::{SignedDuration, Timestamp};
use slipway_api::container_service::{
    ContainerServiceStatus, Drift, OnFailure, Prune, PullPolicy, UpdateOrder, VolumeDeletion,
};
use slipway_plan::container_service::definition::{
    Container, ContainerKey, Definition, Dependency, Lifecycle, Network, Volume,
};
use slipway_plan::container_service::observed::{self, Health, HealthStatus, Host, Image, Other, Owner, State};
use slipway_plan::container_service::plan::{
    Fault, HostPlan, ImageView, NodeView, Nodes, Plan, Step, blocks, images_to_resolve, plan, plan_deletion, plan_hold,
};
use slipway_plan::container_service::status::{StepError, must_record, status};
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

/// What a container does once it is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Runs,
    /// Ends after so many milliseconds.
    Ends(u32, i64),
    /// Its check passes after so many milliseconds.
    Healthy(u32),
    /// Its check fails for good after so many milliseconds.
    Unhealthy(u32),
    /// Its check never comes to an end.
    NeverReady,
    /// The engine cannot start it.
    CannotStart,
}

#[derive(Clone, Debug)]
pub struct Made {
    pub seen: observed::Container,
    pub want: Container,
    pub behaviour: Behaviour,
}

/// One engine.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    pub made: Vec<Made>,
    pub others: Vec<Other>,
    pub networks: BTreeMap<String, observed::Network>,
    /// Networks that cannot be made now, though a trial found nothing.
    pub unmakable: BTreeSet<String>,
    pub kept: BTreeMap<String, observed::KeptNetwork>,
    pub volumes: BTreeMap<String, observed::Volume>,
    pub images: BTreeMap<String, Image>,
    pub unused_images: BTreeMap<String, String>,
    pub started_at: Option<Timestamp>,
    pub next_id: u32,
    pub taken: Vec<Step>,
}

impl Engine {
    fn id(&mut self) -> String {
        self.next_id += 1;
        format!("id{:04}", self.next_id)
    }

    fn at(&mut self, name: &str) -> Option<&mut Made> {
        self.made.iter_mut().find(|m| m.seen.name == name)
    }

    pub fn find(&self, name: &str) -> &Made {
        self.made.iter().find(|m| m.seen.name == name).unwrap_or_else(|| panic!("no {name} in {:?}", self.names()))
    }

    pub fn names(&self) -> BTreeSet<String> {
        self.made.iter().map(|m| format!("{} {:?}", m.seen.name, m.seen.state)).collect()
    }

    pub fn running(&self, service: &str) -> Vec<&Made> {
        self.made.iter().filter(|m| m.seen.key.service == service && m.seen.state == State::Running).collect()
    }

    fn port_free(&self, name: &str, want: &Container) -> Result<(), String> {
        for (_, port, _) in &want.host_ports {
            let ours = self.made.iter().find(|m| {
                m.seen.name != name
                    && matches!(m.seen.state, State::Running | State::Paused)
                    && m.want.host_ports.iter().any(|(_, p, _)| p == port)
            });
            let theirs = self.others.iter().any(|o| o.host_ports.iter().any(|(_, p, _)| p == port));
            if ours.is_some() || theirs {
                return Err(format!("port {port} is already allocated"));
            }
        }
        Ok(())
    }

    pub fn start(&mut self, name: &str, now: Timestamp) -> Result<(), String> {
        let made = self.made.iter().find(|m| m.seen.name == name).ok_or("no such container")?.clone();
        if made.seen.state == State::Running {
            return Ok(());
        }
        let mut bound = BTreeMap::new();
        let mut wrong = None;
        for network in &made.seen.networks {
            match (self.networks.get(network), made.seen.network_ids.get(network)) {
                (Some(there), None) => drop(bound.insert(network.clone(), there.id.clone())),
                (Some(there), Some(id)) if there.id == *id => drop(bound.insert(network.clone(), id.clone())),
                _ => wrong = Some(format!("network {network} not found")),
            }
        }
        if let Err(error) = self.port_free(name, &made.want) {
            wrong = Some(error);
        }
        if made.behaviour == Behaviour::CannotStart {
            wrong = Some("exec: no such file".into());
        }
        let made = self.at(name).ok_or("no such container")?;
        if let Some(error) = wrong {
            made.seen.error.clone_from(&error);
            return Err(error);
        }
        made.seen.error.clear();
        made.seen.network_ids = bound;
        made.seen.state = State::Running;
        made.seen.started_at = Some(now);
        made.seen.exit_code = 0;
        made.seen.health =
            made.want.has_healthcheck.then(|| Health { status: HealthStatus::Starting, output: String::new() });
        Ok(())
    }

    /// Ends a container from outside.
    pub fn kill(&mut self, name: &str, code: i64, now: Timestamp) {
        let made = self.at(name).unwrap();
        end(&mut made.seen, code, now);
    }

    /// What happens by itself until a time.
    fn tick(&mut self, now: Timestamp) {
        for made in &mut self.made {
            let Some(started) = made.seen.started_at.filter(|_| made.seen.state == State::Running) else { continue };
            let after = |millis: u32| started + SignedDuration::from_millis(millis.into());
            match made.behaviour {
                Behaviour::Ends(millis, code) if after(millis) <= now => {
                    made.seen.log_tail = format!("{} gives up", made.want.definition_hash);
                    end(&mut made.seen, code, after(millis));
                }
                Behaviour::Healthy(millis) if after(millis) <= now => {
                    made.seen.health = made.seen.health.take().map(|h| Health { status: HealthStatus::Healthy, ..h });
                }
                Behaviour::Unhealthy(millis) if after(millis) <= now => {
                    let output = "connection refused".to_owned();
                    made.seen.health =
                        made.seen.health.take().map(|_| Health { status: HealthStatus::Unhealthy, output });
                }
                _ => {}
            }
        }
    }

    pub fn observe(&self) -> Host {
        Host {
            containers: self.made.iter().map(|m| m.seen.clone()).collect(),
            others: self.others.clone(),
            networks: self.networks.clone(),
            kept_networks: self.kept.clone(),
            volumes: self.volumes.clone(),
            images: self.images.clone(),
            unused_images: self.unused_images.clone(),
            engine_started_at: self.started_at,
            ..Host::default()
        }
    }

    fn apply(
        &mut self,
        step: &Step,
        valid: &Valid,
        behaviours: &BTreeMap<String, Behaviour>,
        now: Timestamp,
    ) -> Result<(), String> {
        let ours = |owner: Option<&Owner>| owner == Some(&valid.owner);
        match step {
            Step::PullImage { image, digest, .. } => {
                let digest = digest.clone().expect("the digest is known before an image is pulled");
                let id = format!("id-of-{digest}");
                self.images.insert(image.clone(), Image { id, digests: vec![digest], has_healthcheck: false });
            }
            Step::RemoveImage { image } => drop(self.unused_images.remove(image).expect("an unused image")),
            Step::CreateNetwork { name } if self.unmakable.contains(name) => {
                return Err(format!("network {name} overlaps with another"));
            }
            Step::CreateNetwork { name } => {
                let id = self.id();
                let hash = valid.definition.networks[name].hash.clone();
                let network = observed::Network { id, owner: Some(owner()), hash: Some(hash), project: None };
                assert!(self.networks.insert(name.clone(), network).is_none(), "{name} is there already");
            }
            Step::TryNetwork { name } if valid.definition.networks[name].body.internal == Some(true) => {
                return Err(format!("network {name} cannot be made like that"));
            }
            Step::TryNetwork { .. } => {}
            Step::KeepNetwork { name, id, containers } => {
                let there = self.networks.get(name).ok_or("no such network")?;
                assert!(there.id == *id && !containers.is_empty());
                let volume = format!("{name}.slipway-old");
                let role = Some("network".to_owned());
                let record = observed::Volume { owner: Some(owner()), role, ..observed::Volume::default() };
                self.volumes.insert(volume.clone(), record);
                let kept = observed::KeptNetwork { volume, id: id.clone(), hash: there.hash.clone() };
                self.kept.insert(name.clone(), kept);
            }
            Step::RestoreNetwork { name } => {
                let hash = self.kept.get(name).expect("a record").hash.clone();
                let network = observed::Network { id: self.id(), owner: Some(owner()), hash, project: None };
                assert!(self.networks.insert(name.clone(), network).is_none(), "{name} is there already");
            }
            Step::RebindContainer { id, name, network } => {
                let made = self.by_id(id, name)?;
                assert_eq!(made.seen.state, State::Exited);
                made.seen.network_ids.remove(network);
            }
            Step::RemoveNetwork { name, id } => {
                let Some(there) = self.networks.get(name) else { return Ok(()) };
                assert!(ours(there.owner.as_ref()) && there.id == *id, "{name} is not ours to remove");
                if self.made.iter().any(|m| m.seen.networks.contains(name) && m.seen.state == State::Running) {
                    return Err(format!("network {name} has active endpoints"));
                }
                self.networks.remove(name);
            }
            Step::CreateVolume { name } => {
                let volume = observed::Volume { owner: Some(owner()), ..observed::Volume::default() };
                assert!(self.volumes.insert(name.clone(), volume).is_none(), "{name} is there already");
            }
            Step::RemoveVolume { name } => {
                let there = self.volumes.get(name).expect("a volume");
                assert!(ours(there.owner.as_ref()), "{name} is not ours to remove");
                assert!(!self.made.iter().any(|m| m.seen.volumes.contains(name)), "{name} is in use");
                self.volumes.remove(name);
                self.kept.retain(|_, kept| kept.volume != *name);
            }
            Step::CreateContainer { key, name, revision, restart, image_digest } => {
                self.create(key, name, revision, restart.as_ref(), image_digest.as_ref(), valid, behaviours, now)?;
            }
            Step::StartContainer { name } => self.start(name, now)?,
            Step::StopContainer { id, name, .. } => {
                let made = self.by_id(id, name)?;
                end(&mut made.seen, 137, now);
            }
            Step::UnpauseContainer { id, name } => self.by_id(id, name)?.seen.state = State::Running,
            Step::RenameContainer { id, from, to } => {
                if self.made.iter().any(|m| m.seen.name == *to) || self.others.iter().any(|o| o.name == *to) {
                    return Err(format!("name {to} is in use"));
                }
                self.by_id(id, from)?.seen.name.clone_from(to);
            }
            Step::ConnectNetwork { id, network, .. } => {
                let there = self.networks[network].id.clone();
                let made = self.made.iter_mut().find(|m| m.seen.id == *id).ok_or("gone")?;
                made.seen.networks.push(network.clone());
                made.seen.network_ids.insert(network.clone(), there);
            }
            Step::UpdateContainer { id, key } => {
                let wanted = valid.definition.containers[key].body.host_config.clone().unwrap_or_default();
                self.made.iter_mut().find(|m| m.seen.id == *id).ok_or("gone")?.seen.host_config = wanted;
            }
            Step::RemoveContainer { id, name } => {
                let Some(at) = self.made.iter().position(|m| m.seen.id == *id) else { return Ok(()) };
                assert_eq!(self.made[at].seen.name, *name, "a removal goes by the name of that time");
                assert!(!matches!(self.made[at].seen.state, State::Running | State::Paused), "{name} is still up");
                self.made.remove(at);
            }
        }
        Ok(())
    }

    fn by_id(&mut self, id: &str, name: &str) -> Result<&mut Made, String> {
        let made = self.made.iter_mut().find(|m| m.seen.id == id).ok_or(format!("{name} is gone"))?;
        assert_eq!(made.seen.name, name, "a step goes by the name of that time");
        Ok(made)
    }

    #[allow(clippy::too_many_arguments)]
    fn create(
        &mut self,
        key: &ContainerKey,
        name: &str,
        revision: &str,
        restart: Option<&String>,
        digest: Option<&String>,
        valid: &Valid,
        behaviours: &BTreeMap<String, Behaviour>,
        now: Timestamp,
    ) -> Result<(), String> {
        if self.made.iter().any(|m| m.seen.name == name) || self.others.iter().any(|o| o.name == name) {
            return Err(format!("name {name} is in use"));
        }
        let want = valid.definition.containers[key].clone();
        let image = self.images.get(&want.image).ok_or(format!("no image {}", want.image))?.clone();
        if let Some(digest) = digest {
            assert!(image.digests.contains(digest), "another image than the one that was asked for");
        }
        for (network, _) in &want.networks {
            self.networks.get(network).ok_or(format!("no network {network}"))?;
        }
        let behaviour = behaviours.get(&want.definition_hash).copied();
        let seen = observed::Container {
            id: self.id(),
            name: name.into(),
            key: key.clone(),
            revision: revision.into(),
            restart: restart.cloned(),
            image_id: image.id,
            state: State::Created,
            exit_code: 0,
            oom_killed: false,
            error: String::new(),
            started_at: None,
            finished_at: None,
            created_at: Some(now),
            health: None,
            restart_count: 0,
            log_tail: String::new(),
            networks: want.networks.iter().map(|(n, _)| n.clone()).collect(),
            stop_timeout: None,
            runs_once: want.lifecycle == Lifecycle::Once,
            depends_on: want.depends_on.keys().cloned().collect(),
            volumes: Vec::new(),
            network_ids: BTreeMap::new(),
            host_config: want.body.host_config.clone().unwrap_or_default(),
        };
        let fallback = if want.has_healthcheck { Behaviour::Healthy(500) } else { Behaviour::Runs };
        let fallback = if want.lifecycle == Lifecycle::Once { Behaviour::Ends(500, 0) } else { fallback };
        self.made.push(Made { seen, want, behaviour: behaviour.unwrap_or(fallback) });
        Ok(())
    }
}

fn end(seen: &mut observed::Container, code: i64, now: Timestamp) {
    if seen.state != State::Created {
        seen.state = State::Exited;
        seen.exit_code = code;
        seen.finished_at = Some(now);
        seen.health = None;
    }
}

/// Decides what goes wrong: whether the n-th step of all fails, or everything stops after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mishap {
    #[default]
    None,
    /// The step fails without effect.
    Fails,
    /// The step fails, though it had its effect (an answer that got lost).
    FailsLate,
    /// The operator is killed right after the step.
    Crash,
}

/// Engines, the object's status and the time.
#[derive(Clone, Debug)]
pub struct World {
    pub valid: Valid,
    pub generation: i64,
    pub engines: BTreeMap<String, Engine>,
    pub nodes: BTreeMap<String, NodeView>,
    pub registry: BTreeMap<String, String>,
    pub behaviours: BTreeMap<String, Behaviour>,
    pub status: ContainerServiceStatus,
    pub now: Timestamp,
    /// Steps tried so far, over all hosts.
    pub tried: usize,
    /// By number of the step.
    pub mishaps: BTreeMap<usize, Mishap>,
    /// Steps taken since the last `forget`.
    pub log: Vec<String>,
    pub pulls_work: bool,
}

impl World {
    pub fn new(valid: Valid, hosts: &[&str]) -> Self {
        let node = |name: &&str| {
            let view = NodeView { matches: true, engine_id: Some(format!("engine-{name}")), ..NodeView::default() };
            ((*name).to_owned(), view)
        };
        let images: BTreeSet<_> = valid.definition.containers.values().map(|c| c.image.clone()).collect();
        Self {
            valid,
            generation: 1,
            engines: hosts.iter().map(|h| ((*h).to_owned(), Engine::default())).collect(),
            nodes: hosts.iter().map(node).collect(),
            registry: images.into_iter().map(|i| (i.clone(), format!("sha256:{i}"))).collect(),
            behaviours: BTreeMap::new(),
            status: ContainerServiceStatus::default(),
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            tried: 0,
            mishaps: BTreeMap::new(),
            log: Vec::new(),
            pulls_work: true,
        }
    }

    pub fn engine(&mut self, host: &str) -> &mut Engine {
        self.engines.get_mut(host).unwrap()
    }

    /// Another spec.
    pub fn change(&mut self, services: impl IntoIterator<Item = Container>) {
        self.valid.definition = definition(services);
        self.generation += 1;
        for container in self.valid.definition.containers.values() {
            let image = container.image.clone();
            self.registry.entry(image.clone()).or_insert(format!("sha256:{image}"));
        }
    }

    /// The same on another network. What a container's revision is made of has the networks' definitions in it.
    pub fn move_to(&mut self, hash: &str) {
        self.valid.definition.networks.get_mut(NETWORK).unwrap().hash = hash.into();
        for (key, container) in &mut self.valid.definition.containers {
            container.definition_hash = format!("{}:1 on {hash}", key.service);
        }
        self.generation += 1;
    }

    pub fn pass_time(&mut self, span: Duration) {
        self.now += SignedDuration::try_from(span).unwrap();
        let now = self.now;
        self.engines.values_mut().for_each(|e| e.tick(now));
    }

    /// Cuts a host off, or brings it back.
    pub fn set_away(&mut self, host: &str, away: bool) {
        let node = self.nodes.get_mut(host).unwrap();
        node.unreachable_since = away.then_some(self.now);
        let message = "no route to host".to_owned();
        node.fault = away.then(|| Fault { reason: "Unreachable".into(), message, needs_person: false });
    }

    pub fn nodes(&self) -> Nodes {
        let view = |(name, node): (&String, &NodeView)| {
            let host = node.fault.is_none().then(|| self.engines[name].observe());
            (name.clone(), NodeView { host, ..node.clone() })
        };
        Nodes(self.nodes.iter().map(view).collect())
    }

    pub fn images(&self) -> ImageView {
        let asked = images_to_resolve(&self.valid, self.generation, &self.nodes(), &self.status, self.now);
        let answer = |image: &String| {
            let fault =
                || Fault { reason: "ImageMissing".into(), message: format!("{image}: 404"), needs_person: true };
            self.registry.get(image).cloned().ok_or_else(fault)
        };
        ImageView(asked.into_iter().map(|image| (image.clone(), answer(&image))).collect())
    }

    pub fn plan(&self) -> Plan {
        plan(&self.valid, self.generation, &self.nodes(), &self.images(), &self.status, self.now)
    }

    /// One reconcile: plan, record, act, report. Says whether any step had an effect.
    pub fn pass(&mut self) -> bool {
        let plan = self.plan();
        if must_record(&self.status, &plan) {
            self.status = status(&self.status, self.generation, &plan, &[], self.now);
        }
        let mut errors = Vec::new();
        let mut taken = false;
        for (host, todo) in &plan.hosts {
            match self.act(host, todo) {
                Ok((any, mut failed)) => {
                    taken |= any;
                    errors.append(&mut failed);
                }
                // Killed: neither the other hosts nor the status are reached.
                Err(()) => return true,
            }
        }
        let plan = self.plan();
        self.status = status(&self.status, self.generation, &plan, &errors, self.now);
        taken
    }

    fn act(&mut self, host: &str, todo: &HostPlan) -> Result<(bool, Vec<StepError>), ()> {
        let mut failed: Vec<(Step, String)> = Vec::new();
        let mut taken = false;
        let pulls = if self.pulls_work { todo.pulls.as_slice() } else { &[] };
        for stage in std::iter::once(pulls).chain(todo.stages.iter().map(Vec::as_slice)) {
            let before = failed.clone();
            for step in stage {
                if before.iter().any(|(f, _)| blocks(&self.valid.definition, f, step)) {
                    continue;
                }
                let mishap = self.mishaps.get(&self.tried).copied().unwrap_or_default();
                self.tried += 1;
                self.pass_time(Duration::from_millis(20));
                let result = match mishap {
                    Mishap::Fails => Err("the engine stumbled".to_owned()),
                    _ => self.take(host, step),
                };
                match result {
                    Ok(()) if mishap == Mishap::FailsLate => failed.push((step.clone(), "no answer".into())),
                    Ok(()) => taken = true,
                    Err(error) => failed.push((step.clone(), error)),
                }
                if mishap == Mishap::Crash {
                    return Err(());
                }
            }
        }
        let error = |(step, message): (Step, String)| StepError {
            host: host.into(),
            service: None,
            reason: "StepFailed".into(),
            message: format!("{step}: {message}"),
            needs_person: false,
        };
        Ok((taken, failed.into_iter().map(error).collect()))
    }

    fn take(&mut self, host: &str, step: &Step) -> Result<(), String> {
        let engine = self.engines.get_mut(host).unwrap();
        let result = engine.apply(step, &self.valid, &self.behaviours, self.now);
        self.log.push(match &result {
            Ok(()) => format!("{host}: {step}"),
            Err(error) => format!("{host}: {step}: {error}"),
        });
        self.check_each_step();
        result
    }

    /// What must be true at any time.
    fn check_each_step(&self) {
        for (host, engine) in &self.engines {
            let names: BTreeSet<_> = engine.made.iter().map(|m| &m.seen.name).collect();
            assert_eq!(names.len(), engine.made.len(), "two containers of one name on {host}");
            for made in engine.made.iter().filter(|m| m.want.exclusive.is_some()) {
                let twins = engine.running(&made.seen.key.service);
                let twins = twins.iter().filter(|m| m.seen.key == made.seen.key && m.want.exclusive.is_some()).count();
                assert!(twins <= 1, "two of {} run on {host}:\n{}", made.seen.key, self.log.join("\n"));
            }
        }
    }

    /// Reconciles until nothing is left to be done or waited for with a time; lets time pass as it is asked to.
    pub fn settle(&mut self) -> Plan {
        for _ in 0..300 {
            if self.pass() {
                continue;
            }
            let plan = self.plan();
            match plan.until() {
                Some(at) if at > self.now => {
                    let span = at.duration_since(self.now).max(SignedDuration::from_millis(10));
                    self.pass_time(span.unsigned_abs());
                }
                Some(_) => self.pass_time(Duration::from_millis(100)),
                None if self.will_move() => self.pass_time(Duration::from_millis(500)),
                None if plan.is_empty() => {
                    // A pass without errors clears those of the last one.
                    self.pass();
                    return self.plan();
                }
                // Steps that failed: the caller's back-off.
                None => self.pass_time(Duration::from_secs(5)),
            }
            let quiet = plan.is_empty() && !self.will_move() && plan.waits.iter().all(|w| w.until.is_none());
            if quiet && self.plan().is_empty() {
                self.pass();
                return self.plan();
            }
        }
        panic!("does not settle:\n{}\nplan:\n{}\n{:#?}", self.log.join("\n"), self.plan(), self.status);
    }

    /// A container is about to change by itself.
    fn will_move(&self) -> bool {
        self.engines.values().flat_map(|e| &e.made).filter(|m| m.seen.state == State::Running).any(|m| {
            let starting = m.seen.health.as_ref().is_some_and(|h| h.status == HealthStatus::Starting);
            match m.behaviour {
                Behaviour::Ends(..) => true,
                Behaviour::Healthy(_) | Behaviour::Unhealthy(_) => starting,
                _ => false,
            }
        })
    }

    /// What is done while the spec is refused, until nothing is left to be done.
    pub fn hold(&mut self, drift: Drift) {
        for _ in 0..100 {
            let plan = plan_hold(&self.nodes(), drift, &self.status, self.now);
            if plan.is_empty() && plan.until().is_none() {
                return;
            }
            for (host, todo) in &plan.hosts {
                // One that is killed is started again.
                let _ = self.act(host, todo);
            }
            self.pass_time(Duration::from_millis(500));
        }
        panic!("there is no end to it:\n{}", self.log.join("\n"));
    }

    pub fn delete(&mut self, volumes: VolumeDeletion) {
        let deadline = self.now + SignedDuration::from_mins(5);
        for _ in 0..50 {
            let deletion = plan_deletion(&owner(), volumes, &self.nodes(), deadline, self.now);
            if deletion.is_done() {
                return;
            }
            let mut taken = false;
            for (host, todo) in &deletion.plan.hosts {
                taken |= self.act(host, todo).is_ok_and(|(any, _)| any);
            }
            if !taken {
                self.pass_time(Duration::from_secs(30));
            }
        }
        panic!("deletion does not end");
    }

    /// Takes the deletion's steps once, on the hosts that can be reached.
    pub fn delete_reachable(&mut self, deadline: Timestamp) {
        let deletion = plan_deletion(&owner(), VolumeDeletion::Keep, &self.nodes(), deadline, self.now);
        for (host, todo) in &deletion.plan.hosts {
            let (_, errors) = self.act(host, todo).unwrap();
            assert!(errors.is_empty(), "{errors:?}");
        }
    }

    pub fn forget(&mut self) {
        self.log.clear();
    }

    pub fn ready(&self) -> bool {
        slipway_api::conditions::is_ready(&self.status.conditions)
    }

    pub fn reason(&self) -> &str {
        slipway_api::conditions::find(&self.status.conditions, "Ready").map_or("", |c| c.reason.as_str())
    }

    pub fn message(&self) -> &str {
        slipway_api::conditions::find(&self.status.conditions, "Ready").map_or("", |c| c.message.as_str())
    }

    pub fn is_stalled(&self) -> bool {
        slipway_api::conditions::find(&self.status.conditions, "Stalled").is_some()
    }
}
