//! The operator killed with SIGKILL at every call that changes something, of a create, an update, a rollback and a delete: before or
//! after it, in turn; with `SLIPWAY_TEST_FULL` before and after.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::join_all;
use slipway_e2e::lab::site::SOON;
use slipway_e2e::lab::{Action, eventually};
use tokio::sync::OnceCell;

use crate::bed::{Bed, Phase, Point};
use crate::on_site;

/// Hosts that share the points of a phase.
const LANES: usize = 2;

async fn crash_at(bed: &Bed, phase: Phase, point: &Point, after: bool, name: &str) -> Result<()> {
    bed.prepare(phase, name).await?;
    let proxy = if point.of_engine { &bed.engine } else { &bed.api };
    let kill = Action::Kill(bed.site.operator.pid());
    if after {
        proxy.after(&point.call, point.nth, kill);
    } else {
        proxy.before(&point.call, point.nth, kill);
    }
    bed.trigger(phase, name).await?;
    // The last status writes of a phase may fold into fewer than those of the clean run: then there was no such call.
    let settled = bed.settled(phase, name);
    let crashed = eventually("the operator to be killed", SOON, || async {
        ensure!(!bed.site.operator.is_running(), "it runs");
        Ok(())
    });
    tokio::select! {
        killed = crashed => killed?,
        settled = settled => {
            settled?;
            ensure!(!point.of_engine, "the call was never made");
        }
    }
    proxy.clear();
    bed.site.operator.restart().await?;
    bed.settled(phase, name).await?;
    bed.tidy(phase, name).await
}

/// Every point of a phase, shared among hosts that go on side by side.
async fn every_point(phase: Phase) -> Result<()> {
    let points = OnceCell::new();
    let lanes = (0..LANES).map(|lane| Box::pin(every_point_of(lane, phase, &points)));
    join_all(lanes).await.into_iter().collect()
}

/// The points that fall to one of the hosts. The first that comes to it learns which there are.
async fn every_point_of(lane: usize, phase: Phase, points: &OnceCell<Vec<Point>>) -> Result<()> {
    on_site(async move |ns| {
        let bed = Bed::new(ns, false).await?;
        let points = points.get_or_try_init(|| bed.points(phase)).await?;
        ensure!(points.iter().filter(|it| it.of_engine).count() >= 4, "only {points:?}");
        let mut tried = 0;
        // By default one moment of each call, in turn: after one call is before the next.
        let full = std::env::var_os("SLIPWAY_TEST_FULL").is_some();
        for (number, point) in points.iter().enumerate().filter(|(number, _)| number % LANES == lane) {
            for after in [false, true].into_iter().filter(|&after| full || after == (number % 2 == 1)) {
                tried += 1;
                let when = if after { "after" } else { "before" };
                let name = format!("at{tried}");
                let outcome = crash_at(&bed, phase, point, after, &name);
                tokio::time::timeout(Duration::from_mins(5), outcome)
                    .await
                    .unwrap_or_else(|_| Err(anyhow::anyhow!("no end")))
                    .with_context(|| format!("{phase:?}: killed {when} {} no. {}", point.call, point.nth))?;
            }
        }
        println!("{phase:?}: {tried} of the crashes at {} points", points.len());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn at_every_call_of_a_create() -> Result<()> {
    every_point(Phase::Create).await
}

#[tokio::test(flavor = "multi_thread")]
async fn at_every_call_of_an_update() -> Result<()> {
    every_point(Phase::Update).await
}

#[tokio::test(flavor = "multi_thread")]
async fn at_every_call_of_a_rollback() -> Result<()> {
    every_point(Phase::Rollback).await
}

#[tokio::test(flavor = "multi_thread")]
async fn at_every_call_of_a_delete() -> Result<()> {
    every_point(Phase::Delete).await
}
