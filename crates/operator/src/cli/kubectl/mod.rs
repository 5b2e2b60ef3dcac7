//! `kubectl slipway`: the verbs for people, on the objects of a cluster.

mod cluster;
pub(super) mod inventory;
mod live;
pub(super) mod logs;
pub(super) mod node_plan;
mod paint;
pub(super) mod power;
pub(super) mod rollout;
pub(super) mod sel;
mod target;
pub(super) mod tree;
pub(super) mod why;
mod write;

pub(super) use cluster::Reach;
pub(super) use target::Target;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    Json,
    Yaml,
}

/// What every verb takes that shows something.
#[derive(Debug, clap::Args)]
struct View {
    /// How the answer is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,

    #[command(flatten)]
    reach: Reach,
}

/// Runs a verb to its end and makes its exit code.
fn finish(verb: impl Future<Output = Result<ExitCode>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.context("cannot start the runtime").and_then(|runtime| {
        let outcome = runtime.block_on(verb);
        // Names that are being looked up cannot be cut off; they must not delay the end.
        runtime.shutdown_background();
        outcome
    });
    outcome.unwrap_or_else(|error| {
        eprintln!("slipway: {error:#}");
        ExitCode::FAILURE
    })
}

/// Prints an answer for a program, or has it printed for a person.
fn print<T: Serialize>(
    answer: &T,
    format: Format,
    text: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let mut out = anstream::stdout().lock();
    match format {
        Format::Text => text(&mut out),
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(answer)?),
        Format::Yaml => write!(out, "{}", serde_saphyr::to_string(answer)?),
    }
    .context("cannot write to stdout")
}
