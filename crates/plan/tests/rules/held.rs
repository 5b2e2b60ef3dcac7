//! The rollout of a Node's Design: what waits until it lets the Node be disrupted, and what it is told of it.

use slipway_plan::rollout::Ask;

use crate::sim::{Shape, World, service, valid};

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

#[test]
fn nothing_is_made_for_the_first_containers_before_they_are_let() {
    let mut world = World::new(valid([service("web", "1").with_volume()]), &["a"]);
    hold(&mut world, true);
    world.settle();
    assert!(world.log.iter().all(|step| step.contains("pull image")), "{:?}", world.log);
}

#[test]
fn what_somebody_removed_is_made_again_at_once() {
    let mut world = World::new(valid([service("web", "1")]), &["a"]);
    world.settle();
    hold(&mut world, true);
    world.engine("a").made.clear();
    assert_eq!(asked(&world), Some(Ask::Settling), "it asks for nothing");
    world.settle();
    assert!(world.ready(), "{:?}", world.status);
}

fn limit(world: &mut World) {
    world.engine("a").made[0].seen.host_config.cpu_shares = Some(7);
}

#[test]
fn what_runs_and_somebody_changed_is_made_anew_when_the_node_may_be_disrupted() {
    let mut world = World::new(valid([service("web", "1")]), &["a"]);
    world.settle();
    world.forget();
    hold(&mut world, true);
    limit(&mut world);
    world.settle();
    assert_eq!(world.log, Vec::<String>::new());
    assert_eq!((world.reason(), asked(&world)), ("RolloutWaiting", Some(Ask::Begin { available: true })));
    assert!(world.message().contains("limit") && world.message().contains(HOLD), "{}", world.message());
    assert_eq!(world.status.ready.as_deref(), Some("1/1"), "it serves");

    hold(&mut world, false);
    world.settle();
    assert!(world.ready(), "{:?}", world.status);
    assert_eq!(world.log.len(), 4, "{:?}", world.log);
}

#[test]
fn what_is_down_and_somebody_changed_is_made_anew_at_once() {
    let mut world = World::new(valid([service("web", "1")]), &["a"]);
    world.settle();
    hold(&mut world, true);
    limit(&mut world);
    let now = world.now;
    world.engine("a").kill("shop-web-1", 1, now);
    world.settle();
    assert!(world.ready(), "{:?}", world.status);
}

#[test]
fn healing_keeps_to_the_services_own_budget() {
    let mut world = World::new(valid([service("web", "1").checked()]), &["a", "b", "c"]);
    world.settle();
    for host in ["a", "b", "c"] {
        world.engine(host).made[0].seen.host_config.cpu_shares = Some(7);
    }
    for _ in 0..60 {
        if !world.pass() {
            world.pass_time(std::time::Duration::from_millis(100));
        }
        let down = ["a", "b", "c"].iter().filter(|host| world.engines[**host].running("web").is_empty()).count();
        assert!(down <= 1, "{:?}", world.log);
    }
    assert!(world.ready(), "{:?}", world.status);
}

#[test]
fn a_service_that_is_taken_out_goes_when_the_node_may_be_disrupted() {
    let mut world = World::new(valid([service("web", "1").port(80), service("old", "1")]), &["a"]);
    world.settle();
    world.forget();
    hold(&mut world, true);
    // It is renamed, so that the new one needs the port of the one that goes.
    world.change([service("www", "1").port(80)]);
    for made in &mut world.engine("a").made {
        made.seen.host_config.port_bindings = serde_json::from_value(serde_json::json!({
            "80/tcp": [{ "HostIp": "", "HostPort": if made.seen.key.service == "web" { "80" } else { "81" } }],
        }))
        .unwrap();
    }
    world.settle();
    assert!(world.log.iter().all(|step| step.contains("pull image")), "{:?}", world.log);
    assert_eq!((world.reason(), asked(&world)), ("RolloutWaiting", Some(Ask::Begin { available: true })));

    hold(&mut world, false);
    world.settle();
    assert!(world.ready(), "{:?}", world.status);
    assert_eq!(world.engine("a").made.len(), 1);
}
