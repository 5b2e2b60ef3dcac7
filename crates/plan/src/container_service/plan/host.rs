//! One host: its slots in the order of their dependencies, networks and volumes around them, as stages of steps.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use slipway_api::conditions;
use slipway_api::container_service::{ContainerServiceStatus, FailedRevision, OnFailure, Prune, Unhealthy};

use super::completed;
use super::conflicts::conflicts;
use super::failures::{self, Revisions};
use super::gate::{End, Ends, Gate};
use super::images::{self, Pins};
use super::look::{Clock, Look, has_run, is_up};
use super::networks::{self, Course};
use super::removal;
use super::rollout::{Standing, Turn};
use super::slot::{Slot, is_unbound, was_put_aside};
use super::work::{Trouble, Work};
use super::{HostPlan, Step, Summary, Wait};
use crate::container_service::definition::{ContainerKey, Definition, Dependency, Lifecycle};
use crate::container_service::observed::{self, Container, Host};
use crate::container_service::validate::Valid;

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
    pub stale_networks: BTreeSet<&'a str>,
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
        let containers = &cx.valid.definition.containers;
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
        let stale_networks = networks::stale(&cx.valid.definition, host, &cx.valid.owner);
        let makes = |s: &Slot<'_>| !s.has_run && s.current.is_none_or(|c| is_unbound(c, s.want, host));
        let makes = slots.values().any(makes) || !stale_networks.is_empty();
        let from_nothing = slots.values().filter(|s| s.is_empty() && !s.has_run);
        let from_nothing = from_nothing.map(|s| (s.key.service.as_str(), s.want));
        let conflicts = makes.then(|| conflicts(&cx.valid.owner, &cx.valid.definition, node, host, from_nothing));
        let conflicts = conflicts.unwrap_or_default();
        Self { cx, node, host, suspended, held: None, clock: Clock::of(host, now), slots, conflicts, stale_networks }
    }

    /// What failed about a slot's wanted revision.
    pub fn failed<'f>(&self, slot: &Slot<'_>, failed: &'f [FailedRevision]) -> Option<&'f FailedRevision> {
        failures::find(failed, slot, self.node, self.cx.wanted)
    }

    /// Failures that are seen here for the first time.
    pub fn new_failures(&self, known: &[FailedRevision]) -> Vec<FailedRevision> {
        // What is taken down again has not failed for that.
        let goes_back = self.goes_back(known);
        let new = |slot: &Slot<'_>| {
            if self.suspended || goes_back || self.failed(slot, known).is_some() {
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
        let replaces = self.orphans().any(is_up);
        Standing {
            node: self.node,
            changing: !self.suspended && slots().any(|slot| slot.parted || changing(slot)),
            // What is in the way here is no part of the rollout: other hosts go on. As long as what a service replaces is up, that
            // serves.
            ready: !self.conflicts.is_empty() || slots().all(|s| self.serves(s) || s.is_empty() && replaces),
            wants: !self.suspended
                && (slots().any(could_begin)
                    || slots().any(|slot| self.must_be_remade(slot))
                    || self.can_remake_networks(failed)
                    || replaces),
            installs: !self.suspended && self.is_first_placement() && slots().any(|s| self.could_install(s)),
            failed: slots()
                .find_map(|s| self.failed(s, failed).filter(|it| it.host == self.node))
                .map(|it| it.message.clone()),
            held: self.held,
        }
    }

    /// Nothing of the service has ever been here, as far as the host shows: a network of its own outlives its containers.
    pub fn is_first_placement(&self) -> bool {
        !self.host.networks.values().any(|network| self.is_ours(network))
            && self.slots.values().all(|slot| slot.is_empty() && !slot.has_run && !self.was_there(slot))
    }

    /// Containers of services that the project has no more. To take down one that is up is a change like another.
    pub fn orphans(&self) -> impl Iterator<Item = &'a Container> {
        self.host.containers.iter().filter(|container| !self.slots.contains_key(&container.key))
    }

    fn is_ours(&self, network: &observed::Network) -> bool {
        network.owner.as_ref() == Some(&self.cx.valid.owner)
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

    /// What to do on this host, what is waited for, and what it shows.
    pub fn outcome(&self, failed: &[FailedRevision], turn: &Turn) -> Outcome {
        let admitted = turn.has(self.node);
        let course = self.course(failed, admitted);
        let mut stages = Stages::default();
        let (going, staying): (Vec<_>, Vec<_>) = self.orphans().partition(|orphan| admitted || !is_up(orphan));
        let mut base = removal::containers(&going, &mut stages, 0);
        match course {
            Course::AsTheyAre => {}
            Course::Down => base = base.max(self.take_networks_down(&mut stages)),
            Course::Back => self.bring_networks_back(&mut stages),
        }
        let waits_for_its_design = turn.hold(self.node).is_some() && self.is_first_placement();
        if self.conflicts.is_empty() && !waits_for_its_design && course != Course::Back {
            base = self.make_networks_and_volumes(&mut stages, base);
        }
        let mut outcome = Outcome::default();
        outcome.waits.extend(self.wait_of_orphans(&staying, turn));
        let mut ends = Ends::default();
        let mut settled = true;
        for (key, slot) in self.cx.order.iter().flat_map(|s| self.slots.iter().filter(move |(k, _)| k.service == **s)) {
            let mut work = self.slot_work(slot, failed, turn, course);
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
                        let until = trouble.until.or(self.due_in_place_of(slot));
                        work.trouble = Some(trouble.clone().until(until));
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

    /// What services that the project has no more wait for.
    fn wait_of_orphans(&self, staying: &[&Container], turn: &Turn) -> Option<Wait> {
        let services: BTreeSet<_> = staying.iter().map(|orphan| orphan.key.service.as_str()).collect();
        let services: Vec<_> = services.into_iter().collect();
        let message = format!(
            "{} on {}: the project has it no more; taking it down {}",
            services.join(", "),
            self.node,
            turn.why(self.node)
        );
        (!services.is_empty()).then(|| Wait::on(self.node, turn.reason(self.node), message))
    }

    fn slot_work(&self, slot: &Slot<'_>, all_failed: &[FailedRevision], turn: &Turn, course: Course) -> Work {
        let failed = self.failed(slot, all_failed);
        if !slot.leaving
            && let Some(work) = self.network_work(slot, failed, course)
        {
            return work;
        }
        let Some(network) = self.stale_network(slot) else {
            return self.work(slot, failed, turn.has(self.node), turn);
        };
        // As long as it is not its turn, it goes on as it is, with the network as it is.
        let has_failed = self.has_failed_on(network, all_failed);
        let mut work = match slot.previous.filter(|_| has_failed && slot.current.is_none()) {
            Some(previous) if failed.is_none() && !slot.leaving => self.keep_alone(slot, previous, turn),
            _ => self.work(slot, failed, false, turn),
        };
        // A failure is told for itself.
        if !has_failed {
            work.changes = true;
            let message = format!("network {network} has to be made anew, which {}", turn.why(self.node));
            work.trouble = work.trouble.or(Some(Trouble::new("Outdated", turn.reason(self.node), message)));
        }
        work
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
        let of_network = |name: &String| self.host.kept_networks.values().any(|kept| kept.volume == *name);
        for name in helpers.map(|(name, _)| name).filter(|name| !of_network(name)) {
            if !self.host.containers.iter().filter(stays).any(|c| c.volumes.contains(name)) {
                stages.put(at, Step::RemoveVolume { name: name.clone() });
            }
        }
        let left = self.networks_of_no_use(&|container| stays(&container));
        for step in left {
            stages.put(at, step);
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
        let installed = !self.host.containers.is_empty() || self.host.networks.values().any(|it| self.is_ours(it));
        old.observed_generation == Some(self.cx.generation)
            && (said || (placed && installed && conditions::is_ready(&old.conditions)))
    }
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
