//! Reads files that the user names, within bounds.

use std::collections::HashSet;
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

/// Bytes that all files of one run may have together.
const MAX_TOTAL: u64 = 128 << 20;

/// Directories inside each other that are looked into.
const MAX_DEPTH: usize = 32;

/// What could be read, and what could not.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    pub(super) inputs: Vec<Input>,
    /// In plain words, with the file.
    pub(super) unreadable: Vec<String>,
}

/// Reads what `-f` names: files, `-` for stdin, patterns, and of directories all files below that end in .yaml, .yml and
/// .json. The first one that cannot be read is an error.
pub(super) fn read_all(arguments: &[PathBuf]) -> Result<Vec<Input>, String> {
    let Inputs { inputs, unreadable } = read_what_can_be(arguments);
    match unreadable.into_iter().next() {
        Some(reason) => Err(reason),
        None => Ok(inputs),
    }
}

/// The same, where what cannot be read does not hide the rest.
pub(super) fn read_what_can_be(arguments: &[PathBuf]) -> Inputs {
    let mut read = Inputs::default();
    let mut total = 0;
    for argument in arguments {
        if argument == Path::new("-") {
            let stdin = text(std::io::stdin().lock(), "<stdin>");
            read.add("<stdin>".into(), stdin, &mut total);
            continue;
        }
        let paths = match paths(argument) {
            Ok(paths) => paths,
            Err(reason) => {
                read.unreadable.push(reason);
                continue;
            }
        };
        for path in paths {
            if read.inputs.len() >= MAX_FILES || total > MAX_TOTAL {
                let most = format!("more than {MAX_FILES} files, or {} MiB in all", MAX_TOTAL >> 20);
                read.unreadable.push(most);
                return read;
            }
            let text = file(&path);
            read.add(path.display().to_string(), text, &mut total);
        }
    }
    read
}

impl Inputs {
    fn add(&mut self, name: String, text: Result<String, String>, total: &mut u64) {
        match text {
            // Two arguments may name one file.
            Ok(_) if self.inputs.iter().any(|input| input.name == name) => {}
            Ok(text) => {
                *total += text.len() as u64;
                self.inputs.push(Input { name, text });
            }
            Err(reason) => self.unreadable.push(reason),
        }
    }
}

fn paths(argument: &Path) -> Result<Vec<PathBuf>, String> {
    if argument.is_dir() {
        let mut paths = Vec::new();
        manifests_below(argument, &mut HashSet::new(), &mut paths)?;
        if paths.is_empty() {
            return Err(format!("{} has no file that ends in .yaml, .yml or .json", argument.display()));
        }
        Ok(paths)
    } else if !argument.exists() && glob::is_pattern(argument) {
        glob::matching(argument, MAX_FILES)
    } else {
        Ok(vec![argument.to_owned()])
    }
}

/// The manifests in and below a directory, in the order of their names. Hidden ones are passed over, and a directory that a
/// link leads back to is looked into once.
fn manifests_below(directory: &Path, seen: &mut HashSet<PathBuf>, paths: &mut Vec<PathBuf>) -> Result<(), String> {
    let wrong = |error: std::io::Error| format!("cannot read {}: {error}", directory.display());
    if !seen.insert(directory.canonicalize().map_err(wrong)?) {
        return Ok(());
    }
    if directory.components().count() > MAX_DEPTH || paths.len() > MAX_FILES {
        return Err(format!("{} is too deep, or has too many files", directory.display()));
    }
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(wrong)? {
        entries.push(entry.map_err(wrong)?.path());
    }
    entries.sort();
    for path in entries {
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_manifest = path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known));
        if is_hidden {
            continue;
        }
        if path.is_dir() {
            manifests_below(&path, seen, paths)?;
        } else if is_manifest {
            paths.push(path);
        }
    }
    Ok(())
}

/// Reads one file.
pub(super) fn file(path: &Path) -> Result<String, String> {
    let shown = path.display().to_string();
    let wrong = |error: std::io::Error| format!("cannot read {shown}: {error}");
    let kind = std::fs::metadata(path).map_err(wrong)?.file_type();
    if kind.is_dir() {
        return Err(format!("cannot read {shown}: it is a directory"));
    }
    // To open a pipe waits for somebody to write to it; the shell has opened those of `<(command)` already.
    let is_open = path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd") || path == Path::new("/dev/stdin");
    if !kind.is_file() && !is_open {
        return Err(format!("cannot read {shown}: it is no regular file"));
    }
    text(File::open(path).map_err(wrong)?, &shown)
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
