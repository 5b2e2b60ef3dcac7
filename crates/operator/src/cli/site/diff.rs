//! `slipway diff`: what changes on which Node from one state of a site to another.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Map, Value, json};
use slipway_plan::Severity;
use slipway_plan::design::change::{self, Change, Effect, REMOVAL};

use super::{Failure, finish, json, listed, load, mention, print};
use crate::cli::check::Report;
use crate::cli::report::counted;

const EXAMPLES: &str = "\
Compared are the effective models, so a change of a profile shows on each Node that follows it, and a change that comes to the \
same shows nowhere. Destructive is what cannot be done without loss of what is on the disks; the rule stands beside it.
Exit code: 0 nothing changes, 1 something does, 2 a file cannot be read, the new site has errors, or the usage is wrong.

Examples:
  slipway diff -f old/ -f new/
  git worktree add /tmp/main main && slipway diff -f /tmp/main/site -f site
  slipway diff -f old/ -f new/ -o json | jq '.nodes[] | select(.destructive) | .name'";

/// Show what changes on which Node from one state of a site to another, and what of it is destructive.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// Twice: the old site, then the new one. Each is a file of objects, a directory with such files, a pattern, or -.
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// How it is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,

    /// When to use colours.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: clap::ColorChoice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
enum Fate {
    Changed,
    Added,
    Removed,
}

/// What changes of one Design or Node.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Changed {
    name: String,
    change: Fate,
    destructive: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<Change>,
}

/// What changes.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference {
    designs: Vec<Changed>,
    nodes: Vec<Changed>,
    /// Nodes whose model cannot be compiled on one side.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    not_compared: BTreeSet<String>,
}

/// Runs the command.
pub(in crate::cli) fn run(args: &Args) -> ExitCode {
    finish(diff(args))
}

fn diff(args: &Args) -> Result<ExitCode, Failure> {
    let [old_files, new_files] = args.files.as_slice() else {
        return Err(Failure::Usage("give -f twice: the old site, then the new one".to_owned()));
    };
    if old_files.as_os_str() == "-" && new_files.as_os_str() == "-" {
        return Err(Failure::Usage("only one of the two sites can come from stdin".to_owned()));
    }
    let (old, new) = (load(std::slice::from_ref(old_files))?, load(std::slice::from_ref(new_files))?);
    mention(&old, std::slice::from_ref(old_files));
    mention(&new, std::slice::from_ref(new_files));
    let difference = difference(&old, &new);
    print(&match args.output {
        Format::Text => text(&difference, is_coloured(args.color)),
        Format::Json => json(&difference)?,
    })?;
    if new.findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(Failure::Usage("the new site has errors, so it would not be used".to_owned()));
    }
    Ok(if difference.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

impl Difference {
    fn is_empty(&self) -> bool {
        self.designs.is_empty() && self.nodes.is_empty() && self.not_compared.is_empty()
    }
}

fn is_coloured(choice: clap::ColorChoice) -> bool {
    let is_wanted = || std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    match choice {
        clap::ColorChoice::Auto => std::io::stdout().is_terminal() && is_wanted(),
        clap::ColorChoice::Always => true,
        clap::ColorChoice::Never => false,
    }
}

fn difference(old: &Report, new: &Report) -> Difference {
    let mut difference = Difference::default();
    let no_impact = |old: &Value, new: &Value| change::of_site(old, new);
    difference.designs = compared(&designs(old), &designs(new), no_impact);
    let ((old, broken_old), (new, broken_new)) = (nodes(old), nodes(new));
    let not_compared = broken_old.union(&broken_new);
    difference.not_compared =
        not_compared.filter(|name| old.contains_key(*name) || new.contains_key(*name)).cloned().collect();
    let comparable = |nodes: BTreeMap<String, Value>| -> BTreeMap<String, Value> {
        nodes.into_iter().filter(|(name, _)| !difference.not_compared.contains(name)).collect()
    };
    let (old, new) = (comparable(old), comparable(new));
    difference.nodes = compared(&old, &new, change::of_node);
    difference
}

fn compared(
    old: &BTreeMap<String, Value>,
    new: &BTreeMap<String, Value>,
    changes: impl Fn(&Value, &Value) -> Vec<Change>,
) -> Vec<Changed> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let one = |name: &String| {
        let (change, changes) = match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) => (Fate::Changed, changes(old, new)),
            (None, _) => (Fate::Added, Vec::new()),
            (_, None) => (Fate::Removed, Vec::new()),
        };
        let destructive = change == Fate::Removed || change::is_destructive(&changes);
        let is_same = change == Fate::Changed && changes.is_empty();
        (!is_same).then(|| Changed { name: name.clone(), change, destructive, changes })
    };
    names.into_iter().filter_map(one).collect()
}

/// What the Nodes of each Design have in common.
fn designs(report: &Report) -> BTreeMap<String, Value> {
    let site = |compiler: &slipway_plan::design::Compiler| {
        let mut site = json!(compiler.site());
        let groups = compiler.groups().into_iter().map(|(name, nodes)| json!({"name": name, "nodes": nodes}));
        if let Some(site) = site.as_object_mut() {
            site.insert("groups".to_owned(), groups.collect());
        }
        site
    };
    report.compiled.iter().map(|(name, compiler)| (name.clone(), site(compiler))).collect()
}

