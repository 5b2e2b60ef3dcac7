//! Container images made on the spot, without a registry or a build.

use std::fs;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::prerequisites::find_program;

/// The largest program that goes into an image; keeps a mistake from filling engines.
const LIMIT: u64 = 32 << 20;

/// An image: busybox, some files, a command. The same image has the same ID on every host.
#[derive(Clone, Debug)]
pub struct Image {
    reference: String,
    command: Vec<String>,
    files: Vec<(String, Vec<u8>, u32)>,
    config: serde_json::Map<String, serde_json::Value>,
}

impl Image {
    /// An image of that name whose container sleeps until it is stopped, and then ends at once.
    pub fn new(reference: &str) -> Self {
        Self {
            reference: reference.to_owned(),
            command: ["/bin/sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait; done"]
                .map(str::to_owned)
                .into(),
            files: Vec::new(),
            config: serde_json::Map::new(),
        }
    }

    /// What its container runs.
    #[must_use]
    pub fn command(mut self, command: &[&str]) -> Self {
        self.command = command.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Adds a file; `path` without the leading slash. A different file is a different image.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>, mode: u32) -> Self {
        self.files.push((path.to_owned(), content.into(), mode));
        self
    }

    /// Sets a key of the image's configuration as the image specification names it: `User`, `Healthcheck`, `Volumes`, …
    #[must_use]
    pub fn config(mut self, key: &str, value: serde_json::Value) -> Self {
        self.config.insert(key.to_owned(), value);
        self
    }

    /// Its name.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// The image as an archive that `docker load` takes.
    pub fn archive(&self) -> Result<Vec<u8>> {
        let layer = self.layer()?;
        let layer_id = sha256(&layer);
        let mut config = json!({
            "Cmd": self.command,
            "Env": ["PATH=/bin:/usr/bin:/sbin:/usr/sbin"],
        });
        if let Some(known) = config.as_object_mut() {
            known.extend(self.config.clone());
        }
        let image = serde_json::to_vec(&json!({
            "architecture": architecture()?,
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_id}")]},
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "the lab"}],
        }))?;
        let image_name = format!("{}.json", sha256(&image));
        let manifest = serde_json::to_vec(&json!([{
            "Config": image_name,
            "RepoTags": [self.reference],
            "Layers": [format!("{layer_id}/layer.tar")],
        }]))?;
        let mut archive = tar::Builder::new(Vec::new());
        append(&mut archive, &image_name, &image, 0o644)?;
        append(&mut archive, &format!("{layer_id}/layer.tar"), &layer, 0o644)?;
        append(&mut archive, "manifest.json", &manifest, 0o644)?;
        Ok(archive.into_inner()?)
    }

    fn layer(&self) -> Result<Vec<u8>> {
        let program = find_program("busybox").context("busybox is not installed (package busybox-static)")?;
        let size = fs::metadata(&program)?.len();
        if size > LIMIT {
            bail!("{} is {size} bytes large; an image takes at most {LIMIT}", program.display());
        }
        let mut layer = tar::Builder::new(Vec::new());
        for dir in ["bin", "etc", "tmp", "proc", "sys", "dev"] {
            let mut header = header(tar::EntryType::Directory, 0, if dir == "tmp" { 0o1777 } else { 0o755 });
            layer.append_data(&mut header, format!("{dir}/"), &[][..])?;
        }
        append(&mut layer, "bin/busybox", &fs::read(&program)?, 0o755)?;
        let applets = super::run::run(&program.to_string_lossy(), &["--list"])?;
        for applet in applets.lines().filter(|&applet| applet != "busybox") {
            layer.append_link(&mut header(tar::EntryType::Symlink, 0, 0o777), format!("bin/{applet}"), "busybox")?;
        }
        append(&mut layer, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n", 0o644)?;
        append(&mut layer, "etc/group", b"root:x:0:\nnogroup:x:65534:\n", 0o644)?;
        for (path, content, mode) in &self.files {
            append(&mut layer, path, content, *mode)?;
        }
        Ok(layer.into_inner()?)
    }
}

fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, content: &[u8], mode: u32) -> Result<()> {
    archive.append_data(&mut header(tar::EntryType::Regular, content.len() as u64, mode), path, content)?;
    Ok(())
}

fn header(kind: tar::EntryType, size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header
}

/// The SHA-256 digest, in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    format!("{:x}", Bytes::copy_from_slice(&digest))
}

/// This machine's architecture, by the name that images use.
fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("no images for {other}"),
    }
}
