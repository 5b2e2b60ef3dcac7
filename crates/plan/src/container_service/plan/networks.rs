//! Networks that have to be made anew, since no engine can change one, and the way back from it.
//!
//! What serves on such a network is stopped and put aside, with the old network's definition on record on the host. The new network
//! and containers are made in their place. When all of these are ready the old containers go. When one fails, the new ones go, the
//! old network is made again as it was, and the old containers are bound to it and started.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use slipway_api::container_service::{FailedRevision, OnFailure};

use super::Step;
use super::host::{Scene, Stages};
use super::look::{Look, has_run, is_up, signed};
use super::removal;
use super::slot::{Slot, can_come_back};
use super::work::{Trouble, Work, finish, rename, stop};
use crate::container_service::definition::{self, Lifecycle};
use crate::container_service::observed::{Container, Host, KeptNetwork, Owner, State};

/// What is done about networks on a host in this pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// Nothing, or the containers in the place of those that were put aside are seen to.
    AsTheyAre,
    /// The stale ones are taken down, with all that is on them.
    Down,
    /// The change has failed, and all goes back to what it was.
    Back,
}

/// Networks of ours that are not as wanted any more.
pub(super) fn stale<'a>(definition: &'a definition::Definition, host: &Host, owner: &Owner) -> BTreeSet<&'a str> {
    let is_stale = |(name, network): (&'a String, &definition::Network)| {
        let there = host.networks.get(name)?;
        let ours = !network.external && there.owner.as_ref() == Some(owner);
        (ours && there.hash.as_ref() != Some(&network.hash)).then_some(name.as_str())
    };
    definition.networks.iter().filter_map(is_stale).collect()
}

