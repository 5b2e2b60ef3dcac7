//! The certificate that was made here, put where a client that comes straight to the endpoint finds it.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio::time::sleep;

use crate::context::API_DEADLINE;
use crate::error::told;
use crate::reconcile::requeue::jitter;

/// Name of the ConfigMap in the operator's namespace; its key `ca.crt` is what a client trusts.
pub const CONFIG_MAP: &str = "slipway-live";
/// Time between tries.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// Writes the ConfigMap, unless it says so already. Ends when it is written: nothing else hangs on it.
pub async fn publish(client: Client, namespace: String, certificate: String) {
    let api = Api::<ConfigMap>::namespaced(client, &namespace);
    let body = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CONFIG_MAP, "namespace": namespace},
        "data": {"ca.crt": certificate},
    });
    let manager = PatchParams::apply("slipway-live.slipway.dev").force();
    let mut trouble = None;
    loop {
        let why = match tokio::time::timeout(API_DEADLINE, api.patch(CONFIG_MAP, &manager, &Patch::Apply(&body))).await
        {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => told(&error),
            Err(_) => "no answer".to_owned(),
        };
        if trouble.as_ref() != Some(&why) {
            tracing::warn!("ConfigMap {CONFIG_MAP}, by which clients know the live endpoint, is not written: {why}");
            trouble = Some(why);
        }
        sleep(jitter(TRY_AGAIN)).await;
    }
}
