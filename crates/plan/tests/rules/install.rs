//! First installations, dependencies, runs to the end.

use slipway_plan::formats::compose::model::Condition::{CompletedSuccessfully, Healthy, Started};

use crate::sim::{Behaviour, Shape, World, service, valid};
use crate::{MINUTE, SECOND};

#[test]
fn it_follows_dependencies_and_ends_with_nothing_to_do() {
    let db = service("db", "1").checked().with_volume();
    let migrate = service("migrate", "1").once().after("db", Healthy);
    let web = service("web", "1").port(8080).after("migrate", CompletedSuccessfully);
    let mut world = World::new(valid([web, db, migrate]), &["a"]);
    let plan = world.settle();
    assert_eq!(
        world.log,
        [
            "a: pull image registry.lab/db:1",
            "a: pull image registry.lab/migrate:1",
            "a: pull image registry.lab/web:1",
            "a: create network shop_default",
            "a: create volume shop_db",
            "a: create container shop-db-1",
            "a: create container shop-migrate-1",
            "a: create container shop-web-1",
            "a: start container shop-db-1",
            "a: start container shop-migrate-1",
            "a: start container shop-web-1",
        ]
    );
    assert!(plan.is_empty() && plan.waits.is_empty(), "{plan}");
    assert!(world.ready(), "{:?}", world.status);
    assert_eq!(world.status.ready.as_deref(), Some("3/3"));
    assert_eq!(world.status.updated.as_deref(), Some("3/3"));
}

#[test]
fn what_does_not_depend_on_each_other_is_done_side_by_side() {
    let b = service("b", "1").after("a", Started);
    let mut world = World::new(valid([service("a", "1"), b, service("c", "1")]), &["h"]);
    world.pass();
    let plan = world.plan();
    let stages: Vec<Vec<String>> =
        plan.hosts["h"].stages.iter().map(|s| s.iter().map(ToString::to_string).collect()).collect();
    assert_eq!(
        stages,
        [
            vec!["create container shop-a-1", "create container shop-b-1", "create container shop-c-1"],
            vec!["start container shop-a-1", "start container shop-c-1"],
            vec!["start container shop-b-1"],
        ]
    );
}

#[test]
fn all_hosts_install_at_once_whatever_the_budget() {
    let mut world = World::new(valid([service("web", "1")]), &["a", "b", "c"]);
    world.pass();
    world.pass();
    for host in ["a", "b", "c"] {
        assert_eq!(world.engine(host).running("web").len(), 1);
    }
}

#[test]
fn a_first_installation_that_fails_says_so_and_is_tried_on_with_growing_pauses() {
    let mut world = World::new(valid([service("web", "1")]), &["a"]);
    world.behaviours.insert("web:1".into(), Behaviour::Ends(100, 3));
    let start = world.now;
    while world.now.duration_since(start).as_secs() < 1800 {
        if !world.pass() {
            world.pass_time(SECOND);
        }
        assert!(!world.ready());
    }
    let starts = world.log.iter().filter(|l| l.contains("start container")).count();
    assert!((8..40).contains(&starts), "{starts} starts in half an hour");
    assert!(world.status.failed.is_empty(), "there is nothing to go back to");
    assert_eq!(world.reason(), "Exited");
    assert!(world.message().contains("exited with code 3; last lines web:1 gives up"), "{}", world.message());
    let unhealthy = &world.status.unhealthy[0];
    assert_eq!((unhealthy.service.as_str(), unhealthy.state.as_str()), ("web", "Exited"));
}

#[test]
fn a_dependant_waits_and_names_the_deepest_cause() {
    let web = service("web", "1").after("db", Healthy);
    let mut world = World::new(valid([service("db", "1").checked(), web]), &["a"]);
    world.behaviours.insert("db:1".into(), Behaviour::Unhealthy(500));
    world.settle();
    assert!(world.engine("a").running("web").is_empty());
    assert_eq!(world.reason(), "Unhealthy");
    assert!(world.message().contains("db on a: its health check fails: connection refused"), "{}", world.message());
    let web = world.status.unhealthy.iter().find(|u| u.service == "web").unwrap();
    assert_eq!(web.reason, "DependencyNotReady");
    assert!(web.message.contains("waits for db: its health check fails"), "{}", web.message);
}

#[test]
fn a_dependency_without_a_check_can_never_be_healthy_and_that_is_said() {
    let mut world = World::new(valid([service("db", "1"), service("web", "1").after("db", Healthy)]), &["a"]);
    world.settle();
    assert!(world.is_stalled());
    assert!(world.message().contains("db: it has no health check"), "{}", world.message());
}

#[test]
fn an_optional_dependency_that_fails_holds_up_nobody() {
    let web = service("web", "1").after_optional("seed", CompletedSuccessfully);
    let mut world = World::new(valid([service("seed", "1").once(), web]), &["a"]);
    world.behaviours.insert("seed:1".into(), Behaviour::Ends(500, 1));
    world.settle();
    assert_eq!(world.engine("a").running("web").len(), 1);
    assert_eq!(world.reason(), "RunFailed");
}

#[test]
fn a_run_to_the_end_is_done_once_per_revision() {
    let mut world = World::new(valid([service("job", "1").once()]), &["a"]);
    world.settle();
    assert!(world.ready());
    world.forget();
    world.pass_time(MINUTE * 600);
    world.settle();
    assert!(world.log.is_empty(), "{:?}", world.log);

    world.change([service("job", "2").once()]);
    world.settle();
    assert!(world.ready());
    assert_eq!(world.engine("a").names().len(), 1);
    assert_eq!(world.log.iter().filter(|l| l.contains("start")).count(), 1);
}

