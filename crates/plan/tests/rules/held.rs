//! The rollout of a Node's Design: what waits until it lets the Node be disrupted, and what it is told of it.

use slipway_plan::rollout::Ask;

use crate::sim::{World, service, valid};

const HOLD: &str = "waits for group control: 2 of 3 Nodes are ready";

fn hold(world: &mut World, held: bool) {
    world.nodes.get_mut("a").unwrap().held = held.then(|| HOLD.to_owned());
}

fn asked(world: &World) -> Option<Ask> {
    world.plan().asks.get("a").cloned()
}

#[test]
fn a_container_is_replaced_when_the_node_may_be_disrupted() {
    let mut world = World::new(valid([service("web", "1"), service("db", "1")]), &["a"]);
    world.settle();
    world.forget();
    hold(&mut world, true);
    world.change([service("web", "2"), service("db", "1")]);
    world.settle();
    assert_eq!(world.log, Vec::<String>::new(), "nothing is done");
    assert_eq!(world.reason(), "RolloutWaiting");
    assert!(world.message().contains(HOLD), "{}", world.message());
    assert_eq!(asked(&world), Some(Ask::Begin { available: true }));

    hold(&mut world, false);
    world.pass();
    assert_eq!(asked(&world), Some(Ask::Busy), "it has begun");
    hold(&mut world, true);
    world.settle();
    assert!(world.ready(), "what has begun goes on: {:?}", world.status);
    assert_eq!(asked(&world), None);
}

#[test]
fn the_first_containers_on_a_node_wait_and_healing_does_not() {
    let mut world = World::new(valid([service("web", "1")]), &["a"]);
    hold(&mut world, true);
    world.settle();
    assert!(!world.log.iter().any(|step| step.contains("create container")), "{:?}", world.log);
    assert_eq!((world.reason(), asked(&world)), ("RolloutWaiting", Some(Ask::Begin { available: false })));

    hold(&mut world, false);
    world.settle();
    assert!(world.ready());
    hold(&mut world, true);
    let now = world.now;
    world.engine("a").kill("shop-web-1", 1, now);
    world.settle();
    assert!(world.ready(), "what fell over is started at once: {:?}", world.status);
}

#[test]
fn a_node_that_is_not_held_goes_first() {
    let mut world = World::new(valid([service("web", "1")]), &["a", "b"]);
    world.settle();
    world.forget();
    hold(&mut world, true);
    world.change([service("web", "2")]);
    world.settle();
    assert!(world.log.iter().all(|step| step.starts_with("b: ")) && !world.log.is_empty(), "{:?}", world.log);
}
