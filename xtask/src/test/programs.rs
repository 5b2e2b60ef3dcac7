//! The test programs of the workspace: built once, then run two at a time, since those that wait leave the machine to those that
//! compute.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use slipway_e2e::lab::assets::repository;
use slipway_e2e::lab::operator;

use super::{Tally, cargo};

/// Programs that run at one time.
const PROGRAMS_AT_ONCE: usize = 2;
/// Tests of one program that run at one time, at least: most of an end-to-end test is waiting.
const TESTS_AT_ONCE: usize = 6;
/// The program that takes longest begins first.
const LONGEST: &str = "e2e/container_service";

/// What was built.
pub(super) struct Built {
    programs: Vec<Program>,
    /// The operator's binary: the tests need not build another.
    slipway: Option<PathBuf>,
}

/// A test program.
struct Program {
    /// Its package's directory and its own name.
    name: String,
    path: PathBuf,
    package: PathBuf,
}

/// A line of cargo's `--message-format=json`, as far as it matters here:
/// <https://doc.rust-lang.org/cargo/reference/external-tools.html#artifact-messages>.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Builds every test program of the workspace.
pub(super) fn build() -> Result<Built> {
    let mut command = cargo(&["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]);
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let mut built = Built { programs: Vec::new(), slipway: None };
    for line in BufReader::new(child.stdout.take().context("no output")?).lines() {
        let Ok(message) = serde_json::from_str::<Message>(&line?) else { continue };
        let (Some(path), Some(manifest), Some(target)) = (message.executable, message.manifest_path, message.target)
        else {
            continue;
        };
        if message.profile.is_some_and(|profile| profile.test) {
            let package = manifest.parent().unwrap_or(Path::new("/")).to_owned();
            let directory = package.file_name().unwrap_or_default().to_string_lossy();
            let name = format!("{directory}/{}", target.name);
            built.programs.push(Program { name, path, package });
        } else if target.name == "slipway" {
            built.slipway = Some(path);
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "see above ({status})");
    ensure!(!built.programs.is_empty(), "cargo built no test program");
    built.programs.sort_by_key(|program| (program.name != LONGEST, !program.name.starts_with("e2e/")));
    Ok(built)
}

impl Built {
    /// Runs all of them.
    pub(super) fn run(self, full: bool) -> Vec<Tally> {
        let Self { programs, slipway } = self;
        let queue = Mutex::new(VecDeque::from(programs));
        let lane = || {
            let mut tallies = Vec::new();
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some(program) = next else { break tallies };
                tallies.push(watch(&program.name, &mut program.command(slipway.as_deref(), full)));
            }
        };
        std::thread::scope(|scope| {
            let lanes: Vec<_> = (0..PROGRAMS_AT_ONCE).map(|_| scope.spawn(lane)).collect();
            lanes.into_iter().flat_map(|lane| lane.join().unwrap_or_default()).collect()
        })
    }
}

impl Program {
    /// As cargo would run it.
    fn command(&self, slipway: Option<&Path>, full: bool) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(&self.package).env("CARGO_MANIFEST_DIR", &self.package).stdin(Stdio::null());
        let threads = std::thread::available_parallelism().map_or(1, usize::from).max(TESTS_AT_ONCE);
        command.env("RUST_TEST_THREADS", threads.to_string());
        if let Some(slipway) = slipway {
            command.env(operator::BINARY, slipway);
        }
        if full {
            command.env("SLIPWAY_TEST_FULL", "1").arg("--include-ignored");
        }
        command
    }
}

/// Runs the examples in the crates' documentation.
pub(super) fn doc_tests() -> Tally {
    watch("documentation", cargo(&["test", "--quiet", "--workspace", "--doc"]).current_dir(repository()))
}

/// Runs a program of tests, passing on what it prints and counting.
fn watch(name: &str, command: &mut Command) -> Tally {
    eprintln!("test: {name}");
    let (mut tally, began) = (Tally::default(), Instant::now());
    let ended = follow(command, &mut tally);
    tally.times.push((name.to_owned(), began.elapsed()));
    match ended {
        Ok(true) => {}
        Ok(false) if tally.failed > 0 => {}
        Ok(false) => tally.fail(format!("{name} ended without saying which test failed")),
        Err(error) => tally.fail(format!("{name}: {error:#}")),
    }
    tally
}

fn follow(command: &mut Command, tally: &mut Tally) -> Result<bool> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run it")?;
    for line in BufReader::new(child.stdout.take().context("no output")?).split(b'\n') {
        let line = line?;
        let mut out = std::io::stdout().lock();
        out.write_all(&line)?;
        out.write_all(b"\n")?;
        drop(out);
        tally.count(&String::from_utf8_lossy(&line));
    }
    Ok(child.wait()?.success())
}
