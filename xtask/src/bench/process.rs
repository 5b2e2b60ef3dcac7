//! What a process has used, by `/proc`.

use anyhow::{Context, Result};

/// What the kernel counts CPU time in; fixed on Linux (`USER_HZ`).
pub const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time of a process, `proc_pid_stat(5)`.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    times(pid, 11)
}

/// User and system time of the children of this process that have ended.
pub fn cpu_seconds_of_children() -> Result<f64> {
    times(std::process::id(), 13)
}

/// Two of the times in `stat`: the field with this index behind the program's name, and the next.
fn times(pid: u32, field: usize) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the program's name in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat has another form")?;
    let ticks = fields.split_whitespace().skip(field).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_SECOND)
}

/// Resident memory of a process in MiB.
pub fn resident_mib(pid: u32) -> Result<f64> {
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

    #[test]
    fn children_count_once_they_have_ended() {
        let before = cpu_seconds_of_children().unwrap();
        while cpu_seconds_of_children().unwrap() <= before {
            std::process::Command::new("/proc/self/exe").arg("--list").output().unwrap();
        }
    }
}
