//! On which Nodes.

use slipway_plan::container_service::plan::NodeView;
use slipway_plan::container_service::validate::Placement;

use crate::MINUTE;
use crate::sim::{Engine, Shape, World, service, valid};

fn replicas(count: usize, hosts: &[&str]) -> World {
    let mut wanted = valid([service("web", "1")]);
    wanted.placement = Placement::Replicas { count, evict_after: MINUTE * 5, evict_with_volumes: false };
    let mut world = World::new(wanted, hosts);
    world.settle();
    world
}

fn add_node(world: &mut World, name: &str) {
    world.engines.insert(name.into(), Engine::default());
    let node = NodeView { matches: true, engine_id: Some(format!("engine-{name}")), ..NodeView::default() };
    world.nodes.insert(name.into(), node);
}

#[test]
fn replicas_stay_where_they_are() {
    let mut world = replicas(2, &["a", "b", "c"]);
    assert!(world.ready());
    let placed = world.status.placed.clone();
    assert_eq!(placed.len(), 2);
    add_node(&mut world, "aa");
    world.forget();
    world.settle();
    assert_eq!(world.status.placed, placed);
    assert!(world.log.is_empty(), "{:?}", world.log);
    // A status that was lost changes nothing either.
    world.status.placed.clear();
    world.settle();
    assert_eq!(world.status.placed, placed);
}

#[test]
fn several_services_spread() {
    let mut seen = std::collections::BTreeSet::new();
    for name in ["one", "two", "three", "four", "five", "six"] {
        let mut wanted = valid([service("web", "1")]);
        wanted.owner.name = name.into();
        wanted.placement = Placement::Replicas { count: 1, evict_after: MINUTE, evict_with_volumes: false };
        let world = World::new(wanted, &["a", "b", "c"]);
        seen.extend(world.plan().placed);
    }
    assert!(seen.len() > 1, "{seen:?}");
}

#[test]
fn a_replica_of_a_node_that_is_gone_is_placed_elsewhere_and_removed_when_the_node_is_back() {
    let mut world = replicas(1, &["a", "b"]);
    let first = world.status.placed[0].clone();
    let second = if first == "a" { "b" } else { "a" };
    world.set_away(&first, true);
    world.pass();
    assert_eq!(world.status.placed.as_slice(), std::slice::from_ref(&first));
    let until = world.plan().until().expect("a time to look again");
    assert_eq!(until.duration_since(world.now).as_secs(), 300);
    world.pass_time(MINUTE * 6);
    world.settle();
    assert_eq!(world.status.placed, [second]);
    assert!(world.ready(), "{:?}", world.status);
    world.set_away(&first, false);
    world.settle();
    assert_eq!(world.status.placed, [second]);
    assert!(world.engine(&first).made.is_empty() && world.engine(&first).networks.is_empty());
}

#[test]
fn a_replica_with_volumes_stays_and_says_so_unless_told_otherwise() {
    let mut wanted = valid([service("db", "1").with_volume()]);
    wanted.placement = Placement::Replicas { count: 1, evict_after: MINUTE, evict_with_volumes: false };
    let mut world = World::new(wanted, &["a", "b"]);
    world.settle();
    let first = world.status.placed[0].clone();
    world.set_away(&first, true);
    world.pass_time(MINUTE * 10);
    let plan = world.settle();
    assert_eq!(world.status.placed.as_slice(), std::slice::from_ref(&first));
    assert!(plan.waits.iter().any(|w| w.reason == "VolumesStay"), "{plan}");
    world.valid.placement = Placement::Replicas { count: 1, evict_after: MINUTE, evict_with_volumes: true };
    world.settle();
    assert_ne!(world.status.placed, [first]);
}

#[test]
fn with_no_other_node_a_replica_is_not_given_up() {
    let mut world = replicas(1, &["a"]);
    world.set_away("a", true);
    world.pass_time(MINUTE * 60);
    world.settle();
    assert_eq!(world.status.placed, ["a"]);
    assert_eq!(world.reason(), "Unreachable");
}

