//! Changes: what is recreated, in which order, and the way back.

use slipway_api::container_service::{OnFailure, UpdateOrder};
use slipway_plan::container_service::observed::State;
use slipway_plan::formats::compose::model::Condition::{Healthy, Started};

use crate::sim::{Behaviour, Mishap, NETWORK, Shape, World, service, valid};
use crate::{MINUTE, SECOND};

fn settled(
    services: impl IntoIterator<Item = slipway_plan::container_service::definition::Container>,
    hosts: &[&str],
) -> World {
    let mut world = World::new(valid(services), hosts);
    world.settle();
    assert!(world.ready(), "{:?}", world.status);
    world.forget();
    world
}

#[test]
fn one_of_ten_changed_is_one_recreated() {
    let ten = |changed: usize| (0..10).map(move |i| service(&format!("s{i}"), if i == changed { "2" } else { "1" }));
    let mut world = settled(ten(99), &["a"]);
    world.change(ten(4));
    world.settle();
    assert!(world.ready());
    assert_eq!(
        world.log,
        [
            "a: create container shop-s4-1.slipway-new",
            "a: rename container shop-s4-1 to shop-s4-1.slipway-old",
            "a: rename container shop-s4-1.slipway-new to shop-s4-1",
            "a: stop container shop-s4-1.slipway-old",
            "a: start container shop-s4-1",
            "a: remove container shop-s4-1.slipway-old",
        ]
    );
}

#[test]
fn with_start_first_the_new_one_is_up_before_the_old_one_stops() {
    let mut world = settled([service("web", "1").checked()], &["a"]);
    world.valid.update.order = UpdateOrder::StartFirst;
    world.change([service("web", "2").checked()]);
    world.settle();
    assert!(world.ready());
    assert_eq!(
        world.log,
        [
            "a: create container shop-web-1.slipway-new",
            "a: start container shop-web-1.slipway-new",
            "a: rename container shop-web-1 to shop-web-1.slipway-old",
            "a: rename container shop-web-1.slipway-new to shop-web-1",
            "a: stop container shop-web-1.slipway-old",
            "a: remove container shop-web-1.slipway-old",
        ]
    );
}

#[test]
fn what_is_exclusive_stops_first_all_the_same() {
    let mut world = settled([service("web", "1").port(80)], &["a"]);
    world.valid.update.order = UpdateOrder::StartFirst;
    world.change([service("web", "2").port(80)]);
    world.settle();
    assert!(world.ready());
    let at = |what: &str| world.log.iter().position(|l| l.contains(what)).unwrap();
    assert!(at("stop container") < at("start container"));
}

#[test]
fn no_more_hosts_than_allowed_are_changed_at_one_time() {
    let hosts = ["a", "b", "c", "d", "e"];
    let mut world = settled([service("web", "1").checked()], &hosts);
    world.valid.update.max_unavailable = 2;
    world.change([service("web", "2").checked()]);
    for _ in 0..200 {
        if !world.pass() {
            world.pass_time(SECOND / 10);
        }
        let serving = hosts.iter().filter(|h| {
            world.engines[**h]
                .running("web")
                .iter()
                .any(|m| m.seen.health.as_ref().is_some_and(|h| h.output.is_empty()))
        });
        let changing = hosts.iter().filter(|h| world.engines[**h].made.len() > 1).count();
        assert!(changing <= 2 && serving.count() >= 3, "{:?}", world.log);
    }
    assert!(world.ready());
    assert_eq!(world.status.updated.as_deref(), Some("5/5"));
}

#[test]
fn a_host_that_is_away_counts_as_unavailable_and_that_is_said() {
    let mut world = settled([service("web", "1")], &["a", "b"]);
    world.set_away("a", true);
    world.change([service("web", "2")]);
    let plan = world.settle();
    assert!(world.log.iter().all(|l| !l.contains("create")), "{:?}", world.log);
    assert!(plan.waits.iter().any(|w| w.reason == "UpdateQueued" && w.host == "b"), "{plan}");
    world.set_away("a", false);
    world.settle();
    assert!(world.ready());
}

