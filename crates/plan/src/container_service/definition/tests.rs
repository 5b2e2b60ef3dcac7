//! Key by key: what is said to the engine. That it is what Compose says is shown by the end-to-end test `compose_parity`.

#![allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)] // Helpers take what the cases have at hand.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_api::container_service::FileSource;
use slipway_api::refs::KeyRef;

use super::*;
use crate::container_service::observed::Owner;
use crate::finding::Finding;
use crate::formats::compose::model::{self, *};

const KEY: HashKey = HashKey::new([7; 32]);

/// A project with what stands around it.
#[derive(Default)]
struct Case {
    project: Project,
    environment: BTreeMap<String, String>,
    files: BTreeMap<String, FileSource>,
    contents: Contents,
}

impl Case {
    fn lower(&self) -> Result<Definition, Vec<Finding>> {
        let owner = Owner { installation: "uid".into(), namespace: "prod".into(), name: "shop".into() };
        lower(
            &self.project,
            &Context {
                owner: &owner,
                name: "shop",
                environment: &self.environment,
                files: &self.files,
                contents: &self.contents,
                key: &KEY,
                base: "spec.compose",
            },
        )
    }

    fn container(&self, service: &str) -> Container {
        self.lower().unwrap().containers[&ContainerKey { service: service.into(), number: 1 }].clone()
    }

    fn codes(&self) -> Vec<(&'static str, String)> {
        self.lower().unwrap_err().into_iter().map(|finding| (finding.code, finding.path)).collect()
    }
}

fn service() -> Service {
    Service { image: "busybox".into(), replicas: 1, ..Service::default() }
}

/// A project of one service, `web`.
fn case(service: Service) -> Case {
    Case { project: Project { services: [("web".into(), service)].into(), ..Project::default() }, ..Case::default() }
}

/// The container of one service.
fn web(service: Service) -> Container {
    case(service).container("web")
}

/// What is said about one key, by its place in the create request.
#[track_caller]
fn says(service: Service, pointer: &str, expected: Value) {
    let body = serde_json::to_value(web(service).body).unwrap();
    assert_eq!(body.pointer(pointer), Some(&expected), "{body:#}");
}

/// That nothing is said.
#[track_caller]
fn silent(service: Service, pointer: &str) {
    let body = serde_json::to_value(web(service).body).unwrap();
    assert_eq!(body.pointer(pointer), None);
}

fn text(text: &str) -> Option<String> {
    Some(text.into())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.into()).collect()
}

fn entries(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|&(key, value)| (key.into(), value.into())).collect()
}

#[test]
fn a_service_that_says_nothing() {
    let definition = case(service()).lower().unwrap();
    insta::with_settings!({sort_maps => true}, {
        insta::assert_json_snapshot!(definition.containers.values().next().unwrap().body);
        insta::assert_json_snapshot!(definition.networks["shop_default"].body);
    });
    assert!(!definition.networks["shop_default"].external);
    let container = web(service());
    assert_eq!((container.name.as_str(), container.stop_grace), ("shop-web-1", Duration::from_secs(10)));
    assert_eq!((container.lifecycle, container.exclusive), (Lifecycle::Running, None));
    assert!(!container.has_healthcheck && !container.has_volumes);
}

#[test]
fn process() {
    says(Service { command: Some(words(&["a", "b"])), ..service() }, "/Cmd", json!(["a", "b"]));
    says(Service { command: Some(vec![]), ..service() }, "/Cmd", json!([]));
    silent(service(), "/Cmd");
    says(Service { entrypoint: Some(words(&["/init"])), ..service() }, "/Entrypoint", json!(["/init"]));
    says(Service { entrypoint: Some(vec![]), ..service() }, "/Entrypoint", json!([]));
    silent(service(), "/Entrypoint");
    says(Service { user: text("1000:1000"), ..service() }, "/User", json!("1000:1000"));
    says(Service { working_dir: text("/srv"), ..service() }, "/WorkingDir", json!("/srv"));
    says(Service { hostname: text("a"), ..service() }, "/Hostname", json!("a"));
    says(Service { domainname: text("b.c"), ..service() }, "/Domainname", json!("b.c"));
    says(Service { tty: true, ..service() }, "/Tty", json!(true));
    says(Service { stdin_open: true, ..service() }, "/OpenStdin", json!(true));
    says(Service { stop_signal: text("SIGUSR1"), ..service() }, "/StopSignal", json!("SIGUSR1"));
    says(Service { init: Some(true), ..service() }, "/HostConfig/Init", json!(true));
    says(Service { read_only: true, ..service() }, "/HostConfig/ReadonlyRootfs", json!(true));
    says(Service { platform: text("linux/amd64"), ..service() }, "/Image", json!("busybox"));
    assert_eq!(web(Service { platform: text("linux/amd64"), ..service() }).platform, text("linux/amd64"));
}

