//! Reading, compiling and validating sites of 1000 and 10 000 nodes, without an API server.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use slipway_e2e::lab::operator::BINARY;

use super::site;
use crate::bench::figure::Figure;
use crate::bench::target;

const NODES: usize = 1000;
/// Processes of each kind; their CPU time is known in hundredths of a second, so it takes many.
const PROCESSES: usize = 40;

/// Measures all of them.
pub fn measure(root: &Path) -> Result<Vec<Figure>> {
    let measuring = build(root)?;
    let folder = tempfile::tempdir().context("cannot make a folder for the sites")?;
    let at = |name| folder.path().join(name);
    let [documents, objects, large] = ["documents.yaml", "objects.yaml", "large.yaml"].map(at);
    for (nodes, documents, objects) in [(NODES * 10, &documents, &large), (NODES, &documents, &objects)] {
        std::fs::write(documents, site::documents(nodes)).context("cannot write a site")?;
        let imported = printed(Command::new(&measuring).arg("objects").arg(documents))?;
        std::fs::write(objects, imported).context("cannot write a site")?;
    }
    let times = printed(Command::new(&measuring).arg("times").args([&documents, &objects, &large]))?;
    let mut figures = of_times(&serde_json::from_str(&times).context("the times are no JSON")?)?;
    figures.push(processes(&measuring, &objects)?);
    let bytes: f64 = printed(Command::new(&measuring).arg("memory").arg(&objects))?.trim().parse()?;
    figures.push(Figure::new("1000 Nodes read, compiled and validated: peak memory", mebibytes(bytes), "MiB", 50.0));
    Ok(figures)
}

fn build(root: &Path) -> Result<PathBuf> {
    eprintln!("bench: building the measurement with optimisation");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(root).args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "slipway-plan",
        "--example",
        "measure",
    ]);
    ensure!(build.status().context("cannot run cargo")?.success(), "the build failed");
    Ok(target(root).join("release/examples/measure"))
}

fn printed(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn of_times(times: &Value) -> Result<Vec<Figure>> {
    let milliseconds = |key: &str| -> Result<f64> {
        let nanoseconds = times[key].as_f64().with_context(|| format!("the times lack {key}"))?;
        Ok((nanoseconds / 1e4).round() / 100.0)
    };
    let ratio = |of: &str, over: &str| -> Result<f64> { Ok(hundredths(milliseconds(of)? / milliseconds(over)?)) };
    let compile = milliseconds("compile")?;
    Ok(vec![
        Figure::new("1000 Nodes: compile and validate, CPU", compile, "ms", 20.0).beside(
            "drydock (published)",
            610.0,
            "ms",
        ),
        Figure::new("1000 Nodes: parse with places, over a bare parse", ratio("parseObjects", "bareObjects")?, "", 1.5)
            .beside("a bare parse of the objects", milliseconds("bareObjects")?, "ms"),
        Figure::new("the same of drydock's documents", ratio("parseDocuments", "bareDocuments")?, "", 1.5).beside(
            "a bare parse of the documents",
            milliseconds("bareDocuments")?,
            "ms",
        ),
        Figure::new(
            "drydock's documents of 1000 nodes: import, compile and validate, CPU",
            milliseconds("drydock")?,
            "ms",
            1830.0,
        )
        .beside("drydock (published)", 1830.0, "ms"),
        Figure::new("10 000 Nodes over 1000: compile and validate", ratio("compileLarge", "compile")?, "", 12.0)
            .beside("1000 Nodes", compile, "ms"),
        Figure::new("one Node of 1000 changed: recompile, CPU", milliseconds("oneNode")?, "ms", 1.0).beside(
            "all findings of the site anew",
            milliseconds("allFindings")?,
            "ms",
        ),
    ])
}

/// CPU of whole processes: `slipway check` over one that only parses.
fn processes(measuring: &Path, objects: &Path) -> Result<Figure> {
    let slipway = std::env::var_os(BINARY).context("no slipway to measure")?;
    let check = cpu_of(|| {
        let mut command = Command::new(&slipway);
        command.arg("check").arg("-f").arg(objects);
        command
    })?;
    let parse = cpu_of(|| {
        let mut command = Command::new(measuring);
        command.arg("parse").arg(objects);
        command
    })?;
    let figure = Figure::new(
        "`slipway check` of 1000 Nodes, over a process that only parses",
        hundredths(check / parse),
        "",
        2.0,
    );
    Ok(figure.beside("a process that only parses", hundredths(parse), "ms"))
}

/// Milliseconds of CPU of one process, of many.
fn cpu_of(command: impl Fn() -> Command) -> Result<f64> {
    let before = of_children()?;
    for _ in 0..PROCESSES {
        printed(&mut command())?;
    }
    // Both are small.
    #[allow(clippy::cast_precision_loss)]
    let each = (of_children()? - before) as f64 * 10.0 / PROCESSES as f64;
    Ok(each)
}

/// Hundredths of a second that children which have ended took (proc(5): `cutime` and `cstime` of `/proc/self/stat`).
fn of_children() -> Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat")?;
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let taken = fields.split_whitespace().skip(13).take(2).map(str::parse::<u64>);
    taken.sum::<Result<u64, _>>().context("cannot read the times of /proc/self/stat")
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn mebibytes(bytes: f64) -> f64 {
    hundredths(bytes / f64::from(1 << 20))
}
