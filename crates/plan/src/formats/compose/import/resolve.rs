//! Reads files and puts them together: documents, `extends`, `include`, several files.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::merge::{Tag, Tags, merge};
use super::{MAX_CHAIN, MAX_FILES, Problems, ReadFile, legacy, paths};
use crate::container_service::definition::env_file;
use crate::finding::Finding;
use crate::formats::compose::read::{Findings, shorten};
use crate::formats::compose::{BOUNDS, codes, interpolate};
use crate::formats::yaml::{self, Dialect};

/// Bytes that services may have together when `extends` has copied them.
const MAX_COPIED: usize = 16 << 20;

/// One file, with the paths in it relative to the project's directory.
#[derive(Clone)]
struct File {
    documents: Vec<(Value, Tags)>,
}

/// Where relative paths of a file start, and the file.
type FileKey = (String, String);

pub(super) struct Resolver<'a> {
    read: &'a ReadFile<'a>,
    environment: BTreeMap<String, String>,
    files: BTreeMap<FileKey, File>,
    copied: usize,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(read: &'a ReadFile<'a>, environment: &BTreeMap<String, String>) -> Self {
        Self { read, environment: environment.clone(), files: BTreeMap::new(), copied: 0 }
    }

    /// Variables: the caller's, then those of `.env`.
    pub(super) fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// A file's text.
    pub(super) fn text(&self, path: &str) -> Result<Option<String>, String> {
        (self.read)(path)
    }

    /// Variables in a path are replaced at once.
    pub(super) fn path(&self, written: &str) -> Result<String, Finding> {
        interpolate(written, |name| self.environment.get(name).map(String::as_str))
    }

    /// The whole project.
    pub(super) fn project(&mut self, files: &[String], problems: &mut Problems) -> Option<Value> {
        let variables = self.variables_of(".env", problems);
        for (name, value) in variables {
            self.environment.entry(name).or_insert(value);
        }
        self.merged(files, "", &mut Vec::new(), problems)
    }

    fn variables_of(&self, path: &str, problems: &mut Problems) -> BTreeMap<String, String> {
        let none = BTreeMap::new();
        let mut reader = env_file::Reader::new(&self.environment, &none);
        match self.text(path) {
            Ok(None) => {}
            Ok(Some(text)) => {
                if let Err(reason) = reader.read(&text) {
                    problems.invalid(path, reason);
                }
            }
            Err(reason) => problems.invalid(path, reason),
        }
        reader.finish()
    }

    /// Files that override each other, with what they include. `directory` is where their relative paths start.
    fn merged(
        &mut self,
        files: &[String],
        directory: &str,
        chain: &mut Vec<String>,
        problems: &mut Problems,
    ) -> Option<Value> {
        let mut project = Value::Object(Map::new());
        for path in files {
            for (document, tags) in self.file(path, directory, problems)?.documents {
                let mut extended = self.extended(document, &tags, path, problems);
                // A file's includes are a part of it, so that the files after it override them too.
                let includes = extended.as_object_mut().and_then(|map| map.remove("include"));
                if let Some(includes) = includes.filter(|includes| !includes.is_null()) {
                    self.include(&mut extended, includes, directory, chain, problems);
                }
                merge(&mut project, extended, "", &tags, problems);
            }
        }
        Some(project)
    }

    fn file(&mut self, path: &str, directory: &str, problems: &mut Problems) -> Option<File> {
        let key = (directory.to_owned(), path.to_owned());
        if let Some(file) = self.files.get(&key) {
            return Some(file.clone());
        }
        if self.files.len() >= MAX_FILES {
            problems.error(codes::TOO_LARGE, path, format!("is one file too many: at most {MAX_FILES} are read"));
            return None;
        }
        let text = match self.text(path) {
            Ok(Some(text)) => text,
            Ok(None) => {
                problems.error(codes::UNDEFINED_REFERENCE, path, "there is no such file".into());
                return None;
            }
            Err(reason) => {
                problems.invalid(path, reason);
                return None;
            }
        };
        let documents = match yaml::read(&text, BOUNDS, Dialect::Compose) {
            Ok(documents) => documents,
            Err(unreadable) => {
                let at = unreadable.location.map(|at| format!(":{at}")).unwrap_or_default();
                problems.push(Finding { path: format!("{path}{at}"), ..unreadable.finding });
                return None;
            }
        };
        let mut file = File { documents: Vec::new() };
        for document in documents {
            if !document.value.is_object() {
                problems.invalid(path, "is not a map".into());
                return None;
            }
            let tags = tags(&document, path, problems);
            let mut value = legacy::modernize(document.value);
            paths::rebase(&mut value, directory);
            file.documents.push((value, tags));
        }
        self.files.insert(key, file.clone());
        Some(file)
    }

    /// Resolves `extends` in every service of a document.
    fn extended(&mut self, mut document: Value, tags: &Tags, path: &str, problems: &mut Problems) -> Value {
        let Some(services) = document.get("services").and_then(Value::as_object).cloned() else { return document };
        let mut resolved = Map::new();
        for name in services.keys() {
            let mut chain = Vec::new();
            if let Some(service) = self.service(&services, name, tags, path, &mut chain, problems) {
                resolved.insert(name.clone(), service);
            }
        }
        if let Some(map) = document.as_object_mut() {
            map.insert("services".into(), Value::Object(resolved));
        }
        document
    }

    /// One service with what it extends. `chain` is the way here, as `file#service`.
    fn service(
        &mut self,
        services: &Map<String, Value>,
        name: &str,
        tags: &Tags,
        path: &str,
        chain: &mut Vec<String>,
        problems: &mut Problems,
    ) -> Option<Value> {
        let mut service = services.get(name)?.clone();
        let Some(extends) = service.as_object_mut().and_then(|map| map.remove("extends")) else { return Some(service) };
        let at = format!("services.{name}.extends");
        let step = format!("{path}#{name}");
        if chain.contains(&step) {
            problems.error(
                codes::DEPENDENCY_CYCLE,
                &at,
                format!("services extend each other: {} -> {step}", chain.join(" -> ")),
            );
            return Some(service);
        }
        chain.push(step);
        if chain.len() > MAX_CHAIN {
            problems.error(
                codes::TOO_LARGE,
                &at,
                format!("extends more than {MAX_CHAIN} services one after the other"),
            );
            return Some(service);
        }
        let target = match &extends {
            Value::String(target) => Some(target.as_str()),
            other => other.get("service").and_then(Value::as_str),
        };
        let Some(target) = target else {
            problems.invalid(&at, "has no service".into());
            return Some(service);
        };
        let base = match extends.get("file").and_then(Value::as_str) {
            Some(file) => {
                let file =
                    self.path(file).map_err(|finding| problems.push(Finding { path: at.clone(), ..finding })).ok()?;
                let file = paths::join("", &file);
                let documents = self.file(&file, paths::directory(&file), problems)?.documents;
                let mut found = None;
                for (document, tags) in documents {
                    if let Some(others) = document.get("services").and_then(Value::as_object)
                        && others.contains_key(target)
                    {
                        found = self.service(others, target, &tags, &file, chain, problems);
                    }
                }
                found
            }
            None => self.service(services, target, tags, path, chain, problems),
        };
        let Some(mut base) = base else {
            problems.error(
                codes::UNDEFINED_REFERENCE,
                &at,
                format!("the service `{}` is not defined", shorten(target)),
            );
            return Some(service);
        };
        self.copied += weight(&base);
        if self.copied > MAX_COPIED {
            problems.error(codes::TOO_LARGE, &at, format!("what is extended comes to more than {MAX_COPIED} bytes"));
            return None;
        }
        merge(&mut base, service, &format!("services.{name}"), tags, problems);
        Some(base)
    }

    fn include(
        &mut self,
        project: &mut Value,
        includes: Value,
        directory: &str,
        chain: &mut Vec<String>,
        problems: &mut Problems,
    ) {
        let Value::Array(includes) = includes else {
            problems.invalid("include", "is not a list".into());
            return;
        };
        for (index, include) in includes.iter().enumerate() {
            let at = format!("include[{index}]");
            let words = |value: Option<&Value>| -> Vec<String> {
                match value {
                    Some(Value::String(one)) => vec![one.clone()],
                    Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                    _ => Vec::new(),
                }
            };
            let place = |written: &String| self.path(written).map(|path| paths::join(directory, &path));
            let found = if include.is_object() { words(include.get("path")) } else { words(Some(include)) };
            let files: Result<Vec<String>, Finding> = found.iter().map(place).collect();
            let own_directory: Result<Option<String>, Finding> =
                words(include.get("project_directory")).first().map(place).transpose();
            let env_files: Result<Vec<String>, Finding> = words(include.get("env_file")).iter().map(place).collect();
            let (files, own_directory, env_files) = match (files, own_directory, env_files) {
                (Ok(files), Ok(own), Ok(env_files)) => (files, own, env_files),
                (Err(finding), ..) | (_, Err(finding), _) | (.., Err(finding)) => {
                    problems.push(Finding { path: at, ..finding });
                    continue;
                }
            };
            let Some(first) = files.first().cloned() else {
                problems.invalid(&at, "has no path".into());
                continue;
            };
            if chain.len() >= MAX_CHAIN {
                problems.error(codes::TOO_LARGE, &at, format!("more than {MAX_CHAIN} files include each other"));
                return;
            }
            if chain.contains(&first) {
                problems.error(
                    codes::DEPENDENCY_CYCLE,
                    &at,
                    format!("files include each other: {} -> {first}", chain.join(" -> ")),
                );
                continue;
            }
            let own_directory = own_directory.unwrap_or_else(|| paths::directory(&first).to_owned());
            let env_files = if env_files.is_empty() { vec![paths::join(&own_directory, ".env")] } else { env_files };
            chain.push(first);
            let other = self.included(&files, &own_directory, &env_files, chain, problems);
            chain.pop();
            if let Some(other) = other {
                adopt(project, other, problems);
            }
        }
    }

    /// An included project. Variables that only its own env file sets are replaced at once, since they hold there only.
    fn included(
        &mut self,
        files: &[String],
        directory: &str,
        env_files: &[String],
        chain: &mut Vec<String>,
        problems: &mut Problems,
    ) -> Option<Value> {
        let mut own = BTreeMap::new();
        for path in env_files.iter().filter(|path| *path != ".env") {
            own.extend(self.variables_of(path, problems));
        }
        own.retain(|name, _| !self.environment.contains_key(name));
        if own.is_empty() {
            return self.merged(files, directory, chain, problems);
        }
        let mut environment = self.environment.clone();
        environment.extend(own);
        let outer = std::mem::replace(&mut self.environment, environment);
        let included = self.merged(files, directory, chain, problems);
        let environment = std::mem::replace(&mut self.environment, outer);
        let findings = Findings::default();
        let mut included = super::super::interpolate::tree(&included?, &environment, "", &findings);
        findings.into_vec("").into_iter().for_each(|finding| problems.push(finding));
        escape(&mut included);
        Some(included)
    }
}

