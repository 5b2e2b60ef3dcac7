use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn variables() -> BTreeMap<String, String> {
    [("FROM_PROJECT", "given"), ("TOKEN", "t"), ("PORT", "8080"), ("EMPTY", "")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn read(text: &str, profiles: &[&str]) -> Result<Loaded, Vec<Finding>> {
    let profiles: Vec<String> = profiles.iter().map(|&profile| profile.to_owned()).collect();
    load(Source::Text(text), &variables(), &profiles, "spec.compose")
}

/// A service with these lines, and what is wrong with it.
fn findings(text: &str) -> String {
    let findings = match read(text, &[]) {
        Ok(loaded) => loaded.warnings,
        Err(findings) => findings,
    };
    findings.iter().fold(String::new(), |mut lines, finding| {
        let _ = writeln!(lines, "{:?} {finding}", finding.severity);
        lines
    })
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(|n| line(n) + "\n").collect()
}

#[test]
fn long_forms() {
    let loaded = read(include_str!("fixtures/full.yaml"), &[]).unwrap();
    insta::assert_debug_snapshot!(loaded);
}

#[test]
fn short_forms() {
    let loaded = read(include_str!("fixtures/short.yaml"), &["debug"]).unwrap();
    insta::assert_debug_snapshot!(loaded);
}

#[test]
fn a_value_is_read_like_a_text() {
    for (text, profiles) in
        [(include_str!("fixtures/full.yaml"), [].as_slice()), (include_str!("fixtures/short.yaml"), &["debug"])]
    {
        let value = yaml::read(text, BOUNDS, Dialect::Kubectl).unwrap().remove(0).value;
        let profiles: Vec<String> = profiles.iter().map(|&profile| profile.to_owned()).collect();
        let from_value = load(Source::Value(&value), &variables(), &profiles, "spec.compose").unwrap();
        let from_text = load(Source::Text(text), &variables(), &profiles, "spec.compose").unwrap();
        assert_eq!(from_value.project, from_text.project);
    }
}

#[test]
fn profiles_choose_services_and_bring_their_dependencies() {
    let names = |profiles: &[&str]| {
        let project = read(include_str!("fixtures/short.yaml"), profiles).unwrap().project;
        project.services.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["cache", "db", "web", "web2"]);
    assert_eq!(names(&["other"]), ["cache", "db", "never", "off", "web", "web2"]);
    assert_eq!(names(&["*"]), ["cache", "db", "debug", "never", "off", "web", "web2"]);
    let text =
        "services:\n  a: {image: a, depends_on: [b]}\n  b: {image: b, profiles: [x]}\n  c: {image: c, profiles: [y]}\n";
    assert_eq!(read(text, &[]).unwrap().project.services.into_keys().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn interpolated_values_take_the_type_that_is_needed() {
    let text = "services:\n  a:\n    image: a\n    ports: [{target: \"${PORT}\", published: \"${PORT}\"}]\n    privileged: \"${NO:-yes}\"\n    \
                cpu_shares: ${PORT}\n    healthcheck: {test: x, retries: \"${R:-3}\"}\n    deploy: {replicas: \"${N:-1}\"}\n";
    let service = read(text, &[]).unwrap().project.services.remove("a").unwrap();
    assert_eq!(service.ports[0].target, 8080);
    assert!(service.privileged);
    assert_eq!(service.resources.cpu_shares, Some(8080));
    assert_eq!(service.healthcheck.unwrap().retries, Some(3));
}

#[test]
fn an_empty_text_says_as_little_as_a_key_that_is_not_there() {
    let said = "services:\n  a:\n    image: a\n    user: ${NO:-}\n    working_dir: ''\n    platform: ''\n    hostname: ''\n    \
                domainname: ''\n    network_mode: ''\n    restart: ${EMPTY}\n    stop_signal: ''\n    pid: ''\n    ipc: ''\n    \
                mac_address: ''\n    cpuset: ''\n    dns: ['']\n    logging: {driver: ''}\n    deploy: {mode: ''}\n    \
                secrets: [{source: s, target: '', uid: ''}]\n    volumes: [{type: volume, source: '', target: /v}]\n    \
                networks: {n: {ipv4_address: '', mac_address: ''}}\n\
                networks: {n: {name: '', driver: '', ipam: {driver: '', config: [{subnet: 10.1.0.0/16, gateway: ''}]}}}\n\
                secrets: {s: {file: s}}\n";
    let not = "services:\n  a:\n    image: a\n    dns: []\n    logging: {}\n    deploy: {}\n    secrets: [s]\n    \
               volumes: [{type: volume, target: /v}]\n    networks: [n]\n\
               networks: {n: {ipam: {config: [{subnet: 10.1.0.0/16}]}}}\nsecrets: {s: {file: s}}\n";
    assert_eq!(read(said, &[]).unwrap().project, read(not, &[]).unwrap().project);
    // What must be said is missing then, as it is in Compose.
    for (text, message) in [
        ("services: {a: {image: ''}}", "`` is not an image reference"),
        ("services: {a: {image: a, secrets: [s]}}\nsecrets: {s: {file: ''}}", "has no content"),
        ("services: {a: {image: a, volumes: [{type: bind, source: '', target: /b}]}}", "has no source"),
        ("services: {a: {image: a, tty: ''}}", "`` is not true or false"),
        ("services: {a: {image: a, dns_search: ['']}}", "is empty"),
    ] {
        let findings = read(text, &[]).expect_err(text);
        assert!(findings[0].message.starts_with(message), "{text}: {findings:?}");
    }
}

#[test]
fn numbers_labels_and_signals_are_taken_as_compose_takes_them() {
    let text = "services:\n  a:\n    image: a\n    cpu_shares: 1e3\n    pids_limit: 5.0\n    stop_signal: sigterm\n    \
                labels: ['d = e', 'f']\n    ports: ['80:80/']\n";
    let service = read(text, &[]).unwrap().project.services.remove("a").unwrap();
    assert_eq!((service.resources.cpu_shares, service.pids_limit), (Some(1000), Some(5)));
    assert_eq!(service.stop_signal.as_deref(), Some("sigterm"));
    assert_eq!(service.labels, [("d ", " e"), ("f", "")].map(|(key, value)| (key.into(), value.into())).into());
    assert_eq!(service.ports[0].protocol, "tcp");
    for (key, message) in [
        ("pids_limit: 5.5", "the number 5.5 is not an integer"),
        ("environment: ['D = e']", "`D ` has a space before its `=`"),
        ("volumes: ['C:\\data:/data']", "`C:\\data:/data` begins with a path of Windows"),
    ] {
        let findings = read(&format!("services:\n  a:\n    image: a\n    {key}\n"), &[]).expect_err(key);
        assert!(findings[0].message.starts_with(message), "{key}: {findings:?}");
    }
}

#[test]
fn an_unquoted_no_that_kubectl_made_a_boolean_is_the_policy_no() {
    let value = json!({"services": {"a": {"image": "a", "restart": false}}});
    let loaded = load(Source::Value(&value), &BTreeMap::new(), &[], "spec.compose").unwrap();
    assert_eq!(loaded.project.services["a"].restart.as_deref(), Some("no"));
}

#[test]
fn what_is_not_supported_is_refused_with_the_way_to_do_it() {
    insta::assert_snapshot!(findings(
        "include: [other.yaml]
services:
  a:
    build: .
    extends: {service: b}
    pull_policy: always
    links: [b]
    volumes_from: [b]
    gpus: all
    deploy:
      mode: global
      placement: {constraints: [x]}
      update_config: {order: start-first}
      labels: {a: b}
      restart_policy: {condition: any, delay: 5s}
    volumes:
      - {type: image, source: x, target: /x}
      - {type: volume, target: /y, volume: {labels: {a: b}}}
    networks: {default: {gw_priority: 1}}
  b: {image: b}
secrets:
  s: {content: hidden}
"
    ));
}

/// Every key that compose-spec.json of compose-go 2.9 (Docker Compose 2.40) has for a service.
const SERVICE_KEYS: &str = "develop deploy annotations attach build blkio_config cap_add cap_drop cgroup cgroup_parent command configs \
    container_name cpu_count cpu_percent cpu_shares cpu_quota cpu_period cpu_rt_period cpu_rt_runtime cpus cpuset \
    credential_spec depends_on device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint env_file label_file \
    environment expose extends provider external_links extra_hosts gpus group_add healthcheck hostname image init ipc \
    isolation labels links logging mac_address mem_limit mem_reservation mem_swappiness memswap_limit network_mode models \
    networks oom_kill_disable oom_score_adj pid pids_limit platform ports post_start pre_stop privileged profiles \
    pull_policy pull_refresh_after read_only restart runtime scale security_opt shm_size secrets sysctls stdin_open \
    stop_grace_period stop_signal storage_opt tmpfs tty ulimits use_api_socket user uts userns_mode volumes volumes_from \
    working_dir";

#[test]
fn every_key_of_compose_is_supported_or_refused_as_known() {
    let supported: Vec<&str> = include_str!("fixtures/full.yaml")
        .lines()
        .chain(include_str!("fixtures/short.yaml").lines())
        .filter(|line| line.starts_with("    ") && !line.starts_with("     "))
        .filter_map(|line| line.trim().split(':').next())
        .collect();
    for key in SERVICE_KEYS.split_whitespace() {
        let value = json!({"services": {"a": {"image": "a", key: {"x": [{"y": "z"}]}}}});
        let findings =
            load(Source::Value(&value), &BTreeMap::new(), &[], "c").map_or_else(|findings| findings, |ok| ok.warnings);
        assert!(
            findings
                .iter()
                .all(|finding| finding.code != codes::UNKNOWN_KEY || finding.path != format!("c.services.a.{key}")),
            "{key}"
        );
        let is_refused = findings.iter().any(|finding| finding.code == codes::UNSUPPORTED_KEY);
        assert_ne!(is_refused, supported.contains(&key) || key == "profiles", "{key}: {findings:?}");
    }
}

#[test]
fn unknown_keys_are_guessed() {
    insta::assert_snapshot!(findings(
        "service: {}
services:
  a:
    image: a
    port: ['80:80']
    enviroment: {}
    dependsOn: [b]
    healthcheck: {tests: x}
    frobnicate: 1
    x-mine: fine
networks: {default: {labls: {}}}
"
    ));
}

#[test]
fn references_cycles_and_conflicts_are_found() {
    insta::assert_snapshot!(findings(
        "services:
  a: {image: a, depends_on: [b, nope], networks: [front, bakc], ports: ['80:80', '443:443'], container_name: x1}
  b: {image: b, depends_on: {c: {condition: service_healthy}}, volumes: ['dta:/data', '/x:/data/'], ports: ['0.0.0.0:80:80']}
  c: {image: c, depends_on: [a], secrets: [s], configs: [nope], healthcheck: {test: NONE, disable: true}, container_name: x1}
  d: {image: d, network_mode: 'service:nobody', scale: 2, container_name: d1}
  e: {image: e, scale: 2, ports: ['81:81'], networks: {front: {ipv4_address: 10.0.0.5}}}
  f: {image: f, network_mode: 'service:a', ports: ['82:82']}
  g: {image: g, network_mode: host, ports: ['82:82']}
  h: {image: h, network_mode: host, networks: [back]}
  i: {image: i, ports: ['127.0.0.1:443:1', '127.0.0.2:444:1', '127.0.0.3:444:1', '443:1/udp']}
networks: {front: , back: }
volumes: {data: }
secrets: {s: {environment: UNSET}}
"
    ));
}

#[test]
fn values_are_checked() {
    insta::assert_snapshot!(findings(
        "name: Not Good
services:
  bad name: {image: a}
  none: {}
  a:
    image: 'A B'
    platform: linux/
    container_name: x
    command: a && b
    entrypoint: [1.5]
    environment: {A: [1]}
    user: true
    ports: ['99999:1', {published: 80}, {target: 0}, {target: 80, protocol: icmp}, {target: 80, host_ip: nowhere}]
    expose: [x]
    volumes: ['./data:/data', 'a:b', 'v:/v:rx', '::', {type: bind, target: /b}, {type: tmpfs, target: /t, bind: {}}, {target: /c}]
    tmpfs: [run]
    devices: [null, 'a:b:c:d', '/dev/x:/dev/y:q']
    dns: [nowhere]
    extra_hosts: [a, 'b=c', '=1.1.1.1']
    healthcheck: {test: [curl], interval: 5, timeout: 10us, retries: -1}
    restart: sometimes
    stop_signal: the end
    stop_grace_period: soon
    shm_size: big
    ulimits: {nofile: {soft: 5}, NPROC: 1, core: {soft: 10, hard: 5}}
    oom_score_adj: 5000
    mem_swappiness: 101
    mem_limit: 1g
    cpus: -1
    cap_add: [NET-ADMIN]
    mac_address: 00:11
    hostname: a b
    pid: nobody
    ipc: hosts
    network_mode: mynet
    init: perhaps
    depends_on: {b: {condition: ready}}
    deploy: {replicas: 1000, resources: {limits: {memory: 2g}, reservations: {cpus: 1, devices: [{count: 1, device_ids: [a]}]}}}
    secrets: [{target: x}, {source: s, mode: 99999, uid: root}]
  b: {image: b, env_file: [{required: true}, {path: a, format: json}], logging: {driver: [x]}, profiles: ['a b']}
networks:
  n: {external: true, driver: bridge}
  o: {ipam: {config: [{subnet: 10.0.0.0/99}, {subnet: 10.0.0.0/24, gateway: 10.0.1.1, ip_range: 10.1.0.0/16, aux_addresses: {a: 1.1.1.1}}, {gateway: 10.0.0.1}]}}
secrets:
  s: {file: a, environment: TOKEN}
  t: {}
configs:
  c: {external: true, file: x}
"
    ));
}

#[test]
fn variables_that_are_missing() {
    insta::assert_snapshot!(findings(
        "services:\n  a:\n    image: 'a:${TAG:?which one}'\n    command: [$UNSET, '${UNSET}', '${']\n    environment: {A: , B: 'hunter2${-}hunter2', C: '${A hunter2}'}\n    ports: ['${P?}:80']\n"
    ));
}

#[test]
fn texts_that_are_not_one_document() {
    for (text, code) in [
        ("", codes::INVALID_VALUE),
        ("a: 1\n---\nb: 2\n", codes::INVALID_VALUE),
        ("[1]", codes::INVALID_VALUE),
        ("services: {}", codes::INVALID_VALUE),
        ("services: {a: {image: a, image: b}}", codes::DUPLICATE_KEY),
        ("services: {a: ", codes::YAML_SYNTAX),
        ("services: {a: {image: !reset null}}", codes::UNSUPPORTED_KEY),
    ] {
        let findings = read(text, &[]).expect_err(text);
        assert_eq!((findings[0].code, findings.len()), (code, 1), "{text}: {findings:?}");
        assert!(findings[0].path.starts_with("spec.compose"), "{findings:?}");
    }
}

#[test]
fn a_text_tells_the_line() {
    let findings = read("services:\n  a:\n    image: a\n    prots: []\n", &[]).unwrap_err();
    assert!(findings[0].message.ends_with("(line 4)"), "{findings:?}");
}

#[test]
fn hostile_files_are_refused_quickly() {
    let started = std::time::Instant::now();
    let many = lines(10_000, |n| format!("  s{n}: {{image: a}}"));
    let mut bomb = String::from("x-0: &a0 {image: a, image2: b, c: d}\n");
    for level in 1..30 {
        let _ = writeln!(bomb, "x-{level}: &a{level} [*a{0}, *a{0}, *a{0}]", level - 1);
    }
    let chain = lines(400, |n| format!("  s{n}: {{image: a, depends_on: [s{}]}}", n + 1));
    for (name, text, code) in [
        ("large", "#".repeat(10 << 20), codes::TOO_LARGE),
        ("services", format!("services:\n{many}"), codes::TOO_LARGE),
        ("bomb", format!("{bomb}services: {{a: *a29}}\n"), codes::TOO_LARGE),
        ("deep", format!("services: {}{}", "{a: ".repeat(3000), "}".repeat(3000)), codes::TOO_LARGE),
        ("chain", format!("services:\n{chain}  s400: {{image: a, depends_on: [s0]}}\n"), codes::DEPENDENCY_CYCLE),
        ("ports", "services: {a: {image: a, ports: ['1-65535:1-65535']}}".into(), codes::INVALID_PORT),
        (
            "many ports",
            format!("services: {{a: {{image: a, ports: [{}]}}}}", "'1-1000',".repeat(1000)),
            codes::TOO_LARGE,
        ),
        ("replicas", "services: {a: {image: a, scale: 1000000000}}".into(), codes::TOO_LARGE),
        ("wide", format!("services: {{a: {{image: a, command: [{}]}}}}", "x,".repeat(120_000)), codes::TOO_LARGE),
    ] {
        let findings = read(&text, &[]).expect_err(name);
        assert_eq!(findings[0].code, code, "{name}: {:?}", findings[0]);
        assert!(findings[0].message.len() < 1000, "{name}: {}", findings[0].message.len());
    }
    let mut value = json!("x");
    for _ in 0..100 {
        value = json!({"a": value});
    }
    let findings = load(Source::Value(&value), &BTreeMap::new(), &[], "spec.compose").unwrap_err();
    assert_eq!(findings[0].code, codes::TOO_LARGE);
    // A fraction of a second when optimised; the margin is for debug builds on a busy machine.
    assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
}

#[test]
fn findings_are_bounded() {
    let keys = lines(5000, |n| format!("    k{n}x: 1"));
    let findings = read(&format!("services:\n  a:\n    image: a\n{keys}"), &[]).unwrap_err();
    assert_eq!(findings.len(), MAX_FINDINGS + 1);
    assert_eq!(findings[MAX_FINDINGS].message, "4900 more errors are not shown (line 1)");
}

fn any_value() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(|float| serde_json::Number::from_f64(float).map_or(Value::Null, Value::Number)),
        "[a-z0-9:/.,=\\-\\[\\]${}% ]{0,24}".prop_map(Value::from),
    ];
    word.prop_recursive(3, 24, 4, |inner| {
        let key = prop_oneof![Just("a".to_owned()), any_service_key(), "[a-z_.]{0,8}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_service_key() -> impl Strategy<Value = String> {
    let text = include_str!("fixtures/full.yaml");
    let keys =
        text.lines().filter_map(|line| line.split_once(':')).map(|(key, _)| key.trim().trim_start_matches("- {"));
    prop::sample::select(keys.map(str::to_owned).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_value_makes_it_panic(service in prop::collection::btree_map(any_service_key(), any_value(), 0..6), other in any_value()) {
        let service: Value = service.into_iter().collect();
        let value = json!({"services": {"a": service, "b": other}, "networks": {"a": service, "b": other},
                           "volumes": other, "secrets": {"a": other}, "configs": {"a": service}});
        let result = load(Source::Value(&value), &variables(), &[], "spec.compose");
        if let Err(findings) = result {
            prop_assert!(has_errors(&findings));
            prop_assert!(findings.iter().all(|finding| finding.path.starts_with("spec.compose")));
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "(services|image|a|b|: |\n  |\n    |- |\\[|\\]|\\{|\\}|,|&a |\\*a|<<: |'|\"|\\$\\{A\\}){0,40}") {
        let _ = read(&text, &[]);
    }
}

#[test]
fn a_value_that_makes_no_sense_without_its_variable_is_an_error() {
    assert_eq!(
        findings("services:\n  db: {image: \"db:${NOT_SET}\"}\n"),
        "Error spec.compose.services.db.image: `db:` is not an image reference: its tag has other than letters, digits, `_`, `.` and `-` \
         (line 2) (InvalidValue)\n\
         Warning spec.compose.services.db.image: the variable NOT_SET is not set; it counts as empty (line 2) (MissingVariable); \
         set it in spec.environment, or write ${NOT_SET:-default}\n"
    );
}
