//! What would happen, from the first step to the last, if every step succeeded and every container did at once what it is
//! there for. For people: the operator plans anew after each step and never acts on this.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use slipway_api::container_service::ContainerServiceStatus;

use super::definition::Lifecycle;
use super::observed::{Container, Health, HealthStatus, Host, Image, KeptNetwork, Network, State, Volume};
use super::plan::{ImageView, Nodes, Step, Wait, plan};
use super::status::status;
use super::validate::Valid;

/// More passes than any sensible rollout needs.
const MOST_PASSES: usize = 1000;
/// Longer than any container is watched before it counts as ready.
const A_WHILE: SignedDuration = SignedDuration::from_secs(60);

/// What would happen.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Foresight {
    /// In the order in which they would be taken.
    pub steps: Vec<HostStep>,
    /// What is left to wait for then.
    pub waits: Vec<Wait>,
}

/// A step on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostStep {
    /// The Node.
    pub host: String,
    /// What is done.
    #[serde(flatten)]
    pub step: Step,
}

/// What would happen from here on.
pub fn foresee(
    valid: &Valid,
    generation: i64,
    nodes: &Nodes,
    images: &ImageView,
    old: &ContainerServiceStatus,
    now: Timestamp,
) -> Foresight {
    let (mut nodes, mut old, mut now) = (nodes.clone(), old.clone(), now);
    let mut foresight = Foresight::default();
    for _ in 0..MOST_PASSES {
        let next = plan(valid, generation, &nodes, images, &old, now);
        old = status(&old, generation, &next, &[], now);
        foresight.waits = next.waits;
        if next.hosts.is_empty() {
            break;
        }
        for (host, todo) in next.hosts {
            let Some(there) = nodes.0.get_mut(&host).and_then(|node| node.host.as_mut()) else { continue };
            for step in todo.pulls.into_iter().chain(todo.stages.into_iter().flatten()) {
                take(there, &step, valid, now);
                foresight.steps.push(HostStep { host: host.clone(), step });
            }
        }
        now = now.checked_add(A_WHILE).unwrap_or(now);
        for host in nodes.0.values_mut().filter_map(|node| node.host.as_mut()) {
            host.containers.iter_mut().for_each(|container| fulfil(container, valid, now));
        }
    }
    foresight
}

/// Takes a step on what a host shows.
fn take(host: &mut Host, step: &Step, valid: &Valid, now: Timestamp) {
    let definition = &valid.definition;
    match step {
        Step::PullImage { image, digest, .. } => {
            let digests = digest.iter().cloned().collect();
            host.images.insert(image.clone(), Image { id: image.clone(), digests, has_healthcheck: false });
        }
        Step::RemoveImage { image } => drop(host.unused_images.remove(image)),
        Step::CreateNetwork { name } => {
            let hash = definition.networks.get(name).map(|n| n.hash.clone());
            let owner = Some(valid.owner.clone());
            host.networks.insert(name.clone(), Network { id: format!("new {name}"), owner, hash, project: None });
        }
        Step::KeepNetwork { name, id, .. } => {
            let hash = host.networks.get(name).and_then(|network| network.hash.clone());
            let kept = KeptNetwork { volume: format!("{name} on record"), id: id.clone(), hash };
            host.kept_networks.insert(name.clone(), kept);
        }
        // A trial leaves nothing behind; and only what has failed goes back, where nothing fails here.
        Step::TryNetwork { .. } | Step::RestoreNetwork { .. } | Step::RebindContainer { .. } => {}
        Step::RemoveNetwork { name, .. } => drop(host.networks.remove(name)),
        Step::CreateVolume { name } => {
            host.volumes.insert(name.clone(), Volume { owner: Some(valid.owner.clone()), ..Volume::default() });
        }
        Step::RemoveVolume { name } => {
            host.volumes.remove(name);
            host.kept_networks.retain(|_, kept| kept.volume != *name);
        }
        Step::CreateContainer { key, name, revision, restart, .. } => {
            let Some(want) = definition.containers.get(key) else { return };
            host.containers.push(Container {
                id: format!("new {name} {}", host.containers.len()),
                name: name.clone(),
                key: key.clone(),
                revision: revision.clone(),
                restart: restart.clone(),
                image_id: want.image.clone(),
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
                networks: want.networks.iter().map(|(name, _)| name.clone()).collect(),
                stop_timeout: None,
                runs_once: want.lifecycle == Lifecycle::Once,
                depends_on: want.depends_on.keys().cloned().collect(),
                volumes: Vec::new(),
                network_ids: std::collections::BTreeMap::new(),
                host_config: want.body.host_config.clone().unwrap_or_default(),
            });
        }
        Step::StartContainer { name } => {
            for container in host.containers.iter_mut().filter(|c| c.name == *name) {
                container.state = State::Running;
                container.error.clear();
                container.started_at = Some(now);
                container.finished_at = None;
                let checked = definition.containers.get(&container.key).is_some_and(|want| want.has_healthcheck);
                container.health = checked.then(|| Health { status: HealthStatus::Starting, output: String::new() });
            }
        }
        Step::StopContainer { id, .. } => on(host, id, |c| (c.state, c.finished_at) = (State::Exited, Some(now))),
        Step::UnpauseContainer { id, .. } => on(host, id, |c| c.state = State::Running),
        Step::RenameContainer { id, to, .. } => on(host, id, |c| c.name.clone_from(to)),
        Step::ConnectNetwork { id, network, .. } => on(host, id, |c| c.networks.push(network.clone())),
        Step::UpdateContainer { id, key } => {
            let wanted = definition.containers.get(key).and_then(|want| want.body.host_config.clone());
            on(host, id, |c| c.host_config = wanted.unwrap_or_default());
        }
        Step::RemoveContainer { id, .. } => host.containers.retain(|c| c.id != *id),
    }
}

fn on(host: &mut Host, id: &str, act: impl FnOnce(&mut Container)) {
    if let Some(container) = host.containers.iter_mut().find(|c| c.id == id) {
        act(container);
    }
}

/// Lets a container do what it is there for.
fn fulfil(container: &mut Container, valid: &Valid, now: Timestamp) {
    let Some(want) = valid.definition.containers.get(&container.key) else { return };
    match (container.state, want.lifecycle) {
        (State::Running, Lifecycle::Once) => {
            (container.state, container.exit_code, container.finished_at) = (State::Exited, 0, Some(now));
        }
        (State::Running, Lifecycle::Running) => {
            if let Some(health) = &mut container.health {
                health.status = HealthStatus::Healthy;
            }
        }
        _ => {}
    }
}

impl fmt::Display for Foresight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() && self.waits.is_empty() {
            writeln!(f, "nothing to do")?;
        }
        for HostStep { host, step } in &self.steps {
            writeln!(f, "{host}: {step}")?;
        }
        for wait in &self.waits {
            writeln!(f, "waits: {} ({})", wait.message, wait.reason)?;
        }
        Ok(())
    }
}
