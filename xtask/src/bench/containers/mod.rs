//! The figures of ContainerService: latency, what a change costs, scale, and what it costs when nothing changes.

mod change;
mod compose;
mod idle;
mod latency;
mod scale;
mod site;

use anyhow::Result;

use super::figure::{Figure, rows};
use site::Site;

/// Measures all of them, on one site.
pub async fn measure() -> Result<Vec<Figure>> {
    let compose = compose::program()?;
    let site = Box::pin(Site::start()).await?;
    let mut figures = Vec::new();
    let mut add = |measured: Vec<Figure>| {
        eprint!("{}", rows(&measured));
        figures.extend(measured);
    };
    add([latency::apply_to_start(&site).await?].into());
    add(change::unchanged(&site).await?.into());
    add([change::one_of_ten(&site).await?].into());
    add([latency::kill_to_start(&site).await?].into());
    add([scale::against_compose(&site, &compose).await?].into());
    add(idle::measure(&site).await?.into());
    add([scale::status_bytes(&site).await?].into());
    Ok(figures)
}