#[test]
fn stop_grace_is_whole_seconds_for_the_engine() {
    let grace = |millis| Service { stop_grace_period: Some(Duration::from_millis(millis)), ..service() };
    says(grace(90_500), "/StopTimeout", json!(90));
    assert_eq!(web(grace(90_500)).stop_grace, Duration::from_millis(90_500));
    silent(service(), "/StopTimeout");
}

#[test]
fn restart_is_the_engines_policy_and_says_whether_it_may_end() {
    let restart = |restart: &str| Service { restart: text(restart), ..service() };
    let policy = "/HostConfig/RestartPolicy";
    says(restart("no"), policy, json!({"Name": "no"}));
    says(restart("always"), policy, json!({"Name": "always"}));
    says(restart("unless-stopped"), policy, json!({"Name": "unless-stopped"}));
    says(restart("on-failure:3"), policy, json!({"Name": "on-failure", "MaximumRetryCount": 3}));
    silent(service(), policy);
    assert_eq!(web(restart("no")).lifecycle, Lifecycle::Once);
    assert_eq!(web(restart("always")).lifecycle, Lifecycle::Running);
    assert_eq!(web(service()).lifecycle, Lifecycle::Running);
}

#[test]
fn one_that_others_await_runs_to_its_end() {
    let mut case = case(service());
    let condition = Condition::CompletedSuccessfully;
    let depends_on = [("web".into(), DependsOn { condition, restart: false, required: true })].into();
    case.project.services.insert("late".into(), Service { depends_on, ..service() });
    assert_eq!(case.container("web").lifecycle, Lifecycle::Once);
    let late = case.container("late");
    assert_eq!(late.depends_on["web"], Dependency { condition, restart: false, required: true });
    let labels = late.body.labels.unwrap();
    assert_eq!(labels["com.docker.compose.depends_on"], "web:service_completed_successfully:false");
}

#[test]
fn rights() {
    says(Service { privileged: true, ..service() }, "/HostConfig/Privileged", json!(true));
    let cap_add = words(&["sys_time", "CAP_NET_ADMIN", "NET_ADMIN"]);
    says(Service { cap_add, ..service() }, "/HostConfig/CapAdd", json!(["CAP_NET_ADMIN", "CAP_SYS_TIME"]));
    says(Service { cap_drop: words(&["ALL"]), ..service() }, "/HostConfig/CapDrop", json!(["ALL"]));
    says(Service { group_add: words(&["video", "44"]), ..service() }, "/HostConfig/GroupAdd", json!(["video", "44"]));
    let options = words(&["no-new-privileges:true", "seccomp=unconfined", "systempaths=unconfined"]);
    let service = Service { security_opt: options, ..service() };
    says(service.clone(), "/HostConfig/SecurityOpt", json!(["no-new-privileges:true", "seccomp=unconfined"]));
    says(service.clone(), "/HostConfig/MaskedPaths", json!([]));
    says(service, "/HostConfig/ReadonlyPaths", json!([]));
}

#[test]
fn a_seccomp_profile_is_sent_by_its_content() {
    let mut case = case(Service { security_opt: words(&["seccomp=./profile.json"]), ..service() });
    assert_eq!(case.codes(), [("MissingFileSource", "spec.compose.services.web.security_opt[0]".into())]);
    case.files.insert("./profile.json".into(), config_map("policies", "seccomp"));
    assert_eq!(case.codes(), [("ConfigMapMissing", "spec.compose.services.web.security_opt[0]".into())]);
    case.contents =
        contents(NeedKind::ConfigMap, "policies", &[("seccomp", "{ \"defaultAction\": \"SCMP_ACT_LOG\" }\n")]);
    let options = case.container("web").body.host_config.unwrap().security_opt.unwrap();
    assert_eq!(options, ["seccomp={\"defaultAction\":\"SCMP_ACT_LOG\"}"]);
    case.contents = contents(NeedKind::ConfigMap, "policies", &[("seccomp", "nonsense")]);
    assert_eq!(case.codes(), [("InvalidSeccompProfile", "spec.compose.services.web.security_opt[0]".into())]);
}

