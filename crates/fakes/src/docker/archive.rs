//! Files that are copied into containers and out of them. What lies under a mounted volume belongs to the volume.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::containers::Mount;
use super::engine::Engine;
use super::http::{Answer, Refusal, Reply, Request};

/// Directories that every image has.
const DIRECTORIES: [&str; 10] = ["", "bin", "dev", "etc", "proc", "root", "run", "tmp", "usr", "var"];

/// A regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Content.
    pub content: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
}

impl Engine {
    pub(super) fn archive_put(&mut self, name: &str, request: &Request) -> Reply {
        let id = self.find_container(name)?;
        let path = plain(request.text("path"));
        let container = &self.containers[&id];
        let mount = mount_of(&container.mounts, &path).filter(|mount| mount.kind == "volume");
        if self.files_of(&id).contains_key(&path) {
            return Err(Refusal::new(500, "extraction point is not a directory"));
        }
        if !self.directories(&id).contains(&path) {
            let shown = request.text("path");
            return Err(Refusal::new(404, format!("Could not find the file {shown} in container {name}")));
        }
        match mount {
            Some(mount) if !mount.writable => return Err(Refusal::new(500, "mounted volume is marked read-only")),
            None if container.host_config["ReadonlyRootfs"] == true => {
                return Err(Refusal::new(500, "container rootfs is marked read-only"));
            }
            _ => {}
        }
        let files = read_tar(&request.body)
            .map_err(|error| Refusal::new(500, format!("Error processing tar file(exit status 1): {error}")))?;
        for (inner, file) in files {
            let target = if path.is_empty() { inner } else { format!("{path}/{inner}") };
            self.put_file(&id, &target, file);
        }
        let now = self.now();
        self.emit_container(now, "extract-to-dir", &id, &json!({}));
        Ok(Answer::Empty(200))
    }

    fn put_file(&mut self, id: &str, target: &str, file: File) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let mount = mount_of(&container.mounts, target).filter(|mount| mount.kind == "volume").cloned();
        match mount.and_then(|mount| Some((self.volumes.get_mut(&mount.name)?, below(target, &plain(&mount.target))?)))
        {
            Some((volume, inner)) => volume.files.insert(inner, file),
            None => self.containers.get_mut(id).and_then(|container| container.files.insert(target.to_owned(), file)),
        };
    }

    /// Every file that was put into a container or a volume that it mounts, by path.
    pub(super) fn files_of(&self, id: &str) -> BTreeMap<String, File> {
        let Some(container) = self.containers.get(id) else { return BTreeMap::new() };
        let mut files = container.files.clone();
        for mount in container.mounts.iter().filter(|mount| mount.kind == "volume") {
            let target = plain(&mount.target);
            files.retain(|path, _| below(path, &target).is_none());
            let Some(volume) = self.volumes.get(&mount.name) else { continue };
            files.extend(volume.files.iter().map(|(path, file)| (format!("{target}/{path}"), file.clone())));
        }
        files
    }

    fn directories(&self, id: &str) -> BTreeSet<String> {
        let mut directories: BTreeSet<String> = DIRECTORIES.map(str::to_owned).into();
        let mounts = self.containers[id].mounts.iter().map(|mount| format!("{}/", plain(&mount.target)));
        for path in self.files_of(id).into_keys().chain(mounts) {
            directories.extend(path.match_indices('/').map(|(slash, _)| path[..slash].to_owned()));
        }
        directories
    }

    pub(super) fn archive_get(&self, name: &str, request: &Request) -> Reply {
        let id = self.find_container(name)?;
        let path = plain(request.text("path"));
        let stat = self.stat(name, &id, request.text("path"))?;
        let last = path.rsplit('/').next().unwrap_or_default();
        let mut tar = tar::Builder::new(Vec::new());
        for (file_path, file) in self.files_of(&id) {
            let inner = if file_path == path {
                Some(last.to_owned())
            } else {
                below(&file_path, &path).map(|inner| format!("{last}/{inner}"))
            };
            let Some(inner) = inner else { continue };
            let mut header = tar::Header::new_gnu();
            header.set_size(file.content.len() as u64);
            header.set_mode(file.mode);
            header.set_uid(file.uid);
            header.set_gid(file.gid);
            tar.append_data(&mut header, inner.trim_start_matches('/'), file.content.as_slice())
                .map_err(|error| Refusal::new(500, error.to_string()))?;
        }
        let bytes = tar.into_inner().map_err(|error| Refusal::new(500, error.to_string()))?;
        Ok(Answer::Bytes { kind: "application/x-tar", headers: vec![stat], bytes })
    }

    pub(super) fn archive_stat(&self, name: &str, request: &Request) -> Reply {
        let id = self.find_container(name)?;
        let stat = self.stat(name, &id, request.text("path"))?;
        Ok(Answer::Bytes { kind: "application/x-tar", headers: vec![stat], bytes: Vec::new() })
    }

    fn stat(&self, name: &str, id: &str, shown: &str) -> Result<(&'static str, String), Refusal> {
        let path = plain(shown);
        let stat: Value = match self.files_of(id).get(&path) {
            Some(file) => json!({ "size": file.content.len(), "mode": file.mode }),
            // Go's mode bit for a directory.
            None if self.directories(id).contains(&path) => json!({ "size": 4096, "mode": 0x8000_01ed_u32 }),
            None => return Err(Refusal::new(404, format!("Could not find the file {shown} in container {name}"))),
        };
        let mut stat = stat;
        stat["name"] = path.rsplit('/').next().unwrap_or_default().into();
        stat["mtime"] = "1970-01-01T00:00:00Z".into();
        stat["linkTarget"] = "".into();
        Ok(("X-Docker-Container-Path-Stat", STANDARD.encode(stat.to_string())))
    }
}

fn read_tar(bytes: &[u8]) -> std::io::Result<Vec<(String, File)>> {
    let mut files = Vec::new();
    let mut archive = tar::Archive::new(bytes);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = plain(&entry.path()?.to_string_lossy());
        let header = entry.header();
        let mut file = File { content: Vec::new(), mode: header.mode()?, uid: header.uid()?, gid: header.gid()? };
        entry.read_to_end(&mut file.content)?;
        files.push((path, file));
    }
    Ok(files)
}

/// Without leading and trailing slashes, and without `.`.
fn plain(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}

/// The rest of a path below a directory.
fn below(path: &str, directory: &str) -> Option<String> {
    if directory.is_empty() {
        return Some(path.to_owned());
    }
    path.strip_prefix(directory)?.strip_prefix('/').map(str::to_owned)
}

/// The mount that a path lies in: the deepest.
fn mount_of<'a>(mounts: &'a [Mount], path: &str) -> Option<&'a Mount> {
    let inside = |mount: &&Mount| {
        let target = plain(&mount.target);
        path == target || below(path, &target).is_some()
    };
    mounts.iter().filter(inside).max_by_key(|mount| mount.target.len())
}
