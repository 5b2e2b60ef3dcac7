//! `secrets` and `configs`: files that are put into containers.

use std::collections::{BTreeMap, BTreeSet};

use super::contents::missing_source;
use super::{Context, File, NeedKind, mounts};
use crate::finding::Finding;
use crate::formats::compose::codes::MISSING_VARIABLE;
use crate::formats::compose::model::{FileObject, FileUse, Project, Service};

/// Permissions of a file that says nothing of them.
const MODE: u32 = 0o444;

/// The content of every secret and config that a service uses.
pub(super) struct Files<'a> {
    secrets: BTreeMap<&'a str, &'a [u8]>,
    configs: BTreeMap<&'a str, &'a [u8]>,
}

impl<'a> Files<'a> {
    /// Looks everything up; what is not there becomes a finding.
    pub fn resolve(project: &'a Project, context: &Context<'a>, findings: &mut Vec<Finding>) -> Self {
        let mut section =
            |name: &str, kind: NeedKind, objects: &'a BTreeMap<String, FileObject>, used: BTreeSet<&str>| {
                let mut contents = BTreeMap::new();
                for (key, object) in objects.iter().filter(|(key, _)| used.contains(key.as_str())) {
                    match content(key, object, kind, context, &format!("{}.{name}.{key}", context.base)) {
                        Ok(bytes) => drop(contents.insert(key.as_str(), bytes)),
                        Err(finding) => findings.push(finding),
                    }
                }
                contents
            };
        let services = || project.services.values();
        let secrets = services().flat_map(|service| &service.secrets).map(|file| file.source.as_str()).collect();
        let configs = services().flat_map(|service| &service.configs).map(|file| file.source.as_str()).collect();
        Self {
            secrets: section("secrets", NeedKind::Secret, &project.secrets, secrets),
            configs: section("configs", NeedKind::ConfigMap, &project.configs, configs),
        }
    }

    /// The files of one service's containers.
    pub fn of(&self, service: &'a Service) -> Vec<File> {
        self.used(service).map(|(file, content)| put(file, content, service)).collect()
    }

    /// Bytes of the files of one container.
    pub fn size(&self, service: &'a Service) -> usize {
        self.used(service).map(|(_, content)| content.len()).sum()
    }

    fn used(&self, service: &'a Service) -> impl Iterator<Item = (&'a FileUse, &'a [u8])> {
        let secrets = service.secrets.iter().map(|file| (file, self.secrets.get(file.source.as_str())));
        let configs = service.configs.iter().map(|file| (file, self.configs.get(file.source.as_str())));
        secrets.chain(configs).filter_map(|(file, content)| Some((file, *content?)))
    }
}

fn put(file: &FileUse, content: &[u8], service: &Service) -> File {
    File {
        target: file.target.clone(),
        uid: file.uid.unwrap_or_default(),
        gid: file.gid.unwrap_or_default(),
        mode: file.mode.unwrap_or(MODE),
        content: content.to_vec(),
        in_volume: service.read_only || mounts::is_mounted(service, &file.target),
    }
}

fn content<'a>(
    key: &str,
    object: &'a FileObject,
    kind: NeedKind,
    context: &Context<'a>,
    path: &str,
) -> Result<&'a [u8], Finding> {
    match object {
        FileObject::Content(text) => Ok(text.as_bytes()),
        FileObject::External(name) => context.contents.external(kind, name, key, &format!("{path}.external")),
        FileObject::File(file) => {
            let path = format!("{path}.file");
            let source = context.files.get(file).ok_or_else(|| missing_source(file, &path, kind))?;
            context.contents.file(source, &path)
        }
        FileObject::Environment(variable) => match context.environment.get(variable) {
            Some(value) => Ok(value.as_bytes()),
            None => Err(Finding::error(
                MISSING_VARIABLE,
                format!("{path}.environment"),
                format!("the variable `{variable}` is not set"),
            )
            .hint(format!("set {variable} in spec.environment"))),
        },
    }
}
