//! Files that the project names become keys of a Secret or a ConfigMap.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::merge::assignments;
use super::resolve::{Resolver, escape};
use super::{Problems, paths};
use crate::container_service::definition::{env_file, seccomp_profile};
use crate::finding::Finding;
use crate::formats::compose::codes;
use crate::formats::compose::read::shorten;

/// Content that goes with the ContainerService. It may be secret: never print it.
#[derive(Default)]
pub(super) struct Brought {
    /// By path, as the project names it: whether it is secret, and its key.
    pub(super) files: BTreeMap<String, (Kind, String)>,
    /// Data of the Secret.
    pub(super) secret: BTreeMap<String, String>,
    /// Data of the ConfigMap.
    pub(super) config: BTreeMap<String, String>,
}

/// Where a file's content goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Secret,
    Config,
}

impl Brought {
    fn add(&mut self, path: &str, kind: Kind, content: String) {
        if self.files.contains_key(path) {
            return;
        }
        let data = if kind == Kind::Secret { &mut self.secret } else { &mut self.config };
        let key = free_key(path, |key| data.contains_key(key));
        data.insert(key.clone(), content);
        self.files.insert(path.to_owned(), (kind, key));
    }
}

/// Brings every file, and rewrites the project to the paths under which they are known.
pub(super) fn bring(
    project: &mut Value,
    resolver: &mut Resolver<'_>,
    host_directory: Option<&str>,
    problems: &mut Problems,
) -> Brought {
    let mut brought = Brought::default();
    let mut collector = Collector { resolver, problems, brought: &mut brought };
    for section in ["secrets", "configs"] {
        collector.drop_unused(project, section);
    }
    for (section, kind) in [("secrets", Kind::Secret), ("configs", Kind::Config)] {
        for (name, object) in section_of(project, section) {
            collector.object(object, &format!("{section}.{name}"), kind);
        }
    }
    let mut configs = Map::new();
    for (name, service) in section_of(project, "services") {
        if let Some(service) = service.as_object_mut() {
            collector.env_files(service, &format!("services.{name}.env_file"));
            collector.label_files(service, &format!("services.{name}.label_file"));
            collector.seccomp_profiles(service, &format!("services.{name}.security_opt"));
            collector.binds(service, &format!("services.{name}.volumes"), host_directory, &mut configs);
        }
    }
    if let Some(map) = project.as_object_mut().filter(|_| !configs.is_empty())
        && let Some(all) = map.entry("configs").or_insert_with(|| json!({})).as_object_mut()
    {
        all.extend(configs);
    }
    brought
}

fn section_of<'p>(project: &'p mut Value, section: &str) -> impl Iterator<Item = (&'p String, &'p mut Value)> {
    project.get_mut(section).and_then(Value::as_object_mut).into_iter().flat_map(|map| map.iter_mut())
}

struct Collector<'a, 'r> {
    resolver: &'a mut Resolver<'r>,
    problems: &'a mut Problems,
    brought: &'a mut Brought,
}

impl Collector<'_, '_> {
    /// One of the top-level secrets or configs. A secret from a variable becomes one from a file: variables are not secret.
    fn object(&mut self, object: &mut Value, at: &str, kind: Kind) {
        let Some(object) = object.as_object_mut() else { return };
        let text =
            |key: &str| object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
        let (file, variable) = (text("file"), text("environment"));
        if let Some(written) = file
            && let Some(path) = self.required(&written, at, kind)
        {
            object.insert("file".into(), path.into());
        }
        if let Some(variable) = variable.filter(|_| kind == Kind::Secret) {
            if let Some(value) = self.resolver.environment().get(&variable) {
                let path = format!("environment/{variable}");
                self.brought.add(&path, kind, value.clone());
                object.remove("environment");
                object.insert("file".into(), path.into());
                self.problems.note(at, format!("the value of {variable} was put into a Secret"));
            } else {
                let message = format!("the variable {} is not set", shorten(&variable));
                self.problems.error(codes::MISSING_VARIABLE, at, message);
            }
        }
    }

