//! The figures of Node and its BMC: a thousand Nodes from nothing to Ready, at rest, and away again.

mod rest;
mod scale;
mod site;

use std::path::Path;

use anyhow::Result;

use super::figure::{Figure, rows};
use site::Site;

/// Measures all of them, on one site. `bmcs` and `status_writes` are the examples of `slipway-fakes` and `slipway-operator`.
pub async fn measure(bmcs: &Path, status_writes: &Path) -> Result<Vec<Figure>> {
    let mut site = Box::pin(Site::start(bmcs)).await?;
    let mut figures = Vec::new();
    let mut add = |measured: Vec<Figure>| {
        eprint!("{}", rows(&measured));
        figures.extend(measured);
    };
    add(Box::pin(scale::creation(&site, status_writes)).await?);
    add(Box::pin(rest::measure(&mut site)).await?);
    add(vec![Box::pin(scale::deletion(&mut site)).await?]);
    Ok(figures)
}
