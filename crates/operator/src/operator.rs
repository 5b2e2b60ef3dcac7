//! The life of the operator: wait for what it needs, lead, act, stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use kube::Client;
use slipway_api::{ContainerService, Design, GROUP, Node, VERSION};
use slipway_drivers::Mandate;
use slipway_drivers::bmc::ConnectBmc;
use slipway_drivers::docker::Connect;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::bmcs::Bmcs;
use crate::cli::run::STOP_DEADLINE;
use crate::container_service::ContainerServices;
use crate::container_service::converge::Tools;
use crate::container_service::pulls::{self, Pulls};
use crate::context::Context;
use crate::design::{Designs, Sites};
use crate::error::Error;
use crate::hosts::Hosts;
use crate::installation::Installation;
use crate::lease::{Candidate, identity};
use crate::live::{self, Live};
use crate::metrics::Metrics;
use crate::node::Nodes;
use crate::reconcile::{self, Events, Locks, Related, Watch};
use crate::sweeper;
use crate::waits::Waits;

/// Time between looks at what is waited for.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The one namespace to watch; all of them if absent.
    pub namespace: Option<String>,
    /// Namespace of the leader lease and the installation's key.
    pub system_namespace: String,
    /// Passes that run at one time, for each kind.
    pub concurrency: u16,
    /// Whether to act only while holding the lease.
    pub leader_elect: bool,
}

/// The operator.
pub struct Operator {
    /// The API server.
    pub client: Client,
    /// What the command line says.
    pub settings: Settings,
    /// What is waited for.
    pub waits: Arc<Waits>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Makes engines of addresses.
    pub connect: Arc<dyn Connect>,
    /// Makes sessions of BMCs' addresses.
    pub connect_bmc: Arc<dyn ConnectBmc>,
    /// Until when hosts and BMCs may be changed: what `connect` and `connect_bmc` make asks it. The lease sets it.
    pub mandate: Mandate,
    /// Shows what is read live.
    pub live: Live,
    /// What a client of it trusts, if that is to be published.
    pub live_certificate: Option<String>,
    /// Asks for the end.
    pub stop: CancellationToken,
}

/// How a term of leadership ended.
enum End {
    /// Asked to stop.
    Stopped,
    /// The lease is lost: nothing may be done any more, but the lease may be won again.
    Lost,
}

impl Operator {
    /// Runs until it is asked to stop, or until a controller dies.
    pub async fn run(&self) -> Result<()> {
        let me = identity();
        while !self.stop.is_cancelled() {
            if !self.unless_stopped(self.prerequisites()).await {
                break;
            }
            let mut lease =
                Candidate::new(self.client.clone(), &self.settings.system_namespace, me.clone(), self.mandate.clone());
            if self.settings.leader_elect && !self.unless_stopped(lease.acquire(&self.waits)).await {
                break;
            }
            let end = self.term(&mut lease, &me).await;
            self.live.lead(None);
            self.metrics.lease(false);
            self.waits.drop_where(|topic| topic.starts_with("watch of"));
            if let Ok(End::Lost) = end {
                tracing::warn!("all work has been dropped; contending for the lease again");
                continue;
            }
            if self.settings.leader_elect {
                lease.release().await;
            }
            end?;
        }
        Ok(())
    }

    /// Whether something ended before the operator was asked to stop.
    async fn unless_stopped(&self, work: impl Future<Output = ()>) -> bool {
        tokio::select! {
            () = work => true,
            () = self.stop.cancelled() => false,
        }
    }

    /// One term of leadership: the controllers run while the lease is renewed.
    async fn term(&self, lease: &mut Candidate, me: &str) -> Result<End> {
        self.metrics.lease(self.settings.leader_elect);
        let hold = async {
            if self.settings.leader_elect {
                lease.hold(&self.waits).await;
            } else {
                self.waits.role("leading, without a lease");
                std::future::pending::<()>().await;
            }
        };
        let mut work = JoinSet::new();
        // Ends with the term whatever ends it: work outside of the set hangs on it.
        let term = self.stop.child_token();
        let _end = term.clone().drop_guard();
        let end = tokio::select! {
            () = hold => Ok(End::Lost),
            end = self.act(&mut work, me, term) => end,
        };
        // Whatever still runs is dropped here and now: a lease that was lost may be another's soon.
        work.shutdown().await;
        end
    }

