//! Plans and statuses as people and machines read them.

use slipway_plan::container_service::status::{StepError, is_same, status, suspended};

use crate::MINUTE;
use crate::sim::{Shape, World, service, valid};

fn ten() -> World {
    let mut wanted: Vec<_> = (0..10).map(|i| service(&format!("s{i}"), "1").checked()).collect();
    for container in &mut wanted {
        container.image = "registry.lab/app:1.2.3".into();
    }
    let mut world = World::new(valid(wanted), &["a", "b", "c"]);
    let image = "registry.lab/app:1.2.3".to_owned();
    world.registry.insert(image, format!("sha256:{}", "0".repeat(64)));
    world.settle();
    world
}

#[test]
fn the_status_of_a_healthy_service_is_small() {
    let world = ten();
    assert!(world.ready());
    let json = serde_json::to_string(&world.status).unwrap();
    assert!(json.len() <= 1024, "{} bytes: {json}", json.len());
    assert_eq!(world.message(), "30 containers are as wanted on 3 hosts");
}

#[test]
fn an_unchanged_object_is_left_alone_and_its_status_does_not_change() {
    let mut world = ten();
    world.forget();
    let before = world.status.clone();
    for _ in 0..5 {
        world.pass_time(MINUTE * 7);
        assert!(!world.pass());
    }
    assert!(world.log.is_empty());
    assert_eq!(world.status, before);
    assert!(is_same(&world.status, &before));
}

#[test]
fn a_host_that_cannot_be_seen_makes_it_unknown() {
    let mut world = ten();
    world.set_away("b", true);
    world.pass();
    let ready = &world.status.conditions[0];
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("Unknown", "Unreachable"));
    assert_eq!(world.status.ready.as_deref(), Some("20/30"));
    assert!(world.message().contains("Node b: no route to host"), "{}", world.message());
}

#[test]
fn the_unhealthy_are_at_most_twenty() {
    let mut world = ten();
    for host in ["a", "b", "c"] {
        for made in &mut world.engine(host).made {
            made.seen.state = slipway_plan::container_service::observed::State::Restarting;
        }
    }
    world.pass();
    assert_eq!(world.status.unhealthy.len(), 20);
    assert_eq!(world.status.ready.as_deref(), Some("0/30"));
    assert!(world.message().ends_with("(and 29 more)"), "{}", world.message());
}

#[test]
fn errors_come_first_and_a_person_is_asked_for_only_when_nothing_else_goes_on() {
    let mut world = ten();
    let error = |needs_person| StepError {
        host: "a".into(),
        service: Some("s1".into()),
        reason: "DiskFull".into(),
        message: "no space left on device".into(),
        needs_person,
    };
    let plan = world.plan();
    let now = world.now;
    let told = status(&world.status, 1, &plan, &[error(true)], now);
    assert!(told.conditions.iter().any(|c| c.type_ == "Stalled"));
    assert_eq!(told.conditions[0].message, "s1 on a: no space left on device");
    let told =
        status(&world.status, 1, &plan, &[error(true), StepError { reason: "Busy".into(), ..error(false) }], now);
    assert!(told.conditions.iter().any(|c| c.type_ == "Reconciling"));
    world.status = suspended(&world.status, 2, now);
    assert_eq!((world.reason(), world.status.ready.as_deref()), ("Suspended", Some("30/30")));
}

#[test]
fn a_plan_reads_like_a_list_and_holds_no_secret() {
    let mut web = service("web", "1").port(80);
    web.body.env = Some(vec!["PASSWORD=hunter2".into()]);
    let mut world = World::new(valid([web, service("db", "1").with_volume()]), &["a"]);
    let plan = world.plan();
    insta::assert_snapshot!(plan.to_string(), @r"
    a: pull image registry.lab/db:1
    a: pull image registry.lab/web:1
    a: create network shop_default
    a: create volume shop_db
    waits: db on a: image registry.lab/db:1 is being pulled (ImagePulling)
    waits: web on a: image registry.lab/web:1 is being pulled (ImagePulling)
    ");
    world.pass();
    let json = serde_json::to_string_pretty(&world.plan()).unwrap();
    assert!(!json.contains("hunter2") && !world.plan().to_string().contains("hunter2"));
    insta::assert_snapshot!(json);
}