#[test]
fn limits() {
    let with = |resources| Service { resources, ..service() };
    let none = Resources::default();
    says(with(Resources { nano_cpus: Some(500_000_000), ..none.clone() }), "/HostConfig/NanoCpus", json!(500_000_000));
    says(with(Resources { memory: Some(64), ..none.clone() }), "/HostConfig/Memory", json!(64));
    says(with(Resources { memory_reservation: Some(32), ..none.clone() }), "/HostConfig/MemoryReservation", json!(32));
    says(with(Resources { memswap_limit: Some(-1), ..none.clone() }), "/HostConfig/MemorySwap", json!(-1));
    says(with(Resources { mem_swappiness: Some(10), ..none.clone() }), "/HostConfig/MemorySwappiness", json!(10));
    silent(with(Resources { mem_swappiness: Some(0), ..none.clone() }), "/HostConfig/MemorySwappiness");
    says(with(Resources { cpu_shares: Some(2), ..none.clone() }), "/HostConfig/CpuShares", json!(2));
    says(with(Resources { cpu_quota: Some(3), ..none.clone() }), "/HostConfig/CpuQuota", json!(3));
    says(with(Resources { cpu_period: Some(4), ..none.clone() }), "/HostConfig/CpuPeriod", json!(4));
    says(with(Resources { cpuset: text("0,1"), ..none.clone() }), "/HostConfig/CpusetCpus", json!("0,1"));
    says(with(Resources { oom_score_adj: Some(5), ..none.clone() }), "/HostConfig/OomScoreAdj", json!(5));
    says(with(Resources { oom_kill_disable: Some(true), ..none.clone() }), "/HostConfig/OomKillDisable", json!(true));
    says(with(none.clone()), "/HostConfig/OomKillDisable", json!(false));
    says(Service { shm_size: Some(65_536), ..service() }, "/HostConfig/ShmSize", json!(65_536));
    let ulimits = [("nproc".into(), (5, 5)), ("nofile".into(), (1, 2))].into();
    let both = json!([{"Name": "nofile", "Soft": 1, "Hard": 2}, {"Name": "nproc", "Soft": 5, "Hard": 5}]);
    says(Service { ulimits, ..service() }, "/HostConfig/Ulimits", both);
    let sysctls = entries(&[("net.core.somaxconn", "1024")]);
    says(Service { sysctls, ..service() }, "/HostConfig/Sysctls", json!({"net.core.somaxconn": "1024"}));
}

#[test]
fn the_pids_limit_under_deploy_wins() {
    let limits =
        |pids_limit, pids| Service { pids_limit, resources: Resources { pids, ..Resources::default() }, ..service() };
    says(limits(Some(10), None), "/HostConfig/PidsLimit", json!(10));
    says(limits(Some(10), Some(20)), "/HostConfig/PidsLimit", json!(20));
    says(limits(Some(-1), Some(0)), "/HostConfig/PidsLimit", json!(-1));
    silent(limits(Some(0), None), "/HostConfig/PidsLimit");
}

#[test]
fn devices() {
    let device = |path: &str| Device { source: path.into(), target: path.into(), permissions: "rwm".into() };
    let service = Service { devices: vec![device("/dev/fuse"), device("nvidia.com/gpu=all")], ..service() };
    let fuse = json!([{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}]);
    says(service.clone(), "/HostConfig/Devices", fuse);
    let by_name = json!([{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}]);
    says(service, "/HostConfig/DeviceRequests", by_name);
}

#[test]
fn names_and_addresses() {
    says(Service { dns: words(&["10.0.0.1"]), ..service() }, "/HostConfig/Dns", json!(["10.0.0.1"]));
    says(Service { dns_opt: words(&["ndots:1"]), ..service() }, "/HostConfig/DnsOptions", json!(["ndots:1"]));
    says(Service { dns_search: words(&["a.b"]), ..service() }, "/HostConfig/DnsSearch", json!(["a.b"]));
    let extra_hosts = vec![("a".into(), "::1".into()), ("b".into(), "host-gateway".into())];
    says(Service { extra_hosts, ..service() }, "/HostConfig/ExtraHosts", json!(["a:::1", "b:host-gateway"]));
}

