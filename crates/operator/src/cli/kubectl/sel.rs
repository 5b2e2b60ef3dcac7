//! `kubectl slipway sel`: a BMC's event log, read through the operator's session.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::live::{Way, ask};
use super::paint::{BAD, DIM, WAITS};
use super::target::{KindName, Target};
use super::{View, finish, print};

const EXAMPLES: &str = "\
It is read now, from the BMC, through the one session that the operator has with it. You need the right to get nodes/sel (API group \
slipway.dev) of the Node, and to reach the operator: services/proxy in its namespace, or --server.

Exit code: 0 shown, 1 failed, 2 wrong usage.

Examples:
  kubectl slipway sel node/n20
  kubectl slipway sel node/n20 --limit 20 -o json | jq -r '.items[] | select(.level == \"Critical\") | .message'
  kubectl slipway sel node/n20 --service-account viewer        # a kubeconfig with a client certificate";

/// Show the event log of a Node's BMC, the newest entry last.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The Node: node/NAME.
    #[arg(value_name = "node/NAME")]
    target: Target,

    /// The newest entries only.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,

    #[command(flatten)]
    view: View,

    #[command(flatten)]
    way: Way,
}

/// The endpoint's answer.
#[derive(Debug, Serialize, Deserialize)]
struct Log {
    items: Vec<Entry>,
}

/// As the operator has it.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    id: String,
    at: Option<String>,
    level: String,
    sensor: Option<String>,
    message: String,
}

pub(in crate::cli) fn run(args: &Args) -> ExitCode {
    finish(async {
        args.target.must_be(KindName::Node)?;
        let namespace = args.view.reach.cluster().await?.namespace;
        let path = format!("/v1alpha1/namespaces/{namespace}/nodes/{}/sel?limit={}", args.target.name, args.limit);
        let answer = ask(&args.view.reach, &args.way, &path).await?;
        let body = answer.into_body().collect_bytes().await.context("the answer broke off")?;
        let log: Log = serde_json::from_slice(&body).context("the operator's answer is not understood")?;
        print(&log, args.view.output, |out| text(out, &log))?;
        Ok(ExitCode::SUCCESS)
    })
}

fn text(out: &mut dyn Write, log: &Log) -> io::Result<()> {
    if log.items.is_empty() {
        eprintln!("the event log is empty");
    }
    for Entry { id, at, level, sensor, message } in &log.items {
        let style = match level.as_str() {
            "Critical" => BAD,
            "Warning" => WAITS,
            _ => DIM,
        };
        let sensor = sensor.as_ref().map(|sensor| format!("{}: ", plain(sensor))).unwrap_or_default();
        let at = at.as_deref().unwrap_or("-");
        writeln!(
            out,
            "{DIM}{:>6}  {at:<20}{DIM:#}  {style}{level:<8}{style:#}  {sensor}{}",
            plain(id),
            plain(message)
        )?;
    }
    Ok(())
}

/// A stranger's words on a terminal.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
