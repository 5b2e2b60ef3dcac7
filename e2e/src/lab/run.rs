//! What this process owns of the machine: a slot, with its directory, addresses, ports and bridge.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use anyhow::{Context, Result, anyhow, bail};

use super::certificates::Authority;

/// Variable that marks every process of a run with the run's directory, so that they can be found again.
pub const MARK: &str = "SLIPWAY_LAB_RUN";

/// Slots of a machine: each is a /24 of 10.77.0.0/16.
const SLOTS: std::ops::RangeInclusive<u8> = 1..=40;

/// First port of slot 1. Below the kernel's range for outgoing connections, so that none of those takes one.
const FIRST_PORT: u16 = 20_000;
/// More than a test program asks for, so that none is given out twice: that of an operator that is being restarted looks free.
const PORTS_PER_SLOT: u16 = 300;

/// Names of the bridges, without the slot.
const BRIDGE: &str = "sliplab";

const SWEEP: &str = include_str!("sweep.sh");

/// This process's part of the machine. Dropping the last handle ends everything in it.
#[derive(Debug)]
pub struct Run {
    slot: u8,
    dir: PathBuf,
    guardian: Option<Child>,
    bridge: Mutex<bool>,
    authority: OnceLock<Authority>,
    next_host: AtomicU8,
    next_port: AtomicU16,
    /// Held for as long as the slot is ours. Last, so that it is released after everything else.
    _lock: File,
}

static CURRENT: Mutex<Weak<Run>> = Mutex::new(Weak::new());

impl Run {
    /// The run of this process; a new one if there is none.
    pub fn current() -> Result<Arc<Self>> {
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = current.upgrade() {
            return Ok(run);
        }
        let run = Arc::new(Self::new()?);
        *current = Arc::downgrade(&run);
        Ok(run)
    }

    fn new() -> Result<Self> {
        // Two TLS libraries' worth of users in one process: say once which provider serves them. Already said is fine.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let root = root()?;
        fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
        let (slot, lock) = take_slot(&root)?;
        let dir = root.join(slot.to_string());
        let bridge = bridge_name(slot);
        // What a run that was killed together with its guardian has left.
        Command::new("bash")
            .args(["-c", SWEEP, "sweep", &slot.to_string()])
            .arg(&dir)
            .arg(&bridge)
            .status()
            .context("cannot run bash")?;
        fs::create_dir_all(&dir)?;
        let guardian = Command::new("bash")
            .args(["-c", SWEEP, "sweep", "wait", &slot.to_string()])
            .arg(&dir)
            .arg(&bridge)
            .stdin(Stdio::piped())
            .stdout(lock.try_clone()?) // It holds the slot as well, so nobody takes it before all is cleaned up.
            .process_group(0) // Ctrl-C is for the tests, not for who cleans up after them.
            .spawn()
            .context("cannot start the guardian")?;
        Ok(Self {
            slot,
            dir,
            guardian: Some(guardian),
            bridge: Mutex::new(false),
            authority: OnceLock::new(),
            next_host: AtomicU8::new(1),
            next_port: AtomicU16::new(0),
            _lock: lock,
        })
    }

    /// Number of the slot.
    pub fn slot(&self) -> u8 {
        self.slot
    }

    /// Directory of everything this run writes.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A new directory below [`Self::dir`].
    pub fn subdir(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir.join(name);
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(dir)
    }

