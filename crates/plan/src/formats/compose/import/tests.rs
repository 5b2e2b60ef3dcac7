use serde_json::json;
use slipway_api::ContainerServiceSpec;

use super::*;
use crate::formats::yaml;

type Files<'a> = &'a [(&'a str, &'a str)];

fn run(entries: &[&str], files: Files<'_>, options: &Options) -> Result<Imported, Vec<Finding>> {
    let entries: Vec<String> = entries.iter().map(|&entry| entry.to_owned()).collect();
    let read = |path: &str| match files.iter().find(|(name, _)| *name == path) {
        Some((_, text)) => Ok(Some((*text).to_owned())),
        None if path.ends_with("directory") => Err("it is a directory".to_owned()),
        None => Ok(None),
    };
    import(&entries, options, &read)
}

fn named(name: &str) -> Options {
    Options { name: Some(name.into()), ..Options::default() }
}

/// The ContainerService's project, after what must hold for every import: it is read back as written, and it loads.
fn project(imported: &Imported) -> Value {
    let text = imported.to_yaml().unwrap();
    let read: Vec<Value> = yaml::documents(&text).unwrap().into_iter().map(|document| document.value).collect();
    assert_eq!(read, imported.manifests);
    let spec = imported.manifests.last().unwrap()["spec"].clone();
    let spec: ContainerServiceSpec = serde_json::from_value(spec).unwrap();
    let compose = spec.compose.unwrap();
    load(Source::Value(&compose), &spec.environment, &spec.profiles, "spec.compose").unwrap();
    compose
}

fn shown(imported: &Imported) -> String {
    project(imported);
    let notes: Vec<String> = imported.notes.iter().map(|note| format!("# {note}")).collect();
    format!("{}\n{}", imported.to_yaml().unwrap(), notes.join("\n"))
}

fn codes_of(result: Result<Imported, Vec<Finding>>) -> Vec<(&'static str, String)> {
    result.unwrap_err().into_iter().filter(|f| f.severity == Severity::Error).map(|f| (f.code, f.path)).collect()
}

#[test]
fn format_1() {
    let file = "
web:
  image: web
  build: .
  links: [db, 'cache:store']
  volumes_from: [data:ro]
  volumes: ['logs:/logs']
  ports: ['80:80']
  log_driver: syslog
  log_opt: {syslog-address: 'udp://10.0.0.1:514'}
  mem_limit: 512m
  environment: [A=1]
db:
  image: db
  volumes_from: [data]
  volume_driver: local
  volumes: ['dbdata:/var/lib/db']
cache: {image: cache}
side: {image: side, net: 'container:web'}
data:
  image: busybox
  volumes: [/shared, '/srv/x:/x']
";
    insta::assert_snapshot!(shown(
        &run(&["docker-compose.yml"], &[("docker-compose.yml", file)], &named("old")).unwrap()
    ));
}

#[test]
fn format_2() {
    let file = "
version: '2.4'
services:
  web:
    extends: {file: common.yml, service: base}
    environment: {COLOR: blue, SHARED: mine}
    networks: {front: {aliases: [www]}}
    links: ['db:database']
    depends_on: {db: {condition: service_healthy}}
    cpus: 1.5
    mem_limit: 1g
    pids_limit: 100
    volumes: ['./nginx.conf:/etc/nginx.conf:ro', 'data:/data']
    scale: 1
  db:
    image: 'db:${DB_VERSION}'
    healthcheck: {test: pg_isready}
    networks: [front]
    env_file: db.env
networks: {front: {driver: bridge, ipam: {config: [{subnet: 10.5.0.0/16}]}}}
volumes: {data: {external: {name: lab-data}}}
";
    let common = "
version: '2.4'
services:
  root: {image: 'base:${TAG:-1}', environment: [SHARED=theirs, 'KEPT=yes'], env_file: [base.env], cap_add: [NET_ADMIN]}
  base: {extends: root, restart: always, cap_add: [SYS_TIME]}
";
    let files: Files<'_> = &[
        ("docker-compose.yml", file),
        ("common.yml", common),
        (".env", "DB_VERSION=15\nUNUSED=secret\nTAG=from-env\n"),
        ("db.env", "PASSWORD=hunter2\nFROM=${TAG}\n"),
        ("base.env", "X=y\n"),
        ("nginx.conf", "user nginx;\n\nevents { }\n"),
    ];
    let options = Options {
        environment: [("TAG".into(), "chosen".into())].into(),
        namespace: Some("lab".into()),
        ..named("two")
    };
    let imported = run(&["docker-compose.yml"], files, &options).unwrap();
    assert!(!imported.to_yaml().unwrap().contains("UNUSED"));
    insta::assert_snapshot!(shown(&imported));
}

