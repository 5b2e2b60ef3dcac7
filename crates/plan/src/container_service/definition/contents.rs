//! What a project takes from Secrets and ConfigMaps: which of them it needs, and what they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use slipway_api::container_service::FileSource;
use slipway_api::refs::KeyRef;

use super::codes;
use super::security::seccomp_profile;
use crate::finding::Finding;
use crate::formats::compose::model::{FileObject, FileUse, Project, Service};

/// Which kind of object holds a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum NeedKind {
    Secret,
    ConfigMap,
}

impl NeedKind {
    /// The code of the finding that says that such an object is missing.
    fn missing(self) -> &'static str {
        match self {
            Self::Secret => codes::SECRET_MISSING,
            Self::ConfigMap => codes::CONFIG_MAP_MISSING,
        }
    }
}

impl fmt::Display for NeedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        })
    }
}

/// One content that must be read from the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Need {
    /// Secret or ConfigMap.
    pub kind: NeedKind,
    /// Name of the object.
    pub name: String,
    /// Key in its data; `None`: the key of the object in the Compose file, or the only key that there is.
    pub key: Option<String>,
    /// Field path of the reference.
    pub path: String,
    /// The project works without it (`env_file` with `required: false`).
    pub optional: bool,
}

/// What must be read from the cluster before [`super::lower()`] can make a definition of the project.
///
/// A path of `env_file`, `secrets.x.file`, `configs.x.file` or a seccomp profile without an entry in `spec.files` is a finding.
pub fn needs(project: &Project, files: &BTreeMap<String, FileSource>, base: &str) -> Result<Vec<Need>, Vec<Finding>> {
    let mut needs = BTreeSet::new();
    let mut findings = Vec::new();
    for (name, service) in &project.services {
        let path = format!("{base}.services.{name}");
        for reference in references(service, &path) {
            match source(&reference, files) {
                Ok(Some(need)) => drop(needs.insert(need)),
                Ok(None) => {}
                Err(finding) => findings.push(finding),
            }
        }
    }
    for (section, kind, objects, uses) in sections(project) {
        for (key, object) in objects.iter().filter(|(key, _)| uses.contains(key.as_str())) {
            match object_need(object, kind, files, &format!("{base}.{section}.{key}")) {
                Ok(Some(need)) => drop(needs.insert(need)),
                Ok(None) => {}
                Err(finding) => findings.push(finding),
            }
        }
    }
    if findings.is_empty() { Ok(needs.into_iter().collect()) } else { Err(findings) }
}

/// A path in a service that stands for a file.
struct Reference<'a> {
    file: &'a str,
    path: String,
    optional: bool,
}

/// The files that a service names itself.
fn references<'a>(service: &'a Service, path: &str) -> Vec<Reference<'a>> {
    let env_files = service.env_file.iter().enumerate().map(|(index, env_file)| Reference {
        file: &env_file.path,
        path: format!("{path}.env_file[{index}]"),
        optional: !env_file.required,
    });
    let profiles = service.security_opt.iter().enumerate().filter_map(|(index, option)| {
        Some(Reference {
            file: seccomp_profile(option)?,
            path: format!("{path}.security_opt[{index}]"),
            optional: false,
        })
    });
    env_files.chain(profiles).collect()
}

/// The need behind a file; none for an optional file that has no source.
fn source(reference: &Reference<'_>, files: &BTreeMap<String, FileSource>) -> Result<Option<Need>, Finding> {
    match files.get(reference.file) {
        Some(source) => Ok(Some(file_need(source, reference.path.clone(), reference.optional))),
        None if reference.optional => Ok(None),
        None => Err(missing_source(reference.file, &reference.path, NeedKind::ConfigMap)),
    }
}

type Section<'a> = (&'static str, NeedKind, &'a BTreeMap<String, FileObject>, BTreeSet<&'a str>);

/// `secrets` and `configs`, each with the keys that services use. Others are not needed, as Compose does not need them either.
fn sections(project: &Project) -> [Section<'_>; 2] {
    fn used<'a>(project: &'a Project, uses: impl Fn(&'a Service) -> &'a [FileUse]) -> BTreeSet<&'a str> {
        project.services.values().flat_map(uses).map(|file| file.source.as_str()).collect()
    }
    [
        ("secrets", NeedKind::Secret, &project.secrets, used(project, |service| &service.secrets)),
        ("configs", NeedKind::ConfigMap, &project.configs, used(project, |service| &service.configs)),
    ]
}