    /// Starts the controllers and watches over them.
    async fn act(&self, work: &mut JoinSet<&'static str>, me: &str, term: CancellationToken) -> Result<End> {
        let mut installation = None;
        if !self.unless_stopped(async { installation = Some(self.installation().await) }).await {
            return Ok(End::Stopped);
        }
        let Some(installation) = installation else { return Ok(End::Stopped) };
        self.start(work, installation, me, term);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            ended = work.join_next() => bail!("{} ended, which it never should", name(ended)),
        }
        let drained = async { while work.join_next().await.is_some() {} };
        if timeout(STOP_DEADLINE, drained).await.is_err() {
            tracing::warn!("work that did not end in time is dropped; the next start takes it up");
        }
        Ok(End::Stopped)
    }

    fn start(&self, work: &mut JoinSet<&'static str>, installation: Installation, me: &str, term: CancellationToken) {
        let (events, publisher) = Events::new(self.client.clone(), me.to_owned(), self.metrics.clone());
        let context = Arc::new(Context {
            client: self.client.clone(),
            namespace: self.settings.namespace.clone(),
            installation: installation.clone(),
            events,
            metrics: self.metrics.clone(),
            waits: self.waits.clone(),
            locks: Locks::default(),
            concurrency: self.settings.concurrency,
            stop: term.clone(),
        });
        let related = Related::default();
        let (node_watch, service_watch) = (Watch::<Node>::default(), Watch::<ContainerService>::default());
        let design_watch = Watch::<Design>::default();
        let sites = Sites::new(design_watch.cache());
        let designs = Designs::new(design_watch.cache(), node_watch.cache(), service_watch.cache(), sites.clone());
        let hosts = Hosts::new(self.connect.clone(), self.metrics.clone());
        let bmcs = Bmcs::new(self.connect_bmc.clone(), self.metrics.clone(), context.locks.clone(), term.clone());
        let nodes =
            Nodes { hosts: hosts.clone(), bmcs: bmcs.clone(), services: service_watch.cache(), sites: sites.clone() };
        let pulls = Pulls::new(term.clone(), pulls::SHORTEST_BACK_OFF);
        let tools = Tools { locks: context.locks.clone(), pulls: pulls.clone() };
        let services = ContainerServices::new(installation, node_watch.cache(), hosts.clone(), sites, tools);
        self.live.lead(Some(live::Term {
            installation: context.installation.clone(),
            bmcs: bmcs.clone(),
            hosts: hosts.clone(),
            nodes: node_watch.cache(),
            services: service_watch.cache(),
            end: term.clone(),
        }));
        let leftovers = (hosts.events(), node_watch.cache());
        let known_nodes = node_watch.cache();

        spawn(work, "the publisher of Events", publisher.run());
        if let Some(certificate) = self.live_certificate.clone() {
            let (client, namespace) = (self.client.clone(), self.settings.system_namespace.clone());
            let publish = live::publish(client, namespace, certificate);
            spawn(work, "the live endpoint's certificate", until_stopped(term.clone(), publish));
        }
        let stop = term.clone();
        spawn(work, "the BMC sessions", async move {
            stop.cancelled().await;
            bmcs.drain().await;
        });
        spawn(work, "the pulls", async move {
            term.cancelled().await;
            pulls.drain().await;
        });
        let (c, r) = (context.clone(), related.clone());
        spawn(work, "the watch of Secrets and ConfigMaps", async move {
            c.stop.run_until_cancelled(r.run(&c)).await;
        });
        let (c, r, known_designs) = (context.clone(), related.clone(), design_watch.cache());
        spawn(work, "the controller of Node", async move {
            // Before that, every Design would seem to be missing.
            if c.stop.run_until_cancelled(known_designs.ready()).await.is_some() {
                reconcile::run(Arc::new(nodes), node_watch, &r, c).await;
            }
        });
        let (c, r) = (context.clone(), related.clone());
        spawn(work, "the controller of Design", async move {
            reconcile::run(Arc::new(designs), design_watch, &r, c).await;
        });
        let c = context.clone();
        spawn(work, "the controller of ContainerService", async move {
            // Before that, every object would seem to have no host: a deletion would leave all behind.
            if c.stop.run_until_cancelled(known_nodes.ready()).await.is_none() {
                return;
            }
            reconcile::run(Arc::new(services), service_watch, &related, c).await;
        });
        spawn(work, "the sweeper of hosts", async move {
            let (events, nodes) = leftovers;
            context.stop.run_until_cancelled(sweeper::run(hosts, events, nodes, context.clone())).await;
        });
    }

    /// Waits for the API server and for the CRDs.
    async fn prerequisites(&self) {
        let topic = |plural: &str| format!("CRD {plural}.{GROUP}");
        let wanted: Vec<String> = slipway_api::crds().into_iter().map(|crd| crd.spec.names.plural).collect();
        loop {
            match self.served().await {
                Ok(served) => {
                    self.waits.clear("API server");
                    let (there, missing): (Vec<_>, Vec<_>) = wanted.iter().partition(|plural| served.contains(plural));
                    for plural in there {
                        self.waits.clear(&topic(plural));
                    }
                    let how = "it is not installed: slipway crds | kubectl apply --server-side -f -";
                    if missing.is_empty() {
                        break;
                    }
                    for plural in missing {
                        self.waits.set(&topic(plural), how);
                    }
                }
                Err(error) => self.waits.set("API server", &error.to_string()),
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Our resources that are served. Discovery may be read by every account.
    async fn served(&self) -> Result<Vec<String>, Error> {
        let what = "look at the API server's resources";
        let version = format!("{GROUP}/{VERSION}");
        match timeout(LOOK_AGAIN, self.client.list_api_group_resources(&version)).await {
            Ok(Ok(list)) => Ok(list.resources.into_iter().map(|resource| resource.name).collect()),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(Vec::new()),
            Ok(Err(error)) => Err(Error::api(what, error)),
            Err(_) => Err(Error::Timeout { what: what.into(), after: LOOK_AGAIN }),
        }
    }

    /// Waits for the installation's identity and key.
    async fn installation(&self) -> Installation {
        loop {
            match timeout(STOP_DEADLINE, Installation::load(&self.client, &self.settings.system_namespace)).await {
                Ok(Ok(installation)) => {
                    self.waits.clear("installation");
                    return installation;
                }
                Ok(Err(error)) => self.waits.set("installation", &error.to_string()),
                Err(_) => self.waits.set("installation", "the API server does not answer"),
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

/// Starts one of the tasks that live as long as the term.
fn spawn(work: &mut JoinSet<&'static str>, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
    work.spawn(async move {
        task.await;
        name
    });
}

/// Does something once; then nothing, until the end: a task that ends is taken for one that died.
async fn until_stopped(term: CancellationToken, once: impl Future<Output = ()>) {
    term.run_until_cancelled(once).await;
    term.cancelled().await;
}

fn name(ended: Option<Result<&'static str, tokio::task::JoinError>>) -> String {
    match ended {
        Some(Ok(name)) => name.to_owned(),
        Some(Err(error)) => format!("a controller ({error})"),
        None => "every controller".to_owned(),
    }
}