    /// What no service uses need not be there.
    fn drop_unused(&mut self, project: &mut Value, section: &str) {
        let services = project.get("services").and_then(Value::as_object).into_iter().flat_map(Map::values);
        let mentions = services.filter_map(|service| service.get(section)?.as_array()).flatten();
        let used: BTreeSet<String> =
            mentions.filter_map(|it| it.get("source").unwrap_or(it).as_str()).map(str::to_owned).collect();
        let Some(objects) = project.get_mut(section).and_then(Value::as_object_mut) else { return };
        let unused: Vec<String> = objects.keys().filter(|name| !used.contains(*name)).cloned().collect();
        for name in unused {
            objects.remove(&name);
            self.problems.note(&format!("{section}.{name}"), "no service uses it: it is left out".into());
        }
    }

    /// Path under which a file was brought; a finding if it is not there.
    fn required(&mut self, written: &str, at: &str, kind: Kind) -> Option<String> {
        let path = self.path(written, at)?;
        match self.resolver.text(&path) {
            Ok(Some(text)) => {
                self.brought.add(&path, kind, text);
                return Some(path);
            }
            Ok(None) => {
                self.problems.error(codes::UNDEFINED_REFERENCE, at, format!("there is no file {}", shorten(&path)));
            }
            Err(reason) => self.problems.invalid(at, reason),
        }
        None
    }

    fn path(&mut self, written: &str, at: &str) -> Option<String> {
        match self.resolver.path(written) {
            Ok(path) => Some(paths::join("", &path)),
            Err(finding) => {
                self.problems.push(Finding { path: at.to_owned(), ..finding });
                None
            }
        }
    }

    fn env_files(&mut self, service: &mut Map<String, Value>, at: &str) {
        let Some(written) = service.remove("env_file") else { return };
        let entries = match written {
            Value::Array(entries) => entries,
            one => vec![one],
        };
        let mut kept = Vec::new();
        for entry in entries {
            let written = entry.get("path").unwrap_or(&entry).as_str().map(str::to_owned);
            let Some(written) = written else {
                kept.push(entry);
                continue;
            };
            let is_optional = entry.get("required").is_some_and(is_false);
            if is_optional && self.path(&written, at).is_some_and(|path| self.resolver.text(&path) == Ok(None)) {
                self.problems.note(at, format!("{} is not there, and not required: it is left out", shorten(&written)));
                continue;
            }
            // Env files mostly hold passwords.
            let Some(path) = self.required(&written, at, Kind::Secret) else { continue };
            let is_raw = entry.get("format").is_some_and(|format| format == "raw");
            self.variables_of(&path, at, is_raw, &self.resolver.environment().clone());
            kept.push(match entry {
                Value::Object(mut map) => {
                    map.insert("path".into(), path.into());
                    Value::Object(map)
                }
                _ => path.into(),
            });
        }
        if !kept.is_empty() {
            service.insert("env_file".into(), Value::Array(kept));
        }
    }

    /// Files of labels become labels; those that the service itself has win.
    fn label_files(&mut self, service: &mut Map<String, Value>, at: &str) {
        let Some(written) = service.remove("label_file") else { return };
        let files = match written {
            Value::Array(files) => files,
            one => vec![one],
        };
        let mut labels = Map::new();
        for file in &files {
            let Some(path) = file.as_str().and_then(|file| self.path(file, at)) else {
                self.problems.invalid(at, "is neither a path nor a list of paths".into());
                continue;
            };
            let read = self.variables_of(&path, at, false, &BTreeMap::new());
            labels.extend(read.into_iter().map(|(name, value)| (name, Value::from(value))));
            self.problems.note(at, format!("the labels of {} were put under labels:", shorten(&path)));
        }
        let mut labels = Value::Object(labels);
        escape(&mut labels);
        if let (Value::Object(labels), Value::Object(own)) =
            (&mut labels, assignments(service.remove("labels").unwrap_or_else(|| json!({}))))
        {
            labels.extend(own);
        }
        service.insert("labels".into(), labels);
    }

    /// What a file in the dotenv format sets; a finding if it is not there or cannot be read.
    fn variables_of(
        &mut self,
        path: &str,
        at: &str,
        is_raw: bool,
        environment: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let none = BTreeMap::new();
        let mut reader = env_file::Reader::new(environment, &none);
        let read = match self.resolver.text(path) {
            Ok(Some(text)) if is_raw => reader.read_raw(&text),
            Ok(Some(text)) => reader.read(&text),
            Ok(None) => Err("there is no such file".into()),
            Err(reason) => Err(reason),
        };
        if let Err(reason) = read {
            self.problems.invalid(at, format!("{}: {reason}", shorten(path)));
        }
        reader.finish()
    }

