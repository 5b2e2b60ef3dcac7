//! Takes a plan's steps: hosts side by side, a host's stages one after the other, a stage's steps side by side.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::{self, StreamExt};
use slipway_drivers::DriverError;
use slipway_drivers::docker::Engine;
use slipway_plan::container_service::definition::Definition;
use slipway_plan::container_service::observed::Owner;
use slipway_plan::container_service::plan::{HostPlan, Step, blocks};

use crate::reconcile::Locks;

/// Steps of one stage that run at one time on one host. Docker itself is the bottleneck beyond this.
const STEPS_AT_ONCE: usize = 16;

/// A host that steps can be taken on.
#[derive(Clone)]
pub struct Target {
    /// Its engine.
    pub engine: Arc<dyn Engine>,
    /// One writer at a time per engine, over all objects: the key of its lock.
    pub lock: String,
}

/// A step that could not be taken.
#[derive(Clone, Debug)]
pub struct Failed {
    /// The Node.
    pub host: String,
    /// What was tried.
    pub step: Step,
    /// What came of it.
    pub error: DriverError,
}

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Acted {
    /// Steps that were taken, by host.
    pub taken: Vec<(String, Step)>,
    /// Steps that failed. Later ones that build on them were not tried.
    pub failed: Vec<Failed>,
}

/// Takes the steps of every host's stages.
pub async fn act(
    owner: &Owner,
    definition: &Definition,
    hosts: &BTreeMap<String, HostPlan>,
    targets: &BTreeMap<String, Target>,
    locks: &Locks,
) -> Acted {
    let each = hosts.iter().filter_map(|(host, plan)| Some((host, plan, targets.get(host)?)));
    let all = futures::future::join_all(each.map(|(host, plan, target)| async move {
        let mut acted = Acted::default();
        for stage in &plan.stages {
            take_stage(owner, definition, host, stage, target, locks, &mut acted).await;
        }
        acted
    }))
    .await;
    all.into_iter().fold(Acted::default(), |mut sum, one| {
        sum.taken.extend(one.taken);
        sum.failed.extend(one.failed);
        sum
    })
}

async fn take_stage(
    owner: &Owner,
    definition: &Definition,
    host: &str,
    stage: &[Step],
    target: &Target,
    locks: &Locks,
    acted: &mut Acted,
) {
    let blocked = |step: &Step| acted.failed.iter().any(|failed| blocks(definition, &failed.step, step));
    let open: Vec<Step> = stage.iter().filter(|step| !blocked(step)).cloned().collect();
    // A stop may take its whole grace, and takes nothing that another could want: it holds up nobody.
    let only_stops = open.iter().all(|step| matches!(step, Step::StopContainer { .. }));
    let _guard = if only_stops { None } else { Some(locks.lock(&target.lock).await) };
    let steps = open.into_iter().map(|step| async move {
        let result = target.engine.execute(owner, &step, definition).await;
        (step, result)
    });
    let results: Vec<_> = stream::iter(steps).buffer_unordered(STEPS_AT_ONCE).collect().await;
    for (step, result) in results {
        match result {
            Ok(()) => acted.taken.push((host.to_owned(), step)),
            Err(error) => acted.failed.push(Failed { host: host.to_owned(), step, error }),
        }
    }
}
