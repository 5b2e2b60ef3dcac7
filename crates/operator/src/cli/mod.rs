//! The command line. Data goes to stdout, everything else to stderr.

mod check;
mod crds;
mod glob;
mod import;
mod input;
mod ipmi;
mod kubectl;
mod logging;
mod plan;
mod report;
pub mod run;
mod site;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  slipway import compose docker-compose.yml > service.yaml
  slipway check -f service.yaml
  slipway plan -f service.yaml
  slipway check -f site/ && slipway compile -f site/ --node n20
  slipway crds | kubectl apply --server-side -f -
  kubectl create namespace slipway-system
  slipway run";

/// From bare metal to running services, declared in Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "slipway", version, after_help = EXAMPLES, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Args>),
    Crds(crds::Args),
    Check(check::Args),
    Plan(Box<plan::Args>),
    Compile(site::compile::Args),
    Explain(site::explain::Args),
    Diff(site::diff::Args),
    Graph(site::graph::Args),
    Import(import::Args),
    Ipmi(Box<ipmi::Args>),
    Why(Box<kubectl::why::Args>),
    Tree(Box<kubectl::tree::Args>),
    Approve(Box<kubectl::node_plan::Approve>),
    Power(Box<kubectl::power::Args>),
    Rollout(Box<kubectl::rollout::Args>),
    Inventory(Box<kubectl::inventory::Args>),
    Sel(Box<kubectl::sel::Args>),
    Logs(Box<kubectl::logs::Args>),
}

/// Runs the program and returns its exit code: 0 done, 1 failed, 2 wrong usage.
pub fn main() -> ExitCode {
    // The one TLS provider, before anything can ask for one. Installed twice is no harm.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match parse(&arguments) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let outcome = match cli.command {
        Command::Run(args) => run::run(*args),
        Command::Crds(args) => crds::run(&args),
        Command::Check(args) => return check::run(&args),
        Command::Plan(args) => return plan::run(&args),
        Command::Compile(args) => return site::compile::run(&args),
        Command::Explain(args) => return site::explain::run(&args),
        Command::Diff(args) => return site::diff::run(&args),
        Command::Graph(args) => return site::graph::run(&args),
        Command::Import(args) => return import::run(args),
        Command::Ipmi(args) => return ipmi::run(*args),
        Command::Why(args) => return kubectl::why::run(&args),
        Command::Tree(args) => return kubectl::tree::run(&args),
        Command::Approve(args) => return kubectl::node_plan::approve(&args),
        Command::Power(args) => return kubectl::power::run(&args),
        Command::Rollout(args) => return kubectl::rollout::run(&args),
        Command::Inventory(args) => return kubectl::inventory::run(&args),
        Command::Sel(args) => return kubectl::sel::run(&args),
        Command::Logs(args) => return kubectl::logs::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slipway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// As `kubectl-slipway` on the path, kubectl runs it as `kubectl slipway`; usage and help say so then.
fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let name = arguments.first().and_then(|program| Path::new(program).file_name()).and_then(|name| name.to_str());
    let command = match name {
        Some("kubectl-slipway") => Cli::command().bin_name("kubectl slipway"),
        _ => Cli::command(),
    };
    Cli::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn as_a_plugin_it_calls_itself_so() {
        let error = parse(&["/usr/bin/kubectl-slipway".into(), "fly".into()]).unwrap_err();
        assert!(error.to_string().contains("kubectl slipway"), "{error}");
    }
}
