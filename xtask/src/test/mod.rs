//! `cargo xtask test`: everything that CI runs.

mod programs;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use slipway_e2e::lab::assets::{cached, repository, with_progress};
use slipway_e2e::lab::prerequisites::{self, Part};
use slipway_e2e::lab::run::{abandoned, output};

/// What the licences, bans and sources of dependencies are checked with.
const CARGO_DENY: &str = "0.20.2";

/// Crates that must stay free of I/O, and what would bring it in.
const PURE: [&str; 2] = ["slipway-api", "slipway-plan"];
const IMPURE: [&str; 4] = ["tokio", "hyper", "reqwest", "rustls"];

/// Run everything that CI runs: format, clippy, cargo deny, generated files, unit and end-to-end tests.
#[derive(clap::Args)]
pub struct Args {
    /// Also the full product of faults and crash points on real engines. May take an hour.
    #[arg(long)]
    full: bool,
}

/// How many checks and tests have passed and failed, and how long each step took.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    failures: Vec<String>,
    times: Vec<(String, Duration)>,
}

/// Runs everything, prints what failed, and as the last line how many passed and failed.
pub fn run(args: &Args) -> Result<()> {
    let began = Instant::now();
    let mut tally = Tally::default();
    tally.check("format", || succeed(cargo(&["fmt", "--all", "--check"])));
    tally.check("clippy", || {
        succeed(cargo(&["clippy", "--workspace", "--all-targets", "--keep-going", "--", "-D", "warnings"]))
    });
    tally.check("cargo deny", dependencies);
    tally.check("api and plan without I/O", purity);
    tally.check("generated files", || succeed(cargo(&["xtask", "generate", "--check"])));
    // The fake BMC's own tests need it before those of the lab, which installs what it needs by itself.
    tally.check("ipmitool", || prerequisites::require(Part::Ipmi));
    tally.tests(args.full);
    tally.check("nothing is left", leftovers);
    for failure in &tally.failures {
        eprintln!("FAILED {failure}");
    }
    tally.times.push(("all".to_owned(), began.elapsed()));
    for (step, time) in &tally.times {
        eprintln!("test: {:>7.1} s  {step}", time.as_secs_f64());
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    ensure!(tally.failed == 0, "see above");
    Ok(())
}

impl Tally {
    fn check(&mut self, name: &str, check: impl FnOnce() -> Result<()>) {
        eprintln!("test: {name}");
        let began = Instant::now();
        match check() {
            Ok(()) => self.passed += 1,
            Err(error) => self.fail(format!("{name}: {error:#}")),
        }
        self.times.push((name.to_owned(), began.elapsed()));
    }

    fn fail(&mut self, what: String) {
        self.failed += 1;
        self.failures.push(what);
    }

    /// Runs the unit tests and the end-to-end tests, passing on what they print and counting.
    fn tests(&mut self, full: bool) {
        eprintln!("test: building the tests");
        let began = Instant::now();
        let built = programs::build();
        self.times.push(("building the tests".to_owned(), began.elapsed()));
        match built {
            Ok(built) => built.run(full).into_iter().for_each(|tally| self.add(tally)),
            Err(error) => self.fail(format!("building the tests: {error:#}")),
        }
        self.add(programs::doc_tests());
        // What takes no time need not be told.
        self.times.retain(|(_, time)| *time >= Duration::from_millis(500));
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.times.extend(other.times);
    }

    /// Reads a line of a test program.
    fn count(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failures.push(name.to_owned());
        }
        let Some(counts) = line.strip_prefix("test result: ") else { return };
        for part in counts.split([';', '.']) {
            match part.split_whitespace().collect::<Vec<_>>().as_slice() {
                [number, "passed"] => self.passed += number.parse().unwrap_or(0),
                [number, "failed"] => self.failed += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

fn cargo(args: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(repository()).args(args).stdin(Stdio::null());
    cargo
}

fn succeed(mut command: Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    ensure!(status.success(), "see above ({status})");
    Ok(())
}

/// Licences, bans and sources of all dependencies.
fn dependencies() -> Result<()> {
    let mut deny = Command::new(cargo_deny()?);
    deny.current_dir(repository()).args(["--log-level", "error", "check", "bans", "licenses", "sources"]);
    succeed(deny)
}

/// The pinned cargo-deny: the installed one if it is that, else from the cache, else built.
fn cargo_deny() -> Result<PathBuf> {
    let said = output(Command::new("cargo-deny").arg("--version")).unwrap_or_default();
    if said.split_whitespace().nth(1) == Some(CARGO_DENY) {
        return Ok(PathBuf::from("cargo-deny"));
    }
    let dir = cached(&format!("cargo-deny-{CARGO_DENY}"), |dir| {
        let mut install = cargo(&["install", "--locked", "--quiet", "--version", CARGO_DENY, "cargo-deny", "--root"]);
        install.arg(dir).env_remove("CARGO_TARGET_DIR");
        with_progress(&format!("building cargo-deny {CARGO_DENY}"), &mut install)
    })?;
    Ok(dir.join("bin/cargo-deny"))
}

/// `api` and `plan` have no async runtime and no HTTP or TLS in their tree.
fn purity() -> Result<()> {
    for package in PURE {
        let tree = output(&mut cargo(&["tree", "--package", package, "--edges", "normal", "--prefix", "none"]))?;
        ensure!(tree.lines().count() > 5, "cargo tree shows nothing of {package}");
        let found = tree.lines().filter_map(|line| line.split(' ').next()).find(|name| IMPURE.contains(name));
        if let Some(name) = found {
            bail!("{package} depends on {name}; see: cargo tree --package {package} --invert {name}");
        }
    }
    Ok(())
}

/// Nothing of the lab is there once the tests have ended. A lab that somebody keeps up is not the tests'.
fn leftovers() -> Result<()> {
    // Those who clean up after a test program that was killed may still be at it.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let left = abandoned()?;
        if left.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{}", left.join(", "));
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted() {
        let mut tally = Tally::default();
        for line in [
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        ] {
            tally.count(line);
        }
        assert_eq!((tally.passed, tally.failed, tally.failures), (15, 1, vec!["a::c".to_owned()]));
    }
}
