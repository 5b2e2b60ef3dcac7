//! Random projects, messes and mishaps on hosts in memory: whatever happens, it ends as wanted, with nothing left to do.

#![allow(clippy::unwrap_used, clippy::panic)] // These are tests, helpers too.

mod sim;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use proptest::prelude::*;
use sim::{Behaviour, Mishap, PROJECT, Shape, World, service, stranger, valid};
use slipway_api::container_service::{Drift, OnFailure, UpdateOrder, VolumeDeletion};
use slipway_plan::container_service::definition::{Container, ContainerKey, Lifecycle};
use slipway_plan::container_service::observed::{self, Other, State};
use slipway_plan::formats::compose::model::Condition;

const NAMES: [&str; 4] = ["db", "job", "web", "proxy"];

/// A service that a random project may have.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // Each is drawn on its own.
struct Sketch {
    version: u8,
    port: bool,
    checked: bool,
    volume: bool,
    /// Services before it in [`NAMES`] that it depends on, by bits.
    after: u8,
    renewed: bool,
}

fn sketch() -> impl Strategy<Value = Sketch> {
    (0..3u8, any::<bool>(), any::<bool>(), any::<bool>(), any::<u8>(), prop::bool::weighted(0.2)).prop_map(
        |(version, port, checked, volume, after, renewed)| Sketch { version, port, checked, volume, after, renewed },
    )
}

/// A random project; a service that is `None` is not in the file.
type Project = [Option<Sketch>; 4];

fn project() -> impl Strategy<Value = Project> {
    let one = || prop::option::weighted(0.8, sketch());
    [one(), one(), one(), one()].prop_filter("a project has services", |p| p.iter().any(Option::is_some))
}

fn services(project: &Project) -> Vec<Container> {
    let mut all: Vec<Container> = Vec::new();
    for (i, sketch) in project.iter().enumerate() {
        let Some(sketch) = sketch else { continue };
        let name = NAMES[i];
        let mut one = service(name, &sketch.version.to_string());
        if name == "job" {
            one = one.once();
        } else if sketch.checked {
            one = one.checked();
        }
        if sketch.port && name != "job" {
            one = one.port(8000 + u16::try_from(i).unwrap());
        }
        if sketch.volume {
            one = one.with_volume();
        }
        for (j, other) in NAMES.iter().enumerate().take(i).filter(|(j, _)| project[*j].is_some()) {
            if sketch.after & (1 << j) == 0 {
                continue;
            }
            let needed = all.iter().find(|c| c.name == format!("{PROJECT}-{other}-1")).unwrap();
            let condition = match (needed.lifecycle, needed.has_healthcheck) {
                (Lifecycle::Once, _) => Condition::CompletedSuccessfully,
                (_, true) => Condition::Healthy,
                _ => Condition::Started,
            };
            one = if sketch.renewed && needed.lifecycle == Lifecycle::Running {
                one.renewed_with(other)
            } else {
                one.after(other, condition)
            };
        }
        // What a definition is made of is in its hash.
        one.definition_hash = format!("{name}:{:?}", (sketch.version, sketch.port, sketch.checked, sketch.volume));
        all.push(one);
    }
    all
}

/// Something that somebody does to a host.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Kill(usize, i64),
    Remove(usize),
    Pause(usize),
    Rename(usize),
    Disconnect(usize),
    RestartEngine,
    RemoveNetworks,
    Wait(u16),
    GoAway,
    ComeBack,
    Cordon,
    Restart,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        (0..8usize, prop::sample::select(vec![0, 1, 137, 143])).prop_map(|(i, code)| Deed::Kill(i, code)),
        (0..8usize).prop_map(Deed::Remove),
        (0..8usize).prop_map(Deed::Pause),
        (0..8usize).prop_map(Deed::Rename),
        (0..8usize).prop_map(Deed::Disconnect),
        Just(Deed::RestartEngine),
        Just(Deed::RemoveNetworks),
        (0..20_000u16).prop_map(Deed::Wait),
        Just(Deed::GoAway),
        Just(Deed::ComeBack),
        Just(Deed::Cordon),
        Just(Deed::Restart),
    ]
}

