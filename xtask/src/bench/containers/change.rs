//! What a reconcile costs a host and the API server when nothing, or one thing, has changed.

use std::time::Duration;

use anyhow::{Context, Result};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use slipway_e2e::lab::{DockerHost, eventually};

use super::super::figure::Figure;
use super::site::{Site, containers};

/// Name of the object with ten services; on the host whose calls are counted.
const NAME: &str = "ten";

/// How often a pass is asked for without changing the spec. Each is one API write of ours.
const TOUCHES: usize = 5;

/// Docker calls that change something, and API writes, of reconciles of an unchanged service.
pub async fn unchanged(site: &Site) -> Result<[Figure; 2]> {
    eprintln!("bench: reconciling an unchanged service of 10");
    site.create(&Site::service(NAME, ("host", "counted"), &site.project(10))?).await?;
    quiet(site).await?;
    let (calls, writes, passes) = (changes(&site.counted)?, site.api_writes().await?, site.passes().await?);
    for touch in 0..TOUCHES {
        let before = site.passes().await?;
        let patch = json!({"metadata": {"annotations": {"bench": touch.to_string()}}});
        site.services().patch(NAME, &PatchParams::default(), &Patch::Merge(patch)).await?;
        eventually("a pass over the object", Duration::from_secs(30), async || {
            anyhow::ensure!(site.passes().await? > before, "no pass yet");
            Ok(())
        })
        .await?;
    }
    quiet(site).await?;
    let passes = site.passes().await? - passes;
    let calls = changes(&site.counted)? - calls;
    let writes = site.api_writes().await? - writes - TOUCHES;
    let figure = |what: &str, value: usize| {
        Figure::count(format!("unchanged service of 10, {passes} reconciles: {what}"), value, "", 0)
    };
    Ok([figure("Docker calls that change something", calls), figure("API writes", writes)])
}

/// Containers that are recreated when one of ten services changes.
pub async fn one_of_ten(site: &Site) -> Result<Figure> {
    eprintln!("bench: changing one of 10 services");
    let docker = site.counted.docker()?;
    let before = containers(&docker, NAME).await?;
    let patch = json!({"spec": {"compose": {"services": {"s7": {"environment": {"CHANGED": "yes"}}}}}});
    site.services().patch(NAME, &PatchParams::default(), &Patch::Merge(patch)).await?;
    site.ready(NAME).await?;
    let after = containers(&docker, NAME).await?;
    let recreated = before.iter().filter(|(service, id)| after.get(*service) != Some(id)).count();
    site.delete(NAME).await?;
    Ok(Figure::count("one of 10 services changed: containers recreated", recreated, "", 1))
}

/// Waits until the Nodes tell what runs on them, and neither the API server nor the host is written to for two seconds.
async fn quiet(site: &Site) -> Result<()> {
    site.told().await?;
    eventually("nothing to be written for 2 s", Duration::from_mins(1), async || {
        let before = (changes(&site.counted)?, site.api_writes().await?);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let after = (changes(&site.counted)?, site.api_writes().await?);
        anyhow::ensure!(before == after, "still writing");
        Ok(())
    })
    .await
}

/// Calls that change something, as the engine's own log counts them.
fn changes(host: &DockerHost) -> Result<usize> {
    let log = std::fs::read_to_string(host.log()).context("cannot read the engine's log")?;
    let changing = ["Calling POST ", "Calling PUT ", "Calling DELETE "];
    Ok(log.lines().filter(|line| changing.iter().any(|call| line.contains(call))).count())
}
