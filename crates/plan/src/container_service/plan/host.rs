//! One host: its slots in the order of their dependencies, networks and volumes around them, as stages of steps.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use slipway_api::conditions;
use slipway_api::container_service::{ContainerServiceStatus, FailedRevision, OnFailure, Prune, Unhealthy};

use super::completed;
use super::conflicts::conflicts;
use super::failures::{self, Revisions};
use super::images::{self, Pins};
use super::look::{Clock, Look, has_run, is_up};
use super::removal;
use super::rollout::{Standing, Turn};
use super::slot::{Slot, is_unbound, was_put_aside};
use super::work::{Trouble, Work};
use super::{HostPlan, Step, Summary, Wait};
use crate::container_service::definition::{self, ContainerKey, Definition, Dependency, Lifecycle};
use crate::container_service::observed::{self, Container, Health, HealthStatus, Host, State};
use crate::container_service::validate::Valid;
use crate::formats::compose::model::Condition;

/// What is the same for every host.
pub(super) struct Cx<'a> {
    pub valid: &'a Valid,
    pub generation: i64,
    pub old: &'a ContainerServiceStatus,
    pub pins: &'a Pins,
    pub wanted: &'a Revisions,
    /// Services, those that others depend on first.
    pub order: &'a [&'a str],
    /// Since when the object has not been ready; `None` while it is.
    pub failing_since: Option<Timestamp>,
}

/// One host as it is found.
pub(super) struct Scene<'a> {
    pub cx: &'a Cx<'a>,
    pub node: &'a str,
    pub host: &'a Host,
    pub suspended: bool,
    /// Why the rollout of the Node's Design does not let it be disrupted now.
    pub held: Option<&'a str>,
    pub clock: Clock,
    pub slots: BTreeMap<&'a ContainerKey, Slot<'a>>,
    /// What is in the way of making containers here.
    pub conflicts: Vec<Wait>,
    /// Networks of ours that are not as wanted any more. No engine can change one, so they are made anew.
    stale_networks: BTreeSet<&'a str>,
}

/// What comes of one host.
#[derive(Default)]
pub(super) struct Outcome {
    pub plan: HostPlan,
    pub waits: Vec<Wait>,
    pub summary: Summary,
}

impl<'a> Scene<'a> {
    pub fn of(cx: &'a Cx<'a>, node: &'a str, host: &'a Host, suspended: bool, now: Timestamp) -> Self {
        let Definition { containers, networks, .. } = &cx.valid.definition;
        let mut slots: BTreeMap<&ContainerKey, Slot<'_>> = BTreeMap::new();
        for key in keys_in_order(cx) {
            let Some(want) = containers.get(key) else { continue };
            let revision = cx.wanted.get(key).and_then(Option::as_deref);
            let newer_than = renewed(&want.depends_on, &slots);
            let restart = cx.valid.restart.as_deref();
            let slot = Slot::of(key, want, revision, restart, newer_than, host);
            // A record has no time: what must be newer than another is not believed to be so.
            let recorded = newer_than.is_none()
                && revision.is_some_and(|it| completed::is_recorded(&cx.old.completed, key, it, restart, node));
            slots.insert(
                key,
                Slot { has_run: recorded && slot.is_empty() && want.lifecycle == Lifecycle::Once, ..slot },
            );
        }
        let is_stale = |(name, network): (&'a String, &definition::Network)| {
            let there = host.networks.get(name)?;
            let ours = !network.external && there.owner.as_ref() == Some(&cx.valid.owner);
            (ours && there.hash.as_ref() != Some(&network.hash)).then_some(name.as_str())
        };
        let stale_networks: BTreeSet<_> = networks.iter().filter_map(is_stale).collect();
        let makes = |s: &Slot<'_>| !s.has_run && s.current.is_none_or(|c| is_unbound(c, s.want, host));
        let makes = slots.values().any(makes) || !stale_networks.is_empty();
        let from_nothing = slots.values().filter(|s| s.is_empty() && !s.has_run);
        let from_nothing = from_nothing.map(|s| (s.key.service.as_str(), s.want));
        let conflicts = makes.then(|| conflicts(&cx.valid.owner, &cx.valid.definition, node, host, from_nothing));
        let conflicts = conflicts.unwrap_or_default();
        Self { cx, node, host, suspended, held: None, clock: Clock::of(host, now), slots, conflicts, stale_networks }
    }

