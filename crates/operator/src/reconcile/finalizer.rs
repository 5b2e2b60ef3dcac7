//! Our finalizer: there before anything outside is made, gone when nothing outside is left.

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use slipway_api::GROUP;
use slipway_drivers::Class;

use super::kind::{Object, Watched};
use super::pass::Pass;
use crate::context::Context;
use crate::error::Error;

/// The finalizer of a kind.
pub(super) fn name(kind: &str) -> String {
    format!("{GROUP}/{kind}")
}

/// Whether an object has it.
pub(super) fn present(object: &impl kube::Resource, kind: &str) -> bool {
    object.meta().finalizers.iter().flatten().any(|finalizer| *finalizer == name(kind))
}

/// Adds it, if it is not there. Everything outside is made after this.
pub(super) async fn ensure<O: Object>(pass: &Pass<O>) -> Result<(), Error> {
    let object = pass.object();
    if present(&*object, pass.kind) {
        return Ok(());
    }
    let mut finalizers = object.finalizers().to_vec();
    finalizers.push(name(pass.kind));
    let patched = patch(&pass.context, &*object, &finalizers).await?;
    pass.wrote(patched);
    Ok(())
}

/// Removes it, which lets the object go.
pub(super) async fn remove<O: Watched>(context: &Context, object: &O, kind: &str) -> Result<(), Error> {
    let others: Vec<_> = object.finalizers().iter().filter(|finalizer| **finalizer != name(kind)).cloned().collect();
    match patch(context, object, &others).await {
        Ok(_) => Ok(()),
        // Gone already.
        Err(Error::Api { source, .. }) if matches!(&*source, kube::Error::Api(status) if status.code == 404) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Replaces the list, if neither it nor the object has been replaced meanwhile. The resource version is left out on
/// purpose: a status that is written at the same time is no conflict.
async fn patch<O: Watched>(context: &Context, object: &O, finalizers: &[String]) -> Result<O, Error> {
    let meta = object.meta();
    let api = Api::<O>::namespaced(context.client.clone(), meta.namespace.as_deref().unwrap_or_default());
    let old = meta.finalizers.as_ref().filter(|list| !list.is_empty());
    let operations: Value = json!([
        {"op": "test", "path": "/metadata/uid", "value": meta.uid},
        {"op": "test", "path": "/metadata/finalizers", "value": old},
        {"op": "add", "path": "/metadata/finalizers", "value": finalizers},
    ]);
    let operations = serde_json::from_value(operations)
        .map_err(|error| Error::new(Class::Invalid, "InternalError", error.to_string()))?;
    let name = meta.name.as_deref().unwrap_or_default();
    context.call("write the finalizer", api.patch(name, &PatchParams::default(), &Patch::Json::<()>(operations))).await
}