#[test]
fn a_new_node_that_matches_runs_it_too() {
    let mut world = World::new(valid([service("web", "1")]), &["a"]);
    world.settle();
    add_node(&mut world, "b");
    world.settle();
    assert_eq!(world.status.hosts, Some(2));
    assert_eq!(world.engine("b").running("web").len(), 1);
}

#[test]
fn a_node_that_matches_no_more_is_cleared_but_for_volumes() {
    let mut world = World::new(valid([service("db", "1").with_volume()]), &["a", "b"]);
    world.settle();
    world.forget();
    world.nodes.get_mut("b").unwrap().matches = false;
    world.settle();
    assert_eq!(
        world.log,
        ["b: stop container shop-db-1", "b: remove container shop-db-1", "b: remove network shop_default"]
    );
    assert!(world.engine("b").volumes.contains_key("shop_db"));
    assert!(world.ready());
}

#[test]
fn no_match_is_said() {
    let mut world = World::new(valid([service("web", "1")]), &["a"]);
    world.nodes.get_mut("a").unwrap().matches = false;
    world.settle();
    assert_eq!(world.reason(), "NoMatchingNode");
    assert!(!world.ready() && !world.is_stalled());
}

#[test]
fn too_few_nodes_are_said() {
    let world = replicas(3, &["a", "b"]);
    assert_eq!(world.reason(), "TooFewNodes");
    assert!(world.message().contains("2 of 3"), "{}", world.message());
    assert_eq!(world.status.ready.as_deref(), Some("2/2"));
}

#[test]
fn fewer_replicas_remove_the_rest() {
    let mut world = replicas(3, &["a", "b", "c"]);
    world.nodes.get_mut("a").unwrap().cordon = true;
    world.valid.placement = Placement::Replicas { count: 1, evict_after: MINUTE, evict_with_volumes: false };
    world.settle();
    assert_eq!(world.status.placed, ["b"], "a cordoned Node is given up first");
    assert!(world.engine("a").made.is_empty() && world.engine("c").made.is_empty());
}

#[test]
fn a_cordoned_or_leaving_node_keeps_what_it_has_and_gets_nothing_new() {
    for leaving in [false, true] {
        let mut world = World::new(valid([service("web", "1")]), &["a", "b"]);
        world.settle();
        add_node(&mut world, "c");
        for name in ["b", "c"] {
            let node = world.nodes.get_mut(name).unwrap();
            (node.cordon, node.deleting) = (!leaving, leaving);
        }
        world.settle();
        assert_eq!(world.status.hosts, Some(2));
        assert!(world.engine("c").made.is_empty());
        world.engine("b").made.clear();
        let now = world.now;
        world.engine("a").kill("shop-web-1", 0, now);
        world.settle();
        assert_eq!(world.engine("a").running("web").len(), 1);
    }
}

#[test]
fn on_a_suspended_node_nothing_happens() {
    let mut world = World::new(valid([service("web", "1")]), &["a", "b"]);
    world.settle();
    world.forget();
    world.nodes.get_mut("a").unwrap().suspend = true;
    world.settle();
    assert!(world.ready(), "what is as wanted is ready");
    let now = world.now;
    world.engine("a").kill("shop-web-1", 0, now);
    let plan = world.settle();
    assert!(world.log.is_empty());
    assert!(plan.waits.iter().any(|w| w.reason == "NodeSuspended"), "{plan}");
    world.nodes.get_mut("a").unwrap().suspend = false;
    world.settle();
    assert!(world.ready());
}

#[test]
fn two_nodes_that_lead_to_one_engine_are_one_host() {
    let mut world = World::new(valid([service("web", "1")]), &["a", "b"]);
    world.nodes.get_mut("b").unwrap().engine_id = Some("engine-a".into());
    world.settle();
    assert!(world.engine("b").made.is_empty());
    assert_eq!(world.reason(), "SameEngine");
    assert!(world.message().contains("Nodes a and b lead to the same engine"), "{}", world.message());
    // The same if the second is not even meant to run it: the two would undo each other's work.
    world.nodes.get_mut("b").unwrap().matches = false;
    world.forget();
    world.settle();
    assert!(world.log.is_empty() && world.ready());
}
