//! The figures of the IPMI client, beside ipmitool: a thousand BMCs, suite 17.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use slipway_e2e::lab::prerequisites::{self, Part};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::bmcs::{Bmcs, LOGIN};
use super::figure::Figure;
use super::process::cpu_seconds_of_children;

/// BMCs, all at once.
const COUNT: u32 = 1000;
/// Rounds over all of them; the one in the middle counts.
const ROUNDS: u32 = 21;
/// Runs of ipmitool side by side.
const AT_ONCE: usize = 50;
/// Reads of ipmitool in one session.
const IN_ONE_SESSION: u32 = 2000;

/// What one step took for all BMCs.
#[derive(Clone, Copy, Deserialize)]
struct Cost {
    /// Time in seconds.
    seconds: f64,
    /// CPU in seconds.
    cpu: f64,
}

/// What the client took.
#[derive(Deserialize)]
struct Ours {
    open: Cost,
    read: Cost,
    close: Cost,
}

/// What ipmitool takes.
struct Theirs {
    /// For all BMCs.
    all: Cost,
    /// CPU in seconds of one more read in a session.
    read: f64,
}

/// Measures them. `bmcs` and `many` are the examples of `slipway-fakes` and `slipway-ipmi`.
pub async fn measure(bmcs: &Path, many: &Path) -> Result<Vec<Figure>> {
    prerequisites::require(Part::Ipmi)?;
    eprintln!("bench: {COUNT} fake BMCs in a process of their own");
    let bmcs = Bmcs::start(bmcs, COUNT as usize).await?;
    eprintln!("bench: their power, {ROUNDS} times, by slipway-ipmi");
    let ours = ours(many, &bmcs).await?;
    eprintln!("bench: the same by ipmitool, {AT_ONCE} at a time");
    let theirs = Theirs { all: theirs(&bmcs).await?, read: in_one_session(&bmcs).await? };
    Ok(figures(&ours, &theirs))
}

fn figures(ours: &Ours, theirs: &Theirs) -> Vec<Figure> {
    let each = |seconds: f64| seconds / f64::from(COUNT);
    let micro = |seconds: f64| seconds * 1e6;
    let (run, read) = (each(theirs.all.cpu), each(ours.read.cpu));
    let setup = each(ours.open.cpu + ours.close.cpu);
    let their_setup = run - theirs.read;
    vec![
        Figure::new("power of 1000 BMCs, read in live sessions of suite 17", ours.read.seconds, "s", 1.0).beside(
            "ipmitool power status, 50 at a time",
            theirs.all.seconds,
            "s",
        ),
        Figure::new("CPU of a read", micro(read), "µs", micro(run / 50.0)).beside(
            "ipmitool power status",
            micro(run),
            "µs",
        ),
        Figure::new("CPU of a read over ipmitool's", read / run, "", 1.0 / 50.0),
        Figure::new("CPU of a read over that of one more read in a session of ipmitool", read / theirs.read, "", 1.0)
            .beside("one more read in ipmitool exec", micro(theirs.read), "µs"),
        Figure::new("CPU of session set-up and end, suite 17, over ipmitool's", setup / their_setup, "", 0.1).beside(
            "ipmitool power status less a read",
            micro(their_setup),
            "µs",
        ),
        Figure::new("1000 sessions of suite 17 opened at once", ours.open.seconds, "s", 1.0),
    ]
}

async fn ours(program: &Path, bmcs: &Bmcs) -> Result<Ours> {
    let mut many = Command::new(program)
        .arg(ROUNDS.to_string())
        .env("IPMI_USERNAME", LOGIN.0)
        .env("IPMI_PASSWORD", LOGIN.1)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let mut stdin = many.stdin.take().context("no standard input")?;
    for port in &bmcs.ports {
        stdin.write_all(format!("127.0.0.1:{port}\n").as_bytes()).await?;
    }
    drop(stdin);
    let output = many.wait_with_output().await?;
    ensure!(output.status.success(), "{} failed; see above", program.display());
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// `ipmitool power status` of each BMC.
async fn theirs(bmcs: &Bmcs) -> Result<Cost> {
    let (begun, before) = (Instant::now(), cpu_seconds_of_children()?);
    let runs = bmcs.ports.iter().map(|port| ipmitool(*port, &["power", "status"]));
    stream::iter(runs).buffer_unordered(AT_ONCE).try_for_each(|()| std::future::ready(Ok(()))).await?;
    Ok(Cost { seconds: begun.elapsed().as_secs_f64(), cpu: cpu_seconds_of_children()? - before })
}

/// CPU of one more read in a session that is open.
async fn in_one_session(bmcs: &Bmcs) -> Result<f64> {
    let port = *bmcs.ports.first().context("no BMC")?;
    let script = tempfile::NamedTempFile::new()?;
    std::fs::write(script.path(), "power status\n".repeat(IN_ONE_SESSION as usize))?;
    let path = script.path().to_str().context("the path of a temporary file is not UTF-8")?;
    let before = cpu_seconds_of_children()?;
    ipmitool(port, &["exec", path]).await?;
    Ok((cpu_seconds_of_children()? - before) / f64::from(IN_ONE_SESSION))
}

async fn ipmitool(port: u16, args: &[&str]) -> Result<()> {
    let port = port.to_string();
    let output = Command::new("ipmitool")
        .args(["-I", "lanplus", "-C", "17", "-H", "127.0.0.1", "-p", &port, "-U", LOGIN.0, "-E"])
        .args(args)
        .env("IPMI_PASSWORD", LOGIN.1)
        .stdin(Stdio::null())
        .output()
        .await
        .context("cannot run ipmitool")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && said.contains("Chassis Power is"), "ipmitool: {said}");
    Ok(())
}
