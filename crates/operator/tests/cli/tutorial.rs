//! The tutorial, carried out: its files are written, its commands are run, and what they print must be what the page says.
//!
//! `SLIPWAY_UPDATE_DOCS=1` writes what they print into the page.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tutorial-design.md")
}

/// Runs a command as a reader would, with `slipway` on the path; both of its outputs, in their order.
fn run(directory: &Path, command: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_slipway")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let script = format!("exec 2>&1\n{command}\n");
    let ran = Command::new("sh").args(["-c", &script]).current_dir(directory).env("PATH", path).output().unwrap();
    String::from_utf8(ran.stdout).unwrap()
}

/// The page with what its commands print now.
fn carried_out(page: &str, directory: &Path) -> String {
    let mut out = String::new();
    let mut lines = page.lines().peekable();
    let mut last = "";
    while let Some(line) = lines.next() {
        writeln!(out, "{line}").unwrap();
        match line {
            "```yaml" => {
                let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
                let name = last.strip_prefix('`').and_then(|name| name.strip_suffix("`:"));
                let path = directory.join(name.expect("a line with the file's name before its block"));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, block.join("\n") + "\n").unwrap();
                writeln!(out, "{}\n```", block.join("\n")).unwrap();
            }
            "```console" => {
                for line in lines.by_ref().take_while(|line| *line != "```") {
                    if let Some(command) = line.strip_prefix("$ ") {
                        write!(out, "{line}\n{}", run(directory, command)).unwrap();
                    }
                }
                out += "```\n";
            }
            _ => {}
        }
        if !line.is_empty() {
            last = line;
        }
    }
    out
}

#[test]
fn the_tutorial_does_what_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let written = fs::read_to_string(page()).unwrap();
    let carried_out = carried_out(&written, directory.path());
    if std::env::var_os("SLIPWAY_UPDATE_DOCS").is_some() {
        fs::write(page(), &carried_out).unwrap();
    }
    for (number, (written, printed)) in written.lines().zip(carried_out.lines()).enumerate() {
        assert_eq!(written, printed, "docs/tutorial-design.md:{}", number + 1);
    }
    assert_eq!(written.lines().count(), carried_out.lines().count());
    assert!(carried_out.matches("\n$ slipway ").count() >= 8, "the commands were not found");
}
