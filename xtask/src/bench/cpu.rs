//! Where the CPU goes: the time of this process and of all that it started, by program.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;

use anyhow::{Context, Result};

use super::process::TICKS_PER_SECOND;

/// Programs that took less than this many seconds are not named.
const WORTH_NAMING: f64 = 0.5;

/// Seconds by program, with those of children that it has waited for.
pub struct Cpu(BTreeMap<String, f64>);

/// One line of `/proc/PID/stat`.
struct Process {
    parent: u32,
    program: String,
    seconds: f64,
}

impl Cpu {
    /// What was used until now.
    pub fn now() -> Result<Self> {
        let mut processes = HashMap::new();
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            // A process may end while it is looked at.
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            processes.insert(pid, Process::read(&stat)?);
        }
        let me = std::process::id();
        let mut sum = BTreeMap::new();
        for (pid, process) in &processes {
            if descends(&processes, *pid, me) {
                *sum.entry(process.program.clone()).or_default() += process.seconds;
            }
        }
        Ok(Self(sum))
    }

    /// What was used since then.
    pub fn since(&self, before: &Self) -> Self {
        let used = |(program, seconds): (&String, &f64)| {
            (program.clone(), seconds - before.0.get(program).copied().unwrap_or_default())
        };
        Self(self.0.iter().map(used).collect())
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s", self.0.values().sum::<f64>())?;
        for (program, seconds) in self.0.iter().filter(|(_, seconds)| **seconds >= WORTH_NAMING) {
            write!(f, ", {program} {seconds:.1}")?;
        }
        Ok(())
    }
}

impl Process {
    fn read(stat: &str) -> Result<Self> {
        let other = || "/proc/PID/stat has another form";
        // The second field is the program's name in parentheses and may hold anything.
        let (head, fields) = stat.rsplit_once(')').with_context(other)?;
        let (_, program) = head.split_once('(').with_context(other)?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = fields.get(11..15).with_context(other)?.iter().map(|field| field.parse::<f64>());
        Ok(Self {
            parent: fields.get(1).with_context(other)?.parse()?,
            program: program.to_owned(),
            seconds: ticks.sum::<Result<f64, _>>()? / TICKS_PER_SECOND,
        })
    }
}

fn descends(processes: &HashMap<u32, Process>, mut pid: u32, from: u32) -> bool {
    while pid != from {
        match processes.get(&pid) {
            Some(process) => pid = process.parent,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_counts_and_its_parent_does_not() {
        let before = Cpu::now().unwrap();
        let mut sum = 0u64;
        while Cpu::now().unwrap().since(&before).0.values().sum::<f64>() < 0.02 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let processes = HashMap::from([
            (1, Process::read("1 (init) S 0 0 0 0 0 0 0 0 0 0 1 2 3 4 0").unwrap()),
            (7, Process::read("7 (a) b) S 1 0 0 0 0 0 0 0 0 0 100 0 0 0 0").unwrap()),
        ]);
        assert!(descends(&processes, 7, 1) && !descends(&processes, 1, 7));
        assert_eq!((processes[&7].program.as_str(), processes[&7].seconds), ("a) b", 1.0));
    }
}