#[test]
fn logging() {
    let logging = Some(Logging { driver: text("json-file"), options: entries(&[("max-size", "1m")]) });
    let said = json!({"Type": "json-file", "Config": {"max-size": "1m"}});
    says(Service { logging, ..service() }, "/HostConfig/LogConfig", said);
}

#[test]
fn health_checks() {
    let check = |healthcheck| Service { healthcheck: Some(healthcheck), ..service() };
    let full = Healthcheck {
        test: words(&["CMD", "true"]),
        interval: Some(Duration::from_secs(1)),
        timeout: Some(Duration::from_millis(500)),
        retries: Some(3),
        start_period: Some(Duration::from_secs(2)),
        start_interval: Some(Duration::from_millis(100)),
    };
    let said = json!({
        "Test": ["CMD", "true"], "Interval": 1_000_000_000, "Timeout": 500_000_000, "Retries": 3,
        "StartPeriod": 2_000_000_000, "StartInterval": 100_000_000,
    });
    says(check(full.clone()), "/Healthcheck", said);
    assert!(web(check(full.clone())).has_healthcheck);
    let none = Healthcheck { test: words(&["NONE"]), ..Healthcheck::default() };
    says(check(none.clone()), "/Healthcheck", json!({"Test": ["NONE"]}));
    assert!(!web(check(none)).has_healthcheck);
    let images_own = Healthcheck { interval: Some(Duration::from_secs(1)), ..Healthcheck::default() };
    says(check(images_own.clone()), "/Healthcheck", json!({"Interval": 1_000_000_000}));
    assert!(!web(check(images_own)).has_healthcheck);
    let codes = case(check(Healthcheck { start_period: None, ..full })).codes();
    assert_eq!(codes, [("InvalidValue", "spec.compose.services.web.healthcheck.start_interval".into())]);
}

#[test]
fn ports() {
    let port = |target, published: &str, host_ip: &str, protocol: &str| Port {
        target,
        published: (!published.is_empty()).then(|| published.into()),
        host_ip: host_ip.parse().ok(),
        protocol: protocol.into(),
    };
    let service = Service {
        expose: words(&["7000", "80/tcp"]),
        ports: vec![
            port(80, "8080", "", "tcp"),
            port(80, "8081", "127.0.0.1", "tcp"),
            port(53, "", "", "udp"),
            port(90, "9000-9010", "0.0.0.0", "tcp"),
            port(91, "9100", "::", "tcp"),
        ],
        ..service()
    };
    let exposed = json!({"7000": {}, "80/tcp": {}, "53/udp": {}, "90/tcp": {}, "91/tcp": {}});
    says(service.clone(), "/ExposedPorts", exposed);
    let bindings = json!({
        "80/tcp": [{"HostIp": "", "HostPort": "8080"}, {"HostIp": "127.0.0.1", "HostPort": "8081"}],
        "53/udp": [{"HostIp": "", "HostPort": ""}],
        "90/tcp": [{"HostIp": "0.0.0.0", "HostPort": "9000-9010"}],
        "91/tcp": [{"HostIp": "::", "HostPort": "9100"}],
    });
    says(service.clone(), "/HostConfig/PortBindings", bindings);
    let container = web(service);
    let fixed = [("", 8080, "tcp"), ("127.0.0.1", 8081, "tcp"), ("", 9100, "tcp")];
    assert_eq!(container.host_ports, fixed.map(|(ip, port, protocol)| (ip.into(), port, protocol.into())));
    assert_eq!(container.exclusive, text("the host port 8080/tcp"));
}

fn mount(kind: MountKind, source: Option<&str>) -> model::Mount {
    model::Mount {
        kind,
        source: source.map(str::to_owned),
        target: "/t".into(),
        read_only: false,
        short: false,
        create_host_path: true,
        propagation: None,
        selinux: None,
        nocopy: false,
        subpath: None,
        tmpfs_size: None,
        tmpfs_mode: None,
    }
}

#[test]
fn what_binds_can_say() {
    let mut case = case(service());
    let mut bind = |mount: model::Mount| {
        case.project.volumes.insert("data".into(), model::Volume::default());
        case.project.services.get_mut("web").unwrap().volumes = vec![mount];
        let container = case.container("web");
        (container.body.host_config.unwrap().binds.unwrap().remove(0), container.has_volumes)
    };
    assert_eq!(bind(mount(MountKind::Bind, Some("/s"))), ("/s:/t:rw".into(), false));
    let shared = model::Mount { read_only: true, selinux: text("z"), ..mount(MountKind::Bind, Some("/s")) };
    assert_eq!(bind(shared), ("/s:/t:ro,z".into(), false));
    assert_eq!(bind(mount(MountKind::Volume, Some("data"))), ("shop_data:/t:rw".into(), true));
}