fn act(world: &mut World, host: &str, deed: Deed) {
    let now = world.now;
    let count = world.engines[host].made.len();
    let engine = world.engine(host);
    match deed {
        Deed::Kill(i, code) if count > 0 => {
            let seen = &engine.made[i % count].seen;
            if matches!(seen.state, State::Running | State::Paused) {
                let name = seen.name.clone();
                engine.kill(&name, code, now);
            }
        }
        Deed::Remove(i) if count > 0 => drop(engine.made.remove(i % count)),
        Deed::Pause(i) if count > 0 => {
            let seen = &mut engine.made[i % count].seen;
            if seen.state == State::Running {
                seen.state = State::Paused;
            }
        }
        Deed::Rename(i) if count > 0 => {
            let id = engine.made[i % count].seen.id.clone();
            engine.made[i % count].seen.name = format!("somebody-s-{id}");
        }
        Deed::Disconnect(i) if count > 0 => {
            let seen = &mut engine.made[i % count].seen;
            seen.networks.clear();
            seen.network_ids.clear();
        }
        Deed::RestartEngine => {
            let up: Vec<_> = engine.made.iter().filter(|m| m.seen.state == State::Running).collect();
            let up: Vec<_> = up.into_iter().map(|m| m.seen.name.clone()).collect();
            for name in &up {
                engine.kill(name, 255, now);
            }
            engine.started_at = Some(now);
        }
        Deed::RemoveNetworks => {
            let used = |name: &String| {
                let up = |m: &sim::Made| matches!(m.seen.state, State::Running | State::Paused);
                engine.made.iter().any(|m| up(m) && m.seen.networks.contains(name))
            };
            let free: Vec<_> = engine.networks.keys().filter(|n| !used(n) && *n != "theirs").cloned().collect();
            engine.networks.retain(|name, _| !free.contains(name));
        }
        Deed::Wait(millis) => world.pass_time(std::time::Duration::from_millis(millis.into())),
        Deed::GoAway => world.set_away(host, true),
        Deed::ComeBack => world.set_away(host, false),
        Deed::Cordon => world.nodes.get_mut(host).unwrap().cordon ^= true,
        Deed::Restart => {
            world.valid.restart = Some(format!("{now}"));
            world.generation += 1;
        }
        _ => {}
    }
}

fn mishap() -> impl Strategy<Value = Mishap> {
    prop::sample::select(vec![Mishap::Fails, Mishap::FailsLate, Mishap::Crash])
}

/// Things of others, which look as much like ours as they can.
fn strangers() -> (Other, observed::Network, observed::Volume) {
    let other = Other {
        id: "theirs".into(),
        name: "theirs".into(),
        owner: Some(stranger()),
        host_ports: vec![(String::new(), 9999, "tcp".into())],
        ..Other::default()
    };
    let network = observed::Network { id: "theirs".into(), owner: Some(stranger()), ..observed::Network::default() };
    let volume =
        observed::Volume { owner: Some(stranger()), role: Some("files".into()), ..observed::Volume::default() };
    (other, network, volume)
}

fn world(project: &Project, hosts: &[&str]) -> World {
    let mut world = World::new(valid(services(project)), hosts);
    let (other, network, volume) = strangers();
    for host in hosts {
        let engine = world.engine(host);
        engine.others.push(other.clone());
        engine.networks.insert("theirs".into(), network.clone());
        engine.volumes.insert("theirs".into(), volume.clone());
    }
    world
}

