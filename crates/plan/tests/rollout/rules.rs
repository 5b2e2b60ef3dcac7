//! One rule at a time.

use slipway_api::design::{GroupState, Rollout};
use slipway_plan::rollout::{Model, NodeState, Observed, Schedule, schedule};

fn scheduled(rollout: &str, members: &[&[&str]], nodes: &[(&str, NodeState)]) -> Schedule {
    let rollout: Rollout = serde_saphyr::from_str(rollout).expect("a rollout");
    let members: Vec<Vec<String>> =
        members.iter().map(|nodes| nodes.iter().map(ToString::to_string).collect()).collect();
    let observed: Observed = nodes.iter().map(|(name, state)| ((*name).to_owned(), state.clone())).collect();
    schedule(&Model { rollout: Some(&rollout), members: &members }, &observed)
}

fn begun(schedule: &Schedule) -> Vec<&str> {
    schedule.begin.iter().map(String::as_str).collect()
}

const SERVES: NodeState = NodeState::Pending { available: true };
const NEW: NodeState = NodeState::Pending { available: false };
const FAILED: NodeState = NodeState::Failed { retry: None };
use NodeState::{Away, InProgress, Ready};

#[test]
fn without_a_rollout_nothing_is_limited() {
    let observed: Observed =
        [("a", SERVES), ("b", NEW), ("c", Ready)].map(|(name, state)| (name.to_owned(), state)).into();
    let found = schedule(&Model { rollout: None, members: &[] }, &observed);
    assert_eq!(begun(&found), ["a", "b"]);
}

#[test]
fn the_budget_of_the_site() {
    let nodes = |first| [("a", first), ("b", SERVES), ("c", SERVES)];
    assert_eq!(begun(&scheduled("{}", &[], &nodes(SERVES))), ["a"], "one by default");
    assert_eq!(begun(&scheduled("{maxUnavailable: 2}", &[], &nodes(SERVES))), ["a", "b"]);
    assert_eq!(begun(&scheduled("{maxUnavailable: 2}", &[], &nodes(InProgress))), ["b"]);
    assert_eq!(begun(&scheduled("{maxUnavailable: 2}", &[], &nodes(Away))), ["b"], "who is away counts");
    assert_eq!(begun(&scheduled("{maxUnavailable: 34%}", &[], &nodes(SERVES))), ["a", "b"], "rounded up");
    let found = scheduled("{}", &[], &nodes(InProgress));
    assert!(found.allows("a") && !found.allows("b"));
}

#[test]
fn new_nodes_take_nothing_from_those_that_serve() {
    let nodes = [("a", Away), ("b", SERVES), ("c", NEW)];
    assert_eq!(begun(&scheduled("{}", &[], &nodes)), ["c"]);
}

#[test]
fn groups_in_their_order() {
    let rollout = "{maxUnavailable: 9, groups: [{name: x}, {name: y, after: [x]}]}";
    let groups: &[&[&str]] = &[&["a", "b"], &["c"]];
    let found = scheduled(rollout, groups, &[("a", Ready), ("b", SERVES), ("c", SERVES)]);
    assert_eq!(begun(&found), ["b"]);
    assert_eq!(found.groups[1].state, GroupState::Waiting);
    assert_eq!(found.groups[1].message, "waits for group x");
    let found = scheduled(rollout, groups, &[("a", Ready), ("b", Ready), ("c", SERVES)]);
    assert_eq!(begun(&found), ["c"]);
    assert_eq!(found.groups[0].state, GroupState::Done);
    let found = scheduled(rollout, groups, &[("a", Ready), ("b", Away), ("c", SERVES)]);
    assert!(begun(&found).is_empty(), "b is not ready");
}

#[test]
fn enough_is_enough() {
    let rollout = "{maxUnavailable: 9, groups: [{name: x, minReady: 50%, maxFailed: 1, maxUnavailable: 1}, {name: y, after: [x]}]}";
    let groups: &[&[&str]] = &[&["a", "b", "c"], &["d"]];
    let found = scheduled(rollout, groups, &[("a", Ready), ("b", SERVES), ("c", SERVES), ("d", SERVES)]);
    assert_eq!(begun(&found), ["b"], "half of three are two; one at a time");
    let found = scheduled(rollout, groups, &[("a", Ready), ("b", Ready), ("c", FAILED), ("d", SERVES)]);
    assert_eq!(begun(&found), ["d"]);
    let found = scheduled(rollout, groups, &[("a", Ready), ("b", FAILED), ("c", FAILED), ("d", SERVES)]);
    assert!(begun(&found).is_empty());
    assert_eq!(found.groups[0].state, GroupState::Failed);
}

#[test]
fn failures_stop_what_they_should() {
    let nodes = [("a", FAILED), ("b", SERVES), ("c", SERVES)];
    let groups: &[&[&str]] = &[&["a", "b"], &["c"]];
    let of = |group: &str| scheduled(&format!("{{maxUnavailable: 9, groups: [{group}, {{name: y}}]}}"), groups, &nodes);
    assert_eq!(begun(&of("{name: x}")), ["c"], "a failed group begins nothing more");
    assert!(begun(&of("{name: x, critical: true}")).is_empty(), "nor does any other after a critical one");
    assert_eq!(begun(&of("{name: x, maxFailed: 1}")), ["b", "c"]);
    let paused = of("{name: x, maxFailed: 1, pauseOnFailure: true}");
    assert_eq!(begun(&paused), ["c"]);
    assert_eq!(paused.groups[0].state, GroupState::Paused);
}

#[test]
fn a_retry_forgets_older_failures() {
    let failed = |retry: &str| [("a", NodeState::Failed { retry: Some(retry.to_owned()) })];
    let rollout = "{retry: {requestedAt: two}, groups: [{name: x}]}";
    assert_eq!(begun(&scheduled(rollout, &[&["a"]], &failed("one"))), ["a"]);
    assert!(begun(&scheduled(rollout, &[&["a"]], &failed("two"))).is_empty());
}

#[test]
fn a_pause_holds_what_has_not_begun() {
    let found = scheduled("{paused: true, groups: [{name: x}]}", &[&["a", "b"]], &[("a", InProgress), ("b", SERVES)]);
    assert!(found.begin.is_empty() && found.allows("a"));
    assert_eq!(found.groups[0].state, GroupState::Paused);
}