fn object_need(
    object: &FileObject,
    kind: NeedKind,
    files: &BTreeMap<String, FileSource>,
    path: &str,
) -> Result<Option<Need>, Finding> {
    match object {
        FileObject::External(name) => {
            Ok(Some(Need { kind, name: name.clone(), key: None, path: format!("{path}.external"), optional: false }))
        }
        FileObject::File(file) => match files.get(file) {
            Some(source) => Ok(Some(file_need(source, format!("{path}.file"), false))),
            None => Err(missing_source(file, &format!("{path}.file"), kind)),
        },
        FileObject::Environment(_) | FileObject::Content(_) => Ok(None),
    }
}

fn file_need(source: &FileSource, path: String, optional: bool) -> Need {
    let (kind, KeyRef { name, key }) = split(source);
    Need { kind, name: name.clone(), key: Some(key.clone()), path, optional }
}

fn split(source: &FileSource) -> (NeedKind, &KeyRef) {
    match source {
        FileSource::ConfigMapKeyRef(reference) => (NeedKind::ConfigMap, reference),
        FileSource::SecretKeyRef(reference) => (NeedKind::Secret, reference),
    }
}

/// The finding for a file that `spec.files` does not have, with the YAML to add.
pub(super) fn missing_source(file: &str, path: &str, kind: NeedKind) -> Finding {
    let key = file.rsplit('/').next().unwrap_or(file);
    let reference = match kind {
        NeedKind::Secret => "secretKeyRef",
        NeedKind::ConfigMap => "configMapKeyRef",
    };
    Finding::error(
        codes::MISSING_FILE_SOURCE,
        path,
        format!(
            "the file `{file}` is not on the hosts, and spec.files does not say which Secret or ConfigMap holds it"
        ),
    )
    .hint(format!("add under spec: `files: {{\"{file}\": {{{reference}: {{name: NAME, key: \"{key}\"}}}}}}`"))
}

/// What was read from the cluster: the data of Secrets and ConfigMaps. `Debug` shows names and keys only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Contents {
    objects: BTreeMap<(NeedKind, String), BTreeMap<String, Vec<u8>>>,
}

impl Contents {
    /// Adds an object with all its keys (`data` and `binaryData`, decoded).
    pub fn insert(&mut self, kind: NeedKind, name: impl Into<String>, data: BTreeMap<String, Vec<u8>>) {
        self.objects.insert((kind, name.into()), data);
    }

    /// The content of one key, if object and key are there.
    pub fn get(&self, kind: NeedKind, name: &str, key: &str) -> Option<&[u8]> {
        self.object(kind, name)?.get(key).map(Vec::as_slice)
    }

    fn object(&self, kind: NeedKind, name: &str) -> Option<&BTreeMap<String, Vec<u8>>> {
        self.objects.get(&(kind, name.to_owned()))
    }

    /// The content that `spec.files` names for a file.
    pub(super) fn file(&self, source: &FileSource, path: &str) -> Result<&[u8], Finding> {
        let (kind, KeyRef { name, key }) = split(source);
        self.existing(kind, name, path)?.get(key).map(Vec::as_slice).ok_or_else(|| key_missing(kind, name, key, path))
    }

    /// The content of an external secret or config: its own key's, or that of the only key that there is.
    pub(super) fn external(&self, kind: NeedKind, name: &str, key: &str, path: &str) -> Result<&[u8], Finding> {
        let data = self.existing(kind, name, path)?;
        match data.get(key) {
            Some(content) => Ok(content),
            None if data.len() == 1 => Ok(data.values().next().map(Vec::as_slice).unwrap_or_default()),
            None => Err(key_missing(kind, name, key, path)),
        }
    }

    fn existing(&self, kind: NeedKind, name: &str, path: &str) -> Result<&BTreeMap<String, Vec<u8>>, Finding> {
        self.object(kind, name).ok_or_else(|| {
            Finding::error(kind.missing(), path, format!("the {kind} `{name}` does not exist in this namespace"))
                .hint("create it; it is picked up as soon as it is there")
        })
    }
}

fn key_missing(kind: NeedKind, name: &str, key: &str, path: &str) -> Finding {
    Finding::error(codes::KEY_MISSING, path, format!("the {kind} `{name}` has no key `{key}`"))
        .hint("add the key; it is picked up as soon as it is there")
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.objects.iter().map(|((kind, name), data)| (format!("{kind}/{name}"), data.keys())))
            .finish()
    }
}
