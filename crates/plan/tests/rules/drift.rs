//! What somebody else did.

use bollard_stubs::models::HostConfig;
use slipway_api::container_service::Drift;
use slipway_plan::container_service::observed::State;

use crate::sim::{Behaviour, Engine, Shape, World, owner, service, valid};
use crate::{MINUTE, SECOND};

fn running(drift: Drift) -> World {
    let mut wanted = valid([service("db", "1"), service("web", "1").checked()]);
    wanted.drift = drift;
    let limits = HostConfig { memory: Some(64 << 20), ..HostConfig::default() };
    for container in wanted.definition.containers.values_mut() {
        container.body.host_config = Some(limits.clone());
    }
    let mut world = World::new(wanted, &["a"]);
    world.settle();
    world.pass_time(MINUTE);
    world.settle();
    assert!(world.ready());
    world.forget();
    world
}

type Deed = fn(&mut Engine, jiff::Timestamp);

fn deeds() -> Vec<(&'static str, Deed, &'static [&'static str])> {
    vec![
        ("stopped", |e, now| e.kill("shop-web-1", 0, now), &["a: start container shop-web-1"]),
        ("killed", |e, now| e.kill("shop-web-1", 137, now), &["a: start container shop-web-1"]),
        (
            "removed",
            |e, _| e.made.retain(|m| m.seen.key.service != "web"),
            &["a: create container shop-web-1", "a: start container shop-web-1"],
        ),
        (
            "paused",
            |e, _| e.made.iter_mut().find(|m| m.seen.key.service == "web").unwrap().seen.state = State::Paused,
            &["a: unpause container shop-web-1"],
        ),
        (
            "renamed",
            |e, _| e.made.iter_mut().find(|m| m.seen.key.service == "web").unwrap().seen.name = "mine".into(),
            &["a: rename container mine to shop-web-1"],
        ),
        (
            "updated",
            |e, _| {
                let web = e.made.iter_mut().find(|m| m.seen.key.service == "web").unwrap();
                web.seen.host_config.memory = Some(32 << 20);
            },
            &["a: update the limits of container web-1"],
        ),
        (
            "limited",
            |e, _| {
                let web = e.made.iter_mut().find(|m| m.seen.key.service == "web").unwrap();
                web.seen.host_config.cpu_shares = Some(7);
            },
            &[
                "a: stop container shop-web-1",
                "a: remove container shop-web-1",
                "a: create container shop-web-1",
                "a: start container shop-web-1",
            ],
        ),
        (
            "disconnected",
            |e, _| {
                let web = e.made.iter_mut().find(|m| m.seen.key.service == "web").unwrap();
                web.seen.networks.clear();
                web.seen.network_ids.clear();
            },
            &["a: connect container web-1 to network shop_default"],
        ),
    ]
}

#[test]
fn it_is_healed_at_once() {
    for (deed, act, expected) in deeds() {
        let mut world = running(Drift::Heal);
        let now = world.now;
        act(world.engine("a"), now);
        world.pass();
        world.pass();
        assert_eq!(world.log, expected, "{deed}");
        assert!(world.now.duration_since(now).as_millis() < 500, "{deed}");
        world.settle();
        assert!(world.ready(), "{deed}: {:?}", world.status);
    }
}

#[test]
fn it_is_reported_and_left() {
    for (deed, act, _) in deeds() {
        let mut world = running(Drift::Report);
        let now = world.now;
        act(world.engine("a"), now);
        for _ in 0..3 {
            world.settle();
            world.pass_time(MINUTE);
        }
        assert!(world.log.is_empty(), "{deed}: {:?}", world.log);
        assert!(world.is_stalled(), "{deed}");
        assert_eq!(world.reason(), "Drifted", "{deed}");
        assert_eq!(world.status.unhealthy.len(), 1, "{deed}");
        assert_eq!(world.status.ready.as_deref(), Some("1/2"), "{deed}");
    }
}

#[test]
fn it_is_ignored() {
    for (deed, act, _) in deeds() {
        let mut world = running(Drift::Ignore);
        let now = world.now;
        act(world.engine("a"), now);
        world.pass();
        world.pass();
        assert!(world.log.is_empty(), "{deed}: {:?}", world.log);
        assert!(world.ready(), "{deed}: {:?}", world.status);
    }
}

#[test]
fn with_report_a_host_that_took_anothers_place_is_served_even_after_a_crash() {
    let mut world = running(Drift::Report);
    world.engines.insert("b".into(), Engine::default());
    let mut node = world.nodes.remove("a").unwrap();
    node.engine_id = Some("b".into());
    world.nodes.insert("b".into(), node);
    // The operator dies when it has begun: something of the service is there, and the status is what was recorded before.
    let plan = world.plan();
    let recorded =
        slipway_plan::container_service::status::status(&world.status, world.generation, &plan, &[], world.now);
    assert!(slipway_plan::container_service::status::must_record(&world.status, &plan));
    world.pass();
    world.status = recorded;
    world.engine("b").made.retain(|made| made.seen.key.service != "web");
    world.settle();
    world.pass_time(MINUTE);
    world.settle();
    assert!(world.ready(), "{:?}", world.status);
    assert_eq!(world.engine("b").running("web").len(), 1);
}

#[test]
fn with_report_a_new_host_and_a_new_spec_are_still_served() {
    let mut world = running(Drift::Report);
    world.engines.insert("b".into(), Engine::default());
    let node =
        slipway_plan::container_service::plan::NodeView { engine_id: Some("b".into()), ..world.nodes["a"].clone() };
    world.nodes.insert("b".into(), node);
    world.settle();
    assert!(world.ready(), "{:?}", world.status);
    assert_eq!(world.engine("b").running("web").len(), 1);
    world.change([service("db", "1"), service("web", "1").checked(), service("new", "1")]);
    world.settle();
    assert_eq!(world.engine("a").running("new").len(), 1);
}

#[test]
fn limits_that_the_host_does_not_support_are_no_drift() {
    let mut world = running(Drift::Heal);
    for made in &mut world.engine("a").made {
        made.seen.host_config = HostConfig { memory_swap: Some(-1), ..HostConfig::default() };
    }
    world.settle();
    assert!(world.log.is_empty(), "{:?}", world.log);
}

#[test]
fn a_crash_loop_is_no_storm_and_never_looks_ready() {
    let mut world = running(Drift::Heal);
    let engine = world.engine("a");
    engine.made.iter_mut().find(|m| m.seen.key.service == "db").unwrap().behaviour = Behaviour::Ends(3000, 1);
    let start = world.now;
    world.pass_time(SECOND);
    let mut was_ready = 0;
    while world.now.duration_since(start).as_secs() < 3600 {
        if !world.pass() {
            world.pass_time(SECOND / 2);
        }
        was_ready += usize::from(world.ready());
    }
    let starts = world.log.iter().filter(|l| l.contains("start container")).count();
    assert!(starts < 40, "{starts} starts in an hour");
    assert!(was_ready < 5, "{was_ready}");
}

#[test]
fn after_an_engine_restart_everything_starts_in_order_at_once() {
    use slipway_plan::formats::compose::model::Condition::Healthy;
    let mut world = World::new(valid([service("db", "1").checked(), service("web", "1").after("db", Healthy)]), &["a"]);
    world.settle();
    world.forget();
    let now = world.now;
    world.engine("a").kill("shop-db-1", 255, now);
    world.engine("a").kill("shop-web-1", 255, now);
    world.engine("a").started_at = Some(now);
    world.settle();
    assert_eq!(world.log, ["a: start container shop-db-1", "a: start container shop-web-1"]);
    assert!(world.ready());
}

#[test]
fn a_container_whose_network_was_removed_under_it_is_made_anew() {
    let mut world = running(Drift::Heal);
    let now = world.now;
    let engine = world.engine("a");
    engine.kill("shop-web-1", 0, now);
    engine.kill("shop-db-1", 0, now);
    engine.networks.clear();
    world.settle();
    assert!(world.ready(), "{:?}", world.status);
}

#[test]
fn what_the_engine_restarts_is_left_to_it() {
    let mut world = running(Drift::Heal);
    let web = world.engine("a").made.iter_mut().find(|m| m.seen.key.service == "web").unwrap();
    web.seen.state = State::Restarting;
    web.seen.exit_code = 9;
    world.pass();
    assert!(world.log.is_empty());
    assert_eq!(world.reason(), "CrashLoop");
}

#[test]
fn things_of_others_are_left_alone() {
    let mut world = running(Drift::Heal);
    let engine = world.engine("a");
    let foreign = slipway_plan::container_service::observed::Network { id: "x".into(), ..Default::default() };
    engine.networks.insert("theirs".into(), foreign.clone());
    engine.volumes.insert("theirs".into(), slipway_plan::container_service::observed::Volume::default());
    world.settle();
    world.delete(slipway_api::container_service::VolumeDeletion::Delete);
    let engine = world.engine("a");
    assert_eq!(engine.networks.get("theirs"), Some(&foreign));
    assert_eq!(engine.networks.len(), 1);
    assert_eq!(engine.volumes.len(), 1);
}

#[test]
fn helper_volumes_of_no_container_and_networks_of_no_use_are_removed() {
    let mut world = running(Drift::Heal);
    let engine = world.engine("a");
    let mine = slipway_plan::container_service::observed::Volume {
        owner: Some(owner()),
        role: Some("files".into()),
        ..Default::default()
    };
    engine.volumes.insert("used".into(), mine.clone());
    engine.volumes.insert("unused".into(), mine);
    engine.made[0].seen.volumes.push("used".into());
    let network = slipway_plan::container_service::observed::Network {
        id: "n".into(),
        owner: Some(owner()),
        ..Default::default()
    };
    engine.networks.insert("shop_back".into(), network);
    world.settle();
    assert_eq!(world.log, ["a: remove network shop_back", "a: remove volume unused"]);
}
