//! A thousand Nodes from nothing to Ready, beside what a bare client can write; and their end.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use slipway_api::NodeStatus;
use slipway_api::conditions::is_ready;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::super::cpu::Cpu;
use super::super::figure::{Figure, number};
use super::site::{BARE, COUNT, NAMESPACE, Site};

/// The bare client writes for so long, by as many at once as the operator has passes.
const SECONDS: u32 = 10;
const WRITERS: u32 = 32;

/// From the first create call until the last Node's Event says that it is Ready.
pub async fn creation(site: &Site, status_writes: &Path) -> Result<Vec<Figure>> {
    let nodes = site.wanted()?;
    eprintln!("bench: {COUNT} Nodes from nothing to Ready");
    let (before, cpu) = (site.writes().await?, Cpu::now()?);
    let began = Timestamp::now();
    site.create(&nodes).await?;
    let created = Timestamp::now().duration_since(began).as_secs_f64();
    // The operator's own counter, as looking at a thousand Nodes would cost the API server what is measured.
    let told = "slipway_events_total{kind=\"node\"";
    site.until("all Nodes to be Ready", async || Ok(site.counted(told).await? >= COUNT)).await?;
    // A Node that failed before has told more than one thing.
    site.until("every Node to be Ready", async || Ok(statuses(site).await?.is_some())).await?;
    let statuses = statuses(site).await?.context("a Node is not Ready any more")?;
    let (writes, last) = (site.writes().await? - before - COUNT, last_event(site).await?);
    let cpu = Cpu::now()?.since(&cpu);
    let seconds = last.duration_since(began).as_secs_f64();
    let passes = site.counted("slipway_reconcile_total{kind=\"node\"").await?;
    eprintln!("bench: {seconds:.1} s, {created:.1} s of it for creating; {passes} passes; CPU {cpu}");

    let largest = statuses.iter().max_by_key(|status| status.len()).context("no Node")?;
    let bare = bare(site, status_writes, largest).await?;
    let each = number(writes) / number(COUNT);
    let rate = number(COUNT) / seconds;
    Ok(vec![
        Figure::at_least("1000 Nodes created → all Ready", rate, "hosts/s", 0.8 * bare / each).beside(
            "0.8 × bare status writes ÷ our writes a host; bare",
            bare,
            "writes/s",
        ),
        Figure::new("API writes a Node from creation to Ready, Events counted", each, "", 4.0),
        Figure::count("largest status of the 1000 healthy Nodes", largest.len(), "bytes", 1024),
    ])
}

/// The Nodes' statuses as JSON, if all are Ready.
async fn statuses(site: &Site) -> Result<Option<Vec<String>>> {
    let nodes = site.nodes().list(&ListParams::default()).await?;
    let ready = |status: Option<NodeStatus>| status.filter(|status| is_ready(&status.conditions));
    let statuses: Option<Vec<_>> = nodes.into_iter().map(|node| ready(node.status)).collect();
    Ok(statuses.map(|all| all.iter().map(serde_json::to_string).collect()).transpose()?)
}

/// When the last Event was published. Warnings are shown: there is no reason for any.
async fn last_event(site: &Site) -> Result<Timestamp> {
    let events = Api::<Event>::namespaced(site.client.clone(), NAMESPACE).list(&ListParams::default()).await?;
    let mut warnings = BTreeMap::<_, (usize, _)>::new();
    for event in events.items.iter().filter(|event| event.type_.as_deref() == Some("Warning")) {
        warnings.entry(event.reason.as_deref().unwrap_or_default()).or_insert((0, event.note.as_deref())).0 += 1;
    }
    for (reason, (count, note)) in warnings {
        eprintln!("bench: {count} warnings {reason}, for example: {}", note.unwrap_or_default());
    }
    events.iter().filter_map(|event| event.event_time.as_ref()).map(|time| time.0).max().context("no Event has a time")
}

/// Status writes a second by a bare client, of the size of this one, while the operator rests.
async fn bare(site: &Site, program: &Path, status: &str) -> Result<f64> {
    eprintln!("bench: {SECONDS} s of bare status writes, {WRITERS} at once");
    let mut client = Command::new(program)
        .arg(site.kubeconfig())
        .args([BARE, &SECONDS.to_string(), &WRITERS.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    client.stdin.take().context("no standard input")?.write_all(status.as_bytes()).await?;
    let output = client.wait_with_output().await?;
    ensure!(output.status.success(), "{} failed; see above", program.display());
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// All Nodes deleted: what is written for each besides the deletion itself, and no session is left.
pub async fn deletion(site: &mut Site) -> Result<Figure> {
    eprintln!("bench: deleting {COUNT} Nodes");
    let before = site.writes().await?;
    site.delete_all().await?;
    site.until("all Nodes to be gone", async || {
        let left = site.nodes().list(&ListParams::default().limit(1)).await?;
        Ok(left.items.is_empty())
    })
    .await?;
    // What the operator still has to say it says soon.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let writes = site.writes().await? - before;
    let open = site.bmcs.sessions().await?.iter().flatten().filter(|session| session.ended.is_none()).count();
    ensure!(open == 0, "{open} sessions are open after the end of their Nodes");
    let each = number(writes) / number(COUNT);
    Ok(Figure::new("API writes a Node on delete, the deletion counted", each, "", 2.0))
}
