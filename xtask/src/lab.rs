//! `cargo xtask lab`: an API server, Docker hosts and the operator, kept running in the background until they are taken down.

use std::fs;
use std::io::{IsTerminal, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::{Deserialize, Serialize};
use slipway_e2e::lab::process::{Signal, is_alive, send, tail, wait_dead};
use slipway_e2e::lab::{Cluster, DockerHost, Operator, Part, assets, cluster, operator, prerequisites};
use tokio::signal::unix::{SignalKind, signal};

/// Namespace of the operator's lease.
const SYSTEM_NAMESPACE: &str = "slipway-system";
/// How long the background process may take to come up or to end.
const DEADLINE: Duration = Duration::from_mins(3);

/// An API server, Docker hosts and the operator, to try things on.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Start it, and say how to use it.
    Up {
        /// Number of Docker hosts.
        #[arg(long, default_value_t = 2)]
        hosts: u8,
    },
    /// Stop it and remove all that belongs to it.
    Down,
    /// Say whether it runs.
    Status,
    /// What `up` runs in the background.
    #[command(hide = true)]
    Serve(Serve),
}

/// What the background process provides.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Serve {
    /// Name of the lab: a folder below .lab.
    #[arg(long)]
    pub name: String,
    /// Number of Docker hosts.
    #[arg(long, default_value_t = 0)]
    pub hosts: u8,
    /// Context of the user's kubeconfig, in place of an API server of the lab's own.
    #[arg(long)]
    pub context: Option<String>,
}

/// What a running lab consists of; in `state.json` of its folder once it is up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// Process that keeps it.
    pub pid: u32,
    /// Kubeconfig file of its API server; `None` if that is the user's own.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the user's kubeconfig.
    pub context: Option<String>,
    /// Its Docker hosts.
    pub hosts: Vec<HostState>,
    /// The operator's log.
    pub log: PathBuf,
    /// Path of its kubectl; `None` if that is the user's own.
    pub kubectl: Option<PathBuf>,
    /// UID of the cluster's kube-system namespace: the mark on what the operator makes.
    pub installation: String,
}

/// A Docker host of a lab.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostState {
    /// Name of the host.
    pub name: String,
    /// The engine's socket.
    pub socket: PathBuf,
    /// Address on the lab's bridge.
    pub address: String,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    match &args.command {
        Verb::Up { hosts } => up(*hosts),
        Verb::Down => Lab::named("lab").stop(),
        Verb::Status => status(),
        Verb::Serve(serve) => tokio::runtime::Runtime::new()?.block_on(self::serve(serve)),
    }
}

fn up(hosts: u8) -> Result<()> {
    if hosts > 0 {
        prerequisites::require(Part::Docker)?;
    }
    let state = Lab::named("lab").start(&Serve { name: "lab".to_owned(), hosts, context: None })?;
    describe(&state);
    Ok(())
}

fn status() -> Result<()> {
    match Lab::named("lab").running()? {
        Some(state) => describe(&state),
        None => println!("The lab is down. Start it with: cargo xtask lab up"),
    }
    Ok(())
}

fn describe(state: &State) {
    println!("The lab is up.\n");
    if let (Some(kubeconfig), Some(kubectl)) = (&state.kubeconfig, &state.kubectl) {
        println!("  export KUBECONFIG={} PATH={}:$PATH", kubeconfig.display(), kubectl.display());
    }
    for host in &state.hosts {
        println!("  docker -H unix://{} ps    # {} at {}", host.socket.display(), host.name, host.address);
    }
    println!("  tail -f {}\n\nStop it with: cargo xtask lab down", state.log.display());
}

/// A lab in the background, by its folder.
pub struct Lab {
    dir: PathBuf,
}

impl Lab {
    /// The lab of that name in this repository.
    pub fn named(name: &str) -> Self {
        Self { dir: assets::repository().join(".lab").join(name) }
    }

    /// What it consists of, if it was ever up and not taken down since.
    pub fn state(&self) -> Result<Option<State>> {
        match fs::read(self.dir.join("state.json")) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("cannot read the lab's state"),
        }
    }

    /// What it consists of, if it is up.
    pub fn running(&self) -> Result<Option<State>> {
        Ok(self.state()?.filter(|state| is_lab(state.pid)))
    }

    /// Starts it unless it is up, passing on what it says meanwhile.
    pub fn start(&self, serve: &Serve) -> Result<State> {
        if let Some(state) = self.running()? {
            return Ok(state);
        }
        // One that was interrupted before it was up.
        self.stop()?;
        if serve.context.is_none() {
            assets::kube()?;
        }
        let slipway = operator::binary()?;
        fs::create_dir_all(&self.dir)?;
        // A copy, so that the next build does not change what runs.
        let copy = self.dir.join("slipway");
        fs::copy(&slipway, &copy).with_context(|| format!("cannot copy {}", slipway.display()))?;
        let log = self.dir.join("log");
        let file = fs::File::create(&log)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["lab", "serve", "--name", &serve.name, "--hosts", &serve.hosts.to_string()]);
        if let Some(context) = &serve.context {
            command.args(["--context", context]);
        }
        command.env(operator::BINARY, &copy).process_group(0);
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let mut child = command.spawn()?;
        fs::write(self.dir.join("pid"), child.id().to_string())?;
        self.follow(&mut child, &log)
    }

    /// Prints the log as it grows until the lab is up.
    fn follow(&self, child: &mut Child, log: &Path) -> Result<State> {
        let began = Instant::now();
        let mut log_file = fs::File::open(log)?;
        let mut shown = 0;
        loop {
            log_file.seek(SeekFrom::Start(shown))?;
            let mut news = String::new();
            shown += log_file.read_to_string(&mut news)? as u64;
            eprint!("{news}");
            if let Some(state) = self.running()? {
                return Ok(state);
            }
            if let Some(status) = child.try_wait()? {
                bail!("the lab did not come up ({status}); its log is {}", log.display());
            }
            if began.elapsed() > DEADLINE {
                self.stop()?;
                bail!("the lab was not up within {DEADLINE:?}; the end of its log:\n{}", tail(log, 20));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Stops it and removes its folder. Not running is fine.
    pub fn stop(&self) -> Result<()> {
        let recorded = fs::read_to_string(self.dir.join("pid")).ok().and_then(|pid| pid.trim().parse().ok());
        if let Some(pid) = recorded.filter(|&pid| is_lab(pid)) {
            eprintln!("lab: stopping");
            send(pid, Signal::TERM)?;
            ensure!(wait_dead(pid, DEADLINE), "the lab (process {pid}) does not end");
        }
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", self.dir.display()));
            }
            _ => {}
        }
        // The folder of all labs; another one in it keeps it.
        let _ = self.dir.parent().map(fs::remove_dir);
        Ok(())
    }
}