    /// `seccomp=FILE` of `security_opt`.
    fn seccomp_profiles(&mut self, service: &mut Map<String, Value>, at: &str) {
        for option in service.get_mut("security_opt").and_then(Value::as_array_mut).into_iter().flatten() {
            let written = option.as_str().and_then(seccomp_profile).map(str::to_owned);
            if let Some(written) = written
                && let Some(path) = self.required(&written, at, Kind::Config)
            {
                *option = format!("seccomp={path}").into();
            }
        }
    }

    /// Relative bind mounts: below the hosts' directory if one was given; otherwise a file becomes a config.
    fn binds(
        &mut self,
        service: &mut Map<String, Value>,
        at: &str,
        host_directory: Option<&str>,
        configs: &mut Map<String, Value>,
    ) {
        let Some(Value::Array(mounts)) = service.get_mut("volumes") else { return };
        let mut uses = Vec::new();
        let mut kept = Vec::new();
        for (index, mount) in std::mem::take(mounts).into_iter().enumerate() {
            let Some(source) = relative_source(&mount) else {
                kept.push(mount);
                continue;
            };
            let Some(path) = self.path(&source, at) else { continue };
            let at = format!("{at}[{index}]");
            if let Some(directory) = host_directory {
                kept.push(with_source(mount, &paths::join(directory, &path)));
                continue;
            }
            let target = super::merge::mount_target(&mount);
            match (self.resolver.text(&path), target) {
                (Ok(Some(text)), Some(target)) => {
                    let name =
                        free_key(&path, |key| configs.get(key).is_some_and(|config| config["file"] != json!(path)));
                    self.brought.add(&path, Kind::Config, text);
                    configs.insert(name.clone(), json!({"file": path}));
                    uses.push(json!({"source": name, "target": target}));
                    self.problems
                        .note(&at, format!("the file {} became a config: containers get a copy of it", shorten(&path)));
                }
                (found, _) => {
                    let why = found.err().unwrap_or_else(|| "there is no such file".into());
                    let message =
                        format!("`{}` is relative, and hosts have no project directory ({why})", shorten(&source));
                    let hint = "say with --project-directory where it is on the hosts, or use a named volume";
                    self.problems.push(Finding::error(codes::INVALID_VALUE, at, message).hint(hint));
                }
            }
        }
        if kept.is_empty() {
            service.remove("volumes");
        } else {
            service.insert("volumes".into(), Value::Array(kept));
        }
        if !uses.is_empty()
            && let Some(all) = service.entry("configs").or_insert_with(|| json!([])).as_array_mut()
        {
            all.extend(uses);
        }
    }
}

/// Source of a bind mount whose path is relative.
fn relative_source(mount: &Value) -> Option<String> {
    match mount {
        Value::String(text) => {
            text.split_once(':').map(|(source, _)| source).filter(|source| source.starts_with('.')).map(str::to_owned)
        }
        other => {
            let source = other.get("source")?.as_str()?;
            let is_bind = other.get("type").and_then(Value::as_str) == Some("bind");
            (is_bind && !source.starts_with(['/', '~', '$'])).then(|| source.to_owned())
        }
    }
}

/// A boolean as the format takes it, off.
fn is_false(value: &Value) -> bool {
    let off = |text: &str| ["false", "f", "no", "n", "off", "0"].contains(&text.to_ascii_lowercase().as_str());
    value == &Value::Bool(false) || value.as_str().is_some_and(off)
}

fn with_source(mount: Value, source: &str) -> Value {
    match mount {
        Value::String(text) => format!("{source}:{}", text.split_once(':').map_or("", |(_, rest)| rest)).into(),
        Value::Object(mut map) => {
            map.insert("source".into(), source.into());
            Value::Object(map)
        }
        other => other,
    }
}

/// A key for a path, of the characters that keys may have, that is not taken.
fn free_key(path: &str, taken: impl Fn(&str) -> bool) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let clean: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '-' })
        .take(100)
        .collect();
    let clean = if clean.is_empty() { "file".to_owned() } else { clean };
    let mut key = clean.clone();
    let mut number = 2;
    while taken(&key) {
        key = format!("{clean}-{number}");
        number += 1;
    }
    key
}
