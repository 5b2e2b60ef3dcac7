//! A small world for fault tests: one fake host, an API server that is a variable, and operators that can be cut off anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use slipway_api::container_service::{Drift, VolumeDeletion};
use slipway_api::{ContainerService, ContainerServiceSpec, ContainerServiceStatus, labels};
use slipway_drivers::docker::{Address, Connect, Engine, Factory};
use slipway_fakes::docker::{FakeDocker, Foreign};
use slipway_fakes::faults::Moment;
use slipway_operator::Error;
use slipway_operator::container_service::act::Target;
use slipway_operator::container_service::converge::{Hosts, Ledger, Outcome, Tools, carry_out, hold, observe, remove};
use slipway_operator::container_service::pulls::Pulls;
use slipway_operator::container_service::read::Inputs;
use slipway_operator::container_service::validated;
use slipway_operator::reconcile::{self, Locks};
use slipway_plan::container_service::definition::{Contents, HashKey, NeedKind};
use slipway_plan::container_service::observed::Owner;
use slipway_plan::container_service::plan::{self, NodeView, Nodes, Plan};
use slipway_plan::container_service::status::{self, StepError};
use slipway_plan::container_service::validate::Valid;
use slipway_plan::formats::compose::{self, Source};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub const INSTALLATION: &str = "5d0ab9a0-0000-4000-8000-000000000001";
const NODE: &str = "edge";
/// More passes than any of these services needs, whatever happens.
const MOST_PASSES: usize = 150;

pub fn owner() -> Owner {
    Owner { installation: INSTALLATION.into(), namespace: "shop".into(), name: "site".into() }
}

/// A service that can be planned, from its spec; `token` is the content of its one Secret.
pub fn valid(spec: Value, token: &str) -> Valid {
    let spec: ContainerServiceSpec = serde_json::from_value(spec).unwrap();
    let compose = spec.compose.clone().unwrap();
    let mut contents = Contents::default();
    contents.insert(NeedKind::Secret, "token", BTreeMap::from([("token".to_owned(), token.as_bytes().to_vec())]));
    let inputs = Inputs {
        loaded: compose::load(Source::Value(&compose), &spec.environment, &spec.profiles, "spec.compose"),
        contents,
        logins: Vec::new(),
        findings: Vec::new(),
        base: "spec.compose",
        references: BTreeSet::new(),
    };
    let mut object = ContainerService::new("site", spec);
    object.metadata.namespace = Some("shop".into());
    match validated(owner(), &object, inputs, &HashKey::new([7; 32])) {
        Ok(validated) => validated.valid,
        Err(findings) => panic!("{findings:#?}"),
    }
}

/// What the operator is to bring about.
#[derive(Clone)]
pub enum Want {
    /// This service, at this generation.
    Up(Arc<Valid>, i64),
    /// Nobody knows, since the spec is refused.
    Refused,
    /// Nothing.
    Gone,
}

/// Where the status lives. It may be cut off like an engine, before or after a write.
pub struct Api {
    status: Mutex<ContainerServiceStatus>,
    writes: watch::Sender<u64>,
    told: Mutex<Vec<String>>,
    cut: Option<(u64, Moment)>,
    reached: watch::Sender<bool>,
}

impl Api {
    pub fn new(status: ContainerServiceStatus, cut: Option<(u64, Moment)>) -> Self {
        let (writes, reached) = (watch::Sender::new(0), watch::Sender::new(false));
        Self { status: Mutex::new(status), writes, told: Mutex::default(), cut, reached }
    }

    /// What the statuses that were written say of `Ready`.
    pub fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    pub fn status(&self) -> ContainerServiceStatus {
        self.status.lock().unwrap().clone()
    }

    pub fn writes(&self) -> u64 {
        *self.writes.borrow()
    }

    /// Waits until the write that was to be cut off has come.
    pub async fn reached(&self) {
        self.reached.subscribe().wait_for(|reached| *reached).await.unwrap();
    }

    async fn hang(&self) {
        self.reached.send_replace(true);
        std::future::pending::<()>().await;
    }
}

