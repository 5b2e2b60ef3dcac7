//! What is done while a spec is refused.

use std::collections::BTreeSet;

use jiff::Timestamp;
use slipway_api::container_service::Drift;
use slipway_plan::container_service::observed::State;
use slipway_plan::container_service::plan::{Plan, has_something, plan_hold};
use slipway_plan::formats::compose::model::Condition;

use crate::sim::{Mishap, Shape, World, service, valid};
use crate::{MINUTE, SECOND};

fn running() -> World {
    let web = service("web", "1").after("db", Condition::Started);
    let mut world = World::new(valid([service("db", "1"), web, service("job", "1").once()]), &["a", "b"]);
    world.settle();
    world.pass_time(MINUTE);
    world.settle();
    assert!(world.ready());
    world
}

fn hold(world: &World, now: Timestamp) -> Plan {
    plan_hold(&world.nodes(), Drift::Heal, &world.status, now)
}

fn text(plan: &Plan) -> Vec<String> {
    plan.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn what_ran_is_started_again_in_the_order_of_its_dependencies() {
    let mut world = running();
    assert!(has_something(&world.nodes()));
    assert_eq!(text(&hold(&world, world.now)), Vec::<String>::new(), "a run to the end is left alone");
    let now = world.now;
    world.engine("a").kill("shop-web-1", 0, now);
    world.engine("a").kill("shop-db-1", 137, now);
    let web = world.engine("b").made.iter_mut().find(|made| made.seen.name == "shop-web-1").unwrap();
    web.seen.state = State::Paused;
    let plan = hold(&world, now);
    let expected = ["a: start container shop-db-1", "a: start container shop-web-1", "b: unpause container shop-web-1"];
    assert_eq!(text(&plan), expected);
    assert_eq!(plan.hosts["a"].stages.len(), 2);
}

#[test]
fn what_was_removed_is_not_made_and_a_suspended_node_is_left_alone() {
    let mut world = running();
    let now = world.now;
    world.engine("a").made.retain(|made| made.seen.key.service != "web");
    world.engine("b").kill("shop-web-1", 1, now);
    let mut nodes = world.nodes();
    nodes.0.get_mut("b").unwrap().suspend = true;
    assert!(plan_hold(&nodes, Drift::Heal, &world.status, now).is_empty());
}

#[test]
fn a_change_that_was_broken_off_falls_back_to_what_was_put_aside() {
    let mut world = running();
    let now = world.now;
    world.engine("a").kill("shop-web-1", 0, now);
    let web = world.engine("a").made.iter_mut().find(|made| made.seen.name == "shop-web-1").unwrap();
    web.seen.name = "shop-web-1.slipway-old".into();
    let mut new = web.clone();
    new.seen.id = "new".into();
    new.seen.name = "shop-web-1".into();
    new.seen.revision = "other".into();
    world.engine("a").made.push(new);
    assert_eq!(text(&hold(&world, now)), ["a: start container shop-web-1.slipway-old"]);
    let new = world.engine("a").made.last_mut().unwrap();
    new.seen.state = State::Running;
    assert!(hold(&world, now).is_empty(), "the successor serves");
}

#[test]
fn what_ends_again_and_again_is_started_after_a_pause() {
    let mut world = running();
    let now = world.now;
    world.engine("a").kill("shop-web-1", 1, now);
    let web = world.engine("a").made.iter_mut().find(|made| made.seen.name == "shop-web-1").unwrap();
    web.seen.started_at = Some(now - SECOND);
    let plan = hold(&world, now);
    assert!(plan.is_empty() && plan.until() > Some(now), "{plan}");
    assert_eq!(text(&hold(&world, plan.until().unwrap())), ["a: start container shop-web-1"]);
}

/// Two services whose network is to be made anew.
fn on_another_network() -> World {
    let web = service("web", "1").after("db", Condition::Started);
    let mut world = World::new(valid([service("db", "1").checked(), web]), &["a"]);
    world.settle();
    assert!(world.ready());
    world.move_to("2");
    world
}

/// The containers of both services that run.
fn serving(world: &World) -> BTreeSet<String> {
    let engine = &world.engines["a"];
    let of = |service| engine.running(service).into_iter().map(|made| made.seen.id.clone()).collect::<Vec<_>>();
    assert_eq!((of("db").len(), of("web").len()), (1, 1), "{:#?}", world.log);
    of("db").into_iter().chain(of("web")).collect()
}

#[test]
fn a_change_of_networks_that_is_broken_off_is_undone_unless_it_has_taken_over() {
    let mut clean = on_another_network();
    let first = clean.tried;
    clean.settle();
    let (mut undone, mut taken_over) = (0, 0);
    for step in first..clean.tried {
        for drift in [Drift::Heal, Drift::Report] {
            // The operator is killed, and when it is back the spec is refused; then it is killed on the way back.
            for on_the_way in 0..20 {
                let mut world = on_another_network();
                let before = serving(&world);
                world.mishaps.extend([(step, Mishap::Crash), (step + 1 + on_the_way, Mishap::Crash)]);
                while world.tried <= step {
                    if !world.pass() {
                        world.pass_time(SECOND);
                    }
                }
                world.hold(drift);
                let after = serving(&world);
                assert!(after == before || after.is_disjoint(&before), "half of it: {:#?}", world.log);
                if after == before {
                    undone += 1;
                } else {
                    taken_over += 1;
                }

                world.settle();
                assert!(world.ready(), "mended, the change goes on: {:?}", world.status);
                assert!(serving(&world).is_disjoint(&before));
                assert_eq!(world.engines["a"].made.len(), 2, "{:#?}", world.log);
            }
        }
    }
    assert!(undone > 0 && taken_over > 0, "{undone} undone, {taken_over} not");
}

#[test]
fn where_drift_is_reported_only_what_a_change_has_stopped_runs_again() {
    let mut world = running();
    let now = world.now;
    world.engine("a").kill("shop-db-1", 1, now);
    world.engine("a").kill("shop-web-1", 0, now);
    let web = world.engine("a").made.iter_mut().find(|made| made.seen.name == "shop-web-1").unwrap();
    web.seen.name = "shop-web-1.slipway-old".into();
    let plan = plan_hold(&world.nodes(), Drift::Report, &world.status, now);
    assert_eq!(text(&plan), ["a: start container shop-web-1.slipway-old"]);
}
