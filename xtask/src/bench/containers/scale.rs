//! Three hosts with a hundred services each, beside Docker Compose.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use futures::future::try_join_all;
use kube::api::PostParams;

use super::super::cpu::Cpu;
use super::super::figure::Figure;
use super::compose::{self, Order};
use super::site::Site;

/// Objects, of ten services each.
const OBJECTS: usize = 10;

fn name(object: usize) -> String {
    format!("scale{object}")
}

/// From nothing to Ready, over `docker compose up` of the same on the three hosts at once. What Slipway made stays, for
/// the measurements of it at rest.
pub async fn against_compose(site: &Site, program: &Path) -> Result<Figure> {
    let folder = tempfile::tempdir()?;
    let projects: Vec<PathBuf> =
        (0..OBJECTS).map(|object| folder.path().join(format!("{}.json", name(object)))).collect();
    for (object, path) in projects.iter().enumerate() {
        let mut project = site.project(10);
        project["name"] = name(object).into();
        std::fs::write(path, serde_json::to_vec(&project)?)?;
    }
    let mut reference = f64::INFINITY;
    for order in [Order::OneByOne, Order::AtOnce] {
        eprintln!("bench: docker compose up of 10 projects of 10 services on 3 hosts, {order:?}");
        let before = Cpu::now()?;
        let took = compose::up(program, &site.hosts, &projects, order).await?.as_secs_f64();
        eprintln!("bench: {took:.1} s; CPU {}", Cpu::now()?.since(&before));
        compose::down(program, &site.hosts, &projects).await?;
        reference = reference.min(took);
    }
    eprintln!("bench: the same by Slipway");
    let (began, before, passes) = (Instant::now(), Cpu::now()?, site.passes().await?);
    for object in 0..OBJECTS {
        let service = Site::service(&name(object), ("role", "timed"), &site.project(10))?;
        site.services().create(&PostParams::default(), &service).await?;
    }
    try_join_all((0..OBJECTS).map(async |object| site.ready(&name(object)).await)).await?;
    let took = began.elapsed().as_secs_f64();
    let passes = site.passes().await? - passes;
    eprintln!("bench: {took:.1} s; {passes} passes; CPU {}", Cpu::now()?.since(&before));
    let figure = "3 hosts × 100 services to Ready, over docker compose up";
    Ok(Figure::new(figure, took / reference, "", 1.0).beside("docker compose up", reference, "s"))
}

/// Size of the status of one of these objects.
pub async fn status_bytes(site: &Site) -> Result<Figure> {
    let service = site.ready(&name(0)).await?;
    let status = serde_json::to_vec(&service.status.context("it has no status")?)?;
    Ok(Figure::count("status of a healthy service of 10 on 3 hosts", status.len(), "bytes", 1024))
}
