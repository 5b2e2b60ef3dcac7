//! The end of an object.

use jiff::SignedDuration;
use slipway_api::container_service::VolumeDeletion::{Delete, Keep};
use slipway_plan::container_service::plan::plan_deletion;
use slipway_plan::formats::compose::model::Condition::{Healthy, Started};

use crate::sim::{Shape, World, owner, service, valid};

fn running() -> World {
    let db = service("db", "1").checked().with_volume();
    let web = service("web", "1").after("db", Healthy);
    let proxy = service("proxy", "1").after("web", Started);
    let mut world = World::new(valid([db, web, proxy, service("other", "1")]), &["a", "b"]);
    world.settle();
    assert!(world.ready());
    world.forget();
    world
}

#[test]
fn dependants_stop_first_and_volumes_stay() {
    let mut world = running();
    world.delete(Keep);
    let of_a: Vec<_> = world.log.iter().filter_map(|l| l.strip_prefix("a: ")).collect();
    assert_eq!(
        of_a,
        [
            "stop container shop-other-1",
            "stop container shop-proxy-1",
            "stop container shop-web-1",
            "stop container shop-db-1",
            "remove container shop-db-1",
            "remove container shop-other-1",
            "remove container shop-proxy-1",
            "remove container shop-web-1",
            "remove network shop_default",
        ]
    );
    assert!(world.engine("a").volumes.contains_key("shop_db"));
}

#[test]
fn volumes_go_when_told() {
    let mut world = running();
    world.delete(Delete);
    assert!(world.engine("a").volumes.is_empty() && world.engine("b").networks.is_empty());
}

#[test]
fn a_host_that_is_away_is_waited_for_until_the_deadline_and_then_named() {
    let mut world = running();
    world.set_away("b", true);
    let deadline = world.now + SignedDuration::from_mins(5);
    let ask = |world: &World| plan_deletion(&owner(), Keep, &world.nodes(), deadline, world.now);
    world.delete_reachable(deadline);
    let deletion = ask(&world);
    assert!(!deletion.is_done() && !deletion.overdue);
    assert_eq!(deletion.plan.waits[0].until, Some(deadline));
    assert!(deletion.plan.waits[0].message.contains("no route to host"), "{:?}", deletion.plan.waits);
    world.pass_time(crate::MINUTE * 6);
    let deletion = ask(&world);
    assert!(deletion.is_done() && deletion.overdue);
    assert_eq!(deletion.left.keys().collect::<Vec<_>>(), ["b"]);
    // When it is back, what was left is swept in the same way.
    world.set_away("b", false);
    world.delete(Keep);
    assert!(world.engine("b").made.is_empty());
}

#[test]
fn on_a_suspended_node_nothing_is_removed() {
    let mut world = running();
    world.nodes.get_mut("b").unwrap().suspend = true;
    let deadline = world.now + SignedDuration::from_mins(5);
    world.delete_reachable(deadline);
    assert!(world.log.iter().all(|l| l.starts_with("a: ")));
    world.pass_time(crate::MINUTE * 6);
    let deletion = plan_deletion(&owner(), Keep, &world.nodes(), deadline, world.now);
    assert!(deletion.is_done());
    assert_eq!(deletion.left["b"], "4 containers, 1 network");
}
