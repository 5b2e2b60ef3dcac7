//! From the normalised Compose project to the engine's own vocabulary.

use std::collections::BTreeMap;

use slipway_api::container_service::FileSource;

use super::{Contents, Definition, HashKey};
use crate::container_service::observed::Owner;
use crate::finding::Finding;
use crate::formats::compose::model::Project;

/// What a definition takes from around the Compose file.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// Whose containers these are.
    pub owner: &'a Owner,
    /// Name of the object: the project's name, unless the Compose file has one.
    pub name: &'a str,
    /// `spec.environment`: for `environment:` of secrets and configs, and for `${VAR}` in env files.
    pub environment: &'a BTreeMap<String, String>,
    /// `spec.files`.
    pub files: &'a BTreeMap<String, FileSource>,
    /// What was read from the cluster, as [`super::needs`] asked for it.
    pub contents: &'a Contents,
    /// Key of the hashes.
    pub key: &'a HashKey,
    /// `spec.restart.requestedAt`; it becomes a label and is not part of the hash.
    pub restart: Option<&'a str>,
    /// Field path that findings start with, e.g. `spec.compose`.
    pub base: &'a str,
}

/// Lowers a project: everything that one host is to have, as Docker Compose 2.40 would make it from the same file.
///
/// All findings are collected. For those that [`super::codes::awaits_content`] names, the project may be right all the same.
pub fn lower(project: &Project, context: &Context<'_>) -> Result<Definition, Vec<Finding>> {
    let _ = project;
    Err(vec![Finding::error("NotLowered", context.base, "the project is not lowered yet")])
}
