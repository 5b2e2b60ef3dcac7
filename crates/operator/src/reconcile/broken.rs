//! Objects that cannot be read: a CRD older or newer than this program lets them through.

use std::sync::Arc;

use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::error_boundary::InvalidObject;
use kube::{Api, Resource};
use serde_json::{Value, json};
use slipway_api::conditions::{State, Verdict, conditions};
use slipway_api::{GROUP, VERSION};

use super::cache::Guarded;
use super::events::Severity;
use super::finalizer;
use super::kind::{Kind, Next};
use crate::context::Context;
use crate::error::Error;

/// Says why an object is not worked on; lets it go if it is being deleted.
pub(super) async fn reconcile<K: Kind>(context: &Context, broken: &Arc<InvalidObject>) -> Next {
    let deleting = broken.metadata.deletion_timestamp.is_some();
    let outcome = if deleting { release::<K>(context, broken).await } else { tell::<K>(context, broken).await };
    if let Err(error) = outcome {
        tracing::warn!("an object that cannot be read ({}): {error}", broken.error);
    }
    Next::Person
}

/// Into the status, next to all that is there already.
async fn tell<K: Kind>(context: &Context, broken: &Arc<InvalidObject>) -> Result<(), Error> {
    let meta = &broken.metadata;
    let (name, namespace) = (meta.name.clone().unwrap_or_default(), meta.namespace.clone().unwrap_or_default());
    let resource = ApiResource::erase::<K::Object>(&());
    let api = Api::<DynamicObject>::namespaced_with(context.client.clone(), &namespace, &resource);
    let object = context.call("read the object", api.get(&name)).await?;
    let mut status = object.data.get("status").cloned().unwrap_or_else(|| json!({}));
    let old: Vec<_> = serde_json::from_value(status["conditions"].clone()).unwrap_or_default();
    let verdict = Verdict {
        state: State::Stalled,
        reason: "Unreadable".into(),
        message: format!("this object is not of the form that this version of Slipway knows: {}", broken.error),
    };
    let new = conditions(&old, &verdict, meta.generation.unwrap_or_default(), Timestamp::now());
    let unchanged =
        old.len() == new.len() && old.iter().zip(&new).all(|(a, b)| (&a.status, &a.message) == (&b.status, &b.message));
    if unchanged {
        return Ok(());
    }
    status["conditions"] = serde_json::to_value(new).unwrap_or(Value::Null);
    status["observedGeneration"] = json!(meta.generation);
    let body = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": resource.kind,
        "metadata": {"name": name, "namespace": namespace, "uid": meta.uid}, "status": status,
    });
    let manager = PatchParams::apply(&format!("{}.{GROUP}", K::NAME)).force();
    context.call("write the status", api.patch_status(&name, &manager, &Patch::Apply(&body))).await?;
    publish::<K>(context, broken, &verdict.reason, verdict.message);
    Ok(())
}

/// Deletion always ends. What such an object made is found by its labels when its hosts are looked at next.
async fn release<K: Kind>(context: &Context, broken: &Arc<InvalidObject>) -> Result<(), Error> {
    let object = Guarded::<K::Object>::Broken(broken.clone());
    if !finalizer::present(&object, K::NAME) {
        return Ok(());
    }
    let text = format!("it cannot be read ({}), so what it made is left until its hosts are swept", broken.error);
    publish::<K>(context, broken, "DeletionAbandoned", text);
    finalizer::remove(context, &object, K::NAME).await
}

fn publish<K: Kind>(context: &Context, broken: &Arc<InvalidObject>, reason: &str, text: String) {
    let about = Guarded::<K::Object>::Broken(broken.clone()).object_ref(&());
    context.events.publish(K::NAME, about, Severity::Warning, reason, text);
}
