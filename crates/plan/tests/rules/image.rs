//! Images: one digest for all hosts, pulled where it is missing.

use slipway_api::container_service::{Prune, PullPolicy};
use slipway_plan::container_service::observed::Image;

use crate::MINUTE;
use crate::sim::{Engine, World, service, valid};

const WEB: &str = "registry.lab/web:1";

fn local(id: &str) -> Image {
    Image { id: id.into(), digests: Vec::new(), has_healthcheck: false }
}

#[test]
fn a_digest_is_resolved_once_so_that_all_hosts_run_the_same() {
    let mut world = World::new(valid([service("web", "1")]), &["a"]);
    world.settle();
    let first = world.status.images[0].digest.clone();
    world.registry.insert(WEB.into(), "sha256:moved".into());
    world.engines.insert("b".into(), Engine::default());
    let node =
        slipway_plan::container_service::plan::NodeView { engine_id: Some("b".into()), ..world.nodes["a"].clone() };
    world.nodes.insert("b".into(), node);
    world.pass_time(MINUTE * 600);
    world.settle();
    assert!(world.ready());
    assert_eq!(world.engine("b").images[WEB].digests, [first]);
}

#[test]
fn with_always_each_spec_gets_its_own_look_up() {
    let mut wanted = valid([service("web", "1")]);
    wanted.images.pull_policy = PullPolicy::Always;
    let mut world = World::new(wanted, &["a"]);
    world.settle();
    world.registry.insert(WEB.into(), "sha256:moved".into());
    world.forget();
    world.settle();
    assert!(world.log.is_empty());
    world.generation += 1;
    world.settle();
    assert_eq!(world.status.images[0].digest, "sha256:moved");
    assert!(world.log.iter().any(|l| l.contains("pull image")) && world.ready(), "{:?}", world.log);
}

#[test]
fn a_moved_tag_rolls_only_when_it_is_followed() {
    let mut wanted = valid([service("web", "1")]);
    wanted.images.follow = Some(MINUTE * 60);
    let mut world = World::new(wanted, &["a"]);
    world.settle();
    world.forget();
    world.registry.insert(WEB.into(), "sha256:moved".into());
    world.pass_time(MINUTE);
    world.pass();
    assert!(world.log.is_empty());
    let until = world.plan().until().expect("the next look");
    assert!(until.duration_since(world.now).as_secs() > 3000);
    world.pass_time(MINUTE * 60);
    for _ in 0..200 {
        if !world.pass() {
            world.pass_time(crate::SECOND / 10);
        }
    }
    assert_eq!(world.engine("a").images[WEB].digests, ["sha256:moved"]);
    assert_eq!(world.log.iter().filter(|l| l.contains("create container")).count(), 1);
    // A registry that is away takes nothing away.
    world.registry.clear();
    world.forget();
    world.pass_time(MINUTE * 61);
    world.pass();
    assert!(world.ready() && world.log.is_empty(), "{:?}", world.status);
    assert!(world.images().0.is_empty(), "it is asked again only when that is due");
}

#[test]
fn an_image_that_cannot_be_resolved_disturbs_nothing() {
    let mut world = World::new(valid([service("web", "1"), service("db", "1")]), &["a"]);
    world.settle();
    world.forget();
    let mut other = service("web", "2");
    other.image = "registry.lab/nowhere:1".into();
    world.change([other, service("db", "1")]);
    world.registry.remove("registry.lab/nowhere:1");
    let now = world.now;
    world.engine("a").kill("shop-web-1", 1, now);
    world.settle();
    assert_eq!(world.reason(), "ImageMissing");
    assert_eq!(world.status.ready.as_deref(), Some("2/2"));
    assert_eq!(world.status.updated.as_deref(), Some("1/2"));
    assert_eq!(world.log, ["a: start container shop-web-1"]);
    world.registry.insert("registry.lab/nowhere:1".into(), "sha256:found".into());
    world.settle();
    assert!(world.ready());
}

