//! `slipway check`: what is wrong with objects, found without a cluster, in the words of the operator.

mod kinds;
pub(super) mod objects;
mod projects;
mod schema;

use std::path::PathBuf;
use std::process::ExitCode;

use slipway_plan::finding::Place;
use slipway_plan::formats::yaml::{self, Location};
use slipway_plan::{Finding, Severity};

use self::kinds::Said;
use self::objects::Sources;
use self::projects::Projects;
use self::schema::Schemas;
use super::input::{self, Input};
use super::report::{self, Format, counted};

const EXAMPLES: &str = "\
Findings go to stdout: FILE:LINE:COLUMN: SEVERITY: MESSAGE (Code) [field.path]; hint, and the line they are about.
Exit code: 0 nothing wrong, 1 something is, 2 a file cannot be read or the usage is wrong.

Examples:
  slipway check -f service.yaml
  slipway check -f manifests/ -f secrets.yaml -o json
  kustomize build . | slipway check -f -
  slipway check -f 'sites/*/*.yaml' -o sarif > findings.sarif";

/// Check objects without a cluster: schema, rules, and what the operator would say.
///
/// Secrets and ConfigMaps in the same files satisfy references to them. Those that are not given, and kinds of others,
/// are noted on stderr and passed over.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A file of objects, a directory of such files, a pattern, or - for stdin. May be repeated.
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// How findings are printed.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
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
    if let Err(error) = report::print(&report.findings, &inputs, args.output) {
        eprintln!("slipway: cannot write to stdout: {error}");
        return ExitCode::from(2);
    }
    for note in &report.notes {
        eprintln!("note: {note}");
    }
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
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

/// Prints what is wrong to stderr, for commands that need what is right. Says whether anything is.
pub(super) fn complain(inputs: &[Input]) -> bool {
    let findings = check(inputs).findings;
    for finding in &findings {
        eprintln!("{}", report::line(finding));
    }
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// The documents of a file that can be read.
pub(super) fn documents(input: &Input) -> Vec<yaml::Document> {
    yaml::documents(&input.text).unwrap_or_default()
}

/// What came of a check.
#[derive(Debug, Default)]
struct Report {
    findings: Vec<Finding>,
    notes: Vec<String>,
    checked: usize,
}

fn check(inputs: &[Input]) -> Report {
    let mut report = Report::default();
    let mut documents = Vec::new();
    for (file, input) in inputs.iter().enumerate() {
        match yaml::documents(&input.text) {
            Ok(read) => documents.extend(read.into_iter().map(|document| (file, document))),
            Err(unreadable) => report.findings.push(placed(unreadable.finding, &input.name, unreadable.location)),
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
            let at = object.document.locate(&finding.path);
            Finding { object: Some(format!("{kind}/{name}")), ..placed(finding, file, at) }
        }));
    }
    report.findings.sort_by(|a, b| (&a.place, &a.path).cmp(&(&b.place, &b.path)));
    report
}

/// The finding at its place; in a file without a line, if that is not known.
fn placed(finding: Finding, file: &str, at: Option<Location>) -> Finding {
    let Location { line, column } = at.unwrap_or_default();
    Finding { place: Some(Place { file: file.to_owned(), line, column }), ..finding }
}
