//! Commands about a site of files: what it compiles to, where values come from, what changes, what it looks like.

pub(super) mod compile;
pub(super) mod diff;
pub(super) mod explain;
pub(super) mod graph;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use slipway_plan::design::Compiler;
use slipway_plan::formats::compose::nearest;

use super::check::{self, Report};
use super::{input, report};

/// Names that a message lists.
const LISTED: usize = 10;

/// Why a command ends without a result.
#[derive(Debug)]
enum Failure {
    /// What is asked for is not there, or cannot be made; exit code 1.
    Failed(String),
    /// A file cannot be read, or the usage is wrong; exit code 2.
    Usage(String),
}

/// The exit code of a command, a failure told on stderr.
fn finish(outcome: Result<ExitCode, Failure>) -> ExitCode {
    let (reason, code) = match outcome {
        Ok(code) => return code,
        Err(Failure::Failed(reason)) => (reason, 1),
        Err(Failure::Usage(reason)) => (reason, 2),
    };
    eprintln!("slipway: {reason}");
    ExitCode::from(code)
}

/// Reads, checks and compiles files.
fn load(files: &[PathBuf]) -> Result<Report, Failure> {
    let inputs = input::read_all(files).map_err(Failure::Usage)?;
    Ok(check::check(&inputs))
}

/// The Design that is asked for, with the name under which it is compiled: the only one, if none is named.
fn design<'r>(report: &'r Report, wanted: Option<&str>) -> Result<(&'r str, &'r Compiler), Failure> {
    let fits = |name: &str| wanted.is_none_or(|wanted| name == wanted || name.rsplit('/').next() == Some(wanted));
    let mut found = report.compiled.iter().filter(|(name, _)| fits(name));
    match (found.next(), found.next(), wanted) {
        (Some((name, compiler)), None, _) => Ok((name, compiler)),
        (None, _, None) => Err(Failure::Usage("there is no Design in these files".to_owned())),
        (None, _, Some(wanted)) => {
            Err(Failure::Failed(not_there("Design", wanted, report.compiled.keys().map(String::as_str))))
        }
        (Some(_), Some(_), _) => {
            let names = listed(report.compiled.keys().map(String::as_str));
            Err(Failure::Usage(format!("there are several Designs: choose one with --design: {names}")))
        }
    }
}

/// Says that something is not there, and what is.
fn not_there<'n>(kind: &str, wanted: &str, all: impl Iterator<Item = &'n str>) -> String {
    let all: Vec<&str> = all.collect();
    let near = nearest(wanted, all.iter().copied()).map(|near| format!("did you mean `{near}`?"));
    let known = near.unwrap_or_else(|| match listed(all.into_iter()) {
        names if names.is_empty() => "there is none".to_owned(),
        names => format!("there is {names}"),
    });
    format!("there is no {kind} `{wanted:.100}`; {known}")
}

/// `a, b and 7 more`.
fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown = names.iter().take(LISTED).copied().collect::<Vec<_>>().join(", ");
    if names.len() > LISTED { format!("{shown} and {} more", names.len() - LISTED) } else { shown }
}

/// The name of a Node as people write it: `n20` or `node/n20`.
fn node_name(text: &str) -> &str {
    match text.split_once('/') {
        Some((kind, name)) if matches!(kind.to_ascii_lowercase().as_str(), "node" | "nodes" | "snode") => name,
        _ => text,
    }
}

/// Tells what is wrong in one line, for commands that go on all the same.
fn mention(report: &Report, files: &[PathBuf]) {
    let errors = report.findings.iter().filter(|finding| finding.severity == slipway_plan::Severity::Error).count();
    if errors > 0 {
        let files: Vec<String> = files.iter().map(|file| format!("-f {}", file.display())).collect();
        let (errors, files) = (report::counted(errors, "error"), files.join(" "));
        eprintln!("note: there is something wrong with these files: {errors}; `slipway check {files}` shows what");
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        // `slipway explain … | head` is not a failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::Usage(format!("cannot write to stdout: {error}"))),
    }
}

/// JSON for people and programs, with a line end.
fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::Failed(error.to_string()))?;
    Ok(text + "\n")
}