#[test]
fn a_host_that_is_broken_anyway_is_changed_first() {
    let mut world = World::new(valid([service("web", "1")]), &["a", "b"]);
    world.settle();
    let now = world.now;
    let broken = world.engine("b");
    broken.kill("shop-web-1", 1, now);
    broken.made[0].behaviour = Behaviour::CannotStart;
    world.forget();
    world.change([service("web", "2")]);
    world.settle();
    assert!(world.ready(), "{:?}", world.status);
    let first = world.log.iter().find(|l| l.contains("create container")).unwrap();
    assert!(first.starts_with("b: "), "{first}");
}

#[test]
fn a_change_that_fails_goes_back_says_why_and_touches_no_other_host() {
    for behaviour in [Behaviour::Ends(300, 3), Behaviour::Unhealthy(300), Behaviour::NeverReady, Behaviour::CannotStart]
    {
        for order in [UpdateOrder::StopFirst, UpdateOrder::StartFirst] {
            let mut world = settled([service("web", "1").checked()], &["a", "b"]);
            world.valid.update.order = order;
            world.behaviours.insert("web:2".into(), behaviour);
            world.change([service("web", "2").checked()]);
            world.settle();
            let case = format!("{behaviour:?} {order:?}");
            assert!(world.log.iter().all(|l| l.starts_with("a: ")), "{case}: {:?}", world.log);
            for host in ["a", "b"] {
                let engine = world.engine(host);
                assert_eq!(engine.names().len(), 1, "{case}");
                let made = engine.find("shop-web-1");
                assert_eq!(made.want.definition_hash, "web:1", "{case}");
            }
            assert_eq!(world.status.ready.as_deref(), Some("2/2"), "{case}");
            assert_eq!(world.status.updated.as_deref(), Some("0/2"), "{case}");
            assert!(world.is_stalled(), "{case}: {:?}", world.status);
            let failed = &world.status.failed[0];
            assert_eq!((failed.service.as_str(), failed.host.as_str()), ("web", "a"), "{case}");
            let expected = match behaviour {
                Behaviour::Ends(..) => "exited with code 3; last lines web:2 gives up",
                Behaviour::Unhealthy(_) => "its health check fails: connection refused",
                Behaviour::CannotStart => "cannot be started: exec: no such file",
                _ => "was not ready within 1m",
            };
            assert!(world.message().contains(expected), "{case}: {}", world.message());

            // Not tried again by itself …
            world.forget();
            world.pass_time(MINUTE * 60);
            world.settle();
            assert!(world.log.is_empty(), "{case}: {:?}", world.log);
            // … but when it is asked for.
            world.behaviours.clear();
            world.valid.restart = Some("now".into());
            world.generation += 1;
            world.settle();
            assert!(world.ready(), "{case}: {:?}", world.status);
            assert!(world.status.failed.is_empty(), "{case}");
        }
    }
}

#[test]
fn a_failed_change_is_recorded_before_anything_is_done_about_it() {
    let mut world = settled([service("web", "1")], &["a"]);
    world.behaviours.insert("web:2".into(), Behaviour::Ends(300, 3));
    world.change([service("web", "2")]);
    for _ in 0..100 {
        let plan = world.plan();
        if !plan.failed.is_empty() {
            assert_eq!(plan.failed[0].reason, "Exited");
            let steps: Vec<_> = plan.hosts["a"].stages.iter().flatten().map(ToString::to_string).collect();
            assert_eq!(
                steps,
                [
                    "remove container shop-web-1",
                    "rename container shop-web-1.slipway-old to shop-web-1",
                    "start container shop-web-1"
                ]
            );
            return;
        }
        if !world.pass() {
            world.pass_time(SECOND / 10);
        }
    }
    panic!("no failure was found");
}

