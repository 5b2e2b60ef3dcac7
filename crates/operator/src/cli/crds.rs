//! `slipway crds`: the `CustomResourceDefinitions` as YAML.

use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};

/// Print the CustomResourceDefinitions, to be applied to a cluster.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  slipway crds | kubectl apply --server-side -f -")]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<()> {
    let mut out = std::io::stdout().lock();
    for crd in slipway_api::crds() {
        let yaml = serde_saphyr::to_string(&crd).context("cannot write a CRD as YAML")?;
        match writeln!(out, "---\n{}", yaml.trim_end()) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            written => written.context("cannot write to stdout")?,
        }
    }
    Ok(())
}
