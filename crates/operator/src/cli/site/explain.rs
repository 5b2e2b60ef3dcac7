//! `slipway explain`: where the values of a Node come from.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::Value;
use slipway_plan::design::{Compiler, Explanation, How, Other};
use slipway_plan::finding::Place;
use slipway_plan::formats::compose::nearest;

use super::{Failure, finish, json, listed, load, mention, node_name, not_there, print};
use crate::cli::check::Report;

const EXAMPLES: &str = "\
Each value is shown with who says it and where; the lines below it tell what it overrides.
Exit code: 0 explained, 1 there is no such Node or value, 2 a file cannot be read or the usage is wrong.

Examples:
  slipway explain -f site/ node/n20
  slipway explain -f site/ node/n20 storage.disks.sda
  slipway explain -f site/ n20 platform.kernelParams -o json";

/// Columns up to which origins are aligned.
const ALIGNED: usize = 56;

/// Show where each value of a Node comes from: the file and line of the Node, the host profile, the network that says it.
///
/// Parts are called by their names: storage.disks.sda.partitions.root.size. Without a path all values are shown.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// A file of objects, a directory with such files in it or below it, a pattern, or - for stdin. May be repeated.
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The Node, as `node/NAME` or `NAME`.
    #[arg(value_name = "NODE")]
    node: String,

    /// A value of its model, or a part, which stands for all values in it.
    #[arg(value_name = "PATH", default_value = "")]
    path: String,

    /// How it is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The model as a tree, with origins beside it.
    Text,
    /// A list of values.
    Json,
}

/// Runs the command.
pub(in crate::cli) fn run(args: &Args) -> ExitCode {
    finish(explain(args))
}

fn explain(args: &Args) -> Result<ExitCode, Failure> {
    let report = load(&args.files)?;
    mention(&report, &args.files);
    let (design, compiler, node) = find(&report, node_name(&args.node))?;
    let path = plain(&args.path);
    let found = report.site.explain(design, compiler, node, &path).unwrap_or_default();
    if found.is_empty() {
        return Err(Failure::Failed(not_said(&report, (design, compiler, node), &path)));
    }
    print(&match args.output {
        Format::Text => tree(&found),
        Format::Json => json(&found)?,
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The Node, with its Design.
fn find<'r>(report: &'r Report, wanted: &'r str) -> Result<(&'r str, &'r Compiler, &'r str), Failure> {
    if let Some((design, compiler)) = report.compiled.iter().find(|(_, compiler)| compiler.node(wanted).is_some()) {
        return Ok((design, compiler, wanted));
    }
    if report.site.written_nodes().any(|(_, name, _)| name == wanted) {
        let reason = format!(
            "Node {wanted} has no model: its Design or its host profile is not there or cannot be compiled; `slipway check` shows why"
        );
        return Err(Failure::Failed(reason));
    }
    let nodes = report.compiled.values().flat_map(Compiler::nodes).map(|node| &*node.name);
    Err(Failure::Failed(not_there("Node", wanted, nodes)))
}

/// A path as the model has it, from one as people write it: `spec.storage.disks[sda]`.
fn plain(path: &str) -> String {
    let path = path.trim().trim_start_matches('.');
    let path = path.strip_prefix("spec.").unwrap_or(path);
    path.replace('[', ".").replace([']', '"', '\''], "").trim_matches('.').to_owned()
}

/// Why there is nothing at a path: somebody took it away, or what there is instead.
fn not_said(report: &Report, (design, compiler, node): (&str, &Compiler, &str), path: &str) -> String {
    let names: Vec<String> = path.split('.').map(str::to_owned).collect();
    let said = report.site.said(design, compiler, node, &names);
    if said.iter().any(|other| other.how == How::Removes) {
        let told: Vec<String> = said.iter().map(told).collect();
        return format!("{path:.200} is not in the model of Node {node}: {}", told.join(", "));
    }
    let all = report.site.explain(design, compiler, node, "").unwrap_or_default();
    let (known, children) = children(&all, &names);
    let wanted = names.get(known.len()).map_or("", String::as_str);
    let at = if known.is_empty() { format!("Node {node}") } else { known.join(".") };
    let near = nearest(wanted, children.iter().copied()).map(|near| {
        let near = known.iter().map(String::as_str).chain([near]).collect::<Vec<_>>().join(".");
        format!("did you mean {near}?")
    });
    let near = near.unwrap_or_else(|| {
        if children.is_empty() {
            "it has no parts".to_owned()
        } else {
            format!("it has {}", listed(children.iter().copied()))
        }
    });
    format!("{at} has no `{wanted:.100}`; {near}")
}

/// How far a path leads, and what there is then.
fn children<'e>(all: &'e [Explanation], path: &[String]) -> (Vec<String>, Vec<&'e str>) {
    let known = (0..=path.len()).rev().find(|length| all.iter().any(|one| one.names.starts_with(&path[..*length])));
    let known = path[..known.unwrap_or_default()].to_vec();
    let mut children: Vec<&str> = Vec::new();
    for one in all.iter().filter(|one| one.names.starts_with(&known)) {
        if let Some(name) = one.names.get(known.len())
            && !children.contains(&name.as_str())
        {
            children.push(name);
        }
    }
    (known, children)
}

/// What somebody else says, in words.
fn told(other: &Other) -> String {
    let by = by(&other.by, other.place.as_ref());
    let value = other.value.as_ref().map(shown).unwrap_or_default();
    match other.how {
        How::Same => format!("also in {by}"),
        How::Overridden => format!("over {value} of {by}"),
        How::Removes => format!("taken away by {by}"),
        How::Through => format!("through {value} in {by}"),
    }
}

fn by(who: &str, place: Option<&Place>) -> String {
    place.map_or_else(|| who.to_owned(), |place| format!("{who}, {place}"))
}

/// The values as a tree in the manner of YAML, with origins as comments.
fn tree(found: &[Explanation]) -> String {
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    let mut open: &[String] = &[];
    for (index, one) in found.iter().enumerate() {
        let names = one.names.as_slice();
        let common = open.iter().zip(names).take_while(|(a, b)| a == b).count();
        for (depth, name) in names.iter().enumerate().take(names.len() - 1).skip(common) {
            lines.push((format!("{}{}:", "  ".repeat(depth), line(name)), Vec::new()));
        }
        let has_parts =
            found.get(index + 1).is_some_and(|next| next.names.len() > names.len() && next.names.starts_with(names));
        let name = names.last().map(|name| line(name)).unwrap_or_default();
        let indent = "  ".repeat(names.len() - 1);
        let text = match &one.value {
            Value::String(value) if line(value) == name && has_parts => format!("{indent}{name}:"),
            Value::String(value) if line(value) == name && names.len() > 1 => format!("{indent}- {name}"),
            Value::Null => format!("{indent}- {name}"),
            value => format!("{indent}{name}: {}", shown(value)),
        };
        let mut comments = vec![by(&one.by, one.place.as_ref())];
        comments.extend(one.others.iter().map(told));
        lines.push((text, comments));
        open = names;
    }
    let width = lines.iter().filter(|(_, comments)| !comments.is_empty()).map(|(text, _)| text.chars().count());
    let width = width.max().unwrap_or_default().min(ALIGNED);
    let mut out = String::new();
    for (text, comments) in lines {
        let mut text = text;
        if comments.is_empty() {
            let _ = writeln!(out, "{text}");
        }
        for comment in comments {
            let _ = writeln!(out, "{text:width$}  # {comment}");
            text = String::new();
        }
    }
    out
}

/// A value in one line.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => line(text),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{}: {}", line(key), shown(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// Text for a terminal: control characters could do things to it.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
