//! `slipway compile`: what each Node of a site is to be.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use slipway_plan::design::{NodeModel, SiteModel, Text};
use slipway_plan::formats::yaml;

use super::{Failure, design, finish, json, load, node_name, not_there, print};
use crate::cli::check;

const EXAMPLES: &str = "\
The model goes to stdout; its fields are those of docs/design.md. The same site has the same model, whatever the order of its \
files. Findings go to stderr.
Exit code: 0 compiled, 1 something is wrong and nothing is printed, or there is no such Node or Design, 2 a file cannot be read \
or the usage is wrong.

Examples:
  slipway compile -f site/
  slipway compile -f site/ --node n20 -o yaml
  slipway compile -f site/ | jq -r '.nodes[] | [.name, .fqdn] | @tsv'
  slipway compile -f site/ --design lab --keep-going";

/// Show what a Design and its Nodes come to: the effective model of each Node.
///
/// Everything is inherited, defaulted and looked up, as the operator does it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// A file of objects, a directory with such files in it or below it, a pattern, or - for stdin. May be repeated.
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// How the model is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Json)]
    output: Format,

    /// Print the model of this Node only.
    #[arg(long, value_name = "NODE")]
    node: Option<String>,

    /// The Design, where the files hold several.
    #[arg(long, value_name = "NAME")]
    design: Option<String>,

    /// Print what could be compiled even if something is wrong.
    #[arg(long)]
    keep_going: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Json,
    Yaml,
}

/// A compiled site.
#[derive(Serialize)]
struct Compiled<'a> {
    design: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    /// The same for the same site, whenever and wherever it is compiled.
    hash: String,
    site: SiteModel,
    /// The groups of the rollout, each with its Nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<Group>,
    nodes: Vec<&'a NodeModel>,
}

#[derive(Serialize)]
struct Group {
    name: String,
    nodes: Vec<Text>,
}

/// Runs the command.
pub(in crate::cli) fn run(args: &Args) -> ExitCode {
    finish(compile(args))
}

fn compile(args: &Args) -> Result<ExitCode, Failure> {
    let report = load(&args.files)?;
    let has_errors = check::tell(&report.findings);
    for note in report.site.notes() {
        eprintln!("note: {note}");
    }
    let (name, compiler) = design(&report, args.design.as_deref())?;
    if has_errors && !args.keep_going {
        return Err(Failure::Failed(
            "nothing is printed, as something is wrong; --keep-going prints the rest".to_owned(),
        ));
    }
    let text = if let Some(wanted) = &args.node {
        let wanted = node_name(wanted);
        let model = compiler.node(wanted);
        let missing = || Failure::Failed(not_there("Node", wanted, compiler.nodes().map(|node| &*node.name)));
        written(&**model.ok_or_else(missing)?, args.output)?
    } else {
        let groups = compiler.groups().into_iter().map(|(name, nodes)| Group { name, nodes });
        let site = Compiled {
            design: name.rsplit('/').next().unwrap_or(name),
            namespace: report.site.namespace(name),
            hash: compiler.hash(),
            site: compiler.site(),
            groups: groups.collect(),
            nodes: compiler.nodes().map(|node| &**node).collect(),
        };
        written(&site, args.output)?
    };
    print(&text)?;
    Ok(if has_errors { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn written(value: &impl Serialize, format: Format) -> Result<String, Failure> {
    match format {
        Format::Json => json(value),
        Format::Yaml => yaml::write(value).map_err(Failure::Failed),
    }
}