#[test]
fn what_only_mounts_can_say() {
    let said = |mount: model::Mount, said: Value| {
        says(Service { volumes: vec![mount], ..service() }, "/HostConfig/Mounts/0", said);
    };
    let bind = mount(MountKind::Bind, Some("/s"));
    said(
        model::Mount { create_host_path: false, read_only: true, ..bind.clone() },
        json!({"Type": "bind", "Source": "/s", "Target": "/t", "ReadOnly": true, "BindOptions": {}}),
    );
    said(
        model::Mount { propagation: text("rslave"), ..bind },
        json!({"Type": "bind", "Source": "/s", "Target": "/t", "ReadOnly": false,
               "BindOptions": {"Propagation": "rslave", "CreateMountpoint": true}}),
    );
    let volume = mount(MountKind::Volume, Some("data"));
    said(
        model::Mount { nocopy: true, ..volume.clone() },
        json!({"Type": "volume", "Source": "shop_data", "Target": "/t", "ReadOnly": false, "VolumeOptions": {"NoCopy": true}}),
    );
    said(
        model::Mount { subpath: text("a"), ..volume },
        json!({"Type": "volume", "Source": "shop_data", "Target": "/t", "ReadOnly": false, "VolumeOptions": {"Subpath": "a"}}),
    );
    let anonymous = mount(MountKind::Volume, None);
    said(anonymous.clone(), json!({"Type": "volume", "Target": "/t", "ReadOnly": false}));
    said(
        model::Mount { short: true, ..anonymous },
        json!({"Type": "volume", "Target": "/t", "ReadOnly": false, "VolumeOptions": {}}),
    );
    let tmpfs = mount(MountKind::Tmpfs, None);
    said(tmpfs.clone(), json!({"Type": "tmpfs", "Target": "/t", "ReadOnly": false}));
    said(
        model::Mount { tmpfs_size: Some(4096), tmpfs_mode: Some(0o700), ..tmpfs },
        json!({"Type": "tmpfs", "Target": "/t", "ReadOnly": false, "TmpfsOptions": {"SizeBytes": 4096, "Mode": 448}}),
    );
}

#[test]
fn tmpfs() {
    let tmpfs = words(&["/run:size=64m,mode=755", "/tmp"]);
    says(Service { tmpfs, ..service() }, "/HostConfig/Tmpfs", json!({"/run": "size=64m,mode=755", "/tmp": ""}));
}

#[test]
fn named_volumes() {
    let mut case = case(service());
    let volume = |name: Option<&str>, external| model::Volume {
        name: name.map(str::to_owned),
        external,
        driver: text("local"),
        driver_opts: entries(&[("type", "tmpfs")]),
        labels: entries(&[("a", "b")]),
    };
    case.project.volumes = [
        ("own".into(), volume(None, false)),
        ("named".into(), volume(Some("elsewhere"), false)),
        ("theirs".into(), volume(None, true)),
    ]
    .into();
    let volumes = case.lower().unwrap().volumes;
    assert_eq!(volumes.keys().collect::<Vec<_>>(), ["elsewhere", "shop_own", "theirs"]);
    assert!(volumes["theirs"].external && !volumes["shop_own"].external);
    insta::with_settings!({sort_maps => true}, { insta::assert_json_snapshot!(volumes["shop_own"].body) });
}

