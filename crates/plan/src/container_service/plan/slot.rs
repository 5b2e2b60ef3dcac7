//! Slots: one per wanted container and host, with the containers that are there for it.

use std::cmp::Reverse;

use jiff::Timestamp;

use super::look::has_run;
use crate::container_service::definition::{self, ContainerKey};
use crate::container_service::observed::{Container, HealthStatus, Host, State};

/// Ends the name of a container that is made to take another's place.
const NEW: &str = ".slipway-new";
/// Ends the name of a container that is kept until its successor is ready. One of that name was stopped by us.
const OLD: &str = ".slipway-old";

/// One wanted container on one host, and what is there for it. All of it is read off labels, names and states, so it does not
/// matter after which step an earlier pass was broken off.
#[derive(Clone, Debug)]
pub(super) struct Slot<'a> {
    pub key: &'a ContainerKey,
    pub want: &'a definition::Container,
    /// The revision that is wanted; `None` while its image is not known.
    pub revision: Option<&'a str>,
    /// The container of the wanted revision.
    pub current: Option<&'a Container>,
    /// The container of another revision that serves, or is kept to fall back on.
    pub previous: Option<&'a Container>,
    /// Containers that are in nobody's way and of no use.
    pub surplus: Vec<&'a Container>,
    /// `previous` was put aside with its networks, which are on record and can be made again.
    pub parted: bool,
    /// One is being removed right now, and still has its name.
    pub leaving: bool,
    /// Nothing is there, and nothing has to be: its run to the end is on record.
    pub has_run: bool,
}

impl<'a> Slot<'a> {
    /// Sorts out what a host has for a key. `newer_than`: the container must have been made after this time, since one that it
    /// depends on was.
    pub fn of(
        key: &'a ContainerKey,
        want: &'a definition::Container,
        revision: Option<&'a str>,
        restart: Option<&str>,
        newer_than: Option<Timestamp>,
        host: &'a Host,
    ) -> Self {
        let mine = host.containers.iter().filter(|c| c.key == *key);
        let (leaving, mine): (Vec<_>, Vec<_>) = mine.partition(|c| c.state == State::Removing);
        let (mut surplus, mine): (Vec<_>, Vec<_>) = mine.into_iter().partition(|c| c.state == State::Dead);
        let (mut parted, mine): (Vec<_>, Vec<_>) = mine.into_iter().partition(|c| can_come_back(c, host));
        let is_current = |c: &&Container| {
            revision == Some(c.revision.as_str())
                && restart.is_none_or(|wanted| c.restart.as_deref() == Some(wanted))
                && newer_than.is_none_or(|t| c.created_at.is_none_or(|created| created >= t))
        };
        let (mut currents, others): (Vec<_>, Vec<_>) = mine.into_iter().partition(is_current);
        // What never ran is nothing to fall back on; but as long as it is not known what is wanted, nothing is thrown away.
        let usable = |c: &&Container| revision.is_none() || (has_run(c) && !is_unbound(c, want, host));
        let (mut previous, unusable): (Vec<_>, Vec<_>) = others.into_iter().partition(usable);
        currents.sort_by_key(|c| Reverse(worth(c, want)));
        previous.sort_by_key(|c| Reverse(worth(c, want)));
        let mut currents = currents.into_iter();
        parted.sort_by_key(|c| Reverse(worth(c, want)));
        let is_parted = !parted.is_empty();
        // What was put aside with its networks is the last that is known to be good.
        let mut previous = parted.into_iter().chain(previous);
        let (current, fallback) = (currents.next(), previous.next());
        surplus.extend(currents.chain(previous).chain(unusable));
        surplus.sort_by(|a, b| a.name.cmp(&b.name));
        let leaving = !leaving.is_empty();
        Self { key, want, revision, current, previous: fallback, surplus, parted: is_parted, leaving, has_run: false }
    }

    /// No container of any revision is there that is of use.
    pub fn is_empty(&self) -> bool {
        self.current.is_none() && self.previous.is_none()
    }

    /// The name that a successor is made under.
    pub fn new_name(&self) -> String {
        format!("{}{NEW}", self.want.name)
    }

    /// The name that a predecessor is kept under.
    pub fn old_name(&self) -> String {
        format!("{}{OLD}", self.want.name)
    }

    /// The container is named as a change names it, so a change was broken off or is going on.
    pub fn is_interim_name(&self, name: &str) -> bool {
        name == self.new_name() || name == self.old_name()
    }
}

/// The name without what a change adds to it.
pub(super) fn plain_name(name: &str) -> &str {
    name.strip_suffix(NEW).or_else(|| name.strip_suffix(OLD)).unwrap_or(name)
}

/// Stopped by us, when its successor was started.
pub(super) fn was_put_aside(container: &Container) -> bool {
    container.name.ends_with(OLD)
}

/// It was put aside with its networks: one that it is bound to is gone, and on record to be made again.
pub(super) fn can_come_back(container: &Container, host: &Host) -> bool {
    let gone = |(name, id): (&String, &String)| {
        let kept = host.kept_networks.get(name).is_some_and(|kept| kept.id == *id);
        kept && host.networks.get(name).is_none_or(|there| there.id != *id)
    };
    was_put_aside(container) && container.state == State::Exited && container.network_ids.iter().any(gone)
}

/// Which of several is kept: one that is up and not starting or failing, one that was put aside while it was good, one under
/// its own name, the newest.
fn worth<'a>(
    container: &'a Container,
    want: &definition::Container,
) -> (bool, bool, bool, Option<Timestamp>, Reverse<&'a str>) {
    let good = container.state == State::Running
        && container.health.as_ref().is_none_or(|h| h.status == HealthStatus::Healthy);
    (good, was_put_aside(container), container.name == want.name, container.created_at, Reverse(&container.id))
}

/// Which of several is the last that is known to be good, if nothing is known of their definition: one that was put aside
/// while it was good, one that is no successor yet, the newest.
pub(super) fn trust(container: &Container) -> (bool, bool, Option<Timestamp>, Reverse<&str>) {
    let successor = container.name.ends_with(NEW);
    (was_put_aside(container), !successor, container.created_at, Reverse(&container.id))
}

/// It is down and bound to a network that is not there any more, or was made anew: no engine starts it again.
pub(super) fn is_unbound(container: &Container, want: &definition::Container, host: &Host) -> bool {
    let ours = |name: &str| want.networks.iter().any(|(n, _)| n == name);
    let lost = |(name, id): (&String, &String)| match host.networks.get(name) {
        Some(network) => network.id != *id,
        None => ours(name),
    };
    let mut bound = container.network_ids.iter().filter(|(_, id)| !id.is_empty());
    matches!(container.state, State::Created | State::Exited) && bound.any(lost)
}
