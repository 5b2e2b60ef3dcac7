//! Three hosts with a hundred services each, beside Docker Compose.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::future::try_join_all;
use kube::api::PostParams;

use super::super::cpu::Cpu;
use super::super::figure::{Figure, median};
use super::compose::{self, Order};
use super::site::Site;

/// Objects, of ten services each.
const OBJECTS: usize = 10;
/// How often each of the two does it.
const ROUNDS: usize = 3;

fn name(object: usize) -> String {
    format!("scale{object}")
}

/// From nothing to Ready, over `docker compose up` of the same on the three hosts at once: Compose and Slipway in turns,
/// as the machine's own speed changes from minute to minute. What Slipway made last stays, for the measurements of it at rest.
pub async fn against_compose(site: &Site, program: &Path) -> Result<Figure> {
    let folder = tempfile::tempdir()?;
    let projects = projects(site, folder.path())?;
    // Which of the two ways is Compose's faster one depends on the machine.
    let compose = async |order| Box::pin(by_compose(site, program, &projects, order)).await;
    let one_by_one = compose(Order::OneByOne).await?;
    let at_once = compose(Order::AtOnce).await?;
    let order = if one_by_one <= at_once { Order::OneByOne } else { Order::AtOnce };
    let (mut reference, mut ours) = (vec![one_by_one.min(at_once)], vec![by_slipway(site).await?]);
    while ours.len() < ROUNDS {
        remove(site).await?;
        reference.push(compose(order).await?);
        ours.push(by_slipway(site).await?);
    }
    let (reference, ours) = (median(reference).as_secs_f64(), median(ours).as_secs_f64());
    let figure = "3 hosts × 100 services to Ready, over docker compose up";
    Ok(Figure::new(figure, ours / reference, "", 1.0).beside("docker compose up", reference, "s"))
}

/// One file for each object, as Compose reads it.
fn projects(site: &Site, folder: &Path) -> Result<Vec<PathBuf>> {
    let write = |object| {
        let path = folder.join(format!("{}.json", name(object)));
        let mut project = site.project(10);
        project["name"] = name(object).into();
        std::fs::write(&path, serde_json::to_vec(&project)?)?;
        Ok(path)
    };
    (0..OBJECTS).map(write).collect()
}

/// The time of `docker compose up`; all is removed afterwards.
async fn by_compose(site: &Site, program: &Path, projects: &[PathBuf], order: Order) -> Result<Duration> {
    eprintln!("bench: docker compose up of 10 projects of 10 services on 3 hosts, {order:?}");
    let before = Cpu::now()?;
    let took = compose::up(program, &site.hosts, projects, order).await?;
    eprintln!("bench: {:.1} s; CPU {}", took.as_secs_f64(), Cpu::now()?.since(&before));
    compose::down(program, &site.hosts, projects).await?;
    Ok(took)
}

/// The time from the first create call until all objects are Ready.
async fn by_slipway(site: &Site) -> Result<Duration> {
    eprintln!("bench: the same by Slipway");
    let (began, before, passes) = (Instant::now(), Cpu::now()?, site.passes().await?);
    for object in 0..OBJECTS {
        let service = Site::service(&name(object), ("role", "timed"), &site.project(10))?;
        site.services().create(&PostParams::default(), &service).await?;
    }
    try_join_all((0..OBJECTS).map(async |object| site.ready(&name(object)).await)).await?;
    let took = began.elapsed();
    let passes = site.passes().await? - passes;
    eprintln!("bench: {:.1} s; {passes} passes; CPU {}", took.as_secs_f64(), Cpu::now()?.since(&before));
    Ok(took)
}

async fn remove(site: &Site) -> Result<()> {
    try_join_all((0..OBJECTS).map(async |object| site.delete(&name(object)).await)).await?;
    Ok(())
}

/// Size of the status of one of these objects.
pub async fn status_bytes(site: &Site) -> Result<Figure> {
    let service = site.ready(&name(0)).await?;
    let status = serde_json::to_vec(&service.status.context("it has no status")?)?;
    Ok(Figure::count("status of a healthy service of 10 on 3 hosts", status.len(), "bytes", 1024))
}
