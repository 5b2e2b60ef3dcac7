//! `slipway check`: what is wrong with objects, found without a cluster, in the words of the operator.

mod kinds;
pub(super) mod objects;
mod projects;
mod schema;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::process::ExitCode;

use slipway_plan::design::files::SiteFiles;
use slipway_plan::design::{Compiler, Text};
use slipway_plan::finding::Place;
use slipway_plan::formats::yaml::{self, Location};
use slipway_plan::{Finding, Severity};

use self::kinds::Said;
use self::objects::{Object, Sources};
use self::projects::Projects;
use self::schema::Schemas;
pub(super) use self::schema::is_subdomain;
use super::input::{self, Input, Inputs};
use super::report::{self, Format, counted};

const EXAMPLES: &str = "\
Findings go to stdout: FILE:LINE:COLUMN: SEVERITY: MESSAGE (Code) [field.path]; hint, and the line they are about.
Exit code: 0 nothing wrong, or warnings alone; 1 something is; 2 a file cannot be read or the usage is wrong.

Examples:
  slipway check -f service.yaml
  slipway check -f site/
  slipway check -f manifests/ -f secrets.yaml -o json
  kustomize build . | slipway check -f -
  slipway check -f 'sites/*/*.yaml' -o sarif > findings.sarif";

/// Check objects without a cluster: schema, rules, and what the operator would say.
///
/// Designs are compiled with their Nodes, whichever files these are in. Secrets and ConfigMaps in the same files satisfy
/// references to them. What is not given, and kinds of others, are noted on stderr and passed over.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A file of objects, a directory with such files in it or below it, a pattern, or - for stdin. May be repeated.
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// How findings are printed.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Runs the check.
pub(super) fn run(args: &Args) -> ExitCode {
    let Inputs { inputs, unreadable } = input::read_what_can_be(&args.files);
    for reason in &unreadable {
        eprintln!("slipway: {reason}");
    }
    if inputs.is_empty() {
        return ExitCode::from(2);
    }
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
    let is_empty = report.site.documents().is_empty() && report.findings.is_empty();
    if is_empty {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).take(5).collect();
        eprintln!("slipway: there is nothing in {}", names.join(", "));
    }
    match (unreadable.is_empty() && !is_empty, errors) {
        (false, _) => ExitCode::from(2),
        (true, 0) => ExitCode::SUCCESS,
        (true, _) => ExitCode::from(1),
    }
}

/// Prints what is wrong to stderr, for commands that need what is right. Says whether anything is.
pub(super) fn complain(inputs: &[Input]) -> bool {
    tell(&check(inputs).findings)
}

/// Prints findings to stderr. Says whether one of them is an error.
pub(super) fn tell(findings: &[Finding]) -> bool {
    for finding in findings {
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
pub(super) struct Report {
    pub(super) findings: Vec<Finding>,
    pub(super) notes: Vec<String>,
    checked: usize,
    /// What the files hold, and the Designs among it, compiled.
    pub(super) site: SiteFiles,
    pub(super) compiled: BTreeMap<String, Compiler>,
}

/// Checks all objects of some files.
pub(super) fn check(inputs: &[Input]) -> Report {
    let mut report = Report::default();
    let mut site = SiteFiles::read(inputs.iter().map(|input| (input.name.as_str(), input.text.as_str())));
    report.compiled = site.compile();
    report.notes.extend(site.notes().iter().cloned());
    let mut of_sites = OfSites::new(site.found(&report.compiled));
    let documents = site.documents().iter();
    let objects: Vec<_> = documents.flat_map(|(file, document)| objects::of_document(*file, document)).collect();
    let mut sources = Sources::default();
    for object in &objects {
        sources.add(object);
    }
    let schemas = Schemas::load();
    let mut projects = Projects::default();
    for object in &objects {
        let (kind, name) = (object.text("kind"), object.name());
        let file = &inputs[object.file].name;
        if object.text("apiVersion").is_empty() && schemas.knows(kind) {
            let finding = Finding::error(schema::REQUIRED, object.path("apiVersion"), "is missing");
            let finding = finding.about(format!("{kind}/{name}")).hint(format!("write {}", kinds::version()));
            let at = object.document.locate(&object.path("kind"));
            report.findings.push(placed(finding, file, at));
            continue;
        }
        if !object.is_ours() {
            let note = passed_over(object);
            let note = note.map(|note| format!("{file}: {note}")).filter(|note| !report.notes.contains(note));
            report.notes.extend(note);
            continue;
        }
        report.checked += 1;
        let Said { mut findings, notes, project } = kinds::check(object, &schemas, &sources);
        findings.extend(project.and_then(|(project, path)| projects.add(object, project, path)));
        report.notes.extend(notes.into_iter().map(|note| format!("{file}: {kind} {name}: {note}")));
        let findings = findings.into_iter().map(|finding| {
            let finding = Finding { path: object.path(&finding.path), ..finding };
            let at = object.document.locate(&finding.path);
            let path = finding.path.clone();
            let finding = object.document.as_written(&path, finding);
            Finding { object: Some(format!("{kind}/{name}")), ..placed(finding, file, at) }
        });
        report.findings.extend(kinds::merged(findings.collect(), of_sites.take(object, file)));
    }
    report.findings.extend(of_sites.rest());
    report.findings.sort_by(|a, b| (&a.place, &a.path, a.code).cmp(&(&b.place, &b.path, b.code)));
    drop(objects);
    report.site = site;
    report
}

/// What is said of an object that is none of ours.
fn passed_over(object: &Object<'_>) -> Option<String> {
    let (kind, name) = (object.text("kind"), object.name());
    if [object.text("schema"), object.text("apiVersion")].iter().any(|text| text.starts_with("drydock/")) {
        return Some(
            "documents of drydock's are passed over; `slipway import drydock` makes a site of them".to_owned(),
        );
    }
    let shown = match kind {
        "Secret" | "ConfigMap" => return None,
        "" => "a document without a kind".to_owned(),
        _ => format!("{kind} {name}"),
    };
    Some(format!("{shown} is passed over, since it is none of Slipway's kinds"))
}

/// What is wrong with Designs and their Nodes as a whole, by the object that it is about.
struct OfSites(HashMap<(String, String), Vec<Finding>>);

impl OfSites {
    fn new(found: Vec<(Text, Finding)>) -> Self {
        let mut by_object: HashMap<_, Vec<Finding>> = HashMap::new();
        for (_, finding) in found {
            let file = finding.place.as_ref().map(|place| place.file.clone()).unwrap_or_default();
            by_object.entry((file, finding.object.clone().unwrap_or_default())).or_default().push(finding);
        }
        Self(by_object)
    }

    /// Those of an object, with paths from the root of its document.
    fn take(&mut self, object: &Object<'_>, file: &str) -> Vec<Finding> {
        let key = (file.to_owned(), format!("{}/{}", object.text("kind"), object.name()));
        let found = self.0.remove(&key).unwrap_or_default().into_iter();
        found.map(|finding| Finding { path: object.path(&finding.path), ..finding }).collect()
    }

    /// What is about no object, or about one that is none of ours.
    fn rest(self) -> impl Iterator<Item = Finding> {
        self.0.into_values().flatten()
    }
}

/// The finding at its place; in a file without a line, if that is not known.
fn placed(finding: Finding, file: &str, at: Option<Location>) -> Finding {
    let Location { line, column } = at.unwrap_or_default();
    Finding { place: Some(Place { file: file.to_owned(), line, column }), ..finding }
}
