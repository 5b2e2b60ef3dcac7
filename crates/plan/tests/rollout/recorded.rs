//! Those who act on Nodes, a rollout with its record, and restarts at any moment: what is really under way keeps to the
//! budgets, and it ends when faults end.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use slipway_api::design::{Rollout, RolloutGroup, RolloutRetry, RolloutStatus};
use slipway_plan::rollout::{Ask, Model, NodeState, Round, Sight, budget, observe, record, schedule};

use crate::random::{CASES, Random, seed};

/// What one who acts on a Node has to do there, whoever remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Work {
    None,
    Wanted,
    UnderWay,
    /// It failed at that moment.
    Failed(i64),
}

/// One who acts on a Node. `said` is what it told since the process began.
#[derive(Clone, Debug)]
struct Party {
    work: Work,
    said: Option<Vec<Ask>>,
}

#[derive(Debug)]
struct World {
    rollout: Rollout,
    members: Vec<Vec<String>>,
    /// By Node: two who act on it.
    nodes: BTreeMap<String, [Party; 2]>,
    /// What survives a restart.
    record: RolloutStatus,
    /// What this process has let, with the time; nothing before its first decision.
    leave: BTreeMap<String, i64>,
    second: i64,
}

fn world(random: &mut Random) -> World {
    let groups = random.below(4);
    let mut members: Vec<Vec<String>> = vec![Vec::new(); groups];
    let mut nodes = BTreeMap::new();
    for number in 0..=random.below(9) {
        let name = format!("n{number}");
        if let Some(group) = members.get_mut(random.below(groups + 1)) {
            group.push(name.clone());
        }
        let mut party = || Party { work: if random.one_in(3) { Work::None } else { Work::Wanted }, said: None };
        nodes.insert(name, [party(), party()]);
    }
    let group = |index: usize, random: &mut Random| RolloutGroup {
        name: format!("g{index}"),
        after: (0..index).filter(|_| random.one_in(2)).map(|before| format!("g{before}")).collect(),
        max_unavailable: random.one_in(2).then(|| random.budget(1, 3)),
        max_failed: random.one_in(2).then(|| random.budget(0, 2)),
        pause_on_failure: random.one_in(4),
        critical: random.one_in(4),
        ..RolloutGroup::default()
    };
    let groups = (0..groups).map(|index| group(index, random)).collect();
    let max_unavailable = random.one_in(2).then(|| random.budget(1, 3));
    let rollout = Rollout { max_unavailable, groups, ..Rollout::default() };
    World { rollout, members, nodes, record: RolloutStatus::default(), leave: BTreeMap::new(), second: 1 }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

impl World {
    /// A pass of one who acts on a Node: it looks, says what it would do, and does it if it is let.
    fn act(&mut self, name: &str, which: usize, random: &mut Random, faults: bool) {
        let let_at = self.leave.get(name).copied();
        let party = &mut self.nodes.get_mut(name).expect("a Node")[which];
        match party.work {
            Work::UnderWay if faults && random.one_in(5) => party.work = Work::Failed(self.second),
            Work::UnderWay if !faults || random.one_in(2) => party.work = Work::None,
            Work::Wanted if let_at.is_some() => party.work = Work::UnderWay,
            // Let try again, it does.
            Work::Failed(when) if let_at.is_some_and(|at| at > when) => party.work = Work::UnderWay,
            _ => {}
        }
        party.said = Some(match &party.work {
            Work::None => vec![],
            Work::Wanted => vec![Ask::Begin { available: true }],
            Work::UnderWay => vec![Ask::Busy],
            Work::Failed(when) => vec![Ask::Failed { since: at(*when), message: "no".into() }],
        });
    }

    /// A decision: first on record, then let.
    fn decide(&mut self, dies: bool) {
        let sight = |parties: &[Party; 2]| {
            let heard = parties.iter().all(|party| party.said.is_some());
            let asks: Vec<Ask> = parties.iter().filter_map(|party| party.said.clone()).flatten().collect();
            let idle = parties.iter().all(|party| party.work == Work::None);
            Sight { ready: idle, available: true, asks, heard }
        };
        let nodes: BTreeMap<String, Sight> =
            self.nodes.iter().map(|(name, parties)| (name.clone(), sight(parties))).collect();
        let retry = self.rollout.retry.as_ref().map(|retry| retry.requested_at.as_str());
        let observed = observe(&self.record, &nodes, retry);
        let mut found = schedule(&Model { rollout: Some(&self.rollout), members: &self.members }, &observed);
        if !nodes.values().all(|node| node.heard) {
            found.begin.clear();
        }
        self.record = record(&self.record, &nodes, &observed, &found, at(self.second));
        if !dies {
            let second = |since: &str| since.parse::<Timestamp>().expect("a time").as_second();
            self.leave = self.record.in_progress.iter().map(|it| (it.name.clone(), second(&it.since))).collect();
        }
    }

    /// The process is killed: what it had heard and let is gone.
    fn restart(&mut self) {
        self.leave.clear();
        self.nodes.values_mut().flatten().for_each(|party| party.said = None);
    }

    /// What is really under way, whatever anybody believes.
    fn check(&self) {
        let moving: BTreeSet<&String> = self
            .nodes
            .iter()
            .filter(|(_, parties)| parties.iter().any(|party| party.work == Work::UnderWay))
            .map(|(name, _)| name)
            .collect();
        let limit = |written: Option<&IntOrString>, nodes: usize, default: usize| {
            written.map_or(default, |limit| budget(limit, nodes, Round::Up).expect("a budget").max(1))
        };
        let most = limit(self.rollout.max_unavailable.as_ref(), self.nodes.len(), 1);
        assert!(moving.len() <= most, "{moving:?} of {most}: {self:#?}");
        for (group, members) in self.rollout.groups.iter().zip(&self.members) {
            let most = limit(group.max_unavailable.as_ref(), members.len(), usize::MAX);
            let moving = members.iter().filter(|name| moving.contains(name)).count();
            assert!(moving <= most, "{moving} of {most} in {}: {self:#?}", group.name);
        }
    }

    fn step(&mut self, random: &mut Random, faults: bool) {
        self.second += 1;
        if faults && random.one_in(8) {
            self.restart();
        }
        if random.one_in(3) {
            self.decide(faults && random.one_in(6));
        } else {
            let names: Vec<String> = self.nodes.keys().cloned().collect();
            let (name, which) = (&names[random.below(names.len())], random.below(2));
            self.act(name, which, random, faults);
        }
        self.check();
    }

    fn is_done(&self) -> bool {
        self.nodes.values().flatten().all(|party| party.work == Work::None)
    }
}

#[test]
fn what_is_really_under_way_keeps_to_the_budgets_whoever_is_killed() {
    let seed = seed();
    for number in 0..CASES {
        let mut random = Random(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let mut world = world(&mut random);
        for _ in 0..random.below(120) {
            world.rollout.paused = random.one_in(12);
            if random.one_in(25) {
                world.rollout.retry = Some(RolloutRetry { requested_at: world.second.to_string() });
            }
            world.step(&mut random, true);
        }
        world.rollout.paused = false;
        for round in 0..2_000 {
            if world.is_done() {
                break;
            }
            // A failure that is noticed only after the request is another one's matter.
            if round % 100 == 0 {
                world.rollout.retry = Some(RolloutRetry { requested_at: format!("last {round}") });
            }
            world.step(&mut random, false);
        }
        assert!(world.is_done(), "seed {seed}, case {number} does not end: {world:#?}");
    }
}

#[test]
fn a_failed_node_is_left_alone_until_a_retry() {
    let record = |failed: Option<&str>| RolloutStatus {
        failed: vec![slipway_api::design::FailedNode {
            name: "n".into(),
            message: "no".into(),
            retry: failed.map(str::to_owned),
        }],
        ..RolloutStatus::default()
    };
    let asking = Sight { available: true, asks: vec![Ask::Begin { available: true }], heard: true, ..Sight::default() };
    let nodes = BTreeMap::from([("n".to_owned(), asking)]);
    let begins = |retry: Option<&str>| {
        let observed = observe(&record(Some("a")), &nodes, retry);
        assert!(matches!(observed["n"], NodeState::Failed { .. }));
        let retry = retry.map(|requested_at| RolloutRetry { requested_at: requested_at.into() });
        let rollout = Rollout { retry, ..Rollout::default() };
        !schedule(&Model { rollout: Some(&rollout), members: &[] }, &observed).begin.is_empty()
    };
    assert!(!begins(Some("a")));
    assert!(begins(Some("b")));
}