impl Scene<'_> {
    /// What is to be done about networks.
    pub fn course(&self, failed: &[FailedRevision], admitted: bool) -> Course {
        if self.goes_back(failed) {
            Course::Back
        } else if admitted && self.can_remake_networks(failed) {
            Course::Down
        } else {
            Course::AsTheyAre
        }
    }

    /// What a slot needs, where its networks are not as they should be; `None` if they are.
    pub fn network_work(&self, slot: &Slot<'_>, failed: Option<&FailedRevision>, course: Course) -> Option<Work> {
        let told = |reason: &str, message: String| {
            Some(Work { changes: true, trouble: Some(Trouble::new("Outdated", reason, message)), ..Work::default() })
        };
        let stale = self.stale_network(slot);
        match (course, stale) {
            (Course::Back, _) if slot.parted || is_on(slot, &self.parted_networks()) => {
                told("RollingBack", "is being rolled back, with its networks".into())
            }
            (Course::Down, Some(network)) => told("NetworkChanging", format!("network {network} is made anew")),
            // On what is there now nothing new is made.
            (_, Some(network)) if slot.parted || slot.is_empty() => {
                let pull = self.obstacle(slot).and_then(|work| work.pull);
                let message = match failed {
                    Some(failed) => {
                        format!("network {network} is not made anew, since that failed: {}", failed.message)
                    }
                    None => format!("network {network} is made anew"),
                };
                told("NetworkChanging", message).map(|work| Work { pull, ..work })
            }
            _ => None,
        }
    }

    /// The network, of those that a slot is on, that has to be made anew.
    pub fn stale_network<'s>(&self, slot: &Slot<'s>) -> Option<&'s str> {
        slot.want.networks.iter().map(|(name, _)| name.as_str()).find(|name| self.stale_networks.contains(name))
    }

    /// Something on a network has failed, which is not made anew then.
    pub fn has_failed_on(&self, network: &str, failed: &[FailedRevision]) -> bool {
        let on = |slot: &&Slot<'_>| slot.want.networks.iter().any(|(name, _)| name == network);
        self.slots.values().filter(on).any(|slot| self.failed(slot, failed).is_some())
    }

    /// Whether everything is there to make the stale networks and their containers anew.
    pub fn can_remake_networks(&self, failed: &[FailedRevision]) -> bool {
        let can =
            |s: &Slot<'_>| s.has_run || (s.revision.is_some() && self.has_image(s) && self.failed(s, failed).is_none());
        !self.stale_networks.is_empty()
            && self.conflicts.is_empty()
            && self.slots.values().filter(|s| self.stale_network(s).is_some()).all(can)
    }

    /// Something has failed on networks that are made anew, and containers were put aside with the old ones.
    pub fn goes_back(&self, failed: &[FailedRevision]) -> bool {
        let networks = self.parted_networks();
        let mut concerned = self.slots.values().filter(|slot| slot.parted || is_on(slot, &networks));
        self.parted().next().is_some()
            && concerned.any(|slot| self.failed(slot, failed).is_some())
            && !self.all_came_up()
    }

    /// What takes the place of containers that were put aside with their networks is ready, all of it.
    pub fn all_came_up(&self) -> bool {
        self.parted().all(|(slot, _)| slot.current.is_some_and(|current| self.look(slot, current) == Look::Ready))
    }

    /// What a slot needs whose container was put aside with its networks. That one goes when all that take the place of such are
    /// ready: else it could not come back.
    pub fn replace_parted(&self, slot: &Slot<'_>, current: Option<&Container>, parted: &Container) -> Work {
        match (current, slot.revision) {
            (Some(current), _) if self.look(slot, current) == Look::Ready => {
                let go = if self.all_came_up() { finish(slot, current, parted) } else { Vec::new() };
                Work { go, ..Work::default() }
            }
            (Some(current), _) => self.change_over(slot, current, parted),
            (None, None) => Work::stuck(Trouble::new("Outdated", "ImageUnresolved", "its image is not known yet")),
            (None, Some(revision)) => {
                if let Some(obstacle) = self.obstacle(slot) {
                    return Work { changes: true, ..obstacle };
                }
                let name = slot.want.name.clone();
                let trouble = Trouble::new("Outdated", "Updating", "is being replaced, with its networks");
                Work {
                    prepare: vec![self.create(slot, revision, &name)],
                    go: vec![Step::StartContainer { name }],
                    gated: true,
                    changes: true,
                    trouble: Some(trouble.until(self.due_in_place_of(slot))),
                    ..Work::default()
                }
            }
        }
    }

    /// Nothing was made in the place of a container that was put aside with its networks, mostly since one of the new ones cannot be
    /// made; or what was made could not be started for what it depends on.
    pub fn failure_to_replace(&self, slot: &Slot<'_>) -> Option<(&'static str, String)> {
        let due = self.due_in_place_of(slot).filter(|_| slot.revision.is_some())?;
        let what = match slot.current.map(|current| self.look(slot, current)) {
            None => "made",
            Some(Look::Idle) => "started",
            Some(_) => return None,
        };
        let message = format!("was not {what} in time after its networks were taken down to be made anew");
        (due <= self.clock.now).then_some(("NotReadyInTime", message))
    }

    /// Until when that is waited for: what is made has to be there after `update.timeout`, and as long again for what it depends on.
    pub fn due_in_place_of(&self, slot: &Slot<'_>) -> Option<Timestamp> {
        let stopped = slot.previous.filter(|_| slot.parted)?.finished_at?;
        let timeout = self.cx.valid.update.timeout;
        let patience = if slot.current.is_some() { timeout.saturating_mul(2) } else { timeout };
        Some(self.clock.due(stopped, signed(patience)))
    }

    /// Slots whose container was put aside with its networks, and that container.
    fn parted(&self) -> impl Iterator<Item = (&Slot<'_>, &Container)> {
        self.slots.values().filter(|slot| slot.parted).filter_map(|slot| Some((slot, slot.previous?)))
    }

    /// The networks that these wait for.
    fn parted_networks(&self) -> BTreeSet<&str> {
        awaited_networks(self.host, self.parted().map(|(_, container)| container))
    }

    /// Takes down the stale networks and all that is on them; the next pass makes them anew. It is tried first whether they can be
    /// made: a step that fails blocks all that builds on it. Returns the stage after that.
    pub fn take_networks_down(&self, stages: &mut Stages) -> usize {
        let (kept, going) = self.on_stale_networks();
        self.try_networks(&kept, stages);
        self.rename_aside(&kept, stages);
        let up = kept.iter().chain(&going).copied().filter(|container| is_up(container)).collect();
        for level in removal::dependents_first(up) {
            let at = stages.0.len();
            for container in level {
                let is_kept = kept.iter().any(|other| other.id == container.id);
                let name = if is_kept { self.name_aside(container) } else { container.name.clone() };
                stages.put(at, stop(container, &name));
            }
        }
        let at = stages.0.len();
        for container in going.iter().filter(|container| container.state != State::Removing) {
            stages.put(at, Step::RemoveContainer { id: container.id.clone(), name: container.name.clone() });
        }
        let at = stages.0.len();
        for name in &self.stale_networks {
            let id = self.host.networks.get(*name).map(|n| n.id.clone()).unwrap_or_default();
            stages.put(at, Step::RemoveNetwork { name: (*name).into(), id });
        }
        stages.0.len()
    }

    /// What is on the stale networks: what is kept to go back to, and what goes.
    fn on_stale_networks(&self) -> (Vec<&Container>, Vec<&Container>) {
        let on = |c: &&Container| {
            c.networks.iter().any(|n| self.stale_networks.contains(n.as_str()))
                || self.slots.get(&c.key).is_some_and(|s| self.stale_network(s).is_some())
        };
        let kept: BTreeSet<&str> = self.worth_keeping().map(|container| container.id.as_str()).collect();
        let on = self.host.containers.iter().filter(on).filter(|c| !can_come_back(c, self.host));
        on.partition(|container| kept.contains(container.id.as_str()))
    }

    /// Tries whether the networks can be made as they are wanted now, then records them as they are.
    fn try_networks(&self, kept: &[&Container], stages: &mut Stages) {
        for name in &self.stale_networks {
            let tried = Step::TryNetwork { name: (*name).into() };
            stages.chain(0, [tried].into_iter().chain(self.keep_network(name, kept)));
        }
    }

    /// Names what is kept as what was put aside.
    fn rename_aside(&self, kept: &[&Container], stages: &mut Stages) {
        let at = stages.0.len();
        for container in kept {
            let name = self.name_aside(container);
            if container.name != name {
                stages.put(at, rename(container, &container.name, &name));
            }
        }
    }

    fn name_aside(&self, container: &Container) -> String {
        self.slots.get(&container.key).map_or_else(|| container.name.clone(), Slot::old_name)
    }

    /// What can be gone back to on the stale networks: as in any change what ran before, even if it is down just now, as its engine
    /// may have been restarted on the way.
    fn worth_keeping(&self) -> impl Iterator<Item = &Container> {
        let rolls_back = self.cx.valid.update.on_failure == OnFailure::Rollback;
        let bound = move |container: &Container| {
            let there = |(name, id): (&String, &String)| self.host.networks.get(name).is_some_and(|it| it.id == *id);
            let stale = container.network_ids.iter().filter(|(name, _)| self.stale_networks.contains(name.as_str()));
            let stale: Vec<_> = stale.collect();
            !stale.is_empty() && stale.into_iter().all(there)
        };
        let good = move |container: &Container| {
            bound(container) && has_run(container) && (is_up(container) || container.state == State::Exited)
        };
        let slots = self.slots.values().filter(move |slot| {
            rolls_back
                && !slot.parted
                && slot.want.lifecycle == Lifecycle::Running
                && self.stale_network(slot).is_some()
        });
        slots.filter_map(move |slot| [slot.previous, slot.current].into_iter().flatten().find(|it| good(it)))
    }

    /// Records a network, unless what is on record is still waited for.
    fn keep_network(&self, name: &str, containers: &[&Container]) -> Option<Step> {
        let there = self.host.networks.get(name)?;
        let bound = containers.iter().filter(|container| container.network_ids.get(name) == Some(&there.id));
        let containers: Vec<_> = bound.map(|container| container.id.clone()).collect();
        let is_needed = !containers.is_empty() && !self.parted_networks().contains(name);
        is_needed.then(|| Step::KeepNetwork { name: name.to_owned(), id: there.id.clone(), containers })
    }

    /// Goes back to what was put aside with its networks.
    pub fn bring_networks_back(&self, stages: &mut Stages) {
        let kept: Vec<_> = self.parted().map(|(slot, container)| (slot.want.name.as_str(), container)).collect();
        let of_a_slot =
            |c: &Container, new: &BTreeSet<&str>| self.slots.get(&c.key).is_some_and(|slot| is_on(slot, new));
        bring_back(self.host, &kept, of_a_slot, stages);
    }

    /// Records of networks that nothing waits for any more. `stays`: the containers that stay.
    pub fn networks_of_no_use(&self, stays: &dyn Fn(&Container) -> bool) -> Vec<Step> {
        let is_awaited = |(name, kept): &(&String, &KeptNetwork)| match self.host.networks.get(*name) {
            Some(there) if there.id == kept.id => self.stale_networks.contains(name.as_str()),
            _ => self.host.containers.iter().filter(|c| stays(c)).any(|c| c.network_ids.get(*name) == Some(&kept.id)),
        };
        let left = self.host.kept_networks.iter().filter(|kept| !is_awaited(kept));
        left.map(|(_, kept)| Step::RemoveVolume { name: kept.volume.clone() }).collect()
    }
}