/// Whether a process is one that keeps a lab: the number may belong to another one by now.
fn is_lab(pid: u32) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = words.split(|&byte| byte == 0);
    is_alive(pid) && words.any(|word| word == b"lab") && words.next() == Some(b"serve")
}

/// Keeps a lab until it is told to stop.
async fn serve(args: &Serve) -> Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        outcome = keep(args) => outcome,
        _ = term.recv() => Ok(()),
        _ = int.recv() => Ok(()),
    }
}

async fn keep(args: &Serve) -> Result<()> {
    let own = if args.context.is_none() {
        eprintln!("lab: starting etcd and the API server");
        Some(Cluster::start().await?)
    } else {
        None
    };
    let client = client(own.as_ref().map(Cluster::kubeconfig).as_deref(), args.context.as_deref()).await?;
    let namespaces = Api::<Namespace>::all(client.clone());
    let installation = namespaces.get("kube-system").await?.metadata.uid.context("kube-system has no UID")?;
    cluster::install_crds(&client).await?;
    if namespaces.get_opt(SYSTEM_NAMESPACE).await?.is_none() {
        let metadata = ObjectMeta { name: Some(SYSTEM_NAMESPACE.to_owned()), ..ObjectMeta::default() };
        namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await?;
    }
    let mut hosts = Vec::new();
    for number in 1..=args.hosts {
        eprintln!("lab: starting Docker host {number} of {}", args.hosts);
        hosts.push(DockerHost::start().await?);
    }
    eprintln!("lab: starting the operator");
    let operator = match (&own, &args.context) {
        (Some(cluster), _) => Operator::spawn(Some(&cluster.kubeconfig()), &[])?,
        (None, Some(context)) => Operator::spawn(None, &["--context", context])?,
        (None, None) => bail!("neither a cluster of its own nor a context"),
    };
    operator.wait_ready().await?;
    let dir = Lab::named(&args.name).dir;
    let kubeconfig = match &own {
        Some(cluster) => {
            let path = dir.join("kubeconfig");
            fs::copy(cluster.kubeconfig(), &path)?;
            Some(path)
        }
        None => None,
    };
    let state = State {
        pid: std::process::id(),
        kubeconfig,
        context: args.context.clone(),
        hosts: hosts.iter().map(host_state).collect(),
        log: operator.log().to_owned(),
        kubectl: own.as_ref().and_then(|cluster| cluster.kubectl_program().parent().map(Path::to_owned)),
        installation,
    };
    let mut file = tempfile::NamedTempFile::new_in(&dir)?;
    file.write_all(&serde_json::to_vec_pretty(&state)?)?;
    file.persist(dir.join("state.json"))?;
    std::future::pending().await
}

fn host_state(host: &DockerHost) -> HostState {
    HostState { name: host.name().to_owned(), socket: host.socket(), address: host.v4().to_string() }
}

/// A client for a lab's API server, or for a context of the user's kubeconfig.
pub async fn client(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Client> {
    if let Some(path) = kubeconfig {
        return cluster::client_of(path).await;
    }
    let context = context.context("no context")?;
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(Kubeconfig::read()?, &options)
        .await
        .with_context(|| format!("the kubeconfig has no usable context {context}"))?;
    Ok(Client::try_from(config)?)
}

/// Says what is waited for: each new message once, and every few seconds that it still is.
pub struct Progress {
    prefix: &'static str,
    began: Instant,
    message: String,
    said: Instant,
}

impl Progress {
    /// Starts; nothing is said yet.
    pub fn new(prefix: &'static str) -> Self {
        Self { prefix, began: Instant::now(), message: String::new(), said: Instant::now() }
    }

    /// Says a message if it is new, or was said long ago.
    pub fn say(&mut self, message: &str) {
        let quiet = Duration::from_secs(if std::io::stderr().is_terminal() { 5 } else { 15 });
        if message != self.message {
            eprintln!("{}: {message}", self.prefix);
        } else if self.said.elapsed() > quiet {
            eprintln!("{}: {message} ({} s)", self.prefix, self.began.elapsed().as_secs());
        } else {
            return;
        }
        message.clone_into(&mut self.message);
        self.said = Instant::now();
    }
}
