//! Commands for people who work on Slipway.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

mod bench;
mod demo;
mod generate;
mod lab;
mod test;

/// Commands for people who work on Slipway.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure the figures of docs/performance.md.
    Bench(bench::Args),
    /// Build Slipway, start an API server and the operator, and run a service on Docker.
    Demo(demo::Args),
    /// Take the demo down; nothing of it is left.
    DemoDown(demo::Which),
    /// Print a site of that many nodes, the same each time.
    GenerateSite(bench::design::site::Args),
    /// Write the files that are made from code: crds/, and the field tables of docs/.
    Generate(generate::Args),
    /// Keep an API server, Docker hosts and the operator running, to try things on.
    Lab(lab::Args),
    /// Run everything that CI runs.
    Test(test::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Bench(args) => bench::run(&args),
        Command::Demo(args) => demo::up(&args),
        Command::DemoDown(which) => demo::down(&which),
        Command::GenerateSite(args) => bench::design::site::print(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Lab(args) => lab::run(&args),
        Command::Test(args) => test::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Where the workspace is, as cargo says at run time: a binary may be run in another checkout than it was built in.
fn workspace_root() -> anyhow::Result<PathBuf> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`")?;
    let root = PathBuf::from(package).parent().map(PathBuf::from);
    root.context("xtask lies in no workspace")
}
