//! The rollout of a Design: what its Nodes and those who act on them show, and whom it lets.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::{Resource, ResourceExt};
use slipway_api::conditions::is_ready;
use slipway_api::design::{GroupStatus, Rollout, RolloutStatus};
use slipway_api::{ContainerService, Node};
use slipway_plan::rollout::{Model as Groups, NodeState, Observed, Sight, hold, observe, record, schedule};

use super::compiled::Model;
use super::sites::{Gate, Party};
use super::{Designs, Key};

/// Objects of a site are written one after the other: for this long after the last change nothing begins, so that a group
/// does not begin because those before it are not there yet.
const SETTLE: Duration = Duration::from_secs(3);

/// What a rollout works with.
#[derive(Debug, Default)]
pub struct Rolling {
    nodes: BTreeMap<String, Sight>,
    /// All who may act on the Nodes have been heard since this process began.
    heard: bool,
    changed: Option<Timestamp>,
}

/// Whom a rollout lets, and what is on record of it.
#[derive(Debug, Default)]
pub struct Let {
    /// What is to be on record; absent while that is nothing: an API server takes no empty object where there was more.
    pub record: Option<RolloutStatus>,
    /// There is a rollout, which has a say.
    limits: bool,
    /// The groups, for the status.
    pub groups: Vec<GroupStatus>,
    /// Nodes that wait for a step, or are in the middle of one.
    pub moving: usize,
    /// When to look again.
    pub again: Option<Timestamp>,
    holds: HashMap<String, String>,
    /// Why nobody is let at all.
    closed: Option<String>,
}

impl fmt::Display for Let {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.record.iter().flat_map(|record| &record.in_progress).map(|it| it.name.as_str());
        let names: Vec<_> = names.collect();
        if names.is_empty() { f.write_str("nothing to let") } else { write!(f, "let {}", names.join(", ")) }
    }
}

impl Designs {
    /// What a rollout works with: the Nodes, and what is asked of them.
    pub(super) fn look(
        &self,
        key: &Key,
        nodes: &[Arc<Node>],
        model: Option<&Model>,
        changed: Option<Timestamp>,
    ) -> Rolling {
        if model.is_none_or(|model| model.rollout.is_none()) {
            return Rolling::default();
        }
        let mut asks = self.sites.asks(&key.namespace);
        let services = self.services.list(&key.namespace);
        let services_heard = services.iter().all(|service| self.has_heard_service(service));
        let sight = |node: &Arc<Node>| {
            let name = node.name_any();
            let own = self.sites.has_heard(&Party::Node(Key::of(&**node)), node.metadata.generation);
            let standing = standing(node);
            let own = own || is_at_rest(node, &standing) || node.meta().deletion_timestamp.is_some();
            let asks = asks.remove(&name).unwrap_or_default();
            let sight = Sight { asks, heard: services_heard && own, ..standing };
            (name, sight)
        };
        let nodes: BTreeMap<String, Sight> = nodes.iter().map(sight).collect();
        let heard = nodes.values().all(|node| node.heard);
        Rolling { nodes, heard, changed }
    }

    fn has_heard_service(&self, service: &Arc<ContainerService>) -> bool {
        let party = Party::Service(Key::of(&**service));
        service.meta().deletion_timestamp.is_some() || self.sites.has_heard(&party, service.metadata.generation)
    }
}

/// A Node that is ready and has no command on record is not in the middle of anything. After a restart its BMC is looked at
/// within minutes only, and a rollout need not wait for that.
fn is_at_rest(node: &Node, standing: &Sight) -> bool {
    standing.ready && node.status.as_ref().is_some_and(|status| status.operation.is_none())
}

/// A Node by its status.
fn standing(node: &Node) -> Sight {
    let status = node.status.clone().unwrap_or_default();
    let current = status.observed_generation == node.metadata.generation;
    let ready = current && is_ready(&status.conditions);
    let is_on = status.power.as_deref().is_none_or(|power| power == "On");
    let answers = node.spec.docker.is_none() || status.docker.is_some() && status.unreachable_since.is_none();
    Sight { ready, available: ready || is_on && answers, asks: Vec::new(), heard: false }
}

impl Let {
    /// Nobody: the order that is asked for is not known, as the Design never was without errors.
    pub fn nobody(design: &str, record: Option<RolloutStatus>) -> Self {
        Self {
            closed: Some(format!("Design {design} has a rollout, and errors; it has no model yet")),
            record,
            ..Self::default()
        }
    }

    /// Whom the rollout lets now. `asked`: the spec as it is now, which says what is paused and to be tried again, be the
    /// rest of the Design in force or not.
    pub fn of(
        rolling: &Rolling,
        model: Option<&Model>,
        asked: Option<&Rollout>,
        old: &RolloutStatus,
        now: Timestamp,
    ) -> Self {
        let Some((model, mut rollout)) = model.and_then(|model| Some((model, model.rollout.clone()?))) else {
            return Self::default();
        };
        if let Some(asked) = asked {
            rollout.paused = asked.paused;
            rollout.retry.clone_from(&asked.retry);
        }
        let retry = rollout.retry.as_ref().map(|retry| retry.requested_at.clone());
        let observed = observe(old, &rolling.nodes, retry.as_deref());
        let groups = Groups { rollout: Some(&rollout), members: &model.members };
        let mut schedule = schedule(&groups, &observed);
        let settled = rolling.changed.and_then(|at| at.checked_add(SETTLE).ok()).unwrap_or(now);
        let mut again = None;
        if !rolling.heard || now < settled {
            again = (!schedule.begin.is_empty() && now < settled).then_some(settled);
            schedule.begin.clear();
        }
        let record = record(old, &rolling.nodes, &observed, &schedule, now);
        let asking = rolling.nodes.iter().filter(|(_, node)| !node.asks.is_empty()).map(|(name, _)| name);
        let holds = asking.filter_map(|name| Some((name.clone(), hold(&groups, &observed, &schedule, name)?)));
        Self {
            holds: holds.collect(),
            record: Some(record).filter(|record| *record != RolloutStatus::default()),
            limits: true,
            groups: schedule.groups,
            moving: moving(&observed),
            again,
            closed: None,
        }
    }

    /// What it means for those who ask.
    pub fn gate(&self) -> Gate {
        if let Some(why) = &self.closed {
            return Gate::Closed(why.clone());
        }
        if !self.limits {
            return Gate::Open;
        }
        let since = self.record.iter().flat_map(|record| &record.in_progress);
        let since = since.map(|it| (it.name.clone(), it.since.parse().unwrap_or(Timestamp::UNIX_EPOCH)));
        Gate::Record { since: since.collect(), holds: self.holds.clone() }
    }
}

fn moving(observed: &Observed) -> usize {
    let moves = |state: &&NodeState| matches!(state, NodeState::Pending { .. } | NodeState::InProgress);
    observed.values().filter(moves).count()
}
