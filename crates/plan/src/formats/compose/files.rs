//! `secrets:`, `configs:` and `env_file:`: content that comes from outside.

use std::collections::BTreeMap;

use super::model::{EnvFile, FileObject, FileUse};
use super::read::{At, shorten};
use super::{codes, network, values};

/// Which of the two an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Secret,
    Config,
}

/// One of the top-level `secrets:` or `configs:`.
pub(super) fn object(
    at: &At<'_>,
    key: &str,
    kind: FileKind,
    environment: &BTreeMap<String, String>,
) -> Option<FileObject> {
    let fields = at.fields()?;
    let sources: &[&'static str] = match kind {
        FileKind::Secret => &["file", "environment"],
        FileKind::Config => &["file", "environment", "content"],
    };
    let (external, name) = network::external(&fields, sources);
    let mut objects = Vec::new();
    if external {
        objects.push(FileObject::External(name.unwrap_or_else(|| key.to_owned())));
    }
    objects.extend(fields.word("file").map(FileObject::File));
    if let Some(at) = fields.get_unless_empty("environment") {
        objects.extend(at.word().filter(|name| is_set(&at, name, environment)).map(FileObject::Environment));
    }
    if kind == FileKind::Config {
        objects.extend(fields.text("content").map(FileObject::Content));
    }
    // An empty content is one.
    let is_written = |key: &&&'static str| match **key {
        "content" => fields.get("content").is_some(),
        key => fields.get_unless_empty(key).is_some(),
    };
    let written = usize::from(external) + sources.iter().filter(is_written).count();
    match written {
        0 => at.error_with_hint(
            codes::INVALID_VALUE,
            "has no content",
            format!("write one of {} and external: true", sources.join(", ")),
        ),
        1 => {}
        _ if external => {} // was said
        _ => at.invalid(format!("has more than one of {}", sources.join(", "))),
    }
    fields.finish(&[
        ("content", "a secret's text does not belong into this file; use file: with spec.files, or external: true"),
        ("labels", ""),
        ("driver", "secrets come from Kubernetes"),
        ("driver_opts", "secrets come from Kubernetes"),
        ("template_driver", ""),
    ]);
    objects.into_iter().next().filter(|_| written == 1)
}

fn is_set(at: &At<'_>, name: &str, environment: &BTreeMap<String, String>) -> bool {
    let set = environment.contains_key(name);
    if !set {
        let hint = format!("set {} in spec.environment", shorten(name));
        at.error_with_hint(codes::MISSING_VARIABLE, format!("the variable {} is not set", shorten(name)), hint);
    }
    set
}

/// `secrets:` or `configs:` of a service.
pub(super) fn uses(at: &At<'_>, kind: FileKind) -> Vec<FileUse> {
    let items = at.list().unwrap_or_default();
    items
        .iter()
        .filter_map(|item| if item.value.is_object() { long_use(item, kind) } else { short_use(item, kind) })
        .collect()
}

fn short_use(at: &At<'_>, kind: FileKind) -> Option<FileUse> {
    let source = at.word()?;
    let target = target(at, None, &source, kind)?;
    Some(FileUse { source, target, uid: None, gid: None, mode: None })
}

fn long_use(at: &At<'_>, kind: FileKind) -> Option<FileUse> {
    let fields = at.fields()?;
    let source = fields.word("source");
    let written = fields.word("target");
    let id = |key| {
        fields.parsed(key, codes::INVALID_VALUE, |text| {
            text.parse().map_err(|_| format!("`{}` is not a numeric ID", shorten(text)))
        })
    };
    let (uid, gid) = (id("uid"), id("gid"));
    let mode = fields.get("mode").and_then(|at| at.mode());
    fields.finish(&[]);
    let Some(source) = source else {
        at.error_with_hint(codes::INVALID_VALUE, "has no source", "write source: and the name of the object");
        return None;
    };
    let target = target(at, written.as_deref(), &source, kind)?;
    Some(FileUse { source, target, uid, gid, mode })
}

/// Secrets are under `/run/secrets`, configs under `/`, unless an absolute path was written.
fn target(at: &At<'_>, written: Option<&str>, source: &str, kind: FileKind) -> Option<String> {
    let written = written.unwrap_or(source);
    let path = match kind {
        _ if written.starts_with('/') => written.to_owned(),
        FileKind::Secret => format!("/run/secrets/{written}"),
        FileKind::Config => format!("/{written}"),
    };
    at.or_report(codes::INVALID_VALUE, values::container_path(&path))
}

/// `env_file:`: a path, a list of paths, or a list of maps.
pub(super) fn env_files(at: &At<'_>) -> Vec<EnvFile> {
    let items = at.one_or_list().unwrap_or_default();
    items.iter().filter_map(env_file).collect()
}

fn env_file(at: &At<'_>) -> Option<EnvFile> {
    if !at.value.is_object() {
        return Some(EnvFile { path: at.word()?, required: true, raw: false });
    }
    let fields = at.fields()?;
    let path = fields.word("path");
    let required = fields.boolean("required").unwrap_or(true);
    let raw = fields.parsed("format", codes::INVALID_VALUE, |word| match word {
        "raw" => Ok(true),
        _ => Err(format!("`{}` is not a format; leave it out, or write raw", shorten(word))),
    });
    fields.finish(&[]);
    if path.is_none() {
        at.invalid("has no path");
    }
    Some(EnvFile { path: path?, required, raw: raw.unwrap_or_default() })
}
