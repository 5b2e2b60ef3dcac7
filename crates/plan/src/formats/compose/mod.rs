//! The Compose format: from a file as people write it to one normal form ([`model::Project`]).
//!
//! The meaning is that of the Compose specification as Docker Compose 2.40 implements it. What is not supported is refused
//! with the way to do it, and nothing is dropped silently. Files come from users and ConfigMaps, so every size is bounded.

pub mod codes;
mod deploy;
mod files;
pub mod import;
mod interpolate;
pub mod model;
mod mounts;
mod network;
mod ports;
mod project;
mod read;
mod service;
mod values;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

pub use self::deploy::MAX_REPLICAS;
use self::files::FileKind;
pub use self::interpolate::{MAX_NESTING, MAX_VALUE, text as interpolate};
pub use self::ports::MAX_PORTS;
pub use self::read::MAX_FINDINGS;
use self::read::{At, Findings};
pub use self::values::{meant, nearest};
use super::yaml::{self, Bounds, Dialect};
use crate::finding::{Finding, Severity};

/// Bounds of one Compose file. A text may have this many bytes; a value's texts and keys together as many.
pub const BOUNDS: Bounds = Bounds { bytes: 1 << 20, nodes: 100_000, depth: 64 };

/// Services in one project.
pub const MAX_SERVICES: usize = 500;

/// A project that can be used, and what is worth knowing about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// The project.
    pub project: model::Project,
    /// Findings of severity `Warning` only.
    pub warnings: Vec<Finding>,
}

