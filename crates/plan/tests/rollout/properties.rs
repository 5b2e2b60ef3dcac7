//! Random sites, faults and restarts: budgets hold, the order holds, and it ends when faults end.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use slipway_api::design::{GroupState, Rollout, RolloutGroup, RolloutRetry};
use slipway_plan::rollout::{Model, NodeState, Observed, Round, Schedule, budget, schedule};

use crate::random::{CASES, Random, seed};

struct Case {
    rollout: Rollout,
    members: Vec<Vec<String>>,
    observed: Observed,
}

fn case(random: &mut Random) -> Case {
    let groups = random.below(5);
    let mut members: Vec<Vec<String>> = vec![Vec::new(); groups];
    let mut observed = Observed::new();
    for number in 0..random.below(24) {
        let name = format!("n{number:02}");
        // One of the places is in no group.
        if let Some(group) = members.get_mut(random.below(groups + 1)) {
            group.push(name.clone());
        }
        let state = match random.below(4) {
            0 => NodeState::Ready,
            1 => NodeState::Pending { available: false },
            _ => NodeState::Pending { available: true },
        };
        observed.insert(name, state);
    }
    let group = |index: usize, random: &mut Random| RolloutGroup {
        name: format!("g{index}"),
        // Only on earlier ones, so that there is no circle.
        after: (0..index).filter(|_| random.one_in(2)).map(|before| format!("g{before}")).collect(),
        min_ready: random.one_in(3).then(|| IntOrString::String(format!("{}%", random.below(101)))),
        max_unavailable: random.one_in(2).then(|| random.budget(1, 4)),
        max_failed: random.one_in(2).then(|| random.budget(0, 3)),
        pause_on_failure: random.one_in(4),
        critical: random.one_in(4),
        selector: None,
    };
    let groups = (0..groups).map(|index| group(index, random)).collect();
    let max_unavailable = random.one_in(2).then(|| random.budget(1, 5));
    Case { rollout: Rollout { max_unavailable, groups, ..Rollout::default() }, members, observed }
}

impl Case {
    fn schedule(&self) -> Schedule {
        schedule(&Model { rollout: Some(&self.rollout), members: &self.members }, &self.observed)
    }

    fn limit(written: Option<&IntOrString>, nodes: usize, default: usize) -> usize {
        written.map_or(default, |limit| budget(limit, nodes, Round::Up).expect("a budget").max(1))
    }

    /// What must hold of every decision.
    fn check(&self, found: &Schedule) {
        let is = |name: &String, wanted: &dyn Fn(&NodeState) -> bool| self.observed.get(name).is_some_and(wanted);
        let all: Vec<String> = self.observed.keys().cloned().collect();
        let site = Self::limit(self.rollout.max_unavailable.as_ref(), all.len(), 1);
        let groups = self.rollout.groups.iter().zip(&self.members);
        let within = groups
            .map(|(group, members)| (members, Self::limit(group.max_unavailable.as_ref(), members.len(), usize::MAX)));
        for (members, limit) in within.chain([(&all, site)]) {
            let count = |wanted: &dyn Fn(&NodeState) -> bool| members.iter().filter(|name| is(name, wanted)).count();
            let begun: Vec<&String> = members.iter().filter(|name| found.begin.contains(*name)).collect();
            let before = count(&|state| *state == NodeState::InProgress);
            assert!(begun.is_empty() || before + begun.len() <= limit, "{} begin of {limit}: {self}", begun.len());
            let serving = begun.iter().any(|name| is(name, &|state| *state == NodeState::Pending { available: true }));
            let away = count(&|state| *state == NodeState::Away);
            // New Nodes may begin while others are away; one that serves may not, beyond the limit.
            let new = begun.iter().filter(|name| !is(name, &|s| *s == NodeState::Pending { available: true })).count();
            assert!(!serving || before + away + begun.len() - new <= limit, "one that serves begins: {self}");
        }
        for (group, members) in self.rollout.groups.iter().zip(&self.members) {
            if members.iter().any(|name| found.begin.contains(name)) {
                for before in &group.after {
                    let status = found.groups.iter().find(|status| status.name == *before).expect("a group");
                    assert_eq!(status.state, GroupState::Done, "{} begins before {before}: {self}", group.name);
                }
            }
        }
        let stopped = self.rollout.paused
            || self.rollout.groups.iter().zip(&found.groups).any(|(g, s)| g.critical && s.state == GroupState::Failed);
        assert!(!stopped || found.begin.is_empty(), "begins while stopped: {self}");
        let in_progress: BTreeSet<String> =
            self.observed.iter().filter(|(_, s)| **s == NodeState::InProgress).map(|(n, _)| n.clone()).collect();
        assert_eq!(found.go_on, in_progress, "what has begun may finish: {self}");
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?} {:?}", self.rollout, self.members, self.observed)
    }
}

/// One step of the world. The scheduler has no memory, so each call is also one after a restart.
fn step(case: &mut Case, random: &mut Random, faults: bool) -> bool {
    let found = case.schedule();
    case.check(&found);
    assert_eq!(found, case.schedule(), "equal input has equal output");
    let retry = case.rollout.retry.as_ref().map(|retry| retry.requested_at.clone());
    let mut moved = !found.begin.is_empty();
    for name in &found.begin {
        case.observed.insert(name.clone(), NodeState::InProgress);
    }
    for state in case.observed.values_mut() {
        let next = match state {
            NodeState::InProgress if faults && random.one_in(4) => NodeState::Failed { retry: retry.clone() },
            NodeState::InProgress if !faults || random.one_in(2) => NodeState::Ready,
            NodeState::Ready if faults && random.one_in(20) => NodeState::Away,
            NodeState::Ready if faults && random.one_in(20) => NodeState::Pending { available: true },
            NodeState::Away if !faults || random.one_in(3) => NodeState::Ready,
            _ => continue,
        };
        *state = next;
        moved = true;
    }
    moved
}

#[test]
fn budgets_and_order_hold_and_it_ends() {
    let seed = seed();
    for number in 0..CASES {
        let mut random = Random(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let mut case = case(&mut random);
        for round in 0..random.below(30) {
            case.rollout.paused = random.one_in(10);
            if random.one_in(10) {
                case.rollout.retry = Some(RolloutRetry { requested_at: format!("{round}") });
            }
            step(&mut case, &mut random, true);
        }
        case.rollout.paused = false;
        case.rollout.retry = Some(RolloutRetry { requested_at: "last".into() });
        let mut steps = 0;
        while step(&mut case, &mut random, false) {
            steps += 1;
            assert!(steps < 500, "seed {seed}, case {number} does not end: {case}");
        }
        let all_ready = case.observed.values().all(|state| *state == NodeState::Ready);
        assert!(all_ready, "seed {seed}, case {number} stopped early: {case}");
        assert!(case.schedule().groups.iter().all(|group| group.state == GroupState::Done));
    }
}