    /// What failed about a slot's wanted revision.
    fn failed<'f>(&self, slot: &Slot<'_>, failed: &'f [FailedRevision]) -> Option<&'f FailedRevision> {
        failures::find(failed, slot, self.node, self.cx.wanted)
    }

    /// Failures that are seen here for the first time.
    pub fn new_failures(&self, known: &[FailedRevision]) -> Vec<FailedRevision> {
        let new = |slot: &Slot<'_>| {
            if self.suspended || self.failed(slot, known).is_some() {
                return None;
            }
            let (reason, message) = self.failure(slot)?;
            Some(FailedRevision {
                service: slot.key.service.clone(),
                revision: slot.revision?.into(),
                restart: self.cx.valid.restart.clone(),
                host: self.node.into(),
                reason: reason.into(),
                message,
            })
        };
        self.slots.values().filter_map(new).collect()
    }

    /// How the host stands, for the budget.
    pub fn standing(&self, failed: &[FailedRevision]) -> Standing<'a> {
        let changing = |slot: &Slot<'_>| {
            let left_as_it_is =
                self.cx.valid.update.on_failure == OnFailure::Stop || slot.want.lifecycle == Lifecycle::Once;
            slot.current.is_some() && slot.previous.is_some() && !(left_as_it_is && self.failed(slot, failed).is_some())
        };
        let could_begin = |slot: &Slot<'_>| {
            slot.revision.is_some()
                && slot.current.is_none()
                && slot.previous.is_some()
                && self.failed(slot, failed).is_none()
                && self.conflicts.is_empty()
                && self.has_image(slot)
        };
        let slots = || self.slots.values();
        Standing {
            node: self.node,
            changing: !self.suspended && slots().any(changing),
            // What is in the way here is no part of the rollout: other hosts go on.
            ready: !self.conflicts.is_empty() || slots().all(|s| self.serves(s)),
            wants: !self.suspended && (slots().any(could_begin) || self.can_remake_networks(failed)),
            installs: !self.suspended && self.is_first_placement() && slots().any(|s| self.could_install(s)),
            failed: slots()
                .find_map(|s| self.failed(s, failed).filter(|it| it.host == self.node))
                .map(|it| it.message.clone()),
            held: self.held,
        }
    }

    /// Nothing of the service has ever been here.
    pub fn is_first_placement(&self) -> bool {
        self.slots.values().all(|slot| slot.is_empty() && !slot.has_run && !self.was_there(slot))
    }

    fn could_install(&self, slot: &Slot<'_>) -> bool {
        slot.revision.is_some() && self.conflicts.is_empty() && self.has_image(slot)
    }

    /// Something of the slot does its work, in whatever revision.
    fn serves(&self, slot: &Slot<'_>) -> bool {
        let serves = |c: &Container| {
            let aside = was_put_aside(c) && !is_up(c);
            self.look(slot, c) == Look::Ready && !aside
        };
        slot.has_run || [slot.current, slot.previous].into_iter().flatten().any(serves)
    }

    /// The slot's run to the end has ended well.
    pub fn has_completed(&self, slot: &Slot<'_>) -> bool {
        slot.has_run || slot.current.is_some_and(|c| !is_up(c) && self.look(slot, c) == Look::Ready)
    }

    fn on_stale_network(&self, slot: &Slot<'_>) -> bool {
        slot.want.networks.iter().any(|(name, _)| self.stale_networks.contains(name.as_str()))
    }

    /// Whether everything is there to make the stale networks and their containers anew. There is no way back from it, so no
    /// container of another revision may be relied on.
    fn can_remake_networks(&self, failed: &[FailedRevision]) -> bool {
        let can =
            |s: &Slot<'_>| s.has_run || (s.revision.is_some() && self.has_image(s) && self.failed(s, failed).is_none());
        !self.stale_networks.is_empty()
            && self.conflicts.is_empty()
            && self.slots.values().filter(|s| self.on_stale_network(s)).all(can)
    }

    /// What to do on this host, what is waited for, and what it shows.
    pub fn outcome(&self, failed: &[FailedRevision], turn: &Turn) -> Outcome {
        let admitted = turn.has(self.node);
        let remakes = admitted && self.can_remake_networks(failed);
        let mut stages = Stages::default();
        let orphans: Vec<_> = self.host.containers.iter().filter(|c| !self.slots.contains_key(&c.key)).collect();
        let mut base = removal::containers(&orphans, &mut stages, 0);
        if remakes {
            base = base.max(self.take_networks_down(&mut stages));
        }
        if self.conflicts.is_empty() {
            base = self.make_networks_and_volumes(&mut stages, base);
        }
        let mut outcome = Outcome::default();
        let mut ends = Ends::default();
        let mut settled = true;
        for (key, slot) in self.cx.order.iter().flat_map(|s| self.slots.iter().filter(move |(k, _)| k.service == **s)) {
            let mut work = self.slot_work(slot, self.failed(slot, failed), turn, remakes);
            let gate = self.gate(slot, &ends);
            let renewal = slot.want.depends_on.values().any(|d| d.restart);
            let mut end = base;
            if work.gated && !work.go.is_empty() {
                match gate {
                    Gate::Open(at) if renewal => end = end.max(at),
                    Gate::Open(_) => {}
                    Gate::Closed(ref trouble) => {
                        work.go.clear();
                        if renewal {
                            work.prepare.retain(|s| !matches!(s, Step::CreateContainer { .. }));
                        }
                        work.trouble = Some(trouble.clone());
                    }
                }
            }
            let acts = !work.prepare.is_empty() || !work.go.is_empty();
            settled &= !acts && work.trouble.is_none();
            let starts = work.go.iter().any(|s| matches!(s, Step::StartContainer { .. }));
            end = stages.chain(end, work.prepare);
            if !work.go.is_empty() {
                let from = match gate {
                    Gate::Open(at) if work.gated => end.max(at),
                    _ => end,
                };
                end = stages.chain(from, work.go);
            }
            let told = acts || self.is_told(slot, failed, work.trouble.as_ref());
            self.count(slot, work.trouble.as_ref(), told, &mut outcome);
            if let Some(pull) = work.pull.filter(|p| !outcome.plan.pulls.contains(p)) {
                outcome.plan.pulls.push(pull);
            }
            ends.0.insert(key, End { at: end, starts, changes: work.changes, trouble: work.trouble });
        }
        settled &= stages.0.is_empty();
        self.tidy(&mut stages, settled);
        outcome.waits.extend(self.conflicts.iter().cloned());
        outcome.plan.stages = stages.0;
        outcome
    }

    fn slot_work(&self, slot: &Slot<'_>, failed: Option<&FailedRevision>, turn: &Turn, remakes: bool) -> Work {
        if !self.on_stale_network(slot) {
            return self.work(slot, failed, turn.has(self.node), turn);
        }
        let network = slot.want.networks.iter().map(|(n, _)| n).find(|n| self.stale_networks.contains(n.as_str()));
        let network = network.map_or("", String::as_str);
        let trouble = Trouble::new("Outdated", "NetworkChanging", format!("network {network} is made anew"));
        if remakes {
            return Work { changes: true, trouble: Some(trouble), ..Work::default() };
        }
        match slot.current.or(slot.previous) {
            // As long as it is not its turn, it goes on as it is, with the network as it is.
            Some(_) => {
                let mut work = self.work(slot, failed, false, turn);
                work.changes = true;
                let message = format!("network {network} has to be made anew, which {}", turn.why(self.node));
                work.trouble = work.trouble.or(Some(Trouble::new("Outdated", turn.reason(self.node), message)));
                work
            }
            None => Work { trouble: Some(trouble), ..Work::default() },
        }
    }

    /// Takes down the stale networks and all that is on them; the next pass makes them anew. There is no way back from that, so
    /// it is tried first whether they can be made: a step that fails blocks all that builds on it.
    fn take_networks_down(&self, stages: &mut Stages) -> usize {
        for name in &self.stale_networks {
            stages.put(0, Step::TryNetwork { name: (*name).into() });
        }
        let on = |c: &&Container| {
            c.networks.iter().any(|n| self.stale_networks.contains(n.as_str()))
                || self.slots.get(&c.key).is_some_and(|s| self.on_stale_network(s))
        };
        let down: Vec<_> = self.host.containers.iter().filter(on).collect();
        let at = removal::containers(&down, stages, 1);
        for name in &self.stale_networks {
            let id = self.host.networks.get(*name).map(|n| n.id.clone()).unwrap_or_default();
            stages.put(at, Step::RemoveNetwork { name: (*name).into(), id });
        }
        at + 1
    }

    fn make_networks_and_volumes(&self, stages: &mut Stages, base: usize) -> usize {
        let Definition { networks, volumes, .. } = &self.cx.valid.definition;
        let networks = networks.iter().filter(|(name, n)| !n.external && !self.host.networks.contains_key(*name));
        let volumes = volumes.iter().filter(|(name, v)| !v.external && !self.host.volumes.contains_key(*name));
        let steps: Vec<_> = networks
            .map(|(name, _)| Step::CreateNetwork { name: name.clone() })
            .chain(volumes.map(|(name, _)| Step::CreateVolume { name: name.clone() }))
            .collect();
        if steps.is_empty() {
            return base;
        }
        // They are in nobody's way, so they need not wait for anything that goes first.
        for step in steps {
            stages.put(0, step);
        }
        base.max(1)
    }

    /// Removes what nothing uses any more.
    fn tidy(&self, stages: &mut Stages, settled: bool) {
        let Cx { valid, pins, .. } = self.cx;
        let ours = |owner: &Option<_>| owner.as_ref() == Some(&valid.owner);
        let wanted = |name: &str| valid.definition.networks.get(name).is_some_and(|n| !n.external);
        let going: BTreeSet<_> = stages.0.iter().flatten().filter_map(removed_id).map(str::to_owned).collect();
        let stays = |c: &&Container| !going.contains(&c.id);
        let at = stages.0.len();
        for (name, network) in self.host.networks.iter().filter(|(name, n)| ours(&n.owner) && !wanted(name)) {
            if !self.host.containers.iter().filter(stays).any(|c| c.networks.contains(name)) {
                stages.put(at, Step::RemoveNetwork { name: name.clone(), id: network.id.clone() });
            }
        }
        let helpers = self.host.volumes.iter().filter(|(_, v)| ours(&v.owner) && v.role.is_some());
        for name in helpers.map(|(name, _)| name) {
            if !self.host.containers.iter().filter(stays).any(|c| c.volumes.contains(name)) {
                stages.put(at, Step::RemoveVolume { name: name.clone() });
            }
        }
        if settled && valid.images.prune == Prune::Unused {
            let used = |id: &String| {
                self.host.images.iter().any(|(image, i)| {
                    let pin = pins.get(image).and_then(|p| p.as_ref().ok());
                    i.id == *id && pin.is_none_or(|pin| images::has(self.host, image, pin))
                })
            };
            let unused = self.host.unused_images.iter().filter(|(_, id)| !used(id));
            unused.for_each(|(image, _)| stages.put(at, Step::RemoveImage { image: image.clone() }));
        }
    }

    /// Another wait says it already: the host's conflict, or the failed revision.
    fn is_told(&self, slot: &Slot<'_>, failed: &[FailedRevision], trouble: Option<&Trouble>) -> bool {
        let Some(trouble) = trouble else { return true };
        self.conflicts.iter().any(|wait| wait.reason == trouble.reason)
            || self.failed(slot, failed).is_some_and(|f| f.reason == trouble.reason && f.host == self.node)
    }

    fn count(&self, slot: &Slot<'_>, trouble: Option<&Trouble>, told: bool, outcome: &mut Outcome) {
        let drifted = trouble.is_some_and(|t| t.reason == "Drifted");
        let tolerated = trouble.is_some_and(|t| t.tolerated);
        let ready = self.serves(slot) && (!drifted || tolerated);
        let summary = &mut outcome.summary;
        summary.wanted += 1;
        summary.ready += usize::from(ready);
        summary.updated += usize::from(slot.has_run || slot.current.is_some_and(has_run));
        summary.tolerated += usize::from(tolerated && !ready);
        let Some(trouble) = trouble else { return };
        let alone = self.slots.keys().filter(|k| k.service == slot.key.service).count() == 1;
        if !ready {
            summary.unhealthy.push(Unhealthy {
                host: self.node.into(),
                service: slot.key.service.clone(),
                number: (!alone).then_some(slot.key.number),
                state: trouble.state.into(),
                reason: trouble.reason.clone(),
                message: trouble.message.clone(),
            });
        }
        if !told && !tolerated {
            let name = if alone { slot.key.service.clone() } else { slot.key.to_string() };
            outcome.waits.push(Wait {
                host: self.node.into(),
                service: slot.key.service.clone(),
                reason: trouble.reason.clone(),
                message: format!("{name} on {}: {}", self.node, trouble.message),
                until: trouble.until,
                needs_person: trouble.needs_person,
            });
        }
    }

    /// Somebody removed the slot's container: the object was ready with it on this host, or the last status says that it
    /// drifted.
    pub fn was_there(&self, slot: &Slot<'_>) -> bool {
        let old = self.cx.old;
        let said = old.unhealthy.iter().any(|u| {
            u.reason == "Drifted"
                && u.host == self.node
                && u.service == slot.key.service
                && u.number.is_none_or(|n| n == slot.key.number)
        });
        let placed = old.placed.iter().any(|node| node == self.node);
        let ours = |network: &observed::Network| network.owner.as_ref() == Some(&self.cx.valid.owner);
        let installed = !self.host.containers.is_empty() || self.host.networks.values().any(ours);
        old.observed_generation == Some(self.cx.generation)
            && (said || (placed && installed && conditions::is_ready(&old.conditions)))
    }

    /// Whether what a slot depends on is there.
    fn gate(&self, slot: &Slot<'_>, ends: &Ends<'_>) -> Gate {
        let mut open = 0;
        for (service, dependency) in &slot.want.depends_on {
            for (key, other) in self.slots.iter().filter(|(k, _)| k.service == *service) {
                match self.is_met(other, ends.0.get(key), dependency) {
                    Gate::Open(at) => open = open.max(at),
                    closed @ Gate::Closed(_) => return closed,
                }
            }
        }
        Gate::Open(open)
    }

    fn is_met(&self, other: &Slot<'_>, end: Option<&End>, dependency: &Dependency) -> Gate {
        let nothing = End { at: 0, starts: false, changes: false, trouble: None };
        let end = end.unwrap_or(&nothing);
        let rolled_back = other.previous.is_some() && end.trouble.as_ref().is_some_and(|t| t.reason == "RollingBack");
        let container = if rolled_back { other.previous } else { other.current.or(other.previous) };
        let has_run_before = other.has_run && dependency.condition != Condition::Healthy;
        let met = has_run_before
            || container.is_some_and(|c| match dependency.condition {
                Condition::Started => {
                    is_up(c)
                        || (other.want.lifecycle == Lifecycle::Once && has_run(c))
                        || self.look(other, c) == Look::Ready
                }
                Condition::Healthy => {
                    c.state == State::Running && matches!(c.health, Some(Health { status: HealthStatus::Healthy, .. }))
                }
                Condition::CompletedSuccessfully => c.state == State::Exited && has_run(c) && c.exit_code == 0,
            });
        // What changes now is waited for; what is stuck in the revision before still serves.
        let underway =
            end.changes && end.trouble.as_ref().is_none_or(|t| t.reason == "Updating" || t.reason == "NetworkChanging");
        match dependency.condition {
            Condition::Started if end.starts => return Gate::Open(end.at),
            _ if met && !end.starts && !underway => return Gate::Open(0),
            _ => {}
        }
        let hopeless =
            !end.starts && !underway && end.trouble.as_ref().is_some_and(|t| t.needs_person || t.until.is_none());
        let in_time = container.is_some_and(|c| matches!(self.look(other, c), Look::Settling(_)));
        if !dependency.required && hopeless && !in_time {
            return Gate::Open(0);
        }
        let service = &other.key.service;
        let up_without_check = dependency.condition == Condition::Healthy
            && container.is_some_and(|c| c.state == State::Running && c.health.is_none());
        let (why, person) = match &end.trouble {
            _ if up_without_check => ("it has no health check, neither here nor in its image".into(), true),
            Some(trouble) => (trouble.message.clone(), trouble.needs_person),
            None => ("it is not there yet".into(), false),
        };
        let trouble = Trouble::new("Created", "DependencyNotReady", format!("waits for {service}: {why}"));
        Gate::Closed(Trouble { needs_person: person, ..trouble })
    }
}