/// Adds what a file includes; two different things of one name are a mistake.
fn adopt(project: &mut Value, included: Value, problems: &mut Problems) {
    let (Some(project), Value::Object(included)) = (project.as_object_mut(), included) else { return };
    for (section, things) in included {
        let (true, Value::Object(things)) =
            (matches!(section.as_str(), "services" | "networks" | "volumes" | "secrets" | "configs"), things)
        else {
            continue;
        };
        let Some(own) = project.entry(section.clone()).or_insert_with(|| Value::Object(Map::new())).as_object_mut()
        else {
            continue;
        };
        for (name, thing) in things {
            match own.get(&name) {
                Some(other) if *other != thing => {
                    problems.invalid(
                        &format!("{section}.{name}"),
                        "is defined here and in an included file, and not the same".into(),
                    );
                }
                _ => {
                    own.insert(name, thing);
                }
            }
        }
    }
}

/// Every dollar sign doubled: a text that was interpolated stays as it is when it is interpolated again.
pub(super) fn escape(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace('$', "$$"),
        Value::Array(items) => items.iter_mut().for_each(escape),
        Value::Object(map) => map.values_mut().for_each(escape),
        _ => {}
    }
}

fn tags(document: &yaml::Document, path: &str, problems: &mut Problems) -> Tags {
    let mut tags = Tags::new();
    let mut unknown = BTreeSet::new();
    for (at, tag) in document.root().tags() {
        match tag.as_str() {
            "!reset" => drop(tags.insert(at, Tag::Reset)),
            "!override" => drop(tags.insert(at, Tag::Override)),
            _ => drop(unknown.insert((at, tag))),
        }
    }
    for (at, tag) in unknown {
        problems.error(
            codes::UNSUPPORTED_KEY,
            &format!("{path}: {at}"),
            format!("the tag {} is not known", shorten(&tag)),
        );
    }
    tags
}

/// Bytes, about.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 16,
        Value::Array(items) => items.iter().map(weight).sum::<usize>() + 16,
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + 16 + weight(value)).sum::<usize>() + 16,
        _ => 16,
    }
}
