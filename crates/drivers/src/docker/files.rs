//! Files from secrets and configs, put into a container that is created but not started.
//!
//! A file goes straight into the container's own layer where that works. In a `read_only` container, or below a tmpfs or
//! another mount, it needs a volume of its own: an anonymous one at the file's directory, which is filled the same way,
//! belongs to this one container and is removed with it. It carries owner, revision and role labels, so that one whose
//! container somebody removed without `-v` can still be found and swept.

use std::collections::{BTreeMap, HashMap};

use bollard_stubs::models::{Mount, MountType, MountVolumeOptions};
use slipway_api::labels;
use slipway_plan::container_service::definition::{Container, File};

use super::reasons;
use crate::DriverError;

/// What is uploaded where.
pub(super) struct Upload {
    /// Directory in the container that the archive is unpacked in.
    pub(super) directory: String,
    /// Tar archive.
    pub(super) archive: Vec<u8>,
}

/// The volumes that the container's files need, and the archives that are put in.
pub(super) struct Files {
    pub(super) mounts: Vec<Mount>,
    pub(super) uploads: Vec<Upload>,
}

/// Where the files of a container go. `marks` are the labels of the volumes.
pub(super) fn place(container: &Container, marks: &HashMap<String, String>) -> Result<Files, DriverError> {
    let mount_points = mount_points(container);
    let mut plain = Vec::new();
    let mut by_directory: BTreeMap<&str, Vec<(&str, &File)>> = BTreeMap::new();
    for file in &container.files {
        let (directory, name) = split(&file.target)?;
        if file.in_volume {
            by_directory.entry(directory).or_default().push((name, file));
        } else {
            plain.push((file.target.trim_start_matches('/'), file));
        }
    }
    let mut files = Files { mounts: Vec::new(), uploads: Vec::new() };
    if !plain.is_empty() {
        files.uploads.push(Upload { directory: "/".into(), archive: archive(&plain)? });
    }
    for (directory, content) in by_directory {
        match mount_points.iter().find(|mount| mount.target == directory) {
            // A writable volume or bind that is mounted at the very directory takes the files itself, as with Compose.
            Some(mount) if mount.writable => {}
            None if directory != "/" => files.mounts.push(volume(directory, marks)),
            _ => return Err(no_place(directory, content[0].0)),
        }
        files.uploads.push(Upload { directory: directory.into(), archive: archive(&content)? });
    }
    Ok(files)
}

fn no_place(directory: &str, name: &str) -> DriverError {
    reasons::FILE_TARGET_INVALID.error(format!(
        "the file {name} cannot be put into {directory}: the container is read_only or has a mount right there; \
         choose a target in a directory of its own, such as /run/secrets/{name}"
    ))
}

/// Directory and name of an absolute path.
fn split(target: &str) -> Result<(&str, &str), DriverError> {
    let odd = |part: &str| part.is_empty() || part == "." || part == "..";
    match target.rsplit_once('/') {
        Some((directory, name)) if target.starts_with('/') && !target[1..].split('/').any(odd) => {
            Ok((if directory.is_empty() { "/" } else { directory }, name))
        }
        _ => Err(reasons::FILE_TARGET_INVALID.error(format!("the file target {target:?} is no clean absolute path"))),
    }
}

fn volume(directory: &str, marks: &HashMap<String, String>) -> Mount {
    let mut marks = marks.clone();
    marks.insert(labels::ROLE.into(), "files".into());
    Mount {
        target: Some(directory.into()),
        typ: Some(MountType::VOLUME),
        volume_options: Some(MountVolumeOptions { labels: Some(marks), ..MountVolumeOptions::default() }),
        ..Mount::default()
    }
}

/// A place where the container mounts something.
struct MountPoint {
    target: String,
    /// Something can be put in before the start.
    writable: bool,
}

fn mount_points(container: &Container) -> Vec<MountPoint> {
    let Some(host) = &container.body.host_config else { return Vec::new() };
    let clean =
        |target: &str| if target.len() > 1 { target.trim_end_matches('/').to_owned() } else { target.to_owned() };
    let binds = host.binds.iter().flatten().filter_map(|bind| {
        let mut parts = bind.split(':').skip(1);
        let target = clean(parts.next()?);
        let read_only = parts.next().is_some_and(|options| options.split(',').any(|option| option == "ro"));
        Some(MountPoint { target, writable: !read_only })
    });
    let mounts = host.mounts.iter().flatten().filter_map(|mount| {
        let persistent = matches!(mount.typ, Some(MountType::VOLUME | MountType::BIND));
        let writable = persistent && !mount.read_only.unwrap_or_default();
        Some(MountPoint { target: clean(mount.target.as_deref()?), writable })
    });
    let tmpfs = host.tmpfs.iter().flatten().map(|(target, _)| MountPoint { target: clean(target), writable: false });
    let volumes = container.body.volumes.iter().flatten();
    let volumes = volumes.map(|target| MountPoint { target: clean(target), writable: true });
    binds.chain(mounts).chain(tmpfs).chain(volumes).collect()
}

fn archive(files: &[(&str, &File)]) -> Result<Vec<u8>, DriverError> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, file) in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(file.content.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.uid.into());
        header.set_gid(file.gid.into());
        tar.append_data(&mut header, name, file.content.as_slice())
            .map_err(|error| unpackable(&file.target, &error))?;
    }
    tar.into_inner().map_err(|error| unpackable("", &error))
}

fn unpackable(target: &str, error: &std::io::Error) -> DriverError {
    reasons::FILE_TARGET_INVALID.error(format!("the file target {target:?} cannot be packed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_clean_absolute_paths() {
        assert_eq!(split("/run/secrets/a").unwrap(), ("/run/secrets", "a"));
        assert_eq!(split("/a").unwrap(), ("/", "a"));
        for odd in ["a", "/", "/a/", "/a/../b", "//a", "/a/./b", ""] {
            assert_eq!(split(odd).unwrap_err().reason(), "FileTargetInvalid", "{odd}");
        }
    }

    #[test]
    fn archives_keep_owner_and_mode() {
        let file =
            File { target: "/a".into(), uid: 5, gid: 70_000, mode: 0o440, content: b"x".to_vec(), in_volume: false };
        let bytes = archive(&[("run/a", &file)]).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        let header = entry.header();
        assert_eq!(
            (header.uid().unwrap(), header.gid().unwrap(), header.mode().unwrap(), header.mtime().unwrap()),
            (5, 70_000, 0o440, 0)
        );
    }
}
