//! Docker Compose, the reference: the same projects, brought up by it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use slipway_e2e::lab::DockerHost;
use slipway_e2e::lab::assets::COMPOSE;
use tokio::process::Command;

/// Whether a host's projects are brought up one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One `docker compose up` after the other on each host.
    OneByOne,
    /// All at once.
    AtOnce,
}

/// Docker Compose 2.40, from the cache or built now.
pub fn program() -> Result<PathBuf> {
    Ok(COMPOSE.dir()?.join("docker-compose"))
}

/// Brings the projects up on all hosts at the same time; gives the time it took.
pub async fn up(compose: &Path, hosts: &[DockerHost], projects: &[PathBuf], order: Order) -> Result<Duration> {
    let began = Instant::now();
    on_all(compose, hosts, projects, order, &["up", "--detach", "--quiet-pull"]).await?;
    Ok(began.elapsed())
}

/// Removes them again.
pub async fn down(compose: &Path, hosts: &[DockerHost], projects: &[PathBuf]) -> Result<()> {
    on_all(compose, hosts, projects, Order::OneByOne, &["down", "--timeout", "1"]).await
}

async fn on_all(
    compose: &Path,
    hosts: &[DockerHost],
    projects: &[PathBuf],
    order: Order,
    action: &[&str],
) -> Result<()> {
    let on_one = async |host: &DockerHost| match order {
        Order::AtOnce => {
            try_join_all(projects.iter().map(|project| run(compose, host, project, action))).await.map(|_| ())
        }
        Order::OneByOne => {
            for project in projects {
                run(compose, host, project, action).await?;
            }
            Ok(())
        }
    };
    try_join_all(hosts.iter().map(on_one)).await?;
    Ok(())
}

async fn run(compose: &Path, host: &DockerHost, project: &Path, action: &[&str]) -> Result<()> {
    let output = Command::new(compose)
        .env("DOCKER_HOST", format!("unix://{}", host.socket().display()))
        .args(["--progress", "quiet", "--file"])
        .arg(project)
        .args(action)
        .stdin(Stdio::null())
        .output()
        .await
        .context("cannot run docker-compose")?;
    if !output.status.success() {
        bail!("docker compose {}: {}", action.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
