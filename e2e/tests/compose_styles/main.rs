//! Compose files as people write them: what `slipway import` makes of each is what Docker Compose 2.40 reads in it, and passes
//! `slipway check`. Compose itself tells what either means; no engine is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use slipway_e2e::lab::assets::COMPOSE;
use slipway_e2e::lab::operator;

/// Files of one project, and what of them has no place in a ContainerService: it is told on stderr, and left out or rewritten.
struct Style {
    files: &'static [&'static str],
    /// What Compose is given in their place, where it does not read the format any more.
    today: Option<&'static str>,
    other: &'static [&'static str],
}

const STYLE: Style = Style { files: &[], today: None, other: &[] };

const STYLES: &[Style] = &[
    Style { files: &["wordpress"], ..STYLE },
    Style { files: &["traefik"], other: &[".x-", ".services.whoami.deploy.restart_policy."], ..STYLE },
    Style { files: &["health"], ..STYLE },
    Style { files: &["env-files"], ..STYLE },
    Style {
        files: &["mounts"],
        other: &[".services.s.volumes[1].source", ".services.s.volumes[5].source", ".services.s.volumes_from"],
        ..STYLE
    },
    // A file that is read from a Secret has its name without `./`; the variable became one.
    Style { files: &["secrets"], other: &[".configs.my.file", ".secrets.cert.file", ".secrets.tok."], ..STYLE },
    Style { files: &["profiles"], ..STYLE },
    Style { files: &["limits"], other: &[".services.s.attach"], ..STYLE },
    Style {
        files: &["extends"],
        other: &[".services.child.volumes[0].source", ".services.local.volumes[0].source"],
        ..STYLE
    },
    Style { files: &["include"], other: &[".services.base.volumes[0].source"], ..STYLE },
    Style { files: &["v1"], today: Some("v1.today"), ..STYLE },
    Style { files: &["v2"], ..STYLE },
    Style { files: &["variables"], ..STYLE },
    Style { files: &["override", "override.more"], ..STYLE },
    Style { files: &["gpu"], ..STYLE },
    Style { files: &["develop"], other: &[".services.a.develop", ".services.a.pull_policy"], ..STYLE },
    Style { files: &["build"], other: &[".services.b.build"], ..STYLE },
    // Links become dependencies and aliases.
    Style {
        files: &["nextcloud"],
        other: &[".services.app.links", ".services.app.depends_on.", ".services.redis.networks.default"],
        ..STYLE
    },
    Style {
        files: &["monitoring"],
        other: &[".services.prometheus.deploy", ".services.prometheus.volumes[0].source"],
        ..STYLE
    },
    Style { files: &["dollars"], ..STYLE },
    Style { files: &["labels"], ..STYLE },
    Style { files: &["later", "later.more"], ..STYLE },
    Style { files: &["unset"], ..STYLE },
    Style { files: &["names"], other: &[".services.b.pull_policy"], ..STYLE },
];

/// Variables of whoever imports.
const VARIABLES: [(&str, &str); 2] = [("TAG", "1"), ("TOKEN", "t0k")];

/// Where the projects would be on the hosts.
const PROJECT_DIRECTORY: &str = "/srv/project";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose_styles/fixtures")
}

#[test]
fn what_is_imported_means_what_compose_reads() -> Result<()> {
    let compose = COMPOSE.dir()?.join("docker-compose");
    let slipway = operator::binary()?;
    let mut report = Vec::new();
    for style in STYLES {
        let name = style.files.join("+");
        match differences(style, &compose, &slipway) {
            Ok(found) => report.extend(found.into_iter().map(|found| format!("{name}: {found}"))),
            Err(error) => report.push(format!("{name}: {error:#}")),
        }
    }
    assert!(report.is_empty(), "{} differences (compose's value, ours):\n{}", report.len(), report.join("\n"));
    Ok(())
}

