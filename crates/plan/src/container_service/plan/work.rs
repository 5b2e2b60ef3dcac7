//! Work: what one slot needs in this pass.

use jiff::{SignedDuration, Timestamp};
use slipway_api::container_service::{Drift, FailedRevision, OnFailure, PullPolicy, UpdateOrder};

use super::drift::{self, Limits};
use super::images::{self, Pin};
use super::look::{self, Look, is_up, later, look, signed};
use super::rollout::Turn;
use super::slot::{Slot, is_unbound, was_put_aside};
use super::{Step, conflicts, host::Scene};
use crate::container_service::definition::Lifecycle;
use crate::container_service::observed::Container;
use crate::container_service::validate::ports_clash;

const ADDED_LIMIT: &str = "somebody gave it a limit that it should not have";

/// The engine's own grace where a container does not set one.
const ENGINE_GRACE: i64 = 10;

/// What one slot needs in this pass.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Steps that disturb nothing; they need no other service.
    pub prepare: Vec<Step>,
    /// Steps that take effect.
    pub go: Vec<Step>,
    /// `go` starts something, so it comes after what the service depends on.
    pub gated: bool,
    /// The image that has to be pulled first.
    pub pull: Option<Step>,
    /// What is not as wanted.
    pub trouble: Option<Trouble>,
    /// The change has just begun, or waits to: what depends on the service waits for its end.
    pub changes: bool,
}

/// What is not as wanted about a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub state: &'static str,
    pub reason: String,
    pub message: String,
    pub until: Option<Timestamp>,
    pub needs_person: bool,
    /// `drift: Ignore`.
    pub tolerated: bool,
}

impl Trouble {
    pub fn new(state: &'static str, reason: impl Into<String>, message: impl Into<String>) -> Self {
        let (reason, message) = (reason.into(), message.into());
        Self { state, reason, message, until: None, needs_person: false, tolerated: false }
    }

    pub fn until(self, at: Option<Timestamp>) -> Self {
        Self { until: at, ..self }
    }

    pub fn for_a_person(self) -> Self {
        Self { needs_person: true, ..self }
    }
}

impl Work {
    pub fn stuck(trouble: Trouble) -> Self {
        Self { trouble: Some(trouble), ..Self::default() }
    }
}

/// Stops and removes a container.
pub(super) fn removal(container: &Container) -> impl Iterator<Item = Step> {
    let (id, name) = (container.id.clone(), container.name.clone());
    let stop = is_up(container).then(|| stop(container, &container.name));
    stop.into_iter().chain([Step::RemoveContainer { id, name }])
}

/// Stops a container with its own grace, under the name that it has by then.
pub(super) fn stop(container: &Container, name: &str) -> Step {
    let grace_seconds = container.stop_timeout.unwrap_or(ENGINE_GRACE);
    Step::StopContainer { id: container.id.clone(), name: name.into(), grace_seconds }
}

/// Gives a container another name.
pub(super) fn rename(container: &Container, from: &str, to: &str) -> Step {
    Step::RenameContainer { id: container.id.clone(), from: from.into(), to: to.into() }
}

