//! Reads files that the user names, within bounds.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::glob;

/// Bytes that one file may have; readers of formats have their own, smaller bounds.
pub(super) const MAX_BYTES: u64 = 16 << 20;

/// Files that one run may read.
pub(super) const MAX_FILES: usize = 50_000;

/// A text and the name under which it is spoken of.
#[derive(Debug)]
pub(super) struct Input {
    /// The path as the user wrote it; `<stdin>` for `-`.
    pub(super) name: String,
    pub(super) text: String,
}

/// Reads what `-f` names: files, `-` for stdin, patterns, and of directories the files that end in .yaml, .yml and .json.
pub(super) fn read_all(arguments: &[PathBuf]) -> Result<Vec<Input>, String> {
    let mut inputs = Vec::new();
    for argument in arguments {
        if argument == Path::new("-") {
            inputs.push(Input { name: "<stdin>".into(), text: text(std::io::stdin().lock(), "<stdin>")? });
            continue;
        }
        let paths = if argument.is_dir() {
            manifests_in(argument)?
        } else if !argument.exists() && glob::is_pattern(argument) {
            glob::matching(argument, MAX_FILES)?
        } else {
            vec![argument.clone()]
        };
        for path in paths {
            if inputs.len() >= MAX_FILES {
                return Err(format!("more than {MAX_FILES} files"));
            }
            inputs.push(Input { name: path.display().to_string(), text: file(&path)? });
        }
    }
    Ok(inputs)
}

fn manifests_in(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let wrong = |error: std::io::Error| format!("cannot read {}: {error}", directory.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        let is_manifest = path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known));
        if is_manifest && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(format!("{} has no file that ends in .yaml, .yml or .json", directory.display()));
    }
    Ok(paths)
}

/// Reads one regular file.
pub(super) fn file(path: &Path) -> Result<String, String> {
    let shown = path.display().to_string();
    let file = File::open(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let metadata = file.metadata().map_err(|error| format!("cannot read {shown}: {error}"))?;
    if metadata.is_dir() {
        return Err(format!("cannot read {shown}: it is a directory"));
    }
    text(file, &shown)
}

fn text(reader: impl Read, shown: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot read {shown}: {error}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("{shown} has more than {} MiB", MAX_BYTES >> 20));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.split(|byte| *byte == b'\n').count();
        let column = good.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        format!("{shown}:{line}:{column}: the file is not UTF-8 text")
    })
}
