//! Engines, the object's status and the time: passes as the operator makes them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use slipway_api::container_service::{ContainerServiceStatus, Drift, VolumeDeletion};
use slipway_plan::container_service::definition::Container;
use slipway_plan::container_service::observed::{HealthStatus, State};
use slipway_plan::container_service::plan::{
    Fault, HostPlan, ImageView, NodeView, Nodes, Plan, Step, blocks, images_to_resolve, plan, plan_deletion, plan_hold,
};
use slipway_plan::container_service::status::{StepError, must_record, status};
use slipway_plan::container_service::validate::Valid;

use super::engine::{Behaviour, Engine};
use super::services::{NETWORK, definition, owner};

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
