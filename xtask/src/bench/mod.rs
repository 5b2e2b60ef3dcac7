//! `cargo xtask bench`: measures the figures of docs/performance.md, each beside its reference in the same run.

mod bmcs;
mod containers;
mod cpu;
pub mod design;
mod figure;
mod ipmi;
mod nodes;
mod process;
mod writes;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use figure::Figure;
use slipway_e2e::lab::operator::BINARY;

/// Measure the figures of docs/performance.md.
#[derive(clap::Args)]
pub struct Args {
    /// Which tables; all if none is named.
    tables: Vec<Table>,
}

/// One table of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Table {
    /// ContainerServices on Docker hosts.
    Containers,
    /// Designs and their Nodes.
    Design,
    /// The IPMI client, beside ipmitool.
    Ipmi,
    /// Nodes with BMCs.
    Nodes,
}

/// What is measured is built with optimisation, and apart from this program, which is not: examples, by their package.
const BARE_CLIENT: (&str, &str) = ("slipway-operator", "status_writes");
const FAKE_BMCS: (&str, &str) = ("slipway-fakes", "bmcs");
const IPMI_CLIENT: (&str, &str) = ("slipway-ipmi", "many");

/// Measures, prints the tables, and writes `target/bench/<table>.json`. A goal that is missed is shown, not an error.
pub fn run(args: &Args) -> Result<()> {
    let root = crate::workspace_root()?;
    let all = [Table::Containers, Table::Design, Table::Ipmi, Table::Nodes];
    let tables = if args.tables.is_empty() { all.as_slice() } else { args.tables.as_slice() };
    let operator = tables.iter().any(|table| *table != Table::Ipmi);
    if operator && std::env::var_os(BINARY).is_none() {
        build(&root, &["--package", "slipway-operator"])?;
        return again(&target(&root).join("release/slipway"));
    }
    let runtime = tokio::runtime::Runtime::new()?;
    for table in tables {
        let (name, figures) = match table {
            Table::Containers => ("containers", runtime.block_on(containers::measure())?),
            Table::Design => ("design", runtime.block_on(design::measure())?),
            Table::Ipmi => {
                let (bmcs, many) = (example(&root, FAKE_BMCS)?, example(&root, IPMI_CLIENT)?);
                ("ipmi", runtime.block_on(ipmi::measure(&bmcs, &many))?)
            }
            Table::Nodes => {
                let (bmcs, bare) = (example(&root, FAKE_BMCS)?, example(&root, BARE_CLIENT)?);
                ("nodes", runtime.block_on(nodes::measure(&bmcs, &bare))?)
            }
        };
        print!("{}", figure::table(&figures));
        write(&target(&root).join("bench").join(format!("{name}.json")), &figures)?;
    }
    Ok(())
}

/// Builds an example, and returns where it is.
fn example(root: &Path, (package, name): (&str, &str)) -> Result<PathBuf> {
    build(root, &["--package", package, "--example", name])?;
    Ok(target(root).join("release/examples").join(name))
}

/// What users run is measured: an optimised build.
fn build(root: &Path, what: &[&str]) -> Result<()> {
    eprintln!("bench: building {} with optimisation", what.last().unwrap_or(&""));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(root).args(["build", "--quiet", "--release"]).args(what);
    ensure!(build.status().context("cannot run cargo")?.success(), "the build failed");
    Ok(())
}

/// Runs this command again, with the lab told to use that operator.
fn again(slipway: &Path) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).env(BINARY, slipway);
    ensure!(command.status().context("cannot run xtask again")?.success(), "the measurement failed");
    Ok(())
}

fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into)
}

fn write(path: &Path, figures: &[Figure]) -> Result<()> {
    let shown = path.display();
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))
        .with_context(|| format!("cannot write {shown}"))?;
    std::fs::write(path, serde_json::to_string_pretty(figures)?).with_context(|| format!("cannot write {shown}"))?;
    eprintln!("bench: wrote {shown}");
    Ok(())
}