#[test]
fn with_stop_a_failed_change_is_left_as_it_is() {
    let mut world = settled([service("web", "1")], &["a", "b"]);
    world.valid.update.on_failure = OnFailure::Stop;
    world.behaviours.insert("web:2".into(), Behaviour::Ends(300, 3));
    world.change([service("web", "2")]);
    world.settle();
    assert_eq!(world.engine("a").find("shop-web-1").seen.exit_code, 3);
    assert!(world.engine("a").made.iter().any(|m| m.seen.name == "shop-web-1.slipway-old"));
    assert_eq!(world.engine("b").find("shop-web-1").want.definition_hash, "web:1");
    assert!(world.is_stalled());
    world.change([service("web", "3")]);
    world.settle();
    assert!(world.ready());
    assert_eq!(world.engine("a").names().len(), 1);
}

#[test]
fn a_new_change_and_a_return_in_the_middle_of_a_change_both_end_well() {
    for steps in 0..8 {
        for to in ["1", "3"] {
            for order in [UpdateOrder::StopFirst, UpdateOrder::StartFirst] {
                let mut world = settled([service("web", "1").checked()], &["a"]);
                world.valid.update.order = order;
                world.mishaps.insert(world.tried + steps, crate::sim::Mishap::Crash);
                world.behaviours.insert("web:2".into(), Behaviour::NeverReady);
                world.change([service("web", "2").checked()]);
                for _ in 0..4 {
                    world.pass();
                }
                world.mishaps.clear();
                world.change([service("web", to).checked()]);
                world.settle();
                let case = format!("after {steps} steps to {to} {order:?}: {:#?}", world.log);
                assert!(world.ready(), "{case}");
                let engine = world.engine("a");
                assert_eq!(engine.names().len(), 1, "{case}");
                assert_eq!(engine.find("shop-web-1").want.definition_hash, format!("web:{to}"), "{case}");
                assert!(world.status.failed.is_empty(), "{case}");
            }
        }
    }
}

#[test]
fn an_engine_that_restarts_in_the_middle_of_a_change_is_no_failure_of_the_change() {
    let mut world = settled([service("web", "1").checked()], &["a"]);
    world.change([service("web", "2").checked()]);
    world.pass();
    world.pass();
    world.pass_time(SECOND / 10);
    let now = world.now;
    assert_eq!(world.engine("a").running("web")[0].want.definition_hash, "web:2");
    world.engine("a").kill("shop-web-1", 0, now);
    world.engine("a").started_at = Some(now);
    world.settle();
    assert!(world.ready(), "{:?}", world.status);
    assert_eq!(world.engine("a").find("shop-web-1").want.definition_hash, "web:2");
}

#[test]
fn changes_go_in_the_order_of_dependencies() {
    let both = |v| [service("db", v).checked(), service("web", v).after("db", Healthy)];
    let mut world = settled(both("1"), &["a"]);
    world.change(both("2"));
    world.settle();
    assert!(world.ready());
    let at = |what: &str| world.log.iter().position(|l| l.ends_with(what)).unwrap();
    assert!(at("stop container shop-web-1.slipway-old") > at("start container shop-db-1"), "{:#?}", world.log);
}

#[test]
fn a_restart_request_recreates_all_in_budget_and_its_removal_nothing() {
    let mut world = settled([service("web", "1"), service("db", "1")], &["a", "b"]);
    world.valid.restart = Some("2026-11-21".into());
    world.generation += 1;
    world.settle();
    assert!(world.ready());
    assert_eq!(world.log.iter().filter(|l| l.contains("create container")).count(), 4);
    let last_of_a = world.log.iter().rposition(|l| l.starts_with("a: ")).unwrap();
    let first_of_b = world.log.iter().position(|l| l.starts_with("b: ")).unwrap();
    assert!(last_of_a < first_of_b);
    world.forget();
    world.valid.restart = None;
    world.generation += 1;
    world.settle();
    assert!(world.log.is_empty(), "{:?}", world.log);
}

