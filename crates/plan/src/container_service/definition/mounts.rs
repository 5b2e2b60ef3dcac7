//! Volumes: the project's own, and what a container mounts.

use std::collections::BTreeMap;

use bollard_stubs::models::{
    Mount, MountBindOptions, MountBindOptionsPropagationEnum, MountTmpfsOptions, MountType, MountVolumeOptions,
    VolumeCreateRequest,
};

use super::labels::{self, CONFIG_HASH};
use super::lower::Context;
use super::names::Names;
use super::{Volume, map};
use crate::formats::compose::model::{self, MountKind, Service};

/// The named volumes of a project, by name on the engine.
pub(super) fn volumes(project: &model::Project, names: &Names<'_>, context: &Context<'_>) -> BTreeMap<String, Volume> {
    project.volumes.iter().map(|(key, it)| (names.volume(key), volume(key, it, names, context))).collect()
}

fn volume(key: &str, volume: &model::Volume, names: &Names<'_>, context: &Context<'_>) -> Volume {
    let mut body = VolumeCreateRequest {
        name: Some(names.volume(key)),
        driver: volume.driver.clone(),
        driver_opts: map(&volume.driver_opts),
        ..VolumeCreateRequest::default()
    };
    let mut own = labels::volume(names, context.owner, key, &volume.labels);
    let hash = context.key.hash(&(&body, labels::identity(&own)));
    own.insert(CONFIG_HASH.to_owned(), hash);
    body.labels = Some(own);
    Volume { external: volume.external, body }
}

/// What a container mounts, in the engine's two vocabularies.
#[derive(Default)]
pub(super) struct Mounted {
    pub binds: Vec<String>,
    pub mounts: Vec<Mount>,
}

/// What the containers of a service mount.
///
/// The older `Binds` wherever they can say it (they also create a missing host path), `Mounts` for the rest: the engine
/// shows them apart, so this is the line that Compose draws.
pub(super) fn mounted(service: &Service, names: &Names<'_>) -> Mounted {
    let mut mounted = Mounted::default();
    for mount in &service.volumes {
        match (mount.kind, &mount.source) {
            (MountKind::Bind, Some(source)) if mount.create_host_path && mount.propagation.is_none() => {
                mounted.binds.push(bind(source, mount));
            }
            (MountKind::Volume, Some(key)) if !mount.nocopy && mount.subpath.is_none() => {
                mounted.binds.push(bind(&names.volume(key), mount));
            }
            _ => mounted.mounts.push(mount_of(mount, names)),
        }
    }
    mounted
}

fn bind(source: &str, mount: &model::Mount) -> String {
    let access = if mount.read_only { "ro" } else { "rw" };
    let selinux = mount.selinux.as_ref().map(|label| format!(",{label}")).unwrap_or_default();
    format!("{source}:{}:{access}{selinux}", mount.target)
}

fn mount_of(mount: &model::Mount, names: &Names<'_>) -> Mount {
    let base = Mount { target: Some(mount.target.clone()), read_only: Some(mount.read_only), ..Mount::default() };
    match mount.kind {
        MountKind::Bind => Mount {
            typ: Some(MountType::BIND),
            source: mount.source.clone(),
            bind_options: Some(MountBindOptions {
                propagation: mount.propagation.as_deref().map(propagation),
                create_mountpoint: mount.create_host_path.then_some(true),
                ..MountBindOptions::default()
            }),
            ..base
        },
        MountKind::Volume => Mount {
            typ: Some(MountType::VOLUME),
            source: mount.source.as_ref().map(|key| names.volume(key)),
            // The short form always has options, if only empty ones.
            volume_options: (mount.short || mount.nocopy || mount.subpath.is_some()).then(|| MountVolumeOptions {
                no_copy: mount.nocopy.then_some(true),
                subpath: mount.subpath.clone(),
                ..MountVolumeOptions::default()
            }),
            ..base
        },
        MountKind::Tmpfs => Mount {
            typ: Some(MountType::TMPFS),
            tmpfs_options: (mount.tmpfs_size.is_some() || mount.tmpfs_mode.is_some()).then(|| MountTmpfsOptions {
                size_bytes: mount.tmpfs_size,
                mode: mount.tmpfs_mode.map(i64::from),
                ..MountTmpfsOptions::default()
            }),
            ..base
        },
    }
}

fn propagation(name: &str) -> MountBindOptionsPropagationEnum {
    match name {
        "private" => MountBindOptionsPropagationEnum::PRIVATE,
        "rprivate" => MountBindOptionsPropagationEnum::RPRIVATE,
        "shared" => MountBindOptionsPropagationEnum::SHARED,
        "rshared" => MountBindOptionsPropagationEnum::RSHARED,
        "slave" => MountBindOptionsPropagationEnum::SLAVE,
        "rslave" => MountBindOptionsPropagationEnum::RSLAVE,
        _ => MountBindOptionsPropagationEnum::EMPTY,
    }
}

/// Whether a path in the container lies under one of its mounts.
pub(super) fn is_mounted(service: &Service, path: &str) -> bool {
    let volumes = service.volumes.iter().map(|mount| mount.target.as_str());
    let tmpfs = service.tmpfs.iter().map(|tmpfs| tmpfs_parts(tmpfs).0);
    volumes.chain(tmpfs).any(|target| {
        let rest = path.strip_prefix(target.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Target and options of a short `tmpfs:` entry.
pub(super) fn tmpfs_parts(tmpfs: &str) -> (&str, &str) {
    tmpfs.split_once(':').unwrap_or((tmpfs, ""))
}