fn differences(style: &Style, compose: &Path, slipway: &Path) -> Result<BTreeSet<String>> {
    let folder = tempfile::tempdir()?;
    let names: Vec<String> = style.files.iter().map(|name| format!("{name}.yaml")).collect();
    let read = style.today.map_or_else(|| names.clone(), |today| vec![format!("{today}.yaml")]);
    let theirs = config(compose, &read, &[])?;

    let mut import = Command::new(slipway);
    import.current_dir(fixtures()).args(["import", "compose", "--name", "styles"]);
    import.args(["--project-directory", PROJECT_DIRECTORY]);
    import.args(VARIABLES.iter().flat_map(|(name, value)| ["--env".to_owned(), format!("{name}={value}")]));
    let manifests = says(import.args(&names))?;
    let path = folder.path().join("manifests.yaml");
    std::fs::write(&path, &manifests)?;
    says(Command::new(slipway).arg("check").arg("-f").arg(&path))?;

    let spec = spec(&manifests)?;
    let project = folder.path().join("compose.json");
    std::fs::write(&project, spec["compose"].to_string())?;
    let env = folder.path().join("env");
    let variables = spec["environment"].as_object().into_iter().flatten();
    let lines: Vec<_> = variables.map(|(name, value)| format!("{name}='{}'", value.as_str().unwrap_or(""))).collect();
    std::fs::write(&env, lines.join("\n"))?;
    let env = env.display().to_string();
    let ours = config(compose, &[project.display().to_string()], &["--env-file", &env])?;

    let (theirs, ours) = (leaves(&theirs), leaves(&ours));
    let paths: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    let counts = |path: &&&String| !style.other.iter().any(|other| path.starts_with(other));
    let differs = paths.into_iter().filter(|path| theirs.get(*path) != ours.get(*path)).collect::<Vec<_>>();
    let shown = |map: &BTreeMap<String, Value>, path: &String| map.get(path).map_or("nothing".into(), Value::to_string);
    Ok(differs
        .iter()
        .filter(counts)
        .map(|path| format!("{path}: {}, {}", shown(&theirs, path), shown(&ours, path)))
        .collect())
}

/// What Docker Compose reads in files, with all profiles and with paths as they are written.
fn config(compose: &Path, files: &[String], words: &[&str]) -> Result<Value> {
    let mut command = Command::new(compose);
    command.current_dir(fixtures()).env_clear().envs(VARIABLES).env("HOME", "/nonexistent");
    command.args(["--project-name", "styles", "--profile", "*"]).args(words);
    command.args(files.iter().flat_map(|file| ["--file", file.as_str()]));
    let text = says(command.args(["config", "--format", "json", "--no-path-resolution"]))?;
    Ok(serde_json::from_str(&text)?)
}

fn says(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// `spec` of the ContainerService among manifests.
fn spec(manifests: &str) -> Result<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(manifests)?;
    let object = documents.into_iter().find(|object| object["kind"] == "ContainerService");
    Ok(object.context("no ContainerService was made")?["spec"].clone())
}

/// Values by their path. What is empty and what is null says no more than what is not there.
fn leaves(value: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let mut left = vec![(String::new(), value)];
    while let Some((path, value)) = left.pop() {
        match value {
            Value::Object(map) => left.extend(map.iter().map(|(key, value)| (format!("{path}.{key}"), value))),
            Value::Array(list) => {
                left.extend(list.iter().enumerate().map(|(n, value)| (format!("{path}[{n}]"), value)));
            }
            Value::Null => {}
            scalar => drop(found.insert(path, scalar.clone())),
        }
    }
    found
}

#[test]
fn a_difference_is_found_wherever_it_is() {
    let (one, other) = (json!({"a": [{"b": 1}, 2], "c": null}), json!({"a": [{"b": 1}, 3]}));
    let (one, other) = (leaves(&one), leaves(&other));
    assert_eq!(one.keys().filter(|path| one.get(*path) != other.get(*path)).collect::<Vec<_>>(), [".a[1]"]);
}
