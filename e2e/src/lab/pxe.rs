//! A machine that starts for real: QEMU behind a BMC of `ipmi_sim`, on a network with DHCP, TFTP and HTTP, which its firmware
//! starts from when the BMC says so. What it starts says by HTTP that it is up.
//!
//! The network is a namespace of its own with no way out, held by a process, so that nothing stays behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::assets::{cached, with_progress};
use super::eventually::eventually;
use super::ipmi_sim::IpmiSim;
use super::prerequisites::{self, Part};
use super::process::{Daemon, Signal, send};
use super::run::{Run, output, run as run_program};

/// Of Debian's kernels the one without drivers for hardware, of which a fifth is what all of them have.
const KERNEL: &str = "linux-image-cloud-amd64";
/// What the machine must load to be on a network.
const MODULES: [&str; 3] = ["virtio_pci", "virtio_net", "af_packet"];
/// This end of the machine's network.
const GATEWAY: &str = "10.88.0.1";

/// A network with a machine on it. Everything ends when it is dropped.
#[derive(Debug)]
pub struct PxeLab {
    bmc: IpmiSim,
    http: Daemon,
    _dnsmasq: Daemon,
    _network: Daemon,
    _run: Arc<Run>,
}

impl PxeLab {
    /// Lays the network, and sets up a machine that is off.
    pub async fn start() -> Result<Self> {
        prerequisites::require(Part::Pxe)?;
        let boot = boot_files()?;
        let run = Run::current()?;
        let dir = run.subdir("pxe")?;
        let mut holder = run.command("unshare");
        holder.args(["--net", "sleep", "infinity"]);
        let network = Daemon::start("the network's holder", holder, &dir.join("network.log"))?;
        let pid = network.pid();
        eventually("the network namespace", Duration::from_mins(1), || async {
            let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net"));
            ensure!(namespace(&pid.to_string())? != namespace("self")?, "not made yet");
            Ok(())
        })
        .await?;
        lay_out(&run, pid)?;
        let dnsmasq = serve_addresses(&run, pid, &dir)?;
        let http = serve_files(&run, pid, &dir, &boot)?;
        let hook = dir.join("chassis.sh");
        fs::write(&hook, include_str!("pxe/chassis.sh"))?;
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755))?;
        let bmc = IpmiSim::start_with(&hook, &[&pid.to_string()]).await?;
        let lab = Self { bmc, http, _dnsmasq: dnsmasq, _network: network, _run: run };
        eventually("the web server", Duration::from_mins(1), || async {
            lab.http.check()?;
            run_program(
                "nsenter",
                &["--target", &pid.to_string(), "--net", "busybox", "wget", "-q", "-O", "/dev/null", &url("boot.ipxe")],
            )
            .map(drop)
        })
        .await?;
        Ok(lab)
    }

    /// The machine's BMC.
    pub fn bmc(&self) -> &IpmiSim {
        &self.bmc
    }

    /// How often a system that was started from the network has said that it is up.
    pub fn reports(&self) -> Result<usize> {
        let log = fs::read_to_string(self.http.log())?;
        Ok(log.lines().filter(|line| line.contains("GET /report?mac=52:54:00:88:00:01")).count())
    }

    /// Waits until a system that was started from the network says that it is up.
    pub async fn until_it_reports(&self, within: Duration) -> Result<()> {
        eventually("the machine to say that it is up", within, || async {
            ensure!(self.reports()? > 0, "it has not; its console: {}", self.bmc.file("console").unwrap_or_default());
            Ok(())
        })
        .await
    }
}

impl Drop for PxeLab {
    fn drop(&mut self) {
        // It was started by the BMC's hook, so nobody else ends it before the end of the run.
        let pid = self.bmc.file("qemu.pid").and_then(|pid| pid.trim().parse().ok());
        if let Some(pid) = pid {
            let _ = send(pid, Signal::KILL);
        }
    }
}

fn url(file: &str) -> String {
    format!("http://{GATEWAY}:8080/{file}")
}

fn inside(run: &Run, pid: u32) -> Command {
    let mut command = run.command("nsenter");
    command.args(["--target", &pid.to_string(), "--net", "--"]);
    command
}

