//! Daemons that the lab starts, and how they end.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
pub use rustix::process::Signal;
use rustix::process::{Pid, PidfdFlags, kill_process, pidfd_open, pidfd_send_signal};

/// A process of the lab with its log. It is killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    /// The daemon itself, where `child` is only what put it into its namespaces.
    pid: u32,
    /// Stands for this process alone. Its number is given to another one once it is dead, within minutes where containers are
    /// started all the time.
    handle: OwnedFd,
    log: PathBuf,
}

impl Daemon {
    /// Starts a daemon that writes to `log` (appended to).
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name} ({})", command.get_program().to_string_lossy()))?;
        let pid = child.id();
        Ok(Self { name: name.to_owned(), child, pid, handle: handle(pid)?, log: log.to_owned() })
    }

    /// Starts a daemon by way of a program that forks it, such as `nsenter --pid`.
    pub fn start_forked(name: &str, command: Command, log: &Path) -> Result<Self> {
        let mut daemon = Self::start(name, command, log)?;
        let children = format!("/proc/{0}/task/{0}/children", daemon.child.id());
        let deadline = Instant::now() + Duration::from_mins(1);
        while Instant::now() < deadline {
            let child = fs::read_to_string(&children).unwrap_or_default();
            if let Some(pid) = child.split_whitespace().next().and_then(|pid| pid.parse().ok()) {
                daemon.pid = pid;
                daemon.handle = handle(pid).with_context(|| format!("{name} ended at once"))?;
                return Ok(daemon);
            }
            if let Some(status) = daemon.child.try_wait()? {
                bail!("{name} ended at once with {status}: {}", daemon.log_tail(20));
            }
            std::thread::yield_now();
        }
        bail!("{name} was not started within a minute: {}", daemon.log_tail(20))
    }

    /// Its name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process ID, as this machine sees it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it still runs. One that is dead but not yet reaped does not.
    pub fn is_running(&self) -> bool {
        !self.ends_within(Duration::ZERO)
    }

    /// Waits for its end, which the handle is readable from.
    fn ends_within(&self, within: Duration) -> bool {
        let timeout = Timespec::try_from(within).ok();
        poll(&mut [PollFd::new(&self.handle, PollFlags::IN)], timeout.as_ref()).is_ok_and(|ended| ended > 0)
    }

    /// The file that it logs to.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.log, lines)
    }

    /// Fails, with the end of the log, if it has ended.
    pub fn check(&self) -> Result<()> {
        if self.is_running() {
            return Ok(());
        }
        bail!("{} has ended; the end of its log:\n{}", self.name, self.log_tail(30))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        pidfd_send_signal(&self.handle, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// SIGKILL, and waits until it is dead.
    pub fn kill(&mut self) {
        // A failure means that it is dead already.
        let _ = self.signal(Signal::KILL);
        if self.pid != self.child.id() {
            self.ends_within(Duration::from_secs(10));
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits until it is dead; says so if that takes longer than `within`, and kills it.
    pub fn stop(&mut self, within: Duration) -> Result<()> {
        let _ = self.signal(Signal::TERM);
        let ended = self.wait_end(within);
        self.kill();
        if ended {
            return Ok(());
        }
        bail!("{} did not end within {within:?} of SIGTERM and was killed", self.name)
    }

    /// Waits for its end; false if it still runs after `within`.
    pub fn wait_end(&mut self, within: Duration) -> bool {
        let ended = self.ends_within(within);
        // Reaps it when it is our child.
        let _ = self.child.try_wait();
        ended
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A handle of a process that has not been reaped.
fn handle(pid: u32) -> Result<OwnedFd> {
    let pid = Pid::from_raw(pid.try_into()?).context("no process")?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Whether a process runs. One that is dead but not yet reaped does not.
pub fn is_alive(pid: u32) -> bool {
    // "pid (name) state …": the name may contain anything, so look behind its last parenthesis.
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// Sends a signal to a process.
pub fn send(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid.try_into()?).context("no process")?;
    Ok(kill_process(pid, signal)?)
}

/// Waits until a process is dead; false if it is not within the time.
pub fn wait_dead(pid: u32, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    while is_alive(pid) {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// Waits until every thread of a process has stopped after SIGSTOP, which a busy machine takes its time for; false if they have
/// not within the time.
pub fn wait_stopped(pid: u32, within: Duration) -> bool {
    let stopped = |stat: &str| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't']));
    let all_stopped = || {
        fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| {
            // A thread that ends meanwhile has no file any more, and answers nobody.
            threads.flatten().all(|it| fs::read_to_string(it.path().join("stat")).map_or(true, |stat| stopped(&stat)))
        })
    };
    let deadline = Instant::now() + within;
    while !all_stopped() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// The last lines of a file; empty if there is none.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
