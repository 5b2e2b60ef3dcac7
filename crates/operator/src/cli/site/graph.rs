//! `slipway graph`: a picture of a site.

use std::path::PathBuf;
use std::process::ExitCode;

use slipway_plan::design::graph;

use super::{Failure, design, finish, load, mention, print};

const EXAMPLES: &str = "\
The picture goes to stdout: one file that needs no other, for browsers and documents. Pointing at a part shows more of it. Of \
sites with many Nodes, each rack shows how many follow each host profile.
Exit code: 0 drawn, 1 there is no such Design, 2 a file cannot be read or the usage is wrong.

Examples:
  slipway graph -f site/ > site.svg
  slipway graph -f site/ -o svg --design lab | rsvg-convert > lab.png";

/// Draw a site: its links and networks, its racks, and the Nodes in them.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// A file of objects, a directory with such files in it or below it, a pattern, or - for stdin. May be repeated.
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// How it is drawn.
    #[arg(short, long, value_enum, default_value_t = Format::Svg)]
    output: Format,

    /// The Design, where the files hold several.
    #[arg(long, value_name = "NAME")]
    design: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Scalable Vector Graphics.
    Svg,
}

/// Runs the command.
pub(in crate::cli) fn run(args: &Args) -> ExitCode {
    finish(draw(args))
}

fn draw(args: &Args) -> Result<ExitCode, Failure> {
    let report = load(&args.files)?;
    mention(&report, &args.files);
    let (name, compiler) = design(&report, args.design.as_deref())?;
    let nodes: Vec<_> = compiler.nodes().map(|node| &**node).collect();
    print(&match args.output {
        Format::Svg => graph::svg(name, &compiler.site(), &nodes),
    })?;
    Ok(ExitCode::SUCCESS)
}
