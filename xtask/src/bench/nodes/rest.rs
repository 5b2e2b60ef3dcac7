//! What a thousand Nodes cost while nothing changes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::super::bmcs::Session;
use super::super::figure::{Figure, number};
use super::super::process::{cpu_seconds, resident_mib};
use super::site::Site;

/// After so long no session of the beginning is open any more.
const CALM: Duration = Duration::from_mins(1);

/// API writes, memory, and visits of the BMCs, until each has had at least one after those of the beginning.
pub async fn measure(site: &mut Site) -> Result<Vec<Figure>> {
    eprintln!("bench: rest, until each BMC has been visited again");
    let pid = site.operator.pid();
    tokio::time::sleep(CALM).await;
    let (writes, cpu, began) = (site.writes().await?, cpu_seconds(pid)?, Instant::now());
    let visits = loop {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let visits = site.bmcs.sessions().await?;
        if visits.iter().all(|visits| visits.len() > 1 && visits.iter().all(|visit| visit.ended.is_some())) {
            break visits;
        }
    };
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let writes = site.writes().await? - writes;
    let cpu = (cpu_seconds(pid)? - cpu) / minutes;
    let pauses: Vec<f64> = visits.iter().flat_map(|visits| pauses(visits)).collect();
    let shortest = pauses.iter().copied().reduce(f64::min).context("no visits")?;
    let mean = pauses.iter().sum::<f64>() / number(pauses.len());
    let commands = visits.iter().flat_map(|visits| visits.iter().skip(1)).map(|visit| visit.commands).max();
    Ok(vec![
        Figure::new("idle, 1000 Nodes: API writes a minute", number(writes) / minutes, "", 0.0),
        Figure::new("idle, 1000 Nodes: CPU a minute", cpu, "s", 0.5),
        Figure::new("idle, 1000 Nodes: resident memory", resident_mib(pid)?, "MiB", 60.0),
        Figure::new("BMC visits of a quiet Node an hour, by the shortest pause of all", 3600.0 / shortest, "", 12.0)
            .beside("by the mean pause", 3600.0 / mean, ""),
        Figure::count("commands of a visit besides session set-up, the most", commands.unwrap_or(0), "", 2),
    ])
}

/// Seconds from the beginning of each visit to that of the next.
fn pauses(visits: &[Session]) -> impl Iterator<Item = f64> {
    visits.windows(2).map(|pair| pair[1].opened - pair[0].opened)
}