#[test]
fn networks() {
    let attachment = Attachment {
        aliases: words(&["other"]),
        ipv4_address: text("10.0.0.2"),
        link_local_ips: words(&["169.254.1.1"]),
        mac_address: text("02:42:00:00:00:01"),
        driver_opts: entries(&[("k", "v")]),
        priority: 0,
        ..Attachment::default()
    };
    let first = Attachment { priority: 10, ..Attachment::default() };
    let networks = [("back".into(), attachment), ("front".into(), first), ("also".into(), Attachment::default())];
    let mut case = case(Service { networks: networks.into(), ..service() });
    case.project.networks = [
        ("back".into(), model::Network { internal: true, enable_ipv6: Some(true), ..model::Network::default() }),
        ("front".into(), model::Network { name: text("lan"), external: true, ..model::Network::default() }),
        ("also".into(), model::Network::default()),
    ]
    .into();
    let definition = case.lower().unwrap();
    assert_eq!(definition.networks.keys().collect::<Vec<_>>(), ["lan", "shop_also", "shop_back"]);
    assert!(definition.networks["lan"].external);
    let container = case.container("web");
    insta::with_settings!({sort_maps => true}, {
        insta::assert_json_snapshot!(definition.networks["shop_back"].body);
        insta::assert_json_snapshot!(container.networks);
    });
    let body = serde_json::to_value(&container.body).unwrap();
    assert_eq!(body["HostConfig"]["NetworkMode"], "lan");
    assert_eq!(body["NetworkingConfig"]["EndpointsConfig"].as_object().unwrap().len(), 1);
    assert_eq!(container.exclusive, text("the address 10.0.0.2 in network back"));
}

#[test]
fn the_mac_address_is_that_of_the_first_endpoint() {
    let service = Service { mac_address: text("02:42:00:00:00:07"), ..service() };
    let container = web(service.clone());
    assert_eq!(container.mac_address, service.mac_address);
    assert_eq!(container.networks[0].1.mac_address, service.mac_address);
    let host = web(Service { network_mode: text("bridge"), ..service.clone() });
    assert_eq!((host.mac_address, host.networks.len()), (service.mac_address, 0));
}

#[test]
fn namespaces_of_others() {
    for mode in ["host", "none", "bridge", "container:x"] {
        let container = web(Service { network_mode: text(mode), ..service() });
        assert_eq!(container.body.host_config.unwrap().network_mode, text(mode));
        assert!(container.networks.is_empty() && container.body.networking_config.is_none());
    }
    let mut case = case(Service { container_name: text("proxy"), ..service() });
    let shared =
        Service { network_mode: text("service:web"), pid: text("service:web"), ipc: text("host"), ..service() };
    case.project.services.insert("side".into(), shared);
    let side = case.container("side");
    assert_eq!(side.depends_on["web"], Dependency { condition: Condition::Started, restart: true, required: true });
    let host = side.body.host_config.unwrap();
    assert_eq!((host.network_mode, host.pid_mode), (text("container:proxy"), text("container:proxy")));
    assert_eq!(host.ipc_mode, text("host"));
    assert_eq!(case.container("web").exclusive, text("the container name proxy"));
}

#[test]
fn replicas_differ_in_name_and_number_only() {
    let definition = case(Service { replicas: 3, ..service() }).lower().unwrap();
    let names: Vec<_> = definition.containers.values().map(|container| container.name.as_str()).collect();
    assert_eq!(names, ["shop-web-1", "shop-web-2", "shop-web-3"]);
    let hashes: std::collections::BTreeSet<_> = definition.containers.values().map(|it| &it.definition_hash).collect();
    assert_eq!(hashes.len(), 1);
    assert!(case(Service { replicas: 0, ..service() }).lower().unwrap().containers.is_empty());
}

#[test]
fn labels_of_the_user_do_not_hide_whose_it_is() {
    let labels = entries(&[("mine", "1"), ("slipway.dev/name", "x"), ("com.docker.compose.project", "x")]);
    let labels = web(Service { labels, ..service() }).body.labels.unwrap();
    assert_eq!(labels["mine"], "1");
    assert_eq!(labels["slipway.dev/name"], "shop");
    assert_eq!(labels["com.docker.compose.project"], "shop");
}

fn config_map(name: &str, key: &str) -> FileSource {
    FileSource::ConfigMapKeyRef(KeyRef { name: name.into(), key: key.into() })
}

fn secret(name: &str, key: &str) -> FileSource {
    FileSource::SecretKeyRef(KeyRef { name: name.into(), key: key.into() })
}

fn contents(kind: NeedKind, name: &str, data: &[(&str, &str)]) -> Contents {
    let mut contents = Contents::default();
    contents.insert(kind, name, data.iter().map(|&(key, value)| (key.into(), value.into())).collect());
    contents
}

