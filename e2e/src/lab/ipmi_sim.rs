//! BMCs of `ipmi_sim`, the simulator of `OpenIPMI`: IPMI as others read its specification. They have cipher suite 3 and not 17.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::eventually::eventually;
use super::prerequisites::{self, Part};
use super::process::{Daemon, Signal, wait_stopped};
use super::run::Run;

/// Each BMC has an IPv4 address of its own, so all may have the same port.
const PORT: u16 = 6623;
/// Get Channel Authentication Capabilities, which any BMC answers (IPMI 2.0, section 22.13).
const ANYBODY_THERE: &[u8] = b"\x06\x00\xff\x07\x00\0\0\0\0\0\0\0\0\x09\x20\x18\xc8\x81\x00\x38\x8e\x04\xb5";

/// A BMC, of a machine that is off. Its user is `admin`, the password `secret`.
#[derive(Debug)]
pub struct IpmiSim {
    address: SocketAddr,
    dir: PathBuf,
    daemon: Daemon,
    run: Arc<Run>,
}

impl IpmiSim {
    /// Starts a BMC on an IPv4 address of loopback that is its own.
    pub async fn start() -> Result<Self> {
        let run = Run::current()?;
        let address = IpAddr::from(Ipv4Addr::new(127, 77, run.slot(), run.next_host()?));
        Self::start_at(run, SocketAddr::new(address, PORT), None).await
    }

    /// Starts a BMC of a machine that this program is asked about, with the BMC's directory and these words as arguments.
    pub async fn start_with(hook: &Path, words: &[&str]) -> Result<Self> {
        let run = Run::current()?;
        let address = IpAddr::from(Ipv4Addr::new(127, 77, run.slot(), run.next_host()?));
        Self::start_at(run, SocketAddr::new(address, PORT), Some((hook, words))).await
    }

    /// Starts a BMC on IPv6's loopback.
    pub async fn start_v6() -> Result<Self> {
        let run = Run::current()?;
        let address = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), run.port()?);
        Self::start_at(run, address, None).await
    }

    async fn start_at(run: Arc<Run>, address: SocketAddr, machine: Option<(&Path, &[&str])>) -> Result<Self> {
        prerequisites::require(Part::Ipmi)?;
        let name = format!("bmc-{}-{}", address.ip(), address.port()).replace([':', '.'], "-");
        let dir = run.subdir(&name)?;
        fs::create_dir_all(dir.join("state").join(&name))?;
        fs::write(dir.join("power"), "0\n")?;
        fs::write(dir.join("boot"), "default\n")?;
        fs::write(dir.join("bmc.cmds"), include_str!("ipmi_sim/bmc.cmds"))?;
        let hook = dir.join("chassis.sh");
        fs::write(&hook, include_str!("ipmi_sim/chassis.sh"))?;
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755))?;
        let (hook, words) = machine.unwrap_or((&hook, &[]));
        let allowed = ["callback", "user", "operator", "admin"]
            .map(|kind| {
                format!(
                    " allowed_auths_{kind} none md2 md5 straight
"
                )
            })
            .concat();
        let config = format!(
            "name \"{name}\"\nstartlan 1\n addr {} {}\n priv_limit admin\n{allowed} guid {:032x}\nendlan\n\
             chassis_control \"{} {} {}\"\n\
             user 1 true \"\" \"test\" user 10 none md2 md5 straight\n\
             user 2 true \"admin\" \"secret\" admin 10 none md2 md5 straight\n",
            address.ip(),
            address.port(),
            0xa123_4567_89ab_cdef_a123_4567_0000_0000_u128 + u128::from(run.slot()),
            hook.display(),
            dir.display(),
            words.join(" "),
        );
        fs::write(dir.join("lan.conf"), config)?;
        let daemon = spawn(&run, &dir)?;
        let bmc = Self { address, dir, daemon, run };
        bmc.ready().await?;
        Ok(bmc)
    }

    /// Waits until it answers.
    async fn ready(&self) -> Result<()> {
        // A mistake in its command file makes it run on and listen nowhere, so its being alive says nothing.
        eventually("ipmi_sim to answer", Duration::from_mins(1), || async {
            self.daemon.check()?;
            let any: IpAddr =
                if self.address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let socket = UdpSocket::bind((any, 0)).await?;
            socket.connect(self.address).await?;
            socket.send(ANYBODY_THERE).await?;
            let mut answer = [0; 64];
            timeout(Duration::from_millis(200), socket.recv(&mut answer)).await??;
            Ok(())
        })
        .await
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the machine is on.
    pub fn is_on(&self) -> Result<bool> {
        Ok(fs::read_to_string(self.dir.join("power"))?.trim() == "1")
    }

    /// What the machine is to start from: `default`, `pxe`, …
    pub fn boot(&self) -> Result<String> {
        Ok(fs::read_to_string(self.dir.join("boot"))?.trim().to_owned())
    }

    /// A file of the machine's, if there is one: what its console shows, say.
    pub fn file(&self, name: &str) -> Option<String> {
        fs::read(self.dir.join(name)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What it asked of the machine and told it so far: `get power`, `set power 1`, …
    pub fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.dir.join("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    /// Whatever is done to the machine fails from now on, or does not any more.
    pub fn set_broken(&self, broken: bool) -> Result<()> {
        let mark = self.dir.join("broken");
        let marked = if broken { fs::write(&mark, "") } else { fs::remove_file(&mark) };
        marked.with_context(|| format!("cannot change {}", mark.display()))
    }

    /// It hears and says nothing; what comes meanwhile waits.
    pub fn freeze(&self) -> Result<()> {
        self.daemon.signal(Signal::STOP)?;
        ensure!(wait_stopped(self.daemon.pid(), Duration::from_mins(1)), "ipmi_sim does not stop");
        Ok(())
    }

    /// It goes on after [`Self::freeze`].
    pub fn thaw(&self) -> Result<()> {
        self.daemon.signal(Signal::CONT)
    }

    /// It is killed and started again: its sessions are gone, the machine is as it was.
    pub async fn restart(&mut self) -> Result<()> {
        self.daemon.kill();
        self.daemon = spawn(&self.run, &self.dir)?;
        self.ready().await
    }
}

fn spawn(run: &Run, dir: &Path) -> Result<Daemon> {
    let program = prerequisites::find_program("ipmi_sim").context("no ipmi_sim")?;
    let mut command = run.command(program);
    command.arg("-c").arg(dir.join("lan.conf")).arg("-f").arg(dir.join("bmc.cmds"));
    command.arg("-s").arg(dir.join("state")).arg("-n");
    Daemon::start("ipmi_sim", command, &dir.join("log"))
}