#[test]
fn a_slow_pull_leaves_the_old_one_running_and_other_services_alone() {
    let mut world = World::new(valid([service("web", "1"), service("db", "1")]), &["a"]);
    world.settle();
    world.forget();
    world.pulls_work = false;
    let mut other = service("web", "2");
    other.image = "registry.lab/big:1".into();
    world.change([other, service("db", "2")]);
    for _ in 0..100 {
        if !world.pass() {
            world.pass_time(crate::SECOND);
        }
    }
    assert_eq!(world.engine("a").find("shop-db-1").want.definition_hash, "db:2");
    assert_eq!(world.engine("a").find("shop-web-1").want.definition_hash, "web:1");
    assert_eq!(world.reason(), "ImagePulling");
    assert_eq!(world.status.ready.as_deref(), Some("2/2"));
}

#[test]
fn with_never_only_what_is_there_is_used() {
    let mut wanted = valid([service("web", "1")]);
    wanted.images.pull_policy = PullPolicy::Never;
    let mut world = World::new(wanted, &["a", "b"]);
    world.settle();
    assert_eq!(world.reason(), "ImageMissing");
    world.engine("a").images.insert(WEB.into(), local("sha256:built"));
    world.settle();
    assert_eq!(world.engine("a").running("web").len(), 1);
    assert_eq!(world.reason(), "ImageMissing");
    assert!(world.log.iter().all(|l| !l.contains("pull")));
    assert!(world.images().0.is_empty());
}

#[test]
fn images_that_never_were_in_a_registry_are_taken_as_each_host_has_them() {
    let mut world = World::new(valid([service("web", "1")]), &["a", "b"]);
    world.registry.clear();
    world.engine("a").images.insert(WEB.into(), local("sha256:built-on-a"));
    world.engine("b").images.insert(WEB.into(), local("sha256:built-on-b"));
    world.settle();
    assert!(world.ready(), "{:?}", world.status);
    assert_eq!(world.status.images[0].digest, "sha256:built-on-a");
    world.forget();
    world.set_away("a", true);
    world.settle();
    assert!(world.log.is_empty(), "{:?}", world.log);
}

#[test]
fn a_reference_with_a_digest_needs_no_look_up() {
    let mut web = service("web", "1");
    web.image = "registry.lab/web@sha256:abc".into();
    let mut world = World::new(valid([web]), &["a"]);
    world.registry.clear();
    assert!(world.images().0.is_empty());
    world.settle();
    assert!(world.ready());
}

#[test]
fn images_of_no_use_are_pruned_when_all_is_well() {
    let mut wanted = valid([service("web", "1")]);
    wanted.images.prune = Prune::Unused;
    let mut world = World::new(wanted, &["a"]);
    world.engine("a").unused_images.insert("registry.lab/web@sha256:old".into(), "id-old".into());
    let id = format!("id-of-sha256:{WEB}");
    world.engine("a").unused_images.insert(WEB.into(), id);
    world.settle();
    assert_eq!(world.log.last().unwrap(), "a: remove image registry.lab/web@sha256:old");
    assert_eq!(world.engine("a").unused_images.len(), 1, "what is wanted is not pruned");
    world.valid.images.prune = Prune::Never;
    world.engine("a").unused_images.insert("x".into(), "y".into());
    world.forget();
    world.settle();
    assert!(world.log.is_empty());
}

#[test]
fn a_local_image_that_was_built_anew_is_taken_with_the_next_spec() {
    let mut wanted = valid([service("web", "1")]);
    wanted.images.pull_policy = PullPolicy::Never;
    let mut world = World::new(wanted, &["a"]);
    world.engines.get_mut("a").expect("a").images.insert(WEB.into(), local("sha256:old"));
    world.settle();
    assert!(world.ready());
    world.engines.get_mut("a").expect("a").images.insert(WEB.into(), local("sha256:new"));
    world.forget();
    world.pass();
    assert!(world.log.is_empty(), "a tag that moved is no change by itself: {:?}", world.log);
    world.valid = {
        let mut wanted = valid([service("web", "2")]);
        wanted.images.pull_policy = PullPolicy::Never;
        wanted
    };
    world.generation += 1;
    world.settle();
    assert!(world.ready(), "{:?}", world.status);
    assert_eq!(world.status.images[0].digest, "sha256:new");
}