impl Scene<'_> {
    /// What a slot needs in this pass. `failed`: its wanted revision has failed. `admitted`: it may begin a change.
    pub fn work(&self, slot: &Slot<'_>, failed: Option<&FailedRevision>, admitted: bool, turn: &Turn) -> Work {
        if slot.leaving {
            let soon = later(self.clock.now, SignedDuration::from_secs(1));
            return Work::stuck(Trouble::new("Removing", "Removing", "is being removed").until(Some(soon)));
        }
        let mut work = match (slot.current, slot.previous, failed) {
            (current, Some(parted), _) if slot.parted => self.replace_parted(slot, current, parted),
            (current, previous, Some(failed)) => self.after_failure(slot, current, previous, failed, turn),
            (Some(current), None, None) => self.keep(slot, current, turn),
            (Some(current), Some(previous), None) => self.change_over(slot, current, previous),
            (None, Some(previous), None) if slot.revision.is_some() => self.begin(slot, previous, admitted, turn),
            (None, Some(previous), None) => self.keep(slot, previous, turn),
            (None, None, None) if slot.has_run => Work::default(),
            (None, None, None) => self.install(slot, turn),
        };
        if slot.revision.is_some() {
            work.prepare = without_surplus(slot, work.prepare);
        }
        work
    }

    /// Keeps a container, and what else there is of the slot goes.
    pub fn keep_alone(&self, slot: &Slot<'_>, container: &Container, turn: &Turn) -> Work {
        let work = self.keep(slot, container, turn);
        Work { prepare: without_surplus(slot, work.prepare), ..work }
    }

    pub fn look(&self, slot: &Slot<'_>, container: &Container) -> Look {
        look(container, slot.want, self.cx.valid.update.min_ready, self.clock)
    }

    /// Why the wanted revision has just failed on this host, if it has. A first installation has nothing to go back to and is
    /// tried on; a run to the end is not repeated.
    pub fn failure(&self, slot: &Slot<'_>) -> Option<(&'static str, String)> {
        if let Some(failure) = self.failure_to_replace(slot) {
            return Some(failure);
        }
        let current = slot.current?;
        let look = self.look(slot, current);
        if slot.want.lifecycle == Lifecycle::Once {
            let failed = look == Look::Ended && !look::ended_by_engine(current, self.clock);
            return failed.then(|| look::describe(current, slot.want, look)).map(|(_, r, m)| (r, m));
        }
        slot.previous.filter(|_| !was_put_aside(current))?;
        look::failure(current, slot.want, look, self.cx.valid.update.timeout, self.clock)
    }

    fn starts_first(&self, slot: &Slot<'_>) -> bool {
        self.cx.valid.update.order == UpdateOrder::StartFirst
            && slot.want.exclusive.is_none()
            && slot.want.lifecycle == Lifecycle::Running
    }

    fn pin(&self, slot: &Slot<'_>) -> Option<&Pin> {
        self.cx.pins.get(&slot.want.image)?.as_ref().ok()
    }

    /// The slot's image is on the host.
    pub fn has_image(&self, slot: &Slot<'_>) -> bool {
        self.pin(slot).is_some_and(|pin| images::has(self.host, &slot.want.image, pin))
    }

    /// The slot's container cannot be made now, and why; or the image has to be pulled first.
    pub fn obstacle(&self, slot: &Slot<'_>) -> Option<Work> {
        let missing = |reason: &str, message: String| Trouble::new("Missing", reason, message);
        if let Some(wait) = self.conflicts.iter().find(|w| w.service == slot.key.service || w.service.is_empty()) {
            return Some(Work::stuck(missing(&wait.reason, wait.message.clone()).for_a_person()));
        }
        if let Some(wait) = self.conflicts.first() {
            let message = format!("nothing is made on this host: {}", wait.message);
            return Some(Work::stuck(missing(&wait.reason, message).for_a_person()));
        }
        if self.has_image(slot) {
            return None;
        }
        let image = &slot.want.image;
        let pin = self.pin(slot)?;
        if pin.local || self.cx.valid.images.pull_policy == PullPolicy::Never {
            let why = if pin.local { "it was never in a registry" } else { "images.pullPolicy is Never" };
            let message =
                format!("image {image} is not on this host, and {why}: load it here, or push it to a registry");
            return Some(Work::stuck(missing("ImageMissing", message).for_a_person()));
        }
        let pull = Step::PullImage {
            image: image.clone(),
            digest: Some(pin.digest.clone()),
            platform: slot.want.platform.clone(),
        };
        let trouble = missing("ImagePulling", format!("image {image} is being pulled"));
        Some(Work { pull: Some(pull), ..Work::stuck(trouble) })
    }

    pub fn create(&self, slot: &Slot<'_>, revision: &str, name: &str) -> Step {
        let digest = self.pin(slot).filter(|pin| !pin.local).map(|pin| pin.digest.clone());
        Step::CreateContainer {
            key: slot.key.clone(),
            name: name.into(),
            revision: revision.into(),
            restart: self.cx.valid.restart.clone(),
            image_digest: digest,
        }
    }

    /// Nothing is there yet, or somebody removed it.
    fn install(&self, slot: &Slot<'_>, turn: &Turn) -> Work {
        let Some(revision) = slot.revision else {
            let fault = self.cx.pins.get(&slot.want.image).and_then(|pin| pin.as_ref().err());
            let fault = fault.cloned().unwrap_or_default();
            let trouble = Trouble::new("Missing", fault.reason, fault.message);
            return Work::stuck(Trouble { needs_person: fault.needs_person, ..trouble });
        };
        if self.cx.valid.drift != Drift::Heal && self.was_there(slot) {
            return Work::stuck(self.drifted("Missing", "somebody removed it"));
        }
        if let Some(work) = self.obstacle(slot) {
            return work;
        }
        if let Some(hold) = turn.hold(self.node).filter(|_| self.is_first_placement()) {
            let message = format!("waits for the rollout of its Design: {hold}");
            return Work::stuck(Trouble::new("Missing", "RolloutWaiting", message));
        }
        if let Some(orphan) = self.in_the_way(slot).filter(|_| !turn.has(self.node)) {
            let message = format!(
                "container {} of a service that the project has no more is in the way; taking it down {}",
                orphan.name,
                turn.why(self.node)
            );
            return Work::stuck(Trouble::new("Missing", turn.reason(self.node), message));
        }
        let name = slot.want.name.clone();
        Work {
            prepare: vec![self.create(slot, revision, &name)],
            go: vec![Step::StartContainer { name }],
            gated: true,
            trouble: Some(Trouble::new("Missing", "Creating", "is being created")),
            ..Work::default()
        }
    }

    /// A running container, of a service that the project has no more, with the name or a host port of the slot's.
    fn in_the_way(&self, slot: &Slot<'_>) -> Option<&Container> {
        let clashes = |orphan: &&Container| {
            let taken = conflicts::published(orphan);
            orphan.name == slot.want.name
                || slot.want.host_ports.iter().any(|port| taken.iter().any(|other| ports_clash(port, other)))
        };
        self.orphans().filter(|orphan| is_up(orphan)).find(clashes)
    }

    /// Somebody gave a running container what only a new one is without: to make it anew is a change like another.
    pub fn must_be_remade(&self, slot: &Slot<'_>) -> bool {
        let current = slot.current.filter(|current| is_up(current) && slot.previous.is_none() && !slot.leaving);
        self.cx.valid.drift == Drift::Heal
            && self.obstacle(slot).is_none()
            && current.is_some_and(|current| drift::limits(current, slot.want) == Limits::Added)
    }

    /// Another revision serves, and the wanted one is not there yet.
    fn begin(&self, slot: &Slot<'_>, previous: &Container, admitted: bool, turn: &Turn) -> Work {
        let Some(revision) = slot.revision else { return self.keep(slot, previous, turn) };
        let kept = |mut work: Work, trouble: Option<Trouble>| {
            work.changes = true;
            work.trouble = work.trouble.or(trouble);
            work
        };
        if let Some(obstacle) = self.obstacle(slot) {
            let trouble = obstacle.trouble.map(|t| Trouble { state: "Outdated", ..t });
            return Work { pull: obstacle.pull, ..kept(self.keep(slot, previous, turn), trouble) };
        }
        if !admitted {
            return kept(
                self.keep(slot, previous, turn),
                Some(Trouble::new("Outdated", turn.reason(self.node), turn.why(self.node))),
            );
        }
        let mut work = Work { changes: true, gated: true, ..Work::default() };
        let name = slot.new_name();
        if previous.name == name {
            work.prepare.push(rename(previous, &name, &slot.want.name));
        }
        work.prepare.push(self.create(slot, revision, &name));
        if self.starts_first(slot) {
            work.go.push(Step::StartContainer { name });
        }
        work.trouble = Some(Trouble::new("Outdated", "Updating", "is being replaced"));
        work
    }

    /// The wanted revision is there, and so is the one before it.
    pub fn change_over(&self, slot: &Slot<'_>, current: &Container, previous: &Container) -> Work {
        let look = self.look(slot, current);
        let (state, reason, message) = look::describe(current, slot.want, look);
        let timeout = signed(self.cx.valid.update.timeout);
        let overdue = |since: Option<Timestamp>| since.map(|at| later(at, timeout));
        let told = Trouble::new(state, reason, message);
        let steps = |go: Vec<Step>, gated: bool| Work { go, gated, trouble: Some(told.clone()), ..Work::default() };
        match look {
            Look::Ready => Work { trouble: None, ..steps(finish(slot, current, previous), false) },
            Look::Idle | Look::StartFailed if self.run_goes_on(slot, previous) => {
                let message = "the run of the revision before has not ended yet";
                let until = overdue(previous.started_at);
                Work::stuck(Trouble::new("Created", "RunInProgress", message).until(until))
            }
            Look::Idle | Look::StartFailed if self.starts_first(slot) => {
                steps(vec![Step::StartContainer { name: current.name.clone() }], true)
            }
            Look::Idle | Look::StartFailed => steps(take_over(slot, current, previous), true),
            Look::Ended => {
                let at = look::start_again_at(current, self.cx.failing_since, self.clock);
                if at > self.clock.now {
                    return Work::stuck(told.until(Some(at)));
                }
                let halt = (is_up(previous) && !self.starts_first(slot)).then(|| stop(previous, &previous.name));
                let start = Step::StartContainer { name: current.name.clone() };
                steps(halt.into_iter().chain([start]).collect(), true)
            }
            Look::Paused => steps(vec![unpause(current)], false),
            Look::Settling(at) => Work::stuck(told.until(at.or(overdue(current.started_at)))),
            Look::Restarting | Look::Unhealthy => Work::stuck(told),
        }
    }

    /// A run of the revision before is not broken off, unless it takes too long.
    fn run_goes_on(&self, slot: &Slot<'_>, previous: &Container) -> bool {
        let since = previous.started_at.map(|at| later(at, signed(self.cx.valid.update.timeout)));
        slot.want.lifecycle == Lifecycle::Once && is_up(previous) && since.is_some_and(|until| until > self.clock.now)
    }

    /// The wanted revision has failed, here or on another host.
    fn after_failure(
        &self,
        slot: &Slot<'_>,
        current: Option<&Container>,
        previous: Option<&Container>,
        failed: &FailedRevision,
        turn: &Turn,
    ) -> Work {
        let told = |state| Trouble::new(state, failed.reason.clone(), failed.message.clone()).for_a_person();
        let once = slot.want.lifecycle == Lifecycle::Once;
        match (current, previous) {
            (None, None) => Work::stuck(told("Missing")),
            // What failed is kept to be looked at. The run before it has nothing to say any more.
            (Some(current), previous) if once => {
                let prepare: Vec<_> = previous.into_iter().flat_map(removal).collect();
                let takes_name = current.name != slot.want.name && !prepare.is_empty();
                let go = takes_name.then(|| rename(current, &current.name, &slot.want.name));
                Work { prepare, go: go.into_iter().collect(), ..Work::stuck(told("Exited")) }
            }
            (Some(current), Some(_)) if self.cx.valid.update.on_failure == OnFailure::Stop => {
                let (state, ..) = look::describe(current, slot.want, self.look(slot, current));
                Work::stuck(told(state))
            }
            // Ready in spite of what another host says: it has been through here.
            (Some(current), Some(previous)) if self.look(slot, current) == Look::Ready => {
                Work { go: finish(slot, current, previous), ..Work::default() }
            }
            (Some(current), Some(previous)) => {
                let mut go: Vec<_> = removal(current).collect();
                if previous.name != slot.want.name {
                    go.push(rename(previous, &previous.name, &slot.want.name));
                }
                if !is_up(previous) {
                    go.push(Step::StartContainer { name: slot.want.name.clone() });
                }
                Work { go, ..Work::stuck(Trouble::new("Outdated", "RollingBack", "is being rolled back")) }
            }
            (Some(only), None) | (None, Some(only)) => self.keep(slot, only, turn),
        }
    }

    /// Keeps a container as it should be: its state, its name, its networks, its limits.
    fn keep(&self, slot: &Slot<'_>, container: &Container, turn: &Turn) -> Work {
        let look = self.look(slot, container);
        let (state, reason, message) = look::describe(container, slot.want, look);
        let told = Trouble::new(state, reason, message);
        let mut work = Work::default();
        if is_unbound(container, slot.want, self.host) && look != Look::Ready {
            return self.make_anew(slot, container, "a network that it was bound to was removed");
        }
        let heals = self.cx.valid.drift == Drift::Heal;
        let mut drifted = None;
        work.go.extend(self.own_name(slot, container));
        if container.name != slot.want.name && work.go.is_empty() {
            match conflicts::name_taken(self.host, &slot.want.name) {
                Some(other) => {
                    let message = format!("its name {} is taken by container {}", slot.want.name, other.name);
                    drifted = Some(Trouble::new(state, "ContainerNameTaken", message).for_a_person());
                }
                None if heals => work.go.push(rename(container, &container.name, &slot.want.name)),
                None => drifted = Some(self.drifted(state, "somebody renamed it")),
            }
        }
        // The old definition of a container of another revision is not known, so nothing can be measured by it. What has run
        // to its end needs neither networks nor limits.
        let done = look == Look::Ready && !is_up(container);
        if !done && slot.current.is_some_and(|c| c.id == container.id) {
            for network in drift::lost_networks(container, slot.want, self.host) {
                if heals {
                    let (id, key) = (container.id.clone(), slot.key.clone());
                    work.go.push(Step::ConnectNetwork { id, key, network: network.into() });
                } else {
                    drifted = Some(self.drifted(state, format!("somebody took it off network {network}")));
                }
            }
            match drift::limits(container, slot.want) {
                Limits::AsWanted => {}
                _ if !heals => drifted = Some(self.drifted(state, "somebody changed its limits")),
                Limits::Changed => {
                    work.go.push(Step::UpdateContainer { id: container.id.clone(), key: slot.key.clone() });
                }
                // What is down loses nothing by being made anew; what runs has its turn.
                Limits::Added if self.must_be_remade(slot) && !turn.has(self.node) => {
                    let message = format!("{ADDED_LIMIT}; making it anew {}", turn.why(self.node));
                    drifted = Some(Trouble::new(state, turn.reason(self.node), message));
                }
                Limits::Added => return self.make_anew(slot, container, ADDED_LIMIT),
            }
        }
        let start = |work: &mut Work| {
            let renamed = work.go.iter().any(|s| matches!(s, Step::RenameContainer { .. }));
            let name = if renamed { &slot.want.name } else { &container.name };
            work.go.push(Step::StartContainer { name: name.clone() });
            work.gated = true;
        };
        work.trouble = match look {
            Look::Ready => drifted,
            Look::Idle | Look::StartFailed => {
                start(&mut work);
                Some(told)
            }
            Look::Paused if heals => {
                work.go.insert(0, unpause(container));
                Some(told)
            }
            Look::Paused => Some(self.drifted(state, "somebody paused it")),
            Look::Ended if slot.want.lifecycle == Lifecycle::Once && !look::ended_by_engine(container, self.clock) => {
                Some(told.for_a_person())
            }
            Look::Ended if !heals => Some(self.drifted(state, told.message)),
            Look::Ended => {
                let at = look::start_again_at(container, self.cx.failing_since, self.clock);
                if at > self.clock.now {
                    Some(told.until(Some(at)))
                } else if let Some(message) = conflicts::port_taken(self.host, slot.want) {
                    Some(Trouble::new(state, "HostPortTaken", message).for_a_person())
                } else {
                    start(&mut work);
                    Some(told)
                }
            }
            Look::Settling(until) => Some(told.until(until)),
            Look::Restarting | Look::Unhealthy => Some(told),
        };
        work
    }

    /// A name that one of our changes gave is taken back, whatever `drift` says.
    fn own_name(&self, slot: &Slot<'_>, container: &Container) -> Option<Step> {
        let name = &slot.want.name;
        let free = conflicts::name_taken(self.host, name).is_none();
        (slot.is_interim_name(&container.name) && free).then(|| rename(container, &container.name, name))
    }

    /// A container that cannot be put right is made anew, if that can be done.
    fn make_anew(&self, slot: &Slot<'_>, container: &Container, why: &str) -> Work {
        let (state, ..) = look::describe(container, slot.want, self.look(slot, container));
        if slot.current.is_none_or(|c| c.id != container.id) {
            let message = format!("{why}, and its revision cannot be made any more");
            return Work::stuck(Trouble::new(state, "Drifted", message).for_a_person());
        }
        if let Some(work) = self.obstacle(slot) {
            return work;
        }
        if self.cx.valid.drift != Drift::Heal {
            return Work::stuck(self.drifted(state, why));
        }
        Work {
            go: removal(container).collect(),
            trouble: Some(Trouble::new(state, "Recreating", format!("is made anew: {why}"))),
            ..Work::default()
        }
    }

    fn drifted(&self, state: &'static str, message: impl Into<String>) -> Trouble {
        let message = format!("{}; drift is {:?}", message.into(), self.cx.valid.drift);
        let tolerated = self.cx.valid.drift == Drift::Ignore;
        Trouble { tolerated, ..Trouble::new(state, "Drifted", message).for_a_person() }
    }
}