#[test]
fn format_3() {
    let file = "
version: '3.8'
name: my_stack
services:
  web:
    image: web
    deploy:
      mode: global
      placement: {constraints: [node.role == worker]}
      update_config: {order: start-first, parallelism: 2}
      restart_policy: {condition: on-failure, delay: 5s, max_attempts: 3}
      resources: {limits: {cpus: '0.5', memory: 50M}, reservations: {memory: 20M}}
      labels: {a: b}
    secrets: [token, from-env]
    configs: [{source: page, target: /srv/page.html, mode: 0440}]
    ports: [{target: 80, published: 8080, mode: host}]
    volumes: [{type: volume, source: data, target: /data}, {type: bind, source: ./site, target: /site}]
    labels: [one, two=2]
    logging: {driver: json-file, options: {max-size: 10m}}
secrets:
  token: {file: ./secrets/token.txt}
  from-env: {environment: TOKEN}
configs: {page: {file: page.html}}
volumes: {data: }
x-note: {left: out}
";
    let files: Files<'_> = &[
        ("compose.yaml", file),
        ("secrets/token.txt", "hunter2\n"),
        ("page.html", "<p>hi</p>\n"),
        (".env", "TOKEN=abc\n"),
    ];
    let options = Options { host_directory: Some("/srv/stack".into()), ..Options::default() };
    insta::assert_snapshot!(shown(&run(&["compose.yaml"], files, &options).unwrap()));
}

#[test]
fn several_files_merge_by_the_rules_of_compose() {
    let base = "
services:
  web:
    image: web:1
    command: [a]
    environment: {A: 1, B: 2, C: 3}
    labels: [x=1, y=2]
    ports: ['80:80', '81:81']
    volumes: ['/a:/data', '/b:/other']
    dns: 9.9.9.9
    depends_on: [db]
    networks: [front]
    cap_add: [NET_ADMIN]
    logging: {driver: json-file, options: {max-size: 1m}}
    ulimits: {nofile: {soft: 1, hard: 2}}
    healthcheck: {test: [CMD, a], interval: 5s}
    extra_hosts: {a: 10.0.0.1}
  db: {image: db}
  gone: {image: gone}
networks: {front: {labels: {a: b}, ipam: {config: [{subnet: 10.1.0.0/16}]}}}
";
    let second = "
services:
  web:
    image: web:2
    command: [b, c]
    environment: [B=two, D=4]
    labels: {y: two}
    ports: !override ['90:90']
    volumes: ['/c:/data/']
    dns: [1.1.1.1]
    depends_on: {cache: {condition: service_healthy}}
    networks: {back: {aliases: [x]}}
    cap_add: [SYS_TIME]
    logging: {driver: syslog}
    ulimits: {nofile: 5}
    healthcheck: {test: [CMD, b], retries: 2}
    extra_hosts: ['a=10.0.0.1', 'b=10.0.0.2']
    environment_note: !reset null
  cache: {image: cache, ports: !reset ['1:1']}
  gone: !reset null
networks: {back: , front: {labels: [c=d], ipam: {config: [{subnet: 10.1.0.0/16, gateway: 10.1.0.1}, {subnet: 10.2.0.0/16}]}}}
---
services: {cache: {image: cache:2}}
";
    let imported = run(&["a.yaml", "b.yaml"], &[("a.yaml", base), ("b.yaml", second)], &named("merged")).unwrap();
    assert_eq!(
        project(&imported),
        json!({
            "services": {
                "web": {
                    "image": "web:2",
                    "command": ["b", "c"],
                    "environment": {"A": 1, "B": "two", "C": 3, "D": "4"},
                    "labels": {"x": "1", "y": "two"},
                    "ports": ["90:90"],
                    "volumes": ["/c:/data/", "/b:/other"],
                    "dns": ["9.9.9.9", "1.1.1.1"],
                    "depends_on": {"db": {"condition": "service_started"}, "cache": {"condition": "service_healthy"}},
                    "networks": {"front": null, "back": {"aliases": ["x"]}},
                    "cap_add": ["NET_ADMIN", "SYS_TIME"],
                    "logging": {"driver": "syslog"},
                    "ulimits": {"nofile": 5},
                    "healthcheck": {"test": ["CMD", "b"], "interval": "5s", "retries": 2},
                    "extra_hosts": ["a=10.0.0.1", "b=10.0.0.2"],
                },
                "db": {"image": "db"},
                "cache": {"image": "cache:2"},
            },
            "networks": {
                "front": {
                    "labels": {"a": "b", "c": "d"},
                    "ipam": {"config": [{"subnet": "10.1.0.0/16", "gateway": "10.1.0.1"}, {"subnet": "10.2.0.0/16"}]},
                },
                "back": null,
            },
        })
    );
}

