//! What 300 services cost while nothing changes.

use std::time::Duration;

use anyhow::{Context, Result};

use super::super::figure::Figure;
use super::site::Site;

/// How long nothing is done.
const REST: Duration = Duration::from_mins(2);
/// What the kernel counts CPU time in; fixed on Linux (`USER_HZ`).
pub(super) const TICKS_PER_SECOND: f64 = 100.0;

/// API writes, CPU and memory at rest.
pub async fn measure(site: &Site) -> Result<[Figure; 3]> {
    eprintln!("bench: {REST:?} of rest with 300 services");
    let pid = site.operator.pid();
    site.told().await?;
    let (writes, cpu) = (site.api_writes().await?, cpu_seconds(pid)?);
    tokio::time::sleep(REST).await;
    let (writes, cpu) = (site.api_writes().await? - writes, cpu_seconds(pid)? - cpu);
    Ok([
        Figure::count("idle, 300 services: API writes in 2 min", writes, "", 0),
        Figure::new("idle, 300 services: CPU in 2 min", cpu, "s", 0.2),
        Figure::new("idle, 300 services: resident memory", resident_mib(pid)?, "MiB", 40.0),
    ])
}

/// User and system time of a process, `proc_pid_stat(5)`.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the program's name in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat has another form")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_SECOND)
}

fn resident_mib(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_uses_cpu_and_memory() {
        let pid = std::process::id();
        let before = cpu_seconds(pid).unwrap();
        let mut sum = 0u64;
        while cpu_seconds(pid).unwrap() < before + 0.02 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(resident_mib(pid).unwrap() > 0.5);
    }
}
