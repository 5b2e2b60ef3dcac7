//! How soon something happens on a host.

use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use bollard::models::EventMessage;
use kube::api::PostParams;
use slipway_e2e::lab::DockerHost;
use tokio::process::Command;

use super::super::figure::{Figure, median, milliseconds};
use super::site::{Site, container_events, containers, next_event};

/// How often each is measured.
const ROUNDS: usize = 15;

/// From the API server's acknowledgement to the engine's `start` event, over the same by hand.
pub async fn apply_to_start(site: &Site) -> Result<Figure> {
    eprintln!("bench: from kubectl apply to a container's start, {ROUNDS} times");
    let host = &site.hosts[0];
    let (mut slipway, mut by_hand) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let mut events = container_events(&host.docker()?, &["start"]);
        let name = format!("latency{round}");
        let service = Site::service(&name, ("host", "host1"), &site.project(1))?;
        site.services().create(&PostParams::default(), &service).await?;
        let acknowledged = now();
        slipway.push(time(&next_event(&mut events, "the start").await?)?.saturating_sub(acknowledged));
        site.ready(&name).await?;
        site.delete(&name).await?;

        let began = now();
        docker(host, &["network", "create", &name]).await?;
        docker(host, &["run", "--detach", "--name", &name, "--network", &name, site.image.reference()]).await?;
        by_hand.push(time(&next_event(&mut events, "the start").await?)?.saturating_sub(began));
        docker(host, &["rm", "--force", &name]).await?;
        docker(host, &["network", "rm", &name]).await?;
    }
    let (slipway, by_hand) = (milliseconds(median(slipway)), milliseconds(median(by_hand)));
    let name = "API server's acknowledgement → start event, over docker network create + run";
    Ok(Figure::new(name, slipway - by_hand, "ms", 50.0).beside("docker network create + run", by_hand, "ms"))
}

/// From a container's death by another's hand to the start of what takes its place.
pub async fn kill_to_start(site: &Site) -> Result<Figure> {
    eprintln!("bench: from a kill to a container's start, {ROUNDS} times");
    let host = &site.hosts[0];
    let docker_api = host.docker()?;
    site.create(&Site::service("killed", ("host", "host1"), &site.project(1))?).await?;
    docker(host, &["run", "--detach", "--name", "by-hand", site.image.reference()]).await?;
    let mut events = container_events(&docker_api, &["die", "start"]);
    let (mut slipway, mut by_hand) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let id = containers(&docker_api, "killed").await?.remove("s1").context("the container is gone")?;
        docker(host, &["kill", &id]).await?;
        slipway.push(gap(&mut events).await?);
        site.ready("killed").await?;

        docker(host, &["kill", "by-hand"]).await?;
        docker(host, &["start", "by-hand"]).await?;
        by_hand.push(gap(&mut events).await?);
    }
    docker(host, &["rm", "--force", "by-hand"]).await?;
    site.delete("killed").await?;
    let name = "container killed outside → running again";
    let (slipway, by_hand) = (median(slipway).as_secs_f64(), milliseconds(median(by_hand)));
    Ok(Figure::new(name, slipway, "s", 0.5).beside("docker start at once", by_hand / 1000.0, "s"))
}

/// Time from the next `die` to the `start` after it.
async fn gap(
    events: &mut (impl futures::Stream<Item = Result<EventMessage, bollard::errors::Error>> + Unpin),
) -> Result<Duration> {
    let mut died = None;
    loop {
        let event = next_event(events, "the restart").await?;
        match (event.action.as_deref(), died) {
            (Some("die"), _) => died = Some(time(&event)?),
            (Some("start"), Some(died)) => return Ok(time(&event)?.saturating_sub(died)),
            _ => {}
        }
    }
}

/// The engine's time of an event; the hosts share this machine's clock.
fn time(event: &EventMessage) -> Result<Duration> {
    let nanoseconds = event.time_nano.context("an event without a time")?;
    Ok(Duration::from_nanos(u64::try_from(nanoseconds)?))
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Runs the docker client on a host.
async fn docker(host: &DockerHost, args: &[&str]) -> Result<()> {
    let output = Command::new("docker")
        .env("DOCKER_HOST", format!("unix://{}", host.socket().display()))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .await
        .context("cannot run docker")?;
    ensure!(output.status.success(), "docker {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(())
}