/// When the slots' steps end.
#[derive(Default)]
struct Ends<'a>(BTreeMap<&'a ContainerKey, End>);

struct End {
    /// The stage after the last step.
    at: usize,
    starts: bool,
    changes: bool,
    trouble: Option<Trouble>,
}

/// Whether a start may come, and from which stage on.
#[derive(Clone, Debug)]
enum Gate {
    Open(usize),
    Closed(Trouble),
}

/// Stages under construction.
#[derive(Default)]
pub(super) struct Stages(pub Vec<Vec<Step>>);

impl Stages {
    pub fn put(&mut self, at: usize, step: Step) {
        if self.0.len() <= at {
            self.0.resize_with(at + 1, Vec::new);
        }
        self.0[at].push(step);
    }

    /// Steps one after the other, from a stage on; returns the stage after the last one.
    pub fn chain(&mut self, from: usize, steps: impl IntoIterator<Item = Step>) -> usize {
        steps.into_iter().fold(from, |at, step| {
            self.put(at, step);
            at + 1
        })
    }
}

fn removed_id(step: &Step) -> Option<&str> {
    match step {
        Step::RemoveContainer { id, .. } => Some(id),
        _ => None,
    }
}

fn keys_in_order<'a>(cx: &'a Cx<'a>) -> impl Iterator<Item = &'a ContainerKey> {
    cx.order.iter().flat_map(|s| cx.valid.definition.containers.keys().filter(move |k| k.service == **s))
}