#[test]
fn a_service_that_left_the_file_is_removed_and_its_volume_stays() {
    let mut world = settled([service("web", "1"), service("db", "1").with_volume()], &["a"]);
    world.change([service("web", "1")]);
    world.settle();
    assert_eq!(world.log, ["a: stop container shop-db-1", "a: remove container shop-db-1"]);
    assert!(world.engine("a").volumes.contains_key("shop_db"));
    assert!(world.ready());
}

#[test]
fn a_renamed_service_gets_the_port_of_the_one_that_it_replaces() {
    let mut world = settled([service("web", "1").port(80)], &["a"]);
    world.change([service("www", "1").port(80)]);
    world.settle();
    assert!(world.ready(), "{:?}", world.status);
}

#[test]
fn a_changed_network_is_made_anew_with_its_containers_in_order() {
    let both = || [service("db", "1").checked(), service("web", "1").after("db", Healthy)];
    let mut world = settled(both(), &["a", "b"]);
    world.change(both());
    world.valid.definition.networks.get_mut(NETWORK).unwrap().hash = "2".into();
    world.settle();
    assert!(world.ready(), "{:?}", world.status);
    let of_a: Vec<_> = world.log.iter().filter_map(|l| l.strip_prefix("a: ")).collect();
    assert_eq!(
        of_a,
        [
            "try network shop_default as it is wanted now",
            "record network shop_default as it is",
            "rename container shop-db-1 to shop-db-1.slipway-old",
            "rename container shop-web-1 to shop-web-1.slipway-old",
            "stop container shop-web-1.slipway-old",
            "stop container shop-db-1.slipway-old",
            "remove network shop_default",
            "create network shop_default",
            "create container shop-db-1",
            "create container shop-web-1",
            "start container shop-db-1",
            "start container shop-web-1",
            "remove container shop-db-1.slipway-old",
            "remove container shop-web-1.slipway-old",
            "remove volume shop_default.slipway-old",
        ]
    );
    assert!(world.log.iter().rposition(|l| l.starts_with('a')) < world.log.iter().position(|l| l.starts_with('b')));
}

/// Two services on a network that is to be made anew; web does not stay up on the new one.
fn on_a_network_that_web_does_not_like() -> World {
    let mut world = settled([service("db", "1").checked(), service("web", "1").after("db", Healthy)], &["a", "b"]);
    world.behaviours.insert("web:1 on 2".into(), Behaviour::Ends(300, 3));
    world.move_to("2");
    world
}

/// Names with what is to be the same of each.
type Named<T> = Vec<(String, T)>;

/// The containers of a host and how they are bound, and its network.
fn shown(world: &mut World, host: &str) -> (Named<String>, Named<Option<String>>, Vec<String>) {
    let engine = world.engine(host);
    let running = |made: &crate::sim::Made| {
        assert_eq!(made.seen.state, State::Running, "{}", made.seen.name);
        (made.seen.id.clone(), made.seen.name.clone())
    };
    let networks = engine.networks.iter().map(|(name, network)| (name.clone(), network.hash.clone())).collect();
    (engine.made.iter().map(running).collect(), networks, engine.volumes.keys().cloned().collect())
}

#[test]
fn a_changed_network_on_which_a_service_fails_goes_back_with_all_that_was_on_it() {
    let mut world = on_a_network_that_web_does_not_like();
    let before = shown(&mut world, "a");
    world.settle();
    assert_eq!(shown(&mut world, "a"), before, "{:?}", world.log);
    assert!(world.log.iter().all(|step| step.starts_with("a: ")), "no other host is touched: {:?}", world.log);
    assert_eq!(world.status.failed.len(), 1);
    assert!(world.is_stalled() && world.message().contains("exited with code 3"), "{}", world.message());
    assert_eq!(world.status.ready.as_deref(), Some("4/4"), "all of it runs on");

    world.forget();
    world.settle();
    assert_eq!(world.log, Vec::<String>::new(), "it is not tried again");

    world.move_to("3");
    world.settle();
    assert!(world.ready(), "another network is another try: {:?}", world.status);
}

