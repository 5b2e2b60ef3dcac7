//! Docker hosts: engines of their own, each in a network, mount, PID and UTS namespace of its own, on the lab's bridge.
//!
//! One process keeps the namespaces of a host. When it dies, everything on the host dies with it, and its mounts and its end of the cable
//! are gone: as if the machine were switched off.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bollard::{ClientVersion, Docker};
use futures::TryStreamExt;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use slipway_api::node::{DockerEndpoint, DockerTls, Node, NodeSpec};
use slipway_api::refs::LocalRef;

use super::certificates::{Identity, ServerCertificate};
use super::eventually::eventually;
use super::images::Image;
use super::prerequisites::{self, Part};
use super::process::{Daemon, Signal, wait_stopped};
use super::run::{Run, ip, output, spare_collections};

/// How long an engine may take to answer after its start.
const READY: Duration = Duration::from_mins(2);

/// What every engine that Slipway supports speaks.
const OLDEST_API: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };

/// Which engine a host has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// That of this machine; on Debian 12 it is 20.10, the oldest that Slipway supports.
    #[default]
    V20_10,
    /// That of Debian 13.
    V26_1,
}

/// How a host is made.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// Which engine it has.
    pub engine: Engine,
    /// Which certificate it shows on its TLS port.
    pub certificate: ServerCertificate,
    /// More arguments for its dockerd.
    pub args: Vec<String>,
    /// Size of the disk for images and containers in MiB, for tests that fill it. Without it, as much as the machine has.
    pub disk: Option<u32>,
}

/// A Docker host.
#[derive(Debug)]
pub struct DockerHost {
    name: String,
    number: u8,
    dir: PathBuf,
    cable: String,
    options: HostOptions,
    dockerd: Mutex<Option<Daemon>>,
    /// The process that keeps the namespaces.
    machine: Daemon,
    run: Arc<Run>,
}

impl DockerHost {
    /// A host with the engine of this machine.
    pub async fn start() -> Result<Self> {
        Self::with(HostOptions::default()).await
    }

    /// A host with that engine.
    pub async fn with_engine(engine: Engine) -> Result<Self> {
        Self::with(HostOptions { engine, ..HostOptions::default() }).await
    }

    /// A host made as asked for.
    pub async fn with(options: HostOptions) -> Result<Self> {
        prerequisites::require(Part::Docker)?;
        let root = match options.engine {
            Engine::V20_10 => None,
            Engine::V26_1 => {
                prerequisites::require(Part::NewerDocker)?;
                Some(prerequisites::newer_docker()?)
            }
        };
        let run = Run::current()?;
        let number = run.next_host()?;
        let name = format!("host{number}");
        let dir = run.subdir(&name)?;
        let machine = switch_on(&run, &name, &dir, &options, root.as_deref())?;
        let cable = format!("slip{}-{number}", run.slot());
        let host = Self { name, number, dir, cable, options, dockerd: Mutex::new(None), machine, run };
        eventually("the host's file systems", Duration::from_mins(1), || async {
            host.machine.check()?;
            fs::metadata(host.dir.join("made")).context("not mounted yet")
        })
        .await?;
        host.connect_cable()?;
        host.write_certificates()?;
        host.start_engine().await?;
        Ok(host)
    }

    fn connect_cable(&self) -> Result<()> {
        let bridge = self.run.bridge()?;
        let machine = self.machine.pid().to_string();
        ip(&["link", "add", &self.cable, "type", "veth", "peer", "name", "eth0", "netns", &machine])?;
        ip(&["link", "set", &self.cable, "master", &bridge, "up"])?;
        self.exec("ip", &["link", "set", "lo", "up"])?;
        self.exec("ip", &["addr", "add", &format!("{}/24", self.v4()), "dev", "eth0"])?;
        self.exec("ip", &["-6", "addr", "add", &format!("{}/64", self.v6()), "dev", "eth0", "nodad"])?;
        // No default route: an engine's look-ups of images must not leave the machine.
        self.exec("ip", &["link", "set", "eth0", "up"])?;
        Ok(())
    }

    fn write_certificates(&self) -> Result<()> {
        let authority = self.run.authority()?;
        let addresses = [IpAddr::from(self.v4()), IpAddr::from(self.v6())];
        let server = authority.server_of_kind(self.options.certificate, &addresses)?;
        fs::write(self.dir.join("ca.pem"), authority.pem())?;
        fs::write(self.dir.join("cert.pem"), server.cert)?;
        fs::write(self.dir.join("key.pem"), server.key)?;
        Ok(())
    }