/// A Compose file, in one of the two shapes in which it comes.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Part of a Kubernetes object (`spec.compose`).
    Value(&'a Value),
    /// A file's text, YAML or JSON.
    Text(&'a str),
}

/// Reads a Compose file: interpolation from `environment`, services of `profiles`, one form for every key.
///
/// `base` is the field path that findings start with, e.g. `spec.compose`. All errors are collected (bounded), not the first only.
/// For a text, each finding's message ends with the line.
pub fn load(
    source: Source<'_>,
    environment: &BTreeMap<String, String>,
    profiles: &[String],
    base: &str,
) -> Result<Loaded, Vec<Finding>> {
    match source {
        Source::Value(value) => load_value(value, environment, profiles, base),
        Source::Text(text) => {
            let document = parse(text, base).map_err(|finding| vec![finding])?;
            let located = |finding| with_line(finding, &document, base);
            match load_value(&document.value, environment, profiles, base) {
                Ok(Loaded { project, warnings }) => {
                    Ok(Loaded { project, warnings: warnings.into_iter().map(located).collect() })
                }
                Err(findings) => Err(findings.into_iter().map(located).collect()),
            }
        }
    }
}

/// The one document of a text.
fn parse(text: &str, base: &str) -> Result<yaml::Document, Finding> {
    let mut documents = yaml::read(text, BOUNDS, Dialect::Compose).map_err(|unreadable| {
        let finding = Finding { path: base.to_owned(), ..unreadable.finding };
        match unreadable.location {
            Some(at) => {
                Finding { message: format!("{} (line {}, column {})", finding.message, at.line, at.column), ..finding }
            }
            None => finding,
        }
    })?;
    let document = match documents.len() {
        0 => return Err(Finding::error(codes::INVALID_VALUE, base, "the file is empty")),
        1 => documents.remove(0),
        _ => {
            return Err(Finding::error(codes::INVALID_VALUE, base, "the file has more than one document")
                .hint("`slipway import compose` merges several files into one"));
        }
    };
    if let Some((path, tag)) = document.root().tags().into_iter().next() {
        return Err(Finding::error(
            codes::UNSUPPORTED_KEY,
            join(base, &path),
            format!("the tag {} is not supported here", read::shorten(&tag)),
        )
        .hint("`slipway import compose` resolves !reset and !override"));
    }
    Ok(document)
}

fn join(base: &str, path: &str) -> String {
    if path.is_empty() { base.to_owned() } else { format!("{base}.{path}") }
}

fn with_line(finding: Finding, document: &yaml::Document, base: &str) -> Finding {
    let path = finding.path.strip_prefix(base).map(|path| path.trim_start_matches('.'));
    match path.and_then(|path| document.locate(path)) {
        Some(at) => Finding { message: format!("{} (line {})", finding.message, at.line), ..finding },
        None => finding,
    }
}

fn load_value(
    value: &Value,
    environment: &BTreeMap<String, String>,
    profiles: &[String],
    base: &str,
) -> Result<Loaded, Vec<Finding>> {
    bounded(value, base).map_err(|finding| vec![finding])?;
    let findings = Findings::default();
    let interpolated = interpolate::tree(value, environment, base, &findings);
    let project = top_level(&At::new(&interpolated, base, &findings), environment, profiles, &findings);
    let failed = findings.has_errors();
    let mut findings = findings.into_vec(base);
    // A value whose variables cannot be replaced is not complained about a second time. One whose variables count as empty is.
    let is_cause = |finding: &Finding| [codes::INVALID_INTERPOLATION, codes::MISSING_VARIABLE].contains(&finding.code);
    let broken: BTreeSet<String> = findings
        .iter()
        .filter(|finding| is_cause(finding) && finding.severity == Severity::Error)
        .map(|finding| finding.path.clone())
        .collect();
    findings.retain(|finding| is_cause(finding) || !broken.contains(&finding.path));
    match project {
        Some(project) if !failed => Ok(Loaded { project, warnings: findings }),
        _ => {
            findings.sort_by_key(|finding| finding.severity);
            Err(findings)
        }
    }
}

fn top_level(
    at: &At<'_>,
    environment: &BTreeMap<String, String>,
    profiles: &[String],
    findings: &Findings,
) -> Option<model::Project> {
    let fields = at.fields()?;
    let names = |key| at.value.get(key).and_then(Value::as_object).map(|map| map.keys().cloned().collect());
    let declared = project::Declared {
        services: names("services").unwrap_or_default(),
        networks: names("networks").unwrap_or_default(),
        volumes: names("volumes").unwrap_or_default(),
        secrets: names("secrets").unwrap_or_default(),
        configs: names("configs").unwrap_or_default(),
    };
    if let Some(version) = fields.get_or_null("version") {
        version.warning(codes::DEPRECATED, "`version` is obsolete; it is ignored, as Compose ignores it");
    }
    let project = model::Project {
        name: fields.parsed("name", codes::INVALID_NAME, |name| values::project_name(name).map(|()| name.to_owned())),
        networks: section(fields.get("networks"), |_, at| network::network(at)),
        volumes: section(fields.get("volumes"), |_, at| network::volume(at)),
        secrets: section(fields.get("secrets"), |key, at| files::object(at, key, FileKind::Secret, environment)),
        configs: section(fields.get("configs"), |key, at| files::object(at, key, FileKind::Config, environment)),
        ..model::Project::default()
    };
    let services = fields.get("services");
    if services.as_ref().is_none_or(|at| at.value.as_object().is_some_and(serde_json::Map::is_empty)) {
        at.error_with_hint(
            codes::INVALID_VALUE,
            "has no services",
            "write services: and at least one service; files of format v1 are read by `slipway import compose`",
        );
    }
    if let Some(services) = &services
        && services.value.as_object().is_some_and(|map| map.len() > MAX_SERVICES)
    {
        services.error(codes::TOO_LARGE, format!("has more than {MAX_SERVICES} services"));
        return None;
    }
    let services = section(services, |_, at| service::service(at, environment));
    fields.finish(&[("include", "`slipway import compose` resolves it"), ("models", "")]);
    Some(project::assemble(project, services, &declared, profiles, &at.path, findings))
}

/// A map of named things.
fn section<T>(at: Option<At<'_>>, read: impl Fn(&str, &At<'_>) -> Option<T>) -> BTreeMap<String, T> {
    let entries = at.and_then(|at| at.entries()).unwrap_or_default();
    entries
        .into_iter()
        .filter(|(key, _)| !key.starts_with("x-"))
        .filter_map(|(key, at)| {
            at.or_report(codes::INVALID_NAME, values::key(key))?;
            Some((key.to_owned(), read(key, &at)?))
        })
        .collect()
}

/// Refuses what is too large before anything walks it.
fn bounded(value: &Value, base: &str) -> Result<(), Finding> {
    let too_large = |what: String| Err(Finding::error(codes::TOO_LARGE, base, what));
    let (mut nodes, mut bytes) = (0usize, 0usize);
    let mut next = vec![(value, 1usize)];
    while let Some((value, depth)) = next.pop() {
        nodes += 1;
        if depth > BOUNDS.depth {
            return too_large(format!("is nested more than {} deep", BOUNDS.depth));
        }
        match value {
            Value::String(text) => bytes += text.len(),
            Value::Array(items) => next.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(map) => {
                bytes += map.keys().map(String::len).sum::<usize>();
                next.extend(map.values().map(|value| (value, depth + 1)));
            }
            _ => {}
        }
        if nodes + next.len() > BOUNDS.nodes {
            return too_large(format!("has more than {} values", BOUNDS.nodes));
        }
        if bytes > BOUNDS.bytes {
            return too_large(format!("has more than {} bytes", BOUNDS.bytes));
        }
    }
    Ok(())
}

/// Whether any of them refuses the object.
pub fn has_errors(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}
