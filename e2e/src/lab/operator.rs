//! The operator under test, as a process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::assets::repository;
use super::eventually::eventually;
use super::process::{Daemon, Signal, wait_dead};
use super::run::Run;

/// Variable with the path of the `slipway` binary; without it the lab has cargo build it.
pub const BINARY: &str = "SLIPWAY_BIN";

/// How long the operator may take to be ready.
const READY: Duration = Duration::from_mins(2);

/// A running operator. It is killed when dropped.
#[derive(Debug)]
pub struct Operator {
    process: Mutex<Daemon>,
    kubeconfig: Option<PathBuf>,
    args: Vec<String>,
    /// The only names that it can resolve, if not those of this machine.
    hosts: Option<PathBuf>,
    log: PathBuf,
    port: u16,
    run: Arc<Run>,
}

impl Operator {
    /// Starts `slipway run` for one namespace, with its lease there too so that it leads alone, and waits until it is ready.
    pub async fn start(kubeconfig: &Path, namespace: &str) -> Result<Self> {
        let operator = Self::spawn(Some(kubeconfig), &["--namespace", namespace, "--system-namespace", namespace])?;
        operator.wait_ready().await?;
        Ok(operator)
    }

    /// The same for one that resolves names by this file alone, which has the form of `/etc/hosts` and may change.
    pub async fn start_with_hosts(kubeconfig: &Path, namespace: &str, hosts: &Path) -> Result<Self> {
        let args = ["--namespace", namespace, "--system-namespace", namespace];
        let operator = Self::launched(Some(kubeconfig), &args, Some(hosts))?;
        operator.wait_ready().await?;
        Ok(operator)
    }

    /// Starts `slipway run` with these arguments, and does not wait. Without a kubeconfig it uses the user's own, so the arguments
    /// have to name a context.
    pub fn spawn(kubeconfig: Option<&Path>, args: &[&str]) -> Result<Self> {
        Self::launched(kubeconfig, args, None)
    }

    fn launched(kubeconfig: Option<&Path>, args: &[&str], hosts: Option<&Path>) -> Result<Self> {
        let run = Run::current()?;
        let port = run.port()?;
        let log = run.subdir("operators")?.join(format!("{port}.log"));
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let process = Mutex::new(launch(&run, kubeconfig, &args, hosts, port, &log)?);
        let (kubeconfig, hosts) = (kubeconfig.map(Path::to_owned), hosts.map(Path::to_owned));
        Ok(Self { process, kubeconfig, args, hosts, log, port, run })
    }

    /// Starts it again, as it was started before, and does not wait. The log goes on.
    pub fn respawn(&self) -> Result<()> {
        let mut process = self.process();
        process.kill();
        let (kubeconfig, hosts) = (self.kubeconfig.as_deref(), self.hosts.as_deref());
        *process = launch(&self.run, kubeconfig, &self.args, hosts, self.port, &self.log)?;
        Ok(())
    }

    /// Starts it again and waits until it is ready.
    pub async fn restart(&self) -> Result<()> {
        self.respawn()?;
        self.wait_ready().await
    }

    /// Waits until it says that it is ready.
    pub async fn wait_ready(&self) -> Result<()> {
        eventually("the operator to be ready", READY, || async {
            self.process().check()?;
            self.get("/readyz").await.map(drop)
        })
        .await
    }

    /// What it answers to a GET; an error unless that is a success.
    pub async fn get(&self, path: &str) -> Result<String> {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await?;
        let (head, body) = reply.split_once("\r\n\r\n").context("no HTTP reply")?;
        let status = head.split_whitespace().nth(1).unwrap_or_default();
        if !status.starts_with('2') {
            bail!("{path} answered {status}: {body}");
        }
        Ok(body.to_owned())
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.process().kill();
    }

    /// SIGTERM; an error if it does not end in time.
    pub fn stop(&self, within: Duration) -> Result<()> {
        self.process().stop(within)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process().signal(signal)
    }

    /// Waits until it is dead, by whatever hand; false if it is not in time.
    pub fn wait_dead(&self, within: Duration) -> bool {
        wait_dead(self.pid(), within)
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.process().is_running()
    }

    /// Its process ID.
    pub fn pid(&self) -> u32 {
        self.process().pid()
    }

    /// Its log file.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// All that it has logged.
    pub fn log_text(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn process(&self) -> MutexGuard<'_, Daemon> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a program that sees other names than this machine: those of a file, and of a name server that is not there.
const WITH_HOSTS: &str = r#"
    mount --bind "$1" /etc/hosts && mount --bind "$1.resolv" /etc/resolv.conf && shift && exec "$@"
"#;

fn launch(
    run: &Run,
    kubeconfig: Option<&Path>,
    args: &[String],
    hosts: Option<&Path>,
    port: u16,
    log: &Path,
) -> Result<Daemon> {
    let mut command = match hosts {
        None => run.command(binary()?),
        Some(hosts) => {
            let resolv = hosts.with_added_extension("resolv");
            std::fs::write(resolv, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")?;
            let mut command = run.command("unshare");
            command.args(["--mount", "--", "sh", "-c", WITH_HOSTS, "sh"]).arg(hosts).arg(binary()?);
            command
        }
    };
    command.arg("run");
    if let Some(path) = kubeconfig {
        command.arg("--kubeconfig").arg(path);
    }
    command.args(["--metrics-address", &format!("127.0.0.1:{port}")]);
    if !args.iter().any(|arg| arg == "--live-address") {
        // Any free port: nobody asks there.
        command.args(["--live-address", "127.0.0.1:0"]);
    }
    command.args(args);
    Daemon::start("slipway", command, log)
}

/// The `slipway` binary: `SLIPWAY_BIN`, else built now, once a process.
pub fn binary() -> Result<PathBuf> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    if let Some(path) = std::env::var_os(BINARY).filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = &*built {
        return Ok(path.clone());
    }
    Ok(built.insert(build()?).clone())
}

fn build() -> Result<PathBuf> {
    eprintln!("lab: building slipway");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(repository())
        .args(["build", "--quiet", "--package", "slipway-operator", "--bin", "slipway"])
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo cannot build slipway");
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .find(|path| path.file_name().is_some_and(|name| name == "slipway"))
        .context("cargo told of no executable named slipway")
}