/// The end of every story: as wanted, nothing twice, nothing left over, nothing of others touched, nothing to do.
fn check(world: &World) {
    let story = || format!("{}\n{}\n{:#?}", world.log.join("\n"), world.plan(), world.status);
    assert!(world.ready(), "not ready:\n{}", story());
    assert!(world.plan().is_empty(), "something is left to do:\n{}", story());
    let (other, network, volume) = strangers();
    for (host, engine) in &world.engines {
        assert_eq!(engine.others, std::slice::from_ref(&other));
        assert_eq!(engine.networks["theirs"], network);
        assert_eq!(engine.volumes["theirs"], volume);
        let there: BTreeMap<_, _> =
            engine.made.iter().map(|m| (m.seen.name.as_str(), m.want.definition_hash.as_str())).collect();
        // A run that ended well and was removed is not made again.
        let has_run = |key: &ContainerKey| {
            world.status.completed.iter().any(|run| run.service == key.service && run.hosts.contains(host))
        };
        let definition = &world.valid.definition;
        let wanted = definition.containers.iter().filter(|(key, c)| there.contains_key(&*c.name) || !has_run(key));
        let wanted: BTreeMap<_, _> = wanted.map(|(_, c)| (c.name.as_str(), c.definition_hash.as_str())).collect();
        let expected = if there.is_empty() && world.nodes[host].cordon { BTreeMap::new() } else { wanted };
        assert_eq!(there, expected, "on {host}:\n{}", story());
        assert_eq!(engine.made.len(), there.len());
        assert!(engine.networks.len() <= 2, "{:?}", engine.networks);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// From one random project to another, while steps fail, the operator is killed and somebody else interferes.
    #[test]
    fn it_converges_whatever_happens(
        first in project(),
        second in project(),
        order in prop::sample::select(vec![UpdateOrder::StopFirst, UpdateOrder::StartFirst]),
        budget in 1..3usize,
        mishaps in prop::collection::vec((0..60usize, mishap()), 0..5),
        deeds in prop::collection::vec((0..2usize, deed(), 0..4usize), 0..6),
    ) {
        let hosts = ["a", "b"];
        let mut world = world(&first, &hosts);
        world.valid.update.order = order;
        world.valid.update.max_unavailable = budget;
        world.mishaps = mishaps.into_iter().collect();
        world.pass();
        world.pass();
        for (i, (host, deed, passes)) in deeds.iter().enumerate() {
            if i == 2 {
                world.change(services(&second));
            }
            act(&mut world, hosts[*host], *deed);
            for _ in 0..*passes {
                world.pass();
            }
        }
        world.change(services(&second));
        for _ in 0..3 {
                world.pass();
            }
        // The storm is over. Somebody asks again for what failed in it, and brings hosts back.
        world.mishaps.clear();
        for host in hosts {
            world.set_away(host, false);
            world.nodes.get_mut(host).unwrap().cordon = false;
        }
        world.valid.restart = Some("again".into());
        world.generation += 1;
        world.settle();
        check(&world);
        for name in world.engines.values().flat_map(|e| e.volumes.keys()) {
            prop_assert!(name.starts_with(PROJECT) || name == "theirs");
        }
    }

    /// What is damaged by others alone is healed without anybody's asking.
    #[test]
    fn drift_is_healed(
        project in project(),
        deeds in prop::collection::vec((0..2usize, deed(), 0..3usize), 1..8),
    ) {
        let hosts = ["a", "b"];
        let mut world = world(&project, &hosts);
        world.settle();
        check(&world);
        for (host, deed, passes) in deeds {
            if !matches!(deed, Deed::Restart) {
                act(&mut world, hosts[host], deed);
            }
            for _ in 0..passes {
                world.pass();
            }
        }
        for host in hosts {
            world.set_away(host, false);
            world.nodes.get_mut(host).unwrap().cordon = false;
        }
        // A run to the end that somebody broke off has failed; that is for a person to decide.
        let broken = world.engines.values().flat_map(|e| &e.made).any(|m| {
            m.want.lifecycle == Lifecycle::Once && m.seen.state == State::Exited && m.seen.exit_code != 0
        });
        world.settle();
        if !broken && world.status.failed.is_empty() {
            check(&world);
        }
    }

    /// A change that cannot succeed ends where it began, on every host, whatever fails on the way.
    #[test]
    fn a_bad_change_goes_back(
        first in project(),
        bad in 0..4usize,
        behaviour in prop::sample::select(vec![
            Behaviour::Ends(300, 3), Behaviour::CannotStart, Behaviour::Ends(3000, 0),
        ]),
        order in prop::sample::select(vec![UpdateOrder::StopFirst, UpdateOrder::StartFirst]),
        mishaps in prop::collection::vec((0..30usize, mishap()), 0..4),
    ) {
        let hosts = ["a", "b", "c"];
        let mut world = world(&first, &hosts);
        world.settle();
        let before: Vec<_> = world.engines.values().map(sim::Engine::names).collect();
        let name = NAMES[bad];
        let mut changed = services(&first);
        let Some(victim) = changed.iter_mut().find(|c| c.name == format!("{PROJECT}-{name}-1")) else { return Ok(()) };
        if victim.lifecycle == Lifecycle::Once || victim.has_healthcheck {
            return Ok(());
        }
        victim.definition_hash = format!("{name}:bad");
        world.behaviours.insert(format!("{name}:bad"), behaviour);
        world.valid.update.order = order;
        world.valid.update.min_ready = std::time::Duration::from_secs(5);
        world.mishaps = mishaps.into_iter().map(|(at, what)| (world.tried + at, what)).collect();
        world.forget();
        world.change(changed);
        world.settle();
        let after: Vec<_> = world.engines.values().map(sim::Engine::names).collect();
        prop_assert_eq!(before, after, "{}", world.log.join("\n"));
        prop_assert!(world.is_stalled(), "{:#?}", world.status);
        prop_assert!(world.engines.values().flat_map(|e| &e.made).all(|m| !m.want.definition_hash.ends_with(":bad")));
        let touched: std::collections::BTreeSet<_> =
            world.log.iter().filter(|l| l.contains("create")).map(|l| &l[..1]).collect();
        prop_assert!(touched.len() <= 1, "more than one host was touched: {}", world.log.join("\n"));
    }

    /// A deletion that is killed again and again still leaves nothing but what others have, and volumes if they stay.
    #[test]
    fn a_deletion_leaves_nothing(
        project in project(),
        mishaps in prop::collection::vec((0..20usize, mishap()), 0..6),
        volumes in prop::sample::select(vec![VolumeDeletion::Keep, VolumeDeletion::Delete]),
    ) {
        let mut world = world(&project, &["a", "b"]);
        world.settle();
        world.mishaps = mishaps.into_iter().map(|(at, what)| (world.tried + at, what)).collect();
        let named: usize = world.engines.values().map(|e| e.volumes.len()).sum();
        world.delete(volumes);
        let (_, network, volume) = strangers();
        for engine in world.engines.values() {
            prop_assert!(engine.made.is_empty());
            prop_assert_eq!(&engine.networks, &BTreeMap::from([("theirs".to_owned(), network.clone())]));
            prop_assert_eq!(&engine.volumes["theirs"], &volume);
        }
        let left: usize = world.engines.values().map(|e| e.volumes.len()).sum();
        prop_assert_eq!(left, if volumes == VolumeDeletion::Keep { named } else { 2 });
    }

    /// Whatever the policy, an object that is as wanted is left alone.
    #[test]
    fn what_is_as_wanted_is_left_alone(
        project in project(),
        drift in prop::sample::select(vec![Drift::Heal, Drift::Report, Drift::Ignore]),
        on_failure in prop::sample::select(vec![OnFailure::Rollback, OnFailure::Stop]),
        minutes in prop::collection::vec(0..600i64, 1..5),
    ) {
        let mut world = world(&project, &["a", "b"]);
        world.valid.drift = drift;
        world.valid.update.on_failure = on_failure;
        world.settle();
        check(&world);
        world.forget();
        let before = world.status.clone();
        for span in minutes {
            world.now += SignedDuration::from_mins(span);
            prop_assert!(!world.pass());
        }
        prop_assert!(world.log.is_empty());
        prop_assert_eq!(&world.status, &before);
    }
}
