//! `slipway run`: the operator.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ArgAction;
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use slipway_drivers::Mandate;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::logging;
use crate::health;
use crate::live::{self, Access, Identity, Live};
use crate::metrics::Metrics;
use crate::operator::{Operator, Settings};
use crate::waits::Waits;

/// Run the operator until it is stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
In a Pod it uses its service account. Elsewhere it uses the kubeconfig that kubectl would use, and says which cluster that is.

Examples:
  slipway run
  slipway run --context lab --namespace web --leader-elect=false
  SLIPWAY_LOG_FORMAT=json slipway run")]
pub struct Args {
    /// Watch this namespace only; all of them by default.
    #[arg(long, env = "SLIPWAY_NAMESPACE")]
    namespace: Option<String>,

    /// Objects of one kind that are worked on at one time.
    #[arg(long, env = "SLIPWAY_CONCURRENCY", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,

    /// How a line of the log looks.
    #[arg(long, env = "SLIPWAY_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: logging::Format,

    /// What is logged: a level, or a filter such as `info,slipway_operator=debug`.
    #[arg(long, env = "RUST_LOG", default_value = logging::DEFAULT_LEVEL, hide_default_value = true)]
    log_level: String,

    /// Act only while holding the leader lease. Without it, take care yourself that only one runs.
    #[arg(long, env = "SLIPWAY_LEADER_ELECT", default_value_t = true, action = ArgAction::Set,
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    leader_elect: bool,

    /// Namespace of the leader lease and of the installation's key.
    #[arg(long, env = "POD_NAMESPACE", default_value = "slipway-system")]
    system_namespace: String,

    /// Address of /healthz, /livez, /readyz and /metrics.
    #[arg(long, env = "SLIPWAY_METRICS_ADDRESS", default_value = "0.0.0.0:8080")]
    metrics_address: SocketAddr,

    /// Address of what `kubectl slipway sel` and `logs` read live, over HTTPS; `off` for none.
    #[arg(long, env = "SLIPWAY_LIVE_ADDRESS", default_value = "0.0.0.0:8443", value_parser = live_address)]
    live_address: LiveAddress,

    /// Certificate of the live endpoint with its chain, as PEM. Without it, each process makes one and publishes it in ConfigMap
    /// slipway-live.
    #[arg(long, env = "SLIPWAY_LIVE_TLS_CERT", value_name = "FILE", requires = "live_tls_key")]
    live_tls_cert: Option<PathBuf>,

    /// Key of that certificate, as PEM.
    #[arg(long, env = "SLIPWAY_LIVE_TLS_KEY", value_name = "FILE", requires = "live_tls_cert")]
    live_tls_key: Option<PathBuf>,

    /// Path of a kubeconfig file.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig.
    #[arg(long)]
    context: Option<String>,
}

/// Where the live endpoint is, if anywhere.
#[derive(Clone, Copy, Debug)]
struct LiveAddress(Option<SocketAddr>);

fn live_address(text: &str) -> Result<LiveAddress, String> {
    if text == "off" {
        return Ok(LiveAddress(None));
    }
    text.parse()
        .map(|address| LiveAddress(Some(address)))
        .map_err(|_| format!("`{text}` is neither ADDRESS:PORT nor off"))
}

/// Threads of the runtime: the work is waiting, and each thread costs memory.
const THREADS: usize = 2;
/// How long a stop may take.
pub(crate) const STOP_DEADLINE: Duration = Duration::from_secs(10);

pub(super) fn run(args: Args) -> Result<()> {
    logging::start(args.log_format, &args.log_level)?;
    allow_many_connections();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(operate(args));
    // Names that are being looked up cannot be cut off; they must not delay the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// A connection for each host and BMC: the 1024 files that many systems begin with are not enough for a thousand. As others
/// do that use no `select(2)`, the limit is raised to the highest allowed.
fn allow_many_connections() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!("the limit of open files stays at {:?}: {error}", limit.current);
    }
}

async fn operate(args: Args) -> Result<()> {
    let stop = CancellationToken::new();
    let signals = tokio::spawn(until_signal(stop.clone()));
    let (waits, metrics) = (Arc::<Waits>::default(), Arc::<Metrics>::default());
    let listener = health::bind(args.metrics_address)
        .await
        .with_context(|| format!("cannot listen on {}; see --metrics-address", args.metrics_address))?;
    let client = Client::try_from(config(args.kubeconfig.as_deref(), args.context.as_deref()).await?)
        .context("cannot use this kubeconfig")?;
    let served = CancellationToken::new();
    let health = tokio::spawn(health::serve(listener, waits.clone(), metrics.clone(), served.clone()));
    let live = Live::new(Access::new(client.clone()), waits.clone());
    let (endpoint, live_certificate) =
        serve_live(&args.live_address, args.live_tls_cert.as_deref().zip(args.live_tls_key.as_deref()), &live, &served)
            .await?;
    let settings = Settings {
        namespace: args.namespace,
        system_namespace: args.system_namespace,
        concurrency: args.concurrency,
        leader_elect: args.leader_elect,
    };
    let mandate = Mandate::default();
    let connect = Arc::new(slipway_drivers::docker::Factory.under(mandate.clone()));
    let connect_bmc = Arc::new(slipway_drivers::bmc::Factory.under(mandate.clone()));
    let operator =
        Operator { client, settings, waits, metrics, connect, connect_bmc, mandate, live, live_certificate, stop };
    let outcome = operator.run().await;
    served.cancel();
    signals.abort();
    // Connections that somebody keeps open must not keep this process.
    let _ = tokio::time::timeout(Duration::from_secs(1), async { tokio::join!(health, endpoint) }).await;
    tracing::info!("stopped");
    outcome
}

/// Begins to serve what is read live; the task, and the certificate that is to be published.
async fn serve_live(
    address: &LiveAddress,
    given: Option<(&Path, &Path)>,
    live: &Live,
    stop: &CancellationToken,
) -> Result<(tokio::task::JoinHandle<()>, Option<String>)> {
    let Some(address) = address.0 else { return Ok((tokio::spawn(async {}), None)) };
    let identity = given.map_or_else(Identity::made, |(certificate, key)| Identity::read(certificate, key))?;
    let listener = live::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; see --live-address, which may be off"))?;
    let router = live.clone().router();
    Ok((tokio::spawn(live::serve(listener, identity.config, router, stop.clone())), identity.trusted))
}

/// The service account in a Pod, if nothing else is named; else what kubectl would use.
pub(super) async fn config(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Config> {
    let named = kubeconfig.is_some() || context.is_some();
    let mut config = if !named && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        Config::incluster().context("cannot use the Pod's service account")?
    } else {
        let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        match kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path).with_context(|| format!("cannot read {}", path.display()))?;
                Config::from_custom_kubeconfig(file, &options).await
            }
            None => Config::from_kubeconfig(&options).await,
        }
        .context("no cluster: name one with --kubeconfig or --context")?
    };
    config.connect_timeout = Some(Duration::from_secs(5));
    tracing::info!(server = %config.cluster_url, "cluster");
    Ok(config)
}

/// Cancels at the first SIGTERM or SIGINT; ends the process at the second.
async fn until_signal(stop: CancellationToken) {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::error!("cannot listen for signals");
        return;
    };
    for ends in [false, true] {
        tokio::select! {
            _ = term.recv() => {},
            _ = int.recv() => {},
        }
        if ends {
            tracing::warn!("stopped at once, as asked twice");
            std::process::exit(1);
        }
        tracing::info!("stopping; at most {} s", STOP_DEADLINE.as_secs());
        stop.cancel();
    }
}
