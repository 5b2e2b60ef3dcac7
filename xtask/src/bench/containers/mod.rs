//! The figures of ContainerService: latency, what a change costs, scale, and what it costs when nothing changes.

mod change;
mod compose;
mod idle;
mod latency;
mod scale;
mod site;

use anyhow::Result;

use super::figure::Figure;
use site::Site;

/// Measures all of them, on one site.
pub async fn measure() -> Result<Vec<Figure>> {
    let compose = compose::program()?;
    let site = Site::start().await?;
    let mut figures = Vec::new();
    figures.push(latency::apply_to_start(&site).await?);
    figures.extend(change::unchanged(&site).await?);
    figures.push(change::one_of_ten(&site).await?);
    figures.push(latency::kill_to_start(&site).await?);
    figures.push(scale::against_compose(&site, &compose).await?);
    figures.extend(idle::measure(&site).await?);
    figures.push(scale::status_bytes(&site).await?);
    Ok(figures)
}
