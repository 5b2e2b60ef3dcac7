//! What is in the way is named before anything is made.

use slipway_plan::container_service::definition::Network;
use slipway_plan::container_service::observed::{self, Other};

use crate::sim::{Engine, NETWORK, PROJECT, Shape, World, service, stranger, valid};

fn other(name: &str) -> Other {
    Other { id: "x".into(), name: name.into(), ..Other::default() }
}

fn foreign_network() -> observed::Network {
    observed::Network { id: "n".into(), owner: Some(stranger()), ..observed::Network::default() }
}

#[test]
fn nothing_is_made_on_a_host_with_a_conflict_and_the_others_go_on() {
    type Obstacle = fn(&mut Engine);
    let cases: Vec<(&str, &str, Obstacle)> = vec![
        ("HostPortTaken", "host port 80/tcp is taken by container nginx", |e| {
            let ports = vec![("0.0.0.0".into(), 80, "tcp".into())];
            e.others.push(Other { host_ports: ports, ..other("nginx") });
        }),
        ("HostPortTaken", "taken by ContainerService prod/shop (container c)", |e| {
            let ports = vec![(String::new(), 80, "tcp".into())];
            e.others.push(Other { host_ports: ports, owner: Some(stranger()), ..other("c") });
        }),
        ("ContainerNameTaken", "container name shop-web-1 is taken by container shop-web-1", |e| {
            e.others.push(other("shop-web-1"));
        }),
        ("ProjectTaken", "project name shop is taken by Compose project shop", |e| {
            e.others.push(Other { project: Some(PROJECT.into()), ..other("shop-x-1") });
        }),
        ("NetworkTaken", "network shop_default exists", |e| {
            e.networks.insert(NETWORK.into(), foreign_network());
        }),
        ("VolumeTaken", "volume shop_web exists", |e| {
            e.volumes.insert("shop_web".into(), observed::Volume { owner: Some(stranger()), ..Default::default() });
        }),
    ];
    for (reason, message, obstacle) in cases {
        let mut world =
            World::new(valid([service("web", "1").port(80).with_volume(), service("db", "1")]), &["a", "b"]);
        obstacle(world.engine("a"));
        world.settle();
        assert!(world.engine("a").made.is_empty(), "{reason}: {:?}", world.log);
        assert!(world.log.iter().all(|l| l.starts_with("b: ") || l.contains("pull")), "{reason}: {:?}", world.log);
        assert_eq!(world.engine("b").running("web").len(), 1, "{reason}");
        assert_eq!(world.reason(), reason);
        assert!(world.message().contains(message), "{reason}: {}", world.message());
        assert!(world.is_stalled(), "{reason}");
        let engine = world.engine("a");
        engine.others.clear();
        engine.networks.clear();
        engine.volumes.clear();
        world.settle();
        assert!(world.ready(), "{reason}: {:?}", world.status);
    }
}

#[test]
fn external_things_must_be_there() {
    let mut world = World::new(valid([service("web", "1").with_volume()]), &["a"]);
    let definition = &mut world.valid.definition;
    let network = Network { external: true, ..definition.networks[NETWORK].clone() };
    definition.networks.insert(NETWORK.into(), network);
    world.settle();
    assert_eq!(world.reason(), "ExternalNetworkMissing");
    world.engine("a").networks.insert(NETWORK.into(), foreign_network());
    world.valid.definition.volumes.get_mut("shop_web").unwrap().external = true;
    world.settle();
    assert_eq!(world.reason(), "ExternalVolumeMissing");
    world.engine("a").volumes.insert("shop_web".into(), observed::Volume::default());
    world.settle();
    assert!(world.ready(), "{:?}", world.status);
    assert!(world.log.iter().all(|l| !l.contains("network")), "{:?}", world.log);
}

#[test]
fn a_volume_that_compose_left_for_this_project_is_taken_over_with_its_data_and_never_removed() {
    let mut world = World::new(valid([service("db", "1").with_volume()]), &["a"]);
    let left = observed::Volume { project: Some(PROJECT.into()), ..Default::default() };
    world.engine("a").volumes.insert("shop_db".into(), left.clone());
    world.settle();
    assert!(world.ready());
    world.delete(slipway_api::container_service::VolumeDeletion::Delete);
    assert_eq!(world.engine("a").volumes["shop_db"], left);
}

#[test]
fn a_port_that_somebody_took_while_we_were_down_is_named() {
    let mut world = World::new(valid([service("web", "1").port(80)]), &["a"]);
    world.settle();
    let now = world.now;
    let engine = world.engine("a");
    engine.kill("shop-web-1", 0, now);
    let ports = vec![("127.0.0.1".into(), 80, "tcp".into())];
    engine.others.push(Other { host_ports: ports, ..other("thief") });
    world.settle();
    assert_eq!(world.reason(), "HostPortTaken");
    assert!(world.message().contains("thief"), "{}", world.message());
}

#[test]
fn other_protocols_and_addresses_do_not_clash() {
    let mut world = World::new(valid([service("web", "1").port(80)]), &["a"]);
    world.valid.definition.containers.values_mut().for_each(|c| c.host_ports[0].0 = "10.0.0.1".into());
    let ports = vec![("10.0.0.2".into(), 80, "tcp".into()), (String::new(), 80, "udp".into())];
    world.engine("a").others.push(Other { host_ports: ports, ..other("dns") });
    let plan = world.plan();
    assert!(plan.waits.iter().all(|w| w.reason != "HostPortTaken"), "{plan}");
}