#[test]
fn environment_wins_over_env_files_and_later_files_over_earlier() {
    let env_file = |path: &str, required| EnvFile { path: path.into(), required, raw: false };
    let mut case = case(Service {
        env_file: vec![env_file("a.env", true), env_file("b.env", true), env_file("none.env", false)],
        environment: [("OWN".into(), text("yes")), ("TAKEN_AWAY".into(), None)].into(),
        ..service()
    });
    assert_eq!(needs(&case.project, &case.files, "spec.compose").unwrap_err().len(), 2);
    case.files = [("a.env".into(), secret("env", "a")), ("b.env".into(), secret("env", "b"))].into();
    assert_eq!(case.codes()[0], ("SecretMissing", "spec.compose.services.web.env_file[0]".into()));
    let data = [("a", "OWN=no\nFIRST=a\nBOTH=a"), ("b", "BOTH=b-a")];
    case.contents = contents(NeedKind::Secret, "env", &data);
    let env = case.container("web").body.env.unwrap();
    assert_eq!(env, ["BOTH=b-a", "FIRST=a", "OWN=yes", "TAKEN_AWAY"]);
    case.contents = contents(NeedKind::Secret, "env", &[("a", "PASSWORD='hunter2"), ("b", "")]);
    let findings = case.lower().unwrap_err();
    assert_eq!(findings[0].code, "InvalidEnvFile");
    assert!(!findings[0].to_string().contains("hunter2"), "{}", findings[0]);
}

fn uses(source: &str, target: &str) -> FileUse {
    FileUse { source: source.into(), target: target.into(), uid: None, gid: None, mode: None }
}

#[test]
fn secrets_and_configs_become_files() {
    let mut case = case(Service {
        secrets: vec![uses("db", "/run/secrets/db"), FileUse { mode: Some(0o400), uid: Some(7), ..uses("var", "/v") }],
        configs: vec![uses("text", "/etc/text"), uses("site", "/etc/site/conf")],
        tmpfs: words(&["/etc/site:size=1m"]),
        ..service()
    });
    case.project.secrets = [
        ("db".into(), FileObject::External("shop-db".into())),
        ("var".into(), FileObject::Environment("VAR".into())),
        ("unused".into(), FileObject::External("nowhere".into())),
    ]
    .into();
    case.project.configs =
        [("text".into(), FileObject::Content("hello".into())), ("site".into(), FileObject::File("./site".into()))]
            .into();
    case.environment = entries(&[("VAR", "value")]);

    let missing = needs(&case.project, &case.files, "spec.compose").unwrap_err();
    assert_eq!(
        missing.iter().map(|it| (it.code, it.path.as_str())).collect::<Vec<_>>(),
        [("MissingFileSource", "spec.compose.configs.site.file")]
    );
    let hint = "add under spec: `files: {\"./site\": {configMapKeyRef: {name: NAME, key: \"site\"}}}`";
    assert_eq!(missing[0].hint.as_deref(), Some(hint));

    case.files.insert("./site".into(), config_map("sites", "conf"));
    let needed = needs(&case.project, &case.files, "spec.compose").unwrap();
    let external = Need {
        kind: NeedKind::Secret,
        name: "shop-db".into(),
        key: None,
        path: "spec.compose.secrets.db.external".into(),
        optional: false,
    };
    let site = Need {
        kind: NeedKind::ConfigMap,
        name: "sites".into(),
        key: text("conf"),
        path: "spec.compose.configs.site.file".into(),
        optional: false,
    };
    assert_eq!(needed, [external, site]);
    let findings = case.lower().unwrap_err();
    assert!(findings.iter().all(codes::awaits_content), "{findings:?}");
    assert_eq!(findings.len(), 2);

    case.contents = contents(NeedKind::Secret, "shop-db", &[("a", "1"), ("b", "2")]);
    case.contents.insert(NeedKind::ConfigMap, "sites", [("conf".into(), b"x".to_vec())].into());
    assert_eq!(case.codes(), [("KeyMissing", "spec.compose.secrets.db.external".into())]);
    case.contents.insert(NeedKind::Secret, "shop-db", [("password".into(), b"pw".to_vec())].into());

    let files = case.container("web").files;
    let shown: Vec<_> = files.iter().map(|file| format!("{file:?} {}", file.in_volume)).collect();
    assert_eq!(
        shown,
        [
            "File(/run/secrets/db 444 0:0, 2 bytes) false",
            "File(/v 400 7:0, 5 bytes) false",
            "File(/etc/text 444 0:0, 5 bytes) false",
            "File(/etc/site/conf 444 0:0, 1 bytes) true",
        ]
    );
    assert_eq!(files[0].content, b"pw");
    assert!(!format!("{:?}", case.contents).contains("pw"));

    case.environment.clear();
    assert_eq!(case.codes(), [("MissingVariable", "spec.compose.secrets.var.environment".into())]);
}