    /// A command whose process belongs to this run: it will not outlive it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env(MARK, &self.dir).stdin(Stdio::null()).process_group(0);
        command
    }

    /// A free port on loopback and on the bridge.
    pub fn port(&self) -> Result<u16> {
        for _ in 0..PORTS_PER_SLOT {
            let offset = self.next_port.fetch_add(1, Ordering::Relaxed) % PORTS_PER_SLOT;
            let port = FIRST_PORT + u16::from(self.slot) * PORTS_PER_SLOT + offset;
            if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
                return Ok(port);
            }
        }
        bail!("no free port left in slot {}", self.slot)
    }

    /// A number for the next Docker host, from 1.
    pub(super) fn next_host(&self) -> Result<u8> {
        let number = self.next_host.fetch_add(1, Ordering::Relaxed);
        if number >= 250 {
            bail!("no address left for another host: one run has 250 of them");
        }
        Ok(number)
    }

    /// IPv4 address of host `number` on the bridge; 254 is this machine.
    pub fn v4(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.slot, number)
    }

    /// IPv6 address of host `number` on the bridge.
    pub fn v6(&self, number: u8) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0, 0, u16::from(self.slot), 0, 0, 0, u16::from(number))
    }

    /// This machine's address on the bridge.
    pub fn gateway(&self) -> Ipv4Addr {
        self.v4(254)
    }

    /// The CA that the lab's Docker hosts and registry have their certificates from.
    pub fn authority(&self) -> Result<&Authority> {
        if let Some(authority) = self.authority.get() {
            return Ok(authority);
        }
        let authority = Authority::new("Slipway lab")?;
        Ok(self.authority.get_or_init(|| authority))
    }

    /// The bridge that the hosts hang on, made on first use. It has no way out of this machine.
    pub fn bridge(&self) -> Result<String> {
        let name = bridge_name(self.slot);
        let mut made = self.bridge.lock().unwrap_or_else(PoisonError::into_inner);
        if !*made {
            ip(&["link", "add", &name, "type", "bridge"])?;
            ip(&["addr", "add", &format!("{}/24", self.gateway()), "dev", &name])?;
            ip(&["-6", "addr", "add", &format!("{}/64", self.v6(254)), "dev", &name, "nodad"])?;
            ip(&["link", "set", &name, "up"])?;
            // With br_netfilter, frames from host to host pass this machine's FORWARD chain, which a dockerd here sets to DROP.
            run("iptables", &["-w", "10", "-I", "FORWARD", "-i", &name, "-o", &name, "-j", "ACCEPT"])?;
            *made = true;
        }
        Ok(name)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(mut guardian) = self.guardian.take() {
            drop(guardian.stdin.take());
            if let Err(error) = guardian.wait() {
                eprintln!("lab: cannot wait for the guardian of slot {}: {error}", self.slot);
            }
        }
    }
}

/// The directory of all runs of this user.
fn root() -> Result<PathBuf> {
    let name = match fs::metadata("/proc/self")?.uid() {
        0 => "slipway-lab".to_owned(),
        user => format!("slipway-lab-{user}"),
    };
    Ok(std::env::temp_dir().join(name))
}

fn bridge_name(slot: u8) -> String {
    format!("{BRIDGE}{slot}")
}

/// What is there on this machine of runs that nobody holds any more. It should be nothing.
pub fn abandoned() -> Result<Vec<String>> {
    let root = root()?;
    let held = |slot: &str| {
        let lock = File::open(root.join(format!("{slot}.lock")));
        lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
    };
    let mark = format!("{MARK}={}/", root.display());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let process = entry?.path();
        // Most are not processes, are gone by now, or are another user's.
        let environ = fs::read(process.join("environ")).unwrap_or_default();
        let slot = environ.split(|&byte| byte == 0).find_map(|pair| pair.strip_prefix(mark.as_bytes()));
        if slot.is_some_and(|slot| !held(&String::from_utf8_lossy(slot))) {
            found.push(format!("process {}", process.display()));
        }
    }
    for entry in fs::read_dir("/sys/class/net")? {
        let link = entry?.file_name().to_string_lossy().into_owned();
        if link.strip_prefix(BRIDGE).is_some_and(|slot| !held(slot)) {
            found.push(format!("link {link}"));
        }
    }
    for slot in SLOTS {
        let dir = root.join(slot.to_string());
        if dir.exists() && !held(&slot.to_string()) {
            found.push(format!("directory {}", dir.display()));
        }
    }
    Ok(found)
}

fn take_slot(root: &Path) -> Result<(u8, File)> {
    for slot in SLOTS {
        let path = root.join(format!("{slot}.lock"));
        let file = match File::options().create(true).append(true).open(&path) {
            Ok(file) => file,
            Err(error) => return Err(anyhow!(error).context(format!("cannot open {}", path.display()))),
        };
        if file.try_lock().is_ok() {
            return Ok((slot, file));
        }
    }
    bail!("all {} slots of the lab are taken", SLOTS.count())
}

/// Lets a Go program and those that it starts collect garbage only when they come near to that much memory. Much of what a test of
/// containers computes is a dockerd that starts itself anew for each container, and half of that is the collection.
pub(super) fn spare_collections(command: &mut Command, limit: &str) {
    command.env("GOGC", "off").env("GOMEMLIMIT", limit);
}

/// Runs `ip` from iproute2.
pub(super) fn ip(args: &[&str]) -> Result<String> {
    run("ip", args)
}

/// Runs a program to its end and returns what it printed; an error carries what it complained of.
pub fn run<A: AsRef<OsStr>>(program: &str, args: &[A]) -> Result<String> {
    output(Command::new(program).args(args))
}

/// Runs a command to its end and returns what it printed; an error carries what it complained of.
pub fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let args: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {} ended with {}: {}", args.join(" "), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
