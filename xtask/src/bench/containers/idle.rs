//! What 300 services cost while nothing changes.

use std::time::Duration;

use anyhow::Result;

use super::super::figure::Figure;
use super::super::process::{cpu_seconds, resident_mib};
use super::site::Site;

/// How long nothing is done.
const REST: Duration = Duration::from_mins(2);

/// API writes, CPU and memory at rest.
pub async fn measure(site: &Site) -> Result<[Figure; 3]> {
    eprintln!("bench: {REST:?} of rest with 300 services");
    let pid = site.operator.pid();
    site.told().await?;
    let (writes, cpu) = (site.api_writes().await?, cpu_seconds(pid)?);
    tokio::time::sleep(REST).await;
    let (writes, cpu) = (site.api_writes().await? - writes, cpu_seconds(pid)? - cpu);
    Ok([
        Figure::count("idle, 300 services: API writes in 2 min", writes, "", 0),
        Figure::new("idle, 300 services: CPU in 2 min", cpu, "s", 0.2),
        Figure::new("idle, 300 services: resident memory", resident_mib(pid)?, "MiB", 40.0),
    ])
}