#[async_trait]
impl Ledger for Api {
    async fn record(&self, status: &ContainerServiceStatus) -> Result<(), Error> {
        self.writes.send_modify(|writes| *writes += 1);
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
        self.told.lock().unwrap().extend(ready.map(|ready| format!("{}: {}", ready.reason, ready.message)));
        let now = |moment| self.cut == Some((self.writes(), moment));
        if now(Moment::Before) {
            self.hang().await;
        }
        *self.status.lock().unwrap() = status.clone();
        if now(Moment::After) {
            self.hang().await;
        }
        Ok(())
    }
}

/// An operator, as its process would be: gone when dropped.
pub struct Operator {
    engine: Arc<dyn Engine>,
    tools: Tools,
    stop: CancellationToken,
    woken: Arc<Notify>,
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// When to look again.
enum Next {
    Again,
    Woken,
    At(Timestamp),
    Retry,
    Settled,
}

impl Operator {
    pub async fn start(docker: &FakeDocker) -> Self {
        let engine = Factory.docker(&Address::Unix(docker.socket())).await.unwrap();
        let stop = CancellationToken::new();
        let tools = Tools { locks: Locks::default(), pulls: Pulls::new(stop.clone(), Duration::ZERO) };
        Self { engine, tools, stop, woken: Arc::default() }
    }

    /// Passes until nothing is left to do. Time that the plan wants to wait for is put forward.
    pub async fn converge(&self, docker: &FakeDocker, api: &Api, want: &Want) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..MOST_PASSES {
            let (next, told) = self.pass(docker, api, want).await;
            last = told;
            match next {
                Next::Again => {}
                Next::Woken => drop(timeout(Duration::from_secs(2), self.woken.notified()).await),
                Next::At(time) => {
                    let pause = time.duration_since(docker.now()).max(SignedDuration::from_millis(1));
                    docker.advance(Duration::try_from(pause).unwrap());
                }
                Next::Retry => {
                    docker.advance(Duration::from_secs(1));
                    sleep(Duration::from_millis(2)).await;
                }
                Next::Settled => return Ok(()),
            }
        }
        Err(format!("not settled after {MOST_PASSES} passes; the last one:\n{last}"))
    }

    /// One pass, as the controller makes it.
    async fn pass(&self, docker: &FakeDocker, api: &Api, want: &Want) -> (Next, String) {
        match want {
            Want::Up(valid, generation) => self.reconcile(docker, api, valid, *generation).await,
            Want::Refused => self.hold(docker, api).await,
            Want::Gone => self.delete().await,
        }
    }

    async fn hold(&self, docker: &FakeDocker, api: &Api) -> (Next, String) {
        let held = hold(self.hosts(), &owner(), Drift::Heal, &api.status(), &self.tools.locks).await;
        let Some((held, taken)) = held else { return (Next::Settled, "it has nothing".into()) };
        let next = match held.next {
            reconcile::Next::Again => Next::Again,
            // The operator's clock stands, as seen from the engine's.
            reconcile::Next::At(time) => Next::At(docker.now() + time.duration_since(Timestamp::now())),
            reconcile::Next::Retry => Next::Retry,
            reconcile::Next::Settled | reconcile::Next::Person => Next::Settled,
        };
        (next, format!("{} {taken:?}", held.told))
    }

    fn hosts(&self) -> Hosts {
        let view = NodeView { matches: true, engine_id: Some("engine".into()), ..NodeView::default() };
        let target = Target { engine: self.engine.clone(), lock: "engine".into() };
        Hosts {
            nodes: Nodes(BTreeMap::from([(NODE.to_owned(), view)])),
            targets: BTreeMap::from([(NODE.to_owned(), target)]),
            logins: Vec::new(),
        }
    }