/// Takes away what is in nobody's way and of no use, before other steps.
fn without_surplus(slot: &Slot<'_>, steps: Vec<Step>) -> Vec<Step> {
    slot.surplus.iter().flat_map(|container| removal(container)).chain(steps).collect()
}

/// Lets a container go on.
pub(super) fn unpause(container: &Container) -> Step {
    Step::UnpauseContainer { id: container.id.clone(), name: container.name.clone() }
}

/// The old container stops, then the new one starts. Names first: whatever carries the old name later was stopped by us.
fn take_over(slot: &Slot<'_>, current: &Container, previous: &Container) -> Vec<Step> {
    let (name, old) = (&slot.want.name, slot.old_name());
    let mut go = Vec::new();
    if previous.name != old {
        go.push(rename(previous, &previous.name, &old));
    }
    if current.name != *name {
        go.push(rename(current, &current.name, name));
    }
    if is_up(previous) {
        go.push(stop(previous, &old));
    }
    go.push(Step::StartContainer { name: name.clone() });
    go
}

/// The new container is ready: the old one goes, and the new one takes the name.
pub(super) fn finish(slot: &Slot<'_>, current: &Container, previous: &Container) -> Vec<Step> {
    let (name, old) = (&slot.want.name, slot.old_name());
    let gone = Step::RemoveContainer { id: previous.id.clone(), name: previous.name.clone() };
    if is_up(previous) && previous.name == *name && current.name != old {
        return vec![
            rename(previous, name, &old),
            rename(current, &current.name, name),
            stop(previous, &old),
            Step::RemoveContainer { id: previous.id.clone(), name: old },
        ];
    }
    let halt = is_up(previous).then(|| stop(previous, &previous.name));
    let takes_name = (current.name != *name).then(|| rename(current, &current.name, name));
    halt.into_iter().chain([gone]).chain(takes_name).collect()
}
