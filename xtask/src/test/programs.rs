//! The test programs of the workspace: built once, then run in lanes. All lanes but one take those that wait for most of their time,
//! the last one those that compute, so that there is always something to compute and never much of it at a time.

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

/// Lanes of programs that wait.
const WAITING_LANES: usize = 2;
/// Tests of one program that run at one time, at least.
const TESTS_AT_ONCE: usize = 6;
/// And of one whose tests wait for most of their time, for engines and for an operator.
const WAITING_TESTS_AT_ONCE: usize = 8;
/// Those that wait for long, the longest first: what begins late ends late.
const LONGEST: [&str; 8] = [
    "e2e/container_service",
    "e2e/compose_parity",
    "e2e/node_crash",
    "e2e/node_faults",
    "e2e/node_life",
    "e2e/redfish_sushy",
    "e2e/design",
    "fakes/docker_real",
];
/// Those that compute for long, the longest last: they are taken from the end.
const COMPUTING: [&str; 4] = ["operator/cli", "plan/simulation", "operator/faults_containers", "plan/rollout"];

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
    built.programs.sort_by_key(Program::place);
    Ok(built)
}

impl Built {
    /// Runs all of them.
    pub(super) fn run(self, full: bool) -> Vec<Tally> {
        let Self { programs, slipway } = self;
        let queue = Mutex::new(VecDeque::from(programs));
        let lane = |next: fn(&mut VecDeque<Program>) -> Option<Program>| {
            let mut tallies = Vec::new();
            loop {
                let next = next(&mut queue.lock().unwrap_or_else(PoisonError::into_inner));
                let Some(program) = next else { break tallies };
                tallies.push(watch(&program.name, &mut program.command(slipway.as_deref(), full)));
            }
        };
        let lane = &lane;
        std::thread::scope(|scope| {
            let waiting = (0..WAITING_LANES).map(|_| scope.spawn(move || lane(VecDeque::pop_front)));
            let computing = scope.spawn(move || lane(VecDeque::pop_back));
            let lanes: Vec<_> = waiting.chain([computing]).collect();
            lanes.into_iter().flat_map(|lane| lane.join().unwrap_or_default()).collect()
        })
    }
}

impl Program {
    fn is_waiting(&self) -> bool {
        self.name.starts_with("e2e/")
    }

    /// Where it stands in the queue.
    fn place(&self) -> (usize, bool, usize) {
        let place = |list: &[&str]| list.iter().position(|name| *name == self.name);
        (place(&LONGEST).unwrap_or(LONGEST.len()), !self.is_waiting(), place(&COMPUTING).map_or(0, |place| place + 1))
    }

    /// As cargo would run it.
    fn command(&self, slipway: Option<&Path>, full: bool) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(&self.package).env("CARGO_MANIFEST_DIR", &self.package).stdin(Stdio::null());
        let least = if self.is_waiting() { WAITING_TESTS_AT_ONCE } else { TESTS_AT_ONCE };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).max(least);
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