    async fn reconcile(&self, docker: &FakeDocker, api: &Api, valid: &Valid, generation: i64) -> (Next, String) {
        let old = api.status();
        let mut observed = observe(self.hosts(), valid, generation, &old).await;
        // This world has one clock, the engine's.
        observed.at = docker.now();
        for host in observed.hosts.nodes.0.values_mut().filter_map(|node| node.host.as_mut()) {
            host.clock_ahead = SignedDuration::ZERO;
        }
        let plan = plan::plan(valid, generation, &observed.hosts.nodes, &observed.images, &old, observed.at);
        let woken = self.woken.clone();
        let wake = Arc::new(move || woken.notify_one());
        let carried = carry_out(&plan, valid, &observed, &old, &self.tools, api, wake).await;
        let outcome = carried.unwrap_or_default();
        let mut told = plan.clone();
        told.waits.extend(outcome.waits.clone());
        let errors: Vec<StepError> = observed.errors.iter().chain(&outcome.errors).cloned().collect();
        let new = status::status(&api.status(), generation, &told, &errors, observed.at);
        if !status::is_same(&api.status(), &new) {
            api.record(&new).await.unwrap();
        }
        (next(&told, &outcome, &errors), format!("{told}{errors:#?}"))
    }

    async fn delete(&self) -> (Next, String) {
        let mut hosts = self.hosts();
        let deadline = Timestamp::MAX;
        let (deletion, outcome) = remove(&mut hosts, &owner(), VolumeDeletion::Keep, deadline, &self.tools.locks).await;
        let told = format!("{}{:#?}", deletion.plan, outcome.errors);
        let next = match (outcome.taken.is_empty(), deletion.is_done() && outcome.errors.is_empty()) {
            (false, _) => Next::Again,
            (true, true) => Next::Settled,
            (true, false) => Next::Retry,
        };
        (next, told)
    }
}

fn next(plan: &Plan, outcome: &Outcome, errors: &[StepError]) -> Next {
    if !outcome.taken.is_empty() || outcome.conflict {
        Next::Again
    } else if outcome.waits.iter().any(|wait| wait.until.is_none()) {
        Next::Woken
    } else if let Some(until) = plan.until() {
        Next::At(until)
    } else if errors.iter().any(|error| !error.needs_person) || plan.waits.iter().any(|wait| !wait.needs_person) {
        // What waits for an event of the engine, such as a health check's, is not settled either.
        Next::Retry
    } else {
        Next::Settled
    }
}

/// What a host has of the service, as far as it is to be the same however it came about.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    containers: BTreeMap<String, Value>,
    others: BTreeSet<String>,
}

impl Shown {
    pub fn on(docker: &FakeDocker) -> Self {
        let ours = docker.containers().into_iter().filter(|container| {
            container.labels.get(labels::INSTALLATION).is_some_and(|installation| installation == INSTALLATION)
        });
        let containers = ours.map(|container| {
            let shown = json!([
                container.image,
                container.image_id,
                container.status,
                container.health,
                container.networks,
                container.volumes,
                container.labels.get(labels::REVISION),
            ]);
            (container.name, shown)
        });
        // Helper volumes have names of their own each time.
        let others = docker.left_of(INSTALLATION).into_iter().filter(|what| what.starts_with("network ")).collect();
        Self { containers: containers.collect(), others }
    }
}

/// What must be as it was when everything is over.
pub struct Kept {
    foreign: Foreign,
    volumes: BTreeMap<String, Timestamp>,
    names: BTreeSet<String>,
}

impl Kept {
    pub fn on(docker: &FakeDocker) -> Self {
        let foreign = docker.containers().into_iter().filter(|container| {
            container.labels.get(labels::INSTALLATION).is_none_or(|installation| installation != INSTALLATION)
        });
        Self {
            foreign: docker.foreign_to(INSTALLATION),
            volumes: docker.named_volumes(INSTALLATION),
            names: foreign.flat_map(|container| [container.id, container.name]).collect(),
        }
    }

    /// What is not as it was.
    pub fn check(&self, docker: &FakeDocker) -> Result<(), String> {
        if docker.foreign_to(INSTALLATION) != self.foreign {
            return Err(format!("others' things were changed: {:#?}", docker.foreign_to(INSTALLATION)));
        }
        if let Some(call) = docker.changing_calls().iter().find(|call| self.names.contains(&call.of)) {
            return Err(format!("another's container was touched: {call:?}"));
        }
        let volumes = docker.named_volumes(INSTALLATION);
        match self.volumes.iter().find(|(name, made)| volumes.get(*name) != Some(made)) {
            Some((name, _)) => Err(format!("the named volume {name} was lost")),
            None => Ok(()),
        }
    }
}