/// Every Node with its model and what is written beside it; and those that should have a model and have none.
fn nodes(report: &Report) -> (BTreeMap<String, Value>, BTreeSet<String>) {
    let mut models: BTreeMap<(&str, &str), Map<String, Value>> = BTreeMap::new();
    for (design, compiler) in &report.compiled {
        for node in compiler.nodes() {
            if let Value::Object(model) = json!(**node) {
                models.insert((report.site.namespace(design), &*node.name), model);
            }
        }
    }
    let written: Vec<_> = report.site.written_nodes().collect();
    let is_one = written.iter().map(|(namespace, _, _)| *namespace).collect::<BTreeSet<_>>().len() < 2;
    let (mut nodes, mut broken) = (BTreeMap::new(), BTreeSet::new());
    for (namespace, name, node) in written {
        let shown = if is_one { name.to_owned() } else { format!("{namespace}/{name}") };
        let model = models.remove(&(&**namespace, name));
        if model.is_none() && node.pointer("/spec/designRef").is_some() {
            broken.insert(shown.clone());
        }
        let mut whole = model.unwrap_or_default();
        whole.remove("name");
        whole.extend(change::beside_the_model(node));
        nodes.insert(shown, Value::Object(whole));
    }
    (nodes, broken)
}

const RED: &str = "\u{1b}[31m";
const BOLD_RED: &str = "\u{1b}[1;31m";
const GREEN: &str = "\u{1b}[32m";
const YELLOW: &str = "\u{1b}[33m";
const BOLD: &str = "\u{1b}[1m";

/// For people. Nodes on which the same changes stand together.
fn text(difference: &Difference, is_coloured: bool) -> String {
    let paint = |colour: &str, text: &str| {
        if is_coloured { format!("{colour}{text}\u{1b}[0m") } else { text.to_owned() }
    };
    let mut out = String::new();
    let mut told = |kind: &str, all: &[Changed]| {
        let mut alike: Vec<(&Changed, Vec<&str>)> = Vec::new();
        for one in all {
            match alike.iter_mut().find(|(first, _)| first.change == one.change && first.changes == one.changes) {
                Some((_, names)) => names.push(&one.name),
                None => alike.push((one, vec![&one.name])),
            }
        }
        for (one, names) in alike {
            let many = if names.len() > 1 { "s" } else { "" };
            let title = format!("{kind}{many} {}", line(&listed(names.into_iter())));
            let _ = match one.change {
                Fate::Changed => writeln!(out, "{}", paint(BOLD, &title)),
                Fate::Added => writeln!(out, "{}", paint(GREEN, &format!("{title}: new"))),
                Fate::Removed if kind == "Node" => {
                    let why = format!("{title}: gone  {}: {}", word(REMOVAL.effect), REMOVAL.why);
                    writeln!(out, "{}", paint(BOLD_RED, &why))
                }
                Fate::Removed => writeln!(out, "{}", paint(RED, &format!("{title}: gone"))),
            };
            for change in &one.changes {
                let (colour, text) = described(change);
                let _ = write!(out, "  {}", paint(colour, &text));
                if let Some(impact) = change.impact {
                    let colour = if impact.effect == Effect::Destructive { BOLD_RED } else { YELLOW };
                    let why = format!("{} ({}): {}", word(impact.effect), impact.rule, impact.why);
                    let _ = write!(out, "\n      {}", paint(colour, &why));
                }
                out.push('\n');
            }
        }
    };
    told("Design", &difference.designs);
    told("Node", &difference.nodes);
    for name in &difference.not_compared {
        let _ = writeln!(out, "Node {}: not compared, as it cannot be compiled in one of the two sites", line(name));
    }
    let _ = writeln!(out, "{}", summary(difference));
    out
}

fn described(change: &Change) -> (&'static str, String) {
    let path = line(&change.path);
    match (&change.from, &change.to) {
        (None, to) => (GREEN, format!("+ {path}: {}", to.as_ref().map(shown).unwrap_or_default())),
        (Some(from), None) => (RED, format!("- {path}: {}", shown(from))),
        (Some(from), Some(to)) => (YELLOW, format!("~ {path}: {} -> {}", shown(from), shown(to))),
    }
}

fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Destructive => "destructive",
        Effect::Disruptive => "disruptive",
    }
}

/// `3 Nodes change, 1 of them destructively; 1 Node is new; 2 Nodes are gone`.
fn summary(difference: &Difference) -> String {
    if difference.is_empty() {
        return "nothing changes".to_owned();
    }
    let count = |fate: Fate| difference.nodes.iter().filter(|node| node.change == fate).count();
    let destructive = difference.nodes.iter().filter(|node| node.change == Fate::Changed && node.destructive).count();
    let verb = |number: usize, one: &'static str, many: &'static str| if number == 1 { one } else { many };
    let changed = count(Fate::Changed);
    let how = if destructive > 0 { format!(", {destructive} of them destructively") } else { String::new() };
    let mut parts = vec![format!("{} {}{how}", counted(changed, "Node"), verb(changed, "changes", "change"))];
    for (fate, word) in [(Fate::Added, "new"), (Fate::Removed, "gone")] {
        let number = count(fate);
        if number > 0 {
            parts.push(format!("{} {} {word}", counted(number, "Node"), verb(number, "is", "are")));
        }
    }
    parts.join("; ")
}

/// Characters of a value that are shown.
const SHOWN: usize = 120;

/// A value in one line, bounded.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => line(text),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let items: Vec<String> = items.iter().filter_map(Value::as_str).map(line).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    };
    if text.chars().count() > SHOWN { text.chars().take(SHOWN).collect::<String>() + "…" } else { text }
}

/// Text for a terminal: control characters could do things to it.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
