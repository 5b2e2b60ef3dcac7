//! `slipway plan`: what would happen, offline or on the cluster's hosts. Nothing is changed.

mod live;
mod offline;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde::Serialize;
use slipway_api::ContainerService;
use slipway_plan::container_service::foresee::Foresight;

use super::check;
use super::check::objects::{Object, Sources};
use super::input;
use super::kubectl::{self, Format, Reach, Target};

const EXAMPLES: &str = "\
The plan goes to stdout, in the order in which its steps would be taken if all of them succeed; notes go to stderr.
Exit code: 0 planned, 1 it cannot be planned, 2 a file cannot be read or the usage is wrong, 3 the plan of node/NAME waits for an approval.

Examples:
  slipway plan -f service.yaml
  slipway plan -f service.yaml --live
  slipway plan -f manifests/ --live --context lab -o json | jq '.[].steps[].step'
  slipway plan node/n20";

/// Show what would happen: on empty hosts, or with --live on those of the cluster.
///
/// Without --live no cluster is asked: the Nodes of the files are the hosts, or one host that stands for all. With --live
/// the cluster's Nodes are looked at as they are now, with what they run. Nothing is changed in either case. With node/NAME in
/// place of files: the plan that is in force for this Node, as the operator has it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The Node whose plan in force is shown.
    #[arg(value_name = "node/NAME", conflicts_with_all = ["files", "live"])]
    target: Option<Target>,

    /// A file of objects, a directory of such files, or - for stdin. May be repeated.
    #[arg(short, long = "filename", value_name = "FILE", required_unless_present = "target")]
    files: Vec<PathBuf>,

    /// Plan against the cluster's hosts as they are now.
    #[arg(long)]
    live: bool,

    /// How plans are printed.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,

    #[command(flatten)]
    reach: Reach,
}

/// The plan of one object.
#[derive(Debug, Serialize)]
struct Planned {
    namespace: String,
    name: String,
    #[serde(flatten)]
    foresight: Foresight,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> ExitCode {
    if let Some(target) = &args.target {
        return kubectl::node_plan::show(target, args.output, &args.reach);
    }
    if !args.live && args.reach.is_given() {
        eprintln!(
            "slipway: --kubeconfig, --context and --as name a cluster, which files are planned against with --live only"
        );
        return ExitCode::from(2);
    }
    let inputs = match input::read_all(&args.files) {
        Ok(inputs) => inputs,
        Err(reason) => {
            eprintln!("slipway: {reason}");
            return ExitCode::from(2);
        }
    };
    if check::complain(&inputs) {
        eprintln!("slipway: nothing is planned, since the operator would refuse it");
        return ExitCode::FAILURE;
    }
    let documents: Vec<_> = inputs
        .iter()
        .enumerate()
        .flat_map(|(file, input)| check::documents(input).into_iter().map(move |document| (file, document)))
        .collect();
    let objects: Vec<_> =
        documents.iter().flat_map(|(file, document)| check::objects::of_document(*file, document)).collect();
    let planned = if args.live { live::plan(args, &objects) } else { offline::plan(args, &objects) };
    match planned.and_then(|planned| print(&planned, args.output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slipway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The ContainerServices among the objects.
fn services(objects: &[Object<'_>]) -> Result<Vec<ContainerService>> {
    let ours = objects.iter().filter(|object| object.is_ours() && object.text("kind") == "ContainerService");
    let read = |object: &Object<'_>| {
        serde_json::from_value(object.value.clone()).with_context(|| format!("cannot read {}", object.name()))
    };
    let services: Vec<_> = ours.map(read).collect::<Result<_>>()?;
    if services.is_empty() {
        eprintln!("note: there is no ContainerService in these files, so there is nothing to plan");
    }
    Ok(services)
}

/// Secrets and ConfigMaps of the files.
fn sources(objects: &[Object<'_>]) -> Sources {
    let mut sources = Sources::default();
    for object in objects {
        sources.add(object);
    }
    sources
}

fn print(planned: &[Planned], format: Format) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(planned)?),
        Format::Yaml => write!(out, "{}", serde_saphyr::to_string(&planned)?),
        Format::Text => planned.iter().try_for_each(|Planned { namespace, name, foresight }| {
            let object = if namespace.is_empty() { name.clone() } else { format!("{namespace}/{name}") };
            writeln!(out, "ContainerService {object}:")?;
            foresight.to_string().lines().try_for_each(|line| writeln!(out, "  {line}"))
        }),
    }
    .context("cannot write to stdout")
}
