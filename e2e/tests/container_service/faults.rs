//! The engine killed and started again, frozen, or its cable pulled, in the middle of a create, an update, a rollback and a delete.
//! Once in each phase; with `make test-full` before and after every call of each, with the operator killed at every second.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use futures::future::join_all;
use slipway_e2e::lab::Action;
use slipway_e2e::lab::process::{Signal, send};
use slipway_e2e::lab::site::SOON;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::bed::{Bed, Phase, Point};
use crate::on_site;

const PHASES: [Phase; 4] = [Phase::Create, Phase::Update, Phase::Rollback, Phase::Delete];
/// How long a host stays frozen or unplugged: calls under way feel it.
const OUTAGE: Duration = Duration::from_secs(1);
/// Longer than any case takes.
const PATIENCE: Duration = Duration::from_mins(5);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Killed,
    Frozen,
    Unplugged,
}

/// A fault at a call.
#[derive(Debug)]
struct Case<'a> {
    phase: Phase,
    fault: Fault,
    point: &'a Point,
    after: bool,
    /// The operator dies at the same moment.
    with_operator: bool,
}

impl Fault {
    fn strike(self, bed: &Bed) -> Result<()> {
        let host = bed.site.host();
        match self {
            Self::Killed => {
                host.kill_engine();
                Ok(())
            }
            Self::Frozen => host.freeze(),
            Self::Unplugged => host.unplug(),
        }
    }

    async fn end(self, bed: &Bed) -> Result<()> {
        let host = bed.site.host();
        match self {
            Self::Killed => host.start_engine().await,
            Self::Frozen => {
                sleep(OUTAGE).await;
                host.thaw()
            }
            Self::Unplugged => {
                sleep(OUTAGE).await;
                host.plug()
            }
        }
    }
}

impl Case<'_> {
    async fn run(&self, bed: &Bed, name: &str) -> Result<()> {
        bed.prepare(self.phase, name).await?;
        // The proxy holds the call until the fault has struck.
        let (reached, (strike, struck)) = (Arc::new(Notify::new()), mpsc::channel::<()>());
        let (tell, struck) = (Arc::clone(&reached), Mutex::new(struck));
        let hook = Action::hook(move |_| {
            tell.notify_one();
            let _ = struck.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(SOON);
        });
        if self.after {
            bed.engine.after(&self.point.call, self.point.nth, hook);
        } else {
            bed.engine.before(&self.point.call, self.point.nth, hook);
        }
        bed.trigger(self.phase, name).await?;
        timeout(SOON, reached.notified()).await.context("the call was never made")?;
        let done = tokio::task::block_in_place(|| self.fault.strike(bed));
        if self.with_operator {
            send(bed.site.operator.pid(), Signal::KILL)?;
            ensure!(bed.site.operator.wait_dead(SOON), "the operator survives SIGKILL");
        }
        drop(strike);
        done?;
        self.fault.end(bed).await?;
        bed.engine.clear();
        if self.with_operator {
            bed.site.operator.restart().await?;
        }
        bed.settled(self.phase, name).await?;
        bed.tidy(self.phase, name).await
    }
}

/// Runs the cases that are picked of a phase's, one after the other on one host.
async fn run(phase: Phase, fault: Fault, pick: impl Fn(usize, usize) -> bool) -> Result<()> {
    on_site(async move |ns| {
        let bed = Bed::new(ns, true).await?;
        let points: Vec<_> = bed.points(phase).await?.into_iter().filter(|point| point.of_engine).collect();
        let every = points.iter().flat_map(|point| [(point, false), (point, true)]).enumerate();
        let mut tried = 0;
        for (number, (point, after)) in every.filter(|(number, _)| pick(*number, points.len())) {
            tried += 1;
            let case = Case { phase, fault, point, after, with_operator: number % 4 >= 2 };
            let outcome = timeout(PATIENCE, case.run(&bed, &format!("at{tried}"))).await;
            outcome.unwrap_or_else(|_| Err(anyhow!("no end"))).with_context(|| format!("{case:?}"))?;
        }
        println!("{phase:?}, engine {fault:?}: {tried} cases at {} calls", points.len());
        Ok(())
    })
    .await
}

/// One call in the middle of each phase.
async fn once_in_each_phase(fault: Fault) -> Result<()> {
    in_every_phase(fault, |number, points| number == points).await
}

/// Before and after every call of every phase.
async fn at_every_call(fault: Fault) -> Result<()> {
    in_every_phase(fault, |_, _| true).await
}

/// The phases side by side, each on a host of its own: most of a case is waiting for what was struck to be noticed.
async fn in_every_phase(fault: Fault, pick: impl Fn(usize, usize) -> bool + Copy) -> Result<()> {
    let phases = PHASES.map(|phase| Box::pin(run(phase, fault, pick)));
    join_all(phases).await.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_killed_in_the_middle() -> Result<()> {
    once_in_each_phase(Fault::Killed).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_freezes_in_the_middle() -> Result<()> {
    once_in_each_phase(Fault::Frozen).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cable_that_is_pulled_in_the_middle() -> Result<()> {
    once_in_each_phase(Fault::Unplugged).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "for make test-full: takes many minutes"]
async fn an_engine_that_is_killed_at_every_call() -> Result<()> {
    at_every_call(Fault::Killed).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "for make test-full: takes many minutes"]
async fn an_engine_that_freezes_at_every_call() -> Result<()> {
    at_every_call(Fault::Frozen).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "for make test-full: takes many minutes"]
async fn a_cable_that_is_pulled_at_every_call() -> Result<()> {
    at_every_call(Fault::Unplugged).await
}