#[test]
fn a_run_whose_container_was_removed_is_not_made_again() {
    let job = |v| service("job", v).once();
    let web = || service("web", "1").after("job", CompletedSuccessfully);
    let mut world = World::new(valid([job("1"), web()]), &["a", "b"]);
    world.settle();
    assert!(world.ready());
    assert_eq!(world.status.completed.len(), 1);
    assert_eq!(world.status.completed[0].hosts, ["a", "b"]);
    world.forget();
    for host in ["a", "b"] {
        world.engine(host).made.retain(|made| made.seen.key.service == "web");
    }
    // What depends on it does not wait for it either.
    let now = world.now;
    world.engine("a").kill("shop-web-1", 137, now);
    world.settle();
    assert_eq!(world.log, ["a: start container shop-web-1"]);
    assert!(world.ready(), "{:?}", world.status);
    assert_eq!(world.status.ready.as_deref(), Some("4/4"));
    assert_eq!(world.status.updated.as_deref(), Some("4/4"));

    // A host that cannot be seen keeps its record.
    world.set_away("b", true);
    world.settle();
    assert_eq!(world.status.completed[0].hosts, ["a", "b"]);
    world.set_away("b", false);
    world.settle();
    world.forget();

    world.valid.restart = Some("again".into());
    world.generation += 1;
    world.settle();
    assert!(world.ready(), "{:?}", world.status);
    assert_eq!(world.log.iter().filter(|l| l.contains("create container shop-job-1")).count(), 2, "{:?}", world.log);
    world.forget();
    world.change([job("2"), web()]);
    world.settle();
    assert_eq!(world.log.iter().filter(|l| l.contains("start container shop-job-1")).count(), 2, "{:?}", world.log);
    assert_eq!(world.status.completed.len(), 1, "{:?}", world.status);
}

#[test]
fn a_run_that_fails_is_kept_and_not_repeated_until_something_asks_for_it() {
    let mut world = World::new(valid([service("job", "1").once()]), &["a"]);
    world.behaviours.insert("job:1".into(), Behaviour::Ends(100, 7));
    world.settle();
    assert!(world.is_stalled());
    assert_eq!(world.reason(), "RunFailed");
    assert!(world.message().contains("exited with code 7"), "{}", world.message());
    assert_eq!(world.engine("a").find("shop-job-1").seen.exit_code, 7);
    world.forget();
    world.pass_time(MINUTE * 60);
    world.settle();
    assert!(world.log.is_empty(), "{:?}", world.log);

    world.behaviours.clear();
    world.valid.restart = Some("again".into());
    world.generation += 1;
    world.settle();
    assert!(world.ready(), "{:?}", world.status);
    assert_eq!(world.engine("a").names().len(), 1);
}

#[test]
fn a_run_that_fails_on_one_host_says_nothing_about_another_that_never_had_it() {
    let mut world = World::new(valid([service("job", "1").once()]), &["a", "b"]);
    world.behaviours.insert("job:1".into(), Behaviour::Ends(100, 7));
    world.set_away("b", true);
    world.settle();
    world.behaviours.clear();
    world.set_away("b", false);
    world.settle();
    assert_eq!(world.engine("b").find("shop-job-1").seen.exit_code, 0);
}

#[test]
fn a_run_that_the_engine_broke_off_is_run_again() {
    let mut world = World::new(valid([service("job", "1").once()]), &["a"]);
    world.behaviours.insert("job:1".into(), Behaviour::Ends(60_000, 0));
    world.pass();
    world.pass();
    world.pass_time(SECOND);
    let now = world.now;
    world.engine("a").kill("shop-job-1", 255, now);
    world.engine("a").started_at = Some(now);
    world.settle();
    assert!(world.ready(), "{:?}", world.status);
}

#[test]
fn what_is_renewed_with_another_is_made_after_it() {
    let side = |v| service("side", v).renewed_with("main");
    let mut world = World::new(valid([service("main", "1"), side("1")]), &["a"]);
    world.settle();
    world.forget();
    world.change([service("main", "2"), side("1")]);
    world.settle();
    assert!(world.ready());
    let engine = world.engine("a");
    let made = |name: &str| engine.find(name).seen.created_at;
    assert!(made("shop-side-1") > made("shop-main-1"));
    assert_eq!(world.log.iter().filter(|l| l.contains("create container")).count(), 2);
    world.forget();
    world.change([service("main", "2"), side("2")]);
    world.settle();
    assert_eq!(world.log.iter().filter(|l| l.contains("create container")).count(), 1, "{:?}", world.log);
}

#[test]
fn a_failing_service_holds_up_only_those_that_depend_on_it() {
    let web = service("web", "1").after("db", Started);
    let mut world = World::new(valid([service("db", "1"), web, service("other", "1")]), &["a"]);
    world.behaviours.insert("db:1".into(), Behaviour::CannotStart);
    for _ in 0..5 {
        world.pass();
        world.pass_time(SECOND);
    }
    assert_eq!(world.engine("a").running("other").len(), 1);
    assert!(world.engine("a").running("web").is_empty());
    assert!(world.message().contains("exec: no such file"), "{}", world.message());
}
