//! `slipway check`: what is wrong with objects, found without a cluster, in the words of the operator.

mod kinds;
pub(super) mod objects;
mod projects;
mod schema;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use slipway_plan::formats::yaml::{self, Location};
use slipway_plan::{Finding, Severity};

use self::kinds::Said;
use self::objects::Sources;
use self::projects::Projects;
use self::schema::Schemas;
use super::input::{self, Input};

const EXAMPLES: &str = "\
Findings go to stdout, one a line: FILE:LINE:COLUMN: SEVERITY: MESSAGE (Code) [field.path]; hint
Exit code: 0 nothing wrong, 1 something is, 2 a file cannot be read or the usage is wrong.

Examples:
  slipway check -f service.yaml
  slipway check -f manifests/ -f secrets.yaml -o json
  kustomize build . | slipway check -f -";

/// Check objects without a cluster: schema, rules, and what the operator would say.
///
/// Secrets and ConfigMaps in the same files satisfy references to them. Those that are not given, and kinds of others,
/// are noted on stderr and passed over.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A file of objects, a directory of such files, or - for stdin. May be repeated.
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// How findings are printed.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One a line.
    Text,
    /// One list of objects.
    Json,
}

/// A finding at its place.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Located {
    file: String,
    #[serde(flatten)]
    at: Option<Location>,
    /// Kind and name of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    object: String,
    #[serde(flatten)]
    finding: Finding,
}

/// Runs the check.
pub(super) fn run(args: &Args) -> ExitCode {
    let inputs = match input::read_all(&args.files) {
        Ok(inputs) => inputs,
        Err(reason) => {
            eprintln!("slipway: {reason}");
            return ExitCode::from(2);
        }
    };
    let report = check(&inputs);
    if let Err(error) = print(&report.findings, args.output) {
        eprintln!("slipway: cannot write to stdout: {error}");
        return ExitCode::from(2);
    }
    for note in &report.notes {
        eprintln!("note: {note}");
    }
    let count = |severity| report.findings.iter().filter(|located| located.finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    eprintln!(
        "checked {} in {}: {}, {}",
        counted(report.checked, "object"),
        counted(inputs.len(), "file"),
        counted(errors, "error"),
        counted(warnings, "warning")
    );
    if errors > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Prints what is wrong to stderr, for commands that need what is right. Says whether anything is.
pub(super) fn complain(inputs: &[Input]) -> bool {
    let findings = check(inputs).findings;
    for located in &findings {
        eprintln!("{}", line(located));
    }
    findings.iter().any(|located| located.finding.severity == Severity::Error)
}

/// The documents of a file that can be read.
pub(super) fn documents(input: &Input) -> Vec<yaml::Document> {
    yaml::documents(&input.text).unwrap_or_default()
}

/// What came of a check.
#[derive(Debug, Default)]
struct Report {
    findings: Vec<Located>,
    notes: Vec<String>,
    checked: usize,
}

fn check(inputs: &[Input]) -> Report {
    let mut report = Report::default();
    let mut documents = Vec::new();
    for (file, input) in inputs.iter().enumerate() {
        match yaml::documents(&input.text) {
            Ok(read) => documents.extend(read.into_iter().map(|document| (file, document))),
            Err(unreadable) => report.findings.push(Located {
                file: input.name.clone(),
                at: unreadable.location,
                object: String::new(),
                finding: unreadable.finding,
            }),
        }
    }
    let objects: Vec<_> = documents.iter().flat_map(|(file, document)| objects::of_document(*file, document)).collect();
    let mut sources = Sources::default();
    for object in &objects {
        sources.add(object);
    }
    let schemas = Schemas::load();
    let mut projects = Projects::default();
    for object in &objects {
        let (kind, name) = (object.text("kind"), object.name());
        let file = &inputs[object.file].name;
        if !object.is_ours() {
            if !matches!(kind, "Secret" | "ConfigMap") {
                let shown =
                    if kind.is_empty() { "a document without a kind".to_owned() } else { format!("{kind} {name}") };
                report.notes.push(format!("{file}: {shown} is passed over, since it is none of Slipway's kinds"));
            }
            continue;
        }
        report.checked += 1;
        let Said { mut findings, notes, project } = kinds::check(object, &schemas, &sources);
        findings.extend(project.and_then(|(project, path)| projects.add(object, project, path)));
        report.notes.extend(notes.into_iter().map(|note| format!("{file}: {kind} {name}: {note}")));
        report.findings.extend(findings.into_iter().map(|finding| {
            let finding = Finding { path: object.path(&finding.path), ..finding };
            Located {
                file: file.clone(),
                at: object.document.locate(&finding.path),
                object: format!("{kind}/{name}"),
                finding,
            }
        }));
    }
    let order = |located: &Located| (located.file.clone(), located.at, located.finding.path.clone());
    report.findings.sort_by_key(order);
    report
}

fn print(findings: &[Located], format: Format) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, findings)?;
            writeln!(out)
        }
        Format::Text => findings.iter().try_for_each(|located| writeln!(out, "{}", line(located))),
    }
}

/// `file:line:column: error: message (Code) [path]; hint`, as editors and people know it.
fn line(located: &Located) -> String {
    let Located { file, at, finding, .. } = located;
    let at = at.map(|at| format!(":{at}")).unwrap_or_default();
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let path = if finding.path.is_empty() { String::new() } else { format!(" [{}]", finding.path) };
    let hint = finding.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{file}{at}: {severity}: {} ({}){path}{hint}", finding.message, finding.code)
}