fn lay_out(run: &Run, pid: u32) -> Result<()> {
    let address = format!("{GATEWAY}/24");
    for words in [
        &["link", "set", "lo", "up"][..],
        &["link", "add", "br0", "type", "bridge"],
        &["addr", "add", &address, "dev", "br0"],
        &["-6", "addr", "add", "fd00:88::1/64", "dev", "br0", "nodad"],
        &["link", "set", "br0", "up"],
        &["tuntap", "add", "tap0", "mode", "tap"],
        &["link", "set", "tap0", "master", "br0", "up"],
    ] {
        output(inside(run, pid).arg("ip").args(words))?;
    }
    Ok(())
}

fn serve_addresses(run: &Run, pid: u32, dir: &Path) -> Result<Daemon> {
    let leases = dir.join("leases");
    let config = format!(
        "port=0\ninterface=br0\nbind-interfaces\ndhcp-range=10.88.0.50,10.88.0.200,255.255.255.0,1h\n\
         dhcp-match=set:ipxe,175\ndhcp-boot=tag:ipxe,{}\ndhcp-boot=tag:!ipxe,undionly.kpxe\n\
         # Without these iPXE waits: 3 s for a ping that nobody answers, 13 s for a router of IPv6.\n\
         no-ping\nenable-ra\ndhcp-range=fd00:88::1000,fd00:88::ffff,64,1h\nra-param=br0,10\n\
         enable-tftp\ntftp-root={}\ndhcp-leasefile={}\nlog-dhcp\nuser=root\n",
        url("boot.ipxe"),
        dir.display(),
        leases.display(),
    );
    let path = dir.join("dnsmasq.conf");
    fs::write(&path, config)?;
    let mut command = inside(run, pid);
    command.arg(prerequisites::find_program("dnsmasq").context("no dnsmasq")?).arg("--no-daemon").arg("-C").arg(path);
    Daemon::start("dnsmasq", command, &dir.join("dnsmasq.log"))
}

fn serve_files(run: &Run, pid: u32, dir: &Path, boot: &Path) -> Result<Daemon> {
    let root = dir.join("http");
    fs::create_dir_all(&root)?;
    for file in ["vmlinuz", "initrd.gz"] {
        fs::copy(boot.join(file), root.join(file))?;
    }
    let script = format!(
        "#!ipxe\nkernel {} console=ttyS0 panic=1 report={}\ninitrd {}\nboot\n",
        url("vmlinuz"),
        url("report"),
        url("initrd.gz")
    );
    fs::write(root.join("boot.ipxe"), script)?;
    let mut command = inside(run, pid);
    // Its log, with each request, is what tells of the machine's report.
    command.env("PYTHONUNBUFFERED", "1").args(["python3", "-m", "http.server", "--bind", GATEWAY, "--directory"]);
    command.arg(root).arg("8080");
    Daemon::start("the web server", command, &dir.join("http.log"))
}

/// The folder with `vmlinuz` and `initrd.gz`, from the cache or made now.
fn boot_files() -> Result<PathBuf> {
    cached("pxe-1", |dir| {
        let package = newest_kernel()?;
        let unpacked = dir.join("unpacked");
        fs::create_dir_all(&unpacked)?;
        let mut download = Command::new("apt-get");
        download.current_dir(dir).args(["-qq", "-o", "APT::Sandbox::User=root", "download", &package]);
        with_progress(&format!("downloading {package}"), &mut download)?;
        let archive = fs::read_dir(dir)?.flatten().map(|entry| entry.path());
        let archive = archive.into_iter().find(|path| path.extension().is_some_and(|it| it == "deb"));
        let archive = archive.context("apt-get has downloaded no package")?;
        output(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&unpacked))?;
        let version = package.trim_start_matches("linux-image-");
        fs::copy(unpacked.join(format!("boot/vmlinuz-{version}")), dir.join("vmlinuz"))?;
        let mut make = Command::new("bash");
        make.args(["-euc", include_str!("pxe/initrd.sh"), "initrd"]).arg(dir).arg(version).args(MODULES);
        with_progress("making a system that starts from the network", &mut make)?;
        fs::remove_dir_all(&unpacked)?;
        Ok(fs::remove_file(archive)?)
    })
}

/// The package that Debian's own of no version stands for.
fn newest_kernel() -> Result<String> {
    let depends = run_program("apt-cache", &["depends", KERNEL])?;
    let mut packages = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let package = packages.find(|package| package.starts_with("linux-image-"));
    package.map(str::to_owned).with_context(|| format!("{KERNEL} depends on no kernel:\n{depends}"))
}