/// When the newest of those dependencies was made that want their dependants made anew with them. One that is changing is
/// left out: it may still be rolled back.
fn renewed(depends_on: &BTreeMap<String, Dependency>, slots: &BTreeMap<&ContainerKey, Slot<'_>>) -> Option<Timestamp> {
    let with_restart = depends_on.iter().filter(|(_, d)| d.restart).map(|(service, _)| service);
    let made = |slot: &Slot<'_>| match (slot.current, slot.previous) {
        (Some(current), None) if has_run(current) => current.created_at,
        _ => None,
    };
    with_restart
        .flat_map(|service| slots.iter().filter(move |(k, _)| k.service == *service))
        .filter_map(|(_, slot)| made(slot))
        .max()
}

/// Services in an order in which each comes after those that it depends on. A circle, which the format refuses, only loses
/// the order.
pub(super) fn order(definition: &Definition) -> Vec<&str> {
    fn visit<'a>(
        service: &'a str,
        needs: &BTreeMap<&'a str, BTreeSet<&'a str>>,
        seen: &mut BTreeSet<&'a str>,
        out: &mut Vec<&'a str>,
    ) {
        if !seen.insert(service) {
            return;
        }
        needs.get(service).into_iter().flatten().for_each(|other| visit(other, needs, seen, out));
        out.push(service);
    }
    let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, container) in &definition.containers {
        needs.entry(&key.service).or_default().extend(container.depends_on.keys().map(String::as_str));
    }
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    for service in needs.keys() {
        visit(service, &needs, &mut seen, &mut order);
    }
    order.retain(|service| needs.contains_key(service));
    order
}
