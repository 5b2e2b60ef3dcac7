//! Who may be disrupted now.
//!
//! Nothing is remembered: what is observed decides, so a scheduler that was killed goes on where it was. Time plays no part.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use slipway_api::design::{GroupState, GroupStatus, Rollout};

use super::budget::{Round, budget};

/// How a Node is, seen from the rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// As wanted.
    Ready,
    /// It has a disruptive step to do. `available`: it serves meanwhile, and will not while the step is done.
    Pending {
        /// Whether there is something to lose.
        available: bool,
    },
    /// A disruptive step that was allowed is under way.
    InProgress,
    /// It serves, and something else than a disruptive step is in the way of being ready.
    Unready,
    /// It should serve and does not, for reasons that have nothing to do with the rollout.
    Away,
    /// Its step failed. `retry` is what `spec.rollout.retry.requestedAt` was then; another one lets it be tried again.
    Failed {
        /// The last request that it knows of.
        retry: Option<String>,
    },
}

/// The Nodes of a site, by name.
pub type Observed = BTreeMap<String, NodeState>;

/// A site's groups with their Nodes. Nodes in none of them count for the budget of the site alone.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// Order and budgets; without them nothing is limited.
    pub rollout: Option<&'a Rollout>,
    /// Nodes of each group, in the order of `rollout.groups`.
    pub members: &'a [Vec<String>],
}

/// What may happen now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Nodes that may begin.
    pub begin: BTreeSet<String>,
    /// Nodes that are in the middle of it, and may finish whatever else is said.
    pub go_on: BTreeSet<String>,
    /// The groups, for the status.
    pub groups: Vec<GroupStatus>,
}

impl Schedule {
    /// Whether a Node may be disrupted now.
    pub fn allows(&self, node: &str) -> bool {
        self.begin.contains(node) || self.go_on.contains(node)
    }
}

/// Who may be disrupted now.
///
/// Ends when faults end: a group begins as soon as those before it are done, and a Node that can begin does.
pub fn schedule(model: &Model<'_>, observed: &Observed) -> Schedule {
    let go_on = observed.iter().filter(|(_, state)| **state == NodeState::InProgress).map(|(name, _)| name.clone());
    let mut schedule = Schedule { go_on: go_on.collect(), ..Schedule::default() };
    let Some(rollout) = model.rollout else {
        schedule.begin =
            observed.iter().filter(|(_, state)| is_pending(state, None)).map(|(name, _)| name.clone()).collect();
        return schedule;
    };
    let retry = rollout.retry.as_ref().map(|retry| retry.requested_at.as_str());
    let limit = rollout.max_unavailable.as_ref();
    let limit = limit.map_or(Some(1), |limit| budget(limit, observed.len(), Round::Up)).unwrap_or(1);
    let mut site = Budget::of(observed.values(), limit.max(1));

    let tallies: Vec<Tally> = (0..rollout.groups.len()).map(|index| Tally::of(model, observed, index, retry)).collect();
    let by_name: HashMap<&str, &Tally> =
        rollout.groups.iter().zip(&tallies).map(|(group, tally)| (group.name.as_str(), tally)).collect();
    let stopped = rollout.groups.iter().zip(&tallies).find(|(group, tally)| group.critical && tally.has_failed);
    let stopped = stopped.map(|(group, _)| group.name.as_str());

    for (index, (group, tally)) in rollout.groups.iter().zip(&tallies).enumerate() {
        let waits_for = group.after.iter().find(|name| by_name.get(name.as_str()).is_none_or(|before| !before.is_done));
        let hold = Hold {
            failed: tally.has_failed,
            stopped_by: stopped,
            paused: rollout.paused,
            paused_on_failure: group.pause_on_failure && tally.failed > 0,
            waits_for: waits_for.map(String::as_str),
        };
        let members = model.members.get(index).map_or(&[][..], Vec::as_slice);
        if hold.is_none() {
            let limit = group.max_unavailable.as_ref().and_then(|limit| budget(limit, members.len(), Round::Up));
            let states = members.iter().filter_map(|name| observed.get(name));
            let mut own = Budget::of(states, limit.map_or(usize::MAX, |limit| limit.max(1)));
            begin(members, observed, retry, &mut [&mut site, &mut own], &mut schedule.begin);
        }
        schedule.groups.push(tally.status(&group.name, &hold));
    }
    if !rollout.paused && stopped.is_none() {
        let grouped: BTreeSet<&String> = model.members.iter().flatten().collect();
        let rest: Vec<String> = observed.keys().filter(|name| !grouped.contains(name)).cloned().collect();
        begin(&rest, observed, retry, &mut [&mut site], &mut schedule.begin);
    }
    schedule
}