#[test]
fn the_hash_changes_with_what_counts_and_with_nothing_else() {
    let hash = |service: Service| web(service).definition_hash;
    let base = hash(service());
    assert_eq!(base, "44e758947a8280bd6e1ac448087c7f83");
    assert_eq!(base, hash(service()));
    let depends_on = [("web".into(), DependsOn { condition: Condition::Started, restart: false, required: false })];
    assert_eq!(base, hash(Service { depends_on: depends_on.into(), ..service() }));
    assert_ne!(base, hash(Service { environment: [("A".into(), text("b"))].into(), ..service() }));
    assert_ne!(base, hash(Service { labels: entries(&[("a", "b")]), ..service() }));
    assert_ne!(base, hash(Service { container_name: text("x"), ..service() }));
    assert_ne!(base, hash(Service { platform: text("linux/arm64"), ..service() }));
    assert_ne!(base, hash(Service { mac_address: text("02:42:00:00:00:07"), ..service() }));

    let mut other = case(service());
    other.project.networks.insert("default".into(), model::Network { internal: true, ..model::Network::default() });
    assert_ne!(base, other.container("web").definition_hash);

    let mut with_secret = case(Service { secrets: vec![uses("s", "/s")], ..service() });
    let mut hash_with = |value: &str| {
        with_secret.project.secrets.insert("s".into(), FileObject::Content(value.into()));
        with_secret.container("web").definition_hash
    };
    assert_ne!(hash_with("1"), hash_with("2"));
    assert_eq!(hash_with("1"), hash_with("1"));

    let container = web(service());
    assert_eq!(revision(&container, "sha256:1").len(), 32);
    assert_ne!(revision(&container, "sha256:1"), revision(&container, "sha256:2"));
    let label = &container.body.labels.as_ref().unwrap()["com.docker.compose.config-hash"];
    assert!(label.len() == 64 && label.starts_with(&container.definition_hash));
}

#[test]
fn a_short_text_cannot_ask_for_too_much() {
    let mut many = case(Service { replicas: 600, ..service() });
    assert!(many.lower().is_ok());
    many.project.services.insert("more".into(), Service { replicas: 600, ..service() });
    assert_eq!(many.codes(), [("TooLarge", "spec.compose.services.web".into())]);

    let mut large = case(Service { configs: vec![uses("c", "/c"); 100], replicas: 10, ..service() });
    large.project.configs.insert("c".into(), FileObject::Content("x".repeat(100_000)));
    assert_eq!(large.codes(), [("TooLarge", "spec.compose.services.web".into())]);

    let environment = [("A".into(), Some("x".repeat(100_000)))].into();
    let long = case(Service { environment, replicas: 900, ..service() });
    assert_eq!(long.codes(), [("TooLarge", "spec.compose.services.web".into())]);
}

#[test]
fn what_an_older_engine_would_leave_out_is_known() {
    let old = |service| {
        let (old, new) = (beyond(&web(Service::clone(&service)), 41), beyond(&web(service), 45));
        assert_eq!(new, []);
        old.into_iter().map(|it| format!("{} {} {}", it.key, it.api, it.engine)).collect::<Vec<_>>()
    };
    assert!(old(Service { mac_address: text("02:42:00:00:00:07"), ..service() }).is_empty());
    let times = |time| Some(Duration::from_secs(time));
    let check = Healthcheck { start_period: times(9), start_interval: times(1), ..Healthcheck::default() };
    assert_eq!(old(Service { healthcheck: Some(check), ..service() }), ["healthcheck.start_interval 44 Docker 25"]);
    let with_mac = Attachment { mac_address: text("02:42:00:00:00:07"), ..Attachment::default() };
    let networks = [("a".into(), with_mac.clone()), ("b".into(), with_mac)].into();
    assert_eq!(old(Service { networks, ..service() }), ["networks.mac_address 44 Docker 25"]);
    let volumes = vec![model::Mount { subpath: text("a"), ..mount(MountKind::Volume, Some("data")) }];
    assert_eq!(old(Service { volumes, ..service() }), ["volumes.volume.subpath 45 Docker 26"]);
    let name = "vendor.com/gpu=all";
    let devices = vec![Device { source: name.into(), target: name.into(), permissions: "rwm".into() }];
    assert_eq!(old(Service { devices, ..service() }), ["devices (CDI) 44 Docker 25"]);
}
