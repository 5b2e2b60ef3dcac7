//! The one writer of status: server-side apply of nothing but the status.

use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::object::HasStatus;
use serde_json::{Value, json};
use slipway_api::{GROUP, VERSION};

use super::kind::Object;
use crate::context::Context;
use crate::error::Error;

/// Applies a status and returns the object as it is then.
pub(super) async fn apply<O: Object>(
    context: &Context,
    kind: &'static str,
    object: &O,
    status: &<O as HasStatus>::Status,
) -> Result<O, Error> {
    let meta = object.meta();
    let name = meta.name.clone().unwrap_or_default();
    let api = Api::<O>::namespaced(context.client.clone(), meta.namespace.as_deref().unwrap_or_default());
    let body = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": O::kind(&()),
        // With the UID, a status never lands on an object that was deleted and made anew meanwhile.
        "metadata": {"name": name, "namespace": meta.namespace, "uid": meta.uid},
        "status": status,
    });
    let outcome = patch(context, &api, kind, &name, &body).await;
    context.metrics.status_write(
        kind,
        match &outcome {
            Ok(_) => "written",
            Err(Error::Timeout { .. }) => "timed_out",
            Err(_) => "failed",
        },
    );
    outcome
}

async fn patch<O: Object>(context: &Context, api: &Api<O>, kind: &str, name: &str, body: &Value) -> Result<O, Error> {
    let manager = PatchParams::apply(&format!("{kind}.{GROUP}")).force();
    context.call("write the status", api.patch_status(name, &manager, &Patch::Apply(body))).await
}
