//! `cargo xtask bench`: measures the figures of docs/performance.md, each beside its reference in the same run.

mod containers;
pub mod design;
mod figure;

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
}

/// Measures, prints the tables, and writes `target/bench/<table>.json`. A goal that is missed is shown, not an error.
pub fn run(args: &Args) -> Result<()> {
    let root = crate::workspace_root()?;
    let tables = if args.tables.is_empty() { &[Table::Containers, Table::Design] } else { args.tables.as_slice() };
    if std::env::var_os(BINARY).is_none() {
        return again(&release_build(&root)?);
    }
    let runtime = tokio::runtime::Runtime::new()?;
    for table in tables {
        let (name, figures) = match table {
            Table::Containers => ("containers", runtime.block_on(containers::measure())?),
            Table::Design => ("design", runtime.block_on(design::measure())?),
        };
        print!("{}", figure::table(&figures));
        write(&target(&root).join("bench").join(format!("{name}.json")), &figures)?;
    }
    Ok(())
}

/// What users run is measured: an optimised build.
fn release_build(root: &Path) -> Result<PathBuf> {
    eprintln!("bench: building slipway with optimisation");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(root).args(["build", "--quiet", "--release", "--package", "slipway-operator"]);
    ensure!(build.status().context("cannot run cargo")?.success(), "the build failed");
    Ok(target(root).join("release/slipway"))
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
