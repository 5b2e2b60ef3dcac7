//! Runs the program on files that are written for it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub fn slipway(directory: &Path, arguments: &[&str], stdin: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_slipway"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("KUBECONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its input may close it early.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    Ran {
        code: status.code().expect("it was killed"),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

pub fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

/// The site that users are given as an example.
pub fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/samples/lab")
}

/// A file of the sample, with texts replaced; each must occur, and is replaced once.
pub fn sample_file(name: &str, changes: &[(&str, &str)]) -> String {
    let mut text = fs::read_to_string(sample().join(name)).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "`{from}` is not in {name}");
        text = text.replacen(from, to, 1);
    }
    text
}

/// The sample in a directory `site`, with changes of its files.
pub fn changed(changes: &[(&str, &[(&str, &str)])]) -> tempfile::TempDir {
    let of = |name: &str| changes.iter().find(|(file, _)| *file == name).map_or(&[][..], |(_, changes)| *changes);
    let files: Vec<(String, String)> = ["design.yaml", "racks.yaml", "nodes.yaml", "secrets.yaml"]
        .map(|name| (format!("site/{name}"), sample_file(name, of(name))))
        .into();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    directory(&files)
}

/// A small site in one text: a Design with `spec`, and Nodes.
pub fn site(spec: &str) -> String {
    format!("apiVersion: slipway.dev/v1alpha1\nkind: Design\nmetadata: {{name: lab}}\nspec:\n{spec}")
}
