//! One engine: it takes steps, and its containers do what they are told to do once they are started.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use slipway_plan::container_service::definition::{Container, ContainerKey, Lifecycle};
use slipway_plan::container_service::observed::{self, Health, HealthStatus, Host, Image, Other, Owner, State};
use slipway_plan::container_service::plan::Step;
use slipway_plan::container_service::validate::Valid;

use super::services::owner;

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
    pub(super) fn tick(&mut self, now: Timestamp) {
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

    pub(super) fn apply(
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