#[test]
fn a_network_that_turns_out_impossible_once_the_old_one_is_gone_goes_back_in_time() {
    let mut world = on_a_network_that_web_does_not_like();
    world.behaviours.clear();
    let before = shown(&mut world, "a");
    world.engine("a").unmakable.insert(NETWORK.into());
    let began = world.now;
    world.settle();
    assert_eq!(shown(&mut world, "a"), before, "{:?}", world.log);
    assert!(world.now.duration_since(began).as_secs() < 120, "within its timeout, and a little");
    assert_eq!(world.status.failed.len(), 2, "both: {:?}", world.status.failed);
    assert!(world.message().contains("was not made in time"), "{}", world.message());
}

#[test]
fn without_rollback_a_network_that_is_gone_is_gone() {
    let mut world = on_a_network_that_web_does_not_like();
    world.valid.update.on_failure = OnFailure::Stop;
    world.pass();
    world.pass();
    assert_eq!(world.engine("a").networks[NETWORK].hash.as_deref(), Some("2"));
    assert!(!world.log.iter().any(|step| step.contains("record network")), "{:?}", world.log);
}

#[test]
fn a_network_goes_back_whatever_step_on_the_way_is_broken_off() {
    let mut clean = on_a_network_that_web_does_not_like();
    clean.settle();
    for step in 0..clean.tried {
        for mishap in [Mishap::Fails, Mishap::FailsLate, Mishap::Crash] {
            let mut world = on_a_network_that_web_does_not_like();
            let (before, first) = (shown(&mut world, "a"), world.tried);
            world.mishaps.insert(first + step, mishap);
            world.settle();
            let after = shown(&mut world, "a");
            assert_eq!((&after, world.status.failed.len()), (&before, 1), "{mishap:?} at {step}: {:#?}", world.log);
        }
    }
}

#[test]
fn a_network_that_changes_again_on_the_way_still_goes_back_to_the_one_that_was_good() {
    let mut world = on_a_network_that_web_does_not_like();
    let before = shown(&mut world, "a");
    world.pass();
    world.pass();
    assert_eq!(world.engines["a"].networks[NETWORK].hash.as_deref(), Some("2"), "it is under way: {:?}", world.log);
    world.behaviours.insert("web:1 on 3".into(), Behaviour::Ends(300, 3));
    world.move_to("3");
    world.settle();
    assert_eq!(shown(&mut world, "a"), before, "{:#?}", world.log);
}

#[test]
fn a_network_that_cannot_be_made_as_it_is_wanted_now_takes_nothing_from_what_runs() {
    let both = || [service("db", "1").checked(), service("web", "1").after("db", Healthy)];
    let mut world = settled(both(), &["a", "b"]);
    world.change(both());
    let network = world.valid.definition.networks.get_mut(NETWORK).unwrap();
    network.hash = "2".into();
    network.body.internal = Some(true);
    world.pass();
    let steps: Vec<_> = world.log.iter().filter(|step| !step.contains("try network")).collect();
    assert_eq!(steps, Vec::<&String>::new());
    assert!(world.message().contains("cannot be made like that"), "{}", world.message());
    assert_eq!(world.status.ready.as_deref(), Some("4/4"), "all of it runs on");
    let network = world.valid.definition.networks.get_mut(NETWORK).unwrap();
    network.body.internal = None;
    world.settle();
    assert!(world.ready(), "{:?}", world.status);
}

#[test]
fn a_service_that_failed_does_not_stop_the_change_of_another() {
    let world = |v_web, v_api| [service("web", v_web), service("api", v_api).after("web", Started)];
    let mut it = settled(world("1", "1"), &["a"]);
    it.behaviours.insert("web:2".into(), Behaviour::Ends(100, 1));
    it.change(world("2", "2"));
    it.settle();
    assert_eq!(it.engine("a").find("shop-web-1").want.definition_hash, "web:1");
    assert_eq!(it.engine("a").find("shop-api-1").want.definition_hash, "api:2");
    assert_eq!(it.status.updated.as_deref(), Some("1/2"));
}
