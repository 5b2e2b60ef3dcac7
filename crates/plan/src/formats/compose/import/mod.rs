//! `slipway import compose`: from Compose files of any age to a ContainerService and what it needs.
//!
//! Reads formats v1, 2.x and 3.x, merges several files, resolves `extends`, `include`, `.env`, links and `volumes_from`, and
//! brings the files that the project names as Secrets and ConfigMaps. `${VAR}` stays, with its value in `spec.environment`.
//! No I/O: the caller reads the files.

mod bring;
mod legacy;
mod manifest;
mod merge;
mod paths;
mod resolve;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

use self::resolve::Resolver;
use super::read::Findings;
use super::{Loaded, Source, codes, load};
use crate::finding::{Finding, Severity};

/// Files that one import may read.
pub const MAX_FILES: usize = 100;
/// `extends` and `include` may be nested this deep.
pub const MAX_CHAIN: usize = 32;

/// What the caller chooses.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Name of the ContainerService; else the project's `name:`.
    pub name: Option<String>,
    /// Its name if neither is given.
    pub fallback_name: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Variables; they win over those of `.env`.
    pub environment: BTreeMap<String, String>,
    /// Profiles that are switched on.
    pub profiles: Vec<String>,
    /// What relative paths of bind mounts are relative to, on the hosts.
    pub host_directory: Option<String>,
}

/// Reads a file by its path relative to the project's directory. `None`: there is no such file. `Err`: why it cannot be read.
pub type ReadFile<'a> = dyn Fn(&str) -> Result<Option<String>, String> + 'a;

/// What was made of the files.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The Secrets and ConfigMaps, then the ContainerService.
    pub manifests: Vec<Value>,
    /// What was left out, rewritten or guessed. All of severity `Warning`.
    pub notes: Vec<Finding>,
}

impl Imported {
    /// The manifests as one YAML text.
    pub fn to_yaml(&self) -> Result<String, String> {
        manifest::to_yaml(&self.manifests)
    }
}

/// Imports `files`, in the order in which they override each other. Findings name the place in the merged project.
pub fn import(files: &[String], options: &Options, read: &ReadFile<'_>) -> Result<Imported, Vec<Finding>> {
    let mut problems = Problems::default();
    let imported = attempt(files, options, read, &mut problems);
    let failed = problems.findings.has_errors();
    let findings = problems.findings.into_vec("");
    match imported {
        Some(manifests) if !failed => Ok(Imported { manifests, notes: findings }),
        _ => {
            let mut findings = findings;
            findings.sort_by_key(|finding| finding.severity);
            Err(findings)
        }
    }
}

fn attempt(files: &[String], options: &Options, read: &ReadFile<'_>, problems: &mut Problems) -> Option<Vec<Value>> {
    let mut resolver = Resolver::new(read, &options.environment);
    let mut project = resolver.project(files, problems)?;
    merge::unify(&mut project);
    legacy::rewrite(&mut project, problems);
    let name = manifest::name(options, &project, problems)?;
    let brought = bring::bring(&mut project, &mut resolver, options.host_directory.as_deref(), problems);
    let environment = manifest::used_variables(&project, &brought, resolver.environment());
    tell_secrets(&environment, problems);
    let loaded = load(Source::Value(&project), &environment, &options.profiles, "spec.compose");
    match loaded {
        Ok(Loaded { warnings, .. }) => warnings.into_iter().for_each(|warning| problems.findings.push(warning)),
        Err(findings) => findings.into_iter().for_each(|finding| problems.findings.push(finding)),
    }
    Some(manifest::manifests(&name, options, project, &environment, brought))
}

/// Variables whose value one would rather not have in a manifest are written there all the same, since the project uses them as
/// variables; it is said.
fn tell_secrets(environment: &BTreeMap<String, String>, problems: &mut Problems) {
    let names: Vec<_> =
        environment.iter().filter(|(name, value)| is_secret(name, value)).map(|(name, _)| &**name).collect();
    if !names.is_empty() {
        let message = format!(
            "the values of {} stand in clear in the manifest: if they are secret, take them out, and give the containers a \
             Secret by `env_file` or `secrets` in place of the variable",
            names.join(", ")
        );
        problems.note("environment", message);
    }
}

/// By its name, or as a URL with a password in it.
fn is_secret(name: &str, value: &str) -> bool {
    const WHOLE: [&str; 8] = ["PASS", "PW", "PWD", "KEY", "AUTH", "DSN", "CREDENTIAL", "CREDENTIALS"];
    const PARTS: [&str; 5] = ["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN"];
    let name = name.to_ascii_uppercase();
    let login = value.split_once("://").and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@'));
    let with_password = login.is_some_and(|(login, _)| login.contains(':'));
    let telling = PARTS.iter().any(|part| name.contains(part))
        || name.ends_with("APIKEY")
        || name.split('_').any(|word| WHOLE.contains(&word));
    !value.is_empty() && (telling || with_password)
}

/// What went wrong, and what is worth knowing.
#[derive(Default)]
struct Problems {
    findings: Findings,
}

impl Problems {
    fn error(&mut self, code: &'static str, path: &str, message: String) {
        self.findings.push(Finding::error(code, path, message));
    }

    fn invalid(&mut self, path: &str, message: String) {
        self.error(codes::INVALID_VALUE, path, message);
    }

    fn note(&mut self, path: &str, message: String) {
        self.findings.push(Finding { severity: Severity::Warning, ..Finding::error(codes::REWRITTEN, path, message) });
    }

    fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}