/// Nodes that can begin within the budgets: first those that have nothing to lose.
fn begin(
    members: &[String],
    observed: &Observed,
    retry: Option<&str>,
    budgets: &mut [&mut Budget],
    begun: &mut BTreeSet<String>,
) {
    for wants_available in [false, true] {
        for name in members {
            let Some(state) = observed.get(name).filter(|state| is_pending(state, retry)) else { continue };
            let is_available = *state == NodeState::Pending { available: true };
            if is_available == wants_available
                && !begun.contains(name)
                && budgets.iter().all(|budget| budget.has_room(is_available))
            {
                for budget in &mut *budgets {
                    budget.in_progress += 1;
                }
                begun.insert(name.clone());
            }
        }
    }
}

/// Whether a Node waits to begin. One that failed does after a retry was requested.
fn is_pending(state: &NodeState, retry: Option<&str>) -> bool {
    match state {
        NodeState::Pending { .. } => true,
        NodeState::Failed { .. } => !has_failed(state, retry),
        NodeState::Ready | NodeState::InProgress | NodeState::Unready | NodeState::Away => false,
    }
}

fn has_failed(state: &NodeState, retry: Option<&str>) -> bool {
    matches!(state, NodeState::Failed { retry: known } if retry.is_none() || known.as_deref() == retry)
}

/// How many Nodes may be unavailable, and how many are. Nodes that failed are not among them: `maxFailed` is theirs.
#[derive(Debug)]
struct Budget {
    limit: usize,
    in_progress: usize,
    away: usize,
}

impl Budget {
    fn of<'a>(states: impl Iterator<Item = &'a NodeState>, limit: usize) -> Self {
        let mut found = Self { limit, in_progress: 0, away: 0 };
        for state in states {
            match state {
                NodeState::InProgress => found.in_progress += 1,
                NodeState::Away => found.away += 1,
                NodeState::Ready | NodeState::Pending { .. } | NodeState::Unready | NodeState::Failed { .. } => {}
            }
        }
        found
    }

    /// A Node that serves is one less while others are away; one that does not serve takes nothing from anybody.
    fn has_room(&self, is_available: bool) -> bool {
        self.in_progress + if is_available { self.away } else { 0 } < self.limit
    }
}

/// How far a group is.
#[derive(Debug)]
struct Tally {
    nodes: usize,
    ready: usize,
    failed: usize,
    has_begun: bool,
    has_failed: bool,
    is_done: bool,
}

impl Tally {
    fn of(model: &Model<'_>, observed: &Observed, index: usize, retry: Option<&str>) -> Self {
        let group = model.rollout.and_then(|rollout| rollout.groups.get(index));
        let members = model.members.get(index).map_or(&[][..], Vec::as_slice);
        let states: Vec<&NodeState> = members.iter().filter_map(|name| observed.get(name)).collect();
        let nodes = states.len();
        let ready = states.iter().filter(|state| ***state == NodeState::Ready).count();
        let failed = states.iter().filter(|state| has_failed(state, retry)).count();
        let may_fail = group.and_then(|group| group.max_failed.as_ref());
        let may_fail = may_fail.and_then(|limit| budget(limit, nodes, Round::Down)).unwrap_or(0);
        let least = group.and_then(|group| group.min_ready.as_ref());
        let least = least.and_then(|least| budget(least, nodes, Round::Up)).unwrap_or(nodes - failed);
        let has_failed = failed > may_fail;
        Self {
            nodes,
            ready,
            failed,
            has_begun: states.contains(&&NodeState::InProgress),
            has_failed,
            is_done: !has_failed && ready >= least,
        }
    }

    fn status(&self, name: &str, hold: &Hold<'_>) -> GroupStatus {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (state, message) = if self.has_failed {
            (
                GroupState::Failed,
                format!("{} of {} Nodes failed; request a retry when it is mended", self.failed, self.nodes),
            )
        } else if self.is_done {
            (GroupState::Done, String::new())
        } else if let Some(why) = hold.why() {
            let is_waiting = hold.waits_for.is_some() && !hold.paused;
            (if is_waiting { GroupState::Waiting } else { GroupState::Paused }, why)
        } else if self.has_begun || self.ready > 0 {
            (GroupState::InProgress, format!("{} of {} Nodes are ready", self.ready, self.nodes))
        } else {
            (GroupState::InProgress, "begins as the budgets allow".to_owned())
        };
        GroupStatus {
            name: name.to_owned(),
            state,
            nodes: count(self.nodes),
            ready: count(self.ready),
            failed: count(self.failed),
            message,
        }
    }
}

/// What keeps a group from beginning anything.
#[derive(Debug)]
struct Hold<'a> {
    failed: bool,
    stopped_by: Option<&'a str>,
    paused: bool,
    paused_on_failure: bool,
    waits_for: Option<&'a str>,
}

impl Hold<'_> {
    fn is_none(&self) -> bool {
        !self.failed && self.why().is_none()
    }

    fn why(&self) -> Option<String> {
        if self.paused {
            Some("spec.rollout.paused holds the rollout".to_owned())
        } else if let Some(group) = self.stopped_by {
            Some(format!("the critical group {group} failed"))
        } else if self.paused_on_failure {
            Some("a Node failed; request a retry when it is mended".to_owned())
        } else {
            self.waits_for.map(|group| format!("waits for group {group}"))
        }
    }
}
