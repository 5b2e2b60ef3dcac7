//! `slipway import`: from other formats to manifests.

mod drydock;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use slipway_plan::formats::compose::import::{self, Imported, Options};
use slipway_plan::{Finding, Severity};

use super::input;

const EXAMPLES: &str = "\
The manifests go to stdout; what was rewritten or left out is told on stderr.
Exit code: 0 done, 1 something cannot be imported, 2 a file cannot be read or the usage is wrong.

Examples:
  slipway import compose docker-compose.yml > service.yaml
  slipway import compose compose.yaml compose.prod.yaml --name shop --namespace lab --env TAG=1.2
  slipway import compose compose.yaml --project-directory /srv/shop | kubectl apply -f -";

/// Make manifests of files in other formats.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, clap::Subcommand)]
enum From {
    Compose(Compose),
    Drydock(drydock::Args),
}

/// Make a ContainerService of Compose files of any format (v1, 2.x, 3.x, today's).
///
/// `extends`, `include`, `env_file`, `.env`, links and `volumes_from` are resolved. Files that the project names become
/// Secrets and ConfigMaps. Only files in or below the directory of the first file are read.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct Compose {
    /// Compose files; later ones override earlier ones.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Name of the ContainerService. Default: the project's name, else its directory's.
    #[arg(long)]
    name: Option<String>,

    /// Namespace of the manifests.
    #[arg(short, long)]
    namespace: Option<String>,

    /// A variable for `${VAR}`, which wins over the one in .env. May be repeated.
    #[arg(short, long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    environment: Vec<(String, String)>,

    /// A profile to switch on. May be repeated.
    #[arg(long = "profile", value_name = "PROFILE")]
    profiles: Vec<String>,

    /// Where the project's directory is on the hosts, for relative bind mounts.
    #[arg(long, value_name = "DIR")]
    project_directory: Option<String>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".into()),
    }
}

/// Runs the import.
pub(super) fn run(args: Args) -> ExitCode {
    let args = match args.from {
        From::Compose(args) => args,
        From::Drydock(args) => return drydock::run(&args),
    };
    match compose(args) {
        Ok(imported) => finish(&imported),
        Err(Failure::Usage(reason)) => {
            eprintln!("slipway: {reason}");
            ExitCode::from(2)
        }
        Err(Failure::Findings(findings)) => {
            tell(&findings);
            ExitCode::from(1)
        }
    }
}

enum Failure {
    Usage(String),
    Findings(Vec<Finding>),
}

fn compose(args: Compose) -> Result<Imported, Failure> {
    if args.project_directory.as_ref().is_some_and(|directory| !directory.starts_with('/')) {
        return Err(Failure::Usage("--project-directory is a path on the hosts and must be absolute".into()));
    }
    let directory = args.files.first().and_then(|file| file.parent()).filter(|parent| *parent != Path::new(""));
    let directory = directory.unwrap_or(Path::new("."));
    let root = directory
        .canonicalize()
        .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", directory.display())))?;
    let mut files = Vec::new();
    for file in &args.files {
        files.push(relative(file, &root).map_err(Failure::Usage)?);
    }
    let fallback = || {
        let name = root.file_name()?.to_str()?.to_ascii_lowercase();
        Some(
            name.chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
                .collect::<String>()
                .trim_matches('-')
                .to_owned(),
        )
    };
    let options = Options {
        name: args.name,
        fallback_name: fallback().filter(|name| !name.is_empty()),
        namespace: args.namespace,
        environment: args.environment.into_iter().collect::<BTreeMap<_, _>>(),
        profiles: args.profiles,
        host_directory: args.project_directory,
    };
    import::import(&files, &options, &|path| read(&root, path)).map_err(Failure::Findings)
}

/// A file that the user named, as the project's files name each other.
fn relative(file: &Path, root: &Path) -> Result<String, String> {
    let real = file.canonicalize().map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let inside = real
        .strip_prefix(root)
        .map_err(|_| format!("{} is outside of {}, the directory of the first file", file.display(), root.display()))?;
    inside.to_str().map(str::to_owned).ok_or_else(|| format!("the name of {} is not UTF-8", file.display()))
}

/// A file of the project. Paths that lead out of its directory, by `..`, as absolute ones or through links, are refused.
fn read(root: &Path, path: &str) -> Result<Option<String>, String> {
    let outside = || format!("{path} is outside of {}, and only files below it are read", root.display());
    let stays = Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !stays {
        return Err(outside());
    }
    let real = match root.join(path).canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read {path}: {error}")),
    };
    if !real.starts_with(root) {
        return Err(outside());
    }
    if !real.is_file() {
        return Err(format!("{path} is a directory"));
    }
    input::file(&real).map(Some)
}

fn finish(imported: &Imported) -> ExitCode {
    tell(&imported.notes);
    let written = imported.to_yaml().and_then(|text| {
        std::io::stdout().lock().write_all(text.as_bytes()).map_err(|error| format!("cannot write to stdout: {error}"))
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("slipway: {reason}");
            ExitCode::from(2)
        }
    }
}

fn tell(findings: &[Finding]) {
    for finding in findings {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "note",
        };
        eprintln!("{severity}: {finding}");
    }
}
