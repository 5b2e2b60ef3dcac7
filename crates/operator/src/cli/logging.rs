//! The log: to stderr, as text or JSON.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// What is logged when nothing is said. A failing call or watch is told by Slipway itself, once per change.
pub(super) const DEFAULT_LEVEL: &str = "info,bollard=info,kube=warn,kube_client=off,kube_runtime=error,hyper=warn";

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs)]
pub enum Format {
    Text,
    Json,
}

pub(super) fn start(format: Format, level: &str) -> Result<()> {
    let filter = EnvFilter::try_new(level).with_context(|| format!("`{level}` is not a log level or filter"))?;
    // At these levels the libraries print whole requests and answers: registry logins, Secrets, environments.
    let secret = |target: &str, level: &Level| {
        *level == Level::TRACE && (target.starts_with("bollard") || target.starts_with("kube"))
    };
    let quiet = filter_fn(move |line| !secret(line.target(), line.level()));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        Format::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        Format::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines.with_filter(quiet))
        .try_init()
        .context("cannot start the log")
}