fn is_on(slot: &Slot<'_>, networks: &BTreeSet<&str>) -> bool {
    slot.want.networks.iter().any(|(name, _)| networks.contains(name.as_str()))
}

/// A container that was put aside with its networks, and the name that it is to have then.
pub(super) type Kept<'k> = (&'k str, &'k Container);

/// The networks that containers which were put aside wait for.
fn awaited_networks<'h>(host: &'h Host, aside: impl Iterator<Item = &'h Container>) -> BTreeSet<&'h str> {
    let kept = &host.kept_networks;
    let waits = |(name, id): (&String, &String)| kept.get(name).is_some_and(|it| it.id == *id);
    let of = move |container: &Container| {
        let names = kept.keys().filter(|name| container.network_ids.get_key_value(*name).is_some_and(waits));
        names.map(String::as_str).collect::<Vec<_>>()
    };
    aside.flat_map(of).collect()
}

/// Makes the old networks again in the place of the new ones, and all that is on these goes, with what else `goes` says of them; it
/// returns what that is. Only when that is done the containers that were put aside are bound to the old ones and started: nothing may
/// be bound to a new one that could not be removed.
pub(super) fn bring_back<'h>(
    host: &'h Host,
    kept: &[Kept<'h>],
    goes: impl Fn(&Container, &BTreeSet<&str>) -> bool,
    stages: &mut Stages,
) -> Vec<&'h Container> {
    let networks = awaited_networks(host, kept.iter().map(|(_, container)| *container));
    let is_kept = |container: &Container| kept.iter().any(|(_, other)| other.id == container.id);
    let record = |name: &str| host.kept_networks.get(name).map(|kept| &kept.hash);
    let is_new = |name: &&str| host.networks.get(*name).is_none_or(|it| record(name) != Some(&it.hash));
    // What is bound to one that has come back already is of the old ones.
    let new: BTreeSet<&str> = networks.iter().copied().filter(is_new).collect();
    let on = |c: &&Container| c.networks.iter().any(|n| new.contains(n.as_str())) || goes(c, &new);
    let going: Vec<_> = host.containers.iter().filter(on).filter(|c| !is_kept(c)).collect();
    let at = removal::containers(&going, stages, 0);
    for name in &new {
        let there = host.networks.get(*name);
        let going = there.map(|there| Step::RemoveNetwork { name: (*name).into(), id: there.id.clone() });
        stages.chain(at, going.into_iter().chain([Step::RestoreNetwork { name: (*name).into() }]));
    }
    if new.is_empty() {
        bring_containers_back(&networks, kept, stages);
    }
    going
}

/// Gives containers that were put aside their networks again and their names, and starts them, those that others depend on first.
fn bring_containers_back(networks: &BTreeSet<&str>, kept: &[Kept<'_>], stages: &mut Stages) {
    for (name, container) in kept {
        let bound = networks.iter().filter(|name| container.network_ids.contains_key(**name));
        let rebind = |network: &&str| Step::RebindContainer {
            id: container.id.clone(),
            name: container.name.clone(),
            network: (*network).to_owned(),
        };
        let named = (container.name != *name).then(|| rename(container, &container.name, name));
        stages.chain(0, bound.map(rebind).chain(named));
    }
    let names: BTreeMap<&str, &str> = kept.iter().map(|(name, container)| (container.id.as_str(), *name)).collect();
    let levels = removal::dependents_first(kept.iter().map(|(_, container)| *container).collect());
    for (at, level) in (stages.0.len()..).zip(levels.into_iter().rev()) {
        for name in level.into_iter().filter_map(|container| names.get(container.id.as_str())) {
            stages.put(at, Step::StartContainer { name: (*name).to_owned() });
        }
    }
}