#[test]
fn included_projects_keep_their_paths_and_variables() {
    let files: Files<'_> = &[
        (
            "compose.yaml",
            "include: [db/compose.yaml, {path: [cache/a.yaml, cache/b.yaml], env_file: cache.env}]\nservices: {web: {image: 'web:${V}', depends_on: [db]}}\n",
        ),
        (
            "db/compose.yaml",
            "include: [../shared.yaml]\nservices: {db: {image: 'db:${V}', env_file: db.env, extends: {file: ../base.yaml, service: base}}}\nvolumes: {v: }\n",
        ),
        ("db/db.env", "A=b\n"),
        ("shared.yaml", "services: {shared: {image: shared}}\n"),
        ("base.yaml", "services: {base: {env_file: base.env}}\n"),
        ("base.env", "C=d\n"),
        ("cache/a.yaml", "services: {cache: {image: 'cache:${OWN}', command: ['$$x', '${V}']}}\n"),
        ("cache/b.yaml", "services: {cache: {user: '5'}}\n"),
        ("cache.env", "OWN=7\nV=ignored\n"),
        (".env", "V=1\n"),
    ];
    let imported = run(&["compose.yaml"], files, &named("all")).unwrap();
    assert_eq!(
        project(&imported)["services"],
        json!({
            "web": {"image": "web:${V}", "depends_on": ["db"]},
            "db": {"image": "db:${V}", "env_file": ["base.env", "db/db.env"]},
            "shared": {"image": "shared"},
            "cache": {"image": "cache:7", "command": ["$$x", "1"], "user": "5"},
        })
    );
    assert_eq!(imported.manifests.last().unwrap()["spec"]["environment"], json!({"V": "1"}));
}

#[test]
fn what_cannot_be_imported_says_where() {
    let one = |text: &str| {
        codes_of(run(
            &["c.yaml"],
            &[("c.yaml", text), ("d.yaml", "services: {x: {image: x, extends: {file: c.yaml, service: a}}}")],
            &named("n"),
        ))
    };
    for (text, code, path) in [
        ("services: {a: {image: a, extends: b}}", codes::UNDEFINED_REFERENCE, "services.a.extends"),
        ("services: {a: {image: a, extends: {file: no.yaml, service: b}}}", codes::UNDEFINED_REFERENCE, "no.yaml"),
        ("services: {a: {image: a, extends: b}, b: {extends: a}}", codes::DEPENDENCY_CYCLE, "services.a.extends"),
        ("services: {a: {extends: {file: d.yaml, service: x}}}", codes::DEPENDENCY_CYCLE, "services.a.extends"),
        ("include: [c.yaml]\nservices: {a: {image: a}}", codes::DEPENDENCY_CYCLE, "include[0]"),
        ("services: {a: {build: .}}", codes::UNSUPPORTED_KEY, "spec.compose.services.a.build"),
        ("services: {a: {image: a, env_file: no.env}}", codes::UNDEFINED_REFERENCE, "services.a.env_file"),
        ("services: {a: {image: a, volumes: ['./directory:/d']}}", codes::INVALID_VALUE, "services.a.volumes[0]"),
        (
            "services: {a: {image: a, volumes_from: [b]}, b: {image: b, volumes_from: [a]}}",
            codes::INVALID_VALUE,
            "services.a.volumes_from",
        ),
        (
            "services: {a: {image: a, links: ['b:c']}, b: {image: b}, c: {image: c}}",
            codes::INVALID_VALUE,
            "services.b.networks",
        ),
        ("services: {a: {image: !what a}}", codes::UNSUPPORTED_KEY, "c.yaml: services.a.image"),
        ("services: {a: {image: a", codes::YAML_SYNTAX, "c.yaml:1:15"),
        (
            "services: {a: {image: a, secrets: [s]}}\nsecrets: {s: {environment: NOPE}}",
            codes::MISSING_VARIABLE,
            "secrets.s",
        ),
        ("[1]", codes::INVALID_VALUE, "c.yaml"),
    ] {
        let found = one(text);
        assert!(found.contains(&(code, path.to_owned())), "{text}: {found:?}");
    }
    assert_eq!(codes_of(run(&["none.yaml"], &[], &named("n")))[0], (codes::UNDEFINED_REFERENCE, "none.yaml".into()));
    assert_eq!(
        codes_of(run(&["c.yaml"], &[("c.yaml", "services: {a: {image: a}}")], &Options::default()))[0].0,
        codes::INVALID_NAME
    );
}

