//! What the lab's parts need of the machine, and how they get it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use super::assets::{self, with_progress};
use super::run::run;
use super::sushy;

/// A part of the lab that not every machine can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// etcd and the API server.
    Cluster,
    /// Docker hosts with Debian's engine.
    Docker,
    /// Docker hosts with a newer engine.
    NewerDocker,
    /// The registry.
    Registry,
    /// Docker hosts behind ssh.
    Ssh,
    /// The Redfish emulator, and public Redfish clients.
    Sushy,
    /// BMCs, and a client of others for them.
    Ipmi,
    /// Machines that start from the network.
    Pxe,
}

/// Programs, and the Debian packages they come in.
type Programs = &'static [(&'static str, &'static str)];

const HOST: Programs = &[
    ("dockerd", "docker.io"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("busybox", "busybox-static"),
    ("nsenter", "util-linux"),
];

impl Part {
    fn programs(self) -> Programs {
        match self {
            Self::Cluster => &[],
            Self::Docker => HOST,
            Self::NewerDocker => &[("mmdebstrap", "mmdebstrap")],
            Self::Registry => &[("docker-registry", "docker-registry"), ("htpasswd", "apache2-utils")],
            Self::Ssh => &[("sshd", "openssh-server"), ("ssh", "openssh-client")],
            // Debian's own, whatever else is in the PATH.
            Self::Sushy => &[("/usr/bin/python3", "python3"), ("/usr/bin/pip3", "python3-pip")],
            Self::Ipmi => &[("ipmi_sim", "openipmi"), ("ipmitool", "ipmitool")],
            Self::Pxe => &[
                ("ipmi_sim", "openipmi"),
                ("dnsmasq", "dnsmasq-base"),
                ("modprobe", "kmod"),
                ("busybox", "busybox-static"),
                ("python3", "python3"),
                ("unshare", "util-linux"),
                ("ip", "iproute2"),
            ],
        }
    }
}

/// Whether these parts can run here, after installing what is missing. If not it prints `SKIPPED` and why, and the test is to return;
/// in CI (`CI=true`) nothing may be skipped.
///
/// # Panics
///
/// In CI, if a part cannot run.
pub fn can_run(parts: &[Part]) -> bool {
    for &part in parts {
        if let Err(error) = require(part) {
            let why = format!("{part:?}: {error:#}");
            assert!(std::env::var("CI").as_deref() != Ok("true"), "cannot run in CI: {why}");
            eprintln!("SKIPPED {}: {why}", std::thread::current().name().unwrap_or("test"));
            return false;
        }
    }
    true
}

/// Makes sure that a part can run: installs or builds what it needs. Remembers the outcome.
pub fn require(part: Part) -> Result<()> {
    static OUTCOMES: Mutex<Option<HashMap<Part, Result<(), String>>>> = Mutex::new(None);
    let mut outcomes = OUTCOMES.lock().unwrap_or_else(PoisonError::into_inner);
    let outcome = outcomes
        .get_or_insert_default()
        .entry(part)
        .or_insert_with(|| provide(part).map_err(|error| format!("{error:#}")));
    outcome.clone().map_err(anyhow::Error::msg)
}

fn provide(part: Part) -> Result<()> {
    if part == Part::Cluster {
        return assets::kube().map(drop);
    }
    if part == Part::Sushy {
        install(part.programs())?;
        return sushy::packages().map(drop);
    }
    if part == Part::Ipmi {
        return install(part.programs());
    }
    if !is_root() {
        bail!("needs root, for network namespaces and Docker engines of its own");
    }
    if part == Part::Pxe {
        install(part.programs())?;
        return install_qemu();
    }
    install(HOST)?;
    install(part.programs())?;
    if part == Part::NewerDocker {
        newer_docker()?;
    }
    Ok(())
}

/// Whether this process is root's.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Where a program is, looking also where only root's PATH leads.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"])
        .map(|dir| PathBuf::from(dir).join(name))
        .find(|file| file.is_file())
}

/// Installs the packages of those programs that are missing, saying so; on another system than Debian it says what is missing.
pub fn install(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<_> =
        programs.iter().filter(|(program, _)| find_program(program).is_none()).map(|&(_, package)| package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if find_program("apt-get").is_none() {
        bail!("please install: {list} (Debian's names of the packages)");
    }
    if !is_root() {
        bail!("please run, as root: apt-get install {list}");
    }
    let lock = File::options().create(true).append(true).open(std::env::temp_dir().join("slipway-apt.lock"))?;
    lock.lock()?;
    let get = |words: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(["-qq", "-o", "DPkg::Lock::Timeout=300"]).args(words);
        apt
    };
    let words: Vec<_> = ["install", "-y", "--no-install-recommends"].into_iter().chain(missing).collect();
    let step = format!("installing Debian packages: {list}");
    // A machine that is fresh has no package lists, one that is not may have outdated ones.
    if with_progress(&step, &mut get(&words)).is_err() {
        with_progress("updating Debian's package lists", &mut get(&["update"]))?;
        with_progress(&step, &mut get(&words))?;
    }
    Ok(())
}

/// QEMU with the firmware of its network cards. A machine with other parts of it from backports has it from there.
fn install_qemu() -> Result<()> {
    const QEMU: &str = "qemu-system-x86_64";
    const PACKAGES: [&str; 2] = ["qemu-system-x86", "ipxe-qemu"];
    if find_program(QEMU).is_some() {
        return Ok(());
    }
    let Err(error) = install(&PACKAGES.map(|package| (QEMU, package))) else { return Ok(()) };
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive").args(["-qq", "-o", "DPkg::Lock::Timeout=300", "install", "-y"]);
    apt.args(["--no-install-recommends", "--target-release", "bookworm-backports"]).args(PACKAGES);
    with_progress("installing QEMU from Debian's backports", &mut apt).map_err(|_| error)
}

/// A root file system of Debian 13 with its Docker engine (26.1), from the cache or made now.
pub fn newer_docker() -> Result<PathBuf> {
    const SUITE: &str = "trixie";
    assets::cached("docker-trixie-1", |dir| {
        let mut debstrap = Command::new("mmdebstrap");
        debstrap.args(["--quiet", "--variant=minbase", "--include=docker.io,ca-certificates,iptables,iproute2,kmod"]);
        debstrap.args(["--keyring=/usr/share/keyrings", SUITE]).arg(dir).arg(mirror()?);
        with_progress("making a Debian 13 with Docker 26.1", &mut debstrap)
    })
}

/// The mirror that apt uses on this machine.
fn mirror() -> Result<String> {
    let targets = run("apt-get", &["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"])?;
    targets
        .lines()
        .find(|uri| uri.trim_end_matches('/').ends_with("/debian"))
        .map(str::to_owned)
        .context("apt on this machine knows no mirror of Debian")
}
