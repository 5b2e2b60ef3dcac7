//! The driver against real engines. Without root or dockerd there is nothing to run it against: that is said, loudly.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use bollard_stubs::models::HealthConfig;
use futures::StreamExt;
use slipway_drivers::Class;
use slipway_drivers::docker::conformance::{self, Bench, Suite, key, refused};
use slipway_drivers::docker::reasons::{self, Reason};
use slipway_drivers::docker::{Pull, RegistryLogin};
use slipway_plan::container_service::observed::{Container, HealthStatus, Owner, State};
use slipway_plan::container_service::plan::Step;
use support::{Dockerd, Registry};

type Edit<'a> = &'a dyn Fn(&mut Bench<'_>);

async fn suite(dockerd: &Dockerd) -> Suite {
    Suite::new(dockerd.engine().await, Dockerd::IMAGE)
}

/// Longer than anything here takes, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_mins(1);

/// Looks until the owner's only container is as wanted.
async fn until(bench: &Bench<'_>, what: &str, is_so: impl Fn(&Container) -> bool) -> Container {
    let end = Instant::now() + SOON;
    loop {
        let seen = bench.only().await.unwrap();
        if is_so(&seen) {
            return seen;
        }
        assert!(Instant::now() < end, "not {what} after {SOON:?}: {seen:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn said(reason: Reason, answer: Result<(), slipway_drivers::DriverError>) {
    refused(answer, reason.class, reason.word).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_engine_conforms() {
    let Some(dockerd) = Dockerd::start("conform") else { return };
    conformance::run(&suite(&dockerd).await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_whole_where_they_belong() {
    let Some(dockerd) = Dockerd::start("files") else { return };
    let suite = suite(&dockerd).await;
    let sealed = |bench: &mut Bench<'_>| {
        bench.edit("web", |body| body.host_config.get_or_insert_default().readonly_rootfs = Some(true));
    };
    let below_tmpfs = |bench: &mut Bench<'_>| {
        bench.edit("web", |body| {
            let tmpfs = [("/run".to_owned(), "size=1m".to_owned())];
            body.host_config.get_or_insert_default().tmpfs = Some(tmpfs.into());
        });
    };
    let below_volume = |bench: &mut Bench<'_>| {
        bench.volume("f_data").edit("web", |body| {
            body.host_config.get_or_insert_default().binds = Some(vec!["f_data:/srv".into()]);
        });
    };
    let sealed_volume = |bench: &mut Bench<'_>| {
        sealed(bench);
        below_volume(bench);
    };
    let cases: [(&str, Edit<'_>, &[&str], bool); 6] = [
        ("plain", &|_| (), &["/run/secrets/key", "/etc/deep/er/app.conf", "/top"], false),
        ("sealed", &sealed, &["/run/secrets/key", "/run/secrets/other", "/etc/app.conf"], true),
        ("tmpfs", &below_tmpfs, &["/run/secrets/key"], true),
        ("volume", &below_volume, &["/srv/conf/app.conf"], true),
        // At the very place of a volume: into it, as Compose does.
        ("mounted", &below_volume, &["/srv/app.conf"], true),
        ("sealedmount", &sealed_volume, &["/srv/app.conf", "/run/secrets/key"], true),
    ];
    for (name, edit, targets, in_volume) in cases {
        let mut bench = suite.bench(&format!("f{name}"));
        bench.container("web", &[]);
        edit(&mut bench);
        bench.files("web", targets, in_volume);
        let script: Vec<_> = targets
            .iter()
            .map(|file| format!("[ \"$(cat {file})\" = {file} ] && [ \"$(stat -c %u:%g:%a {file})\" = 1000:1000:440 ]"))
            .chain(["[ \"$(grep -c . /etc/passwd)\" = 2 ]".into(), "exit 7".into()])
            .collect();
        bench.edit("web", |body| {
            body.cmd = Some(vec!["sh".into(), "-xc".into(), script.join(" && ")]);
            body.user = Some("1000:1000".into());
        });
        bench.make().await.unwrap();
        let shown = dockerd.docker_says(&["inspect", &format!("f{name}-web-1")]);
        bench.execute(&bench.start("web")).await.unwrap();
        let ended = until(&bench, "ended", |seen| seen.state == State::Exited).await;
        assert_eq!(ended.exit_code, 7, "{name}: {}\n{shown}", ended.log_tail);
        bench.sweep().await.unwrap();
    }
    assert_eq!(dockerd.docker_says(&["volume", "ls", "-q"]), "", "a volume is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_half_is_made_anew() {
    let Some(dockerd) = Dockerd::start("half") else { return };
    let suite = suite(&dockerd).await;
    let mut bench = suite.bench("half");
    bench.container("web", &[]);
    bench.files("web", &["/run/secrets/key"], false);
    // As a killed operator leaves it: created, under the name that says so, without its file.
    let mark = |label: &str, value: &str| format!("slipway.dev/{label}={value}");
    let owner = bench.owner.clone();
    let marks = [
        mark("installation", &owner.installation),
        mark("namespace", &owner.namespace),
        mark("name", &owner.name),
        mark("revision", "r1"),
        mark("service", "web"),
    ];
    let mut create = vec!["create", "--name", "half-web-1.unfinished"];
    create.extend(marks.iter().flat_map(|mark| ["--label", mark]));
    create.extend([Dockerd::IMAGE, "sleep", "1000"]);
    dockerd.docker_says(&create);
    assert_eq!(bench.only().await.unwrap().state, State::Dead);
    bench.make().await.unwrap();
    let made = bench.only().await.unwrap();
    assert_eq!((made.name.as_str(), made.state), ("half-web-1", State::Created));

    // Making it fails half way: nothing is left.
    bench.sweep().await.unwrap();
    bench.files("web", &["/etc/passwd/key"], false);
    bench.take(&bench.create("web")).await.unwrap_err();
    assert_eq!(bench.observe().await.unwrap().containers, []);
    assert_eq!(dockerd.docker_says(&["ps", "-aq", "--filter", "name=half"]), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_container_is_shown() {
    let Some(dockerd) = Dockerd::start("wrong") else { return };
    let suite = suite(&dockerd).await;

    let mut ends = suite.bench("ends");
    ends.container("web", &[]).edit("web", |body| {
        body.cmd = Some(vec![
            "sh".into(),
            "-c".into(),
            "exec 2>&1; seq 30; printf '\\033[31mbad \\007word\\n'; exit 3".into(),
        ]);
    });
    ends.make().await.unwrap();
    ends.execute(&ends.start("web")).await.unwrap();
    let ended = until(&ends, "ended", |seen| seen.state == State::Exited).await;
    assert_eq!(ended.exit_code, 3);
    let lines: Vec<_> = ended.log_tail.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[19]), (20, "12", " [31mbad  word"), "{:?}", ended.log_tail);
    ends.sweep().await.unwrap();

    let mut sick = suite.bench("sick");
    sick.container("web", &[]).edit("web", |body| {
        body.healthcheck = Some(HealthConfig {
            test: Some(vec!["CMD-SHELL".into(), "echo not well; exit 1".into()]),
            interval: Some(100_000_000),
            retries: Some(1),
            ..HealthConfig::default()
        });
    });
    sick.make().await.unwrap();
    sick.execute(&sick.start("web")).await.unwrap();
    let unhealthy = |seen: &Container| seen.health.as_ref().is_some_and(|now| now.status == HealthStatus::Unhealthy);
    let seen = until(&sick, "unhealthy", unhealthy).await;
    assert_eq!(seen.health.unwrap().output, "not well");
    sick.sweep().await.unwrap();

    let mut broken = suite.bench("broken");
    broken.container("web", &[]).edit("web", |body| body.cmd = Some(vec!["/no/such/command".into()]));
    broken.make().await.unwrap();
    said(reasons::START_FAILED, broken.take(&broken.start("web")).await);
    let seen = broken.only().await.unwrap();
    assert!(seen.error.contains("/no/such/command"), "{seen:?}");
    broken.sweep().await.unwrap();

    let mut mount = suite.bench("mount");
    mount.container("web", &[]).edit("web", |body| {
        let mount = serde_json::json!([{"Type": "bind", "Source": "/no/such/path", "Target": "/data"}]);
        body.host_config.get_or_insert_default().mounts = Some(serde_json::from_value(mount).unwrap());
    });
    said(reasons::MOUNT_SOURCE_MISSING, mount.take(&mount.create("web")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_is_said_and_left_alone() {
    let Some(dockerd) = Dockerd::start("way") else { return };
    let suite = suite(&dockerd).await;
    let mut bench = suite.bench("way");
    bench.container("web", &[]).network("way_net").volume("way_data");
    dockerd.docker_says(&["create", "--name", "way-web-1", "--label", "mine=yes", Dockerd::IMAGE, "true"]);
    dockerd.docker_says(&["network", "create", "--subnet", "10.99.1.0/24", "way_net"]);
    dockerd.docker_says(&["volume", "create", "way_data"]);
    said(reasons::CONTAINER_NAME_TAKEN, bench.take(&bench.create("web")).await);
    said(reasons::NETWORK_NAME_TAKEN, bench.take(&Step::CreateNetwork { name: "way_net".into() }).await);
    said(reasons::VOLUME_NAME_TAKEN, bench.take(&Step::CreateVolume { name: "way_data".into() }).await);
    // Also with files, for which it is made under another name first.
    bench.files("web", &["/key"], false);
    said(reasons::CONTAINER_NAME_TAKEN, bench.take(&bench.create("web")).await);
    let others = ["ps", "-a", "--filter", "name=way", "--format", "{{.Names}} {{.Label \"mine\"}}"];
    assert_eq!(dockerd.docker_says(&others), "way-web-1 yes");
    let seen = bench.observe().await.unwrap().others;
    assert!(seen.iter().any(|other| other.name == "way-web-1" && other.owner.is_none()), "{seen:?}");
    dockerd.docker_says(&["rm", "way-web-1"]);
    dockerd.docker_says(&["volume", "rm", "way_data"]);

    let mut bench = suite.bench("pool");
    bench.network("pool_overlaps");
    let network = bench.definition.networks.get_mut("pool_overlaps").unwrap();
    network.body.ipam =
        Some(serde_json::from_value(serde_json::json!({"Config": [{"Subnet": "10.99.1.0/25"}]})).unwrap());
    said(reasons::SUBNET_OVERLAPS, bench.take(&Step::CreateNetwork { name: "pool_overlaps".into() }).await);
    dockerd.docker_says(&["network", "rm", "way_net"]);
    if !dockerd.is_own() {
        return;
    }
    bench.definition.networks.clear();
    for index in 0..Dockerd::POOLS {
        bench.network(&format!("pool_{index}"));
    }
    let mut exhausted = None;
    for name in bench.definition.networks.keys() {
        exhausted = exhausted.or(bench.take(&Step::CreateNetwork { name: name.clone() }).await.err());
    }
    said(reasons::ADDRESS_POOL_EXHAUSTED, exhausted.map_or(Ok(()), Err));
    bench.sweep().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_goes_away_is_noticed_and_comes_back() {
    let Some(mut dockerd) = Dockerd::start("away") else { return };
    if !dockerd.is_own() {
        return;
    }
    let suite = suite(&dockerd).await;
    let engine = dockerd.engine().await;
    let mut bench = suite.bench("away");
    bench.container("web", &[]);
    bench.make().await.unwrap();
    let mut events = engine.events(None).await.unwrap();
    events.next().await.unwrap().unwrap();

    dockerd.signal("STOP");
    let frozen = Instant::now();
    said(reasons::TIMED_OUT, engine.ping().await);
    assert!(frozen.elapsed() < SOON, "{:?}", frozen.elapsed());
    dockerd.signal("CONT");
    engine.ping().await.unwrap();

    dockerd.signal("KILL");
    dockerd.wait();
    let end = tokio::time::timeout(SOON, async { while let Some(Ok(_)) = events.next().await {} });
    end.await.expect("the events end with the engine");
    let error = engine.ping().await.unwrap_err();
    assert_eq!(error.class(), Class::Unreachable, "{error}");
    assert!(["ConnectionRefused", "SocketMissing"].contains(&error.reason()), "{error}");
    dockerd.launch();
    engine.ping().await.unwrap();
    let mut events = engine.events(None).await.unwrap();
    events.next().await.unwrap().unwrap();
    bench.execute(&bench.start("web")).await.unwrap();
    let started =
        tokio::time::timeout(SOON, async { while events.next().await.unwrap().unwrap().action != "start" {} });
    started.await.expect("events come again");
    let host = bench.observe().await.unwrap();
    assert!(host.engine_started_at.is_some());
    assert!(host.clock_ahead.is_zero(), "{:?}", host.clock_ahead);
    bench.sweep().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_pulled_by_digest_marked_and_removed() {
    let Some(dockerd) = Dockerd::start("pull") else { return };
    let Some(mut registry) = Registry::start(&dockerd) else { return };
    let engine = dockerd.engine().await;
    let suite = suite(&dockerd).await;
    let image = format!("{}/team/app:1", Registry::ADDRESS);
    let (old, new) = (registry.push(&dockerd, &image, "one"), registry.push(&dockerd, &image, "two"));
    assert_ne!(old, new);
    let login = |password: &str| {
        Some(RegistryLogin {
            server: Registry::ADDRESS.into(),
            username: Registry::USER.into(),
            password: password.into(),
            identity_token: None,
        })
    };
    let pull = |digest: Option<&str>, password: Option<&str>| Pull {
        image: image.clone(),
        digest: digest.map(Into::into),
        platform: None,
        login: password.and_then(login),
    };
    let quiet = |_: String| ();

    assert_eq!(engine.resolve(&image, login(Registry::PASSWORD).as_ref()).await.unwrap(), new);
    said(reasons::IMAGE_DENIED, engine.resolve(&image, None).await.map(drop));
    said(reasons::IMAGE_DENIED, engine.pull(&pull(Some(&new), None), &quiet).await);
    said(reasons::IMAGE_DENIED, engine.pull(&pull(Some(&new), Some("wrong")), &quiet).await);
    let nothing = format!("sha256:{}", "0".repeat(64));
    said(reasons::IMAGE_NOT_FOUND, engine.pull(&pull(Some(&nothing), Some(Registry::PASSWORD)), &quiet).await);
    let missing = Pull { image: format!("{}/team/none:9", Registry::ADDRESS), ..pull(None, Some(Registry::PASSWORD)) };
    said(reasons::IMAGE_NOT_FOUND, engine.pull(&missing, &quiet).await);
    said(reasons::IMAGE_NOT_FOUND, engine.resolve(&missing.image, missing.login.as_ref()).await.map(drop));

    // The older one by its digest: it gets the tag, whatever the registry has under that now.
    engine.pull(&pull(Some(&old), Some(Registry::PASSWORD)), &quiet).await.unwrap();
    engine.pull(&pull(Some(&old), Some(Registry::PASSWORD)), &quiet).await.unwrap();
    let mut bench = suite.bench("pull");
    bench.container("web", &[]);
    bench.definition.containers.get_mut(&key("web")).unwrap().image.clone_from(&image);
    let create = |digest: &str| Step::CreateContainer {
        key: key("web"),
        name: "pull-web-1".into(),
        revision: "r1".into(),
        restart: None,
        image_digest: Some(digest.into()),
    };
    said(reasons::IMAGE_NOT_FOUND, bench.take(&create(&new)).await);
    assert_eq!(bench.observe().await.unwrap().unused_images.len(), 1);
    bench.execute(&create(&old)).await.unwrap();
    let format = "{{.Config.Image}} {{index .Config.Labels \"com.docker.compose.image\"}} {{.Image}}";
    let shown = dockerd.docker_says(&["inspect", "-f", format, "pull-web-1"]);
    let seen = bench.only().await.unwrap();
    assert_eq!(shown, format!("{image} {0} {0}", seen.image_id));

    // The tag moves on this host; the older image is still what its digest says.
    engine.pull(&pull(Some(&new), Some(Registry::PASSWORD)), &quiet).await.unwrap();
    bench.sweep().await.unwrap();
    bench.execute(&create(&old)).await.unwrap();
    assert_eq!(bench.only().await.unwrap().image_id, seen.image_id);

    // Only what nothing uses goes, with its names; what somebody else tagged stays.
    let unused = bench.observe().await.unwrap().unused_images;
    assert_eq!(unused.len(), 1, "{unused:?}");
    let used_mark = format!("slipway.dev/pulled:{}", seen.image_id.trim_start_matches("sha256:"));
    said(reasons::IMAGE_IN_USE, bench.take(&Step::RemoveImage { image: used_mark.clone() }).await);
    said(reasons::NOT_OURS, bench.take(&Step::RemoveImage { image: Dockerd::IMAGE.into() }).await);
    for (mark, id) in &unused {
        bench.execute(&Step::RemoveImage { image: mark.clone() }).await.unwrap();
        bench.execute(&Step::RemoveImage { image: mark.clone() }).await.unwrap();
        assert!(!dockerd.docker(&["image", "inspect", id]).status.success(), "{id} is still there");
    }
    bench.sweep().await.unwrap();
    dockerd.docker_says(&["tag", &seen.image_id, "mine:1"]);
    bench.execute(&Step::RemoveImage { image: used_mark }).await.unwrap();
    let tags = dockerd.docker_says(&["image", "inspect", "-f", "{{.RepoTags}}{{.RepoDigests}}", &seen.image_id]);
    assert_eq!(tags, "[mine:1][]");

    registry.stop();
    said(reasons::REGISTRY_UNREACHABLE, engine.pull(&pull(Some(&new), Some(Registry::PASSWORD)), &quiet).await);
    said(reasons::REGISTRY_UNREACHABLE, engine.resolve(&image, None).await.map(drop));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_containers_are_made_at_once() {
    let Some(dockerd) = Dockerd::start("many") else { return };
    let suite = suite(&dockerd).await;
    let mut bench = suite.bench("many");
    for index in 0..100 {
        bench.container(&format!("s{index}"), &[]);
    }
    let started = Instant::now();
    let creates: Vec<_> = bench.definition.containers.keys().map(|key| bench.create(&key.service)).collect();
    let made = futures::stream::iter(&creates).map(|step| bench.take(step)).buffer_unordered(16);
    let made: Vec<_> = made.collect().await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    eprintln!("100 containers created in {:?}", started.elapsed());
    let looked = Instant::now();
    let host = bench.observe().await.unwrap();
    eprintln!("100 containers observed in {:?}", looked.elapsed());
    assert_eq!(host.containers.len(), 100);
    let nobody = Owner { installation: "nobody".into(), ..bench.owner.clone() };
    assert_eq!(dockerd.engine().await.owners(&nobody.installation).await.unwrap(), [].into());
    bench.sweep().await.unwrap();
}