#[test]
fn hostile_imports_are_refused_quickly() {
    let started = std::time::Instant::now();
    let big = "x".repeat(800_000);
    let copies: String = (0..400).map(|n| format!("  s{n}: {{extends: base}}\n")).collect::<Vec<_>>().concat();
    let copies = format!("services:\n  base: {{image: a, labels: {{a: {big}}}}}\n{copies}");
    let chain = (0..400).map(|n| format!("  s{n}: {{image: a, extends: s{}}}\n", n + 1)).collect::<Vec<_>>().concat();
    for (name, text) in [
        ("large", "#".repeat(10 << 20)),
        ("copies", copies),
        ("chain", format!("services:\n{chain}  s400: {{image: a}}\n")),
    ] {
        let found = codes_of(run(&["c.yaml"], &[("c.yaml", &text)], &named("n")));
        assert_eq!(found[0].0, codes::TOO_LARGE, "{name}: {:?}", found[0]);
    }
    let read = |path: &str| {
        let number: u64 = path.trim_end_matches(".yaml").parse().unwrap_or_default();
        Ok((path != ".env").then(|| {
            format!(
                "include: [{}.yaml, {}.yaml]\nservices: {{s{number}: {{image: a}}}}\n",
                number.wrapping_mul(2),
                number.wrapping_mul(2).wrapping_add(1)
            )
        }))
    };
    let found = codes_of(import(&["1.yaml".into()], &named("n"), &read));
    assert_eq!(found[0].0, codes::TOO_LARGE);
    // A fraction of a second when optimised; the margin is for debug builds on a busy machine.
    assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
}

#[test]
fn words_that_yaml_1_1_reads_otherwise_are_quoted() {
    let text = "services: {a: {image: a, command: ['no', 'on', 'y', '0440', '1_000', '1e3', '~', '12:30:45', '0x1f', '=', '<<', '2020-01-01', '- a', 'a: b', ' x ', \"two\\nlines\", '']}}";
    let imported = run(&["c.yaml"], &[("c.yaml", text)], &named("n")).unwrap();
    project(&imported);
}

#[test]
fn secrets_that_become_variables_are_named() {
    let file =
        "services: {web: {image: 'web:${TAG}', environment: {A: '${DB_PASSWORD}', B: '${STORE}', C: '${KEYBOARD}'}}}";
    let variables = "TAG=1\nDB_PASSWORD=hunter2\nSTORE=redis://me:hunter2@store/0\nKEYBOARD=us\nUNUSED_TOKEN=x\n";
    let imported = run(&["compose.yaml"], &[("compose.yaml", file), (".env", variables)], &named("shop")).unwrap();
    let notes: Vec<_> = imported.notes.iter().filter(|note| note.path == "environment").collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].message.starts_with("the values of DB_PASSWORD, STORE stand in clear"), "{notes:?}");
    assert!(!notes[0].message.contains("hunter2"));
    let plain = run(&["compose.yaml"], &[("compose.yaml", file), (".env", "TAG=1\n")], &named("shop")).unwrap();
    assert!(plain.notes.iter().all(|note| note.path != "environment"), "{:?}", plain.notes);
}
