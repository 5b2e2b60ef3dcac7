//! `slipway import drydock`: from Airship drydock's documents to a Design and its Nodes.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use slipway_plan::formats::drydock::{self, Imported, Manifest, Options, Source};

use crate::cli::check::is_subdomain;
use crate::cli::input;
use crate::cli::report;

/// Files that are named in a note.
const SHOWN: usize = 5;

const EXAMPLES: &str = "\
Each object goes to a file of its own; what was renamed, moved or has no place is told on stderr, with its line.
Exit code: 0 done, 1 something cannot be imported and nothing is written, 2 a file cannot be read or the usage is wrong.

Examples:
  slipway import drydock site.yaml -o site/
  slipway import drydock profiles/ baremetal/nodes.yaml --name lab --namespace lab -o site/
  slipway import drydock site.yaml -o site/ && slipway check -f site/";

/// Make a Design, its Nodes and their Secrets of Airship drydock's documents.
///
/// Reads `apiVersion: drydock/v1` documents and Deckhand's `schema: drydock/…/v1` ones, rendered; others in the same files
/// are passed over. What a Design has no field for is kept in annotations, and passwords go to Secrets.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Files of documents, directories of such files, or - for stdin.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Directory for the manifests, made if need be. Without it they go to stdout.
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Name of the Design. Default: that of the Region.
    #[arg(long, value_parser = name)]
    name: Option<String>,

    /// Namespace of the manifests.
    #[arg(short, long, value_parser = namespace)]
    namespace: Option<String>,

    /// Write what could be imported even if something could not.
    #[arg(long)]
    keep_going: bool,
}

fn name(text: &str) -> Result<String, String> {
    let hint = "lower-case letters, digits, `-` and `.`, a letter or digit at both ends";
    if is_subdomain(text) { Ok(text.to_owned()) } else { Err(format!("a name has {hint}")) }
}

fn namespace(text: &str) -> Result<String, String> {
    let is_label = is_subdomain(text) && !text.contains('.') && text.len() <= 63;
    let hint = "at most 63 lower-case letters, digits and `-`, a letter or digit at both ends";
    if is_label { Ok(text.to_owned()) } else { Err(format!("a namespace has {hint}")) }
}

/// Runs the import.
pub(super) fn run(args: &Args) -> ExitCode {
    let inputs = match input::read_all(&args.files) {
        Ok(inputs) => inputs,
        Err(reason) => return refused(&reason),
    };
    let sources: Vec<Source<'_>> = inputs.iter().map(|input| Source { name: &input.name, text: &input.text }).collect();
    let options = Options { name: args.name.clone(), namespace: args.namespace.clone() };
    let imported = drydock::import(&sources, &options);
    for finding in &imported.findings {
        eprintln!("{}", report::line(finding));
    }
    let has_failed = imported.has_errors();
    if has_failed && !args.keep_going {
        eprintln!("nothing is written, as not everything can be imported; --keep-going writes the rest");
        return ExitCode::from(1);
    }
    let written = match &args.output {
        Some(directory) => write_files(directory, &imported.manifests),
        None => write_stream(&imported.manifests),
    };
    match written {
        Ok(()) => {
            eprintln!("{}", summary(&imported, args.output.as_deref()));
            if let Some(directory) = &args.output {
                mention_others(directory, &imported.manifests);
            }
            if has_failed { ExitCode::from(1) } else { ExitCode::SUCCESS }
        }
        Err(reason) => refused(&reason),
    }
}

fn refused(reason: &str) -> ExitCode {
    eprintln!("slipway: {reason}");
    ExitCode::from(2)
}

fn write_stream(manifests: &[Manifest]) -> Result<(), String> {
    let texts: Vec<&str> = manifests.iter().map(|manifest| manifest.yaml.as_str()).collect();
    let written = std::io::stdout().lock().write_all(texts.join("---\n").as_bytes());
    written.map_err(|error| format!("cannot write to stdout: {error}"))
}

fn write_files(directory: &Path, manifests: &[Manifest]) -> Result<(), String> {
    std::fs::create_dir_all(directory).map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
    for manifest in manifests {
        let path = directory.join(manifest.file_name());
        // The mode holds for a new file only, and a Secret may have been written before with another.
        let mode = if manifest.is_secret() { 0o600 } else { 0o644 };
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&path);
        let written = file.and_then(|mut file| {
            if manifest.is_secret() {
                file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
            }
            file.write_all(manifest.yaml.as_bytes())
        });
        written.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

/// Manifests of an earlier import stay, and would be applied with the others.
fn mention_others(directory: &Path, manifests: &[Manifest]) {
    let written: Vec<String> = manifests.iter().map(Manifest::file_name).collect();
    let names = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut others: Vec<String> = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| Path::new(name).extension().is_some_and(|is| is == "yaml") && !written.contains(name))
        .collect();
    others.sort();
    if !others.is_empty() {
        let shown = others[..others.len().min(SHOWN)].join(", ");
        let more = if others.len() > SHOWN { format!(" and {} more", others.len() - SHOWN) } else { String::new() };
        eprintln!("note: {} also has {shown}{more}, which this import did not write", directory.display());
    }
}

/// `imported 20 documents: 1 Design, 3 Nodes, 1 Secret, into site/`
fn summary(imported: &Imported, directory: Option<&Path>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for manifest in &imported.manifests {
        *counts.entry(manifest.kind).or_default() += 1;
    }
    let counts: Vec<String> = counts.into_iter().map(|(kind, count)| report::counted(count, kind)).collect();
    let into = directory.map(|directory| format!(", into {}", directory.display())).unwrap_or_default();
    format!("imported {}: {}{into}", report::counted(imported.documents, "document"), counts.join(", "))
}
