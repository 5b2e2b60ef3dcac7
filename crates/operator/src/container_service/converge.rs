//! The I/O of one pass: look at the hosts, then carry a plan out. Knows engines and a ledger, but no API server,
//! so that tests run it against fake hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use slipway_api::ContainerServiceStatus;
use slipway_api::container_service::{Drift, Prune};
use slipway_drivers::docker::{Pull, Query, RegistryLogin};
use slipway_drivers::{Class, DriverError};
use slipway_plan::container_service::definition::Definition;
use slipway_plan::container_service::observed::Owner;
use slipway_plan::container_service::plan::{self, Fault, ImageView, Nodes, Plan, Step, Wait};
use slipway_plan::container_service::status::{self, StepError};
use slipway_plan::container_service::validate::Valid;

use super::act::{Acted, Failed, Target, act};
use super::logins;
use super::pulls::{PullState, Pulls};
use crate::Error;
use crate::reconcile::{Held, Locks, Next};

/// Where intents are recorded before they are acted on.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Records a status. An error stops the pass before anything is done.
    async fn record(&self, status: &ContainerServiceStatus) -> Result<(), Error>;
}

/// What every pass works with, whichever object it is about.
#[derive(Clone)]
pub struct Tools {
    /// One writer per engine.
    pub locks: Locks,
    /// Pulls under way.
    pub pulls: Pulls,
}

/// The hosts of one object.
pub struct Hosts {
    /// The Nodes, as the API server and the engines show them.
    pub nodes: Nodes,
    /// Those of them that steps can be taken on.
    pub targets: BTreeMap<String, Target>,
    /// Logins of the registries.
    pub logins: Vec<RegistryLogin>,
}

/// What the hosts show.
pub struct Observed {
    /// The hosts.
    pub hosts: Hosts,
    /// What the registries say of images that had no digest yet.
    pub images: ImageView,
    /// Hosts that could not be looked at.
    pub errors: Vec<StepError>,
    /// When it was looked.
    pub at: Timestamp,
    /// Generation of the object that it was looked for.
    pub generation: i64,
}

/// What came of a plan.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Steps taken.
    pub taken: Vec<(String, Step)>,
    /// Steps and pulls that failed.
    pub errors: Vec<StepError>,
    /// Pulls under way, and those that wait for another try.
    pub waits: Vec<Wait>,
    /// A step found the host other than observed: one more look tells.
    pub conflict: bool,
}

/// Looks at the hosts, and asks the registries for digests that are not known yet.
pub async fn observe(mut hosts: Hosts, valid: &Valid, generation: i64, status: &ContainerServiceStatus) -> Observed {
    let errors = hosts.look(&query(valid)).await;
    let at = Timestamp::now();
    let images = hosts.resolve(plan::images_to_resolve(valid, generation, &hosts.nodes, status, at)).await;
    Observed { hosts, images, errors, at, generation }
}

/// Carries a plan out: records what must be on record first, sees to the pulls, takes the steps.
/// `wake` is called when a pull has something to tell.
pub async fn carry_out(
    plan: &Plan,
    valid: &Valid,
    observed: &Observed,
    status: &ContainerServiceStatus,
    tools: &Tools,
    ledger: &dyn Ledger,
    wake: Arc<dyn Fn() + Send + Sync>,
) -> Result<Outcome, Error> {
    if status::must_record(status, plan) {
        ledger.record(&status::status(status, observed.generation, plan, &observed.errors, observed.at)).await?;
    }
    let mut outcome = Outcome::default();
    pull(plan, &observed.hosts, observed.at, &tools.pulls, &wake, &mut outcome);
    let acted = act(&valid.owner, &valid.definition, &plan.hosts, &observed.hosts.targets, &tools.locks).await;
    outcome.add(acted, &valid.definition);
    Ok(outcome)
}

impl Outcome {
    fn add(&mut self, acted: Acted, definition: &Definition) {
        self.conflict |= acted.failed.iter().any(|failed| failed.error.class() == Class::Conflict);
        self.errors.extend(acted.failed.iter().map(|failed| step_error(definition, failed)));
        self.taken.extend(acted.taken);
    }
}

/// Removes what an owner has on the hosts, as far as it goes without waiting: one look, one plan, its steps.
pub async fn remove(
    hosts: &mut Hosts,
    owner: &Owner,
    volumes: slipway_api::container_service::VolumeDeletion,
    deadline: Timestamp,
    locks: &Locks,
) -> (plan::Deletion, Outcome) {
    let query = Query::owned(owner.clone());
    let mut outcome = Outcome { errors: hosts.look(&query).await, ..Outcome::default() };
    let deletion = plan::plan_deletion(owner, volumes, &hosts.nodes, deadline, Timestamp::now());
    let definition = Definition::default();
    let acted = act(owner, &definition, &deletion.plan.hosts, &hosts.targets, locks).await;
    outcome.add(acted, &definition);
    (deletion, outcome)
}

/// Keeps up what an owner has on the hosts while its spec is refused: one look, one plan, its steps. `None` if it has nothing.
pub async fn hold(
    mut hosts: Hosts,
    owner: &Owner,
    drift: Drift,
    status: &ContainerServiceStatus,
    locks: &Locks,
) -> Option<(Held, Vec<(String, Step)>)> {
    let unseen = hosts.look(&Query::owned(owner.clone())).await;
    if !plan::has_something(&hosts.nodes) {
        return None;
    }
    let plan = plan::plan_hold(&hosts.nodes, drift, status, Timestamp::now());
    let definition = Definition::default();
    let acted = act(owner, &definition, &plan.hosts, &hosts.targets, locks).await;
    let mut outcome = Outcome { errors: unseen, ..Outcome::default() };
    outcome.add(acted, &definition);
    let mut told = match drift {
        Drift::Heal => "Until it is mended, what ran is kept running and nothing else is changed".to_owned(),
        _ => "Until it is mended, what is there stays as it is".to_owned(),
    };
    if let Some(error) = outcome.errors.first() {
        told = format!("{told}; but on {}: {}", error.host, error.message);
    }
    let next = match plan.until() {
        _ if !outcome.taken.is_empty() || outcome.conflict => Next::Again,
        Some(until) => Next::At(until),
        None if !outcome.errors.is_empty() => Next::Retry,
        None => Next::Person,
    };
    Some((Held { told, next }, outcome.taken))
}

