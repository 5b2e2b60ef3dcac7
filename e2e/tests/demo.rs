//! `make demo`, as somebody does it who interrupts it, runs it again, and again, and takes it down.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use slipway_e2e::lab::assets::repository;
use slipway_e2e::lab::pages;
use slipway_e2e::lab::process::{Signal, is_alive, send};
use slipway_e2e::lab::{Part, can_run, eventually};

/// A demo of this process's own, so that one that somebody keeps up is left alone.
fn name() -> String {
    format!("demo-test-{}", std::process::id())
}

fn folder() -> PathBuf {
    repository().join(".lab").join(name())
}

fn xtask(command: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(repository()).args(["run", "--quiet", "--package", "xtask", "--"]).args(command);
    cargo.args(["--name", &name()]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    cargo
}

/// Runs a command of the demo, passing on what it says. At the line that starts with `interrupt` it is interrupted.
fn run(command: &[&str], interrupt: Option<&str>) -> Result<String> {
    let mut child = xtask(command).spawn()?;
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().context("no stderr")?).lines() {
        let line = line?;
        eprintln!("{line}");
        if interrupt.is_some_and(|at| line.starts_with(at)) {
            // cargo became the program that it runs: https://doc.rust-lang.org/cargo/commands/cargo-run.html
            send(child.id(), Signal::INT)?;
            break;
        }
        said += &line;
        said.push('\n');
    }
    let status = child.wait()?;
    match interrupt {
        None => ensure!(status.success(), "{command:?} ended with {status}"),
        Some(at) => ensure!(!status.success(), "{command:?} was not interrupted at {at}"),
    }
    Ok(said)
}

/// The numbers of the visits before and after the store was removed.
fn visits(said: &str) -> Result<(u64, u64)> {
    let line = said.lines().find_map(|line| line.strip_prefix("demo: visit ")).context("it says nothing of visits")?;
    let mut numbers = line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(before), Some(after)) => Ok((before, after)),
        _ => bail!("it says {line}"),
    }
}

/// README shows the tables of `kubectl get slipway` with the columns that they have.
fn shows_what_the_readme_shows(state: &Value) -> Result<()> {
    let path = |field: &str| state[field].as_str().map(PathBuf::from).with_context(|| format!("no {field}"));
    let mut get = Command::new(path("kubectl")?.join("kubectl"));
    get.arg("--kubeconfig").arg(path("kubeconfig")?).args(["--namespace", "slipway-demo", "get", "slipway"]);
    let output = get.output()?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let heads = |text: &str| {
        pages::alike(text).lines().filter(|line| line.starts_with("NAME ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let shown = pages::shown("README.md", "kubectl get slipway")?;
    ensure!(
        !heads(&shown).is_empty() && heads(&shown) == heads(&printed),
        "README.md does not show what is printed:\n{printed}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_can_be_interrupted_and_run_again_keeps_its_data_and_leaves_nothing() -> Result<()> {
    if !can_run(&[Part::Cluster, Part::Docker]) {
        return Ok(());
    }
    let up = ["demo", "--own-engine"];
    let outcome = tokio::task::block_in_place(|| {
        run(&up, Some("lab: starting the operator"))?;
        let (_, first) = visits(&run(&up, None)?)?;
        let (second, _) = visits(&run(&up, None)?)?;
        ensure!(second > first, "visit {second} came after visit {first}: the data is lost");
        let state: Value = serde_json::from_slice(&std::fs::read(folder().join("state.json"))?)?;
        shows_what_the_readme_shows(&state)?;
        Ok(state)
    });
    let down = tokio::task::block_in_place(|| run(&["demo-down"], None));
    let state = outcome?;
    down?;
    ensure!(!folder().exists(), "{} is left", folder().display());
    let keeper = u32::try_from(state["pid"].as_u64().context("no pid")?)?;
    let socket = PathBuf::from(state["hosts"][0]["socket"].as_str().context("the demo has no engine of its own")?);
    let host = socket.parent().context("no directory")?.to_owned();
    eventually("what the demo ran on to be gone", Duration::from_mins(1), || async {
        ensure!(!is_alive(keeper), "process {keeper} is left");
        ensure!(!host.exists(), "{} is left", host.display());
        Ok(())
    })
    .await
}
