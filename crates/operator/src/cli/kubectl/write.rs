//! Writing fields of an object's spec, as a person would. On an object that is managed from a repository the change is shown
//! instead: there it would be undone at the next sync.

use std::process::ExitCode;

use anyhow::Result;
use kube::api::{Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};
use slipway_plan::gitops::{self, Manager};

use super::cluster::{Cluster, Namespaced, code};
use super::paint::{BOLD, WAITS};
use super::target::Target;
use super::{Format, print};

/// Exit code: not written, since Argo CD or Flux manages the object.
pub(super) const MANAGED: u8 = 4;
/// Whom the API server names as the writer of these fields.
const FIELD_MANAGER: &str = "kubectl-slipway";

/// How a verb writes.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// Write it even if Argo CD or Flux manages the object.
    #[arg(long)]
    write: bool,

    /// How the answer is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// What was written, or is to be committed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    object: String,
    namespace: String,
    /// Whether it was written.
    written: bool,
    /// The fields, as they are in the spec then.
    spec: Value,
    /// Who manages the object, if it was not written for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    managed_by: Option<Manager>,
}

/// Writes fields of the spec (a merge patch of it). With `as_seen`, only if the object is still as it was read.
pub(super) async fn write<K: Namespaced>(
    cluster: &Cluster,
    target: &Target,
    object: &K,
    spec: Value,
    as_seen: bool,
    how: &How,
) -> Result<ExitCode> {
    let managed_by = gitops::manager(object.meta()).filter(|_| !how.write);
    let written = managed_by.is_none();
    if written {
        let mut metadata = json!({});
        if as_seen {
            metadata["resourceVersion"] = object.resource_version().into();
        }
        let patch = Patch::Merge(json!({"metadata": metadata, "spec": spec}));
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let call = cluster.api::<K>().patch(&target.name, &params, &patch).await;
        match cluster.call(&format!("write {target}"), async { call }).await {
            Err(error) if code(&error) == Some(409) => {
                anyhow::bail!("{target} has changed since it was read, so that nothing was written; look again")
            }
            outcome => drop(outcome?),
        }
    }
    let answer = Change { object: target.to_string(), namespace: cluster.namespace.clone(), written, spec, managed_by };
    tell(&answer, target, object, how)?;
    Ok(if written { ExitCode::SUCCESS } else { ExitCode::from(MANAGED) })
}

fn tell<K: Resource<DynamicType = ()>>(answer: &Change, target: &Target, object: &K, how: &How) -> Result<()> {
    if let Some(Manager { tool, object, evidence }) = &answer.managed_by {
        anstream::eprintln!(
            "{WAITS}{target} is managed by {tool} ({object}; {evidence}): nothing was written.{WAITS:#} Commit the change \
             below to its repository, or repeat with --write (the next sync may undo that)."
        );
    }
    let fields = serde_saphyr::to_string(&json!({"spec": answer.spec}))?;
    print(answer, how.output, |out| {
        if answer.written {
            writeln!(out, "{BOLD}{}{BOLD:#} in namespace {}: wrote", answer.object, answer.namespace)?;
            return fields.lines().try_for_each(|line| writeln!(out, "  {line}"));
        }
        let (group, version) = (K::group(&()), K::version(&()));
        let (kind, name, namespace) = (K::kind(&()), object.name_any(), object.namespace().unwrap_or_default());
        write!(
            out,
            "apiVersion: {group}/{version}\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: {namespace}\n{fields}"
        )
    })
}