impl Hosts {
    /// Looks at every host that can be acted on. What cannot be observed is a fault of its Node for this pass.
    async fn look(&mut self, query: &Query) -> Vec<StepError> {
        // Where nothing is to run, only what is left of it counts.
        let leftovers = Query::owned(query.owner.clone());
        let nodes = &self.nodes.0;
        let looks = self.targets.iter().map(|(name, target)| {
            let matches = nodes.get(name).is_some_and(|node| node.matches);
            let query = if matches { query } else { &leftovers };
            async move { (name, target.engine.observe(query).await) }
        });
        let mut errors = Vec::new();
        for (name, result) in futures::future::join_all(looks).await {
            let Some(node) = self.nodes.0.get_mut(name) else { continue };
            match result {
                Ok(host) => {
                    node.host = Some(host);
                    node.fault = None;
                }
                Err(error) => {
                    node.host = None;
                    node.fault = Some(fault(&error));
                    errors.push(host_error(name, &error));
                }
            }
        }
        errors
    }

    /// Asks the registries, through the first host that answers.
    async fn resolve(&self, wanted: BTreeSet<String>) -> ImageView {
        let looks = wanted.into_iter().map(|image| async move {
            let digest = self.resolve_one(&image).await;
            (image, digest)
        });
        ImageView(futures::future::join_all(looks).await.into_iter().collect())
    }

    async fn resolve_one(&self, image: &str) -> Result<String, Fault> {
        let login = logins::for_image(&self.logins, image);
        let mut last = Fault {
            reason: "NoHostObserved".into(),
            message: format!("no host can be reached to look up {image} in its registry"),
            needs_person: false,
        };
        for (name, target) in &self.targets {
            if self.nodes.0.get(name).is_none_or(|node| node.host.is_none()) {
                continue;
            }
            match target.engine.resolve(image, login).await {
                Ok(digest) => return Ok(digest),
                Err(error) => last = fault(&error),
            }
        }
        Err(last)
    }
}

/// Sees to the pulls that a plan asks for; none is waited for.
fn pull(
    plan: &Plan,
    hosts: &Hosts,
    now: Timestamp,
    pulls: &Pulls,
    wake: &Arc<dyn Fn() + Send + Sync>,
    outcome: &mut Outcome,
) {
    let wanted = plan.hosts.iter().flat_map(|(host, plan)| plan.pulls.iter().map(move |step| (host, step)));
    for (host, step) in wanted {
        let (Some(target), Step::PullImage { image, digest, platform }) = (hosts.targets.get(host), step) else {
            continue;
        };
        let login = logins::for_image(&hosts.logins, image).cloned();
        let pull = Pull { image: image.clone(), digest: digest.clone(), platform: platform.clone(), login };
        let wake = Arc::clone(wake);
        let (message, until) = match pulls.ensure(host, &target.engine, &pull, move || wake()) {
            PullState::Running(progress) => (progress, None),
            PullState::Failed(error, retry_in) => {
                outcome.errors.push(host_error(host, &error));
                let until = SignedDuration::try_from(retry_in).ok().and_then(|wait| now.checked_add(wait).ok());
                (format!("the pull of {image} on {host} is tried again"), until)
            }
        };
        let (reason, service) = ("PullingImage".into(), String::new());
        outcome.waits.push(Wait { host: host.clone(), service, reason, message, until, needs_person: false });
    }
}

/// What to look for on the hosts.
pub fn query(valid: &Valid) -> Query {
    let definition = &valid.definition;
    Query {
        owner: valid.owner.clone(),
        images: definition.containers.values().map(|container| container.image.clone()).collect(),
        networks: definition.networks.keys().cloned().collect(),
        volumes: definition.volumes.keys().cloned().collect(),
        unused_images: valid.images.prune == Prune::Unused,
        owned_only: false,
    }
}

fn needs_person(error: &DriverError) -> bool {
    matches!(error.class(), Class::Denied | Class::Invalid)
}

fn fault(error: &DriverError) -> Fault {
    Fault { reason: error.reason().into(), message: error.to_string(), needs_person: needs_person(error) }
}

fn host_error(host: &str, error: &DriverError) -> StepError {
    StepError {
        host: host.to_owned(),
        service: None,
        reason: error.reason().into(),
        message: error.to_string(),
        needs_person: needs_person(error),
    }
}

fn step_error(definition: &Definition, failed: &Failed) -> StepError {
    StepError {
        host: failed.host.clone(),
        service: service_of(definition, &failed.step),
        reason: failed.error.reason().into(),
        message: format!("cannot {}: {}", failed.step, failed.error),
        needs_person: needs_person(&failed.error),
    }
}

fn service_of(definition: &Definition, step: &Step) -> Option<String> {
    match step {
        Step::CreateContainer { key, .. } | Step::ConnectNetwork { key, .. } | Step::UpdateContainer { key, .. } => {
            Some(key.service.clone())
        }
        Step::StartContainer { name } => definition
            .containers
            .iter()
            .find(|(_, container)| container.name == *name)
            .map(|(key, _)| key.service.clone()),
        _ => None,
    }
}