    /// A command that will run on this host.
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.run.command("nsenter");
        command.args(["--target", &self.machine.pid().to_string(), "--net", "--mount", "--uts", "--pid"]);
        if self.options.engine == Engine::V26_1 {
            command.arg("--").arg("chroot").arg(self.dir.with_extension("root"));
        }
        command.arg(program);
        command
    }

    /// Runs a command on this host to its end and returns what it printed.
    pub fn exec(&self, program: &str, args: &[&str]) -> Result<String> {
        output(self.command(program).args(args)).with_context(|| format!("on {}", self.name))
    }

    /// Starts the engine (again) and waits until it answers.
    pub async fn start_engine(&self) -> Result<()> {
        let at = |file: &str| self.dir.join(file).display().to_string();
        // One that was killed leaves it, and the number in it may belong to another process by now.
        let _ = fs::remove_file(self.dir.join("pid"));
        let mut dockerd = self.command("dockerd");
        dockerd.args([
            format!("--data-root={}", at("data")),
            format!("--exec-root={}", at("exec")),
            format!("--pidfile={}", at("pid")),
            format!("--host=unix://{}", at("docker.sock")),
            format!("--host=tcp://{}:2376", self.v4()),
            format!("--host=tcp://[{}]:2376", self.v6()),
            "--tlsverify".to_owned(),
            format!("--tlscacert={}", at("ca.pem")),
            format!("--tlscert={}", at("cert.pem")),
            format!("--tlskey={}", at("key.pem")),
            // With cgroups of the lab's own, what a killed engine leaves of them can be told from others'.
            "--exec-opt=native.cgroupdriver=cgroupfs".to_owned(),
            format!("--cgroup-parent=/slipway-lab-{}-{}", self.run.slot(), self.name),
            format!("--label=host={}", self.name),
            "--shutdown-timeout=3".to_owned(),
        ]);
        dockerd.args(&self.options.args);
        spare_collections(&mut dockerd, "128MiB");
        *self.dockerd() = Some(Daemon::start_forked("dockerd", dockerd, &self.log())?);
        eventually(&format!("the engine of {} to answer", self.name), READY, || async {
            if let Some(dockerd) = &*self.dockerd() {
                dockerd.check()?;
            }
            self.docker()?.ping().await?;
            Ok(())
        })
        .await
    }

    /// Kills the engine. What runs in containers goes on, as on a real host.
    pub fn kill_engine(&self) {
        *self.dockerd() = None;
    }

    /// Stops the engine in order, its containers with it.
    pub fn stop_engine(&self) -> Result<()> {
        self.dockerd().take().map_or(Ok(()), |mut dockerd| dockerd.stop(Duration::from_secs(30)))
    }

    /// Stops the engine in order and starts it again.
    pub async fn restart_engine(&self) -> Result<()> {
        self.stop_engine()?;
        self.start_engine().await
    }

    /// Shows another certificate from the next start of the engine on.
    pub fn set_certificate(&mut self, certificate: ServerCertificate) -> Result<()> {
        self.options.certificate = certificate;
        self.write_certificates()
    }

    /// Freezes the engine: connections are accepted by the kernel, nothing answers.
    pub fn freeze(&self) -> Result<()> {
        let dockerd = self.dockerd();
        let dockerd = dockerd.as_ref().context("the engine does not run")?;
        dockerd.signal(Signal::STOP)?;
        ensure!(wait_stopped(dockerd.pid(), Duration::from_mins(1)), "{} does not stop", dockerd.name());
        Ok(())
    }

    /// Lets a frozen engine go on.
    pub fn thaw(&self) -> Result<()> {
        self.dockerd().as_ref().context("the engine does not run")?.signal(Signal::CONT)
    }

    /// Pulls the cable: packets to and from the host are lost.
    pub fn unplug(&self) -> Result<()> {
        ip(&["link", "set", &self.cable, "down"]).map(drop)
    }

    /// Plugs the cable in again.
    pub fn plug(&self) -> Result<()> {
        ip(&["link", "set", &self.cable, "up"]).map(drop)
    }

    /// Fills the disk up, leaving `left` KiB. Only for a host with a disk of its own.
    pub fn fill_disk(&self, left: u32) -> Result<()> {
        if self.options.disk.is_none() {
            bail!("{} has no disk of its own to fill", self.name);
        }
        let data = self.dir.join("data");
        let data = data.to_string_lossy();
        let free = self.exec("df", &["--output=avail", "-k", &data])?;
        let free: u32 = free.lines().nth(1).unwrap_or_default().trim().parse()?;
        let count = format!("count={}", free.saturating_sub(left));
        self.exec("dd", &["if=/dev/zero", &format!("of={data}/ballast"), "bs=1024", &count, "status=none"]).map(drop)
    }

    /// Frees what [`Self::fill_disk`] took.
    pub fn free_disk(&self) -> Result<()> {
        self.exec("rm", &["-f", &self.dir.join("data/ballast").to_string_lossy()]).map(drop)
    }

    /// Its name, which its engine has as a label `host` and as the host's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its IPv4 address on the lab's bridge.
    pub fn v4(&self) -> Ipv4Addr {
        self.run.v4(self.number)
    }

    /// Its IPv6 address on the lab's bridge.
    pub fn v6(&self) -> Ipv6Addr {
        self.run.v6(self.number)
    }

    /// The engine's TLS endpoint.
    pub fn tls_endpoint(&self) -> String {
        format!("tcp://{}:2376", self.v4())
    }

    /// The engine's socket, on this machine.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("docker.sock")
    }

    /// The host's directory on this machine.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The engine's log.
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// The engine's process.
    pub fn engine_pid(&self) -> Option<u32> {
        self.dockerd().as_ref().map(Daemon::pid)
    }

    pub(super) fn run(&self) -> &Arc<Run> {
        &self.run
    }

    /// A client on the engine's socket. It belongs to the runtime it is made in.
    pub fn docker(&self) -> Result<Docker> {
        Ok(Docker::connect_with_unix(&self.socket().to_string_lossy(), 60, &OLDEST_API)?)
    }

    /// Loads an image into the engine.
    pub async fn load(&self, image: &Image) -> Result<()> {
        load(&self.docker()?, image).await.with_context(|| format!("on {}", self.name))
    }

    /// Makes the engine trust the lab's CA for that registry.
    pub fn trust(&self, registry: &str) -> Result<()> {
        let dir = self.dir.join("etc-docker/certs.d").join(registry);
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("ca.crt"), self.run.authority()?.pem())?;
        Ok(())
    }

    /// What a client needs to log in on the TLS endpoint.
    pub fn client_identity(&self) -> Result<Identity> {
        self.run.authority()?.client("slipway", None)
    }

    /// A Secret with the CA, a client certificate and its key, as a Node's `tls.secretRef` wants it.
    pub fn tls_secret(&self, name: &str) -> Result<Secret> {
        let identity = self.client_identity()?;
        let data = BTreeMap::from([
            ("ca.crt".to_owned(), ByteString(self.run.authority()?.pem().into_bytes())),
            ("tls.crt".to_owned(), ByteString(identity.cert.into_bytes())),
            ("tls.key".to_owned(), ByteString(identity.key.into_bytes())),
        ]);
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        Ok(Secret { metadata, data: Some(data), ..Secret::default() })
    }

    /// A Node for this host's TLS endpoint, with its login in the Secret of that name.
    pub fn tls_node(&self, name: &str, secret: &str) -> Node {
        let tls = Some(DockerTls { secret_ref: LocalRef { name: secret.to_owned() } });
        node(name, DockerEndpoint { endpoint: self.tls_endpoint(), tls, ssh: None, insecure: false })
    }

    /// A Node for this host's socket.
    pub fn unix_node(&self, name: &str) -> Node {
        node_at(name, &self.socket())
    }

    fn dockerd(&self) -> MutexGuard<'_, Option<Daemon>> {
        self.dockerd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for DockerHost {
    fn drop(&mut self) {
        self.machine.kill();
        // The cable goes with the network namespace, but the kernel takes its time; a failure means it was faster.
        let _ = ip(&["link", "del", &self.cable]);
        // What cannot be removed yet is removed with the run's directory.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A Node for an engine's socket on this machine.
pub fn node_at(name: &str, socket: &Path) -> Node {
    let endpoint = format!("unix://{}", socket.display());
    node(name, DockerEndpoint { endpoint, tls: None, ssh: None, insecure: false })
}

fn node(name: &str, docker: DockerEndpoint) -> Node {
    Node::new(name, NodeSpec { docker: Some(docker), ..NodeSpec::default() })
}

/// Loads an image into an engine.
pub async fn load(docker: &Docker, image: &Image) -> Result<()> {
    let options = bollard::query_parameters::ImportImageOptionsBuilder::default().build();
    let archive = bollard::body_full(image.archive()?.into());
    let said: Vec<_> = docker
        .import_image(options, archive, None)
        .try_collect()
        .await
        .with_context(|| format!("cannot load {}", image.reference()))?;
    if let Some(error) = said.iter().find_map(|info| info.error_detail.as_ref()) {
        bail!("cannot load {}: {error:?}", image.reference());
    }
    Ok(())
}

fn switch_on(run: &Run, name: &str, dir: &Path, options: &HostOptions, root: Option<&Path>) -> Result<Daemon> {
    let mut unshare = run.command("unshare");
    unshare.args(["--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    unshare.args(["bash", "-c", include_str!("host.sh"), "host", name]).arg(dir);
    unshare.arg(options.disk.map(|size| format!("{size}m")).unwrap_or_default());
    unshare.arg(root.unwrap_or(Path::new("")));
    Daemon::start_forked(name, unshare, &dir.join("machine.log"))
}
