//! Gates: what a slot depends on comes first.

use std::collections::BTreeMap;

use super::host::Scene;
use super::look::{Look, has_run, is_up};
use super::slot::Slot;
use super::work::Trouble;
use crate::container_service::definition::{ContainerKey, Dependency, Lifecycle};
use crate::container_service::observed::{Health, HealthStatus, State};
use crate::formats::compose::model::Condition;

/// When the slots' steps end.
#[derive(Default)]
pub(super) struct Ends<'a>(pub BTreeMap<&'a ContainerKey, End>);

pub(super) struct End {
    /// The stage after the last step.
    pub at: usize,
    pub starts: bool,
    pub changes: bool,
    pub trouble: Option<Trouble>,
}

/// Whether a start may come, and from which stage on.
#[derive(Clone, Debug)]
pub(super) enum Gate {
    Open(usize),
    Closed(Trouble),
}

impl Scene<'_> {
    /// Whether what a slot depends on is there.
    pub fn gate(&self, slot: &Slot<'_>, ends: &Ends<'_>) -> Gate {
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
