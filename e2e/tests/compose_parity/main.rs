//! For every supported key, the container that Slipway makes, inspected, equals the one that Docker Compose 2.40 makes from
//! the same file, on the oldest and on a newer engine.
//!
//! The fixtures are what both are given. What may differ is listed in [`compare`], and nowhere else.

mod compare;
mod engine;
mod sides;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use slipway_e2e::lab::{DockerHost, Engine, Image, Part, can_run};

/// A Compose file, and how it is used.
struct Fixture {
    /// Its name, without `.yaml`.
    name: &'static str,
    /// Not only made but started.
    started: bool,
    /// API version `1.x` from which on Compose takes it.
    since: u32,
    /// Files in containers whose content and owner are compared: service and path.
    files: &'static [(&'static str, &'static str)],
}

const FIXTURE: Fixture = Fixture { name: "", started: true, since: 41, files: &[] };

const FIXTURES: &[Fixture] = &[
    Fixture { name: "process", ..FIXTURE },
    Fixture { name: "limits", ..FIXTURE },
    Fixture { name: "rights", ..FIXTURE },
    Fixture { name: "volumes", ..FIXTURE },
    Fixture { name: "networks", ..FIXTURE },
    Fixture { name: "ports", ..FIXTURE },
    Fixture { name: "namespaces", ..FIXTURE },
    Fixture { name: "life", ..FIXTURE },
    Fixture {
        name: "files",
        files: &[
            ("copied", "/run/secrets/token"),
            ("copied", "/run/secrets/renamed"),
            ("copied", "/abs/token"),
            ("copied", "/motd"),
            ("copied", "/etc/motd"),
        ],
        ..FIXTURE
    },
    Fixture { name: "unstartable", started: false, ..FIXTURE },
    Fixture { name: "newer", since: 44, ..FIXTURE },
];

/// Where the fixtures are.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose_parity/fixtures")
}

fn text(name: &str) -> Result<String> {
    let path = fixtures().join(format!("{name}.yaml"));
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn on_docker_20_10() -> Result<()> {
    if !can_run(&[Part::Docker]) {
        return Ok(());
    }
    on(DockerHost::with_engine(Engine::V20_10).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn on_docker_26_1() -> Result<()> {
    if !can_run(&[Part::Docker, Part::NewerDocker]) {
        return Ok(());
    }
    on(DockerHost::with_engine(Engine::V26_1).await?).await
}

/// Every fixture on one host, by Compose and then by Slipway; all differences are shown, not the first only.
async fn on(host: DockerHost) -> Result<()> {
    for image in images() {
        host.load(&image).await?;
    }
    let compose = sides::Compose::new(&host)?;
    let slipway = sides::Slipway::new(&host).await?;
    let engine = engine::Raw::new(host.socket());
    engine.post("/networks/create", &json!({"Name": "outside"})).await?;
    engine.post("/volumes/create", &json!({"Name": "outside"})).await?;
    let api = engine.api().await?;

    let mut report = Vec::new();
    for fixture in FIXTURES.iter().filter(|fixture| fixture.since <= api) {
        let differences = match both(fixture, &compose, &slipway, &engine).await {
            Ok((theirs, ours)) => compare::differences(&theirs, &ours),
            Err(error) => vec![format!("{error:#}")],
        };
        report.extend(differences.into_iter().map(|difference| format!("{}: {difference}", fixture.name)));
    }
    for fixture in FIXTURES.iter().filter(|fixture| fixture.since > api) {
        let made = slipway.shows(fixture, &engine).await;
        let refusal = made.err().map(|error| format!("{error:#}")).unwrap_or_default();
        if !refusal.contains("this engine speaks") {
            report.push(format!("{}: not refused for its keys that the engine does not know: {refusal}", fixture.name));
        }
    }
    if let Err(error) = slipway.is_seen_by(&compose, &FIXTURES[0], &engine).await {
        report.push(format!("what docker compose shows of Slipway's project: {error:#}"));
    }
    assert!(report.is_empty(), "{} differences (key: compose's value, ours):\n{}", report.len(), report.join("\n"));
    Ok(())
}

/// One fixture as both make it.
async fn both(
    fixture: &Fixture,
    compose: &sides::Compose,
    slipway: &sides::Slipway,
    engine: &engine::Raw,
) -> Result<(compare::Shown, compare::Shown)> {
    let theirs = compose.shows(fixture, engine).await.context("compose")?;
    let ours = slipway.shows(fixture, engine).await.context("slipway")?;
    ensure!(!theirs.containers.is_empty(), "compose made nothing");
    Ok((theirs, ours))
}

/// An image that says nothing, and one that says everything that a Compose file can say in its place.
fn images() -> [Image; 2] {
    let sleeps = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait; done";
    let own = Image::new("parity/own:1")
        .command(&[sleeps])
        .file("own-volume/sub/file", "content", 0o644)
        .config("Entrypoint", json!(["/bin/sh", "-c"]))
        .config("Env", json!(["PATH=/bin", "OWN=image"]))
        .config("User", json!("nobody"))
        .config("WorkingDir", json!("/tmp"))
        .config("ExposedPorts", json!({"9000/tcp": {}}))
        .config("Volumes", json!({"/own-volume": {}}))
        .config("Healthcheck", json!({"Test": ["CMD", "true"], "Interval": 3_000_000_000_u64, "Retries": 2}))
        .config("Labels", json!({"image": "own", "team": "image"}))
        .config("StopSignal", json!("SIGINT"));
    [Image::new("parity:1"), own]
}

/// Every key that Slipway supports in a service, by its path.
const KEYS: &[&str] = &[
    "cap_add",
    "cap_drop",
    "command",
    "configs",
    "container_name",
    "cpu_period",
    "cpu_quota",
    "cpu_shares",
    "cpus",
    "cpuset",
    "depends_on",
    "deploy.replicas",
    "deploy.resources.limits",
    "deploy.resources.reservations",
    "devices",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
    "entrypoint",
    "env_file",
    "environment",
    "expose",
    "extra_hosts",
    "group_add",
    "healthcheck.disable",
    "healthcheck.interval",
    "healthcheck.retries",
    "healthcheck.start_interval",
    "healthcheck.start_period",
    "healthcheck.test",
    "healthcheck.timeout",
    "hostname",
    "image",
    "init",
    "ipc",
    "labels",
    "logging.driver",
    "logging.options",
    "mac_address",
    "mem_limit",
    "mem_reservation",
    "mem_swappiness",
    "memswap_limit",
    "network_mode",
    "networks",
    "oom_kill_disable",
    "oom_score_adj",
    "pid",
    "pids_limit",
    "platform",
    "ports",
    "privileged",
    "profiles",
    "read_only",
    "restart",
    "scale",
    "secrets",
    "security_opt",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "user",
    "volumes",
    "working_dir",
];

#[test]
fn every_supported_key_is_in_a_fixture() -> Result<()> {
    let mut used = BTreeSet::new();
    for fixture in FIXTURES {
        let file: Value = serde_saphyr::from_str(&text(fixture.name)?)?;
        let services: BTreeMap<String, Value> = serde_json::from_value(file["services"].clone())?;
        for service in services.values() {
            for key in KEYS {
                if service.pointer(&format!("/{}", key.replace('.', "/"))).is_some() {
                    used.insert(*key);
                }
            }
        }
    }
    let unused: Vec<_> = KEYS.iter().filter(|key| !used.contains(*key)).collect();
    assert!(unused.is_empty(), "no fixture has {unused:?}");
    Ok(())
}
